/* rocksdb - the engine: how it is opened, and its table. */
#include "storage/rocksdb/rdb.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOG_LEVEL_HEADERS 5     /* RocksDB's own log says how it was opened, and no more */
#define ROOM_TO_OPEN (1u << 20) /* bytes */
/* What RocksDB has in memory, and the room that it sets aside for a new log and a new manifest. */
#define BALLAST_BUFFERS 2
#define BALLAST_LEAST (8u << 20)
#define META_FORMAT "format"

static const char *const family_names[CF_COUNT] = { "default", "rows", "pointers", "segments" };

/* ---- options ---- */

/* What holds for all families alike; ciphertext does not compress. */
static rocksdb_options_t *family_options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();

	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_max_write_buffer_number(o, 3);
	return o;
}

static rocksdb_options_t *records_options(struct rdb *r)
{
	rocksdb_options_t *o = family_options();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	r->records_cache = rocksdb_cache_create_lru(RDB_RECORDS_CACHE);
	rocksdb_block_based_options_set_block_cache(t, r->records_cache);
	rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_ribbon(10));
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_options_set_uint64add_merge_operator(o); /* for the counts of alive.c */
	rocksdb_options_set_write_buffer_size(o, r->write_buffer / 4);
	return o;
}

/* Bulk data is cached by the server; only indexes stay in memory, outside of any block cache. */
static rocksdb_options_t *bulk_options(uint64_t write_buffer)
{
	rocksdb_options_t *o = family_options();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_no_block_cache(t, 1);
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_options_set_write_buffer_size(o, write_buffer);
	return o;
}

static rocksdb_options_t *rows_options(struct rdb *r)
{
	rocksdb_options_t *o = bulk_options(r->write_buffer);

	/* Only those of an older format are that long: what is written now lies beside its key. */
	rocksdb_options_set_enable_blob_files(o, 1);
	rocksdb_options_set_min_blob_size(o, RDB_ROW_APART + ROW_SUM_SIZE);
	rocksdb_options_set_blob_compression_type(o, rocksdb_no_compression);
	/* the collector turns it on when it pays */
	rocksdb_options_set_enable_blob_gc(o, 0);
	rocksdb_options_set_blob_gc_age_cutoff(o, 1.0);
	/* Millions of short rows make hundreds of such files, which can all be open. */
	rocksdb_options_set_target_file_size_base(o, 16 << 20);
	return o;
}

/* Their keys are given out in the order of time, and what is fetched lately was mostly stored at
 * about the same time: a block has some 80 of them, so the cache those of some 100,000 rows. */
static rocksdb_options_t *pointers_options(struct rdb *r)
{
	rocksdb_options_t *o = family_options();
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	r->pointers_cache = rocksdb_cache_create_lru(RDB_POINTERS_CACHE);
	rocksdb_block_based_options_set_block_cache(t, r->pointers_cache);
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	rocksdb_options_set_write_buffer_size(o, r->write_buffer / 4);
	return o;
}

static rocksdb_options_t *segments_options(void)
{
	rocksdb_options_t *o = bulk_options(1 << 20);

	rocksdb_options_set_disable_auto_compactions(o, 1);
	return o;
}

/* Commits that meet share one sync, but RocksDB lets a group of small batches grow by an eighth of
 * this only: with its 1 MiB, two photos a sync. There is no setter. */
static rocksdb_options_t *with_large_groups(rocksdb_options_t *plain)
{
	rocksdb_options_t *o = rocksdb_options_create();
	char *text = NULL;

	rocksdb_get_options_from_string(plain, "max_write_batch_group_size_bytes=67108864", o,
					&text);
	assert(text == NULL);
	rocksdb_options_destroy(plain);
	return o;
}

static rocksdb_options_t *database_options(const struct rdb *r)
{
	rocksdb_options_t *o = with_large_groups(rocksdb_options_create());

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_create_missing_column_families(o, 1);
	rocksdb_options_set_paranoid_checks(o, 1);
	/* a torn record at the end of the log was never acknowledged */
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	/* families that rarely flush would keep logs for ever */
	rocksdb_options_set_max_total_wal_size(o, 4 * r->write_buffer);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_max_open_files(o, 4000);
	rocksdb_options_set_bytes_per_sync(o, 1 << 20);
	rocksdb_options_set_max_manifest_file_size(o, 16 << 20);
	/* Nothing goes to RocksDB's own log once it is open: on a full disk 7.8.3 fails an
	 * assertion inside the logger and takes the process with it. Calls say what is wrong. */
	rocksdb_options_set_info_log_level(o, LOG_LEVEL_HEADERS);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	return o;
}

