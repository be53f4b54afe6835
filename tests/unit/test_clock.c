#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"

#define FIXDATE INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT, the RFC's example */
#define YEAR_9999_END INT64_C(253402300799)

static const struct {
	int64_t t;
	const char *rfc3339, *http;
} moments[] = {
	{ 0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ FIXDATE, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 951782400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT" },
	{ INT64_C(4294967295), "2106-02-07T06:28:15Z", "Sun, 07 Feb 2106 06:28:15 GMT" },
	{ YEAR_9999_END, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT" },
};
#define MOMENTS (sizeof(moments) / sizeof(moments[0]))

static void times_are_written_in_utc(void **state)
{
	(void)state;
	for (size_t i = 0; i < MOMENTS; i++) {
		char rfc3339[CLOCK_RFC3339_SIZE], http[CLOCK_HTTP_SIZE];

		clock_rfc3339(rfc3339, moments[i].t);
		assert_string_equal(rfc3339, moments[i].rfc3339);
		clock_http(http, moments[i].t);
		assert_string_equal(http, moments[i].http);
	}
}

static void times_out_of_range_are_clamped(void **state)
{
	char text[CLOCK_RFC3339_SIZE], http[CLOCK_HTTP_SIZE];

	(void)state;
	clock_rfc3339(text, -1);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	clock_rfc3339(text, INT64_MIN);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	clock_rfc3339(text, YEAR_9999_END + 1);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	clock_http(http, INT64_MAX);
	assert_string_equal(http, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	/* An odd step, so that days, months and times of day all vary. */
	for (int64_t t = 0; t < YEAR_9999_END; t += INT64_C(98765432)) {
		char http[CLOCK_HTTP_SIZE];
		int64_t back = -1;

		clock_http(http, t);
		assert_true(clock_parse_http(http, strlen(http), &back));
		assert_int_equal(back, t);
	}
}

static void check_read(const char *text, int64_t want)
{
	int64_t t = -99;

	if (!clock_parse_http(text, strlen(text), &t))
		fail_msg("\"%s\" was refused", text);
	assert_int_equal(t, want);
}

static void all_three_forms_are_read(void **state)
{
	(void)state;
	check_read("Sun, 06 Nov 1994 08:49:37 GMT", FIXDATE);
	check_read("Sunday, 06-Nov-94 08:49:37 GMT", FIXDATE);
	check_read("Sun Nov  6 08:49:37 1994", FIXDATE);
	check_read("Wed Nov 16 08:49:37 1994", FIXDATE + 10 * 86400);
	check_read("Wednesday, 16-Nov-94 08:49:37 GMT", FIXDATE + 10 * 86400);
	check_read("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
	/* A leap second is the one after. */
	check_read("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
}

static void a_year_of_two_digits_is_at_most_fifty_years_away(void **state)
{
	char now[CLOCK_RFC3339_SIZE], text[] = "Monday, 01-Jan-00 00:00:00 GMT";
	int this_year;

	(void)state;
	clock_rfc3339(now, clock_now_s());
	this_year =
		(now[0] - '0') * 1000 + (now[1] - '0') * 100 + (now[2] - '0') * 10 + now[3] - '0';
	for (int yy = 0; yy < 100; yy++) {
		char back[CLOCK_RFC3339_SIZE];
		int64_t t;
		int year;

		text[15] = (char)('0' + yy / 10);
		text[16] = (char)('0' + yy % 10);
		assert_true(clock_parse_http(text, strlen(text), &t));
		if (t < 0)
			continue; /* before 1970: not for clock_rfc3339() to write */
		clock_rfc3339(back, t);
		assert_memory_equal(back + 2, text + 15, 2);
		year = (back[0] - '0') * 1000 + (back[1] - '0') * 100 + yy;
		assert_true(year <= this_year + 50);
	}
}

static void nothing_else_is_a_date(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"Sun",
		"0",
		"784111777",
		"1994-11-06T08:49:37Z",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 gmt",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		" Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun,  06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun 06 Nov 1994 08:49:37 GMT",
		"sun, 06 nov 1994 08:49:37 GMT",
		"Xyz, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Xyz 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 32 Dec 1994 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT",
		"Sun, 29 Feb 2001 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 -8:49:37 GMT",
		"Sun, 06 Nov 1994 +8:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06 Nov 19940 08:49:37 GMT",
		"Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov 06 08:49:37 1994 GMT",
		"Sun Nov   6 08:49:37 1994",
		"Sun Nov  0 08:49:37 1994",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t t = -99;

		if (clock_parse_http(bad[i], strlen(bad[i]), &t))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(t, -99);
	}
}

static void every_truncation_is_refused(void **state)
{
	static const char *const forms[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
					     "Sunday, 06-Nov-94 08:49:37 GMT",
					     "Sun Nov  6 08:49:37 1994" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t n = 0; n < strlen(forms[i]); n++) {
			int64_t t;

			assert_false(clock_parse_http(forms[i], n, &t));
			assert_false(
				clock_parse_http(forms[i] + n + 1, strlen(forms[i]) - n - 1, &t));
		}
	}
}

static void the_monotonic_clock_never_goes_back(void **state)
{
	int64_t last = clock_mono_ms();

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t now = clock_mono_ms();

		assert_true(now >= last);
		last = now;
	}
	assert_true(clock_now_s() > INT64_C(1700000000));
}

static void timestamps_of_others_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t t;
	} good[] = {
		{ "1994-11-06T08:49:37Z", FIXDATE },
		{ "1994-11-06t08:49:37z", FIXDATE },
		{ "1994-11-06T08:49:37.123456789Z", FIXDATE },
		{ "1994-11-06T08:49:37.9+00:00", FIXDATE },
		{ "1994-11-06T08:49:37-00:00", FIXDATE },
		{ "1994-11-06T10:19:37+01:30", FIXDATE },
		{ "1994-11-05T09:49:37-23:00", FIXDATE },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
		{ "9999-12-31T23:59:59Z", YEAR_9999_END },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t t = -99;

		if (!clock_parse_timestamp(good[i].text, strlen(good[i].text), &t))
			fail_msg("\"%s\" was refused", good[i].text);
		assert_int_equal(t, good[i].t);
		for (size_t n = 0; n < strlen("1994-11-06T08:49:37"); n++)
			assert_false(clock_parse_timestamp(good[i].text, n, &t));
	}
}

