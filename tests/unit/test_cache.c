#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/cache.h"

#define KB 1024u
#define SHARDS 8u /* so a test of one shard has an eighth of the capacity */

static struct cache *make(uint64_t capacity)
{
	struct cache *c;
	struct err e;

	assert_int_equal(cache_new(&c, capacity, &e), ERR_OK);
	return c;
}

static struct cache_key key(uint64_t n)
{
	return (struct cache_key){ .locator = n, .offset = n * 7 };
}

/* Puts a chunk of that size; the cache alone holds it then. */
static void put(struct cache *c, uint64_t n, size_t size, bool bulk)
{
	struct chunk *chunk = chunk_new(size);

	assert_non_null(chunk);
	memset(chunk->data, (int)n, size);
	chunk->len = size;
	cache_put(c, key(n), chunk, bulk);
	chunk_unref(chunk);
}

static bool has(struct cache *c, uint64_t n)
{
	struct chunk *chunk = cache_get(c, key(n));
	bool there = chunk != NULL;

	if (there)
		assert_int_equal(chunk->data[0], (uint8_t)n);
	chunk_unref(chunk);
	return there;
}

static void what_is_put_is_found(void **state)
{
	struct cache *c = make(8 << 20);

	(void)state;
	assert_false(has(c, 1));
	put(c, 1, 1000, false);
	assert_true(has(c, 1));
	assert_null(cache_get(c, (struct cache_key){ 1, 8 }));
	assert_null(cache_get(c, (struct cache_key){ 2, 7 }));
	cache_free(c);
	cache_free(NULL);
}

static void the_bytes_stay_within_the_capacity(void **state)
{
	const uint64_t capacity = 4 << 20;
	struct cache *c = make(capacity);
	struct cache_stats st;

	(void)state;
	for (uint64_t n = 0; n < 5000; n++) {
		put(c, n, 1 + n * 97 % (100 * KB), false);
		cache_stats(c, &st);
		assert_true(st.bytes <= capacity);
	}
	assert_true(st.bytes > capacity / 2);
	assert_true(st.chunks > 10);
	cache_free(c);
}

/* Tiny blobs cost more than their bytes. */
static void many_tiny_chunks_are_bounded_too(void **state)
{
	struct cache *c = make(256 * KB);
	struct cache_stats st;

	(void)state;
	for (uint64_t n = 0; n < 10000; n++)
		put(c, n, 1, false);
	cache_stats(c, &st);
	assert_true(st.chunks <= 1024);
	cache_free(c);
}

static void the_least_recently_used_goes_first(void **state)
{
	const uint64_t old = 1;
	struct cache *c = make(SHARDS * 64 * KB);

	(void)state;
	put(c, old, 10 * KB, false);
	/* whatever else comes: who is asked for stays */
	for (uint64_t n = 2; n < 500; n++) {
		put(c, n, 10 * KB, false);
		assert_true(has(c, old));
		assert_true(has(c, n));
	}
	assert_false(has(c, 2));
	/* and is gone when nobody asks any more */
	for (uint64_t n = 500; n < 1000; n++)
		put(c, n, 10 * KB, false);
	assert_false(has(c, old));
	cache_free(c);
}

static void a_chunk_larger_than_a_shard_is_not_kept(void **state)
{
	struct cache *c = make(SHARDS * 64 * KB), *none = make(0);
	struct cache_stats st;

	(void)state;
	put(c, 1, 64 * KB, false);
	assert_false(has(c, 1));
	put(none, 1, 1, false);
	assert_false(has(none, 1));
	cache_stats(none, &st);
	assert_int_equal(st.bytes, 0);
	cache_free(c);
	cache_free(none);
}

static void a_second_put_takes_the_place_of_the_first(void **state)
{
	struct cache *c = make(8 << 20);
	struct cache_stats one, two;
	struct chunk *before, *after;

	(void)state;
	put(c, 1, 1000, false);
	cache_stats(c, &one);
	before = cache_get(c, key(1));
	put(c, 1, 1000, false);
	after = cache_get(c, key(1));
	cache_stats(c, &two);
	assert_ptr_not_equal(before, after);
	assert_int_equal(one.bytes, two.bytes);
	assert_int_equal(two.chunks, 1);
	/* who had the first still has it */
	assert_int_equal(before->data[999], 1);
	chunk_unref(before);
	chunk_unref(after);
	cache_free(c);
}

static void a_bulk_chunk_is_let_in_on_second_sight(void **state)
{
	struct cache *c = make(8 << 20);

	(void)state;
	/* too large to pass through: an eighth of its shard is less */
	put(c, 1, 200 * KB, true);
	assert_false(has(c, 1));
	put(c, 1, 200 * KB, true);
	assert_true(has(c, 1));
	cache_free(c);
}

static void scan(struct cache *c, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++)
		put(c, n, 10 * KB, true);
}

static void a_bulk_chunk_passes_through_unless_it_is_asked_for(void **state)
{
	struct cache *c = make(8 << 20);

	(void)state;
	put(c, 1, 10 * KB, true);
	put(c, 2, 10 * KB, true);
	assert_true(has(c, 1));
	scan(c, 1000, 3000);
	assert_true(has(c, 1));
	assert_false(has(c, 2));
	/* but is known when it comes again */
	put(c, 2, 10 * KB, true);
	scan(c, 3000, 5000);
	assert_true(has(c, 2));
	cache_free(c);
}

