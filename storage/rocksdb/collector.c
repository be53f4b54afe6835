/* collector - a thread that gives space back: that of packs (mover.c), of deleted keys, and of rows
 * in blob files, which stores of format 4 have. Such a file goes by itself when the last row in it
 * has gone. Where some live on among many that have gone, they are moved together: as soon as more
 * than half of these rows' bytes are garbage, it goes round all of them, a slice at a time, until
 * less are. RocksDB's own collection, tied to whatever compaction comes by, rewrote several times
 * as much. */
#include "storage/rocksdb/rdb.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

#define COLLECTOR_LOOKS_MS 5000     /* for garbage, unless it is told of some */
#define COLLECTOR_RESTS_MS 100      /* between slices, at least */
#define GIVE_BACK_LEAST (64u << 10) /* bytes; what is less is not worth a compaction */

/* Whether more than half is garbage, and more than `least` bytes. */
static bool much_garbage(struct rdb *r, uint64_t least)
{
	uint64_t all = 0, garbage = 0;

	if (rocksdb_property_int_cf(r->db, r->cf[CF_ROWS], "rocksdb.live-blob-file-size", &all) ||
	    rocksdb_property_int_cf(r->db, r->cf[CF_ROWS], "rocksdb.live-blob-file-garbage-size",
				    &garbage))
		return false;
	return garbage > all / 2 && garbage > least;
}

/* Whether tables consist of deleted keys for a good part, and have more than `least` bytes, rows
 * included: these go only when a compaction brings the deletions together with what they delete. */
static bool much_deleted(struct rdb *r, enum rdb_family f, uint64_t least)
{
	static const char *const names[] = {
		[CF_RECORDS] = "default", [CF_ROWS] = "rows", [CF_POINTERS] = "pointers"
	};
	const rocksdb_livefiles_t *files = rocksdb_livefiles(r->db);
	uint64_t entries = 0, deletions = 0, bytes = 0;

	(void)rocksdb_property_int_cf(r->db, r->cf[f], "rocksdb.live-blob-file-size", &bytes);
	for (int i = 0; i < rocksdb_livefiles_count(files); i++)
		if (strcmp(rocksdb_livefiles_column_family_name(files, i), names[f]) == 0) {
			entries += rocksdb_livefiles_entries(files, i);
			deletions += rocksdb_livefiles_deletions(files, i);
			bytes += rocksdb_livefiles_size(files, i);
		}
	rocksdb_livefiles_destroy(files);
	return deletions > entries / 4 && bytes > least;
}

static bool take_key(struct key *k, const char *p, size_t len)
{
	if (p == NULL || len > sizeof(k->b))
		return false;
	memcpy(k->b, p, len);
	k->len = len;
	return true;
}

static int compare_keys(const char *p, size_t len, const struct key *k)
{
	int order = memcmp(p, k->b, len < k->len ? len : k->len);

	if (order != 0)
		return order;
	return len < k->len ? -1 : len > k->len;
}

/* The range of the first file of rows that begins behind `after`. */
static bool next_slice(struct rdb *r, const struct key *after, struct key *from, struct key *to)
{
	const rocksdb_livefiles_t *files = rocksdb_livefiles(r->db);
	bool found = false;
	size_t n;

	for (int i = 0; i < rocksdb_livefiles_count(files); i++) {
		const char *p = rocksdb_livefiles_smallestkey(files, i, &n);

		if (strcmp(rocksdb_livefiles_column_family_name(files, i), "rows") != 0 ||
		    compare_keys(p, n, after) <= 0 || (found && compare_keys(p, n, from) >= 0))
			continue;
		found = take_key(from, p, n);
		p = rocksdb_livefiles_largestkey(files, i, &n);
		found = found && take_key(to, p, n);
	}
	rocksdb_livefiles_destroy(files);
	return found;
}

static void set_collection(struct rdb *r, const char *on)
{
	const char *key = "enable_blob_garbage_collection";
	char *text = NULL;

	rocksdb_set_options_cf(r->db, r->cf[CF_ROWS], 1, &key, &on, &text);
	rocksdb_free(text); /* it tries again */
}

static void shed_deleted(struct rdb *r, enum rdb_family f)
{
	rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_exclusive_manual_compaction(o, 0);
	rocksdb_compactoptions_set_bottommost_level_compaction(o, 3); /* force, each file once */
	rocksdb_compact_range_cf_opt(r->db, r->cf[f], o, NULL, 0, NULL, 0);
	rocksdb_compactoptions_destroy(o);
}

/* Nothing else compacts meanwhile, so that only this slice is moved. */
static void collect_slice(struct rdb *r, const struct key *from, const struct key *to)
{
	rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_exclusive_manual_compaction(o, 1);
	rocksdb_compactoptions_set_bottommost_level_compaction(o, 3); /* force, each file once */
	set_collection(r, "true");
	rocksdb_compact_range_cf_opt(r->db, r->cf[CF_ROWS], o, chars(from->b), from->len,
				     chars(to->b), to->len);
	set_collection(r, "false");
	rocksdb_compactoptions_destroy(o);
}

/* Waits; false when it is time to end. collector_lock is held. */
static bool collector_wait(struct rdb *r, int64_t ms)
{
	struct timespec t;

	if (r->stopping)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	(void)pthread_cond_timedwait(&r->collector_wakes, &r->collector_lock, &t);
	return !r->stopping;
}

