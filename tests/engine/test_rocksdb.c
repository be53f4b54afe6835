/* What the rocksdb engine promises beyond store.h: how it lies on disk, what a crash leaves, how it
 * behaves on a full disk. Looks behind the interface where it must. */
#include "base/clock.h"
#include "tests/engine/fixture.h"
#include "tests/engine/packs.h"
#include "tests/engine/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <time.h>

static const struct variant on_disk = { "rocksdb", "rocksdb", NULL, true };

static struct rdb *raw_open(struct fixture *f)
{
	void *self = NULL;

	fixture_close(f);
	OK(f, engine_rocksdb.open(&self, &f->options, &f->err));
	return self;
}

static void raw_put(struct rdb *r, const struct key *k, struct bytes v)
{
	char *text = NULL;

	rocksdb_put_cf(r->db, r->synced, r->cf[CF_RECORDS], chars(k->b), k->len, chars(v.data),
		       v.len, &text);
	assert_null(text);
}

static void raw_close(struct fixture *f, struct rdb *r)
{
	engine_rocksdb.close(r);
	fixture_open(f);
}

static size_t segment_files(struct rdb *r)
{
	const rocksdb_livefiles_t *files = rocksdb_livefiles(r->db);
	size_t n = 0;

	for (int i = 0; i < rocksdb_livefiles_count(files); i++)
		n += strcmp(rocksdb_livefiles_column_family_name(files, i), "segments") == 0;
	rocksdb_livefiles_destroy(files);
	return n;
}

static struct upload *record(struct fixture *f, unsigned id)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;

	OK(f, store_lookup(f->store, &name, &u, &f->err));
	return u;
}

static size_t files_in(const char *dir, const char *suffix, char *last, size_t size)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');

		if (e->d_name[0] == '.' || (suffix != NULL && (!dot || strcmp(dot, suffix) != 0)))
			continue;
		if (last != NULL && (n == 0 || strcmp(e->d_name, last) > 0))
			(void)snprintf(last, size, "%s", e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void join_1_2(struct fixture *f)
{
	const struct upload_id parts[] = { id_of(1), id_of(2), id_of(1) };
	struct job j = { .id = 9 };
	struct upload rec = record_of(&j);
	struct digest digest = { { 9 } }; /* the store takes our word for it */

	OK(f,
	   store_concat(f->store, &rec, parts, 3, &digest, 100000 + 5000 + 100000, NULL, &f->err));
}

/* ---- who may open ---- */

static void a_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	struct key k = key_meta("format");
	void *self;

	raw_put(r, &k, (struct bytes){ (const uint8_t *)"\0\0\0\7", 4 });
	engine_rocksdb.close(r);
	assert_int_equal(engine_rocksdb.open(&self, &f->options, &f->err), ERR_FORMAT);
	assert_non_null(strstr(f->err.why, "store format 7 is newer than this program's 5"));
}

/* Format 1 had no unfinished uploads, no composed blobs, and blobs without a list of leaves. */
static void a_store_of_format_1_is_taken_over(void **state)
{
	struct fixture *f = *state;
	struct upload *u;
	struct key k = key_meta("format"), blob;
	uint8_t old[1 + 8 + 4 + 28] = { 1 };
	rocksdb_pinnableslice_t *s = NULL;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true);
	u = record(f, 1);
	blob = key_blob(&u->digest);
	bytes_put_u64(old + 1, 1000);
	bytes_put_u32(old + 9, 1);
	bytes_put_u64(old + 13, u->extents[0].locator);
	bytes_put_u64(old + 29, 1000);
	r = raw_open(f);
	raw_put(r, &k, (struct bytes){ (const uint8_t *)"\0\0\0\1", 4 });
	raw_put(r, &blob, (struct bytes){ old, sizeof(old) });
	raw_close(f, r);
	r = raw_open(f);
	OK(f, rdb_get(r, CF_RECORDS, &k, &s, &f->err));
	assert_memory_equal(rdb_value(s).data, "\0\0\0\5", 4);
	rocksdb_pinnableslice_destroy(s);
	raw_close(f, r);
	RUN(f, .id = 2, .seed = 1, .to = 1000, .finish = true);
	assert_int_equal(blob_count(f), 1);
	OK(f, drop_code(f, 1));
	CHECK(f, 2, 1, 1000, true);
	OK(f, drop_code(f, 2));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
	upload_free(u);
}

static void raw_forget(struct rdb *r, const struct key *k)
{
	char *text = NULL;

	rocksdb_delete_cf(r->db, r->synced, r->cf[CF_RECORDS], chars(k->b), k->len, &text);
	assert_null(text);
}

/* Format 3 had no counts. */
static void a_store_of_format_3_is_counted_once(void **state)
{
	struct fixture *f = *state;
	struct key k = key_meta("format");
	struct store_stats s;
	struct upload_id gone = id_of(4);
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 5000, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 70);
	RUN(f, .id = 4, .seed = 4, .to = 80);
	OK(f, store_terminate(f->store, &gone, 5000, NULL, &f->err));
	join_1_2(f);
	r = raw_open(f);
	raw_put(r, &k, (struct bytes){ (const uint8_t *)"\0\0\0\3", 4 });
	for (int i = 0; i < ALIVE_COUNT; i++) {
		k = key_alive(i);
		raw_forget(r, &k);
	}
	raw_close(f, r);
	for (unsigned round = 0; round < 2; round++) {
		store_stats(f->store, &s);
		assert_int_equal(s.uploads_alive, 4);
		assert_int_equal(s.uploads_finished, 3);
		assert_int_equal(s.bytes_alive, 100000 + 5000 + 70);
		fixture_reopen(f);
	}
	RUN(f, .id = 5, .seed = 5, .to = 30);
	OK(f, drop_code(f, 3));
	store_stats(f->store, &s);
	assert_int_equal(s.uploads_alive, 4);
	assert_int_equal(s.bytes_alive, 100000 + 5000 + 30);
}

static void a_family_nobody_here_knows_is_a_newer_format(void **state)
{
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	char *text = NULL;
	void *self;

	rocksdb_column_family_handle_destroy(
		rocksdb_create_column_family(r->db, r->cf_options[CF_ROWS], "parcels", &text));
	assert_null(text);
	engine_rocksdb.close(r);
	assert_int_equal(engine_rocksdb.open(&self, &f->options, &f->err), ERR_FORMAT);
}

