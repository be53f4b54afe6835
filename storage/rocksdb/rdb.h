/* rdb - what rocksdb.c and writer.c share: the database handle and the few ways of using it. For
 * the engine and its tests only.
 *
 * Locks, in the order they are taken: by_id, by_digest, locator_lock, junk_lock. The first two are
 * held over a synced write, but striped, so that different uploads sync together. */
#ifndef RESTANTE_STORAGE_ROCKSDB_RDB_H
#define RESTANTE_STORAGE_ROCKSDB_RDB_H

#include <pthread.h>
#include <stdatomic.h>

#include <rocksdb/c.h>

#include "storage/engine.h"
#include "storage/rocksdb/record.h"
#include "storage/rocksdb/row.h"

enum rdb_family { CF_RECORDS, CF_ROWS, CF_SEGMENTS, CF_COUNT };

#define RDB_STRIPES 4096
#define RDB_LOCATOR_BLOCK (1u << 20) /* locators reserved at a time */

/* A locator whose uncommitted bytes could not be removed yet. */
struct junk {
	struct upload_id id;
	uint64_t locator;
};

struct rdb {
	rocksdb_t *db;
	rocksdb_column_family_handle_t *cf[CF_COUNT];
	rocksdb_options_t *cf_options[CF_COUNT];
	rocksdb_cache_t *records_cache;
	rocksdb_writeoptions_t *synced, *unsynced;
	rocksdb_readoptions_t *reads;
	rocksdb_readoptions_t *row_reads; /* without RocksDB's checksums: row.h has its own */
	rocksdb_envoptions_t *env_options;
	rocksdb_ingestexternalfileoptions_t *ingest;
	char *tmp; /* folder of segments not yet ingested */
	uint64_t segment_threshold, segment_size, write_buffer;
	atomic_uint_fast64_t tmp_serial;    /* names in it */
	atomic_uint_fast64_t row_garbage;   /* bytes of rows deleted since the last flush for it */
	pthread_mutex_t by_id[RDB_STRIPES]; /* the record of an upload: read, decide, write */
	pthread_mutex_t by_digest[RDB_STRIPES]; /* who holds a blob: read, decide, write */
	pthread_mutex_t locator_lock;
	uint64_t locator_next, locator_end; /* to hand out, and where the reserve ends */
	pthread_mutex_t junk_lock;
	struct junk *junk;
	size_t junk_count;
	atomic_bool unsettled; /* junk or garbage is left that should be gone */
	pthread_t collector;   /* rocksdb.c tells */
	bool collecting, stopping;
	pthread_mutex_t collector_lock;
	pthread_cond_t collector_wakes;
};

/* RocksDB's bytes are char. */
static inline const char *chars(const void *p)
{
	return p;
}

/* Turns RocksDB's text (freed here) into an error. Reading, corruption is ERR_DAMAGED; writing,
 * it is ERR_IO like any other refusal. */
enum err_code rdb_read_failed(struct err *e, const char *what, char *text);
enum err_code rdb_write_failed(struct err *e, const char *what, char *text);

pthread_mutex_t *rdb_id_lock(struct rdb *r, const struct upload_id *id);
pthread_mutex_t *rdb_digest_lock(struct rdb *r, const struct digest *d);

/* The value of a key, to be destroyed by the caller; NULL in *out if there is none. */
enum err_code rdb_get(struct rdb *r, enum rdb_family f, const struct key *k,
		      rocksdb_pinnableslice_t **out, struct err *e);
enum err_code rdb_has(struct rdb *r, const struct key *k, bool *out, struct err *e);
struct bytes rdb_value(const rocksdb_pinnableslice_t *s);

/* Applies a batch: durable on return if sync. */
enum err_code rdb_write(struct rdb *r, rocksdb_writebatch_t *b, bool sync, const char *what,
			struct err *e);

void batch_put(struct rdb *r, rocksdb_writebatch_t *b, enum rdb_family f, const struct key *k,
	       struct bytes value);
/* A row with its checksum. */
void batch_put_row(struct rdb *r, rocksdb_writebatch_t *b, uint64_t locator, uint64_t offset,
		   struct bytes data);
void batch_delete(struct rdb *r, rocksdb_writebatch_t *b, enum rdb_family f, const struct key *k);

/* Deletes the rows of a locator from an offset on. */
void batch_delete_rows_from(struct rdb *r, rocksdb_writebatch_t *b, uint64_t locator,
			    uint64_t from);

/* Gives extents up: rows are deleted by the batch itself; segments are marked as garbage by it, to
 * be removed by rdb_reap() once it is written. */
void batch_release(struct rdb *r, rocksdb_writebatch_t *b, const struct extent *v, size_t count);
void rdb_reap(struct rdb *r, const struct extent *v, size_t count);

enum err_code rdb_lookup(struct rdb *r, const struct upload_id *id, struct upload **out,
			 struct err *e);
enum err_code rdb_blob(struct rdb *r, const struct digest *d, struct blob *out, struct err *e);

/* A locator never used before. */
enum err_code rdb_locator(struct rdb *r, uint64_t *out, struct err *e);

/* Removes what a locator has from an offset on and no record counts, and its mark. */
enum err_code rdb_remove_junk(struct rdb *r, uint64_t locator, uint64_t from, struct err *e);

/* For later: removing failed. The mark is still there, so that a restart finds it in any case. */
void rdb_note_junk(struct rdb *r, const struct upload_id *id, uint64_t locator);

/* Tries again what removals failed. Cheap when none did. */
void rdb_settle(struct rdb *r);

/* writer.c */
enum err_code rdb_write_open(void *self, const struct upload *rec, bool fresh, uint64_t expect,
			     void **out, struct err *e);
enum err_code rdb_stage(void *self, void *writer, struct bytes data, struct err *e);
enum err_code rdb_commit(void *self, void *writer, const struct commit *c, bool *deduplicated,
			 struct upload **rec, struct err *e);
void rdb_write_close(void *self, void *writer);

#endif
