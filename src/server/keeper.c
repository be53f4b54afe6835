#include "server/keeper.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/census.h"
#include "server/claims.h"
#include "server/finals.h"
#include "server/metrics.h"
#include "server/server.h"

#define BATCH 64
#define RETRY_S 5     /* between looks at finals whose store failed */
#define SWEEP_MAX 512 /* in one go; then the disk is looked at again, and whether to stop */

struct keeper {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop_asked;
	bool stopping;
};

static void ask_disk(struct server *s)
{
	struct statvfs v;

	if (statvfs(server_settings(s)->data_dir, &v) == 0)
		atomic_store(&s->disk_free, (uint64_t)v.f_bavail * v.f_frsize);
}

/* Its end may have been moved since it was listed; once it is over nobody moves it. ERR_EXISTS: it
 * was.
 */
static enum err_code check_due(struct server *s, const struct upload_id *id, int64_t now,
			       struct err *e)
{
	struct upload *u = NULL;
	enum err_code rc = store_lookup(s->store, id, &u, e);

	if (rc == ERR_DELETED)
		return ERR_OK; /* a tombstone */
	if (rc == ERR_OK && u->expires_s > now)
		rc = ERR_EXISTS;
	upload_free(u);
	return rc;
}

static enum err_code drop(struct server *s, const struct upload_id *id, int64_t now, struct err *e)
{
	enum err_code rc;

	/* whoever works on it is about to move its end, or to find that it is over */
	if (claims_held(s->claims, id))
		return err_set(e, ERR_BUSY, "an upload that is due is worked on");
	rc = check_due(s, id, now, e);
	if (rc != ERR_OK)
		return rc;
	rc = store_drop(s->store, id, e);

	media_forget(s->media, id);
	if (rc == ERR_OK) {
		census_leave(s->census, id);
		finals_gone(s->finals, id);
	}
	return rc;
}

/* A final that waits for its parts, and its parts, stay as long as there is hope. */
static enum err_code postpone(struct server *s, const struct upload_id *id, struct err *e)
{
	enum err_code rc =
		store_extend(s->store, id,
			     clock_now_s() + (int64_t)server_settings(s)->upload_ttl_unfinished, e);

	return rc == ERR_DELETED ? ERR_NOTFOUND : rc;
}

/* What became of those that were due. */
struct outcome {
	uint64_t dropped, postponed, stuck;
	enum err_code failed; /* of one that is stuck */
};

static void drop_batch(struct server *server, const struct upload_id *ids, size_t n, int64_t now,
		       struct outcome *o, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const bool needed = finals_need(server->finals, &ids[i]);
		enum err_code rc =
			needed ? postpone(server, &ids[i], e) : drop(server, &ids[i], now, e);

		if (rc == ERR_EXISTS) {
			o->postponed++;
		} else if (rc != ERR_OK && rc != ERR_NOTFOUND) { /* not deleted meanwhile either */
			o->stuck++;
			o->failed = rc;
		} else if (needed) {
			o->postponed++;
		} else {
			o->dropped++;
		}
	}
}

/* One that cannot be dropped, or is worked on, must not keep the others: so many more are asked
 * for, the most overdue again among them. */
static enum err_code sweep_some(struct server *server, int64_t now, struct outcome *o, bool *more,
				struct err *e)
{
	const size_t max = BATCH + o->stuck;
	const uint64_t before = o->dropped + o->postponed;
	struct upload_id *ids = calloc(max, sizeof(*ids));
	size_t n = 0;
	enum err_code rc = ids == NULL ? err_set(e, ERR_NOMEM, "a batch")
				       : store_due(server->store, now, ids, max, &n, e);

	o->stuck = 0;
	if (rc == ERR_OK)
		drop_batch(server, ids, n, now, o, e);
	free(ids);
	*more = n == max;
	if (rc == ERR_OK && o->stuck > 0 && o->failed != ERR_BUSY &&
	    o->dropped + o->postponed == before)
		rc = o->failed; /* the store does not do it */
	return rc;
}

enum err_code keeper_sweep(struct server *server, int64_t now, uint64_t max, uint64_t *dropped,
			   struct err *e)
{
	const int64_t began = clock_mono_ns();
	struct outcome o = { .failed = ERR_OK };
	enum err_code rc = ERR_OK;
	bool more = true;

	while (rc == ERR_OK && more && o.dropped + o.postponed < max)
		rc = sweep_some(server, now, &o, &more, e);
	*dropped = o.dropped;
	metric_observe(HISTOGRAM_SWEEP, clock_mono_ns() - began);
	metric_add(rc == ERR_OK ? METRIC_SWEEPS : METRIC_SWEEPS_FAILED, 1);
	if (rc == ERR_OK && !more)
		atomic_store(&server->swept_s, clock_now_s());
	metric_add(METRIC_EXPIRED, o.dropped);
	return rc;
}

/* Whether it is done for now. */
static bool sweep(struct server *s, int64_t now)
{
	uint64_t dropped = 0;
	struct err e = { 0 };

	if (keeper_sweep(s, now, SWEEP_MAX, &dropped, &e) != ERR_OK)
		log_warn("event=sweep_failed error=\"%s\"", e.why);
	if (dropped > 0)
		log_info("event=sweep dropped=%llu", (unsigned long long)dropped);
	return dropped < SWEEP_MAX;
}

static void *keeper_main(void *arg)
{
	struct keeper *k = arg;
	struct server *s = k->server;
	int64_t swept_s = clock_now_s(), now;
	struct timespec until;
	uint64_t interval;
	bool more = false; /* to be swept, right away */

	pthread_mutex_lock(&k->lock);
	while (!k->stopping) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += more ? 0 : 1;
		(void)pthread_cond_timedwait(&k->stop_asked, &k->lock, &until);
		pthread_mutex_unlock(&k->lock);
		ask_disk(s);
		now = clock_now_s();
		if (now % RETRY_S == 0)
			finals_retry(s->finals);
		interval = server_settings(s)->expiry_interval;
		if (interval != 0 && now - swept_s >= (int64_t)interval) {
			more = !sweep(s, now);
			if (!more)
				swept_s = now;
		}
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

enum err_code keeper_start(struct keeper **out, struct server *server, struct err *e)
{
	struct keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t monotonic;

	if (k == NULL)
		return err_set(e, ERR_NOMEM, "keeper");
	k->server = server;
	ask_disk(server);
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->stop_asked, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&k->thread, NULL, keeper_main, k) != 0) {
		free(k);
		return err_set(e, ERR_NOMEM, "keeper thread");
	}
	(void)pthread_setname_np(k->thread, "keeper");
	*out = k;
	return ERR_OK;
}

void keeper_stop(struct keeper *k)
{
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_signal(&k->stop_asked);
	pthread_mutex_unlock(&k->lock);
	(void)pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->stop_asked);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
