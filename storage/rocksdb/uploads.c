/* uploads - the records of uploads, and the indexes that every change of one keeps in step: when
 * they are due, which are unfinished, and which count against a bucket. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>
#include <string.h>

static const struct bytes nothing = { NULL, 0 };

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

static void batch_leave_bucket(struct rdb *r, struct batch *b, const struct upload *u)
{
	struct key k = key_bucket(&u->bucket, &u->id);

	if (bucket_given(&u->bucket))
		batch_delete(r, b, CF_RECORDS, &k);
}

static bool same_share(const struct upload *a, const struct upload *b)
{
	return memcmp(&a->bucket, &b->bucket, sizeof(a->bucket)) == 0 &&
	       upload_weight(a) == upload_weight(b) && a->created_s == b->created_s;
}

static void batch_share(struct rdb *r, struct batch *b, const struct upload *was,
			const struct upload *now)
{
	struct key k = key_bucket(&now->bucket, &now->id);
	uint8_t share[SHARE_SIZE];

	if (was != NULL && same_share(was, now))
		return;
	if (was != NULL)
		batch_leave_bucket(r, b, was);
	if (!bucket_given(&now->bucket))
		return;
	record_encode_share(share, now);
	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ share, sizeof(share) });
}

/* An upload that is created and finished at once is never among the unfinished: that is how most of
 * them are. */
static void batch_index(struct rdb *r, struct batch *b, const struct upload *was,
			const struct upload *now)
{
	struct key open = key_unfinished(&now->id), was_due;

	if (was == NULL && !now->finished)
		batch_put(r, b, CF_RECORDS, &open, nothing);
	if (was != NULL && !was->finished && now->finished)
		batch_delete(r, b, CF_RECORDS, &open);
	if (was != NULL && was->expires_s == now->expires_s)
		return;
	if (was != NULL) {
		was_due = key_due(was->expires_s, &was->id);
		batch_delete(r, b, CF_RECORDS, &was_due);
	}
	batch_put_due(r, b, now->expires_s, &now->id);
}

enum err_code batch_upload(struct rdb *r, struct batch *b, const struct upload *was,
			   const struct upload *now, struct err *e)
{
	struct key k = key_upload(&now->id);
	size_t len;
	uint8_t *value = record_encode_upload(now, &len);

	if (value == NULL)
		return err_set(e, ERR_NOMEM, "a record");
	batch_put(r, b, CF_RECORDS, &k, (struct bytes){ value, len });
	free(value);
	batch_index(r, b, was, now);
	batch_share(r, b, was, now);
	change_add(&b->change, now, 1);
	if (was != NULL)
		change_add(&b->change, was, -1);
	return ERR_OK;
}

static void batch_tombstone(struct rdb *r, struct batch *b, const struct upload_id *id,
			    int64_t until_s)
{
	struct key record = key_upload(id);
	uint8_t value[TOMBSTONE_SIZE];

	record_encode_tombstone(value, until_s);
	batch_put(r, b, CF_RECORDS, &record, (struct bytes){ value, sizeof(value) });
	batch_put_due(r, b, until_s, id);
}

void batch_forget_upload(struct rdb *r, struct batch *b, const struct upload *u,
			 int64_t remember_until_s)
{
	struct key record = key_upload(&u->id), due = key_due(u->expires_s, &u->id);
	struct key open = key_unfinished(&u->id), acks = key_acks(&u->id);

	batch_delete(r, b, CF_RECORDS, &record);
	batch_delete(r, b, CF_RECORDS, &due);
	if (u->finished && u->recipients > 0)
		batch_delete(r, b, CF_RECORDS, &acks);
	if (!u->finished)
		batch_delete(r, b, CF_RECORDS, &open);
	batch_leave_bucket(r, b, u);
	change_add(&b->change, u, -1);
	if (remember_until_s != 0)
		batch_tombstone(r, b, &u->id, remember_until_s);
}

