/* What store.h promises, held by every engine, and again behind `faulty`. */
#include "tests/engine/acknowledge.h"
#include "tests/engine/bucket.h"
#include "tests/engine/concat.h"
#include "tests/engine/expire.h"
#include "tests/engine/fixture.h"
#include "tests/engine/reuse.h"

#include <xxhash.h>

#include "storage/scrub.h"

static const struct variant variants[] = {
	{ "memory", "memory", NULL, false },
	{ "rocksdb", "rocksdb", NULL, true },
	{ "faulty(memory)", "faulty", "inner=memory", false },
	{ "faulty(rocksdb)", "faulty", "inner=rocksdb", true },
};

/* ---- writing and reading ---- */

static void a_finished_upload_reads_back(void **state)
{
	static const uint64_t sizes[] = { 0,
					  1,
					  4095,
					  4096,
					  100000,
					  CHUNK_MAX - 1,
					  CHUNK_MAX,
					  CHUNK_MAX + 1,
					  3 * CHUNK_MAX + 17,
					  MIB(5) + 3 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		RUN(f, .id = i, .seed = i, .to = sizes[i], .finish = true);
		CHECK(f, i, i, sizes[i], true);
	}
}

static void an_empty_blob_is_a_blob(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .finish = true);
	RUN(f, .id = 2, .finish = true);
	CHECK(f, 2, 0, 0, true);
	assert_int_equal(blob_count(f), 1);
	OK(f, drop_code(f, 1));
	CHECK(f, 2, 0, 0, true);
	OK(f, drop_code(f, 2));
	assert_int_equal(blob_count(f), 0);
}

static void long_uploads_read_back_however_their_length_was_announced(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = MIB(3) + 5, .expect = MIB(3) + 5, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(3) + 5, .expect = 0, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = MIB(3) + 5, .expect = 1000, .finish = true);
	RUN(f, .id = 4, .seed = 4, .to = 1000, .expect = MIB(30), .finish = true);
	CHECK(f, 1, 1, MIB(3) + 5, true);
	CHECK(f, 2, 2, MIB(3) + 5, true);
	CHECK(f, 3, 3, MIB(3) + 5, true);
	CHECK(f, 4, 4, 1000, true);
}

static void nothing_is_found_before_the_first_commit(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 1 };
	struct upload rec = record_of(&j);
	struct upload_id ids[4];
	struct writer *w;
	size_t n = 9;

	OK(f, store_create(f->store, &rec, 0, &w, &f->err));
	OK(f, writer_stage(w, BYTES("sealed"), &f->err));
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	OK(f, store_due(f->store, INT64_MAX, ids, 4, &n, &f->err));
	assert_int_equal(n, 0);
	assert_int_equal(writer_durable(w), 0);
	writer_close(w);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
}

static void uncommitted_bytes_never_show(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 1000);
	/* other bytes, cut elsewhere, short and long */
	RUN(f, .id = 1, .seed = 7, .from = 1000, .to = 9000, .piece = 333, .append = true,
	    .abandon = true);
	CHECK(f, 1, 1, 1000, false);
	RUN(f, .id = 1, .seed = 8, .from = 1000, .to = MIB(4), .append = true, .abandon = true);
	CHECK(f, 1, 1, 1000, false);
	RUN(f, .id = 1, .seed = 1, .from = 1000, .to = MIB(2) + 1, .piece = 100001, .append = true);
	CHECK(f, 1, 1, MIB(2) + 1, false);
	RUN(f, .id = 1, .seed = 9, .from = MIB(2) + 1, .to = MIB(5), .append = true,
	    .abandon = true);
	RUN(f, .id = 1, .seed = 1, .from = MIB(2) + 1, .to = MIB(3), .append = true,
	    .finish = true);
	CHECK(f, 1, 1, MIB(3), true);
}

static void appends_may_end_anywhere(void **state)
{
	struct fixture *f = *state;
	uint64_t at = 0, next;

	RUN(f, .id = 1, .seed = 1, .to = 0);
	for (unsigned i = 0; i < 60; i++, at = next) {
		next = at + mix(i) % (i % 5 == 0 ? MIB(1) : 9000);
		RUN(f, .id = 1, .seed = 1, .from = at, .to = next, .append = true,
		    .piece = i % 3 == 0 ? 0 : 1 + mix(i) % 50000);
	}
	CHECK(f, 1, 1, at, false);
	RUN(f, .id = 1, .seed = 1, .from = at, .to = at, .append = true, .finish = true);
	CHECK(f, 1, 1, at, true);
}

static void many_small_appends_stay_one_upload(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;

	RUN(f, .id = 1, .seed = 1, .to = 1);
	for (uint64_t at = 1; at < 300; at++)
		RUN(f, .id = 1, .seed = 1, .from = at, .to = at + 1, .append = true);
	CHECK(f, 1, 1, 300, false);
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	assert_int_equal(u->extent_count, 1);
	upload_free(u);
}

static void one_writer_may_commit_many_times(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 1, .seed = 1, .piece = 70000 };
	struct digester d;
	struct writer *w;
	static uint8_t buffer[CHUNK_MAX];
	uint64_t at = 0;

	OK(f, job_begin(f->store, &j, &d, &w, &f->err));
	for (unsigned i = 0; i < 40; i++) {
		struct bytes data = { buffer, 0 };

		j.to = at + 100000;
		data.len = job_piece(&j, at);
		content_fill(1, at, buffer, data.len);
		digest_update(&d, data);
		j.to = at += data.len;
		j.finish = i == 39;
		if (i % 4 == 3)
			OK(f, job_commit(&j, w, &d, data, &f->err));
		else
			OK(f, writer_stage(w, data, &f->err));
	}
	writer_close(w);
	CHECK(f, 1, 1, at, true);
}

