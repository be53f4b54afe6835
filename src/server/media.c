#include "server/media.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#define SHARDS 64

struct entry {
	struct upload_id id;
	struct media *media;
	struct entry *prev, *next;
	UT_hash_handle hh;
};

struct shard {
	pthread_mutex_t lock;
	struct entry *table, *lru;
	uint64_t count;
	uint64_t epoch; /* counts what was forgotten */
};

struct media_table {
	uint64_t shard_capacity;
	struct shard shards[SHARDS];
};

static struct shard *shard_of(struct media_table *t, const struct upload_id *id)
{
	return &t->shards[id->b[0] % SHARDS]; /* ids are random */
}

enum err_code media_table_new(struct media_table **out, uint64_t count, struct err *e)
{
	struct media_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_set(e, ERR_NOMEM, "records");
	t->shard_capacity = count / SHARDS + 1;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->shards[i].lock, NULL);
	*out = t;
	return ERR_OK;
}

static void evict(struct shard *s, struct entry *x)
{
	HASH_DEL(s->table, x);
	DL_DELETE(s->lru, x);
	s->count--;
	media_unref(x->media);
	free(x);
}

void media_table_free(struct media_table *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < SHARDS; i++) {
		while (t->shards[i].lru != NULL)
			evict(&t->shards[i], t->shards[i].lru);
		pthread_mutex_destroy(&t->shards[i].lock);
	}
	free(t);
}

struct media *media_get(struct media_table *t, const struct upload_id *id)
{
	struct shard *s = shard_of(t, id);
	struct media *m = NULL;
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	HASH_FIND(hh, s->table, id, sizeof(*id), x);
	if (x != NULL) {
		m = media_ref(x->media);
		if (x != s->lru) {
			DL_DELETE(s->lru, x);
			DL_PREPEND(s->lru, x);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return m;
}

struct media *media_of(struct upload *upload)
{
	struct upload bare = *upload;
	struct media *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		upload_free(upload);
		return NULL;
	}
	/* what its client said of it may be larger than all the rest, and no fetch asks for it */
	bare.meta.len = 0;
	m->upload = upload->meta.len == 0 ? upload : upload_clone(&bare);
	if (m->upload != upload)
		upload_free(upload);
	if (m->upload == NULL) {
		free(m);
		return NULL;
	}
	atomic_init(&m->refs, 1);
	return m;
}

struct media *media_put(struct media_table *t, struct upload *upload, uint64_t epoch)
{
	struct media *m = media_of(upload);
	struct shard *s;
	struct entry *x;

	if (m == NULL)
		return NULL;
	s = shard_of(t, &m->upload->id);
	pthread_mutex_lock(&s->lock);
	HASH_FIND(hh, s->table, &m->upload->id, sizeof(m->upload->id), x);
	if (x != NULL)
		evict(s, x);
	if (s->epoch != epoch || (x = calloc(1, sizeof(*x))) == NULL)
		goto out;
	while (s->count >= t->shard_capacity)
		evict(s, s->lru->prev);
	x->id = m->upload->id;
	HASH_ADD(hh, s->table, id, sizeof(x->id), x);
	if (x->hh.tbl == NULL) {
		free(x);
		goto out;
	}
	x->media = media_ref(m);
	DL_PREPEND(s->lru, x);
	s->count++;
out:
	pthread_mutex_unlock(&s->lock);
	return m;
}

uint64_t media_epoch(struct media_table *t, const struct upload_id *id)
{
	struct shard *s = shard_of(t, id);
	uint64_t epoch;

	pthread_mutex_lock(&s->lock);
	epoch = s->epoch;
	pthread_mutex_unlock(&s->lock);
	return epoch;
}

void media_forget(struct media_table *t, const struct upload_id *id)
{
	struct shard *s = shard_of(t, id);
	struct entry *x;

	pthread_mutex_lock(&s->lock);
	s->epoch++;
	HASH_FIND(hh, s->table, id, sizeof(*id), x);
	if (x != NULL)
		evict(s, x);
	pthread_mutex_unlock(&s->lock);
}

struct media *media_ref(struct media *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void media_unref(struct media *m)
{
	if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	upload_free(m->upload);
	free(m);
}

const struct extent *media_locate(const struct media *m, uint64_t offset, uint64_t *at)
{
	const struct upload *u = m->upload;

	for (size_t i = 0; i < u->extent_count; i++) {
		if (offset < u->extents[i].length) {
			*at = u->extents[i].start + offset;
			return &u->extents[i];
		}
		offset -= u->extents[i].length;
	}
	assert(!"offset behind the end");
	return NULL;
}
