/* drop - bytes that nobody needs any more: given up with an upload, or left over by a writer, a
 * crash or a removal that failed. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>
#include <string.h>

#define POINT_DELETES_MAX 64 /* more rows than that go by one range */

/* ---- giving extents up ---- */

static void batch_delete_rows(struct rdb *r, rocksdb_writebatch_t *b, uint64_t locator,
			      uint64_t from, uint64_t to)
{
	struct key first = key_piece(locator, from), end = key_piece(locator, to);

	rocksdb_writebatch_delete_range_cf(b, r->cf[CF_ROWS], chars(first.b), first.len,
					   chars(end.b), end.len);
}

void batch_delete_rows_from(struct rdb *r, rocksdb_writebatch_t *b, uint64_t locator, uint64_t from)
{
	batch_delete_rows(r, b, locator, from, UINT64_MAX);
}

/* The start of the piece after the one at `at`, where pieces keep to the grid. */
static uint64_t next_piece(uint64_t at)
{
	return at - at % CHUNK_MAX + CHUNK_MAX;
}

/* Known keys are deleted one by one: range deletions slow down every read until they are
 * compacted away. */
static void batch_release_rows(struct rdb *r, rocksdb_writebatch_t *b, const struct extent *x)
{
	uint64_t end = x->start + x->length;

	atomic_fetch_add(&r->row_garbage, x->length);
	if (x->place & PLACE_UNEVEN || x->length > (uint64_t)POINT_DELETES_MAX * CHUNK_MAX) {
		batch_delete_rows(r, b, x->locator, x->start, end);
		return;
	}
	for (uint64_t at = x->start; at < end; at = next_piece(at)) {
		struct key k = key_piece(x->locator, at);

		batch_delete(r, b, CF_ROWS, &k);
	}
}

static void batch_mark_garbage(struct rdb *r, rocksdb_writebatch_t *b, const struct extent *x)
{
	struct key k = key_garbage(x->locator, x->start);
	uint8_t length[8];

	bytes_put_u64(length, x->length);
	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ length, sizeof(length) });
}

void batch_release(struct rdb *r, rocksdb_writebatch_t *b, const struct extent *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (v[i].place & PLACE_SEGMENT)
			batch_mark_garbage(r, b, &v[i]);
		else
			batch_release_rows(r, b, &v[i]);
}

/* Removes the segments that lie in [start, last] of a locator. They never straddle such an edge: a
 * commit ends the segment it finds, and a segment is of one locator. So whole files go, and nothing
 * is left to compact. */
static enum err_code remove_segments(struct rdb *r, uint64_t locator, uint64_t start, uint64_t last,
				     struct err *e)
{
	struct key from = key_piece(locator, start), to = key_piece(locator, last);
	char *text = NULL;

	rocksdb_delete_file_in_range_cf(r->db, r->cf[CF_SEGMENTS], chars(from.b), from.len,
					chars(to.b), to.len, &text);
	return text != NULL ? rdb_write_failed(e, "remove segments", text) : ERR_OK;
}

static enum err_code reap_one(struct rdb *r, uint64_t locator, uint64_t start, uint64_t length)
{
	struct key k = key_garbage(locator, start);
	char *text = NULL;
	enum err_code rc;

	rc = remove_segments(r, locator, start, start + length - 1, NULL);
	if (rc != ERR_OK)
		return rc;
	rocksdb_delete_cf(r->db, r->unsynced, r->cf[CF_RECORDS], chars(k.b), k.len, &text);
	return text != NULL ? rdb_write_failed(NULL, "reap", text) : ERR_OK;
}

/* Deletions weigh next to nothing in memory, so that many bytes could wait long to be given back:
 * deleted bytes count as written ones do. */
static void flush_for_garbage(struct rdb *r)
{
	rocksdb_flushoptions_t *o;
	char *text = NULL;

	if (atomic_load(&r->row_garbage) < r->write_buffer)
		return;
	atomic_store(&r->row_garbage, 0);
	collector_wake(r);
	o = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(o, 0);
	rocksdb_flush_cf(r->db, o, r->cf[CF_ROWS], &text);
	rocksdb_free(text); /* the next one does it */
	rocksdb_flushoptions_destroy(o);
}

