/* retry - what statuses mean, and when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "client/retry.h"
#include "tests/library/asking.h"

/* The same, of one that answers only this. */
static enum restante_code gets(int status, const char *fields, const char *text,
			       struct restante_error *e)
{
	struct story s;
	enum restante_code rc;

	tell(&s);
	restante_client_set_retries(s.c, 0, 1);
	will_answer(&s, status, fields, text);
	rc = get(&s, NULL);
	*e = s.error;
	end(&s);
	return rc;
}

/* ---- what statuses mean ---- */

static void each_status_has_its_meaning(void **state)
{
	static const struct {
		int status;
		enum restante_code code;
	} table[] = {
		{ 200, RESTANTE_OK },      { 201, RESTANTE_OK },      { 204, RESTANTE_OK },
		{ 206, RESTANTE_OK },      { 302, RESTANTE_SERVER },  { 304, RESTANTE_SERVER },
		{ 400, RESTANTE_SERVER },  { 401, RESTANTE_DENIED },  { 403, RESTANTE_DENIED },
		{ 404, RESTANTE_GONE },    { 408, RESTANTE_NETWORK }, { 409, RESTANTE_SERVER },
		{ 410, RESTANTE_GONE },    { 412, RESTANTE_SERVER },  { 413, RESTANTE_TOOBIG },
		{ 423, RESTANTE_NETWORK }, { 425, RESTANTE_NETWORK }, { 429, RESTANTE_LIMIT },
		{ 500, RESTANTE_NETWORK }, { 501, RESTANTE_SERVER },  { 502, RESTANTE_NETWORK },
		{ 503, RESTANTE_LIMIT },   { 504, RESTANTE_NETWORK }, { 507, RESTANTE_LIMIT },
		{ 999, RESTANTE_SERVER },
	};
	struct restante_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (gets(table[i].status, "", NULL, &e) != table[i].code)
			fail_msg("%d", table[i].status);
		if (table[i].code != RESTANTE_OK)
			assert_non_null(strstr(e.detail, "status "));
	}
}

static void a_problem_speaks_for_itself(void **state)
{
	struct restante_error e;

	(void)state;
	assert_int_equal(gets(403, PROBLEM,
			      "{\"title\":\"Grant expired\",\"detail\":\"It ended at noon.\"}", &e),
			 RESTANTE_DENIED);
	assert_int_equal(e.code, RESTANTE_DENIED);
	assert_string_equal(e.detail, "Grant expired: It ended at noon.");
	(void)gets(403, "Content-Type: application/problem+json; charset=utf-8\r\n",
		   "{\"title\":\"Grant expired\"}", &e);
	assert_string_equal(e.detail, "Grant expired");
}

static void what_is_no_problem_is_not_shown(void **state)
{
	static const char *const bodies[] = { "",
					      "<html>",
					      "{",
					      "[]",
					      "\"title\"",
					      "{\"title\":7}",
					      "{\"title\":\"a\",\"title\":\"b\"}",
					      "{\"title\":\"a\\u0000b\"}",
					      "{\"title\":\"\"}" };
	struct restante_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(gets(404, PROBLEM, bodies[i], &e), RESTANTE_GONE);
		assert_string_equal(e.detail, "it is not there, or not any more (status 404)");
	}
	(void)gets(404, "Content-Type: text/html\r\n", "{\"title\":\"Shown?\"}", &e);
	assert_null(strstr(e.detail, "Shown"));
}

static void a_problem_brings_no_control_characters(void **state)
{
	struct restante_error e;

	(void)state;
	(void)gets(404, PROBLEM,
		   "{\"title\":\"a\\u001b[31mb\\nc\\u007fd\",\"detail\":\"\\u009b2J \\u202e "
		   "caf\xc3\xa9\"}",
		   &e);
	assert_string_equal(e.detail, "a?[31mb?c?d: ??2J ??? caf??");
}