/* What is had at once is what is had otherwise. */
static void check_read_now(struct fixture *f, const struct extent *x, uint64_t at,
			   const struct chunk *want)
{
	struct chunk *c;
	enum err_code rc = store_read_now(f->store, x, at, &c, &f->err);

	if (rc == ERR_BUSY)
		return;
	OK(f, rc);
	assert_int_equal(c->len, want->len);
	assert_memory_equal(c->data, want->data, c->len);
	chunk_unref(c);
}

static void check_read(struct fixture *f, const struct extent *x, uint64_t at)
{
	struct chunk *c;

	OK(f, store_read(f->store, x, at, &c, &f->err));
	assert_true(c->len > 0 && c->len <= CHUNK_MAX - at % CHUNK_MAX);
	assert_true(at + c->len <= x->start + x->length);
	assert_true(content_is(1, at, c->data, c->len));
	check_read_now(f, x, at, c);
	chunk_unref(c);
}

static void reads_begin_at_any_offset(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;

	RUN(f, .id = 1, .seed = 1, .to = 5000, .piece = 701);
	RUN(f, .id = 1, .seed = 1, .from = 5000, .to = MIB(1), .append = true);
	RUN(f, .id = 1, .seed = 1, .from = MIB(1), .to = MIB(3) + 7, .append = true,
	    .piece = 99999);
	RUN(f, .id = 1, .seed = 1, .from = MIB(3) + 7, .to = MIB(3) + 100, .append = true,
	    .finish = true);
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	for (size_t i = 0; i < u->extent_count; i++) {
		const struct extent *x = &u->extents[i];

		for (uint64_t at = x->start; at < x->start + x->length; at += 1 + mix(at) % 1999)
			check_read(f, x, at);
		check_read(f, x, x->start + x->length - 1);
	}
	upload_free(u);
}

/* An engine that can do that at all. */
static void a_short_upload_just_stored_is_had_at_once(void **state)
{
	struct fixture *f = *state;
	const bool can = strcmp(f->variant->engine, "faulty") != 0;
	struct upload_id id = id_of(1);
	struct upload *u = NULL;
	struct chunk *c = NULL;

	RUN(f, .id = 1, .seed = 1, .to = 3000, .finish = true);
	assert_int_equal(store_lookup_now(f->store, &id, &u, &f->err), can ? ERR_OK : ERR_BUSY);
	if (!can)
		return;
	assert_true(u->finished && u->offset == 3000);
	OK(f, store_read_now(f->store, &u->extents[0], u->extents[0].start, &c, &f->err));
	assert_int_equal(c->len, 3000);
	assert_true(content_is(1, 0, c->data, c->len));
	OK(f, drop_code(f, 1));
	assert_int_equal(store_read_now(f->store, &u->extents[0], u->extents[0].start, &c, &f->err),
			 ERR_NOTFOUND);
	chunk_unref(c); /* a reader keeps what it has */
	upload_free(u);
	assert_int_equal(store_lookup_now(f->store, &id, &u, &f->err), ERR_NOTFOUND);
}

static void a_part_of_an_extent_is_never_read_beyond(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;
	struct extent part;
	struct chunk *c;

	RUN(f, .id = 1, .seed = 1, .to = 10000, .finish = true);
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	part = u->extents[0];
	part.length = 6000;
	OK(f, store_read(f->store, &part, 5990, &c, &f->err));
	assert_int_equal(c->len, 10);
	assert_true(content_is(1, 5990, c->data, 10));
	chunk_unref(c);
	upload_free(u);
}

/* ---- records ---- */

static void a_record_keeps_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	uint8_t meta[STORE_META_MAX];
	struct upload rec = { .id = id_of(1),
			      .length = 77,
			      .created_s = 12,
			      .expires_s = 34,
			      .kind = 200,
			      .recipients = 1024,
			      .meta = { meta, sizeof(meta) } };
	struct midstate m = { { 1, 2, 3 } };
	struct commit c = { .tail = BYTES("seven"), .midstate = &m, .length = 99, .expires_s = 56 };
	struct upload *u;
	struct writer *w;

	content_fill(5, 0, meta, sizeof(meta)); /* zeroes among them */
	OK(f, store_create(f->store, &rec, 0, &w, &f->err));
	OK(f, writer_commit(w, &c, NULL, &f->err));
	writer_close(w);
	OK(f, store_lookup(f->store, &rec.id, &u, &f->err));
	assert_memory_equal(&u->id, &rec.id, sizeof(rec.id));
	assert_int_equal(u->length, 99);
	assert_int_equal(u->created_s, 12);
	assert_int_equal(u->expires_s, 56);
	assert_int_equal(u->kind, 200);
	assert_int_equal(u->recipients, 1024);
	assert_int_equal(u->meta.len, sizeof(meta));
	assert_memory_equal(u->meta.data, meta, sizeof(meta));
	assert_memory_equal(&u->midstate, &m, sizeof(m));
	upload_free(u);
}

static void metadata_beyond_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	static uint8_t meta[STORE_META_MAX + 1];
	struct upload rec = { .id = id_of(1), .meta = { meta, sizeof(meta) } };
	struct writer *w;

	assert_int_equal(store_create(f->store, &rec, 0, &w, &f->err), ERR_TOOBIG);
}

static void a_second_creation_is_refused(void **state)
{
	struct fixture *f = *state;
	struct job again = { .id = 1, .seed = 2, .to = MIB(2), .finish = true };

	RUN(f, .id = 1, .seed = 1, .to = 50);
	assert_int_equal(job_run(f->store, &again, &f->err), ERR_EXISTS);
	CHECK(f, 1, 1, 50, false);
	RUN(f, .id = 1, .seed = 1, .from = 50, .to = 60, .append = true, .finish = true);
	assert_int_equal(job_run(f->store, &again, &f->err), ERR_EXISTS);
	CHECK(f, 1, 1, 60, true);
	assert_int_equal(blob_count(f), 1);
}

