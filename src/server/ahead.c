#include "server/ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/http.h"
#include "server/server.h"

/* At most so many pages beside those that the socket is given. */
#define DEPTH_MAX 8
/* Loaded for one answer before a reader looks for others. */
#define ERRAND 8

struct ahead {
	struct server *server;
	struct media *media;
	struct job job;
	struct load_wait wait; /* for a page that somebody else reads; the job's */
	pthread_mutex_t lock;
	unsigned refs;           /* the answer, and a reader while it loads */
	bool loading;            /* a reader does, or is about to */
	struct request *waiting; /* for the first page */
	uint64_t next, end;      /* what is to be loaded yet */
	struct page ring[DEPTH_MAX];
	size_t first, count, depth;
	enum err_code rc;
};

static void unref(struct ahead *a)
{
	bool last;

	pthread_mutex_lock(&a->lock);
	last = --a->refs == 0;
	pthread_mutex_unlock(&a->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&a->lock);
	load_wait_drop(&a->wait);
	media_unref(a->media);
	free(a);
}

/* ---- under lock ---- */

static void drop_first(struct ahead *a)
{
	chunk_unref(a->ring[a->first].chunk);
	a->first = (a->first + 1) % DEPTH_MAX;
	a->count--;
}

static bool holds(const struct page *p, uint64_t offset)
{
	return offset >= p->start && offset - p->start < p->chunk->len;
}

/* Who waits gets a page however little room there is. */
static bool wants_more(const struct ahead *a)
{
	if (a->rc != ERR_OK || a->next >= a->end)
		return false;
	return a->waiting != NULL || (a->count < a->depth && pages_have_room(a->server));
}

/* False: it was for another place, or nobody wants it any more, and is the caller's. */
static bool put(struct ahead *a, uint64_t at, enum err_code rc, struct page *p)
{
	if (a->next != at || at >= a->end)
		return false;
	a->rc = rc;
	if (rc != ERR_OK)
		return true;
	a->ring[(a->first + a->count++) % DEPTH_MAX] = *p;
	a->next = p->start + p->chunk->len;
	return true;
}

/* Several at a time, and not a change of threads for every page. */
static void start(struct ahead *a)
{
	if (a->loading || !wants_more(a) || (a->waiting == NULL && a->count > a->depth / 2))
		return;
	a->loading = true;
	a->refs++;
	workers_submit(a->server->readers, &a->job);
}

/* Whether there is enough for who waits: half of what is held for a client that keeps up. */
static bool is_enough(const struct ahead *a)
{
	return a->rc != ERR_OK || a->next >= a->end || a->count >= (a->depth + 1) / 2 ||
	       !pages_have_room(a->server);
}

/* ---- for a reader ---- */

static enum err_code load(struct ahead *a, uint64_t at, struct page *out)
{
	struct err e = { 0 };
	enum err_code rc;

	if (page_cached(a->server, a->media, at, out))
		return ERR_OK;
	rc = page_load(a->server, a->media, at, &a->wait, out, &e);
	if (rc != ERR_OK && rc != ERR_BUSY)
		log_warn("event=fetch_failed call=read error=\"%s\"", e.why);
	return rc;
}

/* Under the lock; but false, and without it: the job runs again when the page has come, and perhaps
 * does already. */
static bool load_one(struct ahead *a, uint64_t at)
{
	struct page p = { 0 };
	enum err_code rc;
	bool taken;

	pthread_mutex_unlock(&a->lock);
	rc = load(a, at, &p);
	if (rc == ERR_BUSY)
		return false;
	pthread_mutex_lock(&a->lock);
	taken = put(a, at, rc, &p);
	if (!taken)
		chunk_unref(p.chunk);
	else if (a->waiting != NULL && is_enough(a)) {
		request_wake(a->waiting);
		a->waiting = NULL;
	}
	return true;
}

static void load_some(struct job *job)
{
	struct ahead *a = JOB_OWNER(job, struct ahead, job);
	bool more;

	pthread_mutex_lock(&a->lock);
	for (int i = 0; i < ERRAND && wants_more(a); i++)
		if (!load_one(a, a->next))
			return;
	more = wants_more(a);
	a->loading = more;
	if (!more)
		load_wait_drop(&a->wait);
	pthread_mutex_unlock(&a->lock);
	if (more)
		workers_submit(a->server->readers, &a->job);
	else
		unref(a);
}

/* ---- for the answer ---- */

struct ahead *ahead_new(struct server *s, struct media *m)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->server = s;
	a->media = media_ref(m);
	a->job.run = load_some;
	a->wait.job = &a->job;
	a->refs = 1;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void ahead_free(struct ahead *a)
{
	if (a == NULL)
		return;
	ahead_drop(a);
	unref(a);
}

bool ahead_take(struct ahead *a, uint64_t offset, struct page *out)
{
	bool found;

	pthread_mutex_lock(&a->lock);
	while (a->count > 0 && !holds(&a->ring[a->first], offset))
		drop_first(a);
	found = a->count > 0;
	if (found) {
		*out = a->ring[a->first];
		chunk_ref(out->chunk);
		drop_first(a);
		if (a->depth < DEPTH_MAX)
			a->depth++;
		start(a);
	}
	pthread_mutex_unlock(&a->lock);
	return found;
}

void ahead_want(struct ahead *a, struct request *r, uint64_t offset, uint64_t end)
{
	pthread_mutex_lock(&a->lock);
	while (a->count > 0)
		drop_first(a);
	if (a->next != offset || a->rc != ERR_OK)
		a->depth = 1;
	a->next = offset;
	a->end = end;
	a->rc = ERR_OK;
	request_wait(r);
	a->waiting = r;
	start(a);
	pthread_mutex_unlock(&a->lock);
}

enum err_code ahead_trouble(struct ahead *a)
{
	enum err_code rc;

	pthread_mutex_lock(&a->lock);
	rc = a->rc;
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void ahead_drop(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	while (a->count > 0)
		drop_first(a);
	a->end = 0; /* nothing more, until it is wanted */
	pthread_mutex_unlock(&a->lock);
}
