#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "server/route.h"
#include "server/watch/process.h"

#define THREADS 24 /* more than there are shards */
#define EACH 10000

static void *count_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < EACH; i++) {
		metric_add(METRIC_BYTES_SENT, 3);
		metric_observe(HISTOGRAM_FETCH, 1000000);
		metric_request(HTTP_GET, 1, 200);
	}
	return NULL;
}

static void what_many_threads_count_is_all_there(void **state)
{
	struct metric_histogram h;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_some, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_get(METRIC_BYTES_SENT), 3 * THREADS * EACH);
	assert_int_equal(metric_requests(200, 201), THREADS * EACH);
	metric_histogram(HISTOGRAM_FETCH, &h);
	assert_int_equal(h.counts[3], THREADS * EACH); /* up to a millisecond */
	assert_true(h.sum_s > 0.0009999 * THREADS * EACH && h.sum_s < 0.0010001 * THREADS * EACH);
}

static void a_time_counts_in_the_first_bucket_it_fits(void **state)
{
	struct metric_histogram h;

	(void)state;
	metric_observe(HISTOGRAM_SWEEP, 0);
	for (size_t b = 0; b < METRIC_BUCKETS; b++) {
		const int64_t edge = (int64_t)(metric_bucket_s[b] * 1e9 + 0.5);

		metric_observe(HISTOGRAM_SWEEP, edge);
		metric_observe(HISTOGRAM_SWEEP, edge + 1);
	}
	metric_histogram(HISTOGRAM_SWEEP, &h);
	for (size_t b = 0; b < METRIC_BUCKETS; b++)
		assert_int_equal(h.counts[b], 2);
	assert_int_equal(h.counts[METRIC_BUCKETS], 1);
}

struct found {
	int series;
	uint64_t other, cut, early;
};

static void remember(void *ctx, const char *method, size_t route, const char *code, uint64_t n)
{
	struct found *f = ctx;

	f->series++;
	if (strcmp(code, "other") == 0 && strcmp(method, "PATCH") == 0 && route == 2)
		f->other = n;
	if (strcmp(code, "499") == 0 && strcmp(method, "other") == 0)
		f->cut = n;
	if (strcmp(code, "431") == 0 && strcmp(method, "none") == 0 &&
	    strcmp(route_pattern(route), "none") == 0)
		f->early = n;
}

static void requests_are_told_by_method_route_and_code(void **state)
{
	struct found f = { 0 };

	(void)state;
	metric_request(HTTP_PATCH, 2, 299);
	metric_request(HTTP_PATCH, 2, 999);
	metric_request(HTTP_OTHER, 0, METRIC_CUT);
	metric_request(0, 0, 431);
	metric_each_request(remember, &f);
	assert_int_equal(f.series, 4); /* with the one of the first test */
	assert_int_equal(f.other, 2);
	assert_int_equal(f.cut, 1);
	assert_int_equal(f.early, 1);
	assert_int_equal(metric_requests(400, 500), 2);
}

static void the_process_knows_itself(void **state)
{
	struct process p;

	(void)state;
	process_look(&p);
	assert_true(p.cpu_s > 0 && p.cpu_s < 1000);
	assert_true(p.resident_bytes > 1e5 && p.resident_bytes <= p.virtual_bytes);
	assert_true(p.open_files >= 3 && p.open_files <= p.most_files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_many_threads_count_is_all_there),
		cmocka_unit_test(a_time_counts_in_the_first_bucket_it_fits),
		cmocka_unit_test(requests_are_told_by_method_route_and_code),
		cmocka_unit_test(the_process_knows_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
