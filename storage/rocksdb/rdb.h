/* rdb - what the files of the engine share: the database handle, the few ways of using it, and what
 * each file does for the others. For the engine and its tests only.
 *
 * Locks, in the order they are taken: mover_lock, due_lock, by_id, by_digest, files_lock (shared),
 * moving_lock, the lock of packs, locator_lock, junk_lock, floor_lock. The first two are
 * held over a synced write, but striped, so that different uploads sync together. Of by_id a thread
 * takes one; of by_digest several, where blobs need each other, in ascending order. */
#ifndef RESTANTE_STORAGE_ROCKSDB_RDB_H
#define RESTANTE_STORAGE_ROCKSDB_RDB_H

#include <pthread.h>
#include <stdatomic.h>

#include <rocksdb/c.h>

#include "storage/engine.h"
#include "storage/rocksdb/pack.h"
#include "storage/rocksdb/record.h"
#include "storage/rocksdb/row.h"

enum rdb_family { CF_RECORDS, CF_ROWS, CF_POINTERS, CF_SEGMENTS, CF_COUNT };

#define RDB_STRIPES 4096
#define RDB_ROW_APART 4096           /* bytes; rows from there on lie in packs */
#define RDB_RECORDS_CACHE (8u << 20) /* bytes of blocks */
#define RDB_POINTERS_CACHE (8u << 20)
#define RDB_LOCATOR_BLOCK (1u << 20) /* locators reserved at a time */

/* What is counted of the store. */
enum alive { ALIVE_UPLOADS, ALIVE_FINISHED, ALIVE_BYTES, ALIVE_COUNT };

enum ballast { BALLAST_NONE, BALLAST_KEPT, BALLAST_THROWN };

/* A locator whose uncommitted bytes could not be removed yet. */
struct junk {
	struct upload_id id;
	uint64_t locator;
};

struct rdb {
	rocksdb_t *db;
	rocksdb_column_family_handle_t *cf[CF_COUNT];
	rocksdb_options_t *cf_options[CF_COUNT];
	rocksdb_cache_t *records_cache, *pointers_cache;
	rocksdb_writeoptions_t *synced, *unsynced;
	rocksdb_readoptions_t *reads;
	rocksdb_readoptions_t *reads_past; /* records, past the cache */
	rocksdb_readoptions_t *row_reads;  /* without RocksDB's checksums: row.h has its own */
	rocksdb_readoptions_t *reads_now;  /* of what is in memory only */
	rocksdb_envoptions_t *env_options;
	rocksdb_ingestexternalfileoptions_t *ingest;
	char *tmp; /* folder of segments not yet ingested */
	uint64_t segment_threshold, segment_size, write_buffer;
	struct packs *packs;
	bool drains; /* rows of RDB_ROW_APART and more may be among the rows, of an older format */
	pthread_rwlock_t moving_lock;       /* shared: rows are deleted; mover.c tells */
	atomic_uint_fast64_t pack_garbage;  /* bytes in packs known to be dead */
	atomic_uint_fast64_t pack_news;     /* of these since the collector was woken for them */
	atomic_bool pack_unknown;           /* a crash has lost how many are */
	pthread_mutex_t mover_lock;         /* packs go only under it, and */
	bool moving;                        /* the mover is going round */
	struct key move_at;                 /* how far it is */
	atomic_uint_fast64_t tmp_serial;    /* names in it */
	atomic_uint_fast64_t row_garbage;   /* bytes of rows deleted since the last flush for it */
	pthread_mutex_t by_id[RDB_STRIPES]; /* the record of an upload: read, decide, write */
	pthread_mutex_t by_digest[RDB_STRIPES]; /* who holds or needs a blob: read, decide, write */
	pthread_mutex_t locator_lock;
	uint64_t locator_next, locator_end; /* to hand out, and where the reserve ends */
	pthread_mutex_t junk_lock;
	struct junk *junk;
	size_t junk_count;
	atomic_bool unsettled;                   /* junk or garbage is left that should be gone */
	atomic_uint_fast64_t alive[ALIVE_COUNT]; /* as the database has it */
	pthread_mutex_t due_lock;                /* one at a time lists what is due */
	pthread_mutex_t floor_lock;              /* short, of the two below */
	struct key due_floor;                    /* no entry of the due index is before it */
	struct key due_late;         /* the earliest written since the listing under way began */
	pthread_rwlock_t files_lock; /* shared: segments come and go; snapshot.c tells */
	pthread_t collector;         /* collector.c tells */
	bool collecting, stopping;
	pthread_mutex_t collect_lock; /* one at a time compacts, and turns collection on and off */
	pthread_mutex_t collector_lock;
	pthread_cond_t collector_wakes;
	atomic_uint_fast64_t
		disk_bytes; /* that all files take up, as the collector has seen last */
	int64_t looked_ms;  /* the collector's own */
	char *dir;
	char *ballast; /* its path; ballast.c tells */
	uint64_t ballast_size;
	_Atomic(enum ballast) ballast_state;
	pthread_mutex_t ballast_lock; /* of the file, and */
	int64_t thrown_ms;
	atomic_bool hurry;    /* long calls end soon */
	atomic_bool was_full; /* a write has failed for it */
};