static void a_folder_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
	struct fixture other = { .variant = &on_disk };
	struct store *second;
	int status, out;
	pid_t pid;

	assert_int_equal(store_open(&second, "rocksdb", &f->options, &f->err), ERR_BUSY);
	assert_non_null(strstr(f->err.why, "in use by another process"));
	memcpy(other.dir, f->dir, sizeof(f->dir));
	pid = child_start(&other, "none", &out);
	status = child_wait(pid, out);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == ERR_BUSY);
	RUN(f, .id = 1, .seed = 1, .to = 100, .finish = true); /* the first is not disturbed */
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
	struct store_options opt = { .dir = "/dev/null/store" };
	struct store *s;

	(void)state;
	assert_int_equal(store_open(&s, "rocksdb", &opt, NULL), ERR_IO);
}

/* ---- layout ---- */

/* Each end leaves what is known of packs; each beginning takes it, and reserves locators. */
#define OPENED_TWICE (2 * 3)

static void a_small_upload_writes_five_keys_and_three_counts(void **state)
{
	struct fixture *f = *state;
	struct rdb *r = raw_open(f);
	uint64_t before = rocksdb_get_latest_sequence_number(r->db);

	engine_rocksdb.close(r);
	fixture_open(f);
	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	r = raw_open(f);
	/* pointer, record, due, blob, holder; what that adds to uploads, finished ones and bytes */
	assert_int_equal(rocksdb_get_latest_sequence_number(r->db) - before, 5 + 3 + OPENED_TWICE);
	raw_close(f, r);
}

/* Sequence numbers count the keys that a call writes. */
static uint64_t keys_written(struct fixture *f, void (*call)(struct fixture *f))
{
	struct rdb *r = raw_open(f);
	uint64_t before = rocksdb_get_latest_sequence_number(r->db), after;

	raw_close(f, r);
	call(f);
	r = raw_open(f);
	after = rocksdb_get_latest_sequence_number(r->db);
	raw_close(f, r);
	return after - before - OPENED_TWICE;
}

static void drop_1(struct fixture *f)
{
	OK(f, drop_code(f, 1));
}

static void drop_9(struct fixture *f)
{
	OK(f, drop_code(f, 9));
}

static void create_10(struct fixture *f)
{
	RUN(f, .id = 10);
}

static void create_11(struct fixture *f)
{
	RUN(f, .id = 11, .bucket = 1);
}

static void calls_write_few_keys(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 5000, .finish = true);
	/* record, due, holder, blob, and who needs each of two leaves; two counts */
	assert_int_equal(keys_written(f, join_1_2), 4 + 2 + 2);
	/* record, due, holder, and who of its recipients has it; its blob stays */
	assert_int_equal(keys_written(f, drop_1), 4 + 2);
	/* the same as joining, the recipients, and of one leaf the blob and its row; and bytes */
	assert_int_equal(keys_written(f, drop_9), 7 + 2 + 3);
	/* record, due, and that it is unfinished */
	assert_int_equal(keys_written(f, create_10), 3 + 1);
	/* the same, and what it is to its bucket */
	assert_int_equal(keys_written(f, create_11), 4 + 1);
}

static struct extent first_extent(struct fixture *f, unsigned id)
{
	struct upload *u = record(f, id);
	struct extent x = u->extents[0];

	upload_free(u);
	return x;
}

static void a_composed_blob_borrows_its_extents(void **state)
{
	struct fixture *f = *state;
	struct extent leaf, borrowed;

	RUN(f, .id = 1, .seed = 1, .to = 100000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 5000, .finish = true);
	leaf = first_extent(f, 1);
	join_1_2(f);
	borrowed = first_extent(f, 9);
	assert_int_equal(borrowed.locator, leaf.locator);
	assert_int_equal(borrowed.start, leaf.start);
	assert_int_equal(borrowed.length, leaf.length);
	assert_int_equal(leaf.place, 0);
	assert_int_equal(borrowed.place, PLACE_BORROWED);
}

/* What a crash leaves of a drop that takes a composed blob and its leaves with it. */
static void drop_joined_and_die(struct fixture *f)
{
	struct upload_id parts[] = { id_of(1), id_of(2) };
	struct job j = { .id = 9 };
	struct upload rec = record_of(&j);
	struct digest digest = { { 9 } };

	RUN(f, .id = 1, .seed = 1, .to = MIB(2), .expect = MIB(2), .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(2), .expect = MIB(2), .finish = true);
	OK(f, store_concat(f->store, &rec, parts, 2, &digest, MIB(4), NULL, &f->err));
	OK(f, drop_code(f, 1));
	OK(f, drop_code(f, 2));
	OK(f, drop_code(f, 9));
}

static void segments_of_leaves_are_given_back_at_once(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;

	drop_joined_and_die(f);
	r = raw_open(f);
	assert_int_equal(segment_files(r), 0);
	raw_close(f, r);
	crash_after(f, "drop_joined_and_die");
	assert_int_equal(leftovers(f), 0);
	fixture_open(f);
}

static void long_uploads_go_as_segments_and_rests_as_rows(void **state)
{
	struct fixture *f = *state;
	struct upload *u;
	struct rdb *r;

	/* 1 MiB segments, 512 KiB threshold: 3 segments, and a rest below a quarter of that */
	RUN(f, .id = 1, .seed = 1, .to = MIB(3) + 10, .expect = MIB(3) + 10, .finish = true);
	u = record(f, 1);
	assert_int_equal(u->extent_count, 2);
	assert_int_equal(u->extents[0].place, PLACE_SEGMENT);
	assert_int_equal(u->extents[0].length, MIB(3));
	assert_int_equal(u->extents[1].place, 0);
	upload_free(u);
	/* unknown length: rows first */
	RUN(f, .id = 2, .seed = 2, .to = MIB(2), .finish = true);
	u = record(f, 2);
	assert_int_equal(u->extents[0].place, 0);
	assert_int_equal(u->extents[0].length, KIB(512));
	assert_int_equal(u->extents[1].place, PLACE_SEGMENT);
	upload_free(u);
	r = raw_open(f);
	assert_int_equal(segment_files(r), 3 + 2);
	raw_close(f, r);
}

