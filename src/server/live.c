#include "server/live.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "server/http.h"
#include "server/metrics.h"

/* What is kept at hand of an upload, at most: its last pieces. When memory is short, the last one
 * is all that keeps those in front off the disk. */
#define WINDOW_PIECES 256u
#define WINDOW_BYTES ((size_t)4 << 20)
#define WINDOW_SHORT ((size_t)CHUNK_MAX)

/* A gapless run of pieces, the oldest first, in a ring. */
struct window {
	struct slot {
		uint64_t offset; /* in the upload */
		struct chunk *chunk;
	} slots[WINDOW_PIECES];
	unsigned first, count;
	size_t memory;
};

enum outcome { GOES_ON, FINISHED, GONE };

/* There as long as somebody writes or follows it. Locks: the table's, then an upload's, then
 * whatever those take that are called. */
struct live {
	struct live_table *table;
	struct upload_id id;
	unsigned refs; /* under the table's lock, like what is next */
	bool listed;
	UT_hash_handle hh;

	pthread_mutex_t lock;
	enum outcome outcome;
	uint64_t durable;
	int64_t came_ms; /* when that last grew */
	bool fed;
	void (*followed)(void *ctx, bool yes);
	void *ctx;
	struct window *window; /* NULL: nobody follows, or nothing has come since */
	struct live_follower *followers;
};

struct live_follower {
	struct live *of;
	struct request *req;
	uint64_t length; /* that its client was told, or UINT64_MAX */
	int64_t since_ms;
	bool waits;   /* its request is to be woken */
	bool stalled; /* nothing came for too long; something coming makes up for it */
	struct live_follower *prev, *next;
};

struct live_table {
	pthread_mutex_t lock;
	struct live *uploads;
	atomic_size_t follower_count;
	atomic_bool draining;
};

enum err_code live_new(struct live_table **out, struct err *e)
{
	struct live_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_set(e, ERR_NOMEM, "live uploads");
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return ERR_OK;
}

