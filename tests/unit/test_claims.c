#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "server/claims.h"
#include "server/http.h"
#include "server/workers.h"

/* A line of requests for one upload, as the requests see it. Plain integers: the table's lock is
 * what keeps the threads apart, and a thread sanitizer sees whether it does. */
struct line {
	struct upload_id id;
	unsigned tickets, served; /* who came to wait, and who was woken */
	unsigned held;            /* by how many: only whoever has it looks */
	unsigned turns;
};

/* What the transport has of it, for claims.c. */
struct request {
	struct line *line;
	unsigned ticket;
	atomic_bool waiting, interrupted;
	unsigned waits, wakes, interrupts;
	bool over; /* whoever tells it something now is too late */
};

static atomic_uint broken;

static void check(bool promise)
{
	if (!promise)
		(void)atomic_fetch_add(&broken, 1);
}

void request_wait(struct request *r)
{
	check(!r->over && !atomic_load(&r->waiting));
	r->ticket = r->line->tickets++;
	r->waits++;
	atomic_store(&r->waiting, true);
}

void request_wake(struct request *r)
{
	check(!r->over && atomic_load(&r->waiting));
	check(r->ticket == r->line->served++);
	r->wakes++;
	atomic_store(&r->waiting, false); /* from here on it may be gone */
}

void request_interrupt(struct request *r)
{
	check(!r->over && !atomic_load(&r->waiting));
	r->interrupts++;
	atomic_store(&r->interrupted, true);
}

/* ---- one thread: who gets it, and who is told ---- */

struct fixture {
	struct claims *claims;
	struct line a, b;
	struct request r[4];
	struct claim *claim[4];
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	assert_non_null(f);
	assert_int_equal(claims_new(&f->claims, &e), ERR_OK);
	f->b.id.b[15] = 1;
	for (int i = 0; i < 4; i++)
		f->r[i].line = &f->a;
	atomic_store(&broken, 0);
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	claims_free(f->claims);
	assert_int_equal(atomic_load(&broken), 0);
	free(f);
	return 0;
}

/* Request number i asks for its upload. */
static bool take(struct fixture *f, int i)
{
	bool had = claim_take(f->claims, &f->r[i].line->id, &f->r[i], &f->claim[i]);

	assert_non_null(f->claim[i]);
	assert_int_equal(atomic_load(&f->r[i].waiting), !had);
	return had;
}

static void release(struct fixture *f, int i)
{
	claim_release(f->claim[i]);
	f->claim[i] = NULL;
	f->r[i].over = true;
}

static bool woken(const struct fixture *f, int i)
{
	return f->r[i].wakes == 1 && !atomic_load(&f->r[i].waiting);
}

static void what_nobody_holds_is_had_at_once(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_int_equal(f->r[0].waits, 0);
	release(f, 0);
	assert_true(take(f, 1));
	release(f, 1);
	claim_release(NULL);
	claims_free(NULL);
}

static void uploads_do_not_stand_in_each_others_way(void **state)
{
	struct fixture *f = *state;

	f->r[1].line = &f->b;
	assert_true(take(f, 0));
	assert_true(take(f, 1));
	release(f, 0);
	release(f, 1);
}

static void what_is_held_is_waited_for(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_false(take(f, 1));
	assert_int_equal(f->r[1].waits, 1);
	assert_int_equal(f->r[1].wakes, 0);
	release(f, 0);
	assert_true(woken(f, 1));
	/* it is its own now */
	assert_false(take(f, 2));
	release(f, 1);
	assert_true(woken(f, 2));
	release(f, 2);
}

static void who_came_first_gets_it_first(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	for (int i = 1; i < 4; i++)
		assert_false(take(f, i));
	for (int i = 0; i < 3; i++) {
		release(f, i);
		for (int j = i + 1; j < 4; j++)
			assert_int_equal(woken(f, j), j == i + 1);
	}
	release(f, 3);
}

static void a_newer_request_interrupts_who_lets_it(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_true(claim_let_interrupt(f->claim[0]));
	assert_int_equal(f->r[0].interrupts, 0);
	assert_false(take(f, 1));
	assert_int_equal(f->r[0].interrupts, 1);
	/* once is enough; who waits is not interrupted */
	assert_false(take(f, 2));
	assert_int_equal(f->r[0].interrupts, 1);
	assert_int_equal(f->r[1].interrupts, 0);
	claim_hold_on(f->claim[0]);
	release(f, 0);
	release(f, 1);
	release(f, 2);
}

