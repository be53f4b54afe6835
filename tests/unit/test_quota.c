#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "server/quota.h"

#define NOW INT64_C(5000000)
#define STORED_MAX 4096

/* What is "in the store": uploads of any bucket. */
struct shelf {
	pthread_mutex_t lock;
	struct stored {
		struct bucket_id bucket; /* all zero: a free place */
		uint64_t weight;
		int64_t created_s;
	} stored[STORED_MAX];
	enum err_code fails;
	atomic_uint looks;
	bool yields;            /* in the middle of a look */
	void (*told)(void *fx); /* unless NULL: all has been told, and the look goes on */
	void *told_fx;
};

struct fixture {
	struct shelf shelf;
	struct quota *quota;
	struct settings limits;
	struct quota_refusal why;
	struct err err;
};

/* All of one shard, as far as n is small. */
static struct bucket_id bucket(uint64_t n)
{
	struct bucket_id b = { { 0 } };

	bytes_put_u64(b.b + 8, n);
	return b;
}
static const struct bucket_id none;
#define ALICE bucket(1)
#define BOB bucket(2)
#define EMPTY 1000 /* nothing is stored in those from here on */

static bool same(const struct bucket_id *a, const struct bucket_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static enum err_code tell(void *ctx, const struct bucket_id *b, store_each *each, void *each_ctx,
			  struct err *e)
{
	struct shelf *s = ctx;
	struct stored x;

	(void)atomic_fetch_add(&s->looks, 1);
	if (s->fails != ERR_OK)
		return err_set(e, s->fails, "as asked for");
	if (same(b, &none) || bytes_get_u64(b->b + 8) >= EMPTY)
		return ERR_OK;
	for (size_t i = 0; i < STORED_MAX; i++) {
		pthread_mutex_lock(&s->lock);
		x = s->stored[i];
		pthread_mutex_unlock(&s->lock);
		if (same(&x.bucket, b))
			each(each_ctx, x.weight, x.created_s);
		if (s->yields && i % 512 == 0)
			(void)sched_yield();
	}
	if (s->told != NULL)
		s->told(s->told_fx);
	return ERR_OK;
}

static void put(struct shelf *s, size_t at, struct bucket_id b, uint64_t weight, int64_t created_s)
{
	pthread_mutex_lock(&s->lock);
	s->stored[at] = (struct stored){ b, weight, created_s };
	pthread_mutex_unlock(&s->lock);
}

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->shelf.lock, NULL);
	assert_int_equal(quota_new_over(&f->quota, tell, &f->shelf, &f->err), ERR_OK);
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	quota_free(f->quota);
	pthread_mutex_destroy(&f->shelf.lock);
	free(f);
	return 0;
}

static enum err_code enter_at(struct fixture *f, struct bucket_id b, uint64_t weight,
			      int64_t now_ms)
{
	return quota_enter(f->quota, &b, &f->limits, weight, now_ms, &f->why);
}

static enum err_code enter(struct fixture *f, struct bucket_id b, uint64_t weight)
{
	return enter_at(f, b, weight, NOW);
}

static void load(struct fixture *f, struct bucket_id b)
{
	assert_int_equal(quota_load(f->quota, &b, &f->err), ERR_OK);
}

static bool loaded(struct fixture *f, struct bucket_id b)
{
	return quota_loaded(f->quota, &b);
}

static void leave(struct fixture *f, struct bucket_id b, uint64_t uploads, uint64_t bytes)
{
	quota_leave(f->quota, &b, uploads, bytes);
}

static void assert_sums(struct fixture *f, struct bucket_id b, uint64_t uploads, uint64_t bytes)
{
	uint64_t u = 0, n = 0;

	assert_true(quota_sums(f->quota, &b, &u, &n));
	assert_int_equal(u, uploads);
	assert_int_equal(n, bytes);
}

static void assert_refused(struct fixture *f, enum err_code rc, const char *limit, int status)
{
	assert_int_equal(rc, ERR_LIMIT);
	assert_string_equal(f->why.limit, limit);
	assert_int_equal(f->why.status, status);
	assert_true(f->why.retry_after_s > 0);
}

static void nobody_enters_before_it_is_known_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct bucket_id b = ALICE;

	assert_false(loaded(f, b));
	assert_int_equal(enter(f, b, 1), ERR_BUSY);
	assert_false(quota_hold(f->quota, &b));
	assert_int_equal(quota_grow(f->quota, &b, &f->limits, 1, &f->why), ERR_BUSY);
	assert_int_equal(quota_may_send(f->quota, &b, &f->limits, 0, NOW, &f->why), ERR_BUSY);
	load(f, b);
	assert_true(loaded(f, b));
	assert_int_equal(enter(f, b, 1), ERR_OK);
}