static void an_append_elsewhere_is_refused(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1), nobody = id_of(2);
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = 50);
	assert_int_equal(store_append(f->store, &id, 49, 0, &w, &f->err), ERR_OFFSET);
	assert_int_equal(store_append(f->store, &id, 51, 0, &w, &f->err), ERR_OFFSET);
	assert_int_equal(store_append(f->store, &nobody, 0, 0, &w, &f->err), ERR_NOTFOUND);
	RUN(f, .id = 1, .seed = 1, .from = 50, .to = 60, .append = true, .finish = true);
	assert_int_equal(store_append(f->store, &id, 60, 0, &w, &f->err), ERR_EXISTS);
}

static void the_midstate_takes_hashing_up_again(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;
	struct digest expected;
	uint8_t all[3000];

	content_fill(1, 0, all, sizeof(all));
	digest_of((struct bytes){ all, sizeof(all) }, &expected);
	RUN(f, .id = 1, .seed = 1, .to = 1001);
	if (f->variant->durable)
		fixture_reopen(f);
	RUN(f, .id = 1, .seed = 1, .from = 1001, .to = 2002, .append = true);
	RUN(f, .id = 1, .seed = 1, .from = 2002, .to = 3000, .append = true, .finish = true);
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	assert_memory_equal(&u->digest, &expected, sizeof(expected));
	upload_free(u);
}

/* ---- blobs ---- */

static void identical_content_is_kept_once(void **state)
{
	static const uint64_t sizes[] = { 100, 100000, MIB(3) + 9 };
	struct fixture *f = *state;
	struct store_stats stats;

	for (unsigned i = 0; i < 3; i++) {
		RUN(f, .id = 10 + i, .seed = i, .to = sizes[i], .finish = true);
		RUN(f, .id = 20 + i, .seed = i, .to = sizes[i], .finish = true, .piece = 5001);
		RUN(f, .id = 30 + i, .seed = i, .to = 10);
		RUN(f, .id = 30 + i, .seed = i, .from = 10, .to = sizes[i], .append = true,
		    .finish = true);
	}
	store_stats(f->store, &stats);
	assert_int_equal(stats.deduplicated, 6);
	assert_int_equal(blob_count(f), 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(f, 20 + i, i, sizes[i], true);
		CHECK(f, 30 + i, i, sizes[i], true);
	}
}

static void a_blob_lives_as_long_as_anyone_holds_it(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 3; i++)
		RUN(f, .id = i, .seed = 1, .to = MIB(2) + 9, .finish = true);
	OK(f, drop_code(f, 1)); /* the one who brought it */
	CHECK(f, 2, 1, MIB(2) + 9, true);
	CHECK(f, 3, 1, MIB(2) + 9, true);
	OK(f, drop_code(f, 3));
	CHECK(f, 2, 1, MIB(2) + 9, true);
	OK(f, drop_code(f, 2));
	assert_int_equal(blob_count(f), 0);
	RUN(f, .id = 4, .seed = 1, .to = MIB(2) + 9, .finish = true);
	CHECK(f, 4, 1, MIB(2) + 9, true);
}

static void blobs_are_listed_in_order_each_once(void **state)
{
	struct fixture *f = *state;
	struct digest last;
	struct blob b;
	size_t n = 0;

	for (unsigned i = 0; i < 20; i++)
		RUN(f, .id = i, .seed = i, .to = 100 + i, .finish = true);
	RUN(f, .id = 99, .seed = 0, .to = 50);
	while (store_next_blob(f->store, n > 0 ? &last : NULL, &b, &f->err) == ERR_OK) {
		assert_true(n == 0 || memcmp(&b.digest, &last, sizeof(last)) > 0);
		assert_true(b.size >= 100 && b.size < 120 && b.extent_count == 1);
		last = b.digest;
		free(b.extents);
		n++;
	}
	assert_int_equal(n, 20);
}

/* It is taken by whatever registers the processor has; this is what it is defined to be. */
static void the_sum_of_a_row_is_the_same_on_every_processor(void **state)
{
	static uint8_t data[CHUNK_MAX];
	uint8_t sum[ROW_SUM_SIZE];

	(void)state;
	content_fill(1, 0, data, sizeof(data));
	for (size_t n = 0; n <= sizeof(data); n += 1 + n / 7) {
		row_sum(sum, 3, 5, (struct bytes){ data, n });
		assert_int_equal(bytes_get_u64(sum),
				 XXH3_64bits_withSeed(data, n, 3 * 0x9e3779b97f4a7c15u ^ 5));
	}
}

/* ---- dropping and expiry ---- */

static void what_is_dropped_is_gone(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;
	struct chunk *c, *later;

	RUN(f, .id = 1, .seed = 1, .to = MIB(2), .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(2));
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	OK(f, store_read(f->store, &u->extents[0], 0, &c, &f->err));
	OK(f, drop_code(f, 1));
	OK(f, drop_code(f, 2));
	assert_int_equal(drop_code(f, 1), ERR_NOTFOUND);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	assert_int_equal(lookup_code(f, 2), ERR_NOTFOUND);
	for (size_t i = 0; i < u->extent_count; i++)
		assert_int_equal(
			store_read(f->store, &u->extents[i], u->extents[i].start, &later, &f->err),
			ERR_NOTFOUND);
	assert_true(content_is(1, 0, c->data, c->len)); /* a reader keeps what it has */
	chunk_unref(c);
	upload_free(u);
}

static void a_writer_notices_that_its_upload_was_dropped(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct midstate m = { { 0 } };
	struct commit c = { .tail = BYTES("late"), .midstate = &m, .expires_s = 1 };
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = 10);
	OK(f, store_append(f->store, &id, 10, 0, &w, &f->err));
	OK(f, writer_stage(w, BYTES("staged"), &f->err));
	OK(f, drop_code(f, 1));
	assert_int_equal(writer_commit(w, &c, NULL, &f->err), ERR_NOTFOUND);
	writer_close(w);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
}

