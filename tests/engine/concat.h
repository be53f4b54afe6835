/* concat - what store.h promises of concatenations, tombstones, other expiries and the unfinished:
 * part of test_engine.c, which has every engine keep it. */
#ifndef RESTANTE_TESTS_ENGINE_CONCAT_H
#define RESTANTE_TESTS_ENGINE_CONCAT_H

#include <time.h>

#include "base/clock.h"
#include "tests/engine/fixture.h"

/* ---- content that is put together: the first `size` bytes of content `seed`, and so on ---- */

struct slice {
	uint64_t seed, size;
};

#define LIST(type, ...) \
	((const type[]){ __VA_ARGS__ }), sizeof((const type[]){ __VA_ARGS__ }) / sizeof(type)
#define PARTS(...) LIST(unsigned, __VA_ARGS__)
#define SLICES(...) LIST(struct slice, __VA_ARGS__)

/* The caller's to free. */
static uint8_t *slices_fill(const struct slice *v, size_t count, struct bytes *out)
{
	uint8_t *all;
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += v[i].size;
	all = malloc(size + 1);
	assert_non_null(all);
	*out = (struct bytes){ all, size };
	for (size_t i = 0, at = 0; i < count; at += v[i++].size)
		content_fill(v[i].seed, 0, all + at, v[i].size);
	return all;
}

/* waiting: the upload is there. */
static enum err_code join_rec(struct store *s, const struct upload *rec, bool waiting,
			      const unsigned *parts, size_t part_count, const struct slice *slices,
			      size_t slice_count, struct err *e)
{
	struct upload_id ids[STORE_PARTS_MAX + 1];
	struct upload *made = NULL;
	struct digest digest;
	struct bytes all;
	uint8_t *memory = slices_fill(slices, slice_count, &all);
	enum err_code rc;

	for (size_t i = 0; i < part_count; i++)
		ids[i] = id_of(parts[i]);
	digest_of(all, &digest);
	free(memory);
	if (waiting)
		rc = store_complete(s, rec, ids, part_count, &digest, all.len, &made, e);
	else
		rc = store_concat(s, rec, ids, part_count, &digest, all.len, &made, e);
	if (rc == ERR_OK && (!made->finished || made->offset != all.len ||
			     made->length != all.len || !digest_equal(&made->digest, &digest)))
		rc = err_set(e, ERR_DAMAGED, "another record than was asked for");
	upload_free(made);
	return rc;
}

static enum err_code join(struct store *s, unsigned id, const unsigned *parts, size_t part_count,
			  const struct slice *slices, size_t slice_count, struct err *e)
{
	struct job j = { .id = id };
	struct upload rec = record_of(&j);

	return join_rec(s, &rec, false, parts, part_count, slices, slice_count, e);
}

/* The upload waits, as RUN() has made it. */
static enum err_code complete(struct store *s, unsigned id, const unsigned *parts,
			      size_t part_count, const struct slice *slices, size_t slice_count,
			      struct err *e)
{
	struct job j = { .id = id };
	struct upload rec = record_of(&j);

	return join_rec(s, &rec, true, parts, part_count, slices, slice_count, e);
}
#define COMPLETE(f, id, ...) OK((f), complete((f)->store, (id), __VA_ARGS__, &(f)->err))
#define COMPLETE_CODE(f, id, ...) complete((f)->store, (id), __VA_ARGS__, &(f)->err)
#define JOIN(f, id, ...) OK((f), join((f)->store, (id), __VA_ARGS__, &(f)->err))
#define JOIN_CODE(f, id, ...) join((f)->store, (id), __VA_ARGS__, &(f)->err)

/* Uploads the same content in the ordinary way. */
static enum err_code send_whole(struct store *s, unsigned id, const struct slice *slices,
				size_t count, struct err *e)
{
	struct job j = { .id = id };
	struct upload rec = record_of(&j);
	struct digest digest;
	struct bytes all;
	uint8_t *memory = slices_fill(slices, count, &all);
	struct commit c = { .digest = &digest, .length = all.len, .expires_s = 1000 };
	struct writer *w = NULL;
	enum err_code rc = store_create(s, &rec, 0, &w, e);

	digest_of(all, &digest);
	while (rc == ERR_OK && all.len > 0) {
		struct bytes piece = { all.data, all.len < CHUNK_MAX ? all.len : CHUNK_MAX };

		rc = writer_stage(w, piece, e);
		all.data += piece.len;
		all.len -= piece.len;
	}
	if (rc == ERR_OK)
		rc = writer_commit(w, &c, NULL, e);
	writer_close(w);
	free(memory);
	return rc;
}
#define SEND_WHOLE(f, id, ...) OK((f), send_whole((f)->store, (id), __VA_ARGS__, &(f)->err))

