/* mover - gives the space of packs back, as a part of the collector. As soon as more than half of
 * their bytes are known to be dead, it counts what is alive, by walking over all pointers. Packs of
 * which most is dead are emptied: what lives is appended anew, and its pointers are replaced; then
 * the files go. So packs take at most about twice what is alive.
 *
 * Deletions of rows hold moving_lock, shared, while they are written; replacing a pointer holds it
 * alone and looks whether the pointer is still there: nothing that was dropped comes back. A file
 * goes after the log is synced, which has the new pointers, and drops that were not synced: else a
 * crash of the machine could take back a deletion whose bytes are gone. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MOVE_PIECES 64                  /* replaced together */
#define MOVE_BYTES ((uint64_t)16 << 20) /* of a step */
#define MOVE_LEAST ((uint64_t)1 << 30)  /* of a round, or this share of all: */
#define MOVE_SHARE 16
#define WALK_PIECES 1000000 /* looked at in a step */

/* ---- whether it pays ---- */

static bool is_worth_it(struct rdb *r, uint64_t least)
{
	const uint64_t all = packs_bytes(r->packs), garbage = atomic_load(&r->pack_garbage);

	if (atomic_load(&r->pack_unknown))
		return true;
	return garbage > all / 2 && garbage > least;
}

/* ---- counting ---- */

static rocksdb_iterator_t *walk_from(struct rdb *r, const struct key *at)
{
	rocksdb_iterator_t *it =
		rocksdb_create_iterator_cf(r->db, r->reads_past, r->cf[CF_POINTERS]);

	rocksdb_iter_seek(it, chars(at->b), at->len);
	return it;
}

static bool is_over(struct rdb *r)
{
	return atomic_load(&r->hurry);
}

static enum err_code count_alive(struct rdb *r)
{
	static const struct key start = { .len = 0 };
	rocksdb_iterator_t *it = walk_from(r, &start);
	struct pointer p;

	for (; rocksdb_iter_valid(it) && !is_over(r); rocksdb_iter_next(it))
		if (pointer_decode(rdb_iter_value(it), &p))
			packs_count(r->packs, &p.place);
	return rdb_iter_end(it, NULL);
}

/* ---- removing ---- */

static enum err_code sync_log(struct rdb *r)
{
	char *text = NULL;

	rocksdb_flush_wal(r->db, 1, &text);
	return text != NULL ? rdb_write_failed(NULL, "sync the log", text) : ERR_OK;
}

static void forget_garbage(struct rdb *r, uint64_t gone)
{
	uint64_t v = atomic_load(&r->pack_garbage);

	while (!atomic_compare_exchange_weak(&r->pack_garbage, &v, v > gone ? v - gone : 0))
		;
}

static bool remove_emptied(struct rdb *r, bool only_dead)
{
	if (sync_log(r) != ERR_OK)
		return false;
	forget_garbage(r, packs_remove_going(r->packs, only_dead));
	return true;
}

/* Until they are gone, what is moved takes room twice: no more than half of what there is, for
 * RocksDB needs some too. At the floor that is a ballast, which is more than half a pack. */
static uint64_t most_to_move(struct rdb *r)
{
	const uint64_t share = packs_bytes(r->packs) / MOVE_SHARE;
	const uint64_t most = share > MOVE_LEAST ? share : MOVE_LEAST;
	struct statvfs fs;
	uint64_t half;

	if (statvfs(r->dir, &fs) != 0)
		return r->ballast_size / 2;
	half = (uint64_t)fs.f_bavail * fs.f_frsize / 2;
	return half < most ? half : most;
}

static bool count(struct rdb *r)
{
	const uint64_t before = atomic_exchange(&r->pack_garbage, 0);
	struct packs_counted c;

	packs_count_begin(r->packs);
	if (count_alive(r) != ERR_OK || is_over(r)) {
		atomic_fetch_add(&r->pack_garbage, before);
		return false;
	}
	packs_count_end(r->packs, most_to_move(r), &c);
	atomic_fetch_add(&r->pack_garbage, c.garbage);
	atomic_store(&r->pack_unknown, false);
	if (c.dead > 0 && !remove_emptied(r, true))
		return false;
	r->moving = c.to_move > 0;
	r->move_at.len = 0;
	return c.going > 0;
}

/* ---- moving ---- */

/* A piece that has been copied, but is not yet pointed at. */
struct moved {
	struct key key;
	struct pointer from, to;
	struct pack_hold hold;
};

struct moving {
	struct rdb *r;
	uint8_t *buffer;
	struct moved v[MOVE_PIECES];
	size_t count;
	uint64_t bytes, looked;
};

/* As it is, checksum and all: if it is damaged, that is found when it is read. */
static enum err_code copy_piece(struct moving *m, struct bytes key, const struct pointer *p)
{
	struct moved *to = &m->v[m->count];
	struct bytes data = { m->buffer, p->place.length };
	enum err_code rc = packs_read(m->r->packs, &p->place, m->buffer, NULL);

