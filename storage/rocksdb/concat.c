/* concat - uploads that are finished without bytes of their own: as a blob that is there, or as one
 * that is put together from others, without copying a byte. Such a composed blob borrows its
 * extents from its leaves, and its record lists them. A leaf is never composed itself: of a part
 * that is, the leaves are taken over, so that nothing is deeper than one. */
#include "storage/rocksdb/rdb.h"

#include <stdlib.h>

struct concat {
	struct rdb *db;
	const struct upload *rec; /* as it is to be, but for the extents; of reuse the size too */
	bool fresh;               /* nothing is there yet */
	const struct upload_id *parts;
	size_t part_count;
	struct digest *digests; /* of the parts */
	struct upload *was;     /* the upload of that id that waits; NULL: fresh */
	struct extents extents;
	struct leaves leaves;
	uint64_t length; /* of the extents */
	bool deduplicated;
	struct upload *made;
};

/* ---- what is there ---- */

/* by_id is held. */
static enum err_code look_at_final(struct concat *c, struct err *e)
{
	enum err_code rc = rdb_lookup(c->db, &c->rec->id, &c->was, e);

	if (rc != ERR_OK && rc != ERR_NOTFOUND)
		return rc;
	return check_final(c->was, c->rec, c->fresh, e);
}

static enum err_code find_part(struct concat *c, size_t i, struct err *e)
{
	struct upload *u = NULL;
	enum err_code rc = rdb_lookup(c->db, &c->parts[i], &u, e);

	if (rc == ERR_DELETED)
		return err_set(e, ERR_NOTFOUND, "a part was terminated");
	if (rc != ERR_OK)
		return rc;
	if (u->finished)
		c->digests[i] = u->digest;
	else
		rc = err_set(e, ERR_NOTFOUND, "a part is not finished");
	upload_free(u);
	return rc;
}

static enum err_code find_parts(struct concat *c, struct err *e)
{
	enum err_code rc = ERR_OK;

	c->digests = calloc(c->part_count + 1, sizeof(*c->digests));
	if (c->digests == NULL)
		return err_set(e, ERR_NOMEM, "%zu parts", c->part_count);
	for (size_t i = 0; rc == ERR_OK && i < c->part_count; i++)
		rc = find_part(c, i, e);
	return rc;
}

/* ---- putting together; by_digest is held for the final and all parts ---- */

static enum err_code add_blob(struct concat *c, const struct blob *b, const struct leaves *leaves,
			      struct err *e)
{
	const struct digest *v = leaves->count > 0 ? leaves->v : &b->digest;
	size_t count = leaves->count > 0 ? leaves->count : b->size > 0;

	if (b->extent_count > STORE_EXTENTS_MAX - c->extents.count)
		return err_set(e, ERR_TOOBIG, "the parts lie in too many pieces");
	if (!extents_append(&c->extents, b->extents, b->extent_count, PLACE_BORROWED) ||
	    !leaves_add(&c->leaves, v, count))
		return err_set(e, ERR_NOMEM, "the extents of a part");
	c->length += b->size;
	return ERR_OK;
}

/* A part that was dropped meanwhile has taken its blob along, or others hold that too. What is
 * there stays until by_digest is given up; so do the leaves of a composed blob, without locks of
 * their own: it needs them. */
static enum err_code add_part(struct concat *c, size_t i, struct err *e)
{
	struct leaves leaves = { 0 };
	struct blob b;
	enum err_code rc = rdb_blob(c->db, &c->digests[i], &b, &leaves, e);

	if (rc != ERR_OK)
		return rc;
	rc = add_blob(c, &b, &leaves, e);
	free(b.extents);
	leaves_fini(&leaves);
	return rc;
}

static enum err_code add_parts(struct concat *c, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < c->part_count; i++)
		rc = add_part(c, i, e);
	if (rc != ERR_OK)
		return rc;
	leaves_settle(&c->leaves);
	if (c->length != c->rec->offset)
		rc = err_set(e, ERR_DIGEST, "the parts are not as long as was said");
	return rc;
}

static void batch_needs(struct concat *c, struct batch *b)
{
	for (size_t i = 0; i < c->leaves.count; i++) {
		struct key need = key_need(&c->leaves.v[i], &c->rec->digest);

		batch_put(c->db, b, CF_RECORDS, &need, (struct bytes){ NULL, 0 });
	}
}

/* Writes the final as u says it is; with a blob of its own, unless one of that digest is there. */
static enum err_code write_final(struct concat *c, const struct upload *u, struct err *e)
{
	struct key holder = key_holder(&u->digest, &u->id);
	struct upload *made = upload_clone(u); /* nothing may fail once it is written */
	struct batch b = batch_new();
	enum err_code rc = made != NULL ? ERR_OK : err_set(e, ERR_NOMEM, "a record");

