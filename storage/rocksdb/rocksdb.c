#include "storage/rocksdb/rdb.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define POINT_DELETES_MAX 64    /* more rows than that go by one range */
#define COLLECTOR_LOOKS_MS 5000 /* for garbage, unless it is told of some */
#define COLLECTOR_RESTS_MS 100  /* between slices, at least */
#define LOG_LEVEL_HEADERS 5     /* RocksDB's own log says how it was opened, and no more */
#define ROOM_TO_OPEN (1u << 20) /* bytes */
#define META_FORMAT "format"
#define META_LOCATORS "locators"

static const char *const family_names[CF_COUNT] = { "default", "rows", "segments" };

/* ---- errors ---- */

static bool says(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static enum err_code failed(struct err *e, enum err_code code, const char *what, char *text)
{
	if (says(text, "No space left") || says(text, "Disk quota exceeded"))
		code = ERR_FULL;
	err_set(e, code, "%s: %s", what, text);
	rocksdb_free(text);
	return code;
}

enum err_code rdb_read_failed(struct err *e, const char *what, char *text)
{
	return failed(e, says(text, "Corruption") ? ERR_DAMAGED : ERR_IO, what, text);
}

enum err_code rdb_write_failed(struct err *e, const char *what, char *text)
{
	return failed(e, ERR_IO, what, text);
}

static enum err_code open_failed(struct err *e, const char *dir, char *text)
{
	if (says(text, "lock file") || says(text, "lock hold")) {
		rocksdb_free(text);
		return err_set(e, ERR_BUSY, "%s is in use by another process", dir);
	}
	if (says(text, "Column families not opened")) {
		rocksdb_free(text);
		return err_set(e, ERR_FORMAT, "%s was written by a newer version", dir);
	}
	return rdb_read_failed(e, "open", text);
}

/* ---- the few ways of using the database ---- */

pthread_mutex_t *rdb_id_lock(struct rdb *r, const struct upload_id *id)
{
	return &r->by_id[bytes_get_u16(id->b) % RDB_STRIPES];
}

pthread_mutex_t *rdb_digest_lock(struct rdb *r, const struct digest *d)
{
	return &r->by_digest[bytes_get_u16(d->b) % RDB_STRIPES];
}

enum err_code rdb_get(struct rdb *r, enum rdb_family f, const struct key *k,
		      rocksdb_pinnableslice_t **out, struct err *e)
{
	char *text = NULL;
	rocksdb_pinnableslice_t *s;

	s = rocksdb_get_pinned_cf(r->db, f == CF_ROWS ? r->row_reads : r->reads, r->cf[f],
				  chars(k->b), k->len, &text);
	if (text != NULL)
		return rdb_read_failed(e, "read", text);
	*out = s;
	return ERR_OK;
}

enum err_code rdb_has(struct rdb *r, const struct key *k, bool *out, struct err *e)
{
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, k, &s, e);

	if (rc != ERR_OK)
		return rc;
	*out = s != NULL;
	rocksdb_pinnableslice_destroy(s);
	return ERR_OK;
}

struct bytes rdb_value(const rocksdb_pinnableslice_t *s)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_pinnableslice_value(s, &b.len);
	return b;
}

enum err_code rdb_write(struct rdb *r, rocksdb_writebatch_t *b, bool sync, const char *what,
			struct err *e)
{
	char *text = NULL;

	rocksdb_write(r->db, sync ? r->synced : r->unsynced, b, &text);
	return text != NULL ? rdb_write_failed(e, what, text) : ERR_OK;
}

void batch_put(struct rdb *r, rocksdb_writebatch_t *b, enum rdb_family f, const struct key *k,
	       struct bytes value)
{
	rocksdb_writebatch_put_cf(b, r->cf[f], chars(k->b), k->len, chars(value.data), value.len);
}