/* Each durable before the next. */
static void commit_steps(struct fixture *f, struct writer *w, unsigned count, size_t size)
{
	const struct midstate m = { { 1 } };
	const struct commit c = { .midstate = &m, .length = MIB(64), .expires_s = 1000 };
	uint8_t step[KIB(8)];

	for (unsigned i = 0; i < count; i++) {
		content_fill(1, i * size, step, size);
		OK(f, writer_stage(w, (struct bytes){ step, size }, &f->err));
		OK(f, writer_commit(w, &c, NULL, &f->err));
	}
}

/* One that is followed is made durable as fast as the disk goes. */
static void a_long_upload_in_short_steps_leaves_no_file_a_step(void **state)
{
	struct fixture *f = *state;
	const struct upload rec = { .id = id_of(1), .length = MIB(64), .expires_s = 1000 };
	struct writer *w = NULL;
	struct upload *u;
	struct rdb *r;

	OK(f, store_create(f->store, &rec, MIB(64), &w, &f->err));
	commit_steps(f, w, 200, KIB(8));
	writer_close(w);
	u = record(f, 1);
	assert_int_equal(u->offset, 200 * KIB(8));
	assert_int_equal(u->extents[u->extent_count - 1].place & PLACE_SEGMENT, 0);
	upload_free(u);
	r = raw_open(f);
	assert_in_range(segment_files(r), 0, 1);
	raw_close(f, r);
}

static void dropping_gives_segments_back_at_once(void **state)
{
	struct fixture *f = *state;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = MIB(5), .expect = MIB(5), .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(5), .expect = MIB(5), .finish = true);
	OK(f, drop_code(f, 1));
	r = raw_open(f);
	assert_int_equal(segment_files(r), 5);
	raw_close(f, r);
	CHECK(f, 2, 2, MIB(5), true);
	OK(f, drop_code(f, 2));
	r = raw_open(f);
	assert_int_equal(segment_files(r), 0);
	raw_close(f, r);
}

/* Deleted rows go when compaction comes by; it comes by because deleted bytes count as written
 * ones, so that a store from which only things are dropped shrinks too. */
static void dropping_gives_rows_back_soon(void **state)
{
	struct fixture *f = *state;
	struct store_stats s;
	unsigned tries = 0;

	for (unsigned i = 0; i < 200; i++)
		RUN(f, .id = i, .seed = i, .to = 200000, .finish = true);
	fixture_reopen(f); /* flushes */
	store_stats(f->store, &s);
	assert_true(s.bytes_stored >= 200 * 200000);
	for (unsigned i = 0; i < 200; i++)
		OK(f, drop_code(f, i));
	do {
		(void)usleep(20000);
		store_stats(f->store, &s);
	} while (s.bytes_stored > MIB(16) && tries++ < 250);
	assert_true(s.bytes_stored <= MIB(16));
}

/* Most of what came together is dropped, here and there something stays. */
static void a_few_that_stay_do_not_keep_the_others_bytes(void **state)
{
	struct fixture *f = *state;
	struct store_stats s;
	unsigned tries = 0;

	for (unsigned i = 0; i < 300; i++)
		RUN(f, .id = i, .seed = i, .to = 200000, .finish = true);
	fixture_reopen(f);
	for (unsigned i = 0; i < 300; i++)
		if (i % 10 != 0)
			OK(f, drop_code(f, i));
	do { /* 6 MB live on, among 60 */
		(void)usleep(20000);
		store_stats(f->store, &s);
	} while (s.bytes_stored > MIB(30) && tries++ < 1000);
	assert_true(s.bytes_stored <= MIB(30));
	for (unsigned i = 0; i < 300; i += 10)
		CHECK(f, i, i, 200000, true);
}

static void locators_are_never_used_again(void **state)
{
	struct fixture *f = *state;
	struct upload *a, *b;

	RUN(f, .id = 1, .seed = 1, .to = 10);
	a = record(f, 1);
	OK(f, drop_code(f, 1));
	fixture_reopen(f);
	RUN(f, .id = 2, .seed = 2, .to = 10);
	b = record(f, 2);
	assert_true(b->extents[0].locator > a->extents[0].locator);
	upload_free(a);
	upload_free(b);
}

static void leave_many_uploads(struct fixture *f)
{
	for (unsigned i = 0; i < 50; i++)
		RUN(f, .id = i, .seed = i, .to = 10);
}

static void locators_are_never_used_again_after_a_crash_either(void **state)
{
	struct fixture *f = *state;
	struct upload *a, *b;

	crash_after(f, "leave_many_uploads");
	fixture_open(f);
	a = record(f, 49);
	RUN(f, .id = 90, .seed = 2, .to = 10);
	b = record(f, 90);
	assert_true(b->extents[0].locator > a->extents[0].locator);
	upload_free(a);
	upload_free(b);
}

/* ---- leftovers ---- */

static void crash_with_segments_in_hand(struct fixture *f)
{
	struct job j = { .id = 1, .seed = 1 };
	struct upload rec = record_of(&j);
	struct writer *w;
	static uint8_t junk[CHUNK_MAX];

	OK(f, store_create(f->store, &rec, MIB(64), &w, &f->err));
	for (unsigned i = 0; i < 10; i++) /* two segments ingested, half a one in tmp */
		OK(f, writer_stage(w, (struct bytes){ junk, sizeof(junk) }, &f->err));
}