/* RocksDB's bytes are char. */
static inline const char *chars(const void *p)
{
	return p;
}

/* ---- rdb.c: the few ways of using the database ---- */

/* Turns RocksDB's text (freed here) into an error. Reading, corruption is ERR_DAMAGED; writing,
 * it is ERR_IO like any other refusal. Opening, a folder in use is ERR_BUSY and a family nobody
 * here knows ERR_FORMAT. */
enum err_code rdb_read_failed(struct err *e, const char *what, char *text);
enum err_code rdb_write_failed(struct err *e, const char *what, char *text);
enum err_code rdb_open_failed(struct err *e, const char *dir, char *text);

pthread_mutex_t *rdb_id_lock(struct rdb *r, const struct upload_id *id);
pthread_mutex_t *rdb_digest_lock(struct rdb *r, const struct digest *d);

/* Locks of by_digest to be held together. Zeroes are none. */
struct stripes {
	bool taken[RDB_STRIPES];
};
void stripes_add(struct stripes *s, const struct digest *v, size_t count);
void rdb_lock_stripes(struct rdb *r, const struct stripes *s); /* in ascending order, each once */
void rdb_unlock_stripes(struct rdb *r, const struct stripes *s);

/* The value of a key, to be destroyed by the caller; NULL in *out if there is none. */
enum err_code rdb_get(struct rdb *r, enum rdb_family f, const struct key *k,
		      rocksdb_pinnableslice_t **out, struct err *e);
enum err_code rdb_has(struct rdb *r, const struct key *k, bool *out, struct err *e);
struct bytes rdb_value(const rocksdb_pinnableslice_t *s);

/* Key and value are the iterator's, until it moves. rdb_iter_end() ends it and says whether an
 * error did so before. */
struct bytes rdb_iter_key(const rocksdb_iterator_t *it);
struct bytes rdb_iter_value(const rocksdb_iterator_t *it);
enum err_code rdb_iter_end(rocksdb_iterator_t *it, struct err *e);

/* Whether it stands on a key that begins so. */
bool rdb_iter_within(const rocksdb_iterator_t *it, const uint8_t *prefix, size_t len);

/* Whether segments may be taken over. After RocksDB 7.8.3 has met a full disk and gone on, it
 * believes that it is stopped when it is asked to, without an error to tell, and fails an
 * assertion: so none are before the next opening, and bytes go as rows. */
bool rdb_takes_segments(struct rdb *r);

/* Refreshes disk_bytes: asks for each file, so that is done now and then, by the collector. */
void rdb_look_at_disk(struct rdb *r);

/* Writes what is in memory into tables. */
enum err_code rdb_flush(struct rdb *r, struct err *e);

/* Iteration over the records from one key up to another, `end`, which is not among them. Nothing
 * behind the end is looked at: expiry leaves deleted keys in great number, and an iterator without
 * an end walks over all of them before it says that there is nothing. `it` stands on the first;
 * ended by range_close() as by rdb_iter_end(). It must not be moved in memory. */
struct range {
	struct key end;
	rocksdb_readoptions_t *reads;
	rocksdb_iterator_t *it;
};
void range_open(struct rdb *r, struct range *x, const struct key *from, const struct key *end);
/* Up to the last key that begins like `from` in its first n bytes. */
void range_open_prefix(struct rdb *r, struct range *x, const struct key *from, size_t n);
enum err_code range_close(struct range *x, struct err *e);

/* A locator never used before; and, at open, where they go on. */
enum err_code rdb_locator(struct rdb *r, uint64_t *out, struct err *e);
enum err_code rdb_locators_load(struct rdb *r, struct err *e);

/* out->extents is the caller's to free(), *leaves (unless NULL) to leaves_fini(). */
enum err_code rdb_blob(struct rdb *r, const struct digest *d, struct blob *out,
		       struct leaves *leaves, struct err *e);

enum err_code rdb_next_blob(void *self, const struct digest *after, struct blob *out,
			    struct err *e);

/* ---- batch.c: what is written together ---- */

/* What a batch does to the counts. */
struct change {
	int64_t uploads, finished, bytes;
};

struct batch {
	rocksdb_writebatch_t *writes;
	struct change change;
	struct key due; /* the earliest entry of the due index among the writes; length 0: none */
	bool deletes_rows; /* so the mover must not write meanwhile */
};

