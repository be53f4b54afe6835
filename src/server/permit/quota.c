#include "server/quota.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/permit/minute.h"

#define SHARDS 64
#define IDLE_MAX (65536 / SHARDS) /* buckets of a shard that nobody holds */
#define RETRY_ALIVE_S 60          /* when somebody deletes, or a sweep comes: nobody knows */

/* The last minute's. */
struct recent {
	struct minute uploads, bytes;
};

struct entry {
	struct bucket_id id;
	uint64_t uploads, bytes; /* alive */
	uint64_t holds;
	struct recent *recent;     /* NULL: nothing is known of, and none was asked for */
	struct entry *prev, *next; /* in `idle` if nobody holds it */
	UT_hash_handle hh;
};

struct shard {
	pthread_mutex_t lock;
	struct entry *table;
	struct entry *idle; /* the most recently used first */
	size_t idle_count;
	pthread_rwlock_t drops; /* read: a drop is under way; write: a load is */
};

struct quota {
	quota_source *source;
	void *source_ctx;
	struct shard shards[SHARDS];
};

/* ---- making and ending ---- */

static enum err_code from_store(void *ctx, const struct bucket_id *b, store_each *each,
				void *each_ctx, struct err *e)
{
	return store_bucket(ctx, b, each, each_ctx, e);
}

enum err_code quota_new(struct quota **out, struct store *store, struct err *e)
{
	return quota_new_over(out, from_store, store, e);
}

enum err_code quota_new_over(struct quota **out, quota_source *source, void *ctx, struct err *e)
{
	struct quota *q = calloc(1, sizeof(*q));
	pthread_rwlockattr_t fair;

	if (q == NULL)
		return err_set(e, ERR_NOMEM, "quotas");
	q->source = source;
	q->source_ctx = ctx;
	/* a sweep is one drop after the other: a load must come in between */
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&q->shards[i].lock, NULL);
		pthread_rwlock_init(&q->shards[i].drops, &fair);
	}
	pthread_rwlockattr_destroy(&fair);
	*out = q;
	return ERR_OK;
}

static void entry_free(struct entry *x)
{
	if (x == NULL)
		return;
	free(x->recent);
	free(x);
}

static void shard_fini(struct shard *s)
{
	struct entry *x, *next;

	HASH_ITER (hh, s->table, x, next) {
		HASH_DEL(s->table, x);
		entry_free(x);
	}
	pthread_rwlock_destroy(&s->drops);
	pthread_mutex_destroy(&s->lock);
}

void quota_free(struct quota *q)
{
	if (q == NULL)
		return;
	for (int i = 0; i < SHARDS; i++)
		shard_fini(&q->shards[i]);
	free(q);
}

/* ---- entries; under lock ---- */

static struct shard *shard_of(struct quota *q, const struct bucket_id *b)
{
	return &q->shards[b->b[0] % SHARDS]; /* ids are hashes */
}

static void make_idle(struct shard *s, struct entry *x)
{
	struct entry *oldest;

	DL_PREPEND(s->idle, x);
	if (++s->idle_count <= IDLE_MAX)
		return;
	oldest = s->idle->prev;
	DL_DELETE(s->idle, oldest);
	s->idle_count--;
	HASH_DEL(s->table, oldest);
	entry_free(oldest);
}

/* The bucket's, which is now the most recently used; NULL if it is not in memory. */
static struct entry *find(struct shard *s, const struct bucket_id *b)
{
	struct entry *x;

	HASH_FIND(hh, s->table, b, sizeof(*b), x);
	if (x != NULL && x->holds == 0 && x != s->idle) {
		DL_DELETE(s->idle, x);
		DL_PREPEND(s->idle, x);
	}
	return x;
}

static void hold(struct shard *s, struct entry *x)
{
	if (x->holds++ > 0)
		return;
	DL_DELETE(s->idle, x);
	s->idle_count--;
}

static void let_go(struct shard *s, struct entry *x)
{
	assert(x->holds > 0);
	if (--x->holds == 0)
		make_idle(s, x);
}

static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* More than there is would be somebody's mistake, and must not become a number without end. */
static uint64_t less(uint64_t a, uint64_t b)
{
	if (b > a)
		log_warn("event=quota_mismatch");
	return b > a ? 0 : a - b;
}

static void give_back(struct entry *x, uint64_t uploads, uint64_t bytes)
{
	x->uploads = less(x->uploads, uploads);
	x->bytes = less(x->bytes, bytes);
}

/* The entry's; made if it is needed from here on. NULL without memory. */
static struct recent *recent_of(struct entry *x)
{
	if (x->recent == NULL)
		x->recent = calloc(1, sizeof(*x->recent));
	return x->recent;
}

/* ---- limits ---- */

/* limit 0: as many as can be counted. */
static bool too_many(uint64_t there, uint64_t more, uint64_t limit)
{
	const uint64_t most = limit == 0 ? UINT64_MAX : limit;

	return more > 0 && (there > most || more > most - there);
}

