/* fetch_inside - the inside of a fetch, for the files that make it: fetch.c finds the upload,
 * fetch_answer.c chooses what is said of it, fetch_send.c sends the bytes; fetch_live.c does both
 * for one that is still arriving. Loop thread, but for what is handed to a reader. */
#ifndef RESTANTE_SERVER_FETCH_INSIDE_H
#define RESTANTE_SERVER_FETCH_INSIDE_H

#include "base/ids.h"
#include "server/ahead.h"
#include "server/body.h"
#include "server/fetch.h"
#include "server/media.h"
#include "server/reply.h"
#include "server/running.h"
#include "server/workers.h"

/* What the next call of the handler is to go on from. */
enum step { START, LOOKED_UP, CONFIRMED, LOADED, STREAMING };

struct fetch {
	struct request *req;
	struct server *server;
	struct job job;
	struct load_wait wait; /* of the job, for a page that somebody is reading */
	enum step step;
	struct upload_id id;
	uint64_t epoch;
	struct media *media;
	int64_t now_s;
	int64_t end_s;                  /* of the upload, as far as is known */
	struct running_answer *running; /* of a long answer */
	struct live_follower *follower; /* of a live one */
	bool by_upload; /* by the upload's own URL, which answers otherwise before and after */
	bool plain;     /* a GET without conditions */
	bool live;      /* it is still arriving, or was when it was found */
	bool whole;     /* 200 with all of it: the answer may be reused */
	struct reply *reply;
	struct body body;
	struct ahead *ahead; /* of an answer that has to wait for the disk */
	uint64_t missing;    /* of a live one: content offset of the page to load */
	unsigned tries;      /* to load it */
	enum err_code rc;
};

/* ---- fetch.c ---- */

/* Suspends the request, and has a reader `run`, which wakes it. */
void fetch_hand_to_reader(struct fetch *f, void (*run)(struct job *));
struct fetch *fetch_of_job(struct job *job);

/* Whether it is there to be fetched. */
bool fetch_alive(const struct media *m, int64_t now_s);

/* ---- fetch_answer.c ---- */

/* f->media is there and alive: conditions and ranges, in the order of RFC 9110 section 13.2.2. */
enum http_next fetch_decide(struct fetch *f);

/* What the conditions come to: 200, 304 or 412; etag NULL: it has none. */
int fetch_condition(struct fetch *f, const char *etag);
bool fetch_if_range_holds(struct fetch *f, const char *etag);

/* f->body becomes these ranges as multipart/byteranges, of a content of `size` bytes, and f->reply
 * says so. False without memory. */
bool fetch_add_ranges(struct fetch *f, const struct range *r, size_t count, uint64_t size);

/* ---- fetch_send.c ---- */

/* f->reply with f->body, which are ready. Goes on in the two below, after CONFIRMED and LOADED. */
enum http_next fetch_send_body(struct fetch *f);
enum http_next fetch_confirmed(struct fetch *f);
enum http_next fetch_loaded(struct fetch *f);

/* ---- fetch_live.c ---- */

/* For readers: u, which is taken over, is not finished. From here on its end is heard of; if that
 * has come just now, f->media is as of any other, and f->live false. */
enum err_code fetch_live_found(struct fetch *f, struct upload *u, struct err *e);

/* As fetch_decide(): what there is, and then whatever comes. */
enum http_next fetch_live_decide(struct fetch *f);

/* An answer kept for reuse promises max-age to the end of its minute, so it never outlives the
 * blob by being a little old. */
int64_t fetch_end_of_reuse(int64_t now_s);

#endif