static void a_crash_amid_segments_leaves_no_file_behind(void **state)
{
	struct fixture *f = *state;
	char tmp[80];
	struct rdb *r;

	(void)snprintf(tmp, sizeof(tmp), "%s/tmp", f->dir);
	crash_after(f, "crash_with_segments_in_hand");
	fixture_open(f);
	assert_int_equal(files_in(tmp, NULL, NULL, 0), 0);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	r = raw_open(f);
	assert_int_equal(segment_files(r), 0);
	raw_close(f, r);
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void garbage_noted_before_a_crash_is_removed_at_open(void **state)
{
	struct fixture *f = *state;
	struct upload *u;
	struct key record_key, due, blob, holder, garbage;
	struct rdb *r;
	uint8_t length[8];
	struct batch b = batch_new();

	/* what a drop writes, without what it does after */
	RUN(f, .id = 1, .seed = 1, .to = MIB(2), .expect = MIB(2), .finish = true);
	u = record(f, 1);
	record_key = key_upload(&u->id);
	due = key_due(u->expires_s, &u->id);
	blob = key_blob(&u->digest);
	holder = key_holder(&u->digest, &u->id);
	garbage = key_garbage(u->extents[0].locator, u->extents[0].start);
	bytes_put_u64(length, u->extents[0].length);
	r = raw_open(f);
	assert_int_equal(segment_files(r), 2);
	batch_delete(r, &b, CF_RECORDS, &record_key);
	batch_delete(r, &b, CF_RECORDS, &due);
	batch_delete(r, &b, CF_RECORDS, &blob);
	batch_delete(r, &b, CF_RECORDS, &holder);
	batch_put(r, &b, CF_RECORDS, &garbage, (struct bytes){ length, 8 });
	OK(f, rdb_write(r, &b, true, "test", &f->err));
	batch_free(&b);
	raw_close(f, r);
	r = raw_open(f);
	assert_int_equal(segment_files(r), 0);
	raw_close(f, r);
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
	upload_free(u);
}

/* As if writer_close() had not been able to remove what it had to. */
static void leave_junk(struct fixture *f, unsigned id)
{
	struct upload *u = record(f, id);
	uint64_t locator = u->extents[0].locator;
	struct key mark = key_open(locator), piece = key_piece(locator, u->offset + 50);
	struct rdb *r = raw_open(f);
	char *text = NULL;

	/* marks are settled at open: write it after */
	rocksdb_put_cf(r->db, r->synced, r->cf[CF_ROWS], chars(piece.b), piece.len, "junk", 4,
		       &text);
	raw_put(r, &mark, (struct bytes){ u->id.b, sizeof(u->id.b) });
	/* append, right now, through the same handle */
	{
		struct digester d;
		struct midstate m;
		struct commit c = { .midstate = &m,
				    .length = UPLOAD_LENGTH_UNKNOWN,
				    .expires_s = 1000 };
		uint8_t more[100];
		bool dup;
		void *w;

		assert_true(digest_resume(&d, &u->midstate));
		content_fill(1, u->offset, more, sizeof(more));
		digest_update(&d, (struct bytes){ more, sizeof(more) });
		digest_save(&d, &m);
		c.tail = (struct bytes){ more, sizeof(more) };
		OK(f, rdb_write_open(r, u, false, 0, &w, &f->err));
		OK(f, rdb_commit(r, w, &c, &dup, NULL, &f->err));
		rdb_write_close(r, w);
	}
	raw_close(f, r);
	upload_free(u);
}

static void junk_that_could_not_be_removed_never_shows(void **state)
{
	struct fixture *f = *state;
	struct upload *u;

	RUN(f, .id = 1, .seed = 1, .to = 1000);
	leave_junk(f, 1);
	u = record(f, 1);
	assert_int_equal(u->extent_count, 2); /* it went elsewhere */
	upload_free(u);
	CHECK(f, 1, 1, 1100, false);
	RUN(f, .id = 1, .seed = 1, .from = 1100, .to = 5000, .append = true, .finish = true);
	CHECK(f, 1, 1, 5000, true);
	OK(f, drop_code(f, 1));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void a_mark_does_not_outlive_the_finishing_of_its_upload(void **state)
{
	struct fixture *f = *state;
	struct upload *u;
	struct key mark;
	struct rdb *r;
	struct digester d;
	struct digest sum;
	struct commit c = { .digest = &sum, .length = 1000, .expires_s = 1000 };
	struct upload *rec = NULL;
	bool dup, marked = true;
	void *w;

	RUN(f, .id = 1, .seed = 1, .to = 1000);
	u = record(f, 1);
	mark = key_open(u->extents[0].locator);
	assert_true(digest_resume(&d, &u->midstate));
	digest_final(&d, &sum);
	r = raw_open(f);
	raw_put(r, &mark, (struct bytes){ u->id.b, sizeof(u->id.b) });
	OK(f, rdb_write_open(r, u, false, 0, &w, &f->err));
	OK(f, rdb_commit(r, w, &c, &dup, &rec, &f->err));
	rdb_write_close(r, w);
	OK(f, rdb_has(r, &mark, &marked, &f->err));
	assert_false(marked);
	upload_free(rec);
	raw_close(f, r);
	CHECK(f, 1, 1, 1000, true);
	upload_free(u);
}

/* ---- the log after a crash ---- */

/* So long that each takes up more of the log than is cut off. */
static void finish_twenty(struct fixture *f)
{
	for (unsigned i = 0; i < 20; i++)
		RUN(f, .id = i, .seed = i, .to = 4000, .finish = true);
}

static void cut_log(struct fixture *f, off_t bytes)
{
	char name[256] = "", path[400];
	struct stat st;

	assert_true(files_in(f->dir, ".log", name, sizeof(name)) > 0);
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > bytes);
	assert_int_equal(truncate(path, st.st_size - bytes), 0);
}

/* The tail of a log that a power cut tore was never acknowledged; all before it counts. */
static void a_torn_log_costs_only_its_torn_end(void **state)
{
	struct fixture *f = *state;

	for (off_t bytes = 1; bytes < 4000; bytes += 799) {
		unsigned there = 0;

		fixture_close(f);
		remove_tree(f->dir);
		crash_after(f, "finish_twenty");
		cut_log(f, bytes);
		fixture_open(f);
		while (there < 20 && lookup_code(f, there) == ERR_OK)
			CHECK(f, there, there, 4000, true), there++;
		assert_int_equal(there, 19);
		RUN(f, .id = 19, .seed = 19, .to = 4000, .finish = true);
		assert_int_equal(blob_count(f), 20);
	}
}

static uint64_t size_of_upload(unsigned id)
{
	return 1 + mix(id) % (id % 7 == 0 ? MIB(2) : 50000);
}

static void *upload_until_killed(void *arg)
{
	struct fixture *f = arg;
	static atomic_uint next;
	unsigned id;

	for (;;) {
		struct job j = { .finish = true };
		ssize_t n;

		id = atomic_fetch_add(&next, 1);
		j.seed = j.id = id;
		j.to = size_of_upload(id);
		if (job_run(f->store, &j, NULL) != ERR_OK)
			_exit(4);
		n = write(3, &id, sizeof(id)); /* acknowledged */
		assert_int_equal(n, sizeof(id));
	}
	return NULL;
}

static void upload_with_threads(struct fixture *f)
{
	pthread_t t;

	for (int i = 0; i < 7; i++)
		(void)pthread_create(&t, NULL, upload_until_killed, f);
	(void)upload_until_killed(f);
}

/* Kills the child once it has acknowledged `after` uploads, whatever else it is at. */
static void kill_after(struct fixture *f, size_t after, unsigned *ids, size_t max, size_t *count)
{
	unsigned id;
	int out, status;
	pid_t pid;

	fixture_close(f);
	pid = child_start(f, "upload_with_threads", &out);
	*count = 0;
	while (read(out, &id, sizeof(id)) == sizeof(id)) {
		assert_true(*count < max);
		ids[(*count)++] = id;
		if (*count == after)
			(void)kill(pid, SIGKILL);
	}
	status = child_wait(pid, out);
	assert_true(WIFSIGNALED(status));
	fixture_open(f);
}

static void killed_at_any_moment_nothing_acknowledged_is_lost(void **state)
{
	static unsigned ids[100000];
	struct fixture *f = *state;

	for (unsigned round = 0; round < 6; round++) {
		size_t n;

		fixture_close(f);
		remove_tree(f->dir);
		fixture_open(f);
		kill_after(f, 30 + round * 157, ids, 100000, &n);
		assert_true(n >= 30);
		for (size_t i = 0; i < n; i++)
			CHECK(f, ids[i], ids[i], size_of_upload(ids[i]), true);
	}
}

/* ---- damage ---- */

static void a_record_that_makes_no_sense_is_damage(void **state)
{
	static const char *const bad[] = { "", "\1", "\2abc", "\1\7\0\0\0" };
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct key k = key_upload(&id);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rdb *r = raw_open(f);

		raw_put(r, &k, (struct bytes){ (const uint8_t *)bad[i], strlen(bad[i]) });
		raw_close(f, r);
		assert_int_equal(lookup_code(f, 1), ERR_DAMAGED);
	}
}

