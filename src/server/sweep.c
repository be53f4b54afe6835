#include "server/sweep.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/claims.h"
#include "server/finals.h"
#include "server/metrics.h"
#include "server/retire.h"
#include "server/server.h"

#define BATCH 64
#define NICE 15
/* So long it works, in microseconds, then it rests: fetches are not to notice. */
#define STINT_US 2000
#define REST_OWN 3        /* times as long as it has worked */
#define REST_OPERATOR 0.5 /* somebody waits for it */
#define REST_MAX_US 500000
#define BEHIND_S 60 /* then it hurries, all the same */

struct sweeper {
	struct server *server;
	struct workers *thread;
	struct job own;
	atomic_bool own_submitted, stopping;
	atomic_uint asked; /* jobs of the operator that wait or run */
	pthread_mutex_t lock;
	struct sweep_history history;
};

/* One sweep. */
struct sweep {
	struct sweeper *of;
	int64_t now;
	struct sweep_budget budget;
	bool own;    /* nobody waits for it */
	bool behind; /* what it drops has been due for long */
	int64_t began_ms;
	int64_t stint_us; /* when it has rested last */
	struct sweep_result result;
	size_t stuck;         /* of the last batch: could not be dropped */
	enum err_code failed; /* one of them */
};

static int64_t mono_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- one upload ---- */

/* A final that waits for its parts, and its parts, stay as long as there is hope. Under which name
 * it was made nobody knows: the longest time counts. */
static enum err_code postpone(struct sweep *w, const struct upload_id *id, struct err *e)
{
	struct server *s = w->of->server;
	enum err_code rc = store_extend(
		s->store, id,
		clock_now_s() + (int64_t)settings_longest_unfinished(server_settings(s)), e);

	w->result.postponed += rc == ERR_OK;
	return rc == ERR_DELETED ? ERR_NOTFOUND : rc;
}

static enum err_code forget(struct sweep *w, const struct upload_id *id, struct err *e)
{
	enum err_code rc = store_expire(w->of->server->store, id, w->now, NULL, e);

	w->result.grants += rc == ERR_OK;
	return rc;
}

static enum err_code drop_record(struct sweep *w, const struct upload *u, struct err *e)
{
	struct dropped gone;
	enum err_code rc;

	w->behind = u->expires_s <= w->now && clock_now_s() - u->expires_s > BEHIND_S;
	rc = retire_expired(w->of->server, u, w->now, &gone, e);
	if (rc != ERR_OK)
		return rc;
	*(u->finished ? &w->result.uploads : &w->result.unfinished) += 1;
	w->result.bytes += gone.freed;
	w->result.blobs += gone.blob_gone;
	return ERR_OK;
}

static enum err_code drop(struct sweep *w, const struct upload_id *id, struct err *e)
{
	struct server *s = w->of->server;
	struct upload *u = NULL;
	enum err_code rc;

	/* whoever works on it is about to move its end, or to find that it is over */
	if (claims_held(s->claims, id))
		return err_set(e, ERR_BUSY, "an upload that is due is worked on");
	rc = store_lookup(s->store, id, &u, e);
	if (rc == ERR_DELETED)
		rc = forget(w, id, e);
	else if (rc == ERR_OK)
		rc = drop_record(w, u, e);
	upload_free(u);
	if (rc == ERR_EXISTS) { /* it has another end since it was listed, or was deleted */
		w->result.postponed++;
		rc = ERR_OK;
	}
	return rc;
}

/* ---- many ---- */

static uint64_t dropped(const struct sweep *w)
{
	return w->result.uploads + w->result.unfinished + w->result.grants;
}

static bool in_time(const struct sweep *w)
{
	return w->budget.ms == 0 || clock_mono_ms() - w->began_ms < (int64_t)w->budget.ms;
}

/* Whether it is to go on at all: nobody has called it off, and the budget is not used up. */
static bool may_go_on(const struct sweep *w)
{
	if (atomic_load(&w->of->stopping) || (w->own && atomic_load(&w->of->asked) > 0))
		return false;
	return (w->budget.count == 0 || dropped(w) < w->budget.count) && in_time(w);
}

static void rest(struct sweep *w)
{
	const int64_t worked = mono_us() - w->stint_us;
	int64_t us;
	struct timespec t;

	if (worked < STINT_US)
		return;
	us = (int64_t)((double)worked * (w->own && !w->behind ? REST_OWN : REST_OPERATOR));
	if (us > REST_MAX_US)
		us = REST_MAX_US;
	t = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
	(void)nanosleep(&t, NULL);
	w->stint_us = mono_us();
}

static void drop_batch(struct sweep *w, const struct upload_id *ids, size_t n, struct err *e)
{
	struct finals *finals = w->of->server->finals;

	w->stuck = 0;
	w->result.busy = 0; /* they are listed again each time */
	for (size_t i = 0; i < n && may_go_on(w); i++) {
		enum err_code rc = finals_need(finals, &ids[i]) ? postpone(w, &ids[i], e)
								: drop(w, &ids[i], e);

		if (rc != ERR_OK && rc != ERR_NOTFOUND && rc != ERR_DELETED) {
			w->stuck++;
			w->result.busy += rc == ERR_BUSY;
			w->failed = rc;
		}
		rest(w);
	}
}

/* One that cannot be dropped, or is worked on, must not keep the others: so many more are asked
 * for, the most overdue again among them. */