static void check_due(struct fixture *f, int64_t now, size_t max, const unsigned *expected,
		      size_t count)
{
	struct upload_id ids[8], id;
	size_t n = 99;

	OK(f, store_due(f->store, now, ids, max, &n, &f->err));
	assert_int_equal(n, count);
	for (size_t i = 0; i < n; i++) {
		id = id_of(expected[i]);
		assert_memory_equal(&ids[i], &id, sizeof(id));
	}
}

static void the_most_overdue_come_first(void **state)
{
	static const unsigned order[] = { 3, 1, 2 };
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 10, .expires_s = 200);
	RUN(f, .id = 2, .seed = 2, .to = 10, .expires_s = 300, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 10, .expires_s = 100, .finish = true);
	RUN(f, .id = 4, .seed = 3, .to = 10, .expires_s = (int64_t)1 << 40, .finish = true);
	check_due(f, 99, 8, order, 0);
	check_due(f, 100, 8, order, 1);
	check_due(f, 1000, 8, order, 3);
	check_due(f, 1000, 2, order, 2);
	check_due(f, 1000, 0, order, 0);
	OK(f, drop_code(f, 3));
	check_due(f, 1000, 8, order + 1, 2);
}

static void a_commit_moves_the_time_when_an_upload_is_due(void **state)
{
	static const unsigned one[] = { 1 };
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 10, .expires_s = 200);
	RUN(f, .id = 1, .seed = 1, .from = 10, .to = 20, .append = true, .expires_s = 400);
	check_due(f, 300, 8, one, 0);
	check_due(f, 400, 8, one, 1);
	RUN(f, .id = 1, .seed = 1, .from = 20, .to = 30, .append = true, .expires_s = 100,
	    .finish = true);
	check_due(f, 100, 8, one, 1);
	OK(f, drop_code(f, 1));
	check_due(f, 1000, 8, one, 0);
}

/* ---- threads ---- */

static void *finish_the_same(void *arg)
{
	struct thread *t = arg;

	for (unsigned round = 0; t->rc == ERR_OK && round < 6; round++) {
		struct job j = { .id = round * 100 + t->number,
				 .seed = round,
				 .to = 50000 + round * 300000,
				 .finish = true,
				 .piece = 10000 + t->number };

		t->rc = job_run(t->f->store, &j, &t->err);
	}
	return NULL;
}

static void eight_who_finish_the_same_at_once_share_one_blob(void **state)
{
	struct fixture *f = *state;

	run_threads(f, 8, finish_the_same);
	assert_int_equal(blob_count(f), 6);
	for (unsigned round = 0; round < 6; round++)
		for (unsigned i = 0; i < 8; i++) {
			CHECK(f, round * 100 + i, round, 50000 + round * 300000, true);
			OK(f, drop_code(f, round * 100 + i));
		}
	assert_int_equal(blob_count(f), 0);
}

static void sixteen_threads_do_not_disturb_each_other(void **state)
{
	struct fixture *f = *state;

	run_threads(f, 16, live_and_let_die);
	for (unsigned t = 0; t < 16; t++)
		for (unsigned i = 0; i < 8; i += 2) {
			unsigned id = t * 1000 + i;

			CHECK(f, id, id, mix(id) % (i % 4 == 0 ? MIB(2) : 60000), true);
		}
	assert_int_equal(lookup_code(f, 1001), ERR_NOTFOUND);
}

static void *share_and_drop(void *arg)
{
	struct thread *t = arg;
	struct upload_id name = id_of(t->number);
	struct job j = { .id = t->number, .seed = 5, .to = 90000, .finish = true };

	for (unsigned i = 0; t->rc == ERR_OK && i < 12; i++) {
		struct upload *u = NULL;
		bool same = false;

		t->rc = job_run(t->f->store, &j, &t->err);
		if (t->rc == ERR_OK)
			t->rc = store_lookup(t->f->store, &name, &u, &t->err);
		if (t->rc == ERR_OK)
			t->rc = read_back(t->f->store, u, 5, &same, &t->err);
		if (t->rc == ERR_OK && !same)
			t->rc = err_set(&t->err, ERR_DAMAGED, "other bytes");
		if (t->rc == ERR_OK)
			t->rc = store_drop(t->f->store, &name, NULL, &t->err);
		upload_free(u);
	}
	return NULL;
}

static void a_shared_blob_comes_and_goes_under_many_hands(void **state)
{
	struct fixture *f = *state;

	run_threads(f, 8, share_and_drop);
	assert_int_equal(blob_count(f), 0);
}

/* ---- the whole store ---- */

static void an_unknown_engine_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct store *s;

	assert_int_equal(store_open(&s, "papyrus", &f->options, &f->err), ERR_NOTFOUND);
}

static void calls_are_counted(void **state)
{
	struct fixture *f = *state;
	struct store_stats s;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .piece = 400, .finish = true);
	CHECK(f, 1, 1, 1000, true);
	OK(f, drop_code(f, 1));
	(void)drop_code(f, 1);
	store_stats(f->store, &s);
	assert_int_equal(s.stages, 2);
	assert_int_equal(s.commits, 1);
	assert_int_equal(s.bytes_staged, 1000);
	assert_int_equal(s.bytes_read, 1000);
	assert_int_equal(s.lookups, 1);
	assert_int_equal(s.drops, 2);
	assert_int_equal(s.failures, 0);
}

static void everything_dropped_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 12; i++)
		RUN(f, .id = i, .seed = i / 2, .to = 30000 + i / 2 * KIB(400), .finish = i % 3 > 0,
		    .piece = i % 2 ? 0 : 7777);
	RUN(f, .id = 90, .seed = 1, .to = MIB(2), .abandon = true);
	for (unsigned i = 0; i < 12; i++)
		OK(f, drop_code(f, i));
	assert_int_equal(blob_count(f), 0);
	if (!f->variant->durable)
		return;
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