void batch_put_row(struct rdb *r, rocksdb_writebatch_t *b, uint64_t locator, uint64_t offset,
		   struct bytes data)
{
	struct key k = key_piece(locator, offset);
	uint8_t sum[ROW_SUM_SIZE];
	const char *key = chars(k.b);
	const char *parts[] = { chars(data.data), chars(sum) };
	const size_t lengths[] = { data.len, sizeof(sum) };

	row_sum(sum, locator, offset, data);
	rocksdb_writebatch_putv_cf(b, r->cf[CF_ROWS], 1, &key, &k.len, 2, parts, lengths);
}

void batch_delete(struct rdb *r, rocksdb_writebatch_t *b, enum rdb_family f, const struct key *k)
{
	rocksdb_writebatch_delete_cf(b, r->cf[f], chars(k->b), k->len);
}

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

static void collector_wake(struct rdb *r)
{
	pthread_mutex_lock(&r->collector_lock);
	pthread_cond_signal(&r->collector_wakes);
	pthread_mutex_unlock(&r->collector_lock);
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

/* ---- iteration ---- */

static rocksdb_iterator_t *iterate(struct rdb *r, enum rdb_family f)
{
	return rocksdb_create_iterator_cf(r->db, r->reads, r->cf[f]);
}

static void seek(rocksdb_iterator_t *it, const struct key *k)
{
	rocksdb_iter_seek(it, chars(k->b), k->len);
}

static struct bytes iter_key(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_key(it, &b.len);
	return b;
}

static struct bytes iter_value(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_value(it, &b.len);
	return b;
}

/* Whether it stands on a key that begins so. */
static bool iter_within(const rocksdb_iterator_t *it, const uint8_t *prefix, size_t len)
{
	struct bytes k;

	if (!rocksdb_iter_valid(it))
		return false;
	k = iter_key(it);
	return k.len >= len && memcmp(k.data, prefix, len) == 0;
}

/* Ends an iteration; says whether it ended because of an error. */
static enum err_code iter_end(rocksdb_iterator_t *it, struct err *e)
{
	char *text = NULL;

	rocksdb_iter_get_error(it, &text);
	rocksdb_iter_destroy(it);
	return text != NULL ? rdb_read_failed(e, "iterate", text) : ERR_OK;
}

/* ---- locators ---- */

static enum err_code reserve_locators(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_LOCATORS);
	uint64_t end = r->locator_end + RDB_LOCATOR_BLOCK;
	uint8_t value[8];
	char *text = NULL;

	bytes_put_u64(value, end);
	rocksdb_put_cf(r->db, r->synced, r->cf[CF_RECORDS], chars(k.b), k.len, chars(value),
		       sizeof(value), &text);
	if (text != NULL)
		return rdb_write_failed(e, "reserve locators", text);
	r->locator_end = end;
	return ERR_OK;
}

enum err_code rdb_locator(struct rdb *r, uint64_t *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&r->locator_lock);
	if (r->locator_next == r->locator_end)
		rc = reserve_locators(r, e);
	if (rc == ERR_OK)
		*out = r->locator_next++;
	pthread_mutex_unlock(&r->locator_lock);
	return rc;
}

/* ---- records ---- */

enum err_code rdb_lookup(struct rdb *r, const struct upload_id *id, struct upload **out,
			 struct err *e)
{
	struct key k = key_upload(id);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no such upload");
	rc = record_decode_upload(id, rdb_value(s), out, e);
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static enum err_code lookup(void *self, const struct upload_id *id, struct upload **out,
			    struct err *e)
{
	return rdb_lookup(self, id, out, e);
}

enum err_code rdb_blob(struct rdb *r, const struct digest *d, struct blob *out, struct err *e)
{
	struct key k = key_blob(d);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no such blob");
	rc = record_decode_blob(rdb_value(s), out, e);
	out->digest = *d;
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static enum err_code due(void *self, int64_t now, struct upload_id *ids, size_t max, size_t *count,
			 struct err *e)
{
	static const uint8_t prefix[] = { KEY_DUE };
	struct upload_id none = { { 0 } };
	struct key first = key_due(0, &none);
	rocksdb_iterator_t *it = iterate(self, CF_RECORDS);
	size_t n = 0;
	enum err_code rc;