static void what_passes_through_has_an_eighth(void **state)
{
	struct cache *c = make(8 << 20);
	struct cache_stats before, st;

	(void)state;
	for (uint64_t n = 0; n < 5000; n++)
		put(c, n, 10 * KB, false);
	cache_stats(c, &before);
	assert_in_range(before.bytes, 6 << 20, 7 << 20);
	scan(c, 10000, 20000);
	cache_stats(c, &st);
	assert_in_range(st.bytes, before.bytes + (512 << 10), before.bytes + (1 << 20));
	for (uint64_t n = 10000; n < 20000; n++) /* whoever is asked for makes room for others */
		(void)has(c, n);
	cache_stats(c, &st);
	assert_true(st.bytes <= 7 << 20);
	cache_free(c);
}

static void a_bulk_scan_drives_nobody_out(void **state)
{
	struct cache *c = make(SHARDS * 256 * KB);
	unsigned left = 0;

	(void)state;
	for (uint64_t n = 0; n < 64; n++)
		put(c, n, 10 * KB, false);
	for (uint64_t n = 1000; n < 3000; n++)
		put(c, n, 200 * KB, true);
	for (uint64_t n = 0; n < 64; n++)
		left += has(c, n);
	assert_int_equal(left, 64);
	cache_free(c);
}

static void an_answer_rides_on_its_chunk(void **state)
{
	struct cache *c = make(8 << 20);
	struct reply *r = reply_new(200), *got;

	(void)state;
	/* without the chunk there is nothing to ride on */
	cache_attach(c, key(1), r, 5, 100);
	assert_null(cache_reply(c, key(1), 5, 10));
	assert_int_equal(atomic_load(&r->refs), 1);
	put(c, 1, 1000, false);
	cache_attach(c, key(1), r, 5, 100);
	assert_int_equal(atomic_load(&r->refs), 2);
	got = cache_reply(c, key(1), 5, 99);
	assert_ptr_equal(got, r);
	reply_unref(got);
	/* not for another tag, nor after its time */
	assert_null(cache_reply(c, key(1), 6, 10));
	assert_null(cache_reply(c, key(1), 5, 100));
	assert_null(cache_reply(c, key(2), 5, 10));
	/* goes with the chunk */
	put(c, 1, 1000, false);
	assert_null(cache_reply(c, key(1), 5, 10));
	assert_int_equal(atomic_load(&r->refs), 1);
	cache_attach(c, key(1), r, 5, 100);
	cache_free(c);
	assert_int_equal(atomic_load(&r->refs), 1);
	reply_unref(r);
}

static void a_newer_answer_takes_the_place_of_the_older(void **state)
{
	struct cache *c = make(8 << 20);
	struct reply *a = reply_new(200), *b = reply_new(200), *got;
	struct cache_stats one, two;

	(void)state;
	put(c, 1, 1000, false);
	cache_attach(c, key(1), a, 1, 100);
	cache_stats(c, &one);
	cache_attach(c, key(1), b, 2, 100);
	cache_stats(c, &two);
	assert_int_equal(one.bytes, two.bytes);
	assert_int_equal(atomic_load(&a->refs), 1);
	assert_null(cache_reply(c, key(1), 1, 10));
	got = cache_reply(c, key(1), 2, 10);
	assert_ptr_equal(got, b);
	reply_unref(got);
	reply_unref(a);
	reply_unref(b);
	cache_free(c);
}

static void answers_count_as_well(void **state)
{
	const uint64_t capacity = SHARDS * 64 * KB;
	struct cache *c = make(capacity);
	struct cache_stats st;

	(void)state;
	for (uint64_t n = 0; n < 2000; n++) {
		struct reply *r = reply_new(200);

		put(c, n, 100, false);
		cache_attach(c, key(n), r, 1, 100);
		reply_unref(r);
	}
	cache_stats(c, &st);
	/* the last answer of a shard may stick out until its next chunk comes */
	assert_true(st.bytes <= capacity + SHARDS * 4096);
	cache_free(c);
}

static void *hammer(void *arg)
{
	struct cache *c = arg;
	uint64_t x = (uint64_t)(uintptr_t)&x;

	for (int i = 0; i < 20000; i++) {
		uint64_t n = (x = x * 6364136223846793005u + 1) >> 33 & 127;
		struct reply *r;

		if (i % 4 == 0)
			put(c, n, 1000 + n * 50, i % 8 == 0);
		else
			(void)has(c, n);
		if (i % 16 == 0) {
			r = reply_new(200);
			cache_attach(c, key(n), r, 1, 100);
			reply_unref(r);
		}
		reply_unref(cache_reply(c, key(n), 1, 10));
	}
	return NULL;
}

static void many_threads_may_use_it(void **state)
{
	struct cache *c = make(512 * KB);
	pthread_t t[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, c), 0);
	for (int i = 0; i < 8; i++)
		(void)pthread_join(t[i], NULL);
	cache_free(c);
	assert_int_equal(chunk_memory(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_found),
		cmocka_unit_test(the_bytes_stay_within_the_capacity),
		cmocka_unit_test(many_tiny_chunks_are_bounded_too),
		cmocka_unit_test(the_least_recently_used_goes_first),
		cmocka_unit_test(a_chunk_larger_than_a_shard_is_not_kept),
		cmocka_unit_test(a_second_put_takes_the_place_of_the_first),
		cmocka_unit_test(a_bulk_chunk_is_let_in_on_second_sight),
		cmocka_unit_test(a_bulk_chunk_passes_through_unless_it_is_asked_for),
		cmocka_unit_test(what_passes_through_has_an_eighth),
		cmocka_unit_test(a_bulk_scan_drives_nobody_out),
		cmocka_unit_test(an_answer_rides_on_its_chunk),
		cmocka_unit_test(a_newer_answer_takes_the_place_of_the_older),
		cmocka_unit_test(answers_count_as_well),
		cmocka_unit_test(many_threads_may_use_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