static void everything_acknowledged_outlives_closing(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 70000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(3), .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 5, .expires_s = 7);
	fixture_reopen(f);
	CHECK(f, 1, 1, 70000, true);
	CHECK(f, 2, 2, MIB(3), true);
	CHECK(f, 3, 3, 5, false);
	RUN(f, .id = 3, .seed = 3, .from = 5, .to = MIB(1), .append = true);
	fixture_reopen(f);
	CHECK(f, 3, 3, MIB(1), false);
}

static void write_and_stage(struct fixture *f)
{
	struct upload_id id = id_of(2);
	static uint8_t junk[CHUNK_MAX];
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = MIB(2) + 1, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = MIB(1));
	RUN(f, .id = 3, .seed = 3, .to = 1234);
	RUN(f, .id = 4, .seed = 4, .to = 100);
	OK(f, drop_code(f, 4));
	OK(f, store_append(f->store, &id, MIB(1), 0, &w, &f->err));
	for (unsigned i = 0; i < 20; i++) /* rows, then segments */
		OK(f, writer_stage(w, (struct bytes){ junk, sizeof(junk) }, &f->err));
	id = id_of(3);
	OK(f, store_append(f->store, &id, 1234, 0, &w, &f->err));
	OK(f, writer_stage(w, BYTES("junk"), &f->err));
	OK(f, writer_stage(w, BYTES("more junk"), &f->err));
}

static void a_crash_takes_nothing_acknowledged_and_leaves_nothing_else(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "write_and_stage");
	fixture_open(f);
	CHECK(f, 1, 1, MIB(2) + 1, true);
	CHECK(f, 2, 2, MIB(1), false);
	CHECK(f, 3, 3, 1234, false);
	assert_int_equal(lookup_code(f, 4), ERR_NOTFOUND);
	RUN(f, .id = 2, .seed = 2, .from = MIB(1), .to = MIB(3), .append = true, .finish = true);
	RUN(f, .id = 3, .seed = 3, .from = 1234, .to = 2000, .append = true, .finish = true);
	CHECK(f, 2, 2, MIB(3), true);
	CHECK(f, 3, 3, 2000, true);
	for (unsigned i = 1; i <= 3; i++)
		OK(f, drop_code(f, i));
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

/* ---- each call gets its turn to fail ---- */

/* What the store has said yes to. */
struct told {
	uint64_t a; /* bytes of upload 1 */
	bool a_finished, a_dropped, b_finished, b_dropped;
	bool pending, joined, extended, terminated; /* upload 3 */
};

/* Lived until a call fails, and then looked at. */
struct story {
	enum err_code (*live)(struct fixture *f, struct told *t);
	void (*check)(struct fixture *f, const struct told *t);
};

static enum err_code step(struct fixture *f, struct job j)
{
	return job_run(f->store, &j, &f->err);
}

static enum err_code read_and_list(struct fixture *f, uint64_t seed, uint64_t size)
{
	struct upload_id id = id_of(1), ids[4];
	struct upload *u = NULL;
	struct blob b;
	bool same = false;
	size_t n;
	enum err_code rc = store_lookup(f->store, &id, &u, &f->err);

	if (rc == ERR_OK)
		rc = read_back(f->store, u, seed, &same, &f->err);
	if (rc == ERR_OK)
		assert_true(same && u->offset == size);
	upload_free(u);
	if (rc == ERR_OK)
		rc = store_due(f->store, 5000, ids, 4, &n, &f->err);
	if (rc == ERR_OK)
		assert_int_equal(n, 2);
	if (rc == ERR_OK)
		rc = store_next_blob(f->store, NULL, &b, &f->err);
	if (rc == ERR_OK)
		free(b.extents);
	return rc;
}

#define SIZE_A (MIB(1) + KIB(700))

/* A whole life: created, appended to, finished, sent a second time, read, dropped. */
static enum err_code live(struct fixture *f, struct told *t)
{
	enum err_code rc;

	rc = step(f, (struct job){ .id = 1, .seed = 1, .to = 60000, .piece = 25000 });
	if (rc != ERR_OK)
		return rc;
	t->a = 60000;
	rc = step(f, (struct job){ .id = 1,
				   .seed = 1,
				   .from = 60000,
				   .to = SIZE_A,
				   .append = true,
				   .finish = true });
	if (rc != ERR_OK)
		return rc;
	t->a = SIZE_A;
	t->a_finished = true;
	rc = step(f, (struct job){ .id = 2, .seed = 1, .to = SIZE_A, .finish = true });
	if (rc != ERR_OK)
		return rc;
	t->b_finished = true;
	rc = read_and_list(f, 1, SIZE_A);
	if (rc == ERR_OK)
		rc = drop_code(f, 1);
	t->a_dropped = rc == ERR_OK;
	if (rc == ERR_OK)
		rc = drop_code(f, 2);
	t->b_dropped = rc == ERR_OK;
	return rc;
}

/* After a failure a drop may have happened or not; everything else that was said holds. */
static void check_told(struct fixture *f, const struct told *t)
{
	enum err_code a = lookup_code(f, 1), b = lookup_code(f, 2);

	if (t->a > 0 && a == ERR_OK)
		CHECK(f, 1, 1, t->a, t->a_finished);
	if (t->b_finished && b == ERR_OK)
		CHECK(f, 2, 1, SIZE_A, true);
	assert_true(a == ERR_NOTFOUND || (t->a > 0 && !t->a_dropped));
	assert_true(a == ERR_OK || t->a == 0 || t->b_finished); /* b_finished: drops have begun */
	assert_true(b == ERR_NOTFOUND || (t->b_finished && !t->b_dropped));
	assert_true(b == ERR_OK || !t->b_finished || t->a_dropped);
}