static void who_never_lets_it_is_never_interrupted(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	for (int i = 1; i < 4; i++)
		assert_false(take(f, i));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(f->r[i].interrupts, 0);
		release(f, i);
	}
}

static void who_holds_on_is_not_interrupted_any_more(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_true(claim_let_interrupt(f->claim[0]));
	claim_hold_on(f->claim[0]);
	/* its request may go while its claim stays with a worker */
	f->r[0].over = true;
	assert_false(take(f, 1));
	assert_int_equal(f->r[0].interrupts, 0);
	release(f, 0);
	assert_true(woken(f, 1));
	release(f, 1);
}

static void who_let_it_once_may_let_it_again(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_true(claim_let_interrupt(f->claim[0]));
	claim_hold_on(f->claim[0]);
	assert_true(claim_let_interrupt(f->claim[0]));
	assert_false(take(f, 1));
	assert_int_equal(f->r[0].interrupts, 1);
	release(f, 0);
	release(f, 1);
}

static void with_a_newer_request_behind_it_none_begins(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_false(take(f, 1));
	assert_false(claim_let_interrupt(f->claim[0]));
	/* it has been told, and is not told again */
	assert_false(take(f, 2));
	assert_int_equal(f->r[0].interrupts, 0);
	release(f, 0);
	claim_hold_on(f->claim[1]);
	release(f, 1);
	release(f, 2);
}

static void the_newest_wins(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_true(claim_let_interrupt(f->claim[0]));
	assert_false(take(f, 1));
	assert_false(take(f, 2));
	release(f, 0);
	assert_true(woken(f, 1));
	assert_false(claim_let_interrupt(f->claim[1]));
	release(f, 1);
	assert_true(woken(f, 2));
	assert_true(claim_let_interrupt(f->claim[2]));
	assert_false(take(f, 3));
	assert_int_equal(f->r[2].interrupts, 1);
	release(f, 2);
	release(f, 3);
}

static void who_waits_may_step_out_of_the_line(void **state)
{
	struct fixture *f = *state;

	assert_true(take(f, 0));
	assert_false(take(f, 1));
	release(f, 1);
	assert_int_equal(f->r[1].wakes, 0);
	f->a.served++;
	/* nobody is behind it any more */
	assert_true(claim_let_interrupt(f->claim[0]));
	assert_false(take(f, 2));
	assert_int_equal(f->r[0].interrupts, 1);
	release(f, 0);
	assert_true(woken(f, 2));
	release(f, 2);
}

/* ---- many threads ---- */

#define THREADS 8
#define LINES 3
#define ROUNDS 4000

/* The worker that stores what a request brought, which may be gone by then. */
struct leftover {
	struct job job;
	struct line *line;
	struct claim *claim;
};

struct crowd {
	struct claims *claims;
	struct workers *workers;
	struct line lines[LINES];
	atomic_uint interrupts, refusals, waits;
};

static void let_go(struct line *line, struct claim *c)
{
	check(line->held == 1);
	line->held--;
	line->turns++;
	claim_release(c);
}

static void let_go_by_worker(struct job *job)
{
	struct leftover *l = (struct leftover *)(void *)job;

	let_go(l->line, l->claim);
	free(l);
}

static void hand_to_worker(struct crowd *w, struct line *line, struct claim *c)
{
	struct leftover *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		let_go(line, c);
		return;
	}
	l->job.run = let_go_by_worker;
	l->line = line;
	l->claim = c;
	workers_submit(w->workers, &l->job);
}

/* Works until a newer request comes, or for a while. */
static void work(struct crowd *w, struct request *r, struct claim *c)
{
	if (!claim_let_interrupt(c)) {
		(void)atomic_fetch_add(&w->refusals, 1);
		return;
	}
	for (int i = 0; i < 20 && !atomic_load(&r->interrupted); i++)
		(void)sched_yield();
	claim_hold_on(c);
	check(r->interrupts <= 1);
	(void)atomic_fetch_add(&w->interrupts, r->interrupts);
}

