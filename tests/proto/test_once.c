/* once - however many fetch the same at the same moment, from a cold cache: the store is read once
 * for each chunk, and what goes wrong goes wrong for those only who were there. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/follow.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define CHUNK (256 * KB) /* of the store's grid */
#define CROWD 256
#define SOME 64
#define SOON 20000 /* ms, for what is expected to come */

static uint8_t bytes[10 * MB];
static struct test_server server;

static uint8_t *fresh(size_t n)
{
	static uint64_t seed = 91000;

	fill_random(bytes, n, seed++);
	return bytes;
}

static int start(void **state)
{
	(void)state;
	server_start(&server,
		     &(struct test_server_options){ .config = "upload { min_free = 0 }\n" });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

/* The server starts over, with nothing in memory. */
static void cold(const char *faults)
{
	assert_int_equal(server_stop(&server), 0);
	server.options.faults = faults;
	server_again(&server);
}

static uint64_t reads(void)
{
	return server_metric(&server, "restante_store_reads_total");
}

/* ---- a crowd, of which each has a thread and a connection ---- */

struct one {
	pthread_barrier_t *ready;
	const char *token;
	size_t from, to; /* of the bytes; what is asked for */
	int status;      /* of the answer; 0: what came of it was not right, or not all */
};

static int fetch(const struct one *o, const char *token)
{
	char target[128], range[64];
	struct answer a;
	int status;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	(void)snprintf(range, sizeof(range), "Range: bytes=%zu-%zu\r\n", o->from, o->to - 1);
	http_get(server.port, target, o->from > 0 ? range : "", &a);
	status = a.status;
	if ((status == 200 || status == 206) && (!a.whole || a.body_len != o->to - o->from ||
						 memcmp(a.body, bytes + o->from, a.body_len) != 0))
		status = 0;
	answer_free(&a);
	return status;
}

static void *come(void *arg)
{
	struct one *o = arg;

	(void)pthread_barrier_wait(o->ready);
	o->status = fetch(o, o->token);
	return NULL;
}

/* Each fetches from..to, and `step` further on than who came before; how many of them got it. */
static size_t crowd_gets(size_t count, const char *token, size_t from, size_t to, size_t step)
{
	static struct one crowd[CROWD];
	static pthread_t threads[CROWD];
	pthread_barrier_t ready;
	size_t got = 0;

	assert_int_equal(pthread_barrier_init(&ready, NULL, (unsigned)count), 0);
	for (size_t i = 0; i < count; i++) {
		crowd[i] = (struct one){ &ready, token, from + i * step, to + i * step, -1 };
		assert_int_equal(pthread_create(&threads[i], NULL, come, &crowd[i]), 0);
	}
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		got += crowd[i].status == 200 || crowd[i].status == 206;
	}
	(void)pthread_barrier_destroy(&ready);
	return got;
}

static void place(size_t n, struct placed *p)
{
	assert_int_equal(http_place(server.port, "", fresh(n), n, p), 201);
}

/* ---- one read a chunk ---- */

static void assert_once(size_t n, const char *faults)
{
	struct placed p;

	place(n, &p);
	cold(faults);
	assert_int_equal(crowd_gets(CROWD, p.token, 0, n, 0), CROWD);
	assert_int_equal(reads(), (n + CHUNK - 1) / CHUNK);
	cold(NULL);
}

static void a_photo_is_read_once(void **state)
{
	(void)state;
	assert_once(100 * KB, NULL);
}

static void what_is_sent_at_once_is_read_once(void **state)
{
	(void)state;
	assert_once(900 * KB, NULL);
}

/* It is more than the cache lets in at first sight. */
static void a_video_is_read_once(void **state)
{
	(void)state;
	assert_once(5 * MB, NULL);
	assert_once(10 * MB - 1000, NULL);
}

/* All of them are there before the first page has come. */
static void a_slow_disk_is_asked_once(void **state)
{
	(void)state;
	assert_once(100 * KB, "inner=rocksdb;delay_ms=3");
	assert_once(900 * KB, "inner=rocksdb;delay_ms=3");
	assert_once(5 * MB, "inner=rocksdb;delay_ms=3");
}

static void ranges_read_what_they_need_once(void **state)
{
	struct placed p;

	(void)state;
	place(8 * MB, &p);
	cold(NULL);
	assert_int_equal(crowd_gets(CROWD, p.token, 3 * CHUNK + 1, 6 * CHUNK - 1, 0), CROWD);
	assert_int_equal(reads(), 3);
	/* each another one, and what was read before is there yet */
	assert_int_equal(crowd_gets(SOME, p.token, 3 * CHUNK + 1, 14 * CHUNK, 1000), SOME);
	assert_int_equal(reads(), 3 + 9);
}

