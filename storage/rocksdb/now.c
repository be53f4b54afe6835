/* now - what can be had without waiting for a disk: of records and short rows, what RocksDB has in
 * memory. */
#include "storage/rocksdb/rdb.h"

#include <string.h>

/* How RocksDB says that it would have to read: it gives C callers the text only. */
static bool would_wait(const char *text)
{
	return strncmp(text, "Result incomplete", 17) == 0;
}

static enum err_code get_now(struct rdb *r, enum rdb_family f, const struct key *k,
			     rocksdb_pinnableslice_t **out, struct err *e)
{
	char *text = NULL;

	*out = rocksdb_get_pinned_cf(r->db, r->reads_now, r->cf[f], chars(k->b), k->len, &text);
	if (text != NULL && !would_wait(text))
		return rdb_read_failed(e, "read", text);
	rocksdb_free(text);
	if (text != NULL)
		return err_set(e, ERR_BUSY, "not in memory");
	return *out != NULL ? ERR_OK : err_set(e, ERR_NOTFOUND, "no such key");
}

enum err_code rdb_lookup_now(void *self, const struct upload_id *id, struct upload **out,
			     struct err *e)
{
	struct key k = key_upload(id);
	rocksdb_pinnableslice_t *s;
	enum err_code rc = get_now(self, CF_RECORDS, &k, &s, e);

	if (rc == ERR_OK)
		rc = record_decode_upload(id, rdb_value(s), out, e);
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

/* Longer ones lie in files, of which RocksDB has nothing in memory. */
static bool is_short(const struct extent *x, uint64_t from)
{
	const uint64_t grid = from - from % CHUNK_MAX + CHUNK_MAX, end = x->start + x->length;

	return !(x->place & (PLACE_SEGMENT | PLACE_UNEVEN)) &&
	       (grid < end ? grid : end) - from < RDB_ROW_APART;
}

/* It may be a part of a longer one. */
static enum err_code is_packed_now(struct rdb *r, const struct key *k, struct err *e)
{
	rocksdb_pinnableslice_t *s;
	enum err_code rc = get_now(r, CF_POINTERS, k, &s, e);

	rocksdb_pinnableslice_destroy(s);
	return rc == ERR_OK ? err_set(e, ERR_BUSY, "in a file") : rc;
}

enum err_code rdb_read_now(void *self, const struct extent *x, uint64_t at, struct chunk **out,
			   struct err *e)
{
	const uint64_t grid = at - at % CHUNK_MAX, from = grid > x->start ? grid : x->start;
	struct key k = key_piece(x->locator, from);
	rocksdb_pinnableslice_t *s;
	enum err_code rc;

	if (!is_short(x, from))
		return err_set(e, ERR_BUSY, "in a file");
	rc = get_now(self, CF_ROWS, &k, &s, e);
	if (rc == ERR_NOTFOUND)
		return is_packed_now(self, &k, e);
	return rc == ERR_OK ? rdb_wrap_piece(s, x, from, at, out, e) : rc;
}