static void what_is_no_timestamp_is_refused(void **state)
{
	static const char *const bad[] = {
		"1994-11-06T08:49:37",        "1994-11-06 08:49:37Z",
		"1994-11-06T08:49:37.Z",      "1994-11-06T08:49:37,5Z",
		"1994-11-06T08:49:37+0100",   "1994-11-06T08:49:37+01",
		"1994-11-06T08:49:37+24:00",  "1994-11-06T08:49:37+01:60",
		"1994-11-06T08:49:37+01:00Z", "1994-11-06T08:49:37Z ",
		"1994-11-06T24:00:00Z",       "1994-11-31T08:49:37Z",
		"1994-13-06T08:49:37Z",       "1970-01-01T00:59:59+01:00",
		"9999-12-31T23:59:60Z",       "9999-12-31T23:59:59-00:01",
		"19940-11-06T08:49:37Z",      "94-11-06T08:49:37Z",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t t = -99;

		if (clock_parse_timestamp(bad[i], strlen(bad[i]), &t))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(t, -99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_in_utc),
		cmocka_unit_test(times_out_of_range_are_clamped),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(all_three_forms_are_read),
		cmocka_unit_test(a_year_of_two_digits_is_at_most_fifty_years_away),
		cmocka_unit_test(nothing_else_is_a_date),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(the_monotonic_clock_never_goes_back),
		cmocka_unit_test(timestamps_of_others_are_read),
		cmocka_unit_test(what_is_no_timestamp_is_refused),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