static void a_problem_is_cut_to_size_and_shows_no_tokens(void **state)
{
	char text[8192], words[2048];
	struct restante_error e;

	(void)state;
	(void)snprintf(
		text, sizeof(text),
		"{\"title\":\"No upload "
		"EREiM0RVZneImaq7zN3u_wBqUmJQAAAAAAAAAAAAAAAAAAAAAAA here\",\"detail\":\"%s\"}",
		"https://media.example.org/v1/uploads/EREiM0");
	(void)gets(404, PROBLEM, text, &e);
	assert_string_equal(e.detail, "No upload ... here: ...");
	for (size_t i = 0; i < sizeof(words) - 1; i++)
		words[i] = "word "[i % 5];
	words[sizeof(words) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{\"title\":\"%s\",\"detail\":\"%s\"}", words, words);
	(void)gets(404, PROBLEM, text, &e);
	assert_memory_equal(e.detail, "word word word", 14);
	assert_in_range(strlen(e.detail), 100, sizeof(e.detail) - 1);
}

/* No word of a token's length is shown, and so not the beginning of one either. */
static void a_word_that_the_end_cuts_is_left_out(void **state)
{
	static const char token[] = "EREiM0RVZneImaq7zN3u_wBqUmJQAAAAAAAAAAAAAAAAAAAAAAA";
	char title[96], text[512];
	struct restante_error e;

	(void)state;
	for (size_t n = 60; n < sizeof(title); n++) {
		for (size_t i = 0; i < n; i++)
			title[i] = "word "[i % 5];
		title[n - 1] = ' ';
		title[n] = '\0';
		(void)snprintf(text, sizeof(text), "{\"title\":\"%s%s\"}", title, token);
		(void)gets(404, PROBLEM, text, &e);
		if (strstr(e.detail, "E") != NULL)
			fail_msg("%zu: %s", n, e.detail);
		(void)snprintf(text, sizeof(text), "{\"title\":\"x\",\"detail\":\"%.24s%s%s\"}",
			       "word word word word word ", title, token);
		(void)gets(404, PROBLEM, text, &e);
		assert_null(strstr(e.detail, "E"));
	}
}

/* ---- when it is tried again ---- */

static void a_failure_that_may_pass_is_tried_again(void **state)
{
	struct story s;

	(void)state;
	tell(&s);
	will_answer(&s, 0, NULL, NULL);
	will_answer(&s, 503, "", NULL);
	will_answer(&s, 423, "", NULL);
	will_answer(&s, 200, "", "fine");
	assert_int_equal(get(&s, NULL), RESTANTE_OK);
	assert_int_equal(fake_count(s.fake), 4);
	end(&s);
}

static void it_is_given_up_after_as_many_tries_as_were_set(void **state)
{
	struct exchange *x;
	struct story s;

	(void)state;
	tell(&s);
	will_answer(&s, 503, PROBLEM, "{\"title\":\"Full\"}");
	assert_int_equal(get(&s, &x), RESTANTE_LIMIT);
	assert_int_equal(s.error.code, RESTANTE_LIMIT);
	assert_string_equal(s.error.detail, "Full");
	assert_true(fake_reaches(s.fake, 4, 1000));
	/* the last answer is the caller's */
	assert_int_equal(exchange_status(x), 503);
	exchange_end(x);
	end(&s);
}

static void a_refusal_is_not_tried_again(void **state)
{
	static const int statuses[] = { 400, 401, 403, 404, 409, 410, 413 };
	struct story s;

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		tell(&s);
		will_answer(&s, statuses[i], "", NULL);
		assert_int_not_equal(get(&s, NULL), RESTANTE_OK);
		assert_int_equal(fake_count(s.fake), 1);
		end(&s);
	}
}

/* How long a client with these settings would wait for its next try. */
static int64_t waits(struct story *s, struct retry *r, const struct exchange *x)
{
	struct restante_error why = { .code = RESTANTE_LIMIT };
	const int64_t now = clock_mono_ms();

	assert_int_equal(retry_again(r, s->c, x, &why), RESTANTE_OK);
	return r->until_ms - now;
}

static void waits_double_with_jitter_up_to_a_bound(void **state)
{
	static const int64_t whole[] = { 500,   1000,  2000,  4000,  8000,
					 16000, 30000, 30000, 30000, 30000 };
	struct story s;

	(void)state;
	tell(&s);
	restante_client_set_retries(s.c, 10, 500);
	for (int round = 0; round < 50; round++) {
		struct retry r = { 0 };

		for (int i = 0; i < 10; i++)
			/* a little more: the clock goes on meanwhile */
			assert_in_range(waits(&s, &r, NULL), whole[i] / 2, whole[i] + 5);
	}
	end(&s);
}

static void waits_are_not_all_alike(void **state)
{
	int64_t least = INT64_MAX, most = 0;
	struct story s;

	(void)state;
	tell(&s);
	restante_client_set_retries(s.c, 1, 30000);
	for (int i = 0; i < 200; i++) {
		struct retry r = { 0 };
		const int64_t ms = waits(&s, &r, NULL);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_true(least < 18000 && most > 27000);
	end(&s);
}

static void progress_starts_the_count_anew(void **state)
{
	struct restante_error why = { .code = RESTANTE_NETWORK };
	struct retry r = { 0 };
	struct story s;

	(void)state;
	tell(&s);
	for (int i = 0; i < 3; i++)
		assert_int_equal(retry_again(&r, s.c, NULL, &why), RESTANTE_OK);
	assert_int_equal(retry_again(&r, s.c, NULL, &why), RESTANTE_NETWORK);
	retry_progress(&r);
	restante_client_set_retries(s.c, 3, 1000);
	for (int i = 0; i < 3; i++)
		assert_in_range(waits(&s, &r, NULL), 500 << i, (1000 << i) + 5);
	end(&s);
}

static void what_cannot_pass_is_not_waited_for(void **state)
{
	static const enum restante_code codes[] = { RESTANTE_GONE,      RESTANTE_DENIED,
						    RESTANTE_TOOBIG,    RESTANTE_SERVER,
						    RESTANTE_UNTRUSTED, RESTANTE_CANCELLED };
	struct story s;

	(void)state;
	tell(&s);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct restante_error why = { .code = codes[i] };
		struct retry r = { 0 };

		assert_int_equal(retry_again(&r, s.c, NULL, &why), codes[i]);
	}
	end(&s);
}

