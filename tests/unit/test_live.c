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

#include <cmocka.h>

#include "server/http.h"
#include "server/live.h"
#include "server/metrics.h"

#define KB ((size_t)1 << 10)

/* What the transport has of it, for live.c. */
struct request {
	atomic_uint wakes;
	atomic_bool over; /* whoever wakes it now is too late */
};

static atomic_uint too_late;

void request_wake(struct request *r)
{
	if (atomic_load(&r->over))
		(void)atomic_fetch_add(&too_late, 1);
	(void)atomic_fetch_add(&r->wakes, 1);
}

static unsigned cuts;

void metric_add(enum metric m, uint64_t n)
{
	assert_int_equal(m, METRIC_LIVE_CUT);
	cuts += (unsigned)n;
}

struct fixture {
	struct live_table *table;
	struct upload_id id;
	struct live *feed;
	int told; /* what the writer was told last: 1 followed, 0 not; -1: nothing */
	struct request r[3];
	struct live_follower *f[3];
};

static void be_followed(void *ctx, bool yes)
{
	struct fixture *x = ctx;

	assert_int_not_equal(x->told, yes); /* changes only */
	x->told = yes;
}

static int make(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err e;

	assert_non_null(x);
	assert_int_equal(live_new(&x->table, &e), ERR_OK);
	x->told = -1;
	cuts = 0;
	atomic_store(&too_late, 0);
	*state = x;
	return 0;
}

static void leave(struct fixture *x, int i)
{
	live_leave(x->f[i]);
	x->f[i] = NULL;
	atomic_store(&x->r[i].over, true);
}

static int drop(void **state)
{
	struct fixture *x = *state;

	for (int i = 0; i < 3; i++)
		leave(x, i);
	live_feed_end(x->feed);
	assert_int_equal(live_followers(x->table), 0);
	live_free(x->table); /* asserts that nothing is left */
	assert_int_equal(chunk_memory(), 0);
	assert_int_equal(atomic_load(&too_late), 0);
	free(x);
	return 0;
}

static void feed(struct fixture *x, uint64_t durable)
{
	x->feed = live_feed(x->table, &x->id, durable, be_followed, x);
	assert_non_null(x->feed);
}

static void end_feed(struct fixture *x)
{
	live_feed_end(x->feed);
	x->feed = NULL;
}

static void join(struct fixture *x, int i, int64_t now_ms)
{
	x->f[i] = live_join(x->table, &x->id, &x->r[i], now_ms);
	assert_non_null(x->f[i]);
}

/* Byte number n of an upload is n, in a way. */
static uint8_t byte_at(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 8));
}

static void offer_room(struct fixture *x, uint64_t at, size_t n, bool room)
{
	struct chunk *c = chunk_new(n);

	assert_non_null(c);
	for (size_t i = 0; i < n; i++)
		c->data[i] = byte_at(at + i);
	c->len = n;
	live_offer(x->feed, at, c, room);
	chunk_unref(c);
}

static void offer(struct fixture *x, uint64_t at, size_t n)
{
	offer_room(x, at, n, true);
}

static enum live_next next(struct fixture *x, int i, uint64_t at)
{
	struct reply_piece p;
	uint64_t max = UINT64_MAX;
	const enum live_next n = live_next(x->f[i], at, &max, &p);

	if (n == LIVE_HERE) {
		assert_true(p.len > 0);
		for (size_t k = 0; k < p.len; k++)
			assert_int_equal(p.data[k], byte_at(at + k));
		chunk_unref(p.chunk);
	}
	return n;
}

/* Of `max` bytes those that it finds at hand at `at`. */
static size_t some_here(struct fixture *x, int i, uint64_t at, uint64_t max)
{
	struct reply_piece p;

	if (live_next(x->f[i], at, &max, &p) != LIVE_HERE)
		return 0;
	assert_in_range(p.len, 1, max);
	chunk_unref(p.chunk);
	return p.len;
}

static size_t here(struct fixture *x, int i, uint64_t at)
{
	return some_here(x, i, at, UINT64_MAX);
}

