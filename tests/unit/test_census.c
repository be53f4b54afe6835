#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "server/census.h"

#define NO_LIMIT 0
#define ALICE (&(const struct address){ { 4, 192, 0, 2, 1 } })
#define BOB (&(const struct address){ { 4, 192, 0, 2, 2 } })

struct fixture {
	struct census *census;
	struct err err;
};

static struct upload_id id(uint64_t n)
{
	struct upload_id up = { { 0 } };

	bytes_put_u64(up.b, n);
	return up;
}

static enum err_code enter(struct fixture *f, uint64_t n, const struct address *from, uint64_t max,
			   uint64_t max_per_address)
{
	const struct upload_id up = id(n);

	return census_enter(f->census, &up, from, max, max_per_address, &f->err);
}

static void add(struct fixture *f, uint64_t n)
{
	const struct upload_id up = id(n);

	assert_int_equal(census_add(f->census, &up, &f->err), ERR_OK);
}

static void leave(struct fixture *f, uint64_t n)
{
	const struct upload_id up = id(n);

	census_leave(f->census, &up);
}

static int make(void **state)
{
	static struct fixture f;

	assert_int_equal(census_new(&f.census, &f.err), ERR_OK);
	*state = &f;
	return 0;
}

static void undo(struct fixture *f, uint64_t n)
{
	const struct upload_id up = id(n);

	census_undo(f->census, &up);
}

/* Whatever a test has left in it goes with it. */
static int drop(void **state)
{
	struct fixture *f = *state;

	census_free(f->census);
	return 0;
}

static void who_enters_and_leaves_is_counted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(census_count(f->census), 0);
	for (uint64_t n = 0; n < 1000; n++)
		assert_int_equal(enter(f, n, n % 3 ? ALICE : BOB, NO_LIMIT, NO_LIMIT), ERR_OK);
	assert_int_equal(census_count(f->census), 1000);
	for (uint64_t n = 0; n < 999; n++)
		leave(f, n);
	assert_int_equal(census_count(f->census), 1);
}

static void no_more_than_max_are_let_in(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 2, NO_LIMIT), ERR_OK);
	assert_int_equal(enter(f, 2, BOB, 2, NO_LIMIT), ERR_OK);
	assert_int_equal(enter(f, 3, BOB, 2, NO_LIMIT), ERR_BUSY);
	assert_int_equal(census_count(f->census), 2);
	leave(f, 1);
	assert_int_equal(enter(f, 3, BOB, 2, NO_LIMIT), ERR_OK);
}

static void no_more_than_its_share_is_let_in_from_one_address(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 100, 2), ERR_OK);
	assert_int_equal(enter(f, 2, ALICE, 100, 2), ERR_OK);
	assert_int_equal(enter(f, 3, ALICE, 100, 2), ERR_LIMIT);
	assert_int_equal(enter(f, 3, BOB, 100, 2), ERR_OK);
	assert_int_equal(census_count(f->census), 3);
	/* whose leaves, whose share it is */
	leave(f, 3);
	assert_int_equal(enter(f, 4, ALICE, 100, 2), ERR_LIMIT);
	leave(f, 1);
	assert_int_equal(enter(f, 4, ALICE, 100, 2), ERR_OK);
	assert_int_equal(enter(f, 5, ALICE, 100, 2), ERR_LIMIT);
}

static void too_many_in_all_is_said_before_too_many_of_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
	assert_int_equal(enter(f, 2, ALICE, 1, 1), ERR_BUSY);
}

static void limits_may_change_between_two(void **state)
{
	struct fixture *f = *state;

	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(enter(f, n, ALICE, NO_LIMIT, NO_LIMIT), ERR_OK);
	assert_int_equal(enter(f, 10, BOB, 5, NO_LIMIT), ERR_BUSY);
	assert_int_equal(enter(f, 10, ALICE, NO_LIMIT, 5), ERR_LIMIT);
	assert_int_equal(enter(f, 10, ALICE, 11, 11), ERR_OK);
}

static void what_was_there_at_the_start_counts_against_nobody(void **state)
{
	struct fixture *f = *state;
	const struct address none = { { 0 } };

	for (uint64_t n = 0; n < 5; n++)
		add(f, n);
	assert_int_equal(census_count(f->census), 5);
	assert_int_equal(enter(f, 5, ALICE, 5, 1), ERR_BUSY);
	assert_int_equal(enter(f, 5, ALICE, 7, 1), ERR_OK);
	/* nor against those without an address */
	assert_int_equal(enter(f, 6, &none, 7, 1), ERR_OK);
	leave(f, 0);
	assert_int_equal(census_count(f->census), 6);
	assert_int_equal(enter(f, 7, ALICE, 7, 1), ERR_LIMIT);
	assert_int_equal(enter(f, 7, BOB, 7, 1), ERR_OK);
}

static void who_is_not_counted_may_leave(void **state)
{
	struct fixture *f = *state;

	leave(f, 1);
	assert_int_equal(enter(f, 1, ALICE, NO_LIMIT, 1), ERR_OK);
	leave(f, 2);
	leave(f, 1);
	leave(f, 1);
	assert_int_equal(census_count(f->census), 0);
	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
}