	for (seek(it, &first); n < max && iter_within(it, prefix, 1); rocksdb_iter_next(it)) {
		struct bytes k = iter_key(it);

		if (k.len != first.len || (int64_t)bytes_get_u64(k.data + 1) > now)
			break;
		memcpy(ids[n++].b, k.data + 9, sizeof(ids->b));
	}
	rc = iter_end(it, e);
	if (rc == ERR_OK)
		*count = n;
	return rc;
}

static enum err_code next_blob(void *self, const struct digest *after, struct blob *out,
			       struct err *e)
{
	static const uint8_t prefix[] = { KEY_BLOB };
	struct digest zero = { { 0 } };
	struct key first = key_blob(after != NULL ? after : &zero);
	rocksdb_iterator_t *it = iterate(self, CF_RECORDS);
	struct blob b = { .size = 0 };
	enum err_code rc = ERR_NOTFOUND, ended;

	seek(it, &first);
	if (after != NULL && iter_within(it, first.b, first.len))
		rocksdb_iter_next(it);
	if (iter_within(it, prefix, 1) && iter_key(it).len == first.len) {
		memcpy(b.digest.b, iter_key(it).data + 1, sizeof(b.digest.b));
		rc = record_decode_blob(iter_value(it), &b, e);
	}
	ended = iter_end(it, e);
	if (rc == ERR_OK)
		*out = b;
	if (rc == ERR_NOTFOUND)
		rc = ended != ERR_OK ? ended : err_set(e, ERR_NOTFOUND, "no more blobs");
	return rc;
}

/* ---- reading bytes ---- */

static void release_pinned(struct chunk *c)
{
	rocksdb_pinnableslice_destroy(c->owner);
}

/* Bytes of a piece that begins at `from`, wanted from `at` on and at most to the extent's end. */
static enum err_code wrap_piece(rocksdb_pinnableslice_t *s, const struct extent *x, uint64_t from,
				uint64_t at, struct chunk **out, struct err *e)
{
	struct bytes piece = rdb_value(s);
	uint64_t skip = at - from, end = x->start + x->length;
	size_t n;

	if (!(x->place & PLACE_SEGMENT) && !row_open(&piece, x->locator, from)) {
		rocksdb_pinnableslice_destroy(s);
		return err_set(e, ERR_DAMAGED, "a row does not have its checksum");
	}
	if (piece.len <= skip) {
		rocksdb_pinnableslice_destroy(s);
		return err_set(e, ERR_NOTFOUND, "no bytes there");
	}
	n = (size_t)(piece.len - skip < end - at ? piece.len - skip : end - at);
	*out = chunk_wrap(piece.data + skip, n, release_pinned, s);
	if (*out == NULL) {
		rocksdb_pinnableslice_destroy(s);
		return err_set(e, ERR_NOMEM, "a chunk");
	}
	return ERR_OK;
}

static enum err_code read_piece(struct rdb *r, const struct extent *x, uint64_t from, uint64_t at,
				struct chunk **out, struct err *e)
{
	enum rdb_family f = x->place & PLACE_SEGMENT ? CF_SEGMENTS : CF_ROWS;
	struct key k = key_piece(x->locator, from);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, f, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no piece there");
	return wrap_piece(s, x, from, at, out, e);
}

/* Finds where the piece begins that covers `at`, when it could be anywhere before. */
static enum err_code find_piece(struct rdb *r, const struct extent *x, uint64_t at, uint64_t *from,
				struct err *e)
{
	struct key k = key_piece(x->locator, at);
	rocksdb_iterator_t *it;
	uint64_t locator;
	bool found;
	enum err_code rc;