static unsigned wakes(struct fixture *x, int i)
{
	return atomic_load(&x->r[i].wakes);
}

/* ---- what followers find ---- */

static void staged_bytes_are_shown_when_they_are_durable(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	offer(x, 0, 100);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	live_advance(x->feed, 60, 1);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(here(x, 0, 0), 60);
	assert_int_equal(here(x, 0, 59), 1);
	assert_int_equal(next(x, 0, 60), LIVE_WAIT);
	live_advance(x->feed, 100, 2);
	assert_int_equal(here(x, 0, 60), 40);
}

static void bytes_of_before_are_not_at_hand(void **state)
{
	struct fixture *x = *state;

	feed(x, 1000);
	join(x, 0, 0);
	assert_int_equal(next(x, 0, 0), LIVE_BEHIND);
	assert_int_equal(next(x, 0, 1000), LIVE_WAIT);
	offer(x, 1000, 10);
	live_advance(x->feed, 1010, 1);
	assert_int_equal(next(x, 0, 999), LIVE_BEHIND);
	assert_int_equal(here(x, 0, 1000), 10);
}

static void all_followers_share_what_is_at_hand(void **state)
{
	struct fixture *x = *state;
	uint64_t max = 100;
	struct reply_piece a, b;

	feed(x, 0);
	join(x, 0, 0);
	join(x, 1, 0);
	offer(x, 0, 100);
	live_advance(x->feed, 100, 1);
	assert_int_equal(live_next(x->f[0], 0, &max, &a), LIVE_HERE);
	assert_int_equal(live_next(x->f[1], 0, &max, &b), LIVE_HERE);
	assert_ptr_equal(a.chunk, b.chunk);
	chunk_unref(a.chunk);
	chunk_unref(b.chunk);
}

static void what_is_at_hand_is_bounded_in_bytes(void **state)
{
	struct fixture *x = *state;
	uint64_t end = 0;

	feed(x, 0);
	join(x, 0, 0);
	for (int i = 0; i < 64; i++, end += CHUNK_MAX)
		offer(x, end, CHUNK_MAX);
	live_advance(x->feed, end, 1);
	assert_in_range(chunk_memory(), CHUNK_MAX, 4096 * KB);
	assert_int_equal(next(x, 0, 0), LIVE_BEHIND);
	assert_int_equal(here(x, 0, end - CHUNK_MAX), CHUNK_MAX);
	assert_int_equal(here(x, 0, end - 1), 1);
}

static void what_is_at_hand_is_bounded_in_pieces(void **state)
{
	struct fixture *x = *state;
	uint64_t end = 0;

	feed(x, 0);
	join(x, 0, 0);
	for (int i = 0; i < 3000; i++, end += 10)
		offer(x, end, 10);
	live_advance(x->feed, end, 1);
	assert_in_range(chunk_memory(), 10, 256 * 10);
	assert_int_equal(next(x, 0, 0), LIVE_BEHIND);
	for (uint64_t at = end - 2000; at < end; at += 7)
		assert_int_equal(next(x, 0, at), LIVE_HERE);
}

static void memory_that_is_short_leaves_the_last_piece(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	for (uint64_t at = 0; at < 8 * CHUNK_MAX; at += CHUNK_MAX)
		offer(x, at, CHUNK_MAX);
	live_advance(x->feed, 8 * CHUNK_MAX, 1);
	offer_room(x, 8 * CHUNK_MAX, 100, false);
	live_advance(x->feed, 8 * CHUNK_MAX + 100, 2);
	assert_in_range(chunk_memory(), 1, CHUNK_MAX);
	assert_int_equal(here(x, 0, 8 * CHUNK_MAX), 100);
}

