#include "server/keeper.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "server/admin/admin.h"
#include "server/finals.h"
#include "server/live.h"
#include "server/pages.h"
#include "server/running.h"
#include "server/server.h"
#include "server/sweep.h"

#define RETRY_S 5 /* between looks at finals whose store failed */
#define PARKED_WORTH 1000
#define TIDY_S 3600 /* between looks at snapshots, where sweeps are not more often */

struct keeper {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop_asked;
	bool stopping;
};

/* The store may be a link to another disk. */
static void ask_disk(struct server *s)
{
	const char *data = server_settings(s)->data_dir;
	char store[4096];
	struct statvfs v;

	(void)snprintf(store, sizeof(store), "%s/store", data);
	if (statvfs(store, &v) == 0 || statvfs(data, &v) == 0)
		atomic_store(&s->disk_free, (uint64_t)v.f_bavail * v.f_frsize);
}

/* What many connections have had and need no more since they are parked lies between what others
 * have, where the C library gives nothing back by itself. Once it has become calm: else it is soon
 * needed again. */
static void give_back_memory(struct server *s, size_t *before)
{
	const size_t parked = atomic_load(&s->parked);

	if (parked >= PARKED_WORTH && parked == *before) {
		atomic_fetch_sub(&s->parked, parked);
		(void)malloc_trim(0);
	}
	*before = parked;
}

static void tidy(struct server *s, int64_t now, uint64_t interval, int64_t *tidied_s)
{
	if (interval == 0 || interval > TIDY_S)
		interval = TIDY_S;
	if (now >= *tidied_s && now - *tidied_s < (int64_t)interval)
		return;
	admin_backup_tidy(s);
	*tidied_s = now;
}

static void *keeper_main(void *arg)
{
	struct keeper *k = arg;
	struct server *s = k->server;
	/* not by the clock on the wall: set back, it would let nothing be swept for long */
	int64_t swept_ms = clock_mono_ms(), tidied_s = clock_now_s(), now;
	struct timespec until;
	uint64_t interval;
	size_t parked = 0;

	(void)pthread_setname_np(pthread_self(), "keeper");
	pthread_mutex_lock(&k->lock);
	while (!k->stopping) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += 1;
		(void)pthread_cond_timedwait(&k->stop_asked, &k->lock, &until);
		pthread_mutex_unlock(&k->lock);
		ask_disk(s);
		give_back_memory(s, &parked);
		now = clock_now_s();
		running_expire(s, now);
		live_stall(s->live, clock_mono_ms(),
			   (int64_t)server_settings(s)->fetch_live_timeout * 1000);
		if (!pages_have_room(s))
			live_trim(s->live);
		if (now % RETRY_S == 0)
			finals_retry(s->finals);
		interval = server_settings(s)->expiry_interval;
		if (interval != 0 && clock_mono_ms() - swept_ms >= (int64_t)interval * 1000) {
			sweeper_wake(s->sweeper);
			swept_ms = clock_mono_ms();
		}
		tidy(s, now, interval, &tidied_s);
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