static enum err_code sweep_some(struct sweep *w, bool *more, struct err *e)
{
	const size_t max = BATCH + w->stuck;
	const uint64_t before = dropped(w) + w->result.postponed;
	struct store *store = w->of->server->store;
	struct upload_id *ids = calloc(max, sizeof(*ids));
	size_t n = 0;
	enum err_code rc = ids == NULL ? err_set(e, ERR_NOMEM, "a batch")
				       : store_due(store, w->now, ids, max, &n, e);

	*more = n == max;
	if (rc == ERR_OK)
		drop_batch(w, ids, n, e);
	free(ids);
	if (rc == ERR_OK && w->stuck > 0 && w->failed != ERR_BUSY &&
	    dropped(w) + w->result.postponed == before)
		rc = w->failed; /* the store does not do it */
	return rc;
}

/* Whether there is more than what cannot be dropped. */
static enum err_code look_for_more(struct sweep *w, struct err *e)
{
	const size_t max = w->stuck + 1;
	struct upload_id *ids = calloc(max, sizeof(*ids));
	size_t n = 0;
	enum err_code rc = ids == NULL ? err_set(e, ERR_NOMEM, "a batch")
				       : store_due(w->of->server->store, w->now, ids, max, &n, e);

	w->result.more = n == max;
	free(ids);
	return rc;
}

static void write_history(struct sweeper *of, const struct sweep_result *r)
{
	const uint64_t expired = r->uploads + r->unfinished;

	pthread_mutex_lock(&of->lock);
	of->history.count++;
	of->history.expired += expired;
	of->history.last_at_s = clock_now_s();
	of->history.last_dropped = expired;
	of->history.last_ms = r->ms;
	pthread_mutex_unlock(&of->lock);
	metric_observe(HISTOGRAM_SWEEP, (int64_t)r->ms * 1000000);
	metric_add(METRIC_EXPIRED, expired);
}

static void note_outcome(struct sweep *w, enum err_code rc, const struct err *e)
{
	metric_add(rc == ERR_OK ? METRIC_SWEEPS : METRIC_SWEEPS_FAILED, 1);
	if (rc == ERR_OK && !w->result.more)
		atomic_store(&w->of->server->swept_s, clock_now_s());
	if (rc != ERR_OK)
		log_warn("event=sweep_failed error=\"%s\"", e->why);
	if (dropped(w) > 0)
		log_info("event=sweep dropped=%llu ms=%llu", (unsigned long long)dropped(w),
			 (unsigned long long)w->result.ms);
}

/* Where both want the processor, fetches have it: setpriority(2) of a thread. Not all the way down,
 * since others may wait for a lock that it holds. */
static void step_back(void)
{
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}

static enum err_code run_sweep(struct sweep *w, struct err *e)
{
	enum err_code rc = ERR_OK;
	bool more = true;

	step_back();
	w->began_ms = clock_mono_ms();
	w->stint_us = mono_us();
	while (rc == ERR_OK && more && may_go_on(w))
		rc = sweep_some(w, &more, e);
	if (rc == ERR_OK)
		rc = look_for_more(w, e);
	w->result.ms = (uint64_t)(clock_mono_ms() - w->began_ms);
	write_history(w->of, &w->result);
	note_outcome(w, rc, e);
	return rc;
}

enum err_code sweep_run(struct sweeper *of, int64_t now, const struct sweep_budget *budget,
			struct sweep_result *out, struct err *e)
{
	struct sweep w = { .of = of, .now = now, .budget = *budget };
	enum err_code rc = run_sweep(&w, e);

	*out = w.result;
	return rc;
}

/* ---- the thread ---- */

/* One that gave way goes on when those it gave way to are done. */
static void run_own(struct job *job)
{
	struct sweeper *of = JOB_OWNER(job, struct sweeper, own);
	struct sweep w = { .of = of, .now = clock_now_s(), .own = true };
	struct err e = { 0 };

	if (run_sweep(&w, &e) == ERR_OK && w.result.more && !atomic_load(&of->stopping) &&
	    atomic_load(&of->asked) > 0)
		workers_submit(of->thread, &of->own);
	else
		atomic_store(&of->own_submitted, false);
}

void sweeper_wake(struct sweeper *w)
{
	if (!atomic_exchange(&w->own_submitted, true))
		workers_submit(w->thread, &w->own);
}

void sweeper_submit(struct sweeper *w, struct job *job)
{
	atomic_fetch_add(&w->asked, 1);
	workers_submit(w->thread, job);
}

void sweeper_done(struct sweeper *w)
{
	atomic_fetch_sub(&w->asked, 1);
}

void sweeper_history(struct sweeper *w, struct sweep_history *out)
{
	pthread_mutex_lock(&w->lock);
	*out = w->history;
	pthread_mutex_unlock(&w->lock);
}

enum err_code sweeper_new(struct sweeper **out, struct server *server, struct err *e)
{
	struct sweeper *w = calloc(1, sizeof(*w));
	enum err_code rc;

	if (w == NULL)
		return err_set(e, ERR_NOMEM, "sweeper");
	w->server = server;
	w->own.run = run_own;
	pthread_mutex_init(&w->lock, NULL);
	rc = workers_new(&w->thread, 1, "sweeper", e);
	if (rc == ERR_OK)
		*out = w;
	else
		sweeper_free(w);
	return rc;
}

void sweeper_stop(struct sweeper *w)
{
	if (w == NULL)
		return;
	atomic_store(&w->stopping, true);
	store_hurry(w->server->store);
}

void sweeper_free(struct sweeper *w)
{
	if (w == NULL)
		return;
	sweeper_stop(w);
	workers_free(w->thread);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