	if (rc == ERR_OK)
		rc = batch_upload(c->db, &b, c->was, u, e);
	if (rc == ERR_OK && !c->deduplicated) {
		rc = batch_blob(c->db, &b, u, &c->leaves, e);
		batch_needs(c, &b);
	}
	batch_put(c->db, &b, CF_RECORDS, &holder, (struct bytes){ NULL, 0 });
	if (rc == ERR_OK)
		rc = rdb_write(c->db, &b, true, "concatenate", e);
	batch_free(&b);
	if (rc == ERR_OK)
		c->made = made;
	else
		upload_free(made);
	return rc;
}

static enum err_code hold_blob(struct concat *c, const struct blob *b, struct err *e)
{
	struct upload u = *c->rec;

	if (b->size != c->length)
		return err_set(e, ERR_DAMAGED, "a blob of that digest has another size");
	u.offset = u.length = b->size;
	u.extents = b->extents;
	u.extent_count = b->extent_count;
	c->deduplicated = true;
	return write_final(c, &u, e);
}

static enum err_code compose_blob(struct concat *c, struct err *e)
{
	struct upload u = *c->rec;

	u.extents = c->extents.v;
	u.extent_count = c->extents.count;
	return write_final(c, &u, e);
}

static enum err_code put_together(struct concat *c, struct err *e)
{
	struct blob b;
	enum err_code rc = add_parts(c, e);

	if (rc != ERR_OK)
		return rc;
	rc = rdb_blob(c->db, &c->rec->digest, &b, NULL, e);
	if (rc == ERR_NOTFOUND)
		return compose_blob(c, e);
	if (rc != ERR_OK)
		return rc;
	rc = hold_blob(c, &b, e);
	free(b.extents);
	return rc;
}

/* by_id of the final is held. Those of the parts are not: who drops one needs by_digest for it. */
static enum err_code concat_locked(struct concat *c, struct err *e)
{
	struct stripes stripes = { { false } };
	enum err_code rc = look_at_final(c, e);

	if (rc == ERR_OK)
		rc = find_parts(c, e);
	if (rc != ERR_OK)
		return rc;
	stripes_add(&stripes, &c->rec->digest, 1);
	stripes_add(&stripes, c->digests, c->part_count);
	rdb_lock_stripes(c->db, &stripes);
	rc = put_together(c, e);
	rdb_unlock_stripes(c->db, &stripes);
	return rc;
}

/* Hands the record out, unless out is NULL. */
static void concat_fini(struct concat *c, struct upload **out)
{
	if (out != NULL) {
		*out = c->made;
		c->made = NULL;
	}
	upload_free(c->made);
	upload_free(c->was);
	extents_fini(&c->extents);
	leaves_fini(&c->leaves);
	free(c->digests);
}

enum err_code rdb_concat(void *self, const struct upload *rec, bool fresh,
			 const struct upload_id *parts, size_t part_count, bool *deduplicated,
			 struct upload **out, struct err *e)
{
	struct concat c = {
		.db = self, .rec = rec, .fresh = fresh, .parts = parts, .part_count = part_count
	};
	pthread_mutex_t *lock = rdb_id_lock(self, &rec->id);
	enum err_code rc;

	rdb_settle(self);
	pthread_mutex_lock(lock);
	rc = concat_locked(&c, e);
	pthread_mutex_unlock(lock);
	if (rc == ERR_OK)
		*deduplicated = c.deduplicated;
	concat_fini(&c, rc == ERR_OK ? out : NULL);
	return rc;
}

/* ---- as a blob that is there ---- */

/* by_digest is held. */
static enum err_code find_and_hold(struct concat *c, struct err *e)
{
	struct blob b;
	enum err_code rc = rdb_blob(c->db, &c->rec->digest, &b, NULL, e);

	if (rc != ERR_OK)
		return rc;
	c->length = b.size;
	rc = hold_blob(c, &b, e);
	free(b.extents);
	return rc;
}

/* by_id is held. */
static enum err_code reuse_locked(struct concat *c, struct err *e)
{
	pthread_mutex_t *lock = rdb_digest_lock(c->db, &c->rec->digest);
	enum err_code rc = look_at_final(c, e);

	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(lock);
	rc = find_and_hold(c, e);
	pthread_mutex_unlock(lock);
	return rc;
}

enum err_code rdb_reuse(void *self, const struct upload *rec, struct upload **out, struct err *e)
{
	struct concat c = { .db = self, .rec = rec, .fresh = true };
	pthread_mutex_t *lock = rdb_id_lock(self, &rec->id);
	enum err_code rc;

	rdb_settle(self);
	pthread_mutex_lock(lock);
	rc = reuse_locked(&c, e);
	pthread_mutex_unlock(lock);
	concat_fini(&c, rc == ERR_OK ? out : NULL);
	return rc;
}