	it = iterate(r, x->place & PLACE_SEGMENT ? CF_SEGMENTS : CF_ROWS);
	rocksdb_iter_seek_for_prev(it, chars(k.b), k.len);
	found = rocksdb_iter_valid(it) && key_piece_parse(iter_key(it), &locator, from) &&
		locator == x->locator && *from >= x->start;
	rc = iter_end(it, e);
	if (rc != ERR_OK)
		return rc;
	return found ? ERR_OK : err_set(e, ERR_NOTFOUND, "no piece there");
}

static enum err_code read_bytes(void *self, const struct extent *x, uint64_t at, struct chunk **out,
				struct err *e)
{
	uint64_t grid = at - at % CHUNK_MAX;
	uint64_t from = grid > x->start ? grid : x->start;
	enum err_code rc;

	if (!(x->place & PLACE_UNEVEN))
		return read_piece(self, x, from, at, out, e);
	rc = read_piece(self, x, at, at, out, e);
	if (rc != ERR_NOTFOUND)
		return rc;
	rc = find_piece(self, x, at, &from, e);
	if (rc != ERR_OK)
		return rc;
	return read_piece(self, x, from, at, out, e);
}

/* ---- dropping ---- */

/* Whether an upload other than `id` holds the blob. */
static enum err_code held_by_others(struct rdb *r, const struct digest *d,
				    const struct upload_id *id, bool *out, struct err *e)
{
	struct key own = key_holder(d, id);
	size_t prefix = own.len - sizeof(id->b);
	rocksdb_iterator_t *it = iterate(r, CF_RECORDS);
	bool others;
	enum err_code rc;

	rocksdb_iter_seek(it, chars(own.b), prefix);
	if (iter_within(it, own.b, own.len))
		rocksdb_iter_next(it);
	others = iter_within(it, own.b, prefix);
	rc = iter_end(it, e);
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

static enum err_code drop(void *self, const struct upload_id *id, struct err *e)
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
	rocksdb_iterator_t *it = iterate(r, CF_RECORDS);
	enum err_code rc = ERR_OK, ended;

	rocksdb_iter_seek(it, chars(prefix), 1);
	for (; rc == ERR_OK && iter_within(it, prefix, 1); rocksdb_iter_next(it)) {
		struct bytes k = iter_key(it), v = iter_value(it);

		if (k.len != 17 || v.len != 8)
			rc = err_set(e, ERR_DAMAGED, "a garbage entry is not well formed");
		else
			rc = reap_one(r, bytes_get_u64(k.data + 1), bytes_get_u64(k.data + 9),
				      bytes_get_u64(v.data));
	}
	ended = iter_end(it, e);
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
	rocksdb_iterator_t *it = iterate(r, CF_RECORDS);

	rocksdb_iter_seek(it, chars(prefix), 1);
	for (; iter_within(it, prefix, 1); rocksdb_iter_next(it)) {
		struct bytes k = iter_key(it), v = iter_value(it);
		struct upload_id id;

		if (k.len != 9 || v.len != sizeof(id.b))
			continue;
		memcpy(id.b, v.data, sizeof(id.b));
		rdb_note_junk(r, &id, bytes_get_u64(k.data + 1));
	}
	return iter_end(it, e);
}

static enum err_code recover(struct rdb *r, struct err *e)
{
	enum err_code rc = collect_marks(r, e);