static void make_options(struct rdb *r)
{
	r->cf_options[CF_RECORDS] = records_options(r);
	r->cf_options[CF_ROWS] = rows_options(r);
	r->cf_options[CF_POINTERS] = pointers_options(r);
	r->cf_options[CF_SEGMENTS] = segments_options();
	r->reads = rocksdb_readoptions_create();
	r->reads_past = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(r->reads_past, 0);
	r->row_reads = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(r->row_reads, 0);
	r->reads_now = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(r->reads_now, 1); /* what is in memory */
	r->synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(r->synced, 1);
	r->unsynced = rocksdb_writeoptions_create();
	r->env_options = rocksdb_envoptions_create();
	r->ingest = rocksdb_ingestexternalfileoptions_create();
	rocksdb_ingestexternalfileoptions_set_move_files(r->ingest, 1);
	rocksdb_ingestexternalfileoptions_set_snapshot_consistency(r->ingest, 0);
}

/* ---- opening ---- */

static enum err_code make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return ERR_OK;
	return err_set(e, errno == ENOSPC ? ERR_FULL : ERR_IO, "make %s: %s", path,
		       strerror(errno));
}

/* Opening writes a little, and on a disk without a byte left RocksDB would not fail but abort, as
 * database_options() tells. */
static enum err_code check_room(const char *path, struct err *e)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return err_set(e, ERR_IO, "look at %s: %s", path, strerror(errno));
	if ((uint64_t)fs.f_bavail * fs.f_frsize < ROOM_TO_OPEN)
		return err_set(e, ERR_FULL, "no room to open %s", path);
	return ERR_OK;
}

/* RocksDB itself says of one without this file that there is none, and makes it. */
static enum err_code check_existing(const char *path, struct err *e)
{
	char current[4096];
	struct stat st;

	(void)snprintf(current, sizeof(current), "%s/CURRENT", path);
	if (stat(current, &st) == 0)
		return ERR_OK;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(e, ERR_NOTFOUND, "there is no store in %.100s", path);
	return err_set(e, ERR_IO, "look at %.100s: %s", path, strerror(errno));
}

/* Segments that no ingest took over before a crash. */
static enum err_code empty_tmp(const char *path, struct err *e)
{
	DIR *d = opendir(path);
	struct dirent *f;

	if (d == NULL)
		return err_set(e, ERR_IO, "open %s: %s", path, strerror(errno));
	while ((f = readdir(d)) != NULL)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			(void)unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return ERR_OK;
}

static enum err_code open_database(struct rdb *r, const char *dir, struct err *e)
{
	rocksdb_options_t *o = database_options(r);
	char *text = NULL;

	r->db = rocksdb_open_column_families(o, dir, CF_COUNT, family_names,
					     (const rocksdb_options_t *const *)r->cf_options, r->cf,
					     &text);
	rocksdb_options_destroy(o);
	return text != NULL ? rdb_open_failed(e, dir, text) : ERR_OK;
}

static enum err_code write_format(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_FORMAT);
	uint8_t value[4];
	char *text = NULL;

	bytes_put_u32(value, STORE_FORMAT);
	rocksdb_put_cf(r->db, r->synced, r->cf[CF_RECORDS], chars(k.b), k.len, chars(value),
		       sizeof(value), &text);
	return text != NULL ? rdb_write_failed(e, "write format", text) : ERR_OK;
}

static enum err_code check_format(struct rdb *r, struct err *e)
{
	struct key k = key_meta(META_FORMAT);
	rocksdb_pinnableslice_t *s = NULL;
	struct bytes v;
	uint32_t format = 0;
	enum err_code rc = rdb_get(r, CF_RECORDS, &k, &s, e);

	if (rc != ERR_OK)
		return rc;
	if (s == NULL)
		return write_format(r, e);
	v = rdb_value(s);
	if (v.len == 4)
		format = bytes_get_u32(v.data);
	rocksdb_pinnableslice_destroy(s);
	if (format == 0)
		return err_set(e, ERR_DAMAGED, "the store's format is not readable");
	if (format > STORE_FORMAT)
		return err_set(e, ERR_FORMAT, "store format %u is newer than this program's %u",
			       format, STORE_FORMAT);
	/* Format 1 had neither composed blobs nor unfinished uploads, and before format 4 there
	 * were no buckets: there is nothing to index; what is alive is counted further on. Before
	 * format 5 there were no packs, and all rows in one family. A program of that time must not
	 * open this one any more. */
	r->drains = format < 5;
	return format < STORE_FORMAT ? write_format(r, e) : ERR_OK;
}

