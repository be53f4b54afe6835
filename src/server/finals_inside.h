/* finals_inside - the inside of finals, for the files that make it: finals.c is their life from the
 * request, or from a start, to the end; finals_needs.c knows who waits for whom; finals_join.c puts
 * one together. */
#ifndef RESTANTE_SERVER_FINALS_INSIDE_H
#define RESTANTE_SERVER_FINALS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "server/details.h"
#include "server/finals.h"

/* That a final waits for a part; in the list of that part. */
struct need {
	struct waiting *of;
	struct part *part;
	struct need *prev, *next;
};

struct part {
	struct upload_id id;
	struct need *needs;
	UT_hash_handle hh;
};

/* A final that waits. */
struct waiting {
	struct finals *finals;
	struct upload_id id;
	struct job job;
	bool looked_at; /* by a worker, now or soon; then nobody else frees it */
	bool again;     /* something has happened meanwhile */
	bool failed;    /* the store did, the last time */
	bool over;
	UT_hash_handle hh;
	size_t count;
	struct need needs[];
};

struct finals {
	struct server *server;
	struct workers *joiner; /* one thread, so that hashing holds up nobody else's work */
	atomic_bool stopping;
	atomic_uint asked; /* finals that requests wait for */
	pthread_mutex_t lock;
	struct waiting *waiting;
	struct part *parts;
};

/* ---- finals_needs.c; under lock ---- */

/* NULL: it does not wait; nobody waits for it. */
struct waiting *finals_find_waiting(struct finals *f, const struct upload_id *id);
struct part *finals_find_part(struct finals *f, const struct upload_id *id);

/* A final waits for these parts from now on. NULL without memory, and then it does not. */
struct waiting *finals_remember(struct finals *f, const struct upload_id *id,
				const struct upload_id *parts, size_t count);

/* It waits no more; freed unless it is looked at, and then whoever looks frees it. */
void finals_forget(struct finals *f, struct waiting *w);

/* ---- finals_join.c; for the joiner ---- */

/* rec: of the final as long as it waits, or is to; fresh: it is not in the store yet. *out is left
 * alone while parts are missing. Errors of finals_make(). */
enum err_code finals_put_together(struct finals *f, const struct upload *rec, bool fresh,
				  const struct details *d, struct upload **out,
				  struct quota_refusal *why, struct err *e);

#endif