	*to = (struct moved){ .from = *p, .to = *p };
	if (rc != ERR_OK || key.len > sizeof(to->key.b))
		return ERR_DAMAGED;
	memcpy(to->key.b, key.data, key.len);
	to->key.len = key.len;
	rc = packs_append(m->r->packs, &to->hold, data, &to->to.place, NULL);
	m->count++;
	m->bytes += data.len;
	return rc;
}

/* What cannot be told now is not "no": its pack would go, with the bytes. */
static enum err_code is_still(struct rdb *r, const struct moved *m, bool *out)
{
	rocksdb_pinnableslice_t *s = NULL;
	struct pointer now;
	enum err_code rc = rdb_get(r, CF_POINTERS, &m->key, &s, NULL);

	*out = false;
	if (rc != ERR_OK || s == NULL)
		return rc;
	*out = pointer_decode(rdb_value(s), &now) && now.place.pack == m->from.place.pack &&
	       now.place.at == m->from.place.at;
	rocksdb_pinnableslice_destroy(s);
	return ERR_OK;
}

/* moving_lock is held alone. */
static enum err_code replace_pointers(struct moving *m)
{
	struct batch b = batch_new();
	uint8_t value[POINTER_SIZE];
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < m->count; i++) {
		bool still;

		rc = is_still(m->r, &m->v[i], &still);
		if (!still)
			continue;
		pointer_encode(value, &m->v[i].to);
		batch_put(m->r, &b, CF_POINTERS, &m->v[i].key,
			  (struct bytes){ value, sizeof(value) });
	}
	if (rc == ERR_OK)
		rc = rdb_write(m->r, &b, false, "move rows", NULL);
	batch_free(&b);
	return rc;
}

static enum err_code make_durable(struct moving *m)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < m->count; i++)
		rc = packs_durable(m->r->packs, &m->v[i].hold, NULL);
	return rc;
}

static enum err_code finish_some(struct moving *m)
{
	enum err_code rc = make_durable(m);

	if (rc == ERR_OK && m->count > 0) {
		pthread_rwlock_wrlock(&m->r->moving_lock);
		rc = replace_pointers(m);
		pthread_rwlock_unlock(&m->r->moving_lock);
	}
	for (size_t i = 0; i < m->count; i++)
		packs_release(m->r->packs, &m->v[i].hold);
	m->count = 0;
	return rc;
}

/* What cannot be read keeps its pack. */
static enum err_code move_piece(struct moving *m, struct bytes key, struct bytes value)
{
	struct pointer p;
	enum err_code rc;

	m->looked++;
	if (!pointer_decode(value, &p) || !packs_is_going(m->r->packs, p.place.pack))
		return ERR_OK;
	rc = copy_piece(m, key, &p);
	if (rc == ERR_DAMAGED) {
		packs_spare(m->r->packs, p.place.pack);
		return ERR_OK;
	}
	return rc == ERR_OK && m->count == MOVE_PIECES ? finish_some(m) : rc;
}

static bool note_place(struct rdb *r, const rocksdb_iterator_t *it)
{
	struct bytes k = rdb_iter_key(it);

	if (k.len > sizeof(r->move_at.b))
		return false;
	memcpy(r->move_at.b, k.data, k.len);
	r->move_at.len = k.len;
	return true;
}

/* Goes on where it was; *ended when it has come round. */
static enum err_code move_some(struct moving *m, bool *ended)
{
	rocksdb_iterator_t *it = walk_from(m->r, &m->r->move_at);
	enum err_code rc = ERR_OK, finished, walked;

	while (rc == ERR_OK && rocksdb_iter_valid(it) && m->bytes < MOVE_BYTES &&
	       m->looked < WALK_PIECES && !is_over(m->r)) {
		rc = move_piece(m, rdb_iter_key(it), rdb_iter_value(it));
		rocksdb_iter_next(it);
	}
	*ended = !rocksdb_iter_valid(it);
	if (!*ended && !note_place(m->r, it))
		rc = ERR_DAMAGED;
	finished = finish_some(m);
	walked = rdb_iter_end(it, NULL);
	rc = rc == ERR_OK ? finished : rc;
	return rc == ERR_OK ? walked : rc;
}

static bool go_on_moving(struct rdb *r)
{
	struct moving *m = calloc(1, sizeof(*m));
	bool ended = false;
	enum err_code rc = ERR_NOMEM;

	if (m != NULL)
		m->buffer = malloc(CHUNK_MAX);
	if (m != NULL && m->buffer != NULL) {
		m->r = r;
		rc = move_some(m, &ended);
	}
	if (m != NULL)
		free(m->buffer);
	free(m);
	r->moving = rc == ERR_OK && !ended; /* what has failed is tried again, from the start */
	if (rc != ERR_OK || is_over(r))
		return false;
	return !ended || remove_emptied(r, false);
}

bool mover_step(struct rdb *r, uint64_t least)
{
	bool done;

	pthread_mutex_lock(&r->mover_lock);
	done = r->moving ? go_on_moving(r) : is_worth_it(r, least) && count(r);
	pthread_mutex_unlock(&r->mover_lock);
	return done;
}