/* ---- who is behind ---- */

struct follower {
	struct follow *f;
	size_t n;
	bool got;
};

static void *read_along(void *arg)
{
	struct follower *x = arg;

	x->got = follow_gets(x->f, bytes, x->n, SOON);
	return NULL;
}

/* Followers of what came before the server was started, which is nowhere but in the store. */
static uint64_t reads_of_followers(const struct tus_upload *u, size_t count, size_t n)
{
	struct follower x[SOME];
	pthread_t threads[SOME];

	cold(NULL);
	for (size_t i = 0; i < count; i++) {
		x[i] = (struct follower){ .f = follow(server.port, u->token, ""), .n = n };
		assert_int_equal(x[i].f->head.status, 200);
		assert_int_equal(pthread_create(&threads[i], NULL, read_along, &x[i]), 0);
	}
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(x[i].got);
		follow_close(x[i].f);
	}
	return reads();
}

static void followers_behind_read_once_together(void **state)
{
	struct tus_upload u;

	(void)state;
	assert_int_equal(tus_create(&server, 10 * MB, "", &u), 201);
	assert_int_equal(tus_patch(&u, 0, fresh(10 * MB), 6 * MB + 1000), 204);
	assert_int_equal(reads_of_followers(&u, 1, 6 * MB + 1000), 25);
	assert_int_equal(reads_of_followers(&u, SOME, 6 * MB + 1000), 25);
}

/* ---- when it goes wrong ---- */

static void a_failed_read_is_tried_again_by_the_next(void **state)
{
	struct placed p;

	(void)state;
	place(100 * KB, &p);
	cold("inner=rocksdb;fail=read:1;delay_ms=20");
	assert_in_range(crowd_gets(SOME, p.token, 0, 100 * KB, 0), 0, SOME - 1);
	assert_true(http_has(server.port, p.token, bytes, 100 * KB));
	assert_int_equal(reads(), 2);
	cold(NULL);
}

static void a_failed_read_cuts_those_who_waited_for_it(void **state)
{
	struct placed p;

	(void)state;
	place(5 * MB, &p);
	cold("inner=rocksdb;fail=read:7;delay_ms=10");
	assert_in_range(crowd_gets(SOME, p.token, 0, 5 * MB, 0), 0, SOME - 1);
	assert_true(http_has(server.port, p.token, bytes, 5 * MB));
	assert_int_equal(reads(), 20 + 1);
	cold(NULL);
}

#define SLOW_MS 1500

static void *fetch_by_many(void *token)
{
	return (void *)(uintptr_t)crowd_gets(SOME, token, 0, 200 * KB, 0);
}

/* There are four readers: one reads, and with the others waiting in the crowd it would take 7/4. */
static void those_who_wait_hold_up_nobody_else(void **state)
{
	const struct one other = { .to = 200 * KB };
	char faults[64];
	struct placed p, q;
	pthread_t thread;
	int64_t began;
	void *got;

	(void)state;
	place(200 * KB, &p);
	bytes[0] ^= 1;
	assert_int_equal(http_place(server.port, "", bytes, 200 * KB, &q), 201);
	bytes[0] ^= 1;
	(void)snprintf(faults, sizeof(faults), "inner=rocksdb;delay_ms=%d", SLOW_MS);
	cold(faults);
	/* their records are known from here on */
	assert_int_equal(http_status(server.port, "HEAD", "/v1/media/", p.token), 200);
	assert_int_equal(http_status(server.port, "HEAD", "/v1/media/", q.token), 200);
	assert_int_equal(pthread_create(&thread, NULL, fetch_by_many, p.token), 0);
	client_nap(SLOW_MS / 4);
	began = clock_mono_ms();
	assert_int_equal(fetch(&other, q.token), 0); /* another's first byte is another */
	assert_in_range(clock_mono_ms() - began, SLOW_MS, SLOW_MS * 5 / 3);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_int_equal((uintptr_t)got, SOME);
	assert_int_equal(reads(), 2);
	server_kill(&server); /* stopping takes its time too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_photo_is_read_once),
		cmocka_unit_test(what_is_sent_at_once_is_read_once),
		cmocka_unit_test(a_video_is_read_once),
		cmocka_unit_test(a_slow_disk_is_asked_once),
		cmocka_unit_test(ranges_read_what_they_need_once),
		cmocka_unit_test(followers_behind_read_once_together),
		cmocka_unit_test(a_failed_read_is_tried_again_by_the_next),
		cmocka_unit_test(a_failed_read_cuts_those_who_waited_for_it),
		cmocka_unit_test(those_who_wait_hold_up_nobody_else),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