static void memory_that_becomes_short_takes_all_but_the_last_piece(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	for (uint64_t at = 0; at < 8 * CHUNK_MAX; at += CHUNK_MAX)
		offer(x, at, CHUNK_MAX);
	live_advance(x->feed, 8 * CHUNK_MAX, 1);
	live_trim(x->table);
	assert_int_equal(chunk_memory(), CHUNK_MAX);
	assert_int_equal(next(x, 0, 0), LIVE_BEHIND);
	assert_int_equal(here(x, 0, 8 * CHUNK_MAX - 100), 100);
}

static void a_gap_is_not_bridged(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	offer(x, 0, 10);
	offer(x, 20, 10); /* what is between was stored while nobody followed */
	live_advance(x->feed, 30, 1);
	assert_int_equal(next(x, 0, 5), LIVE_BEHIND);
	assert_int_equal(next(x, 0, 15), LIVE_BEHIND);
	assert_int_equal(here(x, 0, 25), 5);
}

/* The next one to write may bring others in their place. */
static void what_never_became_durable_is_forgotten(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	offer(x, 0, 50);
	live_advance(x->feed, 50, 1);
	offer(x, 50, 50);
	end_feed(x);
	x->told = -1;
	feed(x, 50);
	assert_int_equal(x->told, 1);
	live_advance(x->feed, 100, 2);
	assert_int_equal(here(x, 0, 0), 50);
	assert_int_equal(next(x, 0, 50), LIVE_BEHIND);
}

static void nothing_is_kept_for_nobody(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	offer(x, 0, 100);
	assert_int_equal(chunk_memory(), 0);
	join(x, 0, 0);
	offer(x, 100, 100);
	assert_int_equal(chunk_memory(), 100);
	leave(x, 0);
	assert_int_equal(chunk_memory(), 0);
}

static void no_more_is_shown_than_is_asked_for(void **state)
{
	struct fixture *x = *state;
	struct reply_piece p;
	uint64_t max = 50;

	feed(x, 1000);
	join(x, 0, 0);
	offer(x, 1000, 100);
	live_advance(x->feed, 1100, 1);
	assert_int_equal(some_here(x, 0, 1010, 50), 50);
	assert_int_equal(some_here(x, 0, 1090, 50), 10);
	assert_int_equal(live_next(x->f[0], 990, &max, &p), LIVE_BEHIND);
	assert_int_equal(max, 50);
	max = 500;
	assert_int_equal(live_next(x->f[0], 990, &max, &p), LIVE_BEHIND);
	assert_int_equal(max, 110);
}

/* All bytes of the length announced, and then not what was announced. */
static void the_last_byte_waits_for_the_end(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	join(x, 1, 0); /* its client was told no length, and waits for the end anyway */
	live_learn(x->f[0], 0, 100);
	offer(x, 0, 100);
	live_advance(x->feed, 100, 1);
	assert_int_equal(here(x, 0, 0), 99);
	assert_int_equal(next(x, 0, 99), LIVE_WAIT);
	assert_int_equal(here(x, 1, 0), 100);
	live_finish(x->table, &x->id, 100);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(here(x, 0, 99), 1);
	assert_int_equal(next(x, 0, 100), LIVE_END);
}

/* ---- who is told what ---- */

static void the_writer_hears_of_the_first_and_the_last(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	assert_int_equal(x->told, -1);
	join(x, 0, 0);
	assert_int_equal(x->told, 1);
	join(x, 1, 0);
	leave(x, 0);
	assert_int_equal(x->told, 1);
	leave(x, 1);
	assert_int_equal(x->told, 0);
	join(x, 2, 0);
	assert_int_equal(x->told, 1);
	assert_int_equal(live_followers(x->table), 1);
}

static void who_waits_is_woken_once(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	join(x, 1, 0);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	live_advance(x->feed, 1, 1);
	live_advance(x->feed, 2, 2);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(wakes(x, 1), 0); /* it has not asked yet */
	live_advance(x->feed, 2, 3);      /* nothing new */
	assert_int_equal(next(x, 0, 2), LIVE_WAIT);
	assert_int_equal(wakes(x, 0), 1);
}

