/* drop - bytes that nobody needs any more: given up with an upload, or left over by a writer, a
 * crash or a removal that failed. */
#include "storage/rocksdb/rdb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define POINT_DELETES_MAX 64 /* more rows than that go by one range */

/* ---- giving extents up ---- */

static void batch_delete_rows(struct rdb *r, struct batch *b, uint64_t locator, uint64_t from,
			      uint64_t to)
{
	struct key first = key_piece(locator, from), end = key_piece(locator, to);

	for (int f = CF_ROWS; f <= CF_POINTERS; f++)
		rocksdb_writebatch_delete_range_cf(b->writes, r->cf[f], chars(first.b), first.len,
						   chars(end.b), end.len);
	b->deletes_rows = true;
}

void batch_delete_rows_from(struct rdb *r, struct batch *b, uint64_t locator, uint64_t from)
{
	batch_delete_rows(r, b, locator, from, UINT64_MAX);
}

/* The start of the piece after the one at `at`, where pieces keep to the grid. */
static uint64_t next_piece(uint64_t at)
{
	return at - at % CHUNK_MAX + CHUNK_MAX;
}

/* Its length says where it lies, unless it may be of an older format. */
static void batch_delete_row(struct rdb *r, struct batch *b, uint64_t locator, uint64_t at,
			     uint64_t length)
{
	struct key k = key_piece(locator, at);

	if (length < RDB_ROW_APART || r->drains)
		batch_delete(r, b, CF_ROWS, &k);
	if (length >= RDB_ROW_APART)
		batch_delete(r, b, CF_POINTERS, &k);
}

/* Of pieces whose length is not known it is not known in which family they lie: both have it. */
static void note_garbage(struct rdb *r, uint64_t length, bool even)
{
	if (!even || length < RDB_ROW_APART || r->drains)
		atomic_fetch_add(&r->row_garbage, length);
	if (!even || length >= RDB_ROW_APART) {
		atomic_fetch_add(&r->pack_garbage, length);
		atomic_fetch_add(&r->pack_news, length);
	}
}

/* Known keys are deleted one by one: range deletions slow down every read until they are
 * compacted away. */
static void batch_release_rows(struct rdb *r, struct batch *b, const struct extent *x)
{
	uint64_t end = x->start + x->length, next;

	if (x->place & PLACE_UNEVEN || x->length > (uint64_t)POINT_DELETES_MAX * CHUNK_MAX) {
		batch_delete_rows(r, b, x->locator, x->start, end);
		note_garbage(r, x->length, !(x->place & PLACE_UNEVEN));
		return;
	}
	b->deletes_rows = true;
	for (uint64_t at = x->start; at < end; at = next) {
		next = next_piece(at) < end ? next_piece(at) : end;
		batch_delete_row(r, b, x->locator, at, next - at);
		note_garbage(r, next - at, true);
	}
}

static void batch_mark_garbage(struct rdb *r, struct batch *b, const struct extent *x)
{
	struct key k = key_garbage(x->locator, x->start);
	uint8_t length[8];

	bytes_put_u64(length, x->length);
	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ length, sizeof(length) });
}

void batch_release(struct rdb *r, struct batch *b, const struct extent *v, size_t count)
{
	assert(!extents_borrowed(v, count));
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

	if (pthread_rwlock_tryrdlock(&r->files_lock) != 0)
		return err_set(e, ERR_BUSY, "a snapshot is being made"); /* later */
	rocksdb_delete_file_in_range_cf(r->db, r->cf[CF_SEGMENTS], chars(from.b), from.len,
					chars(to.b), to.len, &text);
	pthread_rwlock_unlock(&r->files_lock);
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

	if (atomic_load(&r->pack_news) >= r->write_buffer) {
		atomic_store(&r->pack_news, 0);
		collector_wake(r);
	}
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

/* Whether there is a key that begins as a blob's do, besides `own`, which need not be there. */
static enum err_code another(struct rdb *r, const struct key *own, bool *out, struct err *e)
{
	const size_t prefix = 1 + sizeof(struct digest);
	struct key first = *own;
	struct range x;
	bool any;
	enum err_code rc;

	first.len = prefix;
	range_open_prefix(r, &x, &first, prefix);
	if (rdb_iter_within(x.it, own->b, own->len))
		rocksdb_iter_next(x.it);
	any = rocksdb_iter_valid(x.it);
	rc = range_close(&x, e);
	if (rc == ERR_OK)
		*out = any;
	return rc;
}

/* Whether a blob stays without that upload, or without that composed blob (NULL: none). by_digest
 * is held. No upload has an id of zeroes, and no blob needs itself. */
static enum err_code is_wanted(struct rdb *r, const struct digest *d,
			       const struct upload_id *but_holder, const struct digest *but_needer,
			       bool *out, struct err *e)
{
	static const struct upload_id no_id;
	struct key holder = key_holder(d, but_holder != NULL ? but_holder : &no_id);
	struct key need = key_need(d, but_needer != NULL ? but_needer : d);
	enum err_code rc = another(r, &holder, out, e);

	if (rc == ERR_OK && !*out)
		rc = another(r, &need, out, e);
	return rc;
}

static enum err_code batch_lose_leaf(struct rdb *r, struct batch *b, const struct digest *leaf,
				     struct extents *gone, struct err *e)
{
	struct blob blob;
	enum err_code rc = rdb_blob(r, leaf, &blob, NULL, e);

	if (rc != ERR_OK)
		return rc;
	batch_delete_blob(r, b, leaf, blob.extents, blob.extent_count);
	batch_release(r, b, blob.extents, blob.extent_count);
	if (!extents_append(gone, blob.extents, blob.extent_count, 0))
		rc = err_set(e, ERR_NOMEM, "extents to remove");
	free(blob.extents);
	return rc;
}

/* A composed blob goes: so do its needs, and each leaf that nobody wants now, whose extents are
 * added to `gone`. by_digest is held for all of them. */
static enum err_code batch_leave(struct rdb *r, struct batch *b, const struct digest *composed,
				 const struct leaves *leaves, struct extents *gone, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < leaves->count; i++) {
		struct key need = key_need(&leaves->v[i], composed);
		bool wanted = false;

		batch_delete(r, b, CF_RECORDS, &need);
		rc = is_wanted(r, &leaves->v[i], NULL, composed, &wanted, e);
		if (rc == ERR_OK && !wanted)
			rc = batch_lose_leaf(r, b, &leaves->v[i], gone, e);
	}
	return rc;
}

