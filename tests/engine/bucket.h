/* bucket - what store.h promises of what quotas count against, and of ids that are spent: part of
 * test_engine.c, which has every engine keep it. */
#ifndef RESTANTE_TESTS_ENGINE_BUCKET_H
#define RESTANTE_TESTS_ENGINE_BUCKET_H

#include "tests/engine/concat.h"

struct share_sum {
	unsigned uploads;
	uint64_t weight;
	int64_t created_s;
};

static void add_share(void *ctx, uint64_t weight, int64_t created_s)
{
	struct share_sum *s = ctx;

	s->uploads++;
	s->weight += weight;
	s->created_s += created_s;
}

static void check_bucket(struct fixture *f, uint8_t bucket, unsigned uploads, uint64_t weight,
			 int line)
{
	const struct bucket_id b = bucket_of(bucket);
	struct share_sum s = { 0 };

	check_ok(f, store_bucket(f->store, &b, add_share, &s, &f->err), "bucket", line);
	if (s.uploads != uploads || s.weight != weight)
		print_error("line %d: %u uploads of %zu bytes\n", line, s.uploads,
			    (size_t)s.weight);
	assert_int_equal(s.uploads, uploads);
	assert_int_equal(s.weight, weight);
	assert_int_equal(s.created_s, 500 * uploads);
}
#define BUCKET(f, b, uploads, weight) check_bucket((f), (b), (uploads), (weight), __LINE__)

static void a_bucket_knows_its_uploads_and_no_others(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 1000, .bucket = 1);
	RUN(f, .id = 2, .seed = 2, .to = 70000, .bucket = 1, .finish = true);
	RUN(f, .id = 3, .seed = 2, .to = 70000, .bucket = 2, .finish = true); /* the same blob */
	RUN(f, .id = 4, .seed = 4, .to = 50);
	BUCKET(f, 1, 2, 71000);
	BUCKET(f, 2, 1, 70000);
	BUCKET(f, 0, 0, 0); /* none at all, not those without one */
	BUCKET(f, 3, 0, 0);
	if (f->variant->durable)
		fixture_reopen(f);
	BUCKET(f, 1, 2, 71000);
	DROP(f, 2);
	BUCKET(f, 1, 1, 1000);
	BUCKET(f, 2, 1, 70000);
	DROP(f, 1, 3, 4);
	BUCKET(f, 1, 0, 0);
	check_nothing_left(f);
}

static void an_upload_weighs_what_it_has_until_its_length_is_known(void **state)
{
	struct fixture *f = *state;

	RUN(f, .id = 1, .seed = 1, .to = 0, .bucket = 1);
	BUCKET(f, 1, 1, 0);
	RUN(f, .id = 1, .seed = 1, .from = 0, .to = 30, .append = true);
	BUCKET(f, 1, 1, 30);
	RUN(f, .id = 1, .seed = 1, .from = 30, .to = 50, .append = true, .length = 900);
	BUCKET(f, 1, 1, 900);
	RUN(f, .id = 1, .seed = 1, .from = 50, .to = 60, .append = true, .length = 900);
	BUCKET(f, 1, 1, 900);
	RUN(f, .id = 1, .seed = 1, .from = 60, .to = 1000, .append = true, .finish = true);
	BUCKET(f, 1, 1, 1000);
	RUN(f, .id = 2, .seed = 1, .to = 10, .bucket = 1, .length = 500);
	BUCKET(f, 1, 2, 1500);
	DROP(f, 2, 1);
	BUCKET(f, 1, 0, 0);
	check_nothing_left(f);
}

static void extending_leaves_a_bucket_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);

	RUN(f, .id = 1, .seed = 1, .to = 30, .bucket = 1, .finish = true);
	OK(f, store_extend(f->store, &id, 3000, &f->err));
	BUCKET(f, 1, 1, 30);
	DROP(f, 1);
	check_nothing_left(f);
}

static void what_was_terminated_or_acknowledged_weighs_nothing(void **state)
{
	struct fixture *f = *state;
	struct upload_id one = id_of(1), two = id_of(2);
	uint16_t left;

	RUN(f, .id = 1, .seed = 1, .to = 30, .bucket = 1, .finish = true);
	RUN(f, .id = 2, .seed = 2, .to = 40, .bucket = 1, .finish = true);
	OK(f, store_terminate(f->store, &one, 5000, NULL, &f->err));
	BUCKET(f, 1, 1, 40);
	for (uint16_t n = 1; n <= 3; n++)
		OK(f, store_acknowledge(f->store, &two, n, 5000, &left, NULL, &f->err));
	BUCKET(f, 1, 0, 0);
	DROP(f, 1, 2);
	check_nothing_left(f);
}

static void assert_told(const struct dropped *d, uint8_t bucket, uint64_t weight)
{
	const struct bucket_id b = bucket_of(bucket);

	assert_memory_equal(&d->bucket, &b, sizeof(b));
	assert_int_equal(d->weight, weight);
}