static void drop_all(struct fixture *f)
{
	for (unsigned id = 1; id <= 3; id++)
		while (drop_code(f, id) == ERR_OK)
			; /* its tombstone too */
	for (unsigned id = 1; id <= 3; id++)
		assert_int_equal(lookup_code(f, id), ERR_NOTFOUND);
}

static const struct story one_life = { live, check_told };

#define FINAL_SLICES SLICES({ 1, 70000 }, { 2, LONG })

/* Put together from parts that go before, extended, terminated, forgotten. */
static enum err_code live_joined(struct fixture *f, struct told *t)
{
	struct upload_id none;
	enum err_code rc;

	rc = step(f, (struct job){ .id = 1, .seed = 1, .to = 70000, .finish = true });
	if (rc == ERR_OK)
		rc = step(f, (struct job){ .id = 2, .seed = 2, .to = LONG, .finish = true });
	if (rc == ERR_OK)
		rc = step(f, (struct job){ .id = 3 });
	t->pending = rc == ERR_OK;
	if (rc == ERR_OK)
		rc = COMPLETE_CODE(f, 3, PARTS(1, 2), FINAL_SLICES);
	if (rc != ERR_OK)
		return rc;
	t->joined = true;
	rc = store_next_open(f->store, NULL, &none, &f->err);
	if (rc != ERR_NOTFOUND)
		return rc;
	rc = extend_code(f, 3, 2000);
	t->extended = rc == ERR_OK;
	if (rc == ERR_OK)
		rc = drop_code(f, 1);
	if (rc == ERR_OK)
		rc = terminate_code(f, 2, 5000);
	if (rc == ERR_OK)
		rc = read_joined(f->store, 3, FINAL_SLICES, &f->err);
	if (rc == ERR_OK)
		rc = terminate_code(f, 3, 5000);
	t->terminated = rc == ERR_OK;
	for (unsigned id = 2; rc == ERR_OK && id <= 3; id++)
		rc = drop_code(f, id);
	return rc;
}

/* Until it was said to be terminated, the final has all its bytes; and it is pending or joined. */
static void check_joined_told(struct fixture *f, const struct told *t)
{
	struct upload_id open;
	enum err_code rc = lookup_code(f, 3);

	if (t->joined && rc == ERR_OK)
		CHECK_JOINED(f, 3, FINAL_SLICES);
	else if (t->pending && rc == ERR_OK)
		CHECK(f, 3, 0, 0, false);
	assert_true(t->pending || rc == ERR_NOTFOUND);
	assert_true(!t->pending || t->extended || rc == ERR_OK);
	assert_true(!t->terminated || rc == ERR_DELETED || rc == ERR_NOTFOUND);
	rc = store_next_open(f->store, NULL, &open, &f->err);
	assert_int_equal(rc, t->pending && !t->joined ? ERR_OK : ERR_NOTFOUND);
	if (t->extended && !t->terminated && lookup_code(f, 3) == ERR_OK)
		assert_int_equal(due_count(f, 1999) < due_count(f, 2000), true);
}

static const struct story joined_life = { live_joined, check_joined_told };

static void count_share(void *ctx, uint64_t weight, int64_t created_s)
{
	(void)weight;
	(void)created_s;
	*(unsigned *)ctx += 1;
}

/* Weighed, finished as a blob that is there, looked over, expired with a tombstone and without. */
static enum err_code live_reused(struct fixture *f, struct told *t)
{
	const struct bucket_id bucket = bucket_of(1);
	struct job j = { .id = 3, .bucket = 1 };
	struct upload rec = record_of(&j);
	struct upload_id one = id_of(1), three = id_of(3);
	struct store_overdue o;
	struct digest d;
	struct blob b;
	unsigned shares = 0;
	enum err_code rc;

	rc = step(f, (struct job){ .id = 1,
				   .seed = 1,
				   .to = 70000,
				   .finish = true,
				   .bucket = 1,
				   .spent_until_s = 5000 });
	if (rc == ERR_OK)
		rc = digest_code(f, 1, &d);
	if (rc == ERR_OK)
		rc = store_blob(f->store, &d, &b, &f->err);
	if (rc != ERR_OK)
		return rc;
	free(b.extents);
	rc = store_reuse(f->store, &rec, &d, NULL, &f->err);
	t->joined = rc == ERR_OK;
	if (rc == ERR_OK)
		rc = store_bucket(f->store, &bucket, count_share, &shares, &f->err);
	if (rc == ERR_OK)
		rc = store_overdue(f->store, 5000, 9, &o, &f->err);
	if (rc == ERR_OK)
		assert_true(shares == 2 && o.finished == 2);
	if (rc == ERR_OK)
		rc = store_expire(f->store, &one, 1000, NULL, &f->err);
	if (rc == ERR_OK)
		rc = store_expire(f->store, &one, 5000, NULL, &f->err);
	if (rc == ERR_OK)
		rc = store_give_back(f->store, 1000, &f->err);
	if (rc != ERR_OK)
		return rc;
	t->a_dropped = true;
	rc = store_expire(f->store, &three, 1000, NULL, &f->err);
	t->b_dropped = rc == ERR_OK;
	return rc;
}

/* What was reused is there, whatever became of who brought it. */
static void check_reused_told(struct fixture *f, const struct told *t)
{
	const struct bucket_id bucket = bucket_of(1);
	const enum err_code rc = lookup_code(f, 3), one = lookup_code(f, 1);
	const unsigned finished = (unsigned)(one == ERR_OK) + (t->joined && rc == ERR_OK);
	unsigned shares = 0;

	if (t->joined && rc == ERR_OK)
		CHECK(f, 3, 1, 70000, true);
	assert_true(rc == ERR_NOTFOUND || (t->joined && !t->b_dropped));
	assert_true(rc == ERR_OK || !t->joined || t->a_dropped);
	assert_true(one == ERR_NOTFOUND || !t->a_dropped);
	OK(f, store_bucket(f->store, &bucket, count_share, &shares, &f->err));
	assert_int_equal(shares, (rc == ERR_OK) + (one == ERR_OK));
	ALIVE(f, shares, finished, finished > 0 ? 70000 : 0);
}