static void what_is_stored_is_counted(void **state)
{
	struct fixture *f = *state;

	put(&f->shelf, 0, ALICE, 100, 0);
	put(&f->shelf, 1, BOB, 1, 0);
	put(&f->shelf, 2, ALICE, 20, 0);
	load(f, ALICE);
	assert_sums(f, ALICE, 2, 120);
	load(f, ALICE);
	assert_int_equal(atomic_load(&f->shelf.looks), 1);
}

static void a_store_that_fails_lets_nobody_in(void **state)
{
	struct fixture *f = *state;
	struct bucket_id b = ALICE;

	f->shelf.fails = ERR_IO;
	assert_int_equal(quota_load(f->quota, &b, &f->err), ERR_IO);
	assert_false(loaded(f, b));
	f->shelf.fails = ERR_OK;
	load(f, b);
	assert_sums(f, b, 0, 0);
}

static void as_many_uploads_as_may_be_and_not_one_more(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_uploads = 3;
	put(&f->shelf, 0, ALICE, 100, 0);
	load(f, ALICE);
	assert_int_equal(enter(f, ALICE, 5), ERR_OK);
	assert_int_equal(enter(f, ALICE, 5), ERR_OK);
	assert_refused(f, enter(f, ALICE, 5), "uploads", 507);
	assert_refused(f, enter(f, ALICE, 0), "uploads", 507);
	assert_sums(f, ALICE, 3, 110);
	leave(f, ALICE, 1, 100);
	assert_int_equal(enter(f, ALICE, 5), ERR_OK);
	assert_refused(f, enter(f, ALICE, 5), "uploads", 507);
}

static void as_many_bytes_as_may_be_and_not_one_more(void **state)
{
	struct fixture *f = *state;
	struct bucket_id b = ALICE;

	f->limits.quota_bytes = 100;
	load(f, b);
	assert_refused(f, enter(f, b, 101), "bytes", 507);
	assert_int_equal(enter(f, b, 100), ERR_OK);
	assert_refused(f, enter(f, b, 1), "bytes", 507);
	/* nothing is no byte more */
	assert_int_equal(enter(f, b, 0), ERR_OK);
	quota_undo(f->quota, &b, &f->limits, 100, NOW, NOW);
	assert_sums(f, b, 1, 0);
	assert_int_equal(quota_grow(f->quota, &b, &f->limits, 99, &f->why), ERR_OK);
	assert_int_equal(quota_grow(f->quota, &b, &f->limits, 1, &f->why), ERR_OK);
	assert_refused(f, quota_grow(f->quota, &b, &f->limits, 1, &f->why), "bytes", 507);
	assert_sums(f, b, 1, 100);
}

static void limits_may_become_smaller(void **state)
{
	struct fixture *f = *state;

	load(f, ALICE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(enter(f, ALICE, 10), ERR_OK);
	f->limits.quota_bytes = 50;
	assert_refused(f, enter(f, ALICE, 1), "bytes", 507);
	f->limits.quota_uploads = 5;
	assert_refused(f, enter(f, ALICE, 0), "uploads", 507);
	leave(f, ALICE, 6, 60);
	assert_int_equal(enter(f, ALICE, 10), ERR_OK);
	assert_refused(f, enter(f, ALICE, 0), "uploads", 507);
}

static void whose_is_whose(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_uploads = 1;
	f->limits.quota_uploads_per_minute = 1;
	load(f, ALICE);
	load(f, BOB);
	assert_int_equal(enter(f, ALICE, 5), ERR_OK);
	assert_int_equal(enter(f, BOB, 7), ERR_OK);
	assert_refused(f, enter(f, BOB, 7), "uploads", 507);
	leave(f, BOB, 1, 7);
	assert_refused(f, enter(f, BOB, 7), "uploads-per-minute", 429);
	assert_sums(f, ALICE, 1, 5);
	assert_sums(f, BOB, 0, 0);
}

static void without_a_bucket_nothing_is_limited(void **state)
{
	struct fixture *f = *state;

	f->limits = (struct settings){ .quota_uploads = 1,
				       .quota_bytes = 1,
				       .quota_uploads_per_minute = 1,
				       .quota_bytes_per_minute = 1 };
	assert_true(loaded(f, none));
	load(f, none);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(enter(f, none, 1000), ERR_OK);
		assert_int_equal(quota_grow(f->quota, &none, &f->limits, 9, &f->why), ERR_OK);
		assert_int_equal(quota_may_send(f->quota, &none, &f->limits, 0, NOW, &f->why),
				 ERR_OK);
		quota_sent(f->quota, &none, 1000, NOW);
	}
	assert_true(quota_hold(f->quota, &none));
	quota_let_go(f->quota, &none);
	quota_undo(f->quota, &none, &f->limits, 1000, NOW, NOW);
	quota_drop_begin(f->quota, &none);
	leave(f, none, 10, 10);
	quota_drop_end(f->quota, &none);
	assert_int_equal(atomic_load(&f->shelf.looks), 0);
}