/* Bytes from offset `at` of the upload on: those of all its extents, one after the other. */
static enum err_code same_bytes(struct store *s, const struct upload *u, struct bytes all,
				bool *same, struct err *e)
{
	uint64_t at = 0;

	*same = u->offset == all.len && u->finished;
	for (size_t i = 0; i < u->extent_count; i++) {
		const struct extent *x = &u->extents[i];

		for (uint64_t done = 0; done < x->length;) {
			struct chunk *c = NULL;
			enum err_code rc = store_read(s, x, x->start + done, &c, e);

			if (rc != ERR_OK)
				return rc;
			*same = *same && c->len <= all.len - at &&
				memcmp(c->data, all.data + at, c->len) == 0;
			done += c->len;
			at += c->len;
			chunk_unref(c);
		}
	}
	*same = *same && at == all.len;
	return ERR_OK;
}

/* ERR_DAMAGED: there are other bytes. */
static enum err_code read_joined(struct store *s, unsigned id, const struct slice *slices,
				 size_t count, struct err *e)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;
	struct bytes all;
	bool same = true;
	uint8_t *memory;
	enum err_code rc = store_lookup(s, &name, &u, e);

	if (rc != ERR_OK)
		return rc;
	memory = slices_fill(slices, count, &all);
	rc = same_bytes(s, u, all, &same, e);
	if (rc == ERR_OK && !same)
		rc = err_set(e, ERR_DAMAGED, "other bytes");
	free(memory);
	upload_free(u);
	return rc;
}
#define CHECK_JOINED(f, id, ...) OK((f), read_joined((f)->store, (id), __VA_ARGS__, &(f)->err))

static void drop_each(struct fixture *f, const unsigned *ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		OK(f, drop_code(f, ids[i]));
}
#define DROP(f, ...) drop_each((f), PARTS(__VA_ARGS__))

/* All that was there is dropped: nothing is left, on disk neither. */
static void check_nothing_left(struct fixture *f)
{
	assert_int_equal(blob_count(f), 0);
	if (!f->variant->durable)
		return;
	fixture_close(f);
	assert_int_equal(leftovers(f), 0);
}

/* ---- concatenation ---- */

#define LONG (MIB(2) + 77) /* as rows and as segments */

static void run_parts(struct fixture *f)
{
	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = LONG, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 50000, .piece = 7001); /* off the grid */
	RUN(f, .id = 3, .seed = 3, .from = 50000, .to = 70001, .append = true, .finish = true);
}

static void a_concatenation_has_the_bytes_of_its_parts_in_order(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	JOIN(f, 8, PARTS(3, 1), SLICES({ 3, 70001 }, { 1, 1000 }));
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	CHECK_JOINED(f, 8, SLICES({ 3, 70001 }, { 1, 1000 }));
	CHECK(f, 2, 2, LONG, true);
	assert_int_equal(blob_count(f), 5);
	store_stats(f->store, &stats);
	assert_int_equal(stats.concats, 2);
	assert_int_equal(stats.deduplicated, 0);
}

static void the_same_part_may_come_many_times(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 1, 3, 1), SLICES({ 1, 1000 }, { 1, 1000 }, { 3, 70001 }, { 1, 1000 }));
	DROP(f, 1, 2, 3);
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 1, 1000 }, { 3, 70001 }, { 1, 1000 }));
	DROP(f, 9);
	check_nothing_left(f);
}

static void empty_parts_add_nothing(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	RUN(f, .id = 4, .finish = true);
	JOIN(f, 9, PARTS(4, 1, 4, 3), SLICES({ 1, 1000 }, { 3, 70001 }));
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 3, 70001 }));
	JOIN(f, 8, PARTS(4, 4), SLICES({ 4, 0 }));
	JOIN(f, 7, PARTS(4, 1), SLICES({ 1, 1000 })); /* a blob that is there */
	assert_int_equal(blob_count(f), 5);
	DROP(f, 4, 1, 2, 3);
	CHECK(f, 8, 4, 0, true);
	CHECK(f, 7, 1, 1000, true);
	DROP(f, 7, 8, 9);
	check_nothing_left(f);
}

static void a_concatenation_of_nothing_is_the_empty_blob(void **state)
{
	struct fixture *f = *state;

	OK(f, join(f->store, 9, NULL, 0, SLICES({ 1, 0 }), &f->err));
	CHECK(f, 9, 1, 0, true);
	DROP(f, 9);
	check_nothing_left(f);
}

static void a_concatenation_outlives_its_parts(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	DROP(f, 3, 1, 2);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	assert_int_equal(blob_count(f), 4); /* it needs them */
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	DROP(f, 9);
	check_nothing_left(f);
}

static void parts_outlive_their_concatenation(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	DROP(f, 1, 9); /* one part before, two after */
	assert_int_equal(blob_count(f), 2);
	CHECK(f, 2, 2, LONG, true);
	CHECK(f, 3, 3, 70001, true);
	DROP(f, 2, 3);
	check_nothing_left(f);
}

static void a_part_that_two_concatenations_need_stays_for_the_second(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 8, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	JOIN(f, 9, PARTS(2, 3), SLICES({ 2, LONG }, { 3, 70001 }));
	DROP(f, 1, 2, 3, 8);
	assert_int_equal(blob_count(f), 3);
	CHECK_JOINED(f, 9, SLICES({ 2, LONG }, { 3, 70001 }));
	DROP(f, 9);
	check_nothing_left(f);
}