void live_free(struct live_table *t)
{
	if (t == NULL)
		return;
	assert(t->uploads == NULL && atomic_load(&t->follower_count) == 0);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

size_t live_followers(struct live_table *t)
{
	return atomic_load(&t->follower_count);
}

/* ---- the window; under the upload's lock ---- */

static struct slot *slot_at(struct window *w, unsigned i)
{
	return &w->slots[(w->first + i) % WINDOW_PIECES];
}

static uint64_t end_of(const struct slot *s)
{
	return s->offset + s->chunk->len;
}

static void forget_oldest(struct window *w)
{
	struct slot *s = slot_at(w, 0);

	w->memory -= s->chunk->cap;
	chunk_unref(s->chunk);
	w->first = (w->first + 1) % WINDOW_PIECES;
	w->count--;
}

static void forget_newest(struct window *w)
{
	struct slot *s = slot_at(w, w->count - 1);

	w->memory -= s->chunk->cap;
	chunk_unref(s->chunk);
	w->count--;
}

static void window_free(struct window *w)
{
	if (w == NULL)
		return;
	while (w->count > 0)
		forget_oldest(w);
	free(w);
}

static void window_trim(struct window *w, size_t max)
{
	while (w->count > 1 && w->memory > max)
		forget_oldest(w);
}

static void window_add(struct window *w, uint64_t offset, struct chunk *c, bool room)
{
	const size_t max = room ? WINDOW_BYTES : WINDOW_SHORT;

	/* a gap: what came between is not at hand */
	if (w->count > 0 && end_of(slot_at(w, w->count - 1)) != offset)
		while (w->count > 0)
			forget_oldest(w);
	while (w->count > 0 && (w->count == WINDOW_PIECES || w->memory + c->cap > max))
		forget_oldest(w);
	*slot_at(w, w->count++) = (struct slot){ offset, chunk_ref(c) };
	w->memory += c->cap;
}

/* The piece that holds this byte, or NULL. */
static const struct slot *window_find(struct window *w, uint64_t at)
{
	unsigned low = 0, high = w == NULL ? 0 : w->count;

	while (low < high) {
		const unsigned middle = low + (high - low) / 2;
		const struct slot *s = slot_at(w, middle);

		if (at < s->offset)
			high = middle;
		else if (at >= end_of(s))
			low = middle + 1;
		else
			return s;
	}
	return NULL;
}

/* ---- the table ---- */

static struct live *make(struct live_table *t, const struct upload_id *id)
{
	struct live *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->table = t;
	l->id = *id;
	HASH_ADD(hh, t->uploads, id, sizeof(l->id), l);
	if (l->hh.tbl == NULL) {
		free(l);
		return NULL;
	}
	l->listed = true;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

/* With a reference; made, if it is not there and `missing`. */
static struct live *get(struct live_table *t, const struct upload_id *id, bool missing)
{
	struct live *l;

	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->uploads, id, sizeof(*id), l);
	if (l == NULL && missing)
		l = make(t, id);
	if (l != NULL)
		l->refs++;
	pthread_mutex_unlock(&t->lock);
	return l;
}

static void delist(struct live *l)
{
	if (l->listed)
		HASH_DEL(l->table->uploads, l);
	l->listed = false;
}

static void let_go(struct live *l)
{
	struct live_table *t = l->table;
	bool last;

	pthread_mutex_lock(&t->lock);
	last = --l->refs == 0;
	if (last)
		delist(l);
	pthread_mutex_unlock(&t->lock);
	if (!last)
		return;
	assert(!l->fed && l->followers == NULL);
	window_free(l->window);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- waking; under the upload's lock ---- */

static void wake(struct live_follower *f)
{
	if (!f->waits)
		return;
	f->waits = false;
	request_wake(f->req);
}

static void wake_all(struct live *l)
{
	struct live_follower *f;

	DL_FOREACH (l->followers, f)
		wake(f);
}

/* ---- for who writes ---- */

struct live *live_feed(struct live_table *t, const struct upload_id *id, uint64_t durable,
		       void (*followed)(void *ctx, bool yes), void *ctx)
{
	struct live *l = get(t, id, true);

	if (l == NULL)
		return NULL;
	pthread_mutex_lock(&l->lock);
	assert(!l->fed);
	l->fed = true;
	l->followed = followed;
	l->ctx = ctx;
	if (durable > l->durable)
		l->durable = durable;
	if (l->followers != NULL)
		followed(ctx, true);
	pthread_mutex_unlock(&l->lock);
	return l;
}

void live_offer(struct live *l, uint64_t offset, struct chunk *c, bool room)
{
	pthread_mutex_lock(&l->lock);
	if (l->followers != NULL && c->len > 0) {
		if (l->window == NULL)
			l->window = calloc(1, sizeof(*l->window));
		if (l->window != NULL) /* else it is read from the store */
			window_add(l->window, offset, c, room);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Under lock. */
static void advance(struct live *l, uint64_t durable, int64_t now_ms)
{
	if (durable <= l->durable)
		return;
	l->durable = durable;
	l->came_ms = now_ms;
	wake_all(l);
}

void live_advance(struct live *l, uint64_t durable, int64_t now_ms)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	advance(l, durable, now_ms);
	pthread_mutex_unlock(&l->lock);
}

void live_feed_end(struct live *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->fed = false;
	while (l->window != NULL && l->window->count > 0 &&
	       end_of(slot_at(l->window, l->window->count - 1)) > l->durable)
		forget_newest(l->window);
	if (atomic_load(&l->table->draining))
		wake_all(l);
	pthread_mutex_unlock(&l->lock);
	let_go(l);
}

/* ---- for those who end it ---- */

/* It changes no more: whoever comes from now on finds something else, or nothing. */
static struct live *take_out(struct live_table *t, const struct upload_id *id)
{
	struct live *l;

	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->uploads, id, sizeof(*id), l);
	if (l != NULL) {
		l->refs++;
		delist(l);
	}
	pthread_mutex_unlock(&t->lock);
	return l;
}

void live_finish(struct live_table *t, const struct upload_id *id, uint64_t size)
{
	struct live *l = take_out(t, id);

	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->outcome = FINISHED;
	l->durable = size;
	wake_all(l);
	pthread_mutex_unlock(&l->lock);
	let_go(l);
}

void live_cut(struct live_table *t, const struct upload_id *id)
{
	struct live *l = take_out(t, id);
	struct live_follower *f;

	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->outcome = GONE;
	DL_FOREACH (l->followers, f)
		metric_add(METRIC_LIVE_CUT, 1);
	wake_all(l);
	pthread_mutex_unlock(&l->lock);
	let_go(l);
}

static void stall(struct live *l, int64_t before_ms)
{
	struct live_follower *f;

	if (l->outcome != GOES_ON || l->came_ms > before_ms)
		return;
	DL_FOREACH (l->followers, f) {
		if (!f->waits || f->since_ms > before_ms)
			continue;
		f->stalled = true;
		wake(f);
	}
}

void live_stall(struct live_table *t, int64_t now_ms, int64_t timeout_ms)
{
	struct live *l, *next;

	if (live_followers(t) == 0)
		return;
	pthread_mutex_lock(&t->lock);
	HASH_ITER (hh, t->uploads, l, next) {
		pthread_mutex_lock(&l->lock);
		stall(l, now_ms - timeout_ms);
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

void live_trim(struct live_table *t)
{
	struct live *l, *next;

	if (live_followers(t) == 0)
		return;
	pthread_mutex_lock(&t->lock);
	HASH_ITER (hh, t->uploads, l, next) {
		pthread_mutex_lock(&l->lock);
		if (l->window != NULL)
			window_trim(l->window, WINDOW_SHORT);
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

void live_drain(struct live_table *t)
{
	struct live *l, *next;

	atomic_store(&t->draining, true);
	pthread_mutex_lock(&t->lock);
	HASH_ITER (hh, t->uploads, l, next) {
		pthread_mutex_lock(&l->lock);
		if (!l->fed)
			wake_all(l);
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- for fetches ---- */

struct live_follower *live_join(struct live_table *t, const struct upload_id *id,
				struct request *req, int64_t now_ms)
{
	struct live_follower *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->of = get(t, id, true);
	if (f->of == NULL) {
		free(f);
		return NULL;
	}
	f->req = req;
	f->length = UINT64_MAX;
	f->since_ms = now_ms;
	pthread_mutex_lock(&f->of->lock);
	if (f->of->followers == NULL && f->of->fed)
		f->of->followed(f->of->ctx, true);
	DL_APPEND(f->of->followers, f);
	pthread_mutex_unlock(&f->of->lock);
	atomic_fetch_add(&t->follower_count, 1);
	return f;
}

bool live_learn(struct live_follower *f, uint64_t durable, uint64_t length)
{
	struct live *l = f->of;
	bool goes_on;

	pthread_mutex_lock(&l->lock);
	f->length = length;
	goes_on = l->outcome == GOES_ON;
	if (durable > l->durable && goes_on) {
		l->durable = durable;
		wake_all(l);
	}
	pthread_mutex_unlock(&l->lock);
	return goes_on;
}

/* ---- the same, under the upload's lock ---- */

/* Up to where it may see. */
static uint64_t horizon(const struct live_follower *f)
{
	const struct live *l = f->of;

	if (l->outcome == FINISHED || l->durable < f->length)
		return l->durable;
	return f->length == 0 ? 0 : f->length - 1;
}

static enum live_next at_the_edge(struct live_follower *f)
{
	struct live *l = f->of;

	if (l->outcome == FINISHED)
		return LIVE_END;
	if (f->stalled || (!l->fed && atomic_load(&l->table->draining))) {
		metric_add(METRIC_LIVE_CUT, 1);
		return LIVE_CUT;
	}
	f->waits = true;
	return LIVE_WAIT;
}

static enum live_next find(struct live_follower *f, uint64_t at, uint64_t *max,
			   struct reply_piece *out)
{
	const struct slot *s = window_find(f->of->window, at);
	const uint64_t seen = horizon(f) - at;
	size_t skip;

	f->stalled = false;
	if (*max > seen)
		*max = seen;
	if (s == NULL)
		return LIVE_BEHIND;
	skip = (size_t)(at - s->offset);
	*out = (struct reply_piece){ chunk_ref(s->chunk), s->chunk->data + skip,
				     s->chunk->len - skip };
	if (out->len > *max)
		out->len = (size_t)*max;
	return LIVE_HERE;
}

static enum live_next look(struct live_follower *f, uint64_t at, uint64_t *max,
			   struct reply_piece *out)
{
	if (f->of->outcome == GONE)
		return LIVE_CUT;
	return at < horizon(f) ? find(f, at, max, out) : at_the_edge(f);
}

enum live_next live_next(struct live_follower *f, uint64_t at, uint64_t *max,
			 struct reply_piece *out)
{
	enum live_next next;

	pthread_mutex_lock(&f->of->lock);
	f->waits = false;
	next = look(f, at, max, out);
	pthread_mutex_unlock(&f->of->lock);
	return next;
}

void live_leave(struct live_follower *f)
{
	struct live *l;

	if (f == NULL)
		return;
	l = f->of;
	pthread_mutex_lock(&l->lock);
	DL_DELETE(l->followers, f);
	if (l->followers == NULL) {
		window_free(l->window);
		l->window = NULL;
		if (l->fed)
			l->followed(l->ctx, false);
	}
	pthread_mutex_unlock(&l->lock);
	atomic_fetch_sub(&l->table->follower_count, 1);
	let_go(l);
	free(f);
}