static void sums_never_overflow(void **state)
{
	struct fixture *f = *state;
	struct bucket_id b = ALICE;

	load(f, b);
	assert_int_equal(enter(f, b, UINT64_MAX - 1), ERR_OK);
	assert_refused(f, enter(f, b, 2), "bytes", 507);
	assert_int_equal(enter(f, b, 1), ERR_OK);
	f->limits.quota_bytes = 1000;
	assert_refused(f, enter(f, b, UINT64_MAX), "bytes", 507);
	leave(f, b, 1, UINT64_MAX - 1);
	assert_sums(f, b, 1, 1);
	assert_refused(f, quota_grow(f->quota, &b, &f->limits, UINT64_MAX, &f->why), "bytes", 507);
	f->limits.quota_bytes_per_minute = UINT64_MAX;
	assert_int_equal(quota_may_send(f->quota, &b, &f->limits, 0, NOW, &f->why), ERR_OK);
	for (int i = 0; i < 3; i++)
		quota_sent(f->quota, &b, UINT64_MAX / 2 + 1, NOW + i * 1000);
	assert_refused(f, quota_may_send(f->quota, &b, &f->limits, 0, NOW + 3000, &f->why),
		       "bytes-per-minute", 429);
	assert_int_equal(quota_may_send(f->quota, &b, &f->limits, 0, NOW + 60000, &f->why), ERR_OK);
}

static void who_gives_back_too_much_gets_nothing_for_it(void **state)
{
	struct fixture *f = *state;

	load(f, ALICE);
	assert_int_equal(enter(f, ALICE, 5), ERR_OK);
	leave(f, ALICE, 7, 1000);
	assert_sums(f, ALICE, 0, 0);
}

/* ---- in a minute ---- */