static void what_goes_is_told_as_it_was_at_last(void **state)
{
	struct fixture *f = *state;
	struct upload_id one = id_of(1), two = id_of(2), three = id_of(3), four = id_of(4);
	struct dropped d;
	uint16_t left;

	RUN(f, .id = 1, .seed = 1, .to = 30, .bucket = 1);
	RUN(f, .id = 1, .seed = 1, .from = 30, .to = 50, .append = true);
	OK(f, store_drop(f->store, &one, &d, &f->err));
	assert_told(&d, 1, 50);
	RUN(f, .id = 2, .seed = 1, .to = 30, .bucket = 2, .length = 900);
	OK(f, store_terminate(f->store, &two, 5000, &d, &f->err));
	assert_told(&d, 2, 900);
	OK(f, store_expire(f->store, &two, 5000, &d, &f->err));
	assert_told(&d, 0, 0);
	RUN(f, .id = 3, .seed = 1, .to = 30, .bucket = 1, .finish = true);
	OK(f, store_expire(f->store, &three, 1000, &d, &f->err));
	assert_told(&d, 1, 30);
	RUN(f, .id = 4, .seed = 4, .to = 40, .bucket = 1, .finish = true);
	for (uint16_t n = 1; n <= 3; n++)
		OK(f, store_acknowledge(f->store, &four, n, 5000, &left, &d, &f->err));
	assert_told(&d, 1, 40);
	DROP(f, 4);
	check_nothing_left(f);
}

static void *grow(void *arg)
{
	struct thread *t = arg;

	for (uint64_t at = 0; t->rc == ERR_OK; at += 10) {
		struct job j = {
			.id = 1, .seed = 1, .from = at, .to = at + 10, .append = at > 0, .bucket = 1
		};

		t->rc = job_run(t->f->store, &j, &t->err);
		t->number += t->rc == ERR_OK;
	}
	return NULL;
}

/* A worker may commit at the same moment. */
static void what_grows_until_it_goes_is_told_to_the_byte(void **state)
{
	struct fixture *f = *state;
	struct upload_id one = id_of(1);

	for (unsigned round = 0; round < 20; round++) {
		struct thread t = { .f = f };
		struct dropped d;
		pthread_t thread;
		enum err_code rc;

		assert_int_equal(pthread_create(&thread, NULL, grow, &t), 0);
		do
			rc = store_terminate(f->store, &one, 5000, &d, &f->err);
		while (rc == ERR_NOTFOUND);
		pthread_join(thread, NULL);
		OK(f, rc);
		assert_true(t.rc == ERR_DELETED);
		assert_told(&d, 1, t.number * 10);
		DROP(f, 1);
	}
	check_nothing_left(f);
}

static void a_concatenation_weighs_what_it_is_said_to_be(void **state)
{
	struct fixture *f = *state;
	struct job j = { .id = 9, .bucket = 2 };
	struct upload rec = record_of(&j);

	RUN(f, .id = 1, .seed = 1, .to = 100, .bucket = 1, .finish = true);
	RUN(f, .id = 9, .bucket = 2); /* it waits */
	BUCKET(f, 2, 1, 0);
	OK(f, join_rec(f->store, &rec, true, PARTS(1, 1), SLICES({ 1, 100 }, { 1, 100 }), &f->err));
	BUCKET(f, 1, 1, 100);
	BUCKET(f, 2, 1, 200);
	DROP(f, 1, 9);
	BUCKET(f, 2, 0, 0);
	check_nothing_left(f);
}

static void a_record_keeps_its_bucket_and_how_long_its_id_is_spent(void **state)
{
	const struct bucket_id one = bucket_of(1);
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct upload *u;

	RUN(f, .id = 1, .seed = 1, .to = 10, .bucket = 1, .spent_until_s = 7000);
	RUN(f, .id = 1, .seed = 1, .from = 10, .to = 20, .append = true, .finish = true);
	if (f->variant->durable)
		fixture_reopen(f);
	OK(f, store_lookup(f->store, &id, &u, &f->err));
	assert_memory_equal(&u->bucket, &one, sizeof(one));
	assert_int_equal(u->spent_until_s, 7000);
	upload_free(u);
}

static void a_tombstone_stays_as_long_as_the_id_is_spent(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);

	RUN(f, .id = 1, .seed = 1, .to = 10, .spent_until_s = 7000);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	assert_int_equal(due_count(f, 6999), 0);
	assert_int_equal(due_count(f, 7000), 1);
	DROP(f, 1);
	RUN(f, .id = 1, .seed = 1, .to = 10, .spent_until_s = 4000);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	assert_int_equal(due_count(f, 5000), 1);
	DROP(f, 1);
	check_nothing_left(f);
}

static void an_id_that_was_terminated_is_not_used_again(void **state)
{
	struct fixture *f = *state;
	struct upload_id id = id_of(1);
	struct job again = { .id = 1, .seed = 2, .to = LONG, .finish = true, .bucket = 1 };

	RUN(f, .id = 1, .seed = 1, .to = 10, .finish = true);
	OK(f, store_terminate(f->store, &id, 5000, NULL, &f->err));
	assert_int_equal(job_run(f->store, &again, &f->err), ERR_DELETED);
	again.finish = false;
	assert_int_equal(job_run(f->store, &again, &f->err), ERR_DELETED);
	assert_int_equal(blob_count(f), 0);
	BUCKET(f, 1, 0, 0);
	DROP(f, 1); /* it is over */
	RUN(f, .id = 1, .seed = 2, .to = 10, .finish = true);
	DROP(f, 1);
	check_nothing_left(f);
}

#define BUCKET_PROMISES(X)                                        \
	X(a_bucket_knows_its_uploads_and_no_others)               \
	X(an_upload_weighs_what_it_has_until_its_length_is_known) \
	X(extending_leaves_a_bucket_as_it_is)                     \
	X(what_was_terminated_or_acknowledged_weighs_nothing)     \
	X(what_goes_is_told_as_it_was_at_last)                    \
	X(what_grows_until_it_goes_is_told_to_the_byte)           \
	X(a_concatenation_weighs_what_it_is_said_to_be)           \
	X(a_record_keeps_its_bucket_and_how_long_its_id_is_spent) \
	X(a_tombstone_stays_as_long_as_the_id_is_spent)           \
	X(an_id_that_was_terminated_is_not_used_again)

#endif