	if (rc != ERR_OK)
		return rc;
	atomic_store(&r->unsettled, true);
	rdb_settle(r);
	return ERR_OK;
}

/* ---- the collector ----
 * A blob file of rows goes by itself when the last row in it has gone. Where some live on among
 * many that have gone, a thread moves those together: as soon as more than half of the rows' bytes
 * are garbage, it goes round all of them, a slice at a time, until less are. So rows take at most
 * about twice their size, and a byte given back costs at most about a byte written. RocksDB's own
 * collection, tied to whatever compaction comes by, rewrote several times as much. */

/* Whether there is enough garbage to be worth it. */
static bool much_garbage(struct rdb *r)
{
	uint64_t all = 0, garbage = 0;

	if (rocksdb_property_int_cf(r->db, r->cf[CF_ROWS], "rocksdb.live-blob-file-size", &all) ||
	    rocksdb_property_int_cf(r->db, r->cf[CF_ROWS], "rocksdb.live-blob-file-garbage-size",
				    &garbage))
		return false;
	return garbage > all / 2 && garbage > r->write_buffer;
}

static bool take_key(struct key *k, const char *p, size_t len)
{
	if (p == NULL || len > sizeof(k->b))
		return false;
	memcpy(k->b, p, len);
	k->len = len;
	return true;
}

static int compare_keys(const char *p, size_t len, const struct key *k)
{
	int order = memcmp(p, k->b, len < k->len ? len : k->len);

	if (order != 0)
		return order;
	return len < k->len ? -1 : len > k->len;
}

/* The range of the first file of rows that begins behind `after`. */
static bool next_slice(struct rdb *r, const struct key *after, struct key *from, struct key *to)
{
	const rocksdb_livefiles_t *files = rocksdb_livefiles(r->db);
	bool found = false;
	size_t n;

	for (int i = 0; i < rocksdb_livefiles_count(files); i++) {
		const char *p = rocksdb_livefiles_smallestkey(files, i, &n);

		if (strcmp(rocksdb_livefiles_column_family_name(files, i), "rows") != 0 ||
		    compare_keys(p, n, after) <= 0 || (found && compare_keys(p, n, from) >= 0))
			continue;
		found = take_key(from, p, n);
		p = rocksdb_livefiles_largestkey(files, i, &n);
		found = found && take_key(to, p, n);
	}
	rocksdb_livefiles_destroy(files);
	return found;
}

static void set_collection(struct rdb *r, const char *on)
{
	const char *key = "enable_blob_garbage_collection";
	char *text = NULL;

	rocksdb_set_options_cf(r->db, r->cf[CF_ROWS], 1, &key, &on, &text);
	rocksdb_free(text); /* it tries again */
}

/* Nothing else compacts meanwhile, so that only this slice is moved. */
static void collect_slice(struct rdb *r, const struct key *from, const struct key *to)
{
	rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_exclusive_manual_compaction(o, 1);
	rocksdb_compactoptions_set_bottommost_level_compaction(o, 3); /* force, each file once */
	set_collection(r, "true");
	rocksdb_compact_range_cf_opt(r->db, r->cf[CF_ROWS], o, chars(from->b), from->len,
				     chars(to->b), to->len);
	set_collection(r, "false");
	rocksdb_compactoptions_destroy(o);
}

/* Waits; false when it is time to end. collector_lock is held. */
static bool collector_wait(struct rdb *r, int64_t ms)
{
	struct timespec t;

	if (r->stopping)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	(void)pthread_cond_timedwait(&r->collector_wakes, &r->collector_lock, &t);
	return !r->stopping;
}

/* Collects the next slice; how long to rest after it: as long as it took, so that others get
 * their share of the disk. */
static int64_t collector_step(struct rdb *r, struct key *at)
{
	static const struct key start = { .len = 0 };
	int64_t began = clock_mono_ms(), took;
	struct key from = start, to = start;

	if (!much_garbage(r))
		return COLLECTOR_LOOKS_MS;
	if (!next_slice(r, at, &from, &to)) {
		*at = start; /* round again */
		return COLLECTOR_RESTS_MS;
	}
	collect_slice(r, &from, &to);
	*at = from;
	took = clock_mono_ms() - began;
	return took > COLLECTOR_RESTS_MS ? took : COLLECTOR_RESTS_MS;
}

static void *collector_run(void *arg)
{
	struct rdb *r = arg;
	struct key at = { .len = 0 };
	int64_t rest = COLLECTOR_LOOKS_MS;

	pthread_mutex_lock(&r->collector_lock);
	while (collector_wait(r, rest)) {
		pthread_mutex_unlock(&r->collector_lock);
		rest = collector_step(r, &at);
		pthread_mutex_lock(&r->collector_lock);
	}
	pthread_mutex_unlock(&r->collector_lock);
	return NULL;
}

static enum err_code collector_start(struct rdb *r, struct err *e)
{
	if (pthread_create(&r->collector, NULL, collector_run, r) != 0)
		return err_set(e, ERR_NOMEM, "a thread");
	r->collecting = true;
	return ERR_OK;
}

static void collector_stop(struct rdb *r)
{
	if (!r->collecting)
		return;
	pthread_mutex_lock(&r->collector_lock);
	r->stopping = true;
	pthread_cond_signal(&r->collector_wakes);
	pthread_mutex_unlock(&r->collector_lock);
	rocksdb_disable_manual_compaction(r->db); /* ends one that is under way */
	pthread_join(r->collector, NULL);
}

/* ---- opening ---- */

static enum err_code make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return ERR_OK;
	return err_set(e, errno == ENOSPC ? ERR_FULL : ERR_IO, "make %s: %s", path,
		       strerror(errno));
}

/* Opening writes a little, and on a disk without a byte left RocksDB would not fail but abort, as
 * database_options() tells. */
static enum err_code check_room(const char *path, struct err *e)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return err_set(e, ERR_IO, "look at %s: %s", path, strerror(errno));
	if ((uint64_t)fs.f_bavail * fs.f_frsize < ROOM_TO_OPEN)
		return err_set(e, ERR_FULL, "no room to open %s", path);
	return ERR_OK;
}

