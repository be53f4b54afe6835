/* now - what can be had without waiting for a disk: of records, short rows and pointers what
 * RocksDB has in memory, of packs what the kernel has. */
#include "storage/rocksdb/rdb.h"

#include <string.h>

/* How RocksDB says that it would have to read: it gives C callers the text only. */
static bool would_wait(const char *text)
{
	return strncmp(text, "Result incomplete", 17) == 0;
}

enum err_code rdb_get_now(struct rdb *r, enum rdb_family f, const struct key *k,
			  rocksdb_pinnableslice_t **out, struct err *e)
{
	char *text = NULL;

	*out = rocksdb_get_pinned_cf(r->db, r->reads_now, r->cf[f], chars(k->b), k->len, &text);
	if (text != NULL && !would_wait(text))
		return rdb_read_failed(e, "read", text);
	rocksdb_free(text);
	return text != NULL ? err_set(e, ERR_BUSY, "not in memory") : ERR_OK;
}

enum err_code rdb_lookup_now(void *self, const struct upload_id *id, struct upload **out,
			     struct err *e)
{
	struct key k = key_upload(id);
	rocksdb_pinnableslice_t *s;
	enum err_code rc = rdb_get_now(self, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no such upload");
	rc = record_decode_upload(id, rdb_value(s), out, e);
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static bool is_short(const struct extent *x, uint64_t from)
{
	const uint64_t grid = from - from % CHUNK_MAX + CHUNK_MAX, end = x->start + x->length;

	return (grid < end ? grid : end) - from < RDB_ROW_APART;
}

static enum err_code read_short(struct rdb *r, const struct extent *x, uint64_t from, uint64_t at,
				struct chunk **out, struct err *e)
{
	struct key k = key_piece(x->locator, from);
	rocksdb_pinnableslice_t *s;
	enum err_code rc = rdb_get_now(r, CF_ROWS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no piece there");
	return rdb_wrap_piece(s, x, from, at, out, e);
}

static enum err_code read_packed(struct rdb *r, const struct extent *x, uint64_t from, uint64_t at,
				 struct chunk **out, struct err *e)
{
	struct chunk *piece;
	enum err_code rc = packed_read_now(r, x->locator, from, &piece, e);

	return rc == ERR_OK ? rdb_cut_piece(piece, x, from, at, out, e) : rc;
}

/* What is short may be a part of a longer row; what is long may lie elsewhere in a store of an
 * older format. */
enum err_code rdb_read_now(void *self, const struct extent *x, uint64_t at, struct chunk **out,
			   struct err *e)
{
	const uint64_t grid = at - at % CHUNK_MAX, from = grid > x->start ? grid : x->start;
	struct rdb *r = self;
	enum err_code rc = ERR_NOTFOUND;

	if (x->place & (PLACE_SEGMENT | PLACE_UNEVEN))
		return err_set(e, ERR_BUSY, "not to be found at once");
	if (is_short(x, from))
		rc = read_short(r, x, from, at, out, e);
	if (rc == ERR_NOTFOUND)
		rc = read_packed(r, x, from, at, out, e);
	if (rc == ERR_NOTFOUND && r->drains)
		return err_set(e, ERR_BUSY, "not found at once");
	return rc;
}