static void a_look_at_the_store_counts_too(void **state)
{
	struct fixture *x = *state;

	join(x, 0, 0);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	live_learn(x->f[0], 10, UINT64_MAX);
	assert_int_equal(next(x, 0, 0), LIVE_BEHIND);
	live_learn(x->f[0], 5, UINT64_MAX); /* an older one */
	assert_int_equal(next(x, 0, 9), LIVE_BEHIND);
	assert_int_equal(next(x, 0, 10), LIVE_WAIT);
}

/* ---- ends ---- */

static void a_finished_one_is_read_to_its_end(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	offer(x, 0, 10);
	live_finish(x->table, &x->id, 10);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(here(x, 0, 0), 10);
	end_feed(x);
	assert_int_equal(here(x, 0, 5), 5);
	assert_int_equal(next(x, 0, 10), LIVE_END);
	live_stall(x->table, 1000000, 1);
	assert_int_equal(next(x, 0, 10), LIVE_END);
}

static void one_that_is_gone_is_cut_at_once(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	join(x, 1, 0);
	offer(x, 0, 10);
	live_advance(x->feed, 10, 1);
	assert_int_equal(next(x, 0, 10), LIVE_WAIT);
	live_cut(x->table, &x->id);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(next(x, 0, 10), LIVE_CUT);
	assert_int_equal(next(x, 1, 0), LIVE_CUT); /* also where there is more */
	assert_int_equal(cuts, 2);
}

static void who_comes_after_the_end_finds_another(void **state)
{
	struct fixture *x = *state;

	join(x, 0, 0);
	live_finish(x->table, &x->id, 10);
	join(x, 1, 0);
	assert_int_equal(next(x, 1, 0), LIVE_WAIT);
	live_cut(x->table, &x->id);
	assert_int_equal(next(x, 1, 0), LIVE_CUT);
	assert_int_equal(next(x, 0, 10), LIVE_END);
}

static void nothing_for_too_long_cuts_who_waits(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 1000);
	join(x, 1, 5000); /* has waited since it came */
	join(x, 2, 1000); /* has something to read yet */
	offer(x, 0, 10);
	live_advance(x->feed, 10, 2000);
	assert_int_equal(next(x, 0, 10), LIVE_WAIT);
	assert_int_equal(next(x, 1, 10), LIVE_WAIT);
	live_stall(x->table, 11999, 10000);
	assert_int_equal(wakes(x, 0), 0);
	live_stall(x->table, 12001, 10000);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(wakes(x, 1), 0);
	assert_int_equal(next(x, 0, 10), LIVE_CUT);
	live_stall(x->table, 15001, 10000);
	assert_int_equal(next(x, 1, 10), LIVE_CUT);
	assert_int_equal(cuts, 2);
	assert_int_equal(here(x, 2, 0), 10);
	assert_int_equal(next(x, 2, 10), LIVE_WAIT);
}

static void something_that_comes_makes_up_for_a_stall(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	live_stall(x->table, 20000, 10000);
	offer(x, 0, 10);
	live_advance(x->feed, 10, 20001); /* before it has looked */
	assert_int_equal(here(x, 0, 0), 10);
	assert_int_equal(next(x, 0, 10), LIVE_WAIT);
}

static void a_server_that_stops_waits_for_writers_only(void **state)
{
	struct fixture *x = *state;

	feed(x, 0);
	join(x, 0, 0);
	assert_int_equal(next(x, 0, 0), LIVE_WAIT);
	live_drain(x->table);
	assert_int_equal(wakes(x, 0), 0);
	end_feed(x);
	assert_int_equal(wakes(x, 0), 1);
	assert_int_equal(next(x, 0, 0), LIVE_CUT);
	join(x, 1, 0);
	assert_int_equal(next(x, 1, 0), LIVE_CUT);
}

/* ---- many threads ---- */

#define END ((uint64_t)4 << 20)
#define READERS 3

struct crowd {
	struct fixture *x;
	atomic_bool over;
	atomic_uint left;
	atomic_uint_fast64_t joins, bytes;
};