/* What is made of the answer 503 with these fields: how long is waited, in ms; -1: not at all. */
static int64_t waits_after(const char *fields)
{
	struct restante_error why = { .code = RESTANTE_LIMIT };
	struct retry r = { 0 };
	const int64_t now = clock_mono_ms();
	enum restante_code rc;
	struct exchange *x;
	struct story s;

	tell(&s);
	will_answer(&s, 503, fields, NULL);
	restante_client_set_retries(s.c, 0, 1);
	assert_int_equal(get(&s, &x), RESTANTE_LIMIT);
	restante_client_set_retries(s.c, 1, 10);
	rc = retry_again(&r, s.c, x, &why);
	assert_int_equal(why.code, RESTANTE_LIMIT);
	exchange_end(x);
	end(&s);
	return rc == RESTANTE_OK ? r.until_ms - now : -1;
}

static void retry_after_is_honoured_in_seconds(void **state)
{
	(void)state;
	assert_in_range(waits_after("Retry-After: 2\r\n"), 2000, 2500);
	assert_in_range(waits_after("Retry-After: 300\r\n"), 300000, 300500);
	assert_int_equal(waits_after("Retry-After: 301\r\n"), -1);
	assert_int_equal(waits_after("Retry-After: 4294967295\r\n"), -1);
	/* any number of digits */
	assert_in_range(waits_after("Retry-After: 0000000000000000000002\r\n"), 2000, 2500);
	assert_int_equal(waits_after("Retry-After: 99999999999999\r\n"), -1);
	assert_int_equal(waits_after("Retry-After: 18446744073709551617\r\n"), -1);
}

static void retry_after_is_honoured_as_a_date(void **state)
{
	char fields[200], date[CLOCK_HTTP_SIZE];

	(void)state;
	clock_http(date, clock_now_s() + 100);
	(void)snprintf(fields, sizeof(fields), "Retry-After: %s\r\n", date);
	assert_in_range(waits_after(fields), 98000, 100500);
	clock_http(date, clock_now_s() + 400);
	(void)snprintf(fields, sizeof(fields), "Retry-After: %s\r\n", date);
	assert_int_equal(waits_after(fields), -1);
	/* by the server's clock, whatever ours says */
	assert_in_range(waits_after("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
				    "Retry-After: Sun, 06 Nov 1994 08:49:57 GMT\r\n"),
			20000, 20500);
}

static void a_retry_after_that_says_nothing_is_passed_over(void **state)
{
	static const char *const fields[] = { "Retry-After: soon\r\n",
					      "Retry-After: -1\r\n",
					      "Retry-After: 0\r\n",
					      "Retry-After: 000\r\n",
					      "Retry-After: 4000 s\r\n",
					      "Retry-After: \r\n",
					      "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_in_range(waits_after(fields[i]), 5, 500);
}

static void *cancel_soon(void *arg)
{
	const struct timespec t = { 0, 50000000 };

	(void)nanosleep(&t, NULL);
	restante_cancel(arg);
	return NULL;
}

static void cancel_ends_a_wait_for_the_next_try(void **state)
{
	pthread_t thread;
	struct story s;
	int64_t began;

	(void)state;
	tell(&s);
	restante_client_set_retries(s.c, 8, 30000);
	will_answer(&s, 503, "", NULL);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, s.c), 0);
	began = clock_mono_ms();
	assert_int_equal(get(&s, NULL), RESTANTE_CANCELLED);
	assert_int_equal(s.error.code, RESTANTE_CANCELLED);
	assert_in_range(clock_mono_ms() - began, 40, 500);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* and everything that is begun later */
	assert_int_equal(get(&s, NULL), RESTANTE_CANCELLED);
	assert_int_equal(fake_count(s.fake), 1);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_status_has_its_meaning),
		cmocka_unit_test(a_problem_speaks_for_itself),
		cmocka_unit_test(what_is_no_problem_is_not_shown),
		cmocka_unit_test(a_problem_brings_no_control_characters),
		cmocka_unit_test(a_problem_is_cut_to_size_and_shows_no_tokens),
		cmocka_unit_test(a_word_that_the_end_cuts_is_left_out),
		cmocka_unit_test(a_failure_that_may_pass_is_tried_again),
		cmocka_unit_test(it_is_given_up_after_as_many_tries_as_were_set),
		cmocka_unit_test(a_refusal_is_not_tried_again),
		cmocka_unit_test(waits_double_with_jitter_up_to_a_bound),
		cmocka_unit_test(waits_are_not_all_alike),
		cmocka_unit_test(progress_starts_the_count_anew),
		cmocka_unit_test(what_cannot_pass_is_not_waited_for),
		cmocka_unit_test(retry_after_is_honoured_in_seconds),
		cmocka_unit_test(retry_after_is_honoured_as_a_date),
		cmocka_unit_test(a_retry_after_that_says_nothing_is_passed_over),
		cmocka_unit_test(cancel_ends_a_wait_for_the_next_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