static enum err_code refuse_alive(struct quota_refusal *why, const char *limit)
{
	*why = (struct quota_refusal){ limit, 507, RETRY_ALIVE_S };
	return ERR_LIMIT;
}

static enum err_code refuse_rate(struct quota_refusal *why, const char *limit, unsigned wait)
{
	*why = (struct quota_refusal){ limit, 429, wait };
	return ERR_LIMIT;
}

static enum err_code check_alive(const struct entry *x, const struct settings *limits,
				 uint64_t uploads, uint64_t bytes, struct quota_refusal *why)
{
	if (too_many(x->uploads, uploads, limits->quota_uploads))
		return refuse_alive(why, "uploads");
	if (too_many(x->bytes, bytes, limits->quota_bytes))
		return refuse_alive(why, "bytes");
	return ERR_OK;
}

/* One upload more: whether that is not too fast; it is counted then. */
static enum err_code begin_upload(struct entry *x, uint64_t limit, int64_t now_ms,
				  struct quota_refusal *why)
{
	struct recent *r;

	if (limit == 0)
		return ERR_OK;
	r = recent_of(x);
	if (r == NULL)
		return ERR_NOMEM;
	if (minute_sum(&r->uploads, now_ms) >= limit)
		return refuse_rate(why, "uploads-per-minute",
				   minute_wait_s(&r->uploads, limit, now_ms));
	minute_add(&r->uploads, 1, 0, now_ms);
	return ERR_OK;
}

/* ---- loading ---- */

struct tally {
	struct entry *entry;
	int64_t now_s, now_ms; /* Unix time, and the clock that does not jump */
	bool no_memory;
};

/* What was begun in the last minute counts as if all its bytes had come then: a restart must not
 * forgive, and nobody knows better. */
static void count(void *ctx, uint64_t weight, int64_t created_s)
{
	struct tally *t = ctx;
	struct entry *x = t->entry;
	const int64_t age = t->now_s - created_s;
	struct recent *r;

	x->uploads++;
	x->bytes = sum_of(x->bytes, weight);
	if (age >= MINUTE_S)
		return;
	r = recent_of(x);
	t->no_memory = t->no_memory || r == NULL;
	if (r == NULL)
		return;
	minute_add(&r->uploads, 1, age, t->now_ms);
	minute_add(&r->bytes, weight, age, t->now_ms);
}

/* Takes x over; false without memory. */
static bool install(struct shard *s, struct entry *x)
{
	bool there;

	pthread_mutex_lock(&s->lock);
	HASH_ADD(hh, s->table, id, sizeof(x->id), x);
	there = x->hh.tbl != NULL;
	if (there)
		make_idle(s, x);
	pthread_mutex_unlock(&s->lock);
	if (!there)
		entry_free(x);
	return there;
}

/* Nothing of the bucket is on its way into the store while this looks, for that is held; nor on its
 * way out. */
static enum err_code load(struct quota *q, struct shard *s, const struct bucket_id *b,
			  struct err *e)
{
	struct tally t = {
		.entry = calloc(1, sizeof(*t.entry)),
		.now_s = clock_now_s(),
		.now_ms = clock_mono_ms(),
	};
	enum err_code rc;

	if (t.entry == NULL)
		return err_set(e, ERR_NOMEM, "a bucket");
	t.entry->id = *b;
	rc = q->source(q->source_ctx, b, count, &t, e);
	if (rc == ERR_OK && t.no_memory)
		rc = err_set(e, ERR_NOMEM, "a bucket");
	if (rc != ERR_OK) {
		entry_free(t.entry);
		return rc;
	}
	return install(s, t.entry) ? ERR_OK : err_set(e, ERR_NOMEM, "a bucket");
}

bool quota_loaded(struct quota *q, const struct bucket_id *b)
{
	struct shard *s = shard_of(q, b);
	bool there;

	if (!bucket_given(b))
		return true;
	pthread_mutex_lock(&s->lock);
	there = find(s, b) != NULL;
	pthread_mutex_unlock(&s->lock);
	return there;
}

enum err_code quota_load(struct quota *q, const struct bucket_id *b, struct err *e)
{
	struct shard *s = shard_of(q, b);
	enum err_code rc = ERR_OK;

	if (quota_loaded(q, b))
		return ERR_OK;
	pthread_rwlock_wrlock(&s->drops);
	if (!quota_loaded(q, b)) /* somebody else may have been first */
		rc = load(q, s, b, e);
	pthread_rwlock_unlock(&s->drops);
	return rc;
}

/* ---- charging and giving back ---- */