static void concatenations_may_be_parts(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 8, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 }));
	JOIN(f, 9, PARTS(8, 2, 8),
	     SLICES({ 1, 1000 }, { 3, 70001 }, { 2, LONG }, { 1, 1000 }, { 3, 70001 }));
	DROP(f, 8, 1, 2, 3);
	assert_int_equal(blob_count(f), 4);
	CHECK_JOINED(f, 9,
		     SLICES({ 1, 1000 }, { 3, 70001 }, { 2, LONG }, { 1, 1000 }, { 3, 70001 }));
	DROP(f, 9);
	check_nothing_left(f);
}

static void the_same_concatenation_is_kept_once(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	run_parts(f);
	JOIN(f, 8, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 }));
	JOIN(f, 9, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 }));
	store_stats(f->store, &stats);
	assert_int_equal(stats.deduplicated, 1);
	DROP(f, 8, 1, 3);
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 3, 70001 }));
	DROP(f, 9, 2);
	check_nothing_left(f);
}

static void a_concatenation_holds_a_blob_that_is_there(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	run_parts(f);
	SEND_WHOLE(f, 4, SLICES({ 1, 1000 }, { 2, LONG }));
	JOIN(f, 9, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	store_stats(f->store, &stats);
	assert_int_equal(stats.deduplicated, 1);
	DROP(f, 1, 2, 3, 4);
	assert_int_equal(blob_count(f), 1); /* it needs no parts */
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 2, LONG }));
	DROP(f, 9);
	check_nothing_left(f);
}

static void an_upload_holds_a_concatenation_that_is_there(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	SEND_WHOLE(f, 4, SLICES({ 1, 1000 }, { 2, LONG }));
	store_stats(f->store, &stats);
	assert_int_equal(stats.deduplicated, 1);
	DROP(f, 9, 1, 2, 3);
	CHECK_JOINED(f, 4, SLICES({ 1, 1000 }, { 2, LONG }));
	DROP(f, 4);
	check_nothing_left(f);
}

static void a_part_sent_again_holds_what_is_left_of_it(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	DROP(f, 2);
	RUN(f, .id = 4, .seed = 2, .to = LONG, .finish = true);
	DROP(f, 9);
	CHECK(f, 4, 2, LONG, true);
	DROP(f, 1, 3, 4);
	check_nothing_left(f);
}

static void parts_must_be_there_and_finished(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(3);

	run_parts(f);
	RUN(f, .id = 4, .seed = 4, .to = 10);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	assert_int_equal(JOIN_CODE(f, 9, PARTS(1, 5), SLICES({ 1, 1000 })), ERR_NOTFOUND);
	assert_int_equal(JOIN_CODE(f, 9, PARTS(1, 4), SLICES({ 1, 1000 }, { 4, 10 })),
			 ERR_NOTFOUND);
	assert_int_equal(JOIN_CODE(f, 9, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 })),
			 ERR_NOTFOUND);
	assert_int_equal(JOIN_CODE(f, 9, PARTS(1, 9), SLICES({ 1, 1000 })), ERR_NOTFOUND);
	assert_int_equal(lookup_code(f, 9), ERR_NOTFOUND);
	DROP(f, 1, 2, 3, 4);
	check_nothing_left(f);
}

static void parts_of_another_length_are_refused(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	assert_int_equal(JOIN_CODE(f, 9, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70000 })),
			 ERR_DIGEST);
	assert_int_equal(lookup_code(f, 9), ERR_NOTFOUND);
	DROP(f, 1, 2, 3);
	check_nothing_left(f);
}

static void a_final_that_is_there_is_refused(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(5);

	run_parts(f);
	RUN(f, .id = 4, .seed = 4, .to = 10);
	RUN(f, .id = 5, .seed = 4, .to = 10);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	assert_int_equal(JOIN_CODE(f, 2, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 })),
			 ERR_EXISTS);
	assert_int_equal(JOIN_CODE(f, 4, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 })),
			 ERR_EXISTS);
	assert_int_equal(JOIN_CODE(f, 5, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 })),
			 ERR_DELETED);
	CHECK(f, 2, 2, LONG, true);
	CHECK(f, 4, 4, 10, false);
	assert_int_equal(blob_count(f), 3);
}

static void too_many_parts_are_refused(void **state)
{
	static unsigned parts[STORE_PARTS_MAX + 1];
	static struct slice slices[STORE_PARTS_MAX * 65];
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 3, .finish = true);
	for (size_t i = 0; i < STORE_PARTS_MAX * 65; i++)
		slices[i] = (struct slice){ 1, 3 };
	for (size_t i = 0; i <= STORE_PARTS_MAX; i++)
		parts[i] = 1;
	assert_int_equal(JOIN_CODE(f, 9, parts, STORE_PARTS_MAX + 1, slices, STORE_PARTS_MAX + 1),
			 ERR_TOOBIG);
	JOIN(f, 2, parts, STORE_PARTS_MAX, slices, STORE_PARTS_MAX);
	CHECK_JOINED(f, 2, slices, STORE_PARTS_MAX);
	/* concatenations of concatenations multiply */
	for (size_t i = 0; i <= STORE_PARTS_MAX; i++)
		parts[i] = 2;
	assert_int_equal(JOIN_CODE(f, 9, parts, 65, slices, STORE_PARTS_MAX * 65), ERR_TOOBIG);
	assert_int_equal(lookup_code(f, 9), ERR_NOTFOUND);
	JOIN(f, 9, parts, 64, slices, STORE_EXTENTS_MAX);
	DROP(f, 1, 2);
	CHECK_JOINED(f, 9, slices, STORE_EXTENTS_MAX);
	DROP(f, 9);
	check_nothing_left(f);
}

