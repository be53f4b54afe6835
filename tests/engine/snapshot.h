/* snapshot - copies of a rocksdb store that are made while it is in use, what a sweep costs, and
 * space that is really returned: part of test_rocksdb.c. */
#ifndef RESTANTE_TESTS_ENGINE_SNAPSHOT_H
#define RESTANTE_TESTS_ENGINE_SNAPSHOT_H

#include <sys/stat.h>

#include "storage/scrub.h"
#include "tests/engine/fixture.h"

static const struct variant copied = { "copy", "rocksdb", NULL, true };

static void count_damage(void *ctx, const struct digest *blob, const char *why)
{
	(void)ctx;
	(void)blob;
	print_error("damaged: %s\n", why);
}

/* The copy of f's store in f's folder, opened; ended by copy_free(). */
static struct fixture *copy_open(struct fixture *f, const char *dir)
{
	struct fixture *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->variant = &copied;
	(void)snprintf(c->dir, sizeof(c->dir), "%s", dir);
	c->options = f->options;
	c->options.dir = c->dir;
	fixture_open(c);
	return c;
}

static void copy_free(struct fixture *c)
{
	fixture_close(c);
	remove_tree(c->dir);
	free(c);
}

static void check_scrubbed(struct fixture *f)
{
	struct scrub_result r = { 0 };

	OK(f, scrub(f->store, count_damage, NULL, &r, &f->err));
	assert_int_equal(r.damaged, 0);
}

static char *path_beside(struct fixture *f, char *out, size_t size)
{
	(void)snprintf(out, size, "%s-copy", f->dir);
	return out;
}

static void a_snapshot_has_everything_and_takes_no_space(void **state)
{
	struct fixture *f = *state, *c;
	char dir[80];

	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(3) + 5, .expect = MIB(3) + 5, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 700);
	OK(f, store_snapshot(f->store, path_beside(f, dir, sizeof(dir)), &f->err));
	assert_int_equal(store_snapshot(f->store, dir, &f->err), ERR_EXISTS);
	for (unsigned i = 1; i <= 3; i++)
		OK(f, drop_code(f, i));
	fixture_reopen(f);
	c = copy_open(f, dir);
	check_scrubbed(c);
	CHECK(c, 1, 1, 100000, true);
	CHECK(c, 2, 2, MIB(3) + 5, true);
	RUN(c, .id = 3, .seed = 3, .from = 700, .to = 900, .append = true, .finish = true);
	for (unsigned i = 1; i <= 3; i++)
		OK(c, drop_code(c, i));
	fixture_close(c);
	assert_int_equal(leftovers(c), 0);
	copy_free(c);
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void memory_makes_no_snapshots(void **state)
{
	struct store_options opt = { .dir = "unused" };
	struct store *s;

	(void)state;
	assert_int_equal(store_open(&s, "memory", &opt, NULL), ERR_OK);
	assert_int_equal(store_snapshot(s, "nowhere", NULL), ERR_INVALID);
	assert_int_equal(store_give_back(s, 1000, NULL), ERR_OK);
	store_close(s);
}

/* ---- under writers ---- */

#define BUSY_THREADS 6
#define BUSY_UPLOADS 20000 /* of a thread, at most */

static struct busy {
	atomic_bool stop;
	atomic_uint done[BUSY_THREADS]; /* finished so far, of which every third was dropped */
} busy;

static unsigned busy_id(unsigned thread, unsigned i)
{
	return 1 + thread * BUSY_UPLOADS + i;
}

/* Small ones, long ones, and some that take two commits. */
static uint64_t busy_size(unsigned id)
{
	return id % 4 == 0 ? MIB(1) + id % 5000 : 1000 + mix(id) % 60000;
}