/* When a tombstone may go. by_id is held, and a lookup has just said that there is one. */
static enum err_code tombstone_until(struct rdb *r, const struct upload_id *id, int64_t *until_s,
				     struct err *e)
{
	struct key k = key_upload(id);
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL || !record_decode_tombstone(rdb_value(s), until_s))
		rc = err_set(e, ERR_DAMAGED, "a tombstone changed while it was locked");
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

enum err_code rdb_forget_tombstone(struct rdb *r, const struct upload_id *id,
				   const struct dropping *d, struct err *e)
{
	struct key record = key_upload(id), due;
	int64_t until_s;
	struct batch b;
	enum err_code rc = tombstone_until(r, id, &until_s, e);

	if (rc == ERR_OK)
		rc = dropping_due(d, until_s, e);
	if (rc != ERR_OK)
		return rc;
	due = key_due(until_s, id);
	b = batch_new();
	batch_delete(r, &b, CF_RECORDS, &record);
	batch_delete(r, &b, CF_RECORDS, &due);
	rc = rdb_write(r, &b, false, "forget a tombstone", e);
	batch_free(&b);
	return rc;
}

/* by_id is held. */
static enum err_code extend_locked(struct rdb *r, const struct upload *was, int64_t expires_s,
				   struct err *e)
{
	struct upload now = *was;
	struct batch b;
	enum err_code rc;

	if (was->expires_s == expires_s)
		return ERR_OK;
	now.expires_s = expires_s;
	b = batch_new();
	rc = batch_upload(r, &b, was, &now, e);
	if (rc == ERR_OK)
		rc = rdb_write(r, &b, true, "extend", e);
	batch_free(&b);
	return rc;
}

enum err_code rdb_extend(void *self, const struct upload_id *id, int64_t expires_s, struct err *e)
{
	struct rdb *r = self;
	pthread_mutex_t *lock = rdb_id_lock(r, id);
	struct upload *u = NULL;
	enum err_code rc;

	pthread_mutex_lock(lock);
	rc = rdb_lookup(r, id, &u, e);
	if (rc == ERR_OK)
		rc = extend_locked(r, u, expires_s, e);
	pthread_mutex_unlock(lock);
	upload_free(u);
	return rc;
}

enum err_code rdb_next_open(void *self, const struct upload_id *after, struct upload_id *out,
			    struct err *e)
{
	struct upload_id zero = { { 0 } };
	struct key first = key_unfinished(after != NULL ? after : &zero);
	struct upload_id found;
	struct range x;
	bool any;
	enum err_code rc;

	range_open_prefix(self, &x, &first, 1);
	if (after != NULL && rdb_iter_within(x.it, first.b, first.len))
		rocksdb_iter_next(x.it);
	any = rocksdb_iter_valid(x.it) && rdb_iter_key(x.it).len == first.len;
	if (any)
		memcpy(found.b, rdb_iter_key(x.it).data + 1, sizeof(found.b));
	rc = range_close(&x, e);
	if (rc != ERR_OK)
		return rc;
	if (!any)
		return err_set(e, ERR_NOTFOUND, "no more unfinished uploads");
	*out = found;
	return ERR_OK;
}

static enum err_code tell_share(const rocksdb_iterator_t *it, store_each *each, void *ctx,
				struct err *e)
{
	uint64_t weight;
	int64_t created_s;

	if (!record_decode_share(rdb_iter_value(it), &weight, &created_s))
		return err_set(e, ERR_DAMAGED, "an entry of a bucket is not well formed");
	each(ctx, weight, created_s);
	return ERR_OK;
}

enum err_code rdb_bucket(void *self, const struct bucket_id *b, store_each *each, void *ctx,
			 struct err *e)
{
	static const struct upload_id zero;
	struct key first = key_bucket(b, &zero);
	struct range x;
	enum err_code rc = ERR_OK, ended;

	for (range_open_prefix(self, &x, &first, first.len - sizeof(zero));
	     rc == ERR_OK && rocksdb_iter_valid(x.it); rocksdb_iter_next(x.it))
		rc = tell_share(x.it, each, ctx, e);
	ended = range_close(&x, e);
	return rc != ERR_OK ? rc : ended;
}