/* The value of a row, checksum and all, is the caller's to destroy. */
static rocksdb_pinnableslice_t *raw_row(struct fixture *f, struct rdb *r, const struct key *k)
{
	rocksdb_pinnableslice_t *s = NULL;

	OK(f, rdb_get(r, CF_ROWS, k, &s, &f->err));
	assert_non_null(s);
	return s;
}

static void raw_put_row(struct fixture *f, struct rdb *r, const struct key *k, struct bytes value)
{
	struct batch b = batch_new();

	batch_put(r, &b, CF_ROWS, k, value);
	OK(f, rdb_write(r, &b, true, "test", &f->err));
	batch_free(&b);
}

static struct key first_row(struct fixture *f, unsigned id)
{
	struct upload *u = record(f, id);
	struct key k = key_piece(u->extents[0].locator, 0);

	assert_false(u->extents[0].place & PLACE_SEGMENT);
	upload_free(u);
	return k;
}

static void move_row(struct fixture *f, struct rdb *r, struct key from, struct key to)
{
	rocksdb_pinnableslice_t *s = raw_row(f, r, &from);

	raw_put_row(f, r, &to, rdb_value(s));
	rocksdb_pinnableslice_destroy(s);
}

static void flip_in_row(struct fixture *f, struct rdb *r, struct key k, size_t at)
{
	static uint8_t copy[CHUNK_MAX + ROW_SUM_SIZE];
	rocksdb_pinnableslice_t *s = raw_row(f, r, &k);
	struct bytes v = rdb_value(s);

	assert_true(at < v.len && v.len <= sizeof(copy));
	memcpy(copy, v.data, v.len);
	copy[at] ^= 0x10;
	raw_put_row(f, r, &k, (struct bytes){ copy, v.len });
	rocksdb_pinnableslice_destroy(s);
}

/* What reading an upload from an offset gives. */
static enum err_code read_code(struct fixture *f, unsigned id, uint64_t at)
{
	struct upload *u = record(f, id);
	struct chunk *c = NULL;
	enum err_code rc = store_read(f->store, &u->extents[0], at, &c, &f->err);

	if (rc == ERR_OK)
		chunk_unref(c);
	upload_free(u);
	return rc;
}

static void a_row_moved_to_another_key_is_damage(void **state)
{
	struct fixture *f = *state;
	struct key one, second, two;
	struct rdb *r;

	RUN(f, .id = 1, .seed = 1, .to = 2000, .piece = 1000);
	RUN(f, .id = 2, .seed = 2, .to = 2000, .piece = 1000);
	one = first_row(f, 1);
	two = first_row(f, 2);
	second = key_piece(bytes_get_u64(one.b), 1000);
	r = raw_open(f);
	move_row(f, r, one, two);    /* another locator */
	move_row(f, r, one, second); /* another offset */
	raw_close(f, r);
	assert_int_equal(read_code(f, 1, 1000), ERR_DAMAGED);
	assert_int_equal(read_code(f, 2, 0), ERR_DAMAGED);
	assert_int_equal(read_code(f, 1, 0), ERR_OK); /* others are not touched */
	assert_int_equal(read_code(f, 2, 1000), ERR_OK);
}

/* Of bytes and checksum, beside the key. */
static void a_row_with_one_flipped_bit_is_damage(void **state)
{
	static const size_t sizes[] = { 4000, 1000 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		const size_t size = sizes[i];
		const size_t at[] = { 0, size / 2, size - 1, size, size + ROW_SUM_SIZE - 1 };
		struct key k[5];
		struct rdb *r;

		for (unsigned n = 0; n < 5; n++) {
			RUN(f, .id = 10 * i + n, .seed = n, .to = size);
			k[n] = first_row(f, 10 * i + n);
		}
		r = raw_open(f);
		for (unsigned n = 0; n < 5; n++)
			flip_in_row(f, r, k[n], at[n]);
		raw_close(f, r);
		for (unsigned n = 0; n < 5; n++)
			assert_int_equal(read_code(f, 10 * i + n, 0), ERR_DAMAGED);
		r = raw_open(f);
		for (unsigned n = 0; n < 5; n++)
			flip_in_row(f, r, k[n], at[n]); /* back */
		raw_close(f, r);
		for (unsigned n = 0; n < 5; n++)
			CHECK(f, 10 * i + n, n, size, false);
	}
}

