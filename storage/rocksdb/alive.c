/* alive - how many uploads there are, and bytes: counted along with every change, in the same
 * batch, so that nobody ever has to look at all of them. RocksDB adds the changes up by itself. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[ALIVE_COUNT] = { "alive.uploads", "alive.finished", "alive.bytes" };

/* As RocksDB's operator has its numbers: least byte first, and less is more, modulo 2^64. */
static void put_addend(uint8_t out[static 8], uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_addend(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

struct key key_alive(enum alive which)
{
	return key_meta(names[which]);
}

bool alive_decode(struct bytes in, uint64_t *out)
{
	if (in.len != 8)
		return false;
	*out = get_addend(in.data);
	return true;
}

static void get_numbers(const struct change *c, int64_t v[static ALIVE_COUNT])
{
	v[ALIVE_UPLOADS] = c->uploads;
	v[ALIVE_FINISHED] = c->finished;
	v[ALIVE_BYTES] = c->bytes;
}

void batch_alive(struct rdb *r, struct batch *b)
{
	int64_t v[ALIVE_COUNT];

	get_numbers(&b->change, v);
	for (int i = 0; i < ALIVE_COUNT; i++) {
		struct key k = key_alive(i);
		uint8_t addend[8];

		put_addend(addend, (uint64_t)v[i]);
		if (v[i] != 0)
			rocksdb_writebatch_merge_cf(b->writes, r->cf[CF_RECORDS], chars(k.b), k.len,
						    chars(addend), sizeof(addend));
	}
}

void alive_changed(struct rdb *r, const struct change *c)
{
	int64_t v[ALIVE_COUNT];

	get_numbers(c, v);
	for (int i = 0; i < ALIVE_COUNT; i++)
		if (v[i] != 0)
			atomic_fetch_add(&r->alive[i], (uint64_t)v[i]);
}

void change_add(struct change *c, const struct upload *u, int64_t times)
{
	c->uploads += times;
	if (u->finished)
		c->finished += times;
	else
		c->bytes += times * (int64_t)u->offset;
}

/* ---- opening ---- */

static enum err_code load(struct rdb *r, enum alive which, bool *there, struct err *e)
{
	struct key k = key_alive(which);
	rocksdb_pinnableslice_t *s = NULL;
	uint64_t v = 0;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK || s == NULL) {
		*there = false;
		return rc;
	}
	if (alive_decode(rdb_value(s), &v))
		atomic_store(&r->alive[which], v);
	else
		rc = err_set(e, ERR_DAMAGED, "the store's count of what is alive is not readable");
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static enum err_code count_upload(struct bytes key, struct bytes value, struct change *c,
				  struct err *e)
{
	struct upload_id id;
	struct upload *u = NULL;
	enum err_code rc;

	memcpy(id.b, key.data + 1, sizeof(id.b));
	rc = record_decode_upload(&id, value, &u, e);
	if (rc == ERR_OK)
		change_add(c, u, 1);
	upload_free(u);
	return rc == ERR_DELETED ? ERR_OK : rc;
}

static enum err_code count_blob(struct bytes value, struct change *c, struct err *e)
{
	struct blob b;
	enum err_code rc = record_decode_blob(value, &b, NULL, e);

	if (rc != ERR_OK)
		return rc;
	if (!extents_borrowed(b.extents, b.extent_count))
		c->bytes += (int64_t)b.size;
	free(b.extents);
	return ERR_OK;
}

/* A record that cannot be read is left out: others must not suffer from it. */
static enum err_code count_kind(struct rdb *r, uint8_t kind, struct change *c, struct err *e)
{
	struct key first = { .b = { kind }, .len = 1 };
	struct range x;
	enum err_code rc = ERR_OK, ended;

	for (range_open_prefix(r, &x, &first, 1); rc == ERR_OK && rocksdb_iter_valid(x.it);
	     rocksdb_iter_next(x.it)) {
		struct bytes k = rdb_iter_key(x.it), v = rdb_iter_value(x.it);

		rc = kind == KEY_UPLOAD ? count_upload(k, v, c, e) : count_blob(v, c, e);
		if (rc == ERR_DAMAGED)
			rc = ERR_OK;
	}
	ended = range_close(&x, e);
	return rc != ERR_OK ? rc : ended;
}

static enum err_code write_all(struct rdb *r, const struct change *c, struct err *e)
{
	struct batch b = batch_new();
	int64_t v[ALIVE_COUNT];
	enum err_code rc;

	get_numbers(c, v);
	for (int i = 0; i < ALIVE_COUNT; i++) {
		struct key k = key_alive(i);
		uint8_t number[8];

		put_addend(number, (uint64_t)v[i]);
		batch_put(r, &b, CF_RECORDS, &k, (struct bytes){ number, sizeof(number) });
		atomic_store(&r->alive[i], (uint64_t)v[i]);
	}
	rc = rdb_write(r, &b, true, "count what is alive", e);
	batch_free(&b);
	return rc;
}

enum err_code alive_load(struct rdb *r, struct err *e)
{
	struct change c = { 0 };
	bool there = true;
	enum err_code rc = ERR_OK;

	for (int i = 0; rc == ERR_OK && there && i < ALIVE_COUNT; i++)
		rc = load(r, i, &there, e);
	if (rc != ERR_OK || there)
		return rc;
	rc = count_kind(r, KEY_UPLOAD, &c, e);
	if (rc == ERR_OK)
		rc = count_kind(r, KEY_BLOB, &c, e);
	return rc == ERR_OK ? write_all(r, &c, e) : rc;
}
