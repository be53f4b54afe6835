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

static enum err_code drop(struct server *s, const struct upload_id *id, struct err *e)
{
	enum err_code rc;

	/* whoever works on it is about to move its end, or to find that it is over */
	if (claims_held(s->claims, id))
		return err_set(e, ERR_BUSY, "an upload that is due is worked on");
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

/* One that cannot be dropped must not keep the others: the sweep goes on behind it, until a batch
 * gets nowhere. */
static enum err_code drop_batch(struct server *server, const struct upload_id *ids, size_t n,
				uint64_t *dropped, struct err *e)
{
	const uint64_t before = *dropped;
	enum err_code rc, failed = ERR_OK;

	for (size_t i = 0; i < n; i++) {
		rc = finals_need(server->finals, &ids[i]) ? postpone(server, &ids[i], e)
							  : drop(server, &ids[i], e);
		if (rc == ERR_OK || rc == ERR_NOTFOUND) /* deleted meanwhile */
			++*dropped;
		else
			failed = rc; /* it is met again at the next sweep */
	}
	return *dropped == before ? failed : ERR_OK;
}

enum err_code keeper_sweep(struct server *server, int64_t now, uint64_t max, uint64_t *dropped,
			   struct err *e)
{
	struct upload_id ids[BATCH];
	enum err_code rc = ERR_OK;
	size_t n = BATCH;

	*dropped = 0;
	while (rc == ERR_OK && n == BATCH && *dropped < max) {
		rc = store_due(server->store, now, ids, BATCH, &n, e);
		if (rc == ERR_OK)
			rc = drop_batch(server, ids, n, dropped, e);
	}
	metric_add(METRIC_SWEEPS, 1);
	metric_add(METRIC_EXPIRED, *dropped);
	return rc;
}

/* Whether it is done for now. */
static bool sweep(struct server *s, int64_t now)
{
	uint64_t dropped = 0;
	struct err e = { 0 };

	enum err_code rc = keeper_sweep(s, now, SWEEP_MAX, &dropped, &e);

	if (rc != ERR_OK && rc != ERR_BUSY)
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
