/* expire - what store.h promises of what is due and of what is counted: part of test_engine.c,
 * which has every engine keep it. */
#ifndef RESTANTE_TESTS_ENGINE_EXPIRE_H
#define RESTANTE_TESTS_ENGINE_EXPIRE_H

#include "tests/engine/reuse.h"

static void expire(struct fixture *f, unsigned id, int64_t due_s, uint64_t freed, bool blob_gone,
		   int line)
{
	struct upload_id name = id_of(id);
	struct dropped d = { .freed = 99, .blob_gone = !blob_gone };

	check_ok(f, store_expire(f->store, &name, due_s, &d, &f->err), "expire", line);
	if (d.freed != freed || d.blob_gone != blob_gone)
		print_error("line %d: %zu bytes freed, blob gone: %d\n", line, (size_t)d.freed,
			    d.blob_gone);
	assert_int_equal(d.freed, freed);
	assert_int_equal(d.blob_gone, blob_gone);
}
#define EXPIRE(f, id, due_s, freed, gone) expire((f), (id), (due_s), (freed), (gone), __LINE__)

static enum err_code expire_code(struct fixture *f, unsigned id, int64_t due_s)
{
	struct upload_id name = id_of(id);

	return store_expire(f->store, &name, due_s, NULL, &f->err);
}

static void what_expires_tells_how_many_bytes_it_frees(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true, .bucket = 1);
	RUN(f, .id = 2, .seed = 2, .to = LONG, .finish = true);
	RUN(f, .id = 3, .seed = 2, .to = LONG, .finish = true); /* the same again */
	RUN(f, .id = 4, .seed = 4, .to = 500);
	RUN(f, .id = 5, .seed = 5, .to = 0, .finish = true);
	EXPIRE(f, 1, 1000, 1000, true);
	EXPIRE(f, 2, 1000, 0, false);
	CHECK(f, 3, 2, LONG, true);
	EXPIRE(f, 3, 1000, LONG, true);
	EXPIRE(f, 4, 1000, 500, false);
	EXPIRE(f, 5, 1000, 0, true);
	BUCKET(f, 1, 0, 0);
	assert_int_equal(due_count(f, 1000), 0);
	check_nothing_left(f);
}

static void what_expires_stays_spent_and_that_expires_too(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .finish = true, .spent_until_s = 5000);
	EXPIRE(f, 1, 4999, 1000, true);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	assert_int_equal(due_count(f, 4999), 0);
	assert_int_equal(due_count(f, 5000), 1);
	assert_int_equal(expire_code(f, 1, 4999), ERR_EXISTS);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	EXPIRE(f, 1, 5000, 0, false);
	assert_int_equal(expire_code(f, 1, 5000), ERR_NOTFOUND);
	RUN(f, .id = 1, .seed = 1, .to = 1000, .spent_until_s = 5000);
	EXPIRE(f, 1, 5000, 1000, false); /* spent no more */
	assert_int_equal(lookup_code(f, 1), ERR_NOTFOUND);
	check_nothing_left(f);
}

