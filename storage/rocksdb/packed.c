/* packed - rows of 4 KiB and more: their bytes are written once, to a pack, and a pointer says
 * where. When the mover has changed the pointer, the old place is good as long as the file is
 * open, and not there afterwards. */
#include "storage/rocksdb/rdb.h"

#include <string.h>

#define PACK_BUFFERS 4               /* make a pack: half of one is less than a ballast */
#define META_GARBAGE "packs.garbage" /* there only if the store was closed in order */

void pointer_encode(uint8_t out[static POINTER_SIZE], const struct pointer *p)
{
	bytes_put_u64(out, p->place.pack);
	bytes_put_u32(out + 8, p->place.at);
	bytes_put_u32(out + 12, p->place.length);
	memcpy(out + 16, p->sum, ROW_SUM_SIZE);
}

bool pointer_decode(struct bytes in, struct pointer *out)
{
	if (in.len != POINTER_SIZE)
		return false;
	out->place = (struct pack_place){ bytes_get_u64(in.data), bytes_get_u32(in.data + 8),
					  bytes_get_u32(in.data + 12) };
	memcpy(out->sum, in.data + 16, ROW_SUM_SIZE);
	return out->place.length > 0 && out->place.length <= CHUNK_MAX;
}

/* ---- reading ---- */

static enum err_code look_up(struct rdb *r, const struct key *k, bool now, struct pointer *out,
			     struct err *e)
{
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc =
		now ? rdb_get_now(r, CF_POINTERS, k, &s, e) : rdb_get(r, CF_POINTERS, k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return err_set(e, ERR_NOTFOUND, "no piece there");
	if (!pointer_decode(rdb_value(s), out))
		rc = err_set(e, ERR_DAMAGED, "a pointer is not well formed");
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static bool is_same(const struct pointer *a, const struct pointer *b)
{
	return a->place.pack == b->place.pack && a->place.at == b->place.at;
}

/* Full-size buffers are used again, others are not. */
static struct chunk *make_chunk(uint32_t length)
{
	struct chunk *c = chunk_new(length > CHUNK_MAX / 2 ? CHUNK_MAX : length);

	if (c != NULL)
		c->len = length;
	return c;
}

static enum err_code read_place(struct rdb *r, uint64_t locator, uint64_t offset,
				const struct pointer *p, bool now, struct chunk **out,
				struct err *e)
{
	struct chunk *c = make_chunk(p->place.length);
	uint8_t sum[ROW_SUM_SIZE];
	enum err_code rc;

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "a chunk");
	if (!now)
		rc = packs_read(r->packs, &p->place, c->data, e);
	else
		rc = packs_read_now(r->packs, &p->place, c->data) ? ERR_OK : ERR_BUSY;
	if (rc == ERR_OK) {
		row_sum(sum, locator, offset, (struct bytes){ c->data, c->len });
		if (memcmp(sum, p->sum, sizeof(sum)) != 0)
			rc = err_set(e, ERR_DAMAGED, "a row does not have its checksum");
	}
	if (rc == ERR_OK)
		*out = c;
	else
		chunk_unref(c);
	return rc;
}

/* A pack goes only after everything in it has got another pointer, or none. */
enum err_code packed_read(struct rdb *r, uint64_t locator, uint64_t offset, struct chunk **out,
			  struct err *e)
{
	const struct key k = key_piece(locator, offset);
	struct pointer p = { .place = { 0 } }, before;
	enum err_code rc;

	do {
		before = p;
		rc = look_up(r, &k, false, &p, e);
		if (rc != ERR_OK)
			return rc;
		if (is_same(&p, &before))
			return err_set(e, ERR_DAMAGED, "a pack is gone");
		rc = read_place(r, locator, offset, &p, false, out, e);
	} while (rc == ERR_NOTFOUND);
	return rc;
}

enum err_code packed_read_now(struct rdb *r, uint64_t locator, uint64_t offset, struct chunk **out,
			      struct err *e)
{
	const struct key k = key_piece(locator, offset);
	struct pointer p;
	enum err_code rc = look_up(r, &k, true, &p, e);

	return rc == ERR_OK ? read_place(r, locator, offset, &p, true, out, e) : rc;
}

/* ---- opening and closing ---- */

static enum err_code take_locator(void *ctx, uint64_t *out, struct err *e)
{
	return rdb_locator(ctx, out, e);
}

/* What an orderly end has left. It is taken away, so that it is there once. */
static enum err_code load_garbage(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_GARBAGE);
	rocksdb_pinnableslice_t *s = NULL;
	struct batch b;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	atomic_store(&r->pack_unknown, packs_bytes(r->packs) > 0);
	if (rc != ERR_OK || s == NULL)
		return rc;
	if (rdb_value(s).len == 8) {
		atomic_store(&r->pack_garbage, bytes_get_u64(rdb_value(s).data));
		atomic_store(&r->pack_unknown, false);
	}
	rocksdb_pinnableslice_destroy(s);
	b = batch_new();
	batch_delete(r, &b, CF_RECORDS, &k);
	rc = rdb_write(r, &b, true, "take over packs", e);
	batch_free(&b);
	return rc;
}

/* Rows of an older format lie in blob files, and no others do. */
static bool has_blob_files(struct rdb *r)
{
	uint64_t n = 0;

	return rocksdb_property_int_cf(r->db, r->cf[CF_ROWS], "rocksdb.num-blob-files", &n) != 0 ||
	       n > 0;
}

enum err_code packed_open(struct rdb *r, struct err *e)
{
	enum err_code rc = packs_open(&r->packs, r->dir, PACK_BUFFERS * r->write_buffer,
				      r->write_buffer / 2, take_locator, r, e);

	if (rc != ERR_OK)
		return rc;
	r->drains = r->drains || has_blob_files(r);
	return load_garbage(r, e);
}

void packed_close(struct rdb *r)
{
	struct key k = key_meta(META_GARBAGE);
	uint8_t value[8];
	struct batch b;

	if (r->packs == NULL)
		return;
	bytes_put_u64(value, atomic_load(&r->pack_garbage));
	b = batch_new();
	batch_put(r, &b, CF_RECORDS, &k, (struct bytes){ value, sizeof(value) });
	if (!atomic_load(&r->pack_unknown)) /* if it fails, the next start counts */
		(void)rdb_write(r, &b, false, "leave packs", NULL);
	batch_free(&b);
	packs_close(r->packs);
}