/* The thread sanitizer gives up on a thread that holds more than 64 locks. */
#ifdef __SANITIZE_THREAD__
#define DIFFERENT_PARTS 50
#else
#define DIFFERENT_PARTS STORE_PARTS_MAX
#endif

/* Each with a blob of its own, all of which are locked at once. */
static void as_many_parts_as_are_allowed_may_differ(void **state)
{
	static unsigned parts[DIFFERENT_PARTS];
	static struct slice slices[DIFFERENT_PARTS];
	struct fixture *f = *state;

	for (unsigned i = 0; i < DIFFERENT_PARTS; i++) {
		parts[i] = 100 + i;
		slices[i] = (struct slice){ i, 100 + i };
		RUN(f, .id = 100 + i, .seed = i, .to = 100 + i, .finish = true);
	}
	JOIN(f, 9, parts, DIFFERENT_PARTS, slices, DIFFERENT_PARTS);
	drop_each(f, parts, DIFFERENT_PARTS);
	CHECK_JOINED(f, 9, slices, DIFFERENT_PARTS);
	DROP(f, 9);
	check_nothing_left(f);
}

static void a_concatenation_keeps_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	static uint8_t meta[STORE_META_MAX + 1];
	struct upload rec = { .id = id_of(9),
			      .length = UPLOAD_LENGTH_UNKNOWN,
			      .created_s = 12,
			      .expires_s = 34,
			      .kind = 200,
			      .recipients = 1024,
			      .meta = { meta, STORE_META_MAX } };
	struct upload *u;

	run_parts(f);
	content_fill(5, 0, meta, sizeof(meta));
	OK(f, join_rec(f->store, &rec, false, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 }),
		       &f->err));
	OK(f, store_lookup(f->store, &rec.id, &u, &f->err));
	assert_int_equal(u->length, 71001);
	assert_int_equal(u->created_s, 12);
	assert_int_equal(u->expires_s, 34);
	assert_int_equal(u->kind, 200);
	assert_int_equal(u->recipients, 1024);
	assert_int_equal(u->meta.len, STORE_META_MAX);
	assert_memory_equal(u->meta.data, meta, STORE_META_MAX);
	upload_free(u);
	rec.meta.len++;
	rec.id = id_of(8);
	assert_int_equal(join_rec(f->store, &rec, false, PARTS(1), SLICES({ 1, 1000 }), &f->err),
			 ERR_TOOBIG);
}

/* ---- the unfinished ---- */

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct upload_id));
}

/* Whether just these uploads are listed, in order. */
static void check_open(struct fixture *f, const unsigned *ids, size_t count)
{
	struct upload_id expected[8], last;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		expected[i] = id_of(ids[i]);
	qsort(expected, count, sizeof(expected[0]), by_id);
	while (store_next_open(f->store, n > 0 ? &last : NULL, &last, &f->err) == ERR_OK) {
		assert_true(n < count);
		assert_memory_equal(&last, &expected[n], sizeof(last));
		n++;
	}
	assert_int_equal(f->err.code, ERR_NOTFOUND);
	assert_int_equal(n, count);
}
#define CHECK_OPEN(f, ...) check_open((f), PARTS(__VA_ARGS__))

static void the_unfinished_are_listed(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(5);

	check_open(f, NULL, 0);
	run_parts(f);
	for (unsigned i = 4; i < 8; i++)
		RUN(f, .id = i, .seed = i, .to = 10);
	RUN(f, .id = 8); /* no bytes */
	CHECK_OPEN(f, 4, 5, 6, 7, 8);
	if (f->variant->durable)
		fixture_reopen(f);
	RUN(f, .id = 4, .seed = 4, .from = 10, .to = 20, .append = true);
	CHECK_OPEN(f, 4, 5, 6, 7, 8);
	RUN(f, .id = 4, .seed = 4, .from = 20, .to = 30, .append = true, .finish = true);
	CHECK_OPEN(f, 5, 6, 7, 8);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	DROP(f, 6);
	CHECK_OPEN(f, 7, 8);
	COMPLETE(f, 8, PARTS(1, 4), SLICES({ 1, 1000 }, { 4, 30 }));
	CHECK_OPEN(f, 7);
	RUN(f, .id = 7, .seed = 1, .from = 10, .to = 10, .append = true, .finish = true);
	check_open(f, NULL, 0);
}