struct batch batch_new(void);
void batch_free(struct batch *b);

/* Applies a batch, once: durable on return if sync. */
enum err_code rdb_write(struct rdb *r, struct batch *b, bool sync, const char *what, struct err *e);

void batch_put(struct rdb *r, struct batch *b, enum rdb_family f, const struct key *k,
	       struct bytes value);
/* A row with its checksum. A short one lies in the batch itself; the bytes of others are appended
 * to a pack, and packs_durable() comes before the batch is written, packs_pointed() after. */
enum err_code batch_put_row(struct rdb *r, struct batch *b, uint64_t locator, uint64_t offset,
			    struct bytes data, struct pack_hold *hold, struct err *e);
void batch_delete(struct rdb *r, struct batch *b, enum rdb_family f, const struct key *k);
void batch_put_due(struct rdb *r, struct batch *b, int64_t expires_s, const struct upload_id *id);

/* Puts the blob that a finished upload holds, as its record says it is; or deletes it, which lies
 * in these extents. */
enum err_code batch_blob(struct rdb *r, struct batch *b, const struct upload *u,
			 const struct leaves *leaves, struct err *e);
void batch_delete_blob(struct rdb *r, struct batch *b, const struct digest *d,
		       const struct extent *v, size_t count);

/* ---- alive.c: how many there are ---- */

/* At open: counts, where nobody did so far. */
enum err_code alive_load(struct rdb *r, struct err *e);

struct key key_alive(enum alive which);
bool alive_decode(struct bytes in, uint64_t *out); /* false if it is no such value */

/* An upload comes (1) or goes (-1); its blob does so by itself. */
void change_add(struct change *c, const struct upload *u, int64_t times);

void batch_alive(struct rdb *r, struct batch *b);          /* before it is written */
void alive_changed(struct rdb *r, const struct change *c); /* after */

/* ---- due.c: what is due ---- */

void due_begin(struct rdb *r);                               /* at open */
void due_written(struct rdb *r, const struct key *earliest); /* length 0: none */
enum err_code rdb_due(void *self, int64_t now, struct upload_id *ids, size_t max, size_t *count,
		      struct err *e);
enum err_code rdb_overdue(void *self, int64_t before_s, uint64_t max, struct store_overdue *out,
			  struct err *e);

/* ---- uploads.c ---- */

enum err_code rdb_lookup(struct rdb *r, const struct upload_id *id, struct upload **out,
			 struct err *e);
enum err_code rdb_extend(void *self, const struct upload_id *id, int64_t expires_s, struct err *e);
enum err_code rdb_bucket(void *self, const struct bucket_id *b, store_each *each, void *ctx,
			 struct err *e);
enum err_code rdb_next_open(void *self, const struct upload_id *after, struct upload_id *out,
			    struct err *e);

/* Puts a record, and what changes in the indexes; was: the record that is there, NULL if none. */
enum err_code batch_upload(struct rdb *r, struct batch *b, const struct upload *was,
			   const struct upload *now, struct err *e);

/* Deletes both; unless remember_until_s is 0, a tombstone takes their place. */
void batch_forget_upload(struct rdb *r, struct batch *b, const struct upload *u,
			 int64_t remember_until_s);

/* Forgets one that is due. by_id is held, and a lookup has just said ERR_DELETED. */
enum err_code rdb_forget_tombstone(struct rdb *r, const struct upload_id *id,
				   const struct dropping *d, struct err *e);

/* ---- acknowledge.c ---- */

enum err_code rdb_acknowledge(void *self, const struct upload_id *id, uint16_t recipient,
			      int64_t remember_until_s, uint16_t *left, struct dropped *out,
			      struct err *e);

/* ---- concat.c ---- */

enum err_code rdb_concat(void *self, const struct upload *rec, bool fresh,
			 const struct upload_id *parts, size_t part_count, bool *deduplicated,
			 struct upload **out, struct err *e);
enum err_code rdb_reuse(void *self, const struct upload *rec, struct upload **out, struct err *e);

/* ---- packed.c: rows whose bytes lie in packs ---- */

/* What is said of one under its key in the pointers family. */
struct pointer {
	struct pack_place place;
	uint8_t sum[ROW_SUM_SIZE]; /* as of any row */
};
#define POINTER_SIZE (8 + 4 + 4 + ROW_SUM_SIZE)
void pointer_encode(uint8_t out[static POINTER_SIZE], const struct pointer *p);
bool pointer_decode(struct bytes in, struct pointer *out); /* false if `in` is none */