static void a_row_no_longer_than_its_checksum_is_damage(void **state)
{
	struct fixture *f = *state;
	struct key k[ROW_SUM_SIZE + 1];
	struct rdb *r;

	for (unsigned n = 0; n <= ROW_SUM_SIZE; n++) {
		RUN(f, .id = n, .seed = n, .to = 1000);
		k[n] = first_row(f, n);
	}
	r = raw_open(f);
	for (unsigned n = 0; n <= ROW_SUM_SIZE; n++) {
		uint8_t sum[ROW_SUM_SIZE]; /* the right one, of no bytes */

		row_sum(sum, bytes_get_u64(k[n].b), 0, (struct bytes){ sum, 0 });
		raw_put_row(f, r, &k[n], (struct bytes){ sum, n });
	}
	raw_close(f, r);
	for (unsigned n = 0; n <= ROW_SUM_SIZE; n++)
		assert_int_equal(read_code(f, n, 0), ERR_DAMAGED);
}

static void records_are_decoded_strictly(void **state)
{
	struct job j = { .id = 1 };
	struct upload u = record_of(&j), *back = NULL;
	struct extent x[2] = { { 1, 0, 600, 0 }, { 2, 600, 400, PLACE_SEGMENT } };
	uint8_t *encoded;
	size_t len;

	(void)state;
	u.offset = 1000;
	u.extents = x;
	u.extent_count = 2;
	encoded = record_encode_upload(&u, &len);
	assert_int_equal(record_decode_upload(&u.id, (struct bytes){ encoded, len }, &back, NULL),
			 ERR_OK);
	assert_int_equal(back->extents[1].locator, 2);
	assert_int_equal(back->extents[1].start, 600);
	assert_int_equal(back->extents[1].place, PLACE_SEGMENT);
	upload_free(back);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(
			record_decode_upload(&u.id, (struct bytes){ encoded, n }, &back, NULL),
			ERR_DAMAGED);
	encoded[len - 1] ^= 0x80; /* place */
	assert_int_equal(record_decode_upload(&u.id, (struct bytes){ encoded, len }, &back, NULL),
			 ERR_DAMAGED);
	free(encoded);
}

/* Version 1 knew neither buckets nor spent ids; it was otherwise the same. */
static void uploads_of_both_versions_are_read(void **state)
{
	static const size_t bucket_at = 5 + 4 * 8, bucket_size = 16 + 8;
	struct job j = { .id = 1, .bucket = 7, .spent_until_s = 7000 };
	struct upload u = record_of(&j), *back = NULL;
	uint8_t *encoded;
	size_t len;

	(void)state;
	encoded = record_encode_upload(&u, &len);
	assert_int_equal(record_decode_upload(&u.id, (struct bytes){ encoded, len }, &back, NULL),
			 ERR_OK);
	assert_int_equal(back->bucket.b[0], 7);
	assert_int_equal(back->spent_until_s, 7000);
	upload_free(back);
	assert_int_equal(encoded[bucket_at], 7);
	len -= bucket_size;
	memmove(encoded + bucket_at, encoded + bucket_at + bucket_size, len - bucket_at);
	encoded[0] = 1;
	assert_int_equal(record_decode_upload(&u.id, (struct bytes){ encoded, len }, &back, NULL),
			 ERR_OK);
	assert_false(bucket_given(&back->bucket));
	assert_int_equal(back->spent_until_s, 0);
	assert_int_equal(back->expires_s, 1000);
	assert_int_equal(back->meta.len, u.meta.len);
	upload_free(back);
	free(encoded);
}

static void every_cut_is_damage(const uint8_t *in, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		struct blob b;

		assert_int_equal(record_decode_blob((struct bytes){ in, n }, &b, NULL, NULL),
				 ERR_DAMAGED);
	}
}

/* 600 bytes at 0 of locator 1, as rows. */
#define EXTENT_600(place) "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x58\0\0\0" place
#define LEAF "0123456789abcdef0123456789abcdef"

static void blobs_of_both_versions_are_read(void **state)
{
	static const char v1[] = "\1\0\0\0\0\0\0\2\x58\0\0\0\1" EXTENT_600("\0");
	static const char v2[] = "\2\0\0\0\0\0\0\2\x58\0\0\0\0\0\0\0\1" EXTENT_600("\0");
	static const char *const both[] = { v1, v2 };
	static const size_t lengths[] = { sizeof(v1) - 1, sizeof(v2) - 1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct bytes in = { (const uint8_t *)both[i], lengths[i] };
		struct leaves leaves = { 0 };
		struct blob b;

		assert_int_equal(record_decode_blob(in, &b, &leaves, NULL), ERR_OK);
		assert_int_equal(b.size, 600);
		assert_int_equal(b.extent_count, 1);
		assert_int_equal(b.extents[0].locator, 1);
		assert_int_equal(b.extents[0].length, 600);
		assert_int_equal(leaves.count, 0);
		free(b.extents);
		leaves_fini(&leaves);
		every_cut_is_damage(in.data, in.len);
	}
}

static void a_composed_blob_is_written_and_read(void **state)
{
	static const char golden[] =
		"\2\0\0\0\0\0\0\2\x58\0\0\0\1" LEAF "\0\0\0\1" EXTENT_600("\4");
	struct extent x = { 1, 0, 600, PLACE_BORROWED };
	struct upload u = { .finished = true, .offset = 600, .extents = &x, .extent_count = 1 };
	struct leaves leaves = { 0 }, back = { 0 };
	struct digest leaf;
	struct blob b;
	uint8_t *encoded;
	size_t len;

	(void)state;
	memcpy(leaf.b, LEAF, sizeof(leaf.b));
	assert_true(leaves_add(&leaves, &leaf, 1) && leaves_add(&leaves, &leaf, 1));
	leaves_settle(&leaves); /* each once */
	encoded = record_encode_blob(&u, &leaves, &len);
	assert_int_equal(len, sizeof(golden) - 1);
	assert_memory_equal(encoded, golden, len);
	assert_int_equal(record_decode_blob((struct bytes){ encoded, len }, &b, &back, NULL),
			 ERR_OK);
	assert_int_equal(back.count, 1);
	assert_memory_equal(&back.v[0], &leaf, sizeof(leaf));
	free(b.extents);
	every_cut_is_damage(encoded, len);
	encoded[len - 1] = 0; /* leaves, but extents of its own */
	every_cut_is_damage(encoded, len + 1);
	free(encoded);
	leaves_fini(&leaves);
	leaves_fini(&back);
}