static void a_pending_final_is_finished_by_its_concatenation(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 9, .expires_s = 400 };
	struct upload rec = record_of(&j), *u;
	struct upload_id ids[2];
	size_t n;

	run_parts(f);
	RUN(f, .id = 9, .expires_s = 200);
	OK(f,
	   join_rec(f->store, &rec, true, PARTS(1, 3), SLICES({ 1, 1000 }, { 3, 70001 }), &f->err));
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 3, 70001 }));
	OK(f, store_lookup(f->store, &rec.id, &u, &f->err));
	assert_memory_equal(u->meta.data, rec.meta.data, rec.meta.len);
	upload_free(u);
	OK(f, store_due(f->store, 399, ids, 2, &n, &f->err));
	assert_int_equal(n, 0);
	OK(f, store_due(f->store, 400, ids, 2, &n, &f->err));
	assert_int_equal(n, 1);
	DROP(f, 9, 1, 2, 3);
	check_nothing_left(f);
}

/* Of an id that several know. */
static void a_concatenation_takes_nobodys_place(void **state)
{
	struct fixture *f = *state;
	struct upload_id four = id_of(4);

	run_parts(f);
	RUN(f, .id = 4);
	RUN(f, .id = 5, .seed = 5, .to = 10);
	assert_int_equal(JOIN_CODE(f, 4, PARTS(1), SLICES({ 1, 1000 })), ERR_EXISTS);
	assert_int_equal(JOIN_CODE(f, 5, PARTS(1), SLICES({ 1, 1000 })), ERR_EXISTS);
	CHECK_OPEN(f, 4, 5);
	RUN(f, .id = 4, .seed = 4, .to = 30, .append = true, .finish = true);
	CHECK(f, 4, 4, 30, true);
	OK(f, store_terminate(f->store, &four, 5000, NULL, &f->err));
	assert_int_equal(JOIN_CODE(f, 4, PARTS(1), SLICES({ 1, 1000 })), ERR_DELETED);
	DROP(f, 1, 2, 3, 4, 5);
	check_nothing_left(f);
}

static void only_the_final_that_waited_is_completed(void **state)
{
	struct fixture *f = *state;
	struct upload_id four = id_of(4);
	struct job j = { .id = 7 };
	struct upload rec = record_of(&j), another[3] = { rec, rec, rec };

	run_parts(f);
	assert_int_equal(COMPLETE_CODE(f, 9, PARTS(1), SLICES({ 1, 1000 })), ERR_NOTFOUND);
	assert_int_equal(lookup_code(f, 9), ERR_NOTFOUND);
	RUN(f, .id = 4);
	OK(f, store_terminate(f->store, &four, 5000, NULL, &f->err));
	assert_int_equal(COMPLETE_CODE(f, 4, PARTS(1), SLICES({ 1, 1000 })), ERR_DELETED);
	RUN(f, .id = 5, .seed = 5, .to = 10);
	assert_int_equal(COMPLETE_CODE(f, 5, PARTS(1), SLICES({ 1, 1000 })), ERR_EXISTS);
	assert_int_equal(COMPLETE_CODE(f, 1, PARTS(1), SLICES({ 1, 1000 })), ERR_EXISTS);
	RUN(f, .id = 7); /* by somebody else, meanwhile */
	another[0].meta = BYTES("name YWg=");
	another[1].created_s++;
	another[2].bucket = bucket_of(1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(join_rec(f->store, &another[i], true, PARTS(1),
					  SLICES({ 1, 1000 }), &f->err),
				 ERR_EXISTS);
	CHECK_OPEN(f, 5, 7);
	DROP(f, 1, 2, 3, 4, 5, 7);
	check_nothing_left(f);
}

/* ---- terminating and extending ---- */

static enum err_code terminate_code(struct fixture *f, unsigned id, int64_t until_s)
{
	struct upload_id name = id_of(id);

	return store_terminate(f->store, &name, until_s, NULL, &f->err);
}

static enum err_code extend_code(struct fixture *f, unsigned id, int64_t expires_s)
{
	struct upload_id name = id_of(id);

	return store_extend(f->store, &name, expires_s, &f->err);
}

static size_t due_count(struct fixture *f, int64_t now)
{
	struct upload_id ids[16];
	size_t n = 0;

	OK(f, store_due(f->store, now, ids, 16, &n, &f->err));
	return n;
}

static void what_was_terminated_is_deleted_until_it_is_due(void **state)
{
	struct fixture *f = *state;
	struct job again = { .id = 1, .seed = 1, .to = 10, .finish = true };
	struct upload_id id = id_of(1);
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = LONG, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = LONG);
	OK(f, terminate_code(f, 1, 5000));
	OK(f, terminate_code(f, 2, 1000)); /* when it would have expired */
	assert_int_equal(blob_count(f), 0);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(lookup_code(f, 1), ERR_DELETED);
		assert_int_equal(lookup_code(f, 2), ERR_DELETED);
		if (f->variant->durable)
			fixture_reopen(f);
	}
	assert_int_equal(terminate_code(f, 1, 6000), ERR_DELETED);
	assert_int_equal(extend_code(f, 1, 6000), ERR_DELETED);
	assert_int_equal(store_append(f->store, &id, 0, 0, &w, &f->err), ERR_DELETED);
	assert_int_equal(job_run(f->store, &again, &f->err), ERR_DELETED);
	assert_int_equal(due_count(f, 999), 0);
	assert_int_equal(due_count(f, 1000), 1);
	assert_int_equal(due_count(f, 5000), 2);
	DROP(f, 1, 2);
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	assert_int_equal(drop_code(f, 1), ERR_NOTFOUND);
	assert_int_equal(terminate_code(f, 1, 5000), ERR_NOTFOUND);
	assert_int_equal(due_count(f, INT64_MAX), 0);
	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	DROP(f, 1);
	check_nothing_left(f);
}