static void as_many_uploads_begin_in_a_minute_as_may(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_uploads_per_minute = 3;
	load(f, ALICE);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 0), ERR_OK);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 10000), ERR_OK);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 10999), ERR_OK);
	assert_refused(f, enter_at(f, ALICE, 1, NOW + 10999), "uploads-per-minute", 429);
	/* whatever became of them */
	leave(f, ALICE, 3, 3);
	assert_refused(f, enter_at(f, ALICE, 1, NOW + 20500), "uploads-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 40);
	assert_refused(f, enter_at(f, ALICE, 1, NOW + 59999), "uploads-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 1);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 60000), ERR_OK);
	assert_refused(f, enter_at(f, ALICE, 1, NOW + 60000), "uploads-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 10);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 70000), ERR_OK);
	assert_int_equal(enter_at(f, ALICE, 1, NOW + 70000), ERR_OK);
	assert_refused(f, enter_at(f, ALICE, 1, NOW + 70000), "uploads-per-minute", 429);
	/* those that were refused do not count */
	assert_sums(f, ALICE, 3, 3);
}

static void one_a_second_is_sixty_a_minute(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_uploads_per_minute = 60;
	load(f, ALICE);
	for (int i = 0; i < 300; i++)
		assert_int_equal(enter_at(f, ALICE, 1, NOW + i * 1000), ERR_OK);
}

static enum err_code may_send(struct fixture *f, int64_t now_ms)
{
	const struct bucket_id b = ALICE;

	return quota_may_send(f->quota, &b, &f->limits, 0, now_ms, &f->why);
}

static void sent(struct fixture *f, uint64_t n, int64_t now_ms)
{
	const struct bucket_id b = ALICE;

	quota_sent(f->quota, &b, n, now_ms);
}

static void bytes_are_taken_until_a_minutes_are_full(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_bytes_per_minute = 100;
	load(f, ALICE);
	assert_int_equal(may_send(f, NOW), ERR_OK);
	sent(f, 40, NOW);
	sent(f, 59, NOW + 5000);
	assert_int_equal(may_send(f, NOW + 6000), ERR_OK);
	/* what has begun may end */
	sent(f, 500, NOW + 7000);
	assert_refused(f, may_send(f, NOW + 7000), "bytes-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 60);
	assert_refused(f, may_send(f, NOW + 66999), "bytes-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 1);
	assert_int_equal(may_send(f, NOW + 67000), ERR_OK);
}

static enum err_code begin(struct fixture *f, uint64_t announced, int64_t now_ms)
{
	const struct bucket_id b = ALICE;

	return quota_may_send(f->quota, &b, &f->limits, announced, now_ms, &f->why);
}

static void not_sent(struct fixture *f, uint64_t n, int64_t then_ms, int64_t now_ms)
{
	const struct bucket_id b = ALICE;

	quota_not_sent(f->quota, &b, &f->limits, n, then_ms, now_ms);
}

static void what_is_announced_counts_before_it_comes(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_bytes_per_minute = 100;
	load(f, ALICE);
	assert_int_equal(begin(f, 99, NOW), ERR_OK);
	assert_int_equal(begin(f, 500, NOW + 5000), ERR_OK);
	assert_refused(f, begin(f, 1, NOW + 5000), "bytes-per-minute", 429);
	assert_refused(f, begin(f, 0, NOW + 5000), "bytes-per-minute", 429);
	/* the second is broken off after 20, then the first after 80 */
	not_sent(f, 480, NOW + 5000, NOW + 8000);
	assert_refused(f, begin(f, 1, NOW + 8000), "bytes-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 52);
	not_sent(f, 19, NOW, NOW + 9000);
	assert_refused(f, begin(f, 1, NOW + 9000), "bytes-per-minute", 429);
	not_sent(f, 1, NOW, NOW + 9000);
	assert_int_equal(begin(f, 1, NOW + 9000), ERR_OK);
	assert_refused(f, begin(f, 1, NOW + 9000), "bytes-per-minute", 429);
	/* what is forgotten is not given back */
	not_sent(f, 79, NOW, NOW + 60000);
	assert_int_equal(begin(f, 78, NOW + 60000), ERR_OK);
	assert_int_equal(begin(f, 1, NOW + 60000), ERR_OK);
	assert_refused(f, begin(f, 1, NOW + 60000), "bytes-per-minute", 429);
}

static void an_attempt_that_comes_to_nothing_is_given_back(void **state)
{
	struct fixture *f = *state;
	const struct bucket_id b = ALICE;

	f->limits.quota_uploads_per_minute = 2;
	load(f, b);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(enter_at(f, b, 10, NOW + i), ERR_OK);
		quota_undo(f->quota, &b, &f->limits, 10, NOW + i, NOW + i * 1000);
	}
	assert_sums(f, b, 0, 0);
	assert_int_equal(enter_at(f, b, 1, NOW + 5000), ERR_OK);
	assert_int_equal(enter_at(f, b, 1, NOW + 5000), ERR_OK);
	assert_refused(f, enter_at(f, b, 1, NOW + 5000), "uploads-per-minute", 429);
	/* one of long ago */
	quota_undo(f->quota, &b, &f->limits, 1, NOW - 70000, NOW + 5000);
	assert_refused(f, enter_at(f, b, 1, NOW + 5000), "uploads-per-minute", 429);
}

static void the_wait_is_as_long_as_it_takes_and_no_longer(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_bytes_per_minute = 100;
	load(f, ALICE);
	assert_int_equal(may_send(f, NOW), ERR_OK);
	for (int i = 0; i < 30; i++)
		sent(f, 10, NOW + i * 1000);
	/* 300 are there: the first 21 seconds' have to go */
	assert_refused(f, may_send(f, NOW + 29500), "bytes-per-minute", 429);
	assert_int_equal(f->why.retry_after_s, 51);
	assert_refused(f, may_send(f, NOW + 79999), "bytes-per-minute", 429);
	assert_int_equal(may_send(f, NOW + 80000), ERR_OK);
}

static void a_clock_read_late_does_no_harm(void **state)
{
	struct fixture *f = *state;

	f->limits.quota_bytes_per_minute = 100;
	load(f, ALICE);
	assert_int_equal(may_send(f, NOW), ERR_OK);
	sent(f, 50, NOW + 2000);
	sent(f, 50, NOW + 1000);
	sent(f, 50, NOW - 100000);
	assert_refused(f, may_send(f, NOW + 1500), "bytes-per-minute", 429);
	assert_refused(f, may_send(f, NOW + 61999), "bytes-per-minute", 429);
	assert_int_equal(may_send(f, NOW + 62000), ERR_OK);
}

static void a_restart_forgives_nothing(void **state)
{
	struct fixture *f = *state;
	const int64_t now_s = clock_now_s(), now_ms = clock_mono_ms();

	f->limits.quota_uploads_per_minute = 4;
	f->limits.quota_bytes_per_minute = 100;
	put(&f->shelf, 0, ALICE, 60, now_s - 20);
	put(&f->shelf, 1, ALICE, 60, now_s - 40);
	put(&f->shelf, 2, ALICE, 60, now_s - 80);
	put(&f->shelf, 3, ALICE, 0, now_s + 7); /* somebody has set the clock */
	load(f, ALICE);
	assert_int_equal(enter_at(f, ALICE, 0, now_ms), ERR_OK);
	assert_refused(f, enter_at(f, ALICE, 0, now_ms), "uploads-per-minute", 429);
	assert_in_range(f->why.retry_after_s, 18, 21);
	assert_refused(f, may_send(f, now_ms), "bytes-per-minute", 429);
	assert_in_range(f->why.retry_after_s, 18, 21);
	assert_int_equal(may_send(f, now_ms + 22000), ERR_OK);
}

/* ---- in memory ---- */

static void crowd_out(struct fixture *f)
{
	for (uint64_t n = EMPTY; n < EMPTY + 1024; n++)
		load(f, bucket(n));
}

static void who_is_not_asked_for_is_forgotten(void **state)
{
	struct fixture *f = *state;

	load(f, ALICE);
	load(f, BOB);
	for (uint64_t n = EMPTY; n < EMPTY + 1023; n++) {
		load(f, bucket(n));
		assert_true(loaded(f, ALICE)); /* and is asked for */
	}
	assert_false(loaded(f, BOB));
	crowd_out(f);
	assert_false(loaded(f, ALICE));
}

static void what_is_charged_and_not_stored_is_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct bucket_id b = ALICE;

	load(f, b);
	assert_int_equal(enter(f, b, 10), ERR_OK);
	crowd_out(f);
	assert_sums(f, b, 1, 10);
	assert_true(quota_hold(f->quota, &b)); /* a PATCH, say */
	put(&f->shelf, 0, b, 10, 0);
	quota_let_go(f->quota, &b);
	crowd_out(f);
	assert_int_equal(quota_grow(f->quota, &b, &f->limits, 5, &f->why), ERR_OK);
	quota_let_go(f->quota, &b);
	put(&f->shelf, 0, b, 15, 0);
	crowd_out(f);
	assert_false(loaded(f, b));
	leave(f, b, 0, 3); /* and nothing happens */
	load(f, b);
	assert_sums(f, b, 1, 15);
}

/* ---- among threads ---- */

#define THREADS 4
#define PLACES (STORED_MAX / THREADS)

static atomic_uint turn_of_thread;
static atomic_bool over;

static void check(bool promise)
{
	if (!promise)
		abort();
}

static void take_away(struct fixture *f, size_t at)
{
	const struct stored x = f->shelf.stored[at];

	quota_drop_begin(f->quota, &x.bucket);
	put(&f->shelf, at, none, 0, 0);
	(void)sched_yield();
	quota_leave(f->quota, &x.bucket, 1, x.weight);
	quota_drop_end(f->quota, &x.bucket);
}

static pthread_t remover;

static void *remove_first(void *arg)
{
	take_away(arg, 0);
	return NULL;
}

static void begin_to_remove(void *arg)
{
	check(pthread_create(&remover, NULL, remove_first, arg) == 0);
	(void)usleep(50000);
}

static void what_goes_while_it_is_counted_is_given_back(void **state)
{
	struct fixture *f = *state;

	put(&f->shelf, 0, ALICE, 100, 0);
	put(&f->shelf, 1, ALICE, 10, 0);
	f->shelf.told = begin_to_remove;
	f->shelf.told_fx = f;
	load(f, ALICE);
	(void)pthread_join(remover, NULL);
	assert_sums(f, ALICE, 1, 10);
}

static void bring(struct fixture *f, size_t at, unsigned n)
{
	const struct settings no_limits = { .quota_uploads = 0 };
	const struct bucket_id b = bucket(n % 5 + 1);
	struct quota_refusal why;
	uint64_t weight = n % 100;

	check(quota_load(f->quota, &b, NULL) == ERR_OK);
	if (quota_enter(f->quota, &b, &no_limits, weight, NOW, &why) != ERR_OK)
		return; /* forgotten again */
	if (n % 7 == 0) {
		quota_undo(f->quota, &b, &no_limits, weight, NOW, NOW);
		return;
	}
	if (n % 3 == 0) {
		check(quota_grow(f->quota, &b, &no_limits, 50, &why) == ERR_OK);
		weight += 50;
	}
	put(&f->shelf, at, b, weight, 0);
	quota_let_go(f->quota, &b);
}

/* Its places are its own. */
static void *bring_and_take_away(void *arg)
{
	struct fixture *f = arg;
	const unsigned self = atomic_fetch_add(&turn_of_thread, 1);
	unsigned random = self + 1;

	for (int i = 0; i < 20000; i++) {
		size_t at;

		random = random * 1103515245 + 12345;
		at = self * PLACES + (random >> 16) % 64;
		if (same(&f->shelf.stored[at].bucket, &none))
			bring(f, at, random >> 8);
		else
			take_away(f, at);
	}
	return NULL;
}

static void *forget_all_the_time(void *arg)
{
	struct fixture *f = arg;

	for (uint64_t n = 0; !atomic_load(&over); n++) {
		const struct bucket_id b = bucket(EMPTY + n % 5000);

		check(quota_load(f->quota, &b, NULL) == ERR_OK);
	}
	return NULL;
}

static void the_sums_are_those_of_the_store_whoever_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	pthread_t t[THREADS], forgetful;

	f->shelf.yields = true;
	atomic_store(&turn_of_thread, 0);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&forgetful, NULL, forget_all_the_time, f), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, bring_and_take_away, f), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	atomic_store(&over, true);
	(void)pthread_join(forgetful, NULL);
	for (uint64_t n = 1; n <= 5; n++) {
		const struct bucket_id b = bucket(n);
		uint64_t uploads = 0, bytes = 0;

		for (size_t i = 0; i < STORED_MAX; i++)
			if (same(&f->shelf.stored[i].bucket, &b)) {
				uploads++;
				bytes += f->shelf.stored[i].weight;
			}
		load(f, b);
		assert_sums(f, b, uploads, bytes);
	}
}

