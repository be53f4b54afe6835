/* sweep - drops uploads whose time has come. One thread does all of it, so that there is one sweep
 * at a time: the server's own, which takes its time, and those an operator asks for, which come
 * first and go faster. */
#ifndef RESTANTE_SERVER_SWEEP_H
#define RESTANTE_SERVER_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/workers.h"

struct server;
struct sweeper;

/* Has a thread of its own; server is borrowed. */
enum err_code sweeper_new(struct sweeper **out, struct server *server, struct err *e);

/* A sweep that runs ends soon, and so does giving space back; those that wait end at once. The next
 * start goes on. Any thread. */
void sweeper_stop(struct sweeper *w);
void sweeper_free(struct sweeper *w); /* NULL is fine */

/* It is time for the server's own sweep, unless one is under way. Any thread; never waits. */
void sweeper_wake(struct sweeper *w);

/* Runs a job that calls sweep_run(), in the sweeping thread, and then sweeper_done(). The server's
 * own sweep gives way until then. Any thread. */
void sweeper_submit(struct sweeper *w, struct job *job);
void sweeper_done(struct sweeper *w);

struct sweep_budget {   /* 0: as much as there is */
	uint64_t count; /* of what is dropped */
	uint64_t ms;
};

/* What came of it. */
struct sweep_result {
	uint64_t uploads, unfinished; /* dropped */
	uint64_t grants;              /* ids that need not be remembered any more */
	uint64_t blobs, bytes;        /* gone with them */
	uint64_t segments;            /* of earlier ones, given back now; by the caller */
	uint64_t postponed;           /* still needed: have another end now */
	uint64_t ms;
	uint64_t busy; /* due, but worked on: left to who does */
	bool more;     /* is due and can be dropped */
};

/* Drops what is due at `now`, the most overdue first, within the budget. What is worked on at the
 * moment is left to who does; what cannot be dropped keeps nothing else from it. *out is written on
 * failure too: what was dropped stays dropped. For such a job. ERR_IO, ERR_FULL, ERR_NOMEM. */
enum err_code sweep_run(struct sweeper *w, int64_t now, const struct sweep_budget *budget,
			struct sweep_result *out, struct err *e);

/* All sweeps since the start. Any thread. */
struct sweep_history {
	uint64_t count, expired; /* uploads, finished or not */
	int64_t last_at_s;       /* 0: none yet */
	uint64_t last_dropped, last_ms;
};
void sweeper_history(struct sweeper *w, struct sweep_history *out);

#endif