static void a_tombstone_holds_no_bytes(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	OK(f, terminate_code(f, 1, 5000));
	OK(f, terminate_code(f, 2, 5000));
	CHECK_JOINED(f, 9, SLICES({ 1, 1000 }, { 2, LONG }));
	OK(f, terminate_code(f, 9, 5000));
	OK(f, terminate_code(f, 3, 5000));
	assert_int_equal(blob_count(f), 0);
	DROP(f, 1, 2, 3, 9);
	check_nothing_left(f);
}

static void a_writer_notices_that_its_upload_was_terminated(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct midstate m = { { 0 } };
	struct commit c = { .tail = BYTES("late"), .midstate = &m, .expires_s = 1 };
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = 10);
	OK(f, store_append(f->store, &id, 10, 0, &w, &f->err));
	OK(f, writer_stage(w, BYTES("staged"), &f->err));
	OK(f, terminate_code(f, 1, 5000));
	assert_int_equal(writer_commit(w, &c, NULL, &f->err), ERR_DELETED);
	writer_close(w);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	DROP(f, 1);
	check_nothing_left(f);
}

static void what_is_absent_or_deleted_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;

	RUN(f, .id = 1, .seed = 1, .to = 10);
	OK(f, terminate_code(f, 1, 5000));
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	assert_int_equal(terminate_code(f, 1, 5000), ERR_DELETED);
	assert_int_equal(extend_code(f, 2, 5000), ERR_NOTFOUND);
	assert_int_equal(JOIN_CODE(f, 9, PARTS(7), SLICES({ 1, 10 })), ERR_NOTFOUND);
	store_stats(f->store, &stats);
	assert_int_equal(stats.failures, 0);
	assert_int_equal(stats.drops, 2);
}

static void extending_moves_the_time_when_an_upload_is_due(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = LONG, .finish = true, .expires_s = 200);
	RUN(f, .id = 2, .seed = 2, .to = 10, .expires_s = 200);
	OK(f, extend_code(f, 1, 400));
	OK(f, extend_code(f, 2, 400));
	OK(f, extend_code(f, 2, 400)); /* as it is */
	if (f->variant->durable)
		fixture_reopen(f);
	assert_int_equal(due_count(f, 399), 0);
	assert_int_equal(due_count(f, 400), 2);
	OK(f, extend_code(f, 1, 100)); /* earlier is fine too */
	assert_int_equal(due_count(f, 100), 1);
	assert_int_equal(extend_code(f, 3, 100), ERR_NOTFOUND);
	CHECK(f, 1, 1, LONG, true);
	CHECK_OPEN(f, 2);
	RUN(f, .id = 2, .seed = 2, .from = 10, .to = 20, .append = true, .finish = true);
	CHECK(f, 2, 2, 20, true);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

/* ---- many at once ---- */

#define STRESS_MS 1000
#define STRESS_THREADS 4

struct joiner {
	pthread_t thread;
	struct store *store;
	unsigned base;     /* of its ids: parts are base + 1 to 3, the rest finals */
	unsigned promised; /* a final that waits; 0: none */
	uint64_t round;
	enum err_code rc;
	struct err err;
};

static void joiner_drop(struct joiner *j, unsigned id)
{
	struct upload_id name = id_of(j->base + id);

	if (j->rc == ERR_OK)
		j->rc = drop_or_forget(j->store, &name, &j->err);
}

/* All threads send the same three contents, each as uploads of its own. */
static void joiner_send(struct joiner *j)
{
	static const uint64_t sizes[] = { 0, 500, 9000, KIB(600) };

	for (unsigned i = 1; j->rc == ERR_OK && i <= 3; i++) {
		struct job job = { .id = j->base + i, .seed = i, .to = sizes[i], .finish = true };

		j->rc = job_run(j->store, &job, &j->err);
	}
}

static void joiner_check(struct joiner *j, unsigned id, const struct slice *slices, size_t count)
{
	if (j->rc == ERR_OK)
		j->rc = read_joined(j->store, j->base + id, slices, count, &j->err);
}

static void joiner_join(struct joiner *j, unsigned id, unsigned a, unsigned b,
			const struct slice *slices, size_t count)
{
	const unsigned parts[] = { j->base + a, j->base + b };

	if (j->rc == ERR_OK)
		j->rc = (j->promised == id ? complete : join)(j->store, j->base + id, parts, 2,
							      slices, count, &j->err);
	if (j->promised == id)
		j->promised = 0;
}

/* Promises a final before there are parts of it. */
static void joiner_promise(struct joiner *j, unsigned id)
{
	struct job job = { .id = j->base + id };

	if (j->rc == ERR_OK)
		j->rc = job_run(j->store, &job, &j->err);
	j->promised = id;
}