static void a_tombstone_is_ten_bytes(void **state)
{
	static const uint8_t golden[] = { 1, 2, 0, 0, 0, 0, 0, 0, 0x13, 0x88 };
	uint8_t value[TOMBSTONE_SIZE];
	struct upload_id id = id_of(1);
	struct upload *u;
	int64_t until_s = 0;

	(void)state;
	record_encode_tombstone(value, 5000);
	assert_int_equal(sizeof(golden), sizeof(value));
	assert_memory_equal(value, golden, sizeof(golden));
	assert_true(record_decode_tombstone((struct bytes){ value, sizeof(value) }, &until_s));
	assert_int_equal(until_s, 5000);
	assert_int_equal(
		record_decode_upload(&id, (struct bytes){ value, sizeof(value) }, &u, NULL),
		ERR_DELETED);
	for (size_t n = 0; n < sizeof(value); n++)
		assert_int_equal(record_decode_upload(&id, (struct bytes){ value, n }, &u, NULL),
				 ERR_DAMAGED);
}

/* ---- chunks ---- */

static void a_chunk_outlives_the_store_it_came_from(void **state)
{
	struct fixture *f = *state;
	struct chunk *c[3] = { NULL };

	RUN(f, .id = 1, .seed = 1, .to = 200000, .finish = true);                   /* pack */
	RUN(f, .id = 2, .seed = 2, .to = MIB(2), .expect = MIB(2), .finish = true); /* segment */
	RUN(f, .id = 3, .seed = 3, .to = 1000, .finish = true); /* beside the key */
	fixture_reopen(f);                                      /* flushes */
	for (unsigned i = 0; i < 3; i++) {
		struct upload *u = record(f, i + 1);

		OK(f, store_read(f->store, &u->extents[0], 0, &c[i], &f->err));
		upload_free(u);
	}
	for (unsigned i = 0; i < 3; i++)
		OK(f, drop_code(f, i + 1));
	fixture_close(f);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(content_is(i + 1, 0, c[i]->data, c[i]->len));
		chunk_unref(c[i]);
	}
}

/* ---- a full disk ---- */

static void sleep_ms(unsigned ms)
{
	(void)usleep(ms * 1000);
}

static int mount_size(void **state, const char *size)
{
	struct fixture *f = fixture_new(&on_disk);

	*state = f;
	if (mount("none", f->dir, "tmpfs", 0, size) == 0)
		fixture_open(f);
	return 0;
}

/* Too small for a ballast. */
static int mount_setup(void **state)
{
	return mount_size(state, "size=40m");
}

static int mount_larger(void **state)
{
	return mount_size(state, "size=64m");
}

static int mount_packs(void **state)
{
	return mount_size(state, "size=128m");
}

static int mount_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	(void)umount(f->dir);
	fixture_free(f);
	return 0;
}

/* Fills the disk with uploads of one size; returns how many were acknowledged. */
static unsigned upload_until_full(struct fixture *f, unsigned first, uint64_t size, uint64_t expect)
{
	unsigned id = first;
	enum err_code rc = ERR_OK;

	while (rc == ERR_OK) {
		struct job j = {
			.id = id, .seed = id, .to = size, .finish = true, .expect = expect
		};

		rc = job_run(f->store, &j, &f->err);
		id += rc == ERR_OK;
	}
	if (rc != ERR_FULL)
		print_error("%s: %s\n", err_text(rc), f->err.why);
	assert_int_equal(rc, ERR_FULL);
	return id;
}

static void write_filler(struct fixture *f, off_t size)
{
	char path[80];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/filler", f->dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(posix_fallocate(fd, 0, size), 0);
	close(fd);
}

static void fill_and_recover(struct fixture *f, uint64_t size, uint64_t expect)
{
	struct job retry = { .to = size, .finish = true, .expect = expect };
	unsigned end, tries = 0;
	enum err_code rc;

	write_filler(f, (off_t)MIB(20));
	end = upload_until_full(f, 1, size, expect);
	for (unsigned id = 1; id < end; id++)
		CHECK(f, id, id, size, true);
	write_filler(f, 1);
	retry.seed = retry.id = end;
	do {
		sleep_ms(100);
		rc = job_run(f->store, &retry, &f->err);
	} while (rc == ERR_FULL && tries++ < 150);
	OK(f, rc);
	fixture_reopen(f);
	for (unsigned id = 1; id <= end; id++)
		CHECK(f, id, id, size, true);
	for (unsigned id = 1; id <= end; id++)
		OK(f, drop_code(f, id));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void a_full_disk_is_survived(void **state, uint64_t size, uint64_t expect)
{
	struct fixture *f = *state;

	if (f->store == NULL)
		skip();
	fill_and_recover(f, size, expect);
}

static void a_disk_without_room_refuses_to_be_opened(void **state)
{
	struct fixture *f = *state;
	struct statvfs fs;
	struct store *s;

	if (f->store == NULL)
		skip();
	fixture_close(f);
	assert_int_equal(statvfs(f->dir, &fs), 0);
	write_filler(f, (off_t)(fs.f_bavail * fs.f_frsize));
	assert_int_equal(store_open(&s, "rocksdb", &f->options, &f->err), ERR_FULL);
	write_filler(f, 1);
	fixture_open(f);
}

static bool has_ballast(const struct fixture *f)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/ballast", f->dir);
	return access(path, F_OK) == 0;
}

/* Everything of the store; returns how long the slowest took, in ms. */
static int64_t expire_all(struct fixture *f, unsigned end)
{
	int64_t slowest = 0;

	for (unsigned i = 1; i < end; i++) {
		const struct upload_id id = id_of(i);
		const int64_t began = clock_mono_ms();

		OK(f, store_expire(f->store, &id, 5000, NULL, &f->err));
		if (clock_mono_ms() - began > slowest)
			slowest = clock_mono_ms() - began;
	}
	OK(f, store_give_back(f->store, 20000, &f->err));
	return slowest;
}

static void assert_full(struct fixture *f, unsigned id, uint64_t size, uint64_t expect)
{
	struct job j = { .id = id, .seed = id, .to = size, .finish = true, .expect = expect };

	assert_int_equal(job_run(f->store, &j, &f->err), ERR_FULL);
}