/* The bytes go, and the blob if there is one already; `gone` are the extents to be reaped. */
static enum err_code batch_lose(struct rdb *r, struct batch *b, const struct upload *u,
				const struct leaves *leaves, struct extents *gone, struct err *e)
{
	if (u->finished)
		batch_delete_blob(r, b, &u->digest, u->extents, u->extent_count);
	if (leaves->count > 0)
		return batch_leave(r, b, &u->digest, leaves, gone, e);
	batch_release(r, b, u->extents, u->extent_count);
	if (!extents_append(gone, u->extents, u->extent_count, 0))
		return err_set(e, ERR_NOMEM, "extents to remove");
	return ERR_OK;
}

/* Bytes of them, and whether segments are among them. */
static uint64_t measure(const struct extents *x, bool *segments)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < x->count; i++) {
		sum += x->v[i].length;
		*segments = *segments || x->v[i].place & PLACE_SEGMENT;
	}
	return sum;
}

/* A drop of what has expired may be taken back by a crash of the machine, and then all of it: rows
 * go in the same batch. Segments do not, and must not go before it is durable that nobody needs
 * them. */
static enum err_code write_drop(struct rdb *r, struct batch *b, const struct extents *gone,
				struct dropping *d, struct err *e)
{
	bool segments = false;
	uint64_t freed = measure(gone, &segments);
	enum err_code rc = rdb_write(r, b, !d->expired || segments, "drop", e);

	if (rc != ERR_OK)
		return rc;
	d->gone.freed = freed;
	rdb_reap(r, gone->v, gone->count);
	return ERR_OK;
}

/* by_id is held; so is by_digest for the blob and its leaves, if the upload is finished. */
static enum err_code drop_record(struct rdb *r, const struct upload *u, const struct leaves *leaves,
				 struct dropping *d, struct err *e)
{
	struct key holder = key_holder(&u->digest, &u->id);
	struct extents gone = { 0 };
	struct batch b;
	bool wanted = false;
	enum err_code rc = ERR_OK;

	if (u->finished)
		rc = is_wanted(r, &u->digest, &u->id, NULL, &wanted, e);
	if (rc != ERR_OK)
		return rc;
	b = batch_new();
	batch_forget_upload(r, &b, u, dropping_until(d, u));
	if (u->finished)
		batch_delete(r, &b, CF_RECORDS, &holder);
	if (!wanted)
		rc = batch_lose(r, &b, u, leaves, &gone, e);
	if (rc == ERR_OK)
		rc = write_drop(r, &b, &gone, d, e);
	batch_free(&b);
	extents_fini(&gone);
	d->gone.blob_gone = rc == ERR_OK && u->finished && !wanted;
	return rc;
}

static enum err_code read_leaves(struct rdb *r, const struct digest *d, struct leaves *out,
				 struct err *e)
{
	struct blob b;
	enum err_code rc = rdb_blob(r, d, &b, out, e);

	if (rc == ERR_OK)
		free(b.extents);
	return rc;
}

/* The leaves are read before they are locked. They do not change: a blob's record stays as it is
 * while an upload holds it, and this one does, for its by_id is held. */
