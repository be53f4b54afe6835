#include "storage/rocksdb/rdb.h"

#include <stdlib.h>
#include <string.h>

#include "base/disk.h"

#define META_LOCATORS "locators"
#define RECORD_BYTES 200 /* of one upload with its key, about */

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

enum err_code rdb_open_failed(struct err *e, const char *dir, char *text)
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

static size_t digest_stripe(const struct digest *d)
{
	return bytes_get_u16(d->b) % RDB_STRIPES;
}

pthread_mutex_t *rdb_digest_lock(struct rdb *r, const struct digest *d)
{
	return &r->by_digest[digest_stripe(d)];
}

void stripes_add(struct stripes *s, const struct digest *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		s->taken[digest_stripe(&v[i])] = true;
}

void rdb_lock_stripes(struct rdb *r, const struct stripes *s)
{
	for (size_t i = 0; i < RDB_STRIPES; i++)
		if (s->taken[i])
			pthread_mutex_lock(&r->by_digest[i]);
}

void rdb_unlock_stripes(struct rdb *r, const struct stripes *s)
{
	for (size_t i = RDB_STRIPES; i-- > 0;)
		if (s->taken[i])
			pthread_mutex_unlock(&r->by_digest[i]);
}

/* Ids are random, so that of a block that was read only one record is of use. Where the cache does
 * not have about all of them, to make room for blocks in it costs more than it ever saves. */
static bool records_fit(struct rdb *r)
{
	return atomic_load_explicit(&r->alive[ALIVE_UPLOADS], memory_order_relaxed) <
	       RDB_RECORDS_CACHE / RECORD_BYTES;
}

static const rocksdb_readoptions_t *reads_of(struct rdb *r, enum rdb_family f)
{
	if (f == CF_ROWS)
		return r->row_reads;
	return f == CF_POINTERS || records_fit(r) ? r->reads : r->reads_past;
}

enum err_code rdb_get(struct rdb *r, enum rdb_family f, const struct key *k,
		      rocksdb_pinnableslice_t **out, struct err *e)
{
	char *text = NULL;
	rocksdb_pinnableslice_t *s;

	s = rocksdb_get_pinned_cf(r->db, reads_of(r, f), r->cf[f], chars(k->b), k->len, &text);
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

bool rdb_takes_segments(struct rdb *r)
{
	uint64_t errors = 0;

	(void)rocksdb_property_int(r->db, "rocksdb.background-errors", &errors);
	return errors == 0 && !atomic_load(&r->was_full);
}

void rdb_look_at_disk(struct rdb *r)
{
	atomic_store(&r->disk_bytes, disk_use(r->dir).allocated);
}

enum err_code rdb_flush(struct rdb *r, struct err *e)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	char *text = NULL;

	rocksdb_flushoptions_set_wait(o, 1);
	for (int f = CF_RECORDS; f <= CF_POINTERS && text == NULL; f++)
		rocksdb_flush_cf(r->db, o, r->cf[f], &text);
	rocksdb_flushoptions_destroy(o);
	return text != NULL ? rdb_write_failed(e, "flush", text) : ERR_OK;
}

/* ---- iteration ---- */

struct bytes rdb_iter_key(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_key(it, &b.len);
	return b;
}

struct bytes rdb_iter_value(const rocksdb_iterator_t *it)
{
	struct bytes b;

	b.data = (const uint8_t *)rocksdb_iter_value(it, &b.len);
	return b;
}

/* Whether it stands on a key that begins so. */
bool rdb_iter_within(const rocksdb_iterator_t *it, const uint8_t *prefix, size_t len)
{
	struct bytes k;

	if (!rocksdb_iter_valid(it))
		return false;
	k = rdb_iter_key(it);
	return k.len >= len && memcmp(k.data, prefix, len) == 0;
}

/* Ends an iteration; says whether it ended because of an error. */
enum err_code rdb_iter_end(rocksdb_iterator_t *it, struct err *e)
{
	char *text = NULL;

	rocksdb_iter_get_error(it, &text);
	rocksdb_iter_destroy(it);
	return text != NULL ? rdb_read_failed(e, "iterate", text) : ERR_OK;
}

void range_open(struct rdb *r, struct range *x, const struct key *from, const struct key *end)
{
	x->end = *end;
	x->reads = rocksdb_readoptions_create();
	rocksdb_readoptions_set_iterate_upper_bound(x->reads, chars(x->end.b), x->end.len);
	x->it = rocksdb_create_iterator_cf(r->db, x->reads, r->cf[CF_RECORDS]);
	rocksdb_iter_seek(x->it, chars(from->b), from->len);
}

void range_open_prefix(struct rdb *r, struct range *x, const struct key *from, size_t n)
{
	struct key end = key_behind(from, n);

	range_open(r, x, from, &end);
}

enum err_code range_close(struct range *x, struct err *e)
{
	enum err_code rc = rdb_iter_end(x->it, e);

	rocksdb_readoptions_destroy(x->reads);
	return rc;
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

/* What an earlier run reserved and did not hand out is skipped: there are enough. */
enum err_code rdb_locators_load(struct rdb *r, struct err *e)
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

/* ---- blobs ---- */

enum err_code rdb_blob(struct rdb *r, const struct digest *d, struct blob *out,
		       struct leaves *leaves, struct err *e)
{
	struct key k = key_blob(d);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no such blob");
	rc = record_decode_blob(rdb_value(s), out, leaves, e);
	out->digest = *d;
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

enum err_code rdb_next_blob(void *self, const struct digest *after, struct blob *out, struct err *e)
{
	struct digest zero = { { 0 } };
	struct key first = key_blob(after != NULL ? after : &zero);
	struct blob b = { .size = 0 };
	struct range x;
	enum err_code rc = ERR_NOTFOUND, ended;

	range_open_prefix(self, &x, &first, 1);
	if (after != NULL && rdb_iter_within(x.it, first.b, first.len))
		rocksdb_iter_next(x.it);
	if (rocksdb_iter_valid(x.it) && rdb_iter_key(x.it).len == first.len) {
		memcpy(b.digest.b, rdb_iter_key(x.it).data + 1, sizeof(b.digest.b));
		rc = record_decode_blob(rdb_iter_value(x.it), &b, NULL, e);
	}
	ended = range_close(&x, e);
	if (rc == ERR_OK)
		*out = b;
	if (rc == ERR_NOTFOUND)
		rc = ended != ERR_OK ? ended : err_set(e, ERR_NOTFOUND, "no more blobs");
	return rc;
}