void rdb_reap(struct rdb *r, const struct extent *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (v[i].place & PLACE_SEGMENT &&
		    reap_one(r, v[i].locator, v[i].start, v[i].length) != ERR_OK)
			atomic_store(&r->unsettled, true);
	flush_for_garbage(r);
}

/* ---- dropping ---- */

/* Whether an upload other than `id` holds the blob. */
static enum err_code held_by_others(struct rdb *r, const struct digest *d,
				    const struct upload_id *id, bool *out, struct err *e)
{
	struct key own = key_holder(d, id);
	size_t prefix = own.len - sizeof(id->b);
	rocksdb_iterator_t *it = rdb_iterate(r, CF_RECORDS);
	bool others;
	enum err_code rc;

	rocksdb_iter_seek(it, chars(own.b), prefix);
	if (rdb_iter_within(it, own.b, own.len))
		rocksdb_iter_next(it);
	others = rdb_iter_within(it, own.b, prefix);
	rc = rdb_iter_end(it, e);
	if (rc == ERR_OK)
		*out = others;
	return rc;
}

static void batch_forget_upload(struct rdb *r, rocksdb_writebatch_t *b, const struct upload *u)
{
	struct key record = key_upload(&u->id), when = key_due(u->expires_s, &u->id);

	batch_delete(r, b, CF_RECORDS, &record);
	batch_delete(r, b, CF_RECORDS, &when);
}

static void batch_forget_blob(struct rdb *r, rocksdb_writebatch_t *b, const struct digest *d)
{
	struct key k = key_blob(d);

	batch_delete(r, b, CF_RECORDS, &k);
}

/* by_id is held; so is by_digest, if the upload is finished. */
static enum err_code drop_record(struct rdb *r, const struct upload *u, struct err *e)
{
	struct key holder = key_holder(&u->digest, &u->id);
	rocksdb_writebatch_t *b;
	bool shared = false;
	enum err_code rc = ERR_OK;

	if (u->finished)
		rc = held_by_others(r, &u->digest, &u->id, &shared, e);
	if (rc != ERR_OK)
		return rc;
	b = rocksdb_writebatch_create();
	batch_forget_upload(r, b, u);
	if (u->finished)
		batch_delete(r, b, CF_RECORDS, &holder);
	if (u->finished && !shared)
		batch_forget_blob(r, b, &u->digest);
	if (!shared)
		batch_release(r, b, u->extents, u->extent_count);
	rc = rdb_write(r, b, true, "drop", e);
	rocksdb_writebatch_destroy(b);
	if (rc == ERR_OK && !shared)
		rdb_reap(r, u->extents, u->extent_count);
	return rc;
}

static enum err_code drop_finished(struct rdb *r, const struct upload *u, struct err *e)
{
	pthread_mutex_t *lock = rdb_digest_lock(r, &u->digest);
	enum err_code rc;

	pthread_mutex_lock(lock);
	rc = drop_record(r, u, e);
	pthread_mutex_unlock(lock);
	return rc;
}

enum err_code rdb_drop(void *self, const struct upload_id *id, struct err *e)
{
	struct rdb *r = self;
	pthread_mutex_t *lock = rdb_id_lock(r, id);
	struct upload *u = NULL;
	enum err_code rc;

	rdb_settle(r);
	pthread_mutex_lock(lock);
	rc = rdb_lookup(r, id, &u, e);
	if (rc == ERR_OK)
		rc = u->finished ? drop_finished(r, u, e) : drop_record(r, u, e);
	pthread_mutex_unlock(lock);
	upload_free(u);
	return rc;
}

/* ---- leftovers ---- */

enum err_code rdb_remove_junk(struct rdb *r, uint64_t locator, uint64_t from, struct err *e)
{
	struct key mark = key_open(locator);
	rocksdb_writebatch_t *b;
	enum err_code rc;

	rc = remove_segments(r, locator, from, UINT64_MAX, e);
	if (rc != ERR_OK)
		return rc;
	b = rocksdb_writebatch_create();
	batch_delete_rows_from(r, b, locator, from);
	batch_delete(r, b, CF_RECORDS, &mark);
	rc = rdb_write(r, b, false, "remove junk", e);
	rocksdb_writebatch_destroy(b);
	return rc;
}