/* The bytes of the piece at that key, all of them. ERR_NOTFOUND: no such piece. */
enum err_code packed_read(struct rdb *r, uint64_t locator, uint64_t offset, struct chunk **out,
			  struct err *e);

/* The same, or ERR_BUSY: not without waiting. */
enum err_code packed_read_now(struct rdb *r, uint64_t locator, uint64_t offset, struct chunk **out,
			      struct err *e);

/* At open, and at the end: what is known of the garbage in packs. */
enum err_code packed_open(struct rdb *r, struct err *e);
void packed_close(struct rdb *r);

/* ---- mover.c: gives the space of packs back ---- */

/* One step; false if there is nothing to do that is worth it. */
bool mover_step(struct rdb *r, uint64_t least);

/* ---- read.c ---- */

enum err_code rdb_read(void *self, const struct extent *x, uint64_t at, struct chunk **out,
		       struct err *e);
/* Bytes of a row or segment that begins at `from`, wanted from `at` on and at most to the extent's
 * end. Takes over s. */
enum err_code rdb_wrap_piece(rocksdb_pinnableslice_t *s, const struct extent *x, uint64_t from,
			     uint64_t at, struct chunk **out, struct err *e);

/* The same of one that lies in a pack. Takes over the piece. */
enum err_code rdb_cut_piece(struct chunk *piece, const struct extent *x, uint64_t from, uint64_t at,
			    struct chunk **out, struct err *e);

/* ---- now.c ---- */

/* As rdb_get(), but ERR_BUSY if a disk would have to be waited for. */
enum err_code rdb_get_now(struct rdb *r, enum rdb_family f, const struct key *k,
			  rocksdb_pinnableslice_t **out, struct err *e);

enum err_code rdb_lookup_now(void *self, const struct upload_id *id, struct upload **out,
			     struct err *e);
enum err_code rdb_read_now(void *self, const struct extent *x, uint64_t at, struct chunk **out,
			   struct err *e);

/* ---- drop.c ---- */

/* by_id is held. */
enum err_code rdb_drop_locked(struct rdb *r, const struct upload_id *id, struct dropping *d,
			      struct err *e);
enum err_code rdb_drop(void *self, const struct upload_id *id, struct dropping *d, struct err *e);

/* Deletes the rows of a locator from an offset on. */
void batch_delete_rows_from(struct rdb *r, struct batch *b, uint64_t locator, uint64_t from);

/* Gives extents up, which must not be borrowed: rows are deleted by the batch itself; segments are
 * marked as garbage by it, to be removed by rdb_reap() once it is written. */
void batch_release(struct rdb *r, struct batch *b, const struct extent *v, size_t count);
void rdb_reap(struct rdb *r, const struct extent *v, size_t count);

/* Removes what a locator has from an offset on and no record counts, and its mark. */
enum err_code rdb_remove_junk(struct rdb *r, uint64_t locator, uint64_t from, struct err *e);

/* For later: removing failed. The mark is still there, so that a restart finds it in any case. */
void rdb_note_junk(struct rdb *r, const struct upload_id *id, uint64_t locator);

/* Tries again what removals failed. Cheap when none did. */
void rdb_settle(struct rdb *r);

/* At open: removes what a crash left. */
enum err_code rdb_recover(struct rdb *r, struct err *e);

/* ---- collector.c: a thread that gives the space of rows back ---- */

enum err_code collector_start(struct rdb *r, struct err *e);
void collector_stop(struct rdb *r); /* fine if it never started */

/* There may be something to collect. */
void collector_wake(struct rdb *r);

enum err_code rdb_give_back(void *self, uint64_t budget_ms, struct err *e);
void rdb_hurry(void *self);

/* ---- ballast.c: room kept for dropping on a full disk ---- */

void ballast_open(struct rdb *r);  /* at open */
void ballast_tend(struct rdb *r);  /* makes it, if it is not there and there is room */
bool ballast_throw(struct rdb *r); /* gives it up; false if there is none */

/* After it was given up: waits a moment for RocksDB to go on; false if that is of no use any more.
 */
bool ballast_wait(struct rdb *r);

/* For who brings bytes: ERR_FULL as long as it is given up, or there is little more. */
enum err_code ballast_check(struct rdb *r, struct err *e);

/* ---- snapshot.c ---- */

enum err_code rdb_snapshot(void *self, const char *dir, struct err *e);

/* ---- writer.c ---- */

enum err_code rdb_write_open(void *self, const struct upload *rec, bool fresh, uint64_t expect,
			     void **out, struct err *e);
enum err_code rdb_stage(void *self, void *writer, struct bytes data, struct err *e);
enum err_code rdb_commit(void *self, void *writer, const struct commit *c, bool *deduplicated,
			 struct upload **rec, struct err *e);
void rdb_write_close(void *self, void *writer);

#endif