/* A request from its first byte until it is gone, its memory given back. */
static void live(struct crowd *w, struct line *line, unsigned round)
{
	struct request *r = calloc(1, sizeof(*r));
	struct claim *c = NULL;

	if (r == NULL)
		return;
	r->line = line;
	if (!claim_take(w->claims, &line->id, r, &c)) {
		(void)atomic_fetch_add(&w->waits, 1);
		while (atomic_load(&r->waiting))
			(void)sched_yield();
	}
	check(c != NULL && r->waits == r->wakes);
	check(line->held == 0);
	line->held++;
	if (round % 4 != 0)
		work(w, r, c);
	else
		check(r->interrupts == 0);
	r->over = true;
	free(r);
	if (round % 3 == 0)
		hand_to_worker(w, line, c);
	else
		let_go(line, c);
}

static void *live_on(void *arg)
{
	struct crowd *w = arg;
	uint64_t x = (uint64_t)(uintptr_t)&x;

	for (unsigned i = 0; i < ROUNDS; i++) {
		x = x * 6364136223846793005u + 1;
		live(w, &w->lines[(x >> 33) % LINES], i);
	}
	return NULL;
}

static void one_at_a_time_and_in_order_among_many_threads(void **state)
{
	static struct crowd w;
	struct fixture *f = *state;
	pthread_t t[THREADS];
	unsigned turns = 0;
	struct err e;

	w.claims = f->claims;
	assert_int_equal(workers_new(&w.workers, 2, "test", &e), ERR_OK);
	for (uint8_t i = 0; i < LINES; i++)
		w.lines[i].id.b[0] = i;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, live_on, &w), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	workers_free(w.workers);
	for (int i = 0; i < LINES; i++) {
		assert_int_equal(w.lines[i].tickets, w.lines[i].served);
		assert_int_equal(w.lines[i].held, 0);
		turns += w.lines[i].turns;
	}
	assert_int_equal(turns, THREADS * ROUNDS);
	/* and it was worth looking at */
	assert_true(atomic_load(&w.waits) > 0);
	assert_true(atomic_load(&w.interrupts) > 0);
	assert_true(atomic_load(&w.refusals) > 0);
}

static void *ask_for_many(void *arg)
{
	struct fixture *f = arg;
	struct line line = { .id = { { 0 } } };
	struct request r = { .line = &line };
	struct claim *held[64];

	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 64; i++) {
			bytes_put_u64(line.id.b, (uint64_t)(uintptr_t)&line);
			bytes_put_u32(line.id.b + 8, i);
			check(claim_take(f->claims, &line.id, &r, &held[i]));
			check(claim_let_interrupt(held[i]));
		}
		for (unsigned i = 0; i < 64; i++)
			claim_release(held[i * 5 % 64]);
	}
	check(r.waits == 0 && r.interrupts == 0);
	return NULL;
}

static void many_uploads_may_be_worked_on_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask_for_many, f), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_nobody_holds_is_had_at_once, make, drop),
		cmocka_unit_test_setup_teardown(uploads_do_not_stand_in_each_others_way, make,
						drop),
		cmocka_unit_test_setup_teardown(what_is_held_is_waited_for, make, drop),
		cmocka_unit_test_setup_teardown(who_came_first_gets_it_first, make, drop),
		cmocka_unit_test_setup_teardown(a_newer_request_interrupts_who_lets_it, make, drop),
		cmocka_unit_test_setup_teardown(who_never_lets_it_is_never_interrupted, make, drop),
		cmocka_unit_test_setup_teardown(who_holds_on_is_not_interrupted_any_more, make,
						drop),
		cmocka_unit_test_setup_teardown(who_let_it_once_may_let_it_again, make, drop),
		cmocka_unit_test_setup_teardown(with_a_newer_request_behind_it_none_begins, make,
						drop),
		cmocka_unit_test_setup_teardown(the_newest_wins, make, drop),
		cmocka_unit_test_setup_teardown(who_waits_may_step_out_of_the_line, make, drop),
		cmocka_unit_test_setup_teardown(one_at_a_time_and_in_order_among_many_threads, make,
						drop),
		cmocka_unit_test_setup_teardown(many_uploads_may_be_worked_on_at_once, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