/* Segments that no ingest took over before a crash. */
static enum err_code empty_tmp(const char *path, struct err *e)
{
	DIR *d = opendir(path);
	struct dirent *f;

	if (d == NULL)
		return err_set(e, ERR_IO, "open %s: %s", path, strerror(errno));
	while ((f = readdir(d)) != NULL)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			(void)unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return ERR_OK;
}

/* What holds for all families alike; ciphertext does not compress. */
static rocksdb_options_t *family_options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();

	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_max_write_buffer_number(o, 3);
	return o;
}

static rocksdb_options_t *records_options(struct rdb *r)
{
	rocksdb_options_t *o = family_options();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	r->records_cache = rocksdb_cache_create_lru(8 << 20);
	rocksdb_block_based_options_set_block_cache(t, r->records_cache);
	rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_ribbon(10));
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_options_set_write_buffer_size(o, r->write_buffer / 4);
	return o;
}

/* Bulk data is cached by the server; only indexes stay in memory, outside of any block cache. */
static rocksdb_options_t *bulk_options(uint64_t write_buffer)
{
	rocksdb_options_t *o = family_options();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_no_block_cache(t, 1);
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_options_set_write_buffer_size(o, write_buffer);
	return o;
}

static rocksdb_options_t *rows_options(struct rdb *r)
{
	rocksdb_options_t *o = bulk_options(r->write_buffer);

	rocksdb_options_set_enable_blob_files(o, 1);
	rocksdb_options_set_min_blob_size(o, 4096);
	rocksdb_options_set_blob_compression_type(o, rocksdb_no_compression);
	/* the collector turns it on when it pays */
	rocksdb_options_set_enable_blob_gc(o, 0);
	rocksdb_options_set_blob_gc_age_cutoff(o, 1.0);
	/* A file of this family holds keys only, of a few hundred MiB of rows: what the collector
	 * takes at a time. */
	rocksdb_options_set_target_file_size_base(o, 256 << 10);
	return o;
}

static rocksdb_options_t *segments_options(void)
{
	rocksdb_options_t *o = bulk_options(1 << 20);

	rocksdb_options_set_disable_auto_compactions(o, 1);
	return o;
}

static rocksdb_options_t *database_options(const struct rdb *r)
{
	rocksdb_options_t *o = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_create_missing_column_families(o, 1);
	rocksdb_options_set_paranoid_checks(o, 1);
	/* a torn record at the end of the log was never acknowledged */
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	/* families that rarely flush would keep logs for ever */
	rocksdb_options_set_max_total_wal_size(o, 4 * r->write_buffer);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_max_open_files(o, 4000);
	rocksdb_options_set_bytes_per_sync(o, 1 << 20);
	rocksdb_options_set_max_manifest_file_size(o, 16 << 20);
	/* Nothing goes to RocksDB's own log once it is open: on a full disk 7.8.3 fails an
	 * assertion inside the logger and takes the process with it. Calls say what is wrong. */
	rocksdb_options_set_info_log_level(o, LOG_LEVEL_HEADERS);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	return o;
}