static const struct story reused_life = { live_reused, check_reused_told };

/* Lets the nth call fail; false when there are fewer calls than that. */
static bool fail_nth(const struct story *story, const char *inner, const char *how,
		     enum err_code code, unsigned n)
{
	char faults[128];
	struct variant v = { "", "faulty", faults, strcmp(inner, "rocksdb") == 0 };
	struct fixture *f = fixture_new(&v);
	struct told told = { 0 }, again = { 0 };
	enum err_code rc;

	(void)snprintf(faults, sizeof(faults), "inner=%s;fail=any:%u;%s", inner, n, how);
	rc = store_open(&f->store, "faulty", &f->options, &f->err);
	if (rc == ERR_OK)
		rc = story->live(f, &told);
	if (rc == ERR_OK) {
		fixture_free(f);
		return false;
	}
	assert_int_equal(rc, code);
	assert_int_equal(f->store == NULL, n == 1);
	v.faults = f->options.faults = inner[0] == 'm' ? "inner=memory" : "inner=rocksdb";
	if (f->store == NULL)
		fixture_open(f);
	story->check(f, &told);
	if (v.durable)
		fixture_reopen(f);
	story->check(f, &told);
	drop_all(f);
	OK(f, story->live(f, &again));
	assert_int_equal(blob_count(f), 0);
	fixture_close(f);
	if (v.durable)
		assert_int_equal(leftovers(f), 0);
	fixture_free(f);
	return true;
}

static void walk(const char *inner, const char *how, enum err_code code)
{
	const struct story *stories[] = { &one_life, &joined_life, &reused_life };

	for (size_t i = 0; i < 3; i++) {
		unsigned n = 1;

		while (fail_nth(stories[i], inner, how, code, n))
			n++;
		assert_true(n > 12);
	}
}

static void each_call_in_memory_may_fail_in_its_turn(void **state)
{
	(void)state;
	walk("memory", "code=IO", ERR_IO);
	walk("memory", "code=NOMEM;when=after", ERR_NOMEM);
}

static void each_call_on_disk_may_fail_in_its_turn(void **state)
{
	(void)state;
	walk("rocksdb", "code=FULL", ERR_FULL);
}

static void each_call_on_disk_may_be_done_and_still_fail(void **state)
{
	(void)state;
	walk("rocksdb", "code=IO;when=after", ERR_IO);
}

static void a_schedule_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = { "inner=papyrus", "inner=faulty", "fail=flush:1",
					   "fail=stage",    "fail=stage:0", "fail=stage:x",
					   "code=OK",       "code=WRONG",   "when=never",
					   "delay_ms=-1",   "nonsense" };
	struct store_options opt = { .dir = "unused" };
	struct store *s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opt.faults = bad[i];
		assert_int_equal(store_open(&s, "faulty", &opt, NULL), ERR_INVALID);
	}
}

static void joining_extending_and_listing_have_names_in_a_schedule(void **state)
{
	struct store_options opt = { .faults = "inner=memory;fail=concat:1;fail=extend:1;fail="
					       "acknowledge:1;fail=next_open:1;code=FULL" };
	struct upload_id id = id_of(1);
	struct store *s;
	uint16_t left;

	(void)state;
	assert_int_equal(store_open(&s, "faulty", &opt, NULL), ERR_OK);
	for (unsigned round = 0; round < 2; round++) {
		const enum err_code wanted = round == 0 ? ERR_FULL : ERR_NOTFOUND;

		assert_int_equal(join(s, 9, PARTS(1), SLICES({ 1, 5 }), NULL), wanted);
		assert_int_equal(store_extend(s, &id, 5, NULL), wanted);
		assert_int_equal(store_acknowledge(s, &id, 1, 5, &left, NULL, NULL), wanted);
		assert_int_equal(store_next_open(s, NULL, &id, NULL), wanted);
	}
	store_close(s);
}

static void a_schedule_names_calls_by_kind_and_number(void **state)
{
	struct store_options opt = { .faults = "inner=memory;fail=drop:2,3;fail=due:*;code=FULL" };
	struct upload_id id = id_of(1), ids[1];
	struct store *s;
	size_t n;

	(void)state;
	assert_int_equal(store_open(&s, "faulty", &opt, NULL), ERR_OK);
	assert_int_equal(store_drop(s, &id, NULL, NULL), ERR_NOTFOUND);
	assert_int_equal(store_drop(s, &id, NULL, NULL), ERR_FULL);
	assert_int_equal(store_due(s, 1, ids, 1, &n, NULL), ERR_FULL);
	assert_int_equal(store_drop(s, &id, NULL, NULL), ERR_FULL);
	assert_int_equal(store_drop(s, &id, NULL, NULL), ERR_NOTFOUND);
	assert_int_equal(store_due(s, 1, ids, 1, &n, NULL), ERR_FULL);
	store_close(s);
}

/* ---- chunks ---- */

static void chunks_are_counted_while_anyone_holds_them(void **state)
{
	size_t before = chunk_memory();
	struct chunk *big = chunk_new(CHUNK_MAX), *small = chunk_new(10);

	(void)state;
	assert_int_equal(chunk_memory(), before + CHUNK_MAX + 10);
	memcpy(small->data, "0123456789", 10);
	small->len = 10;
	assert_true(chunk_grow(small, 1000));
	assert_memory_equal(small->data, "0123456789", 10);
	assert_int_equal(chunk_memory(), before + CHUNK_MAX + 1000);
	assert_true(chunk_grow(small, CHUNK_MAX));
	assert_memory_equal(small->data, "0123456789", 10);
	assert_ptr_equal(chunk_ref(big), big);
	chunk_unref(big);
	assert_int_equal(chunk_memory(), before + 2 * CHUNK_MAX);
	chunk_unref(big);
	chunk_unref(small);
	chunk_unref(NULL);
	assert_int_equal(chunk_memory(), before);
}