static void joiner_terminate(struct joiner *j, unsigned id)
{
	struct upload_id name = id_of(j->base + id);

	if (j->rc == ERR_OK)
		j->rc = store_terminate(j->store, &name, 5000, NULL, &j->err);
}

static void joiner_round(struct joiner *j)
{
	const bool parts_first = mix(j->round) % 2 == 0;

	if (mix(j->round) % 5 < 2)
		joiner_promise(j, 6);
	joiner_send(j);
	joiner_join(j, 4, 1, 2, SLICES({ 1, 500 }, { 2, 9000 }));
	joiner_join(j, 5, 3, 2, SLICES({ 3, KIB(600) }, { 2, 9000 }));
	if (mix(j->round) % 3 == 0)
		joiner_drop(j, 2);
	joiner_join(j, 6, 4, 5, SLICES({ 1, 500 }, { 2, 9000 }, { 3, KIB(600) }, { 2, 9000 }));
	if (mix(j->round) % 3 != 0)
		joiner_drop(j, 2);
	for (unsigned i = 0; i < 4; i++)
		joiner_drop(j, (const unsigned[]){ 1, 3, 4, 5 }[parts_first ? i : 3 - i]);
	joiner_check(j, 6, SLICES({ 1, 500 }, { 2, 9000 }, { 3, KIB(600) }, { 2, 9000 }));
	if (mix(j->round) % 7 < 3)
		joiner_terminate(j, 6);
	joiner_drop(j, 6);
}

static void *joiner_main(void *arg)
{
	struct joiner *j = arg;
	int64_t end = clock_mono_ms() + STRESS_MS;

	while (j->rc == ERR_OK && clock_mono_ms() < end) {
		j->round++;
		joiner_round(j);
	}
	return NULL;
}

static void many_may_join_and_drop_the_same_parts_at_once(void **state)
{
	struct fixture *f = *state;
	struct joiner joiners[STRESS_THREADS];

	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		joiners[i] = (struct joiner){ .store = f->store, .base = i * 10, .round = i * 99 };
		assert_int_equal(pthread_create(&joiners[i].thread, NULL, joiner_main, &joiners[i]),
				 0);
	}
	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		pthread_join(joiners[i].thread, NULL);
		f->err = joiners[i].err;
		OK(f, joiners[i].rc);
	}
	check_nothing_left(f);
}

/* Sends two parts and drops them, over and over. */
static void *send_and_drop(void *arg)
{
	struct joiner *j = arg;
	int64_t end = clock_mono_ms() + STRESS_MS;

	while (j->rc == ERR_OK && clock_mono_ms() < end) {
		for (unsigned i = 1; j->rc == ERR_OK && i <= 2; i++) {
			struct job job = { .id = i, .seed = i, .to = 500, .finish = true };

			j->rc = job_run(j->store, &job, &j->err);
		}
		joiner_drop(j, 1);
		joiner_drop(j, 2);
	}
	return NULL;
}

/* Joins them where both happen to be there: what is joined is whole. */
static void *join_what_is_there(void *arg)
{
	struct joiner *j = arg;
	int64_t end = clock_mono_ms() + STRESS_MS;

	while (j->rc == ERR_OK && clock_mono_ms() < end) {
		joiner_join(j, 9, 1, 2, SLICES({ 1, 500 }, { 2, 500 }));
		if (j->rc == ERR_NOTFOUND) {
			j->rc = ERR_OK;
			continue;
		}
		j->round++;
		joiner_check(j, 9, SLICES({ 1, 500 }, { 2, 500 }));
		joiner_drop(j, 9);
	}
	return NULL;
}

static void parts_may_be_dropped_while_they_are_joined(void **state)
{
	struct fixture *f = *state;
	struct joiner sender = { .store = f->store }, joiner = { .store = f->store };

	assert_int_equal(pthread_create(&sender.thread, NULL, send_and_drop, &sender), 0);
	assert_int_equal(pthread_create(&joiner.thread, NULL, join_what_is_there, &joiner), 0);
	pthread_join(sender.thread, NULL);
	pthread_join(joiner.thread, NULL);
	f->err = sender.err;
	OK(f, sender.rc);
	f->err = joiner.err;
	OK(f, joiner.rc);
	check_nothing_left(f);
}

/* ---- beyond the process ---- */