void rdb_note_junk(struct rdb *r, const struct upload_id *id, uint64_t locator)
{
	struct junk *v;

	pthread_mutex_lock(&r->junk_lock);
	v = realloc(r->junk, (r->junk_count + 1) * sizeof(*v));
	if (v != NULL) {
		r->junk = v;
		v[r->junk_count++] = (struct junk){ *id, locator };
	}
	pthread_mutex_unlock(&r->junk_lock);
	atomic_store(&r->unsettled, true);
}

/* Under the upload's lock, so that no commit moves the end meanwhile. */
static enum err_code settle_junk(struct rdb *r, const struct junk *j, struct err *e)
{
	struct key mark = key_open(j->locator);
	struct upload *u = NULL;
	uint64_t end = 0;
	bool marked = false;
	enum err_code rc;

	rc = rdb_has(r, &mark, &marked, e);
	if (rc != ERR_OK || !marked)
		return rc;
	rc = rdb_lookup(r, &j->id, &u, e);
	if (rc == ERR_OK)
		end = extents_end(u->extents, u->extent_count, j->locator);
	if (rc == ERR_OK || rc == ERR_NOTFOUND)
		rc = rdb_remove_junk(r, j->locator, end, e);
	upload_free(u);
	return rc;
}

static bool settle_next_junk(struct rdb *r)
{
	pthread_mutex_t *lock;
	struct junk j;
	enum err_code rc;

	pthread_mutex_lock(&r->junk_lock);
	if (r->junk_count == 0) {
		pthread_mutex_unlock(&r->junk_lock);
		return false;
	}
	j = r->junk[--r->junk_count];
	pthread_mutex_unlock(&r->junk_lock);
	lock = rdb_id_lock(r, &j.id);
	pthread_mutex_lock(lock);
	rc = settle_junk(r, &j, NULL);
	pthread_mutex_unlock(lock);
	if (rc != ERR_OK)
		rdb_note_junk(r, &j.id, j.locator);
	return rc == ERR_OK;
}

static enum err_code settle_garbage(struct rdb *r, struct err *e)
{
	static const uint8_t prefix[] = { KEY_GARBAGE };
	rocksdb_iterator_t *it = rdb_iterate(r, CF_RECORDS);
	enum err_code rc = ERR_OK, ended;

	rocksdb_iter_seek(it, chars(prefix), 1);
	for (; rc == ERR_OK && rdb_iter_within(it, prefix, 1); rocksdb_iter_next(it)) {
		struct bytes k = rdb_iter_key(it), v = rdb_iter_value(it);

		if (k.len != 17 || v.len != 8)
			rc = err_set(e, ERR_DAMAGED, "a garbage entry is not well formed");
		else
			rc = reap_one(r, bytes_get_u64(k.data + 1), bytes_get_u64(k.data + 9),
				      bytes_get_u64(v.data));
	}
	ended = rdb_iter_end(it, e);
	return rc != ERR_OK ? rc : ended;
}

void rdb_settle(struct rdb *r)
{
	if (!atomic_load_explicit(&r->unsettled, memory_order_relaxed))
		return;
	atomic_store(&r->unsettled, false);
	while (settle_next_junk(r))
		;
	if (settle_garbage(r, NULL) != ERR_OK)
		atomic_store(&r->unsettled, true);
}

/* Every mark found at open is of a writer that a crash ended. */
static enum err_code collect_marks(struct rdb *r, struct err *e)
{
	static const uint8_t prefix[] = { KEY_OPEN };
	rocksdb_iterator_t *it = rdb_iterate(r, CF_RECORDS);

	rocksdb_iter_seek(it, chars(prefix), 1);
	for (; rdb_iter_within(it, prefix, 1); rocksdb_iter_next(it)) {
		struct bytes k = rdb_iter_key(it), v = rdb_iter_value(it);
		struct upload_id id;

		if (k.len != 9 || v.len != sizeof(id.b))
			continue;
		memcpy(id.b, v.data, sizeof(id.b));
		rdb_note_junk(r, &id, bytes_get_u64(k.data + 1));
	}
	return rdb_iter_end(it, e);
}

enum err_code rdb_recover(struct rdb *r, struct err *e)
{
	enum err_code rc = collect_marks(r, e);

	if (rc != ERR_OK)
		return rc;
	atomic_store(&r->unsettled, true);
	rdb_settle(r);
	return ERR_OK;
}