enum err_code quota_enter(struct quota *q, const struct bucket_id *b, const struct settings *limits,
			  uint64_t weight, int64_t now_ms, struct quota_refusal *why)
{
	struct shard *s = shard_of(q, b);
	enum err_code rc = ERR_BUSY;
	struct entry *x;

	if (!bucket_given(b))
		return ERR_OK;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL)
		rc = check_alive(x, limits, 1, weight, why);
	if (rc == ERR_OK)
		rc = begin_upload(x, limits->quota_uploads_per_minute, now_ms, why);
	if (rc == ERR_OK) {
		x->uploads++;
		x->bytes += weight;
		hold(s, x);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void quota_undo(struct quota *q, const struct bucket_id *b, const struct settings *limits,
		uint64_t weight, int64_t then_ms, int64_t now_ms)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b))
		return;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	assert(x != NULL);
	give_back(x, 1, weight);
	if (limits->quota_uploads_per_minute != 0 && x->recent != NULL)
		minute_take(&x->recent->uploads, 1, then_ms, now_ms);
	let_go(s, x);
	pthread_mutex_unlock(&s->lock);
}

bool quota_hold(struct quota *q, const struct bucket_id *b)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b))
		return true;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL)
		hold(s, x);
	pthread_mutex_unlock(&s->lock);
	return x != NULL;
}

enum err_code quota_load_and_hold(struct quota *q, const struct bucket_id *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	/* it may be forgotten between the two, if very many come */
	while (rc == ERR_OK && !quota_hold(q, b))
		rc = quota_load(q, b, e);
	return rc;
}

void quota_let_go(struct quota *q, const struct bucket_id *b)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b))
		return;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	assert(x != NULL);
	let_go(s, x);
	pthread_mutex_unlock(&s->lock);
}

enum err_code quota_grow(struct quota *q, const struct bucket_id *b, const struct settings *limits,
			 uint64_t bytes, struct quota_refusal *why)
{
	struct shard *s = shard_of(q, b);
	enum err_code rc = ERR_BUSY;
	struct entry *x;

	if (!bucket_given(b))
		return ERR_OK;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL)
		rc = check_alive(x, limits, 0, bytes, why);
	if (rc == ERR_OK)
		x->bytes += bytes;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void quota_leave(struct quota *q, const struct bucket_id *b, uint64_t uploads, uint64_t bytes)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b))
		return;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL)
		give_back(x, uploads, bytes);
	pthread_mutex_unlock(&s->lock);
}

void quota_drop_begin(struct quota *q, const struct bucket_id *b)
{
	if (bucket_given(b))
		pthread_rwlock_rdlock(&shard_of(q, b)->drops);
}

void quota_drop_end(struct quota *q, const struct bucket_id *b)
{
	if (bucket_given(b))
		pthread_rwlock_unlock(&shard_of(q, b)->drops);
}

/* ---- rates ---- */

/* Under lock. */
static enum err_code begin_body(struct entry *x, uint64_t limit, uint64_t announced, int64_t now_ms,
				struct quota_refusal *why)
{
	struct recent *r;

	if (limit == 0)
		return ERR_OK;
	r = recent_of(x);
	if (r == NULL)
		return ERR_NOMEM;
	if (minute_sum(&r->bytes, now_ms) >= limit)
		return refuse_rate(why, "bytes-per-minute",
				   minute_wait_s(&r->bytes, limit, now_ms));
	minute_add(&r->bytes, announced, 0, now_ms);
	return ERR_OK;
}

enum err_code quota_may_send(struct quota *q, const struct bucket_id *b,
			     const struct settings *limits, uint64_t announced, int64_t now_ms,
			     struct quota_refusal *why)
{
	struct shard *s = shard_of(q, b);
	enum err_code rc = ERR_BUSY;
	struct entry *x;

	if (!bucket_given(b))
		return ERR_OK;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL)
		rc = begin_body(x, limits->quota_bytes_per_minute, announced, now_ms, why);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void quota_not_sent(struct quota *q, const struct bucket_id *b, const struct settings *limits,
		    uint64_t bytes, int64_t then_ms, int64_t now_ms)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b) || limits->quota_bytes_per_minute == 0)
		return;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL && x->recent != NULL)
		minute_take(&x->recent->bytes, bytes, then_ms, now_ms);
	pthread_mutex_unlock(&s->lock);
}

void quota_sent(struct quota *q, const struct bucket_id *b, uint64_t bytes, int64_t now_ms)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	if (!bucket_given(b))
		return;
	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL && x->recent != NULL)
		minute_add(&x->recent->bytes, bytes, 0, now_ms);
	pthread_mutex_unlock(&s->lock);
}

bool quota_sums(struct quota *q, const struct bucket_id *b, uint64_t *uploads, uint64_t *bytes)
{
	struct shard *s = shard_of(q, b);
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	x = find(s, b);
	if (x != NULL) {
		*uploads = x->uploads;
		*bytes = x->bytes;
	}
	pthread_mutex_unlock(&s->lock);
	return x != NULL;
}
