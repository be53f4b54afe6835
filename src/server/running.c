#include "server/running.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "server/http.h"
#include "server/live.h"
#include "server/server.h"

#define BATCH 64

/* An upload, as long as something of it is being sent. */
struct source {
	struct upload_id id;
	int64_t expires_s;
	bool cut; /* nobody is to be told twice */
	struct running_answer *answers;
	UT_hash_handle hh;
};

struct running_answer {
	struct running_table *table;
	struct source *source;
	struct request *req;
	struct running_answer *prev, *next;
};

/* Requests are cut under the lock: whoever is to be cut cannot go meanwhile, since its gone() has
 * to pass the lock first. */
struct running_table {
	pthread_mutex_t lock;
	struct source *sources;
};

enum err_code running_new(struct running_table **out, struct err *e)
{
	struct running_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_set(e, ERR_NOMEM, "running fetches");
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return ERR_OK;
}

void running_free(struct running_table *t)
{
	if (t == NULL)
		return;
	assert(t->sources == NULL);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- under lock ---- */

static struct source *find(struct running_table *t, const struct upload_id *id)
{
	struct source *s;

	HASH_FIND(hh, t->sources, id, sizeof(*id), s);
	return s;
}

static struct source *find_or_make(struct running_table *t, const struct upload_id *id)
{
	struct source *s = find(t, id);

	if (s != NULL || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	s->id = *id;
	HASH_ADD(hh, t->sources, id, sizeof(s->id), s);
	if (s->hh.tbl == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

/* An end is only ever moved to later, but by the one that finishes. */
static void move_end(struct source *s, int64_t expires_s)
{
	if (expires_s > s->expires_s)
		s->expires_s = expires_s;
}

static void cut(struct source *s)
{
	struct running_answer *a;

	s->cut = true;
	DL_FOREACH (s->answers, a)
		request_cut(a->req);
}

/* ---- for fetches ---- */

struct running_answer *running_enter(struct running_table *t, const struct upload_id *id,
				     int64_t expires_s, struct request *req)
{
	struct running_answer *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->table = t;
	a->req = req;
	pthread_mutex_lock(&t->lock);
	a->source = find_or_make(t, id);
	if (a->source != NULL) {
		move_end(a->source, expires_s);
		DL_APPEND(a->source->answers, a);
	}
	pthread_mutex_unlock(&t->lock);
	if (a->source != NULL)
		return a;
	free(a);
	return NULL;
}

void running_leave(struct running_answer *a)
{
	struct running_table *t;

	if (a == NULL)
		return;
	t = a->table;
	pthread_mutex_lock(&t->lock);
	DL_DELETE(a->source->answers, a);
	if (a->source->answers == NULL) {
		HASH_DEL(t->sources, a->source);
		free(a->source);
	}
	pthread_mutex_unlock(&t->lock);
	free(a);
}

/* ---- for those who end an upload ---- */

void running_cut(struct running_table *t, const struct upload_id *id)
{
	struct source *s;

	pthread_mutex_lock(&t->lock);
	s = find(t, id);
	if (s != NULL)
		cut(s);
	pthread_mutex_unlock(&t->lock);
}

void running_finished(struct running_table *t, const struct upload_id *id, int64_t expires_s)
{
	struct source *s;

	pthread_mutex_lock(&t->lock);
	s = find(t, id);
	if (s != NULL)
		s->expires_s = expires_s;
	pthread_mutex_unlock(&t->lock);
}

static void extend(struct running_table *t, const struct upload_id *id, int64_t expires_s)
{
	struct source *s;

	pthread_mutex_lock(&t->lock);
	s = find(t, id);
	if (s != NULL)
		move_end(s, expires_s);
	pthread_mutex_unlock(&t->lock);
}

static size_t find_due(struct running_table *t, int64_t now_s, struct upload_id ids[static BATCH])
{
	struct source *s, *next;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	HASH_ITER (hh, t->sources, s, next) {
		if (n < BATCH && !s->cut && s->expires_s <= now_s)
			ids[n++] = s->id;
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* False: it is not known. */
static bool end_or_extend(struct server *server, const struct upload_id *id, int64_t now_s)
{
	struct upload *u = NULL;
	struct err e = { 0 };
	enum err_code rc = store_lookup(server->store, id, &u, &e);
	const bool extended = rc == ERR_OK && u->expires_s > now_s;

	if (extended)
		extend(server->running, id, u->expires_s);
	else if (rc == ERR_OK || rc == ERR_NOTFOUND || rc == ERR_DELETED) {
		running_cut(server->running, id);
		live_cut(server->live, id);
	} else
		log_warn("event=cut_failed call=lookup error=\"%s\"", e.why);
	upload_free(u);
	return rc == ERR_OK || rc == ERR_NOTFOUND || rc == ERR_DELETED;
}

void running_expire(struct server *s, int64_t now_s)
{
	struct upload_id ids[BATCH];
	bool known = true;
	size_t n;

	do {
		n = find_due(s->running, now_s, ids);
		for (size_t i = 0; i < n; i++)
			known = end_or_extend(s, &ids[i], now_s) && known;
	} while (n == BATCH && known); /* else the next time */
}
