/* uploads - what is known of a resumable upload, between the files that see to them. */
#ifndef RESTANTE_TESTS_CRASH_UPLOADS_H
#define RESTANTE_TESTS_CRASH_UPLOADS_H

#include "tests/crash/campaign.h"

#define PARTS_MAX 6
#define STORY_SIZE 1500
#define TUS "Tus-Resumable: 1.0.0"
#define TUS_TYPE "Content-Type: application/offset+octet-stream"

enum role { WHOLE, PARTIAL, FINAL };

/* Whether something holds of it, as far as answers tell. */
enum known { NO, PERHAPS, YES };

struct resumable {
	enum state state; /* NOT_KNOWN: its URL was not learnt */
	enum role role;
	struct slice content; /* of a final only the length */
	unsigned round;       /* it was begun in */
	bool busy;            /* a worker's */
	unsigned asked_for;   /* as a part, at this moment: not to be deleted */
	unsigned needed;      /* by so many finals */

	char path[PATH_SIZE], token[TOKEN_SIZE], manage[TOKEN_SIZE];
	char *metadata, *concat; /* as they were sent; NULL: were not */
	struct resumable *parts[PARTS_MAX];
	unsigned part_count;
	bool doomed; /* a part was deleted before it was put together, or perhaps */

	bool finished;           /* and this was answered */
	enum known length_known; /* to the server */
	size_t least, most;      /* where its offset may be */
	bool all_or_none;        /* nowhere in between */
	bool haunted;            /* a request that was left may come yet, and interrupt others */
	size_t stray;            /* ... and bring bytes up to here; 0: none */

	char *story; /* what was asked and answered, for fail() */
	size_t story_len;
	struct resumable *next;
};

struct uploads {
	struct resumable *first; /* the last one begun */
};

/* ---- uploads.c ---- */

/* A new one in the table, NOT_KNOWN and the caller's. Its metadata is drawn. */
struct resumable *upload_new(struct worker *w, enum role role, struct slice content);

void upload_set(struct worker *w, struct resumable *u, enum state state, bool finished);
void upload_release(struct worker *w, struct resumable *u);

void upload_note(struct resumable *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* fail(), with its story. */
void upload_fail(const struct resumable *u, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* The connection has ended. False: since the server was killed; else it has to be excused. */
bool upload_broke(struct worker *w, const struct resumable *u, bool excused);

/* What a creation's answer or a 104 tells of it. */
void upload_learn_place(struct worker *w, struct resumable *u, const struct answer *a);
/* An offset that was told: it has to be possible, and nothing else is from now on. */
void upload_learn_offset(struct resumable *u, size_t offset);

/* HEAD in either dialect, held against what is known. False: the connection broke. */
bool upload_look(struct worker *w, struct resumable *u);

/* All its bytes, held against what was sent; it has to be finished. */
bool upload_fetch(struct worker *w, struct resumable *u);

/* DELETE; it is DOUBTFUL before. */
bool upload_cancel(struct worker *w, struct resumable *u);

size_t number_of(const struct answer *a, const char *name, const struct resumable *u);
bool has_field(const struct answer *a, const char *name);

/* ---- append.c: which bytes a request brings, and what may become of them ---- */

enum check { UNCHECKED, GOOD, BAD };

struct append {
	size_t offset, n;
	bool rest;   /* n is all that is left */
	bool cut;    /* broken off before all were sent */
	bool handed; /* ... by the next request */
	enum check check;
	int refusal;       /* of what is BAD: the status */
	bool gives_length; /* when it is done */
	bool told_length;  /* ... already when the upload is made */
	bool finishes;
	struct load load;
	uint8_t *damaged; /* bytes that are sent instead */
	char trailer[256];
};

/* Draws one that begins at u->least; `plain`: all that is left, in one request without a flaw. */
void append_draw(struct worker *w, const struct resumable *u, bool plain, struct append *p);
/* The fields for its checks, once it is known whether it finishes. */
void append_check(struct worker *w, const struct resumable *u, struct append *p, struct fields *f);
void append_fini(struct append *p);

/* No answer came, or will. */
void append_doubt(struct resumable *u, const struct append *p);
/* What a 2xx tells. */
void append_done(struct worker *w, struct resumable *u, const struct append *p,
		 const struct answer *a);
/* What any other answer tells: it has to be the one that was asked for. */
void append_refused(struct worker *w, struct resumable *u, const struct append *p,
		    const struct answer *a);
/* Leaves a request whose body was not sent to its end. */
bool append_abandon(struct worker *w, struct resumable *u, const struct append *p);

/* ---- tus.c, rufh.c, concat.c ---- */

bool tus_begin_one(struct worker *w);
bool tus_go_on(struct worker *w, struct resumable *u, bool plain);
bool rufh_begin_one(struct worker *w);
bool rufh_go_on(struct worker *w, struct resumable *u, bool plain);

/* Asks for a final upload of some parts. */
bool concat_begin_one(struct worker *w);
/* Before a part is deleted; under lock. */
void concat_doom(struct campaign *c, const struct resumable *part);
/* After a start: waits until it is what its parts say. */
void concat_settle(struct worker *w, struct resumable *u);

#endif