/* Whatever a list said a moment ago. */
static void what_is_not_due_does_not_expire(void **state)
{
	struct fixture *f = *state;
	struct upload_id one = id_of(1);

	RUN(f, .id = 1, .seed = 1, .to = 1000, .expires_s = 300, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 50, .expires_s = 300);
	assert_int_equal(expire_code(f, 1, 299), ERR_EXISTS);
	assert_int_equal(expire_code(f, 2, 299), ERR_EXISTS);
	OK(f, store_extend(f->store, &one, 400, &f->err));
	assert_int_equal(expire_code(f, 1, 399), ERR_EXISTS);
	CHECK(f, 1, 1, 1000, true);
	CHECK(f, 2, 2, 50, false);
	/* deleted since */
	OK(f, store_terminate(f->store, &one, 5000, NULL, &f->err));
	assert_int_equal(expire_code(f, 1, 400), ERR_EXISTS);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

static void who_drops_forgets_no_tombstone(void **state)
{
	struct fixture *f = *state;
	struct upload_id one = id_of(1), two = id_of(2);

	RUN(f, .id = 1, .seed = 1, .to = 10);
	OK(f, store_terminate(f->store, &one, 5000, NULL, &f->err));
	assert_int_equal(store_drop(f->store, &one, NULL, &f->err), ERR_DELETED);
	assert_int_equal(lookup_code(f, 1), ERR_DELETED);
	RUN(f, .id = 2, .seed = 1, .to = 10, .spent_until_s = 5000);
	OK(f, store_drop(f->store, &two, NULL, &f->err));
	assert_int_equal(lookup_code(f, 2), ERR_DELETED);
	assert_int_equal(due_count(f, 4999), 0);
	assert_int_equal(due_count(f, 5000), 2);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

static void a_concatenation_that_expires_takes_what_only_it_needs(void **state)
{
	struct fixture *f = *state;

	run_parts(f);
	JOIN(f, 9, PARTS(1, 2, 3), SLICES({ 1, 1000 }, { 2, LONG }, { 3, 70001 }));
	EXPIRE(f, 1, 1000, 0, false);
	EXPIRE(f, 2, 1000, 0, false);
	EXPIRE(f, 9, 1000, 1000 + LONG, true);
	CHECK(f, 3, 3, 70001, true);
	EXPIRE(f, 3, 1000, 70001, true);
	check_nothing_left(f);
}

/* ---- listing ---- */

static unsigned next_due_id(struct fixture *f, int64_t now)
{
	struct upload_id id;
	size_t n = 0;

	OK(f, store_due(f->store, now, &id, 1, &n, &f->err));
	return n > 0 ? bytes_get_u32(id.b + 8) : 0;
}

/* Whatever was found to be the first before. */
static void whoever_becomes_due_earlier_is_found_first(void **state)
{
	struct fixture *f = *state;
	struct upload_id five = id_of(5), six = id_of(6);

	RUN(f, .id = 1, .seed = 1, .to = 10, .expires_s = 300);
	assert_int_equal(next_due_id(f, 100), 0);
	assert_int_equal(next_due_id(f, 300), 1);
	RUN(f, .id = 2, .seed = 1, .to = 10, .expires_s = 200);
	assert_int_equal(next_due_id(f, 300), 2);
	DROP(f, 1, 2);
	assert_int_equal(next_due_id(f, 5000), 0);
	RUN(f, .id = 3, .seed = 1, .to = 10, .expires_s = 4000);
	RUN(f, .id = 3, .seed = 1, .from = 10, .to = 20, .append = true, .expires_s = 100);
	assert_int_equal(next_due_id(f, 99), 0);
	assert_int_equal(next_due_id(f, 5000), 3);
	RUN(f, .id = 5, .seed = 5, .to = 10, .expires_s = 3000);
	RUN(f, .id = 6, .seed = 5, .to = 10, .expires_s = 3000);
	OK(f, store_extend(f->store, &five, 50, &f->err));
	assert_int_equal(next_due_id(f, 5000), 5);
	OK(f, store_terminate(f->store, &six, 40, NULL, &f->err));
	assert_int_equal(next_due_id(f, 5000), 6);
	if (f->variant->durable)
		fixture_reopen(f);
	assert_int_equal(next_due_id(f, 5000), 6);
	DROP(f, 3, 5, 6);
	check_nothing_left(f);
}

/* Uploads become due, earlier and earlier, while others look for them. */
static void *create_what_is_due(void *arg)
{
	struct thread *t = arg;

	for (unsigned i = 0; t->rc == ERR_OK && i < 100; i++) {
		struct job j = { .id = 1 + t->number * 1000 + i,
				 .seed = t->number,
				 .to = 10,
				 .expires_s = 1000 - i };
		struct upload_id ids[16];
		size_t n = 0;

		if (t->number % 2 == 0)
			t->rc = job_run(t->f->store, &j, &t->err);
		else
			t->rc = store_due(t->f->store, 2000 - i, ids, 16, &n, &t->err);
	}
	return NULL;
}

static void nothing_that_is_due_is_overlooked(void **state)
{
	struct fixture *f = *state;
	unsigned id, count = 0;

	run_threads(f, 8, create_what_is_due);
	while ((id = next_due_id(f, 1000)) != 0) {
		EXPIRE(f, id, 1000, 10, false);
		count++;
	}
	assert_int_equal(count, 400);
	check_nothing_left(f);
}

static void what_is_overdue_is_counted(void **state)
{
	struct fixture *f = *state;
	struct upload_id four = id_of(4);
	struct store_overdue o = { .bytes = 99 };

	OK(f, store_overdue(f->store, 5000, 100, &o, &f->err));
	assert_int_equal(o.finished + o.unfinished + o.tombstones + o.bytes + o.segments, 0);
	assert_int_equal(o.oldest_s, 0);
	RUN(f, .id = 1, .seed = 1, .to = 1000, .expires_s = 300, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = LONG, .expires_s = 200, .finish = true);
	RUN(f, .id = 3, .seed = 3, .to = 50, .expires_s = 400);
	RUN(f, .id = 4, .seed = 4, .to = 60);
	OK(f, store_terminate(f->store, &four, 250, NULL, &f->err));
	RUN(f, .id = 5, .seed = 5, .to = 70, .expires_s = 6000);
	OK(f, store_overdue(f->store, 5000, 100, &o, &f->err));
	assert_int_equal(o.finished, 2);
	assert_int_equal(o.unfinished, 1);
	assert_int_equal(o.tombstones, 1);
	assert_int_equal(o.bytes, 1000 + LONG + 50);
	assert_int_equal(o.oldest_s, 200);
	assert_int_equal(o.segments, 0);
	OK(f, store_overdue(f->store, 5000, 2, &o, &f->err)); /* the most overdue two */
	assert_int_equal(o.finished + o.unfinished + o.tombstones, 2);
	assert_int_equal(o.bytes, LONG);
	OK(f, store_overdue(f->store, 199, 100, &o, &f->err));
	assert_int_equal(o.finished + o.unfinished + o.tombstones, 0);
	assert_int_equal(due_count(f, 5000), 4); /* counting changes nothing */
	DROP(f, 1, 2, 3, 4, 5);
	check_nothing_left(f);
}

/* ---- what is alive ---- */

static void check_alive(struct fixture *f, uint64_t uploads, uint64_t finished, uint64_t bytes,
			int line)
{
	struct store_stats s;

	store_stats(f->store, &s);
	if (s.uploads_alive != uploads || s.uploads_finished != finished || s.bytes_alive != bytes)
		print_error("line %d: %zu uploads, %zu finished, %zu bytes\n", line,
			    (size_t)s.uploads_alive, (size_t)s.uploads_finished,
			    (size_t)s.bytes_alive);
	assert_int_equal(s.uploads_alive, uploads);
	assert_int_equal(s.uploads_finished, finished);
	assert_int_equal(s.bytes_alive, bytes);
}
#define ALIVE(f, uploads, finished, bytes) \
	check_alive((f), (uploads), (finished), (bytes), __LINE__)

static void what_is_alive_is_counted(void **state)
{
	struct fixture *f = *state;
	struct upload_id two = id_of(2);
	struct digest d;

	ALIVE(f, 0, 0, 0);
	RUN(f, .id = 1, .seed = 1, .to = 700);
	ALIVE(f, 1, 0, 700);
	RUN(f, .id = 7, .seed = 7, .to = LONG, .abandon = true);
	ALIVE(f, 1, 0, 700);
	RUN(f, .id = 1, .seed = 1, .from = 700, .to = 1000, .append = true, .finish = true);
	ALIVE(f, 1, 1, 1000);
	RUN(f, .id = 2, .seed = 2, .to = LONG, .finish = true);
	RUN(f, .id = 3, .seed = 2, .to = 90);
	ALIVE(f, 3, 2, 1000 + LONG + 90);
	RUN(f, .id = 3, .seed = 2, .from = 90, .to = LONG, .append = true, .finish = true);
	ALIVE(f, 3, 3, 1000 + LONG); /* the same blob */
	RUN(f, .id = 4);
	COMPLETE(f, 4, PARTS(1, 2), SLICES({ 1, 1000 }, { 2, LONG }));
	ALIVE(f, 4, 4, 1000 + LONG); /* no bytes of its own */
	digest_of_upload(f, 4, &d);
	REUSE(f, &d, .id = 5);
	ALIVE(f, 5, 5, 1000 + LONG);
	if (f->variant->durable)
		fixture_reopen(f);
	ALIVE(f, 5, 5, 1000 + LONG);
	OK(f, store_extend(f->store, &two, 2000, &f->err));
	OK(f, store_terminate(f->store, &two, 5000, NULL, &f->err));
	DROP(f, 1, 3, 4);
	ALIVE(f, 1, 1, 1000 + LONG);
	DROP(f, 5);
	ALIVE(f, 0, 0, 0);
	DROP(f, 2);
	ALIVE(f, 0, 0, 0);
	check_nothing_left(f);
}

static void *live_and_let_die(void *arg)
{
	struct thread *t = arg;
	struct store *s = t->f->store;

	for (unsigned i = 0; t->rc == ERR_OK && i < 8; i++) {
		unsigned id = t->number * 1000 + i;
		uint64_t size = mix(id) % (i % 4 == 0 ? MIB(2) : 60000);
		struct job begin = { .id = id, .seed = id, .to = size / 2, .piece = 30000 };
		struct job end = { .id = id,
				   .seed = id,
				   .from = size / 2,
				   .to = size,
				   .append = true,
				   .finish = true };
		struct upload_id name = id_of(id);

		t->rc = job_run(s, &begin, &t->err);
		if (t->rc == ERR_OK)
			t->rc = job_run(s, &end, &t->err);
		if (t->rc == ERR_OK && i % 2 == 1)
			t->rc = store_drop(s, &name, NULL, &t->err);
	}
	return NULL;
}

static void sixteen_threads_are_counted_right(void **state)
{
	struct fixture *f = *state;
	struct store_stats before, after;

	run_threads(f, 16, live_and_let_die);
	store_stats(f->store, &before);
	assert_int_equal(before.uploads_alive, 16 * 4);
	assert_int_equal(before.uploads_finished, 16 * 4);
	if (!f->variant->durable)
		return;
	fixture_reopen(f);
	store_stats(f->store, &after);
	assert_int_equal(after.uploads_alive, before.uploads_alive);
	assert_int_equal(after.uploads_finished, before.uploads_finished);
	assert_int_equal(after.bytes_alive, before.bytes_alive);
}

static void leave_some_alive(struct fixture *f)
{
	RUN(f, .id = 1, .seed = 1, .to = 700);
	RUN(f, .id = 2, .seed = 2, .to = LONG, .finish = true);
	RUN(f, .id = 3, .seed = 2, .to = LONG, .finish = true);
	RUN(f, .id = 4, .seed = 4, .to = 90, .finish = true);
	EXPIRE(f, 4, 1000, 90, true);
	RUN(f, .id = 5, .seed = 5, .to = LONG, .abandon = true);
}

static void counts_outlive_a_crash(void **state)
{
	struct fixture *f = *state;

	crash_after(f, "leave_some_alive");
	fixture_open(f);
	ALIVE(f, 3, 2, 700 + LONG);
	DROP(f, 1, 2, 3);
	ALIVE(f, 0, 0, 0);
}

#define EXPIRE_PROMISES(X)                                       \
	X(what_expires_tells_how_many_bytes_it_frees)            \
	X(what_expires_stays_spent_and_that_expires_too)         \
	X(what_is_not_due_does_not_expire)                       \
	X(who_drops_forgets_no_tombstone)                        \
	X(a_concatenation_that_expires_takes_what_only_it_needs) \
	X(whoever_becomes_due_earlier_is_found_first)            \
	X(nothing_that_is_due_is_overlooked)                     \
	X(what_is_overdue_is_counted)                            \
	X(what_is_alive_is_counted)                              \
	X(sixteen_threads_are_counted_right)

#define DURABLE_EXPIRE_PROMISES(X) X(counts_outlive_a_crash)

#define EXPIRE_BODIES BODY(leave_some_alive)

#endif
