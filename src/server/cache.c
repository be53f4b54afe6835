#include "server/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#define SHARDS 8
#define SEEN 4096 /* remembered keys of bulk chunks, a shard */
/* What an entry costs beside its bytes, so that many tiny blobs are bounded too. */
#define ENTRY_COST 256
/* And what an answer costs that rides on it. */
#define REPLY_COST 4096
/* Of the capacity, for bulk chunks that nobody has come back for. */
#define PASSING_SHARE 8

/* Most recently used first; who is passing is not used. */
struct queue {
	struct entry *first;
	uint64_t bytes, capacity;
};

struct entry {
	struct cache_key key;
	struct chunk *chunk;
	struct reply *reply;
	int64_t reply_tag, reply_until_s;
	struct queue *in;
	struct entry *prev, *next;
	UT_hash_handle hh;
};

struct shard {
	pthread_mutex_t lock;
	struct entry *table;
	struct queue kept, passing;
	uint64_t chunks;
	uint64_t seen[SEEN]; /* keys of bulk chunks that came lately, by their hash */
};

struct cache {
	struct shard shards[SHARDS];
};

static uint64_t hash(struct cache_key key)
{
	uint64_t h = (key.locator * 0x9e3779b97f4a7c15u) ^ (key.offset * 0xc2b2ae3d27d4eb4fu);

	return h ^ h >> 29;
}

static struct shard *shard_of(struct cache *c, struct cache_key key)
{
	return &c->shards[hash(key) % SHARDS];
}

enum err_code cache_new(struct cache **out, uint64_t capacity, struct err *e)
{
	struct cache *c = calloc(1, sizeof(*c));
	const uint64_t share = capacity / SHARDS, passing = share / PASSING_SHARE;

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "cache");
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&c->shards[i].lock, NULL);
		c->shards[i].passing.capacity = passing;
		c->shards[i].kept.capacity = share - passing;
	}
	*out = c;
	return ERR_OK;
}

/* ---- under the shard's lock ---- */

static uint64_t cost_of(const struct entry *x)
{
	return x->chunk->cap + ENTRY_COST + (x->reply != NULL ? REPLY_COST : 0);
}

static void leave(struct entry *x)
{
	DL_DELETE(x->in->first, x);
	x->in->bytes -= cost_of(x);
	x->in = NULL;
}

static void evict(struct shard *s, struct entry *x)
{
	HASH_DEL(s->table, x);
	leave(x);
	s->chunks--;
	chunk_unref(x->chunk);
	reply_unref(x->reply);
	free(x);
}

/* The last ones of the queue make room. */
static void enter(struct shard *s, struct queue *q, struct entry *x)
{
	const uint64_t cost = cost_of(x);

	while (q->first != NULL && q->bytes + cost > q->capacity)
		evict(s, q->first->prev); /* utlist: the head's prev is the tail */
	DL_PREPEND(q->first, x);
	q->bytes += cost;
	x->in = q;
}

static struct entry *look(struct shard *s, struct cache_key key)
{
	struct entry *x;

	HASH_FIND(hh, s->table, &key, sizeof(key), x);
	return x;
}

/* Who was only passing is kept from here on. */
static struct entry *find(struct shard *s, struct cache_key key)
{
	struct entry *x = look(s, key);

	if (x != NULL && x != s->kept.first) {
		leave(x);
		enter(s, &s->kept, x);
	}
	return x;
}

/* ---- for everybody ---- */

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < SHARDS; i++) {
		while (c->shards[i].table != NULL)
			evict(&c->shards[i], c->shards[i].table);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

struct chunk *cache_get(struct cache *c, struct cache_key key)
{
	struct shard *s = shard_of(c, key);
	struct chunk *found = NULL;
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	x = find(s, key);
	if (x != NULL)
		found = chunk_ref(x->chunk);
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* A scan passes by once; what people come back for is seen twice. */
static bool seen_before(struct shard *s, struct cache_key key)
{
	uint64_t h = hash(key);
	uint64_t *slot = &s->seen[h / SHARDS % SEEN];
	bool seen = *slot == h;

	*slot = h;
	return seen;
}

/* Where it is to go; NULL: nowhere. */
static struct queue *place_for(struct shard *s, struct cache_key key, uint64_t cost, bool bulk)
{
	struct entry *old = look(s, key);
	struct queue *q = &s->kept;

	if (old != NULL)
		evict(s, old);
	else if (bulk && !seen_before(s, key))
		q = &s->passing;
	return cost <= q->capacity ? q : NULL;
}

static void insert(struct shard *s, struct queue *q, struct cache_key key, struct chunk *chunk)
{
	struct entry *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return;
	x->key = key;
	HASH_ADD(hh, s->table, key, sizeof(key), x);
	if (x->hh.tbl == NULL) {
		free(x);
		return;
	}
	x->chunk = chunk_ref(chunk);
	enter(s, q, x);
	s->chunks++;
}

void cache_put(struct cache *c, struct cache_key key, struct chunk *chunk, bool bulk)
{
	struct shard *s = shard_of(c, key);
	struct queue *q;

	pthread_mutex_lock(&s->lock);
	q = place_for(s, key, chunk->cap + ENTRY_COST, bulk);
	if (q != NULL)
		insert(s, q, key, chunk);
	pthread_mutex_unlock(&s->lock);
}

struct reply *cache_reply(struct cache *c, struct cache_key key, int64_t tag, int64_t now_s)
{
	struct shard *s = shard_of(c, key);
	struct reply *found = NULL;
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	x = find(s, key);
	if (x != NULL && x->reply != NULL && x->reply_tag == tag && now_s < x->reply_until_s)
		found = reply_ref(x->reply);
	pthread_mutex_unlock(&s->lock);
	return found;
}

void cache_attach(struct cache *c, struct cache_key key, struct reply *reply, int64_t tag,
		  int64_t valid_until_s)
{
	struct shard *s = shard_of(c, key);
	struct reply *old = NULL;
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	x = find(s, key);
	if (x != NULL) {
		old = x->reply;
		if (old == NULL)
			x->in->bytes += REPLY_COST;
		x->reply = reply_ref(reply);
		x->reply_tag = tag;
		x->reply_until_s = valid_until_s;
	}
	pthread_mutex_unlock(&s->lock);
	reply_unref(old);
}

void cache_stats(struct cache *c, struct cache_stats *out)
{
	*out = (struct cache_stats){ 0 };
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&c->shards[i].lock);
		out->bytes += c->shards[i].kept.bytes + c->shards[i].passing.bytes;
		out->chunks += c->shards[i].chunks;
		pthread_mutex_unlock(&c->shards[i].lock);
	}
}
