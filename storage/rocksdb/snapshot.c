/* snapshot - a copy of the store as it is, made of hard links while everybody goes on.
 *
 * RocksDB takes the list of files first and the log after. What comes between the two must be in
 * the log alone: so no segment is taken over or removed meanwhile, or the copy's records would name
 * a segment that it does not have, or forget one that it has. Rows and records go on. Packs come
 * last: every one that a pointer of the copy names is there by then, and none goes before. They are
 * sealed for it, so that nothing in the copy grows any more. */
#include "storage/rocksdb/rdb.h"

#include <fcntl.h>
#include <string.h>

#include "base/files.h"

static enum err_code snapshot_failed(struct err *e, const char *dir, char *text)
{
	if (strstr(text, "exists") != NULL) {
		rocksdb_free(text);
		return err_set(e, ERR_EXISTS, "%s is there already", dir);
	}
	return rdb_write_failed(e, "snapshot", text);
}

/* What is flushed is linked; the rest of the log is copied. */
static enum err_code link_files(struct rdb *r, const char *dir, struct err *e)
{
	char *text = NULL;
	rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(r->db, &text);

	if (text != NULL)
		return rdb_write_failed(e, "snapshot", text);
	pthread_rwlock_wrlock(&r->files_lock);
	rocksdb_checkpoint_create(c, dir, 0, &text);
	pthread_rwlock_unlock(&r->files_lock);
	rocksdb_checkpoint_object_destroy(c);
	return text != NULL ? snapshot_failed(e, dir, text) : ERR_OK;
}

/* What is not whole does not stay. */
static enum err_code link_all(struct rdb *r, const char *dir, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&r->mover_lock);
	rc = link_files(r, dir, e);
	if (rc == ERR_OK) {
		rc = packs_link(r->packs, dir, e);
		if (rc != ERR_OK)
			(void)files_remove(AT_FDCWD, dir, NULL);
	}
	pthread_mutex_unlock(&r->mover_lock);
	return rc;
}

enum err_code rdb_snapshot(void *self, const char *dir, struct err *e)
{
	struct rdb *r = self;
	enum err_code rc = rdb_flush(r, e); /* so that little is left to do under the locks */

	if (rc == ERR_OK)
		rc = link_all(r, dir, e);
	rdb_settle(r);
	return rc;
}