static void free_options(struct rdb *r)
{
	for (int i = 0; i < CF_COUNT; i++)
		if (r->cf_options[i] != NULL)
			rocksdb_options_destroy(r->cf_options[i]);
	if (r->records_cache != NULL)
		rocksdb_cache_destroy(r->records_cache);
	if (r->pointers_cache != NULL)
		rocksdb_cache_destroy(r->pointers_cache);
	if (r->reads != NULL)
		rocksdb_readoptions_destroy(r->reads);
	if (r->reads_past != NULL)
		rocksdb_readoptions_destroy(r->reads_past);
	if (r->row_reads != NULL)
		rocksdb_readoptions_destroy(r->row_reads);
	if (r->reads_now != NULL)
		rocksdb_readoptions_destroy(r->reads_now);
	if (r->synced != NULL)
		rocksdb_writeoptions_destroy(r->synced);
	if (r->unsynced != NULL)
		rocksdb_writeoptions_destroy(r->unsynced);
	if (r->env_options != NULL)
		rocksdb_envoptions_destroy(r->env_options);
	if (r->ingest != NULL)
		rocksdb_ingestexternalfileoptions_destroy(r->ingest);
}

static void close_engine(void *self)
{
	struct rdb *r = self;

	if (r == NULL)
		return;
	collector_stop(r);
	packed_close(r);
	for (int i = 0; i < CF_COUNT; i++)
		if (r->db != NULL && r->cf[i] != NULL)
			rocksdb_column_family_handle_destroy(r->cf[i]);
	if (r->db != NULL)
		rocksdb_close(r->db);
	free_options(r);
	for (size_t i = 0; i < RDB_STRIPES; i++) {
		pthread_mutex_destroy(&r->by_id[i]);
		pthread_mutex_destroy(&r->by_digest[i]);
	}
	pthread_rwlock_destroy(&r->moving_lock);
	pthread_mutex_destroy(&r->mover_lock);
	pthread_mutex_destroy(&r->locator_lock);
	pthread_mutex_destroy(&r->junk_lock);
	pthread_mutex_destroy(&r->due_lock);
	pthread_mutex_destroy(&r->floor_lock);
	pthread_rwlock_destroy(&r->files_lock);
	pthread_mutex_destroy(&r->collect_lock);
	pthread_mutex_destroy(&r->collector_lock);
	pthread_cond_destroy(&r->collector_wakes);
	pthread_mutex_destroy(&r->ballast_lock);
	free(r->junk);
	free(r->tmp);
	free(r->ballast);
	free(r->dir);
	free(r);
}

/* Who takes one alone need not wait until nobody happens to share it. */
static void make_shared_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &a);
	pthread_rwlockattr_destroy(&a);
}

