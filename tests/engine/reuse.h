/* reuse - what store.h promises of uploads that are finished as a blob that is there: part of
 * test_engine.c, which has every engine keep it. */
#ifndef RESTANTE_TESTS_ENGINE_REUSE_H
#define RESTANTE_TESTS_ENGINE_REUSE_H

#include "tests/engine/bucket.h"

static enum err_code digest_code(struct fixture *f, unsigned id, struct digest *out)
{
	struct upload_id name = id_of(id);
	struct upload *u = NULL;
	enum err_code rc = store_lookup(f->store, &name, &u, &f->err);

	if (rc == ERR_OK)
		*out = u->digest;
	upload_free(u);
	return rc;
}

static void digest_of_upload(struct fixture *f, unsigned id, struct digest *out)
{
	OK(f, digest_code(f, id, out));
}

static enum err_code reuse_code(struct fixture *f, struct job j, const struct digest *d)
{
	struct upload rec = record_of(&j), *made = NULL;
	enum err_code rc = store_reuse(f->store, &rec, d, &made, &f->err);

	if (rc != ERR_OK)
		return rc;
	assert_true(made->finished && digest_equal(&made->digest, d));
	assert_memory_equal(&made->id, &rec.id, sizeof(rec.id));
	assert_int_equal(made->length, made->offset);
	upload_free(made);
	return rc;
}
#define REUSE(f, d, ...) OK((f), reuse_code((f), (struct job){ __VA_ARGS__ }, (d)))

static void a_blob_that_is_there_is_found(void **state)
{
	struct fixture *f = *state;
	struct digest d, other = { { 1 } };
	struct blob b;

	RUN(f, .id = 1, .seed = 1, .to = LONG, .finish = true);
	digest_of_upload(f, 1, &d);
	OK(f, store_blob(f->store, &d, &b, &f->err));
	assert_int_equal(b.size, LONG);
	assert_memory_equal(&b.digest, &d, sizeof(d));
	free(b.extents);
	assert_int_equal(store_blob(f->store, &other, &b, &f->err), ERR_NOTFOUND);
	DROP(f, 1);
	assert_int_equal(store_blob(f->store, &d, &b, &f->err), ERR_NOTFOUND);
}

static void a_blob_that_is_reused_outlives_who_brought_it(void **state)
{
	static const uint64_t sizes[] = { 0, 1000, LONG };
	struct fixture *f = *state;
	struct store_stats stats;
	struct digest d;

	for (unsigned i = 0; i < 3; i++) {
		RUN(f, .id = 1, .seed = i, .to = sizes[i], .finish = true);
		digest_of_upload(f, 1, &d);
		REUSE(f, &d, .id = 10 + i, .bucket = 1);
		DROP(f, 1);
		CHECK(f, 10 + i, i, sizes[i], true);
	}
	BUCKET(f, 1, 3, 1000 + LONG);
	assert_int_equal(due_count(f, 1000), 3);
	store_stats(f->store, &stats);
	assert_int_equal(stats.reuses, 3);
	if (f->variant->durable)
		fixture_reopen(f);
	CHECK(f, 12, 2, LONG, true);
	DROP(f, 10, 11, 12);
	BUCKET(f, 1, 0, 0);
	check_nothing_left(f);
}

static void a_composed_blob_may_be_reused(void **state)
{
	struct fixture *f = *state;
	struct digest d;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	digest_of_upload(f, 9, &d);
	REUSE(f, &d, .id = 10);
	DROP(f, 9, 2);
	CHECK_JOINED(f, 10, SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	DROP(f, 10);
	CHECK(f, 1, 1, 1000, true);
	DROP(f, 1, 3);
	check_nothing_left(f);
}

/* Of an id that several know: it may be somebody's who has not sent a byte yet. */
static void what_is_reused_takes_nobodys_place(void **state)
{
	struct fixture *f = *state;
	struct digest d;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true);
	RUN(f, .id = 2);
	digest_of_upload(f, 1, &d);
	assert_int_equal(reuse_code(f, (struct job){ .id = 2 }, &d), ERR_EXISTS);
	CHECK_OPEN(f, 2);
	RUN(f, .id = 2, .seed = 2, .to = 30, .append = true, .finish = true);
	CHECK(f, 2, 2, 30, true);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

static void reuse_is_refused_where_it_makes_no_sense(void **state)
{
	struct fixture *f = *state;
	struct digest d, other = { { 1 } };
	struct upload_id gone = id_of(4);

	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 10);
	RUN(f, .id = 4, .seed = 2, .to = 10);
	OK(f, store_terminate(f->store, &gone, 5000, NULL, &f->err));
	digest_of_upload(f, 1, &d);
	assert_int_equal(reuse_code(f, (struct job){ .id = 3 }, &other), ERR_NOTFOUND);
	assert_int_equal(reuse_code(f, (struct job){ .id = 1 }, &d), ERR_EXISTS);
	assert_int_equal(reuse_code(f, (struct job){ .id = 2 }, &d), ERR_EXISTS);
	assert_int_equal(reuse_code(f, (struct job){ .id = 4 }, &d), ERR_DELETED);
	assert_int_equal(lookup_code(f, 3), ERR_NOTFOUND);
	CHECK(f, 2, 2, 10, false);
	DROP(f, 1, 2, 4);
	check_nothing_left(f);
}

/* What it needs may go at any moment. */
static void *reuse_what_comes_and_goes(void *arg)
{
	struct thread *t = arg;
	struct job bring = { .id = t->number, .seed = 1, .to = 90000, .finish = true };
	struct upload_id name = id_of(t->number);
	struct upload rec = record_of(&bring), *made;
	struct digest d;
	struct bytes all;
	uint8_t *memory = slices_fill(&(struct slice){ 1, 90000 }, 1, &all);
	bool same = true;

	digest_of(all, &d);
	free(memory);
	for (unsigned i = 0; t->rc == ERR_OK && i < 20; i++) {
		made = NULL;
		if (t->number % 2 == 0)
			t->rc = job_run(t->f->store, &bring, &t->err);
		else
			t->rc = store_reuse(t->f->store, &rec, &d, &made, &t->err);
		if (t->rc == ERR_NOTFOUND) {
			t->rc = ERR_OK;
			continue;
		}
		if (t->rc == ERR_OK && made != NULL)
			t->rc = read_back(t->f->store, made, 1, &same, &t->err);
		upload_free(made);
		if (t->rc == ERR_OK && !same)
			t->rc = err_set(&t->err, ERR_DAMAGED, "other bytes");
		if (t->rc == ERR_OK)
			t->rc = store_drop(t->f->store, &name, NULL, &t->err);
	}
	return NULL;
}

static void reuse_holds_a_blob_or_does_not_find_it(void **state)
{
	struct fixture *f = *state;

	run_threads(f, 8, reuse_what_comes_and_goes);
	check_nothing_left(f);
}

#define REUSE_PROMISES(X)                                \
	X(a_blob_that_is_there_is_found)                 \
	X(a_blob_that_is_reused_outlives_who_brought_it) \
	X(a_composed_blob_may_be_reused)                 \
	X(what_is_reused_takes_nobodys_place)            \
	X(reuse_is_refused_where_it_makes_no_sense)      \
	X(reuse_holds_a_blob_or_does_not_find_it)

#endif