static atomic_uint let_in;

static void *press_in(void *arg)
{
	struct fixture *f = arg;
	const struct bucket_id b = ALICE;
	struct quota_refusal why;

	for (int i = 0; i < 1000; i++)
		if (quota_enter(f->quota, &b, &f->limits, 3, NOW, &why) == ERR_OK)
			(void)atomic_fetch_add(&let_in, 1);
	return NULL;
}

static void a_crowd_does_not_get_past_a_limit(void **state)
{
	struct fixture *f = *state;
	pthread_t t[THREADS];

	atomic_store(&let_in, 0);
	f->limits.quota_bytes = 1000;
	load(f, ALICE);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, press_in, f), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&let_in), 333);
	assert_sums(f, ALICE, 333, 999);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_enters_before_it_is_known_what_is_there),
		TEST(what_is_stored_is_counted),
		TEST(a_store_that_fails_lets_nobody_in),
		TEST(as_many_uploads_as_may_be_and_not_one_more),
		TEST(as_many_bytes_as_may_be_and_not_one_more),
		TEST(limits_may_become_smaller),
		TEST(whose_is_whose),
		TEST(without_a_bucket_nothing_is_limited),
		TEST(sums_never_overflow),
		TEST(who_gives_back_too_much_gets_nothing_for_it),
		TEST(as_many_uploads_begin_in_a_minute_as_may),
		TEST(one_a_second_is_sixty_a_minute),
		TEST(bytes_are_taken_until_a_minutes_are_full),
		TEST(what_is_announced_counts_before_it_comes),
		TEST(an_attempt_that_comes_to_nothing_is_given_back),
		TEST(the_wait_is_as_long_as_it_takes_and_no_longer),
		TEST(a_clock_read_late_does_no_harm),
		TEST(a_restart_forgives_nothing),
		TEST(who_is_not_asked_for_is_forgotten),
		TEST(what_is_charged_and_not_stored_is_not_forgotten),
		TEST(what_goes_while_it_is_counted_is_given_back),
		TEST(the_sums_are_those_of_the_store_whoever_comes_and_goes),
		TEST(a_crowd_does_not_get_past_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