static enum err_code busy_upload(struct store *s, unsigned id, struct err *e)
{
	const uint64_t size = busy_size(id), half = id % 3 == 0 ? size / 2 : 0;
	struct job first = { .id = id, .seed = id, .to = half };
	struct job last = { .id = id,
			    .seed = id,
			    .from = half,
			    .to = size,
			    .expect = size - half,
			    .append = half > 0,
			    .finish = true };
	enum err_code rc = half > 0 ? job_run(s, &first, e) : ERR_OK;

	return rc == ERR_OK ? job_run(s, &last, e) : rc;
}

static void *be_busy(void *arg)
{
	struct thread *t = arg;
	struct upload_id name;

	for (unsigned i = 0; t->rc == ERR_OK && i < BUSY_UPLOADS && !busy.stop; i++) {
		unsigned id = busy_id(t->number, i);

		t->rc = busy_upload(t->f->store, id, &t->err);
		name = id_of(id);
		if (t->rc == ERR_OK && i % 3 == 1)
			t->rc = store_drop(t->f->store, &name, NULL, &t->err);
		busy.done[t->number] = i + 1;
	}
	return NULL;
}

/* What was finished before is there, what was dropped before is not. */
static void check_copy(struct fixture *c, const unsigned *done)
{
	for (unsigned t = 0; t < BUSY_THREADS; t++)
		for (unsigned i = 0; i < done[t]; i++) {
			unsigned id = busy_id(t, i);

			if (i % 3 == 1)
				assert_int_equal(lookup_code(c, id), ERR_NOTFOUND);
			else
				CHECK(c, id, id, busy_size(id), true);
		}
}

/* Nothing is left of what came into the copy by halves. */
static void drop_copy(struct fixture *c)
{
	struct upload_id ids[64];
	size_t n = 64;

	while (n > 0) {
		OK(c, store_due(c->store, INT64_MAX - 1, ids, 64, &n, &c->err));
		for (size_t i = 0; i < n; i++)
			OK(c, store_drop(c->store, &ids[i], NULL, &c->err));
	}
	fixture_close(c);
	assert_int_equal(leftovers(c), 0);
}

static void *snapshot_now_and_then(void *arg)
{
	struct thread *t = arg;
	unsigned done[BUSY_THREADS];
	struct fixture *c;
	char dir[80];

	for (unsigned round = 0; t->rc == ERR_OK && round < 4; round++) {
		(void)usleep(200000);
		for (unsigned i = 0; i < BUSY_THREADS; i++)
			done[i] = busy.done[i];
		t->rc = store_snapshot(t->f->store, path_beside(t->f, dir, sizeof(dir)), &t->err);
		if (t->rc != ERR_OK)
			break;
		c = copy_open(t->f, dir);
		check_scrubbed(c);
		check_copy(c, done);
		drop_copy(c);
		copy_free(c);
	}
	busy.stop = true;
	return NULL;
}

static void *busy_or_snapshot(void *arg)
{
	struct thread *t = arg;

	return t->number < BUSY_THREADS ? be_busy(arg) : snapshot_now_and_then(arg);
}

static void a_snapshot_under_writers_is_whole(void **state)
{
	struct fixture *f = *state;

	busy.stop = false;
	for (unsigned i = 0; i < BUSY_THREADS; i++)
		busy.done[i] = 0;
	run_threads(f, BUSY_THREADS + 1, busy_or_snapshot);
	check_scrubbed(f);
	drop_copy(f);
}

/* ---- space ---- */

static uint64_t blocks_sum;

static inline int add_blocks(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	if (strcmp(path + ftw->base, "ballast") == 0)
		return 0;
	blocks_sum += (uint64_t)st->st_blocks * 512;
	return 0;
}

/* As du says it, but for the ballast. */
static uint64_t disk_usage(struct fixture *f)
{
	blocks_sum = 0;
	assert_int_equal(nftw(f->dir, add_blocks, 16, FTW_PHYS), 0);
	return blocks_sum;
}

