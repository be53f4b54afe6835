/* loads - pages that are being read from the store just now: whoever wants one of them too waits
 * for that, and the store is asked once. No thread waits; a job is put aside until the page has
 * come, and then run again. Any thread; there are never more loads than threads. */
#ifndef RESTANTE_SERVER_LOADS_H
#define RESTANTE_SERVER_LOADS_H

#include <stdbool.h>

#include "base/err.h"
#include "server/cache.h"
#include "server/workers.h"

struct loads;

/* One page's, on the stack of who reads it, from loads_begin() to loads_end(). */
struct load {
	struct cache_key key;
	struct load_wait *waiting;
	struct load *prev, *next;
};

/* One who waits, a part of what `job` works on; all zero but for job at first. */
struct load_wait {
	struct job *job;
	struct cache_key key;
	bool come; /* since then the rest is the job's */
	enum err_code rc;
	struct chunk *chunk;
	struct load_wait *next;
};

/* Jobs that have waited go to these workers, which are borrowed. ERR_NOMEM. */
enum err_code loads_new(struct loads **out, struct workers *workers, struct err *e);
void loads_free(struct loads *ls); /* NULL is fine; no load may be left */

/* True: nobody is at it, and the caller is from here on: loads_end() follows soon. False: somebody
 * is; w, unless NULL, waits, its job will be run again, perhaps has been already, and nothing of
 * what it works on may be touched any more. */
bool loads_begin(struct loads *ls, struct load *l, struct cache_key key, struct load_wait *w);

/* Whether somebody waits for it. */
bool loads_wanted(struct loads *ls, const struct load *l);

/* What it came to: those who have waited get it, with a reference each to the chunk (ERR_OK).
 * Whoever wants it next begins anew. ERR_BUSY: nothing, and one of them is to try. */
void loads_end(struct loads *ls, struct load *l, enum err_code rc, struct chunk *chunk);

/* What has come for the job: its result and the caller's reference, once. False: nothing, or that
 * of another place, which is given back. */
bool load_wait_take(struct load_wait *w, struct cache_key key, enum err_code *rc,
		    struct chunk **chunk);

/* Gives back what has come and was not taken. Not while it waits. */
void load_wait_drop(struct load_wait *w);

#endif
