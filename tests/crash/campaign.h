/* campaign - what the files of the kill -9 campaign share: crash.c runs it, chance.c draws, ask.c
 * speaks to a server that may be dying, blobs.c puts, gets and deletes, uploads.c keeps what is
 * known of resumable uploads, append.c, tus.c and rufh.c bring their bytes, concat.c puts them
 * together, marks.c sends what takes long. */
#ifndef RESTANTE_TESTS_CRASH_CAMPAIGN_H
#define RESTANTE_TESTS_CRASH_CAMPAIGN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define GRID (256u << 10)
#define LARGEST (20u << 20)
/* Contents are slices of this, so that neither making nor comparing them costs much. */
#define POOL_SIZE (LARGEST + (4u << 20))
#define TOKEN_SIZE 52
#define PATH_SIZE 80
#define FIELDS_SIZE 16384

struct blobs;
struct uploads;

enum state {
	NOT_KNOWN, /* no whole answer came: nothing was promised */
	ALIVE,     /* 201 */
	DOUBTFUL,  /* deleted, but no answer came: there and whole, or gone */
	GONE       /* 204, or found to be gone after DOUBTFUL */
};

struct slice {
	size_t at, len;
};

struct random {
	uint64_t x;
};

struct campaign {
	uint64_t seed;
	unsigned round;
	struct random random;
	struct test_server server;
	uint8_t *pool;
	pthread_mutex_t lock; /* over blobs and uploads, while workers run */
	struct blobs *blobs;
	struct uploads *uploads;
	atomic_bool killing;
	/* of this run, for its last line */
	atomic_ullong acknowledged, deleted, fetched, patched, refused, resumed, joined, marked;
	unsigned long long start_kills;
};

/* A thread of requests. */
struct worker {
	struct campaign *c;
	struct random random;
	struct client *client; /* NULL: none yet */
};

/* Ends the run: says why, with seed, round and folder. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- chance.c ---- */

uint64_t draw(struct random *r);
size_t below(struct random *r, size_t n);
bool chance(struct random *r, unsigned percent);
size_t random_size(struct random *r);
struct slice random_slice(struct random *r, size_t len);
void pause_us(size_t us);

/* ---- ask.c ---- */

struct fields {
	size_t n;
	char text[FIELDS_SIZE];
};

/* A body: n bytes, of which `sent` are sent (fewer: the request is to be broken off). */
struct load {
	const uint8_t *p;
	size_t n, sent;
	bool chunked;
	const char *trailer; /* fields behind the last chunk */
};

/* As client_open(), but NULL if there is no server. */
struct client *connect_to(int port);
bool have_client(struct worker *w);
void drop_client(struct worker *w);

/* One more field: "Name: value". */
void fields_add(struct fields *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends a request; `f` and `l` may be NULL. False if the peer has closed; an answer may have come
 * all the same. */
bool ask(struct worker *w, const char *method, const char *target, const struct fields *f,
	 const struct load *l);

/* Reads an answer; false (and no connection any more) unless all of it came. The connection is also
 * gone if the answer says so. */
bool whole_answer(struct worker *w, bool head_only, struct answer *a);

/* Both; a refusal may come while we still send, so the answer is read in any case. */
bool exchange(struct worker *w, const char *method, const char *target, const struct fields *f,
	      const struct load *l, struct answer *a);

/* ---- blobs.c: PUT, GET and DELETE ---- */

void blobs_init(struct campaign *c);
void blobs_fini(struct campaign *c);

/* One request. False: the connection broke. */
bool blobs_act(struct worker *w);

/* After a start: whether all is as was answered. Then some are deleted, and some forgotten. */
void blobs_verify(struct worker *w, bool last);

/* ---- uploads.c: resumable ones, and concat.c ---- */

void uploads_init(struct campaign *c);
void uploads_fini(struct campaign *c);
bool uploads_act(struct worker *w);
void uploads_verify(struct worker *w, bool last);

/* ---- marks.c ---- */

/* A request so long that the server makes it durable on its way, and tells: until the kill. */
struct marked {
	char path[PATH_SIZE], token[TOKEN_SIZE];
	struct slice content; /* from there on, and round about */
	uint64_t told, sent;
	atomic_uint heard; /* how many times something was told */
};

void marks_send(struct worker *w, struct marked *m);
void marks_verify(struct worker *w, struct marked *m);

#endif