/* Collects the next slice behind *at, or goes to the start. */
static void collect_next(struct rdb *r, struct key *at)
{
	static const struct key start = { .len = 0 };
	struct key from = start, to = start;

	if (next_slice(r, at, &from, &to))
		collect_slice(r, &from, &to);
	*at = from; /* round again, if there was none */
}

/* One thing that gives space back; false if there is none worth it. collect_lock is held. */
static bool collect_some(struct rdb *r, struct key *at, uint64_t least)
{
	if (mover_step(r, least))
		return true;
	for (int f = CF_RECORDS; f <= CF_POINTERS; f++)
		if (much_deleted(r, f, least)) {
			shed_deleted(r, f);
			return true;
		}
	if (!much_garbage(r, least))
		return false;
	collect_next(r, at);
	return true;
}

/* How long to rest after it: as long as it took, so that others get their share of the disk. */
static int64_t collector_step(struct rdb *r, struct key *at)
{
	int64_t began = clock_mono_ms(), took;
	bool done;

	pthread_mutex_lock(&r->collect_lock);
	done = collect_some(r, at, r->write_buffer);
	pthread_mutex_unlock(&r->collect_lock);
	ballast_tend(r);
	if (began - r->looked_ms >= COLLECTOR_LOOKS_MS) {
		rdb_look_at_disk(r);
		r->looked_ms = began;
	}
	if (!done)
		return COLLECTOR_LOOKS_MS;
	took = clock_mono_ms() - began;
	return took > COLLECTOR_RESTS_MS ? took : COLLECTOR_RESTS_MS;
}

static void *collector_run(void *arg)
{
	struct rdb *r = arg;
	struct key at = { .len = 0 };
	int64_t rest = atomic_load(&r->pack_unknown) ? 0 : COLLECTOR_LOOKS_MS;

	pthread_mutex_lock(&r->collector_lock);
	while (collector_wait(r, rest)) {
		pthread_mutex_unlock(&r->collector_lock);
		rest = collector_step(r, &at);
		pthread_mutex_lock(&r->collector_lock);
	}
	pthread_mutex_unlock(&r->collector_lock);
	return NULL;
}

void collector_wake(struct rdb *r)
{
	pthread_mutex_lock(&r->collector_lock);
	pthread_cond_signal(&r->collector_wakes);
	pthread_mutex_unlock(&r->collector_lock);
}

enum err_code collector_start(struct rdb *r, struct err *e)
{
	if (pthread_create(&r->collector, NULL, collector_run, r) != 0)
		return err_set(e, ERR_NOMEM, "a thread");
	r->collecting = true;
	return ERR_OK;
}

void collector_stop(struct rdb *r)
{
	if (!r->collecting)
		return;
	pthread_mutex_lock(&r->collector_lock);
	r->stopping = true;
	pthread_cond_signal(&r->collector_wakes);
	pthread_mutex_unlock(&r->collector_lock);
	rocksdb_disable_manual_compaction(r->db); /* ends one that is under way */
	pthread_join(r->collector, NULL);
}

static bool is_working(struct rdb *r)
{
	uint64_t flushes = 0, compactions = 0;

	(void)rocksdb_property_int(r->db, "rocksdb.num-running-flushes", &flushes);
	(void)rocksdb_property_int(r->db, "rocksdb.num-running-compactions", &compactions);
	return flushes + compactions > 0;
}

/* RocksDB removes no file that is newer than the work under way, and then forgets about it until
 * there is more work. */
static void purge_files(struct rdb *r, int64_t until)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	char *text = NULL;

	while (is_working(r) && clock_mono_ms() < until && !atomic_load(&r->hurry))
		(void)nanosleep(&nap, NULL);
	rocksdb_disable_file_deletions(r->db, &text);
	if (text == NULL)
		rocksdb_enable_file_deletions(r->db, 0, &text); /* looks for all there are */
	rocksdb_free(text);
}

void rdb_hurry(void *self)
{
	struct rdb *r = self;

	atomic_store(&r->hurry, true);
	rocksdb_disable_manual_compaction(r->db); /* ends one that is under way */
}

/* On a full disk with what room the ballast gives, once RocksDB has found it. */
static enum err_code flush_full(struct rdb *r, struct err *e)
{
	enum err_code rc = rdb_flush(r, e);

	if (rc == ERR_FULL)
		(void)ballast_throw(r);
	while (rc == ERR_FULL && ballast_wait(r))
		rc = rdb_flush(r, e);
	return rc;
}

enum err_code rdb_give_back(void *self, uint64_t budget_ms, struct err *e)
{
	struct rdb *r = self;
	const int64_t until = clock_mono_ms() + (int64_t)budget_ms;
	struct key at = { .len = 0 };
	enum err_code rc;

	rdb_settle(r);
	while (clock_mono_ms() < until && mover_step(r, GIVE_BACK_LEAST))
		;
	rc = flush_full(r, e);
	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(&r->collect_lock);
	while (clock_mono_ms() < until && !atomic_load(&r->hurry) &&
	       collect_some(r, &at, GIVE_BACK_LEAST))
		;
	purge_files(r, until);
	pthread_mutex_unlock(&r->collect_lock);
	ballast_tend(r);
	rdb_look_at_disk(r);
	return ERR_OK;
}