static void make_options(struct rdb *r)
{
	r->cf_options[CF_RECORDS] = records_options(r);
	r->cf_options[CF_ROWS] = rows_options(r);
	r->cf_options[CF_SEGMENTS] = segments_options();
	r->reads = rocksdb_readoptions_create();
	r->row_reads = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(r->row_reads, 0);
	r->synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(r->synced, 1);
	r->unsynced = rocksdb_writeoptions_create();
	r->env_options = rocksdb_envoptions_create();
	r->ingest = rocksdb_ingestexternalfileoptions_create();
	rocksdb_ingestexternalfileoptions_set_move_files(r->ingest, 1);
	rocksdb_ingestexternalfileoptions_set_snapshot_consistency(r->ingest, 0);
}

static enum err_code open_database(struct rdb *r, const char *dir, struct err *e)
{
	rocksdb_options_t *o = database_options(r);
	char *text = NULL;

	r->db = rocksdb_open_column_families(o, dir, CF_COUNT, family_names,
					     (const rocksdb_options_t *const *)r->cf_options, r->cf,
					     &text);
	rocksdb_options_destroy(o);
	return text != NULL ? open_failed(e, dir, text) : ERR_OK;
}

static enum err_code write_format(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_FORMAT);
	uint8_t value[4];
	char *text = NULL;

	bytes_put_u32(value, STORE_FORMAT);
	rocksdb_put_cf(r->db, r->synced, r->cf[CF_RECORDS], chars(k.b), k.len, chars(value),
		       sizeof(value), &text);
	return text != NULL ? rdb_write_failed(e, "write format", text) : ERR_OK;
}

static enum err_code check_format(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_FORMAT);
	rocksdb_pinnableslice_t *s = NULL;
	struct bytes v;
	uint32_t format = 0;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return write_format(r, e);
	v = rdb_value(s);
	if (v.len == 4)
		format = bytes_get_u32(v.data);
	rocksdb_pinnableslice_destroy(s);
	if (format == 0)
		return err_set(e, ERR_DAMAGED, "the store's format is not readable");
	if (format > STORE_FORMAT)
		return err_set(e, ERR_FORMAT, "store format %u is newer than this program's %u",
			       format, STORE_FORMAT);
	return ERR_OK;
}

/* What an earlier run reserved and did not hand out is skipped: there are enough. */
static enum err_code load_locators(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_LOCATORS);
	rocksdb_pinnableslice_t *s = NULL;
	struct bytes v;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	r->locator_end = 1; /* 0 is none */
	if (s != NULL) {
		v = rdb_value(s);
		r->locator_end = v.len == 8 ? bytes_get_u64(v.data) : 0;
		rocksdb_pinnableslice_destroy(s);
	}
	if (r->locator_end == 0)
		return err_set(e, ERR_DAMAGED, "the store's locators are not readable");
	r->locator_next = r->locator_end;
	return reserve_locators(r, e);
}

static void free_options(struct rdb *r)
{
	for (int i = 0; i < CF_COUNT; i++)
		if (r->cf_options[i] != NULL)
			rocksdb_options_destroy(r->cf_options[i]);
	if (r->records_cache != NULL)
		rocksdb_cache_destroy(r->records_cache);
	if (r->reads != NULL)
		rocksdb_readoptions_destroy(r->reads);
	if (r->row_reads != NULL)
		rocksdb_readoptions_destroy(r->row_reads);
	if (r->synced != NULL)
		rocksdb_writeoptions_destroy(r->synced);
	if (r->unsynced != NULL)
		rocksdb_writeoptions_destroy(r->unsynced);
	if (r->env_options != NULL)
		rocksdb_envoptions_destroy(r->env_options);
	if (r->ingest != NULL)
		rocksdb_ingestexternalfileoptions_destroy(r->ingest);
}