static void expire_range(struct fixture *f, unsigned from, unsigned to, unsigned but)
{
	for (unsigned i = from; i < to; i++) {
		struct upload_id name = id_of(i);

		if (but == 0 || i % but != 0)
			OK(f, store_expire(f->store, &name, 1000, NULL, &f->err));
	}
}

/* What an empty store has preallocated: log and manifest. */
#define EMPTY_STORE MIB(8)

static void everything_expired_is_given_back_to_the_disk(void **state)
{
	static const struct {
		uint64_t size;
		unsigned count;
	} kinds[] = { { 3000, 4000 }, { 100000, 300 }, { MIB(3), 12 } };
	struct fixture *f = *state;

	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 1; i <= kinds[k].count; i++)
			RUN(f, .id = i, .seed = i, .to = kinds[k].size, .expect = kinds[k].size,
			    .finish = true);
		assert_true(disk_usage(f) > kinds[k].size * kinds[k].count);
		expire_range(f, 1, kinds[k].count + 1, 0);
		OK(f, store_give_back(f->store, 30000, &f->err));
		if (disk_usage(f) > EMPTY_STORE)
			print_error("%zu bytes are left\n", (size_t)disk_usage(f));
		assert_true(disk_usage(f) <= EMPTY_STORE);
	}
}

static void what_lives_on_keeps_at_most_as_much_garbage(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 400; i++)
		RUN(f, .id = i, .seed = i, .to = 100000, .finish = true);
	expire_range(f, 1, 401, 10);
	OK(f, store_give_back(f->store, 30000, &f->err));
	assert_true(disk_usage(f) <= 2 * 40 * 100000 + EMPTY_STORE);
	for (unsigned i = 10; i <= 400; i += 10)
		CHECK(f, i, i, 100000, true);
}

/* ---- sweeps ---- */

/* Deleted keys that this thread's calls have walked over. */
static uint64_t skipped(void)
{
	rocksdb_perfcontext_t *p = rocksdb_perfcontext_create();
	uint64_t n = rocksdb_perfcontext_metric(p, rocksdb_internal_delete_skipped_count);

	rocksdb_perfcontext_destroy(p);
	return n;
}

#define SWEPT 2000
#define SWEPT_AT_ONCE 50

/* Each list walks over what the one before was dropped from, and over no more. */
static void a_sweep_does_not_walk_over_all_that_it_has_dropped(void **state)
{
	struct fixture *f = *state;
	struct upload_id ids[SWEPT_AT_ONCE];
	size_t n = 1, all = 0;
	uint64_t before;

	for (unsigned i = 1; i <= SWEPT; i++)
		RUN(f, .id = i, .seed = i, .to = 20, .finish = true, .bucket = 1);
	rocksdb_set_perf_level(rocksdb_enable_count);
	before = skipped();
	while (n > 0) {
		OK(f, store_due(f->store, 5000, ids, SWEPT_AT_ONCE, &n, &f->err));
		for (size_t i = 0; i < n; i++)
			OK(f, store_expire(f->store, &ids[i], 1000, NULL, &f->err));
		all += n;
	}
	assert_int_equal(all, SWEPT);
	assert_true(skipped() - before <= 4 * SWEPT);
	before = skipped();
	for (unsigned i = 0; i < 10; i++)
		OK(f, store_due(f->store, 5000, ids, SWEPT_AT_ONCE, &n, &f->err));
	assert_int_equal(skipped() - before, 0);
	rocksdb_set_perf_level(rocksdb_disable);
}

#define SNAPSHOT_TESTS                                                                             \
	PROMISE(a_snapshot_has_everything_and_takes_no_space), PROMISE(memory_makes_no_snapshots), \
		PROMISE(a_snapshot_under_writers_is_whole),                                        \
		PROMISE(a_sweep_does_not_walk_over_all_that_it_has_dropped),                       \
		PROMISE(everything_expired_is_given_back_to_the_disk),                             \
		PROMISE(what_lives_on_keeps_at_most_as_much_garbage)

#endif
