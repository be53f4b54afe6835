/* batch - what is written together, and what has to be known of it besides. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>

struct batch batch_new(void)
{
	return (struct batch){ .writes = rocksdb_writebatch_create() };
}

void batch_free(struct batch *b)
{
	rocksdb_writebatch_destroy(b->writes);
}

enum err_code rdb_write(struct rdb *r, struct batch *b, bool sync, const char *what, struct err *e)
{
	char *text = NULL;
	enum err_code rc;

	batch_alive(r, b);
	if (b->deletes_rows)
		pthread_rwlock_rdlock(&r->moving_lock);
	rocksdb_write(r->db, sync ? r->synced : r->unsynced, b->writes, &text);
	if (b->deletes_rows)
		pthread_rwlock_unlock(&r->moving_lock);
	if (text != NULL) {
		rc = rdb_write_failed(e, what, text);
		if (rc == ERR_FULL)
			atomic_store(&r->was_full, true);
		return rc;
	}
	alive_changed(r, &b->change);
	due_written(r, &b->due);
	return ERR_OK;
}

void batch_put(struct rdb *r, struct batch *b, enum rdb_family f, const struct key *k,
	       struct bytes value)
{
	rocksdb_writebatch_put_cf(b->writes, r->cf[f], chars(k->b), k->len, chars(value.data),
				  value.len);
}

static void put_short_row(struct rdb *r, struct batch *b, const struct key *k,
			  const uint8_t sum[static ROW_SUM_SIZE], struct bytes data)
{
	const char *key = chars(k->b);
	const char *parts[] = { chars(data.data), chars(sum) };
	const size_t lengths[] = { data.len, ROW_SUM_SIZE };

	rocksdb_writebatch_putv_cf(b->writes, r->cf[CF_ROWS], 1, &key, &k->len, 2, parts, lengths);
}

enum err_code batch_put_row(struct rdb *r, struct batch *b, uint64_t locator, uint64_t offset,
			    struct bytes data, struct pack_hold *hold, struct err *e)
{
	struct key k = key_piece(locator, offset);
	uint8_t value[POINTER_SIZE];
	struct pointer p;
	enum err_code rc;

	row_sum(p.sum, locator, offset, data);
	if (data.len < RDB_ROW_APART) {
		put_short_row(r, b, &k, p.sum, data);
		return ERR_OK;
	}
	rc = packs_append(r->packs, hold, data, &p.place, e);
	if (rc != ERR_OK)
		return rc;
	pointer_encode(value, &p);
	batch_put(r, b, CF_POINTERS, &k, (struct bytes){ value, sizeof(value) });
	return ERR_OK;
}

void batch_delete(struct rdb *r, struct batch *b, enum rdb_family f, const struct key *k)
{
	rocksdb_writebatch_delete_cf(b->writes, r->cf[f], chars(k->b), k->len);
}

void batch_put_due(struct rdb *r, struct batch *b, int64_t expires_s, const struct upload_id *id)
{
	struct key k = key_due(expires_s, id);

	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ NULL, 0 });
	if (b->due.len == 0 || key_compare(&k, &b->due) < 0)
		b->due = k;
}

enum err_code batch_blob(struct rdb *r, struct batch *b, const struct upload *u,
			 const struct leaves *leaves, struct err *e)
{
	struct key k = key_blob(&u->digest);
	size_t len;
	uint8_t *value = record_encode_blob(u, leaves, &len);

	if (value == NULL)
		return err_set(e, ERR_NOMEM, "a blob's record");
	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ value, len });
	free(value);
	if (leaves->count == 0)
		b->change.bytes += (int64_t)u->offset;
	return ERR_OK;
}

void batch_delete_blob(struct rdb *r, struct batch *b, const struct digest *d,
		       const struct extent *v, size_t count)
{
	struct key k = key_blob(d);

	batch_delete(r, b, CF_RECORDS, &k);
	for (size_t i = 0; i < count && !extents_borrowed(v, count); i++)
		b->change.bytes -= (int64_t)v[i].length;
}
