/* acknowledge - recipients who have an upload. The record stays as it is: fetches hold copies of
 * it. */
#include "storage/rocksdb/rdb.h"

static enum err_code read_acks(struct rdb *r, const struct key *k, struct acks *out, struct err *e)
{
	rocksdb_pinnableslice_t *s = NULL;
	enum err_code rc = rdb_get(r, CF_RECORDS, k, &s, e);

	if (rc != ERR_OK || s == NULL)
		return rc;
	rc = record_decode_acks(rdb_value(s), out, e);
	rocksdb_pinnableslice_destroy(s);
	return rc;
}

static enum err_code write_acks(struct rdb *r, const struct key *k, const struct acks *a,
				struct err *e)
{
	struct batch b = batch_new();
	uint8_t value[ACKS_SIZE];
	enum err_code rc;

	record_encode_acks(value, a);
	batch_put(r, &b, CF_RECORDS, k, (struct bytes){ value, sizeof(value) });
	rc = rdb_write(r, &b, true, "acknowledge", e);
	batch_free(&b);
	return rc;
}

/* by_id is held. */
static enum err_code acknowledge_locked(struct rdb *r, const struct upload *u, uint16_t recipient,
					int64_t remember_until_s, uint16_t *left,
					struct dropped *out, struct err *e)
{
	struct key k = key_acks(&u->id);
	struct dropping d = { .remember_until_s = remember_until_s };
	struct acks a = { { 0 } };
	uint16_t others;
	bool fresh;
	enum err_code rc = acks_check(u, recipient, e);

	if (rc == ERR_OK)
		rc = read_acks(r, &k, &a, e);
	if (rc != ERR_OK)
		return rc;
	fresh = acks_add(&a, recipient);
	others = acks_left(&a, u->recipients);
	if (others == 0)
		rc = rdb_drop_locked(r, &u->id, &d, e);
	else if (fresh)
		rc = write_acks(r, &k, &a, e);
	if (rc == ERR_OK)
		*left = others;
	if (rc == ERR_OK && others == 0)
		*out = d.gone;
	return rc;
}

enum err_code rdb_acknowledge(void *self, const struct upload_id *id, uint16_t recipient,
			      int64_t remember_until_s, uint16_t *left, struct dropped *out,
			      struct err *e)
{
	struct rdb *r = self;
	pthread_mutex_t *lock = rdb_id_lock(r, id);
	struct upload *u = NULL;
	enum err_code rc;

	rdb_settle(r);
	pthread_mutex_lock(lock);
	rc = rdb_lookup(r, id, &u, e);
	if (rc == ERR_OK)
		rc = acknowledge_locked(r, u, recipient, remember_until_s, left, out, e);
	pthread_mutex_unlock(lock);
	upload_free(u);
	return rc;
}