static void make_locks(struct rdb *r)
{
	pthread_condattr_t monotonic;

	make_shared_lock(&r->files_lock);
	make_shared_lock(&r->moving_lock);
	pthread_mutex_init(&r->mover_lock, NULL);
	pthread_mutex_init(&r->collect_lock, NULL);

	for (size_t i = 0; i < RDB_STRIPES; i++) {
		pthread_mutex_init(&r->by_id[i], NULL);
		pthread_mutex_init(&r->by_digest[i], NULL);
	}
	pthread_mutex_init(&r->locator_lock, NULL);
	pthread_mutex_init(&r->junk_lock, NULL);
	pthread_mutex_init(&r->due_lock, NULL);
	pthread_mutex_init(&r->floor_lock, NULL);
	pthread_mutex_init(&r->collector_lock, NULL);
	pthread_mutex_init(&r->ballast_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->collector_wakes, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static struct rdb *make(const struct store_options *opt)
{
	struct rdb *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	make_locks(r);
	r->segment_threshold = opt->segment_threshold > 0 ? opt->segment_threshold : 4u << 20;
	r->segment_size = opt->segment_size > 0 ? opt->segment_size : 64u << 20;
	r->write_buffer = opt->write_buffer > 0 ? opt->write_buffer : 32u << 20;
	r->ballast_size = BALLAST_BUFFERS * r->write_buffer + BALLAST_LEAST;
	if (asprintf(&r->tmp, "%s/tmp", opt->dir) < 0)
		r->tmp = NULL;
	if (asprintf(&r->ballast, "%s/ballast", opt->dir) < 0)
		r->ballast = NULL;
	r->dir = strdup(opt->dir);
	make_options(r);
	due_begin(r);
	return r;
}

static enum err_code open_engine(void **self, const struct store_options *opt, struct err *e)
{
	struct rdb *r = make(opt);
	enum err_code rc;

	if (r == NULL || r->tmp == NULL || r->ballast == NULL || r->dir == NULL) {
		rc = err_set(e, ERR_NOMEM, "the engine");
		goto out;
	}
	rc = opt->existing ? check_existing(opt->dir, e) : make_folder(opt->dir, e);
	if (rc == ERR_OK)
		rc = check_room(opt->dir, e);
	if (rc == ERR_FULL && unlink(r->ballast) == 0)
		rc = check_room(opt->dir, e);
	if (rc == ERR_OK)
		rc = open_database(r, opt->dir, e); /* takes the lock on the folder */
	if (rc == ERR_FULL && unlink(r->ballast) == 0)
		rc = open_database(r, opt->dir, e);
	if (rc == ERR_OK)
		ballast_open(r);
	if (rc == ERR_OK)
		rdb_look_at_disk(r);
	if (rc == ERR_OK)
		rc = check_format(r, e);
	if (rc == ERR_OK)
		rc = make_folder(r->tmp, e);
	if (rc == ERR_OK)
		rc = empty_tmp(r->tmp, e);
	if (rc == ERR_OK)
		rc = rdb_locators_load(r, e);
	if (rc == ERR_OK)
		rc = packed_open(r, e);
	if (rc == ERR_OK)
		rc = alive_load(r, e);
	if (rc == ERR_OK)
		rc = rdb_recover(r, e);
	if (rc == ERR_OK)
		rc = collector_start(r, e);
	if (rc != ERR_OK)
		goto out;
	*self = r;
	r = NULL;
out:
	close_engine(r);
	return rc;
}

/* ---- the table ---- */

static enum err_code lookup(void *self, const struct upload_id *id, struct upload **out,
			    struct err *e)
{
	return rdb_lookup(self, id, out, e);
}

static enum err_code blob(void *self, const struct digest *d, struct blob *out, struct err *e)
{
	struct blob found;
	enum err_code rc = rdb_blob(self, d, &found, NULL, e);

	if (rc == ERR_OK)
		*out = found;
	return rc;
}

/* Without the log, which max_total_wal_size bounds, and what is set aside. */
static uint64_t bytes_stored(struct rdb *r)
{
	static const char *const properties[] = { "rocksdb.total-sst-files-size",
						  "rocksdb.total-blob-file-size" };
	uint64_t sum = packs_bytes(r->packs), v;

	for (int f = 0; f < CF_COUNT; f++)
		for (size_t i = 0; i < 2; i++)
			if (rocksdb_property_int_cf(r->db, r->cf[f], properties[i], &v) == 0)
				sum += v;
	return sum;
}

static void measure(void *self, struct store_stats *out)
{
	struct rdb *r = self;

	out->bytes_stored = bytes_stored(r);
	out->bytes_on_disk = atomic_load(&r->disk_bytes);
	out->uploads_alive = atomic_load(&r->alive[ALIVE_UPLOADS]);
	out->uploads_finished = atomic_load(&r->alive[ALIVE_FINISHED]);
	out->bytes_alive = atomic_load(&r->alive[ALIVE_BYTES]);
}

const struct engine engine_rocksdb = {
	.name = "rocksdb",
	.open = open_engine,
	.close = close_engine,
	.write_open = rdb_write_open,
	.stage = rdb_stage,
	.commit = rdb_commit,
	.write_close = rdb_write_close,
	.lookup = lookup,
	.read = rdb_read,
	.lookup_now = rdb_lookup_now,
	.read_now = rdb_read_now,
	.concat = rdb_concat,
	.reuse = rdb_reuse,
	.drop = rdb_drop,
	.extend = rdb_extend,
	.acknowledge = rdb_acknowledge,
	.next_open = rdb_next_open,
	.bucket = rdb_bucket,
	.due = rdb_due,
	.overdue = rdb_overdue,
	.blob = blob,
	.next_blob = rdb_next_blob,
	.snapshot = rdb_snapshot,
	.give_back = rdb_give_back,
	.hurry = rdb_hurry,
	.measure = measure,
};