/* To the last byte. */
static void fill_up(const struct fixture *f)
{
	char path[80];
	off_t at = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/filler", f->dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (off_t step = (off_t)MIB(1); step >= 4096; step /= 2)
		while (fallocate(fd, 0, at, step) == 0)
			at += step;
	close(fd);
}

/* Uploads leave room for dropping; and when others take that too, to the last byte, there still is
 * the ballast. */
static void what_is_due_goes_from_a_full_disk(void **state, uint64_t size, uint64_t expect)
{
	struct fixture *f = *state;
	struct job again = { .id = 1, .seed = 1, .to = size, .finish = true, .expect = expect };
	unsigned end;

	if (f->store == NULL)
		skip();
	end = upload_until_full(f, 1, size, expect);
	assert_true(end > 5);
	assert_true(expire_all(f, end) < 4000);
	assert_true(has_ballast(f));
	end = upload_until_full(f, 1, size, expect);
	fill_up(f);
	assert_full(f, end, size, expect);
	(void)expire_all(f, end);
	write_filler(f, 1);
	for (int i = 0; i < 300 && job_run(f->store, &again, &f->err) == ERR_FULL; i++)
		sleep_ms(100);
	assert_true(has_ballast(f));
	CHECK(f, 1, 1, size, true);
}

static void small_uploads_expire_on_a_full_disk(void **state)
{
	what_is_due_goes_from_a_full_disk(state, 1000, 0);
}

static void uploads_expire_on_a_full_disk(void **state)
{
	what_is_due_goes_from_a_full_disk(state, 100000, 0);
}

static void rows_and_segments_expire_on_a_full_disk(void **state)
{
	what_is_due_goes_from_a_full_disk(state, MIB(2) + 77, 0);
}

static void segments_expire_on_a_full_disk(void **state)
{
	what_is_due_goes_from_a_full_disk(state, MIB(3) + 100000, MIB(3) + 100000);
}

static void small_uploads_survive_a_full_disk(void **state)
{
	a_full_disk_is_survived(state, 100000, 0);
}

static void rows_and_segments_survive_a_full_disk(void **state)
{
	a_full_disk_is_survived(state, MIB(2) + 77, 0);
}

static void segments_survive_a_full_disk(void **state)
{
	a_full_disk_is_survived(state, MIB(3) + 100000, MIB(3) + 100000);
}

/* ---- running ---- */

static int setup(void **state)
{
	struct fixture *f = fixture_new(&on_disk);

	fixture_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ON_A_SMALL_DISK(name) cmocka_unit_test_setup_teardown(name, mount_setup, mount_teardown)

static const struct body bodies[] = {
	BODY(leave_many_uploads), BODY(crash_with_segments_in_hand), BODY(drop_joined_and_die),
	BODY(finish_twenty),      BODY(upload_with_threads),         BODY(append_and_die),
	BODY(move_and_die),
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROMISE(a_newer_format_is_refused),
		PROMISE(a_store_of_format_1_is_taken_over),
		PROMISE(a_store_of_format_3_is_counted_once),
		PROMISE(a_family_nobody_here_knows_is_a_newer_format),
		PROMISE(a_folder_in_use_is_refused),
		PROMISE(a_folder_that_cannot_be_made_is_an_error),
		PROMISE(a_small_upload_writes_five_keys_and_three_counts),
		PROMISE(calls_write_few_keys),
		PROMISE(a_composed_blob_borrows_its_extents),
		PROMISE(segments_of_leaves_are_given_back_at_once),
		PROMISE(long_uploads_go_as_segments_and_rests_as_rows),
		PROMISE(a_long_upload_in_short_steps_leaves_no_file_a_step),
		PROMISE(dropping_gives_segments_back_at_once),
		PROMISE(dropping_gives_rows_back_soon),
		PROMISE(a_few_that_stay_do_not_keep_the_others_bytes),
		SNAPSHOT_TESTS,
		PACKS_TESTS,
		PROMISE(locators_are_never_used_again),
		PROMISE(locators_are_never_used_again_after_a_crash_either),
		PROMISE(a_crash_amid_segments_leaves_no_file_behind),
		PROMISE(garbage_noted_before_a_crash_is_removed_at_open),
		PROMISE(junk_that_could_not_be_removed_never_shows),
		PROMISE(a_mark_does_not_outlive_the_finishing_of_its_upload),
		PROMISE(a_torn_log_costs_only_its_torn_end),
		PROMISE(killed_at_any_moment_nothing_acknowledged_is_lost),
		PROMISE(a_record_that_makes_no_sense_is_damage),
		PROMISE(a_row_moved_to_another_key_is_damage),
		PROMISE(a_row_with_one_flipped_bit_is_damage),
		PROMISE(a_row_no_longer_than_its_checksum_is_damage),
		PROMISE(records_are_decoded_strictly),
		PROMISE(uploads_of_both_versions_are_read),
		PROMISE(blobs_of_both_versions_are_read),
		PROMISE(a_composed_blob_is_written_and_read),
		PROMISE(a_tombstone_is_ten_bytes),
		PROMISE(a_chunk_outlives_the_store_it_came_from),
		ON_A_SMALL_DISK(a_disk_without_room_refuses_to_be_opened),
		cmocka_unit_test_setup_teardown(small_uploads_expire_on_a_full_disk, mount_larger,
						mount_teardown),
		cmocka_unit_test_setup_teardown(uploads_expire_on_a_full_disk, mount_larger,
						mount_teardown),
		cmocka_unit_test_setup_teardown(rows_and_segments_expire_on_a_full_disk,
						mount_larger, mount_teardown),
		cmocka_unit_test_setup_teardown(segments_expire_on_a_full_disk, mount_larger,
						mount_teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_is_full_is_emptied_pack_by_pack,
						mount_packs, mount_teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_is_nearly_full_is_not_filled_by_moving,
						mount_packs, mount_teardown),
		ON_A_SMALL_DISK(small_uploads_survive_a_full_disk),
		ON_A_SMALL_DISK(rows_and_segments_survive_a_full_disk),
		ON_A_SMALL_DISK(segments_survive_a_full_disk),
	};

	child_main(argc, argv, bodies, sizeof(bodies) / sizeof(bodies[0]));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("rocksdb", tests, NULL, NULL);
}
