#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/workers.h"

#define JOBS 10000

struct counted {
	struct job job;
	int number;
	unsigned again; /* times it submits itself anew */
	struct workers *workers;
};

static atomic_int runs, out_of_order, next_number;

static void count(struct job *job)
{
	struct counted *c = (struct counted *)(void *)job;

	(void)atomic_fetch_add(&runs, 1);
	if (c->again > 0) {
		c->again--;
		workers_submit(c->workers, job);
	}
}

static void check_order(struct job *job)
{
	struct counted *c = (struct counted *)(void *)job;

	if (atomic_fetch_add(&next_number, 1) != c->number)
		(void)atomic_fetch_add(&out_of_order, 1);
}

static void free_itself(struct job *job)
{
	(void)atomic_fetch_add(&runs, 1);
	free(job);
}

static void doze(struct job *job)
{
	(void)job;
	(void)poll(NULL, 0, 200);
	(void)atomic_fetch_add(&runs, 1);
}

static struct workers *make(size_t n)
{
	struct workers *w;
	struct err e;

	assert_int_equal(workers_new(&w, n, "test", &e), ERR_OK);
	return w;
}

static int begin(void **state)
{
	(void)state;
	atomic_store(&runs, 0);
	atomic_store(&out_of_order, 0);
	atomic_store(&next_number, 0);
	return 0;
}

static void every_job_is_run(void **state)
{
	struct counted *jobs = calloc(JOBS, sizeof(*jobs));
	struct workers *w = make(4);

	(void)state;
	assert_non_null(jobs);
	for (int i = 0; i < JOBS; i++) {
		jobs[i].job.run = count;
		workers_submit(w, &jobs[i].job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&runs), JOBS);
	free(jobs);
}

static void free_runs_what_is_queued(void **state)
{
	struct counted jobs[5] = { 0 };
	struct workers *w = make(1);

	(void)state;
	for (int i = 0; i < 5; i++) {
		jobs[i].job.run = doze;
		workers_submit(w, &jobs[i].job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&runs), 5);
	workers_free(NULL);
}

static void one_thread_keeps_the_order(void **state)
{
	struct counted *jobs = calloc(JOBS, sizeof(*jobs));
	struct workers *w = make(1);

	(void)state;
	assert_non_null(jobs);
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = (struct counted){ .job.run = check_order, .number = i };
		workers_submit(w, &jobs[i].job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&next_number), JOBS);
	assert_int_equal(atomic_load(&out_of_order), 0);
	free(jobs);
}

static atomic_int inside;

/* Ends well when all eight are under way at once. */
static void meet(struct job *job)
{
	(void)job;
	(void)atomic_fetch_add(&inside, 1);
	for (int ms = 0; ms < 20000 && atomic_load(&inside) < 8; ms++)
		(void)poll(NULL, 0, 1);
	if (atomic_load(&inside) == 8)
		(void)atomic_fetch_add(&runs, 1);
}

static void jobs_run_side_by_side(void **state)
{
	struct counted jobs[8] = { 0 };
	struct workers *w = make(8);

	(void)state;
	for (int i = 0; i < 8; i++) {
		jobs[i].job.run = meet;
		workers_submit(w, &jobs[i].job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&runs), 8);
}

/* Whoever comes wakes the next, and none is left out. */
static void all_that_rest_come_when_there_is_work_for_all(void **state)
{
	struct counted jobs[8] = { 0 };
	struct workers *w = make(8);

	(void)state;
	for (int round = 1; round <= 100; round++) {
		atomic_store(&inside, 0);
		for (int i = 0; i < 8; i++) {
			jobs[i].job.run = meet;
			workers_submit(w, &jobs[i].job);
		}
		for (int ms = 0; ms < 30000 && atomic_load(&runs) < 8 * round; ms++)
			(void)poll(NULL, 0, 1);
		assert_int_equal(atomic_load(&runs), 8 * round);
	}
	workers_free(w);
}

static void a_job_may_free_itself(void **state)
{
	struct workers *w = make(4);

	(void)state;
	for (int i = 0; i < JOBS; i++) {
		struct job *job = calloc(1, sizeof(*job));

		assert_non_null(job);
		job->run = free_itself;
		workers_submit(w, job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&runs), JOBS);
}

/* Also while the workers are being ended. */
static void a_job_may_submit_itself_anew(void **state)
{
	struct counted jobs[16] = { 0 };
	struct workers *w = make(3);

	(void)state;
	for (int i = 0; i < 16; i++) {
		jobs[i] = (struct counted){ .job.run = count, .again = 99, .workers = w };
		workers_submit(w, &jobs[i].job);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&runs), 1600);
}

static void *hammer(void *arg)
{
	for (int i = 0; i < JOBS; i++) {
		struct job *job = calloc(1, sizeof(*job));

		if (job == NULL)
			abort();
		job->run = free_itself;
		workers_submit(arg, job);
	}
	return NULL;
}

static void many_threads_may_submit(void **state)
{
	struct workers *w = make(8);
	pthread_t t[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, w), 0);
	for (int i = 0; i < 8; i++)
		(void)pthread_join(t[i], NULL);
	workers_free(w);
	assert_int_equal(atomic_load(&runs), 8 * JOBS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_job_is_run, begin),
		cmocka_unit_test_setup(free_runs_what_is_queued, begin),
		cmocka_unit_test_setup(one_thread_keeps_the_order, begin),
		cmocka_unit_test_setup(jobs_run_side_by_side, begin),
		cmocka_unit_test_setup(all_that_rest_come_when_there_is_work_for_all, begin),
		cmocka_unit_test_setup(a_job_may_free_itself, begin),
		cmocka_unit_test_setup(a_job_may_submit_itself_anew, begin),
		cmocka_unit_test_setup(many_threads_may_submit, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