static enum err_code drop_composed(struct rdb *r, const struct upload *u, struct dropping *d,
				   struct err *e)
{
	struct stripes stripes = { { false } };
	struct leaves leaves = { 0 };
	enum err_code rc = read_leaves(r, &u->digest, &leaves, e);

	if (rc != ERR_OK)
		return rc;
	stripes_add(&stripes, &u->digest, 1);
	stripes_add(&stripes, leaves.v, leaves.count);
	rdb_lock_stripes(r, &stripes);
	rc = drop_record(r, u, &leaves, d, e);
	rdb_unlock_stripes(r, &stripes);
	leaves_fini(&leaves);
	return rc;
}

static enum err_code drop_finished(struct rdb *r, const struct upload *u, struct dropping *d,
				   struct err *e)
{
	static const struct leaves none;
	pthread_mutex_t *lock = rdb_digest_lock(r, &u->digest);
	enum err_code rc;

	if (extents_borrowed(u->extents, u->extent_count))
		return drop_composed(r, u, d, e);
	pthread_mutex_lock(lock);
	rc = drop_record(r, u, &none, d, e);
	pthread_mutex_unlock(lock);
	return rc;
}

enum err_code rdb_drop_locked(struct rdb *r, const struct upload_id *id, struct dropping *d,
			      struct err *e)
{
	static const struct leaves none;
	struct upload *u = NULL;
	enum err_code rc = rdb_lookup(r, id, &u, e);

	if (rc == ERR_DELETED && d->expired)
		return rdb_forget_tombstone(r, id, d, e);
	if (rc != ERR_OK)
		return rc;
	d->gone = (struct dropped){ .bucket = u->bucket, .weight = upload_weight(u) };
	rc = dropping_due(d, u->expires_s, e);
	if (rc == ERR_OK && u->finished)
		rc = drop_finished(r, u, d, e);
	else if (rc == ERR_OK)
		rc = drop_record(r, u, &none, d, e);
	upload_free(u);
	return rc;
}

static enum err_code drop_once(struct rdb *r, const struct upload_id *id, struct dropping *d,
			       struct err *e)
{
	pthread_mutex_t *lock = rdb_id_lock(r, id);
	enum err_code rc;

	rdb_settle(r);
	pthread_mutex_lock(lock);
	rc = rdb_drop_locked(r, id, d, e);
	pthread_mutex_unlock(lock);
	return rc;
}

/* On a full disk: what expires waits for the room that the ballast gives; who has a client that
 * waits finds it the next time. */
enum err_code rdb_drop(void *self, const struct upload_id *id, struct dropping *d, struct err *e)
{
	struct rdb *r = self;
	enum err_code rc = drop_once(r, id, d, e);

	if (rc == ERR_FULL)
		(void)ballast_throw(r);
	while (rc == ERR_FULL && d->expired && ballast_wait(r))
		rc = drop_once(r, id, d, e);
	return rc;
}

/* ---- leftovers ---- */

enum err_code rdb_remove_junk(struct rdb *r, uint64_t locator, uint64_t from, struct err *e)
{
	struct key mark = key_open(locator);
	struct batch b;
	enum err_code rc;

	rc = remove_segments(r, locator, from, UINT64_MAX, e);
	if (rc != ERR_OK)
		return rc;
	b = batch_new();
	batch_delete_rows_from(r, &b, locator, from);
	batch_delete(r, &b, CF_RECORDS, &mark);
	rc = rdb_write(r, &b, false, "remove junk", e);
	batch_free(&b);
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
	if (rc == ERR_OK || rc == ERR_NOTFOUND || rc == ERR_DELETED)
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
	struct key first = { .b = { KEY_GARBAGE }, .len = 1 };
	struct range x;
	enum err_code rc = ERR_OK, ended;

	for (range_open_prefix(r, &x, &first, 1); rc == ERR_OK && rocksdb_iter_valid(x.it);
	     rocksdb_iter_next(x.it)) {
		struct bytes k = rdb_iter_key(x.it), v = rdb_iter_value(x.it);

		if (k.len != 17 || v.len != 8)
			rc = err_set(e, ERR_DAMAGED, "a garbage entry is not well formed");
		else
			rc = reap_one(r, bytes_get_u64(k.data + 1), bytes_get_u64(k.data + 9),
				      bytes_get_u64(v.data));
	}
	ended = range_close(&x, e);
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
	struct key first = { .b = { KEY_OPEN }, .len = 1 };
	struct range x;

	for (range_open_prefix(r, &x, &first, 1); rocksdb_iter_valid(x.it);
	     rocksdb_iter_next(x.it)) {
		struct bytes k = rdb_iter_key(x.it), v = rdb_iter_value(x.it);
		struct upload_id id;

		if (k.len != 9 || v.len != sizeof(id.b))
			continue;
		memcpy(id.b, v.data, sizeof(id.b));
		rdb_note_junk(r, &id, bytes_get_u64(k.data + 1));
	}
	return range_close(&x, e);
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