static void take(struct crowd *c, struct reply_piece *p, uint64_t *at)
{
	for (size_t k = 0; k < p->len; k += 61)
		if (p->data[k] != byte_at(*at + k))
			abort();
	*at += p->len;
	(void)atomic_fetch_add(&c->bytes, p->len);
	chunk_unref(p->chunk);
}

static void await(struct request *req, unsigned *seen)
{
	while (atomic_load(&req->wakes) == *seen)
		(void)sched_yield();
	*seen = atomic_load(&req->wakes);
}

/* Reads as an event loop does: asks, and asks again when it is woken. */
static void read_some(struct crowd *c)
{
	struct request req = { 0 };
	struct live_follower *f = live_join(c->x->table, &c->x->id, &req, 0);
	enum live_next n = LIVE_WAIT;
	struct reply_piece p;
	uint64_t at = 0, max;
	unsigned seen = 0;

	for (int i = 0; i < 200 && n != LIVE_END && n != LIVE_CUT; i++) {
		max = UINT64_MAX;
		n = live_next(f, at, &max, &p);
		if (n == LIVE_HERE)
			take(c, &p, &at);
		else if (n == LIVE_BEHIND)
			at += 10000; /* from the store */
		else if (n == LIVE_WAIT)
			await(&req, &seen);
	}
	live_leave(f);
	atomic_store(&req.over, true);
	(void)atomic_fetch_add(&c->joins, 1);
}

static void *read_on(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->over))
		read_some(c);
	(void)atomic_fetch_sub(&c->left, 1);
	return NULL;
}

static void take_no_notice(void *ctx, bool yes)
{
	(void)ctx;
	(void)yes;
}

static void write_all(struct fixture *x)
{
	uint64_t at = 0;

	while (at < END) {
		const size_t some = 1 + (size_t)(at * 31 % 9001);
		const size_t n = some < END - at ? some : (size_t)(END - at);

		offer(x, at, n);
		at += n;
		live_advance(x->feed, at, (int64_t)at);
		(void)sched_yield();
	}
}

static void readers_come_and_go_while_it_is_written(void **state)
{
	struct fixture *x = *state;
	struct crowd c = { .x = x, .left = READERS };
	pthread_t threads[READERS];

	x->feed = live_feed(x->table, &x->id, 0, take_no_notice, NULL);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &c), 0);
	while (live_followers(x->table) == 0)
		(void)sched_yield();
	write_all(x);
	live_finish(x->table, &x->id, END);
	atomic_store(&c.over, true);
	/* who came after the end waits for what nobody writes */
	while (atomic_load(&c.left) > 0) {
		live_cut(x->table, &x->id);
		(void)sched_yield();
	}
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atomic_load(&c.joins) > READERS);
	assert_true(atomic_load(&c.bytes) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(staged_bytes_are_shown_when_they_are_durable),
		TEST(bytes_of_before_are_not_at_hand),
		TEST(all_followers_share_what_is_at_hand),
		TEST(what_is_at_hand_is_bounded_in_bytes),
		TEST(what_is_at_hand_is_bounded_in_pieces),
		TEST(memory_that_is_short_leaves_the_last_piece),
		TEST(memory_that_becomes_short_takes_all_but_the_last_piece),
		TEST(a_gap_is_not_bridged),
		TEST(what_never_became_durable_is_forgotten),
		TEST(nothing_is_kept_for_nobody),
		TEST(no_more_is_shown_than_is_asked_for),
		TEST(the_last_byte_waits_for_the_end),
		TEST(the_writer_hears_of_the_first_and_the_last),
		TEST(who_waits_is_woken_once),
		TEST(a_look_at_the_store_counts_too),
		TEST(a_finished_one_is_read_to_its_end),
		TEST(one_that_is_gone_is_cut_at_once),
		TEST(who_comes_after_the_end_finds_another),
		TEST(nothing_for_too_long_cuts_who_waits),
		TEST(something_that_comes_makes_up_for_a_stall),
		TEST(a_server_that_stops_waits_for_writers_only),
		TEST(readers_come_and_go_while_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