static void close_engine(void *self)
{
	struct rdb *r = self;

	if (r == NULL)
		return;
	collector_stop(r);
	for (int i = 0; i < CF_COUNT; i++)
		if (r->db != NULL && r->cf[i] != NULL)
			rocksdb_column_family_handle_destroy(r->cf[i]);
	if (r->db != NULL)
		rocksdb_close(r->db);
	free_options(r);
	for (size_t i = 0; i < RDB_STRIPES; i++) {
		pthread_mutex_destroy(&r->by_id[i]);
		pthread_mutex_destroy(&r->by_digest[i]);
	}
	pthread_mutex_destroy(&r->locator_lock);
	pthread_mutex_destroy(&r->junk_lock);
	pthread_mutex_destroy(&r->collector_lock);
	pthread_cond_destroy(&r->collector_wakes);
	free(r->junk);
	free(r->tmp);
	free(r);
}

static void make_locks(struct rdb *r)
{
	pthread_condattr_t monotonic;

	for (size_t i = 0; i < RDB_STRIPES; i++) {
		pthread_mutex_init(&r->by_id[i], NULL);
		pthread_mutex_init(&r->by_digest[i], NULL);
	}
	pthread_mutex_init(&r->locator_lock, NULL);
	pthread_mutex_init(&r->junk_lock, NULL);
	pthread_mutex_init(&r->collector_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->collector_wakes, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static struct rdb *make(const struct store_options *opt)
{
	struct rdb *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	make_locks(r);
	r->segment_threshold = opt->segment_threshold > 0 ? opt->segment_threshold : 4u << 20;
	r->segment_size = opt->segment_size > 0 ? opt->segment_size : 64u << 20;
	r->write_buffer = opt->write_buffer > 0 ? opt->write_buffer : 32u << 20;
	if (asprintf(&r->tmp, "%s/tmp", opt->dir) < 0)
		r->tmp = NULL;
	make_options(r);
	return r;
}

static enum err_code open_engine(void **self, const struct store_options *opt, struct err *e)
{
	struct rdb *r = make(opt);
	enum err_code rc;

	if (r == NULL || r->tmp == NULL) {
		rc = err_set(e, ERR_NOMEM, "the engine");
		goto out;
	}
	rc = make_folder(opt->dir, e);
	if (rc == ERR_OK)
		rc = check_room(opt->dir, e);
	if (rc == ERR_OK)
		rc = open_database(r, opt->dir, e); /* takes the lock on the folder */
	if (rc == ERR_OK)
		rc = check_format(r, e);
	if (rc == ERR_OK)
		rc = make_folder(r->tmp, e);
	if (rc == ERR_OK)
		rc = empty_tmp(r->tmp, e);
	if (rc == ERR_OK)
		rc = load_locators(r, e);
	if (rc == ERR_OK)
		rc = recover(r, e);
	if (rc == ERR_OK)
		rc = collector_start(r, e);
	if (rc != ERR_OK)
		goto out;
	*self = r;
	r = NULL;
out:
	close_engine(r);
	return rc;
}

/* Without the log, which max_total_wal_size bounds. */
static uint64_t bytes_on_disk(void *self)
{
	static const char *const properties[] = { "rocksdb.total-sst-files-size",
						  "rocksdb.total-blob-file-size" };
	struct rdb *r = self;
	uint64_t sum = 0, v;

	for (int f = 0; f < CF_COUNT; f++)
		for (size_t i = 0; i < 2; i++)
			if (rocksdb_property_int_cf(r->db, r->cf[f], properties[i], &v) == 0)
				sum += v;
	return sum;
}

const struct engine engine_rocksdb = {
	.name = "rocksdb",
	.open = open_engine,
	.close = close_engine,
	.write_open = rdb_write_open,
	.stage = rdb_stage,
	.commit = rdb_commit,
	.write_close = rdb_write_close,
	.lookup = lookup,
	.read = read_bytes,
	.drop = drop,
	.due = due,
	.next_blob = next_blob,
	.bytes_on_disk = bytes_on_disk,
};