static void an_upload_is_counted_once(void **state)
{
	struct fixture *f = *state;

	/* as when a start finds what has just begun */
	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
	add(f, 1);
	assert_int_equal(enter(f, 1, BOB, 1, 1), ERR_OK);
	assert_int_equal(census_count(f->census), 1);
	leave(f, 1);
	assert_int_equal(census_count(f->census), 0);
	assert_int_equal(enter(f, 2, ALICE, 1, 1), ERR_OK);
}

/* Grants let several requests know an id before there is an upload of it. */
static void whom_several_enter_is_counted_until_the_last_gives_up(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
	assert_int_equal(enter(f, 1, BOB, 1, 1), ERR_OK);
	undo(f, 1);
	undo(f, 1);
	assert_int_equal(census_count(f->census), 1);
	assert_int_equal(enter(f, 2, ALICE, NO_LIMIT, 1), ERR_LIMIT);
	undo(f, 1);
	assert_int_equal(census_count(f->census), 0);
	assert_int_equal(enter(f, 2, ALICE, 1, 1), ERR_OK);
}

static void what_goes_is_uncounted_whoever_else_entered_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 1, 1), ERR_OK);
	assert_int_equal(enter(f, 1, BOB, 1, 1), ERR_OK);
	leave(f, 1);
	assert_int_equal(census_count(f->census), 0);
	undo(f, 1); /* it finds that it is late */
	assert_int_equal(census_count(f->census), 0);
	assert_int_equal(enter(f, 2, ALICE, 1, 1), ERR_OK);
}

static void who_is_refused_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, 1, ALICE, 1, NO_LIMIT), ERR_OK);
	for (uint64_t n = 2; n < 100; n++) {
		struct address a = { { 6 } };

		bytes_put_u64(a.key + 1, n);
		assert_int_equal(enter(f, n, &a, 1, 1), ERR_BUSY);
		leave(f, n);
	}
	assert_int_equal(census_count(f->census), 1);
}

static atomic_uint turn_of_thread, crowd, of_alice, let_in, broken;

static void check(bool promise)
{
	if (!promise)
		(void)atomic_fetch_add(&broken, 1);
}

/* Ids are its own, addresses and limits are everybody's. It counts itself after it has entered and
 * before it leaves, so that there are never more than were let in. */
static void *come_and_go(void *arg)
{
	struct fixture f = { .census = arg };
	const uint64_t base = (uint64_t)(atomic_fetch_add(&turn_of_thread, 1) + 1) << 32;

	for (uint64_t n = base; n < base + 20000; n++) {
		const bool alice = n % 2;

		if (enter(&f, n, alice ? ALICE : BOB, 6, 4) != ERR_OK)
			continue;
		(void)atomic_fetch_add(&let_in, 1);
		check(atomic_fetch_add(&crowd, 1) < 6);
		check(!alice || atomic_fetch_add(&of_alice, 1) < 4);
		check(census_count(f.census) >= 1 && census_count(f.census) <= 6);
		if (n % 64 == 0)
			(void)sched_yield();
		if (alice)
			(void)atomic_fetch_sub(&of_alice, 1);
		(void)atomic_fetch_sub(&crowd, 1);
		leave(&f, n);
	}
	return NULL;
}

static void the_limits_hold_among_many_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, come_and_go, f->census), 0);
	for (int i = 0; i < 8; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&broken), 0);
	assert_true(atomic_load(&let_in) > 0);
	assert_int_equal(census_count(f->census), 0);
	/* nobody's share was lost on the way */
	for (uint64_t n = 0; n < 4; n++)
		assert_int_equal(enter(f, n, ALICE, 6, 4), ERR_OK);
	assert_int_equal(enter(f, 4, ALICE, 6, 4), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_enters_and_leaves_is_counted, make, drop),
		cmocka_unit_test_setup_teardown(no_more_than_max_are_let_in, make, drop),
		cmocka_unit_test_setup_teardown(no_more_than_its_share_is_let_in_from_one_address,
						make, drop),
		cmocka_unit_test_setup_teardown(too_many_in_all_is_said_before_too_many_of_one,
						make, drop),
		cmocka_unit_test_setup_teardown(limits_may_change_between_two, make, drop),
		cmocka_unit_test_setup_teardown(what_was_there_at_the_start_counts_against_nobody,
						make, drop),
		cmocka_unit_test_setup_teardown(who_is_not_counted_may_leave, make, drop),
		cmocka_unit_test_setup_teardown(an_upload_is_counted_once, make, drop),
		cmocka_unit_test_setup_teardown(
			whom_several_enter_is_counted_until_the_last_gives_up, make, drop),
		cmocka_unit_test_setup_teardown(what_goes_is_uncounted_whoever_else_entered_it,
						make, drop),
		cmocka_unit_test_setup_teardown(who_is_refused_leaves_nothing_behind, make, drop),
		cmocka_unit_test_setup_teardown(the_limits_hold_among_many_threads, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
