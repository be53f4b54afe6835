/* read - from an extent to the piece that has the bytes, in rows or segments. */
#include "storage/rocksdb/rdb.h"

static void release_pinned(struct chunk *c)
{
	rocksdb_pinnableslice_destroy(c->owner);
}

enum err_code rdb_wrap_piece(rocksdb_pinnableslice_t *s, const struct extent *x, uint64_t from,
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
	return rdb_wrap_piece(s, x, from, at, out, e);
}

/* Finds where the piece begins that covers `at`, when it could be anywhere before. */
static enum err_code find_piece(struct rdb *r, const struct extent *x, uint64_t at, uint64_t *from,
				struct err *e)
{
	struct key k = key_piece(x->locator, at), first = key_piece(x->locator, x->start);
	rocksdb_readoptions_t *reads = rocksdb_readoptions_create();
	rocksdb_iterator_t *it;
	uint64_t locator;
	bool found;
	enum err_code rc;

	/* or it might walk back over many that were deleted */
	rocksdb_readoptions_set_iterate_lower_bound(reads, chars(first.b), first.len);
	it = rocksdb_create_iterator_cf(r->db, reads,
					r->cf[x->place & PLACE_SEGMENT ? CF_SEGMENTS : CF_ROWS]);
	rocksdb_iter_seek_for_prev(it, chars(k.b), k.len);
	found = rocksdb_iter_valid(it) && key_piece_parse(rdb_iter_key(it), &locator, from) &&
		locator == x->locator && *from >= x->start;
	rc = rdb_iter_end(it, e);
	rocksdb_readoptions_destroy(reads);
	if (rc != ERR_OK)
		return rc;
	return found ? ERR_OK : err_set(e, ERR_NOTFOUND, "no piece there");
}

enum err_code rdb_read(void *self, const struct extent *x, uint64_t at, struct chunk **out,
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