static void note_release(struct chunk *c)
{
	*(int *)c->owner += 1;
}

static void a_wrapped_chunk_gives_its_memory_back_once(void **state)
{
	static const uint8_t bytes[5] = "five";
	size_t before = chunk_memory();
	int released = 0;
	struct chunk *c = chunk_wrap(bytes, 5, note_release, &released);

	(void)state;
	assert_ptr_equal(c->data, bytes);
	assert_int_equal(c->len, 5);
	assert_int_equal(chunk_memory(), before + 5);
	chunk_unref(chunk_ref(c));
	assert_int_equal(released, 0);
	chunk_unref(c);
	assert_int_equal(released, 1);
	assert_int_equal(chunk_memory(), before);
}

/* ---- running all of it ---- */

static int setup(void **state)
{
	struct fixture *f = fixture_new(*state);

	fixture_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

#define PROMISES(X)                                                  \
	X(a_finished_upload_reads_back)                              \
	X(an_empty_blob_is_a_blob)                                   \
	X(long_uploads_read_back_however_their_length_was_announced) \
	X(nothing_is_found_before_the_first_commit)                  \
	X(uncommitted_bytes_never_show)                              \
	X(appends_may_end_anywhere)                                  \
	X(many_small_appends_stay_one_upload)                        \
	X(one_writer_may_commit_many_times)                          \
	X(reads_begin_at_any_offset)                                 \
	X(a_short_upload_just_stored_is_had_at_once)                 \
	X(a_part_of_an_extent_is_never_read_beyond)                  \
	X(a_record_keeps_what_it_was_given)                          \
	X(metadata_beyond_the_limit_is_refused)                      \
	X(a_second_creation_is_refused)                              \
	X(an_append_elsewhere_is_refused)                            \
	X(the_midstate_takes_hashing_up_again)                       \
	X(identical_content_is_kept_once)                            \
	X(a_blob_lives_as_long_as_anyone_holds_it)                   \
	X(blobs_are_listed_in_order_each_once)                       \
	X(what_is_dropped_is_gone)                                   \
	X(a_writer_notices_that_its_upload_was_dropped)              \
	X(the_most_overdue_come_first)                               \
	X(a_commit_moves_the_time_when_an_upload_is_due)             \
	X(eight_who_finish_the_same_at_once_share_one_blob)          \
	X(sixteen_threads_do_not_disturb_each_other)                 \
	X(a_shared_blob_comes_and_goes_under_many_hands)             \
	X(an_unknown_engine_is_not_found)                            \
	X(calls_are_counted)                                         \
	X(everything_dropped_leaves_nothing)                         \
	CONCAT_PROMISES(X)                                           \
	ACKNOWLEDGE_PROMISES(X)                                      \
	BUCKET_PROMISES(X)                                           \
	REUSE_PROMISES(X)                                            \
	EXPIRE_PROMISES(X)

/* Of engines that keep things beyond the process. */
#define DURABLE_PROMISES(X)                                           \
	X(everything_acknowledged_outlives_closing)                   \
	X(a_crash_takes_nothing_acknowledged_and_leaves_nothing_else) \
	DURABLE_CONCAT_PROMISES(X)                                    \
	DURABLE_EXPIRE_PROMISES(X)

#define X(name) { #name, name, setup, teardown, NULL },
static const struct CMUnitTest promises[] = { PROMISES(X) };
static const struct CMUnitTest durable_promises[] = { DURABLE_PROMISES(X) };
#undef X

static const struct CMUnitTest others[] = {
	cmocka_unit_test(each_call_in_memory_may_fail_in_its_turn),
	cmocka_unit_test(each_call_on_disk_may_fail_in_its_turn),
	cmocka_unit_test(each_call_on_disk_may_be_done_and_still_fail),
	cmocka_unit_test(a_schedule_that_makes_no_sense_is_refused),
	cmocka_unit_test(a_schedule_names_calls_by_kind_and_number),
	cmocka_unit_test(joining_extending_and_listing_have_names_in_a_schedule),
	cmocka_unit_test(chunks_are_counted_while_anyone_holds_them),
	cmocka_unit_test(a_wrapped_chunk_gives_its_memory_back_once),
	cmocka_unit_test(the_sum_of_a_row_is_the_same_on_every_processor),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TESTS_MAX 512

static struct CMUnitTest tests[TESTS_MAX];
static char names[TESTS_MAX][128];
static size_t test_count;

static void add_promises(const struct variant *v, const struct CMUnitTest *p, size_t count)
{
	for (size_t i = 0; i < count; i++, test_count++) {
		char *name = names[test_count];

		assert_true(test_count < TESTS_MAX);
		(void)snprintf(name, sizeof(names[0]), "%s: %s", v->title, p[i].name);
		tests[test_count] = p[i];
		tests[test_count].name = name;
		tests[test_count].initial_state = (void *)(uintptr_t)v;
	}
}

static const struct body bodies[] = { BODY(write_and_stage), CONCAT_BODIES, EXPIRE_BODIES };

int main(int argc, char **argv)
{
	child_main(argc, argv, bodies, COUNT(bodies));
	for (size_t i = 0; i < COUNT(variants); i++) {
		add_promises(&variants[i], promises, COUNT(promises));
		if (variants[i].durable)
			add_promises(&variants[i], durable_promises, COUNT(durable_promises));
	}
	assert_true(test_count + COUNT(others) <= TESTS_MAX);
	memcpy(tests + test_count, others, sizeof(others));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("engines", tests, test_count + COUNT(others), NULL, NULL);
}