static void join_and_die(struct fixture *f)
{
	run_parts(f);
	RUN(f, .id = 4, .seed = 4, .to = 10);
	RUN(f, .id = 5);
	JOIN(f, 8, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	COMPLETE(f, 5, PARTS(8, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	DROP(f, 1, 2, 8);
	OK(f, terminate_code(f, 3, 5000));
	OK(f, extend_code(f, 4, 7000));
}

static void joined_extended_and_terminated_outlive_a_crash(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "join_and_die");
	fixture_open(f);
	CHECK_JOINED(f, 5, SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	assert_int_equal(lookup_code(f, 3), ERR_DELETED);
	assert_int_equal(lookup_code(f, 8), ERR_NOTFOUND);
	assert_int_equal(blob_count(f), 4);
	CHECK_OPEN(f, 4);
	assert_int_equal(due_count(f, 6999), 2);
	assert_int_equal(due_count(f, 7000), 3);
	DROP(f, 3, 4, 5);
	check_nothing_left(f);
}

static void stage_terminate_and_die(struct fixture *f)
{
	struct upload_id id = id_of(1);
	struct writer *w;

	RUN(f, .id = 1, .seed = 1, .to = 100);
	OK(f, store_append(f->store, &id, 100, 0, &w, &f->err));
	OK(f, writer_stage(w, BYTES("never committed"), &f->err));
	OK(f, terminate_code(f, 1, 5000));
}

static void what_a_terminated_writer_staged_does_not_outlive_a_crash(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "stage_terminate_and_die");
	assert_int_equal(leftovers(f), 2); /* the tombstone, and when it is due */
	fixture_open(f);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	DROP(f, 1);
	check_nothing_left(f);
}

static void *join_without_end(void *arg)
{
	struct joiner *j = arg;

	while (j->rc == ERR_OK) {
		j->round++;
		joiner_round(j);
	}
	_exit(4);
}

static void join_until_killed(struct fixture *f)
{
	static struct joiner joiners[STRESS_THREADS];

	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		joiners[i] = (struct joiner){ .store = f->store, .base = i * 10, .round = i * 99 };
		(void)pthread_create(&joiners[i].thread, NULL, join_without_end, &joiners[i]);
	}
	for (;;)
		(void)pause();
}

static bool is_finished(struct fixture *f, unsigned id)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;
	bool finished = store_lookup(f->store, &name, &u, &f->err) == ERR_OK && u->finished;

	upload_free(u);
	return finished;
}

/* Whatever is still there has all its bytes, and goes without a trace. */
static void check_and_drop_joined(struct fixture *f)
{
	struct upload_id ids[64];
	size_t n = 0;

	for (unsigned base = 0; base < STRESS_THREADS * 10; base += 10) {
		if (lookup_code(f, base + 4) == ERR_OK)
			CHECK_JOINED(f, base + 4, SLICES({ 1, 500 }, { 2, 9000 }));
		if (is_finished(f, base + 6))
			CHECK_JOINED(f, base + 6,
				     SLICES({ 1, 500 }, { 2, 9000 }, { 3, KIB(600) }, { 2, 9000 }));
	}
	OK(f, store_due(f->store, INT64_MAX, ids, 64, &n, &f->err));
	for (size_t i = 0; i < n; i++)
		OK(f, drop_or_forget(f->store, &ids[i], &f->err));
	check_nothing_left(f);
}

static void killed_while_joining_nothing_is_torn(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 6; round++) {
		int out, status;
		pid_t pid;

		fixture_close(f);
		pid = child_start(f, "join_until_killed", &out);
		(void)usleep((unsigned)(100000 + mix(round) % 300000));
		(void)kill(pid, SIGKILL);
		status = child_wait(pid, out);
		assert_true(WIFSIGNALED(status));
		fixture_open(f);
		check_and_drop_joined(f);
	}
}

#define CONCAT_PROMISES(X)                                          \
	X(a_concatenation_has_the_bytes_of_its_parts_in_order)      \
	X(the_same_part_may_come_many_times)                        \
	X(empty_parts_add_nothing)                                  \
	X(a_concatenation_of_nothing_is_the_empty_blob)             \
	X(a_concatenation_outlives_its_parts)                       \
	X(parts_outlive_their_concatenation)                        \
	X(a_part_that_two_concatenations_need_stays_for_the_second) \
	X(concatenations_may_be_parts)                              \
	X(the_same_concatenation_is_kept_once)                      \
	X(a_concatenation_holds_a_blob_that_is_there)               \
	X(an_upload_holds_a_concatenation_that_is_there)            \
	X(a_part_sent_again_holds_what_is_left_of_it)               \
	X(parts_must_be_there_and_finished)                         \
	X(parts_of_another_length_are_refused)                      \
	X(a_final_that_is_there_is_refused)                         \
	X(too_many_parts_are_refused)                               \
	X(as_many_parts_as_are_allowed_may_differ)                  \
	X(a_concatenation_keeps_what_it_was_given)                  \
	X(the_unfinished_are_listed)                                \
	X(a_pending_final_is_finished_by_its_concatenation)         \
	X(a_concatenation_takes_nobodys_place)                      \
	X(only_the_final_that_waited_is_completed)                  \
	X(what_was_terminated_is_deleted_until_it_is_due)           \
	X(a_tombstone_holds_no_bytes)                               \
	X(a_writer_notices_that_its_upload_was_terminated)          \
	X(what_is_absent_or_deleted_is_no_failure)                  \
	X(extending_moves_the_time_when_an_upload_is_due)           \
	X(many_may_join_and_drop_the_same_parts_at_once)            \
	X(parts_may_be_dropped_while_they_are_joined)

#define DURABLE_CONCAT_PROMISES(X)                                  \
	X(joined_extended_and_terminated_outlive_a_crash)           \
	X(what_a_terminated_writer_staged_does_not_outlive_a_crash) \
	X(killed_while_joining_nothing_is_torn)

#define CONCAT_BODIES BODY(join_and_die), BODY(stage_terminate_and_die), BODY(join_until_killed)

#endif
