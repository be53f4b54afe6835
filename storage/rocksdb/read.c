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

static void release_inner(struct chunk *c)
{
	chunk_unref(c->owner);
}

enum err_code rdb_cut_piece(struct chunk *piece, const struct extent *x, uint64_t from, uint64_t at,
			    struct chunk **out, struct err *e)
{
	uint64_t skip = at - from, end = x->start + x->length;
	struct chunk *c;

	if (piece->len <= skip) {
		chunk_unref(piece);
		return err_set(e, ERR_NOTFOUND, "no bytes there");
	}
	if (piece->len - skip > end - at)
		piece->len = (size_t)(end - from);
	if (skip == 0) {
		*out = piece;
		return ERR_OK;
	}
	c = chunk_wrap(piece->data + skip, piece->len - skip, release_inner, piece);
	if (c == NULL) {
		chunk_unref(piece);
		return err_set(e, ERR_NOMEM, "a chunk");
	}
	*out = c;
	return ERR_OK;
}

static enum err_code read_value(struct rdb *r, enum rdb_family f, const struct extent *x,
				uint64_t from, uint64_t at, struct chunk **out, struct err *e)
{
	struct key k = key_piece(x->locator, from);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, f, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no piece there");
	return rdb_wrap_piece(s, x, from, at, out, e);
}

static enum err_code read_packed(struct rdb *r, const struct extent *x, uint64_t from, uint64_t at,
				 struct chunk **out, struct err *e)
{
	struct chunk *piece = NULL;
	enum err_code rc = packed_read(r, x->locator, from, &piece, e);

	return rc == ERR_OK ? rdb_cut_piece(piece, x, from, at, out, e) : rc;
}

/* Which family has a row is said by how long it is, which is known of pieces on the grid: that one
 * is asked first. Of others it may be either, and in stores of an older format. */
static enum err_code read_piece(struct rdb *r, const struct extent *x, uint64_t from, uint64_t at,
				struct chunk **out, struct err *e)
{
	const uint64_t grid = from - from % CHUNK_MAX + CHUNK_MAX, end = x->start + x->length;
	const bool is_short = (grid < end ? grid : end) - from < RDB_ROW_APART;
	enum err_code rc;

	if (x->place & PLACE_SEGMENT)
		return read_value(r, CF_SEGMENTS, x, from, at, out, e);
	rc = is_short ? read_value(r, CF_ROWS, x, from, at, out, e)
		      : read_packed(r, x, from, at, out, e);
	if (rc == ERR_NOTFOUND)
		rc = is_short ? read_packed(r, x, from, at, out, e)
			      : read_value(r, CF_ROWS, x, from, at, out, e);
	return rc;
}

/* The last piece of a family that begins at or before `at`, if there is one. */
static enum err_code find_in(struct rdb *r, enum rdb_family f, const struct extent *x, uint64_t at,
			     bool *found, uint64_t *from, struct err *e)
{
	struct key k = key_piece(x->locator, at), first = key_piece(x->locator, x->start);
	rocksdb_readoptions_t *reads = rocksdb_readoptions_create();
	rocksdb_iterator_t *it;
	uint64_t locator, start;
	enum err_code rc;

	/* or it might walk back over many that were deleted */
	rocksdb_readoptions_set_iterate_lower_bound(reads, chars(first.b), first.len);
	it = rocksdb_create_iterator_cf(r->db, reads, r->cf[f]);
	rocksdb_iter_seek_for_prev(it, chars(k.b), k.len);
	if (rocksdb_iter_valid(it) && key_piece_parse(rdb_iter_key(it), &locator, &start) &&
	    locator == x->locator && start >= x->start && (!*found || start > *from)) {
		*found = true;
		*from = start;
	}
	rc = rdb_iter_end(it, e);
	rocksdb_readoptions_destroy(reads);
	return rc;
}

/* Finds where the piece begins that covers `at`, when it could be anywhere before. */
static enum err_code find_piece(struct rdb *r, const struct extent *x, uint64_t at, uint64_t *from,
				struct err *e)
{
	const bool segment = x->place & PLACE_SEGMENT;
	bool found = false;
	enum err_code rc;

	rc = find_in(r, segment ? CF_SEGMENTS : CF_ROWS, x, at, &found, from, e);
	if (rc == ERR_OK && !segment)
		rc = find_in(r, CF_POINTERS, x, at, &found, from, e);
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
