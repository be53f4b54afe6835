#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/range.h"

/* What a header asks of a size: the ranges as "first-last first-last", or one of these. */
#define NONE "none"
#define UNSATISFIABLE "unsatisfiable"

struct promise {
	const char *text;
	uint64_t size;
	const char *want;
};

static void describe(char *out, size_t size, const char *text, size_t n, uint64_t of)
{
	struct range ranges[RANGE_MAX];
	size_t count = 99, used = 0;
	enum range_result rc = range_parse(ranges, &count, text, n, of);

	snprintf(out, size, "%s", rc == RANGE_NONE ? NONE : UNSATISFIABLE);
	if (rc != RANGE_SOME) {
		assert_int_equal(count, 99);
		return;
	}
	assert_in_range(count, 1, RANGE_MAX);
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64 "-%" PRIu64,
					 i > 0 ? " " : "", ranges[i].first, ranges[i].last);
}

static void check(const struct promise *p)
{
	for (; p->text != NULL; p++) {
		char got[1024];

		describe(got, sizeof(got), p->text, strlen(p->text), p->size);
		if (strcmp(got, p->want) != 0)
			fail_msg("\"%s\" of %" PRIu64 ": %s instead of %s", p->text, p->size, got,
				 p->want);
	}
}

static void a_single_range_is_taken(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-499", 10000, "0-499" },
		{ "bytes=500-999", 10000, "500-999" },
		{ "bytes=0-0", 10000, "0-0" },
		{ "bytes=9999-9999", 10000, "9999-9999" },
		{ "bytes=9500-", 10000, "9500-9999" },
		{ "bytes=0-", 10000, "0-9999" },
		{ "bytes=0-9999", 10000, "0-9999" },
		{ "bytes=0-0", 1, "0-0" },
		{ "bytes=000-0005", 10, "0-5" },
		{ "BYTES=0-5", 10, "0-5" },
		{ "Bytes=0-5", 10, "0-5" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void a_suffix_counts_from_the_end(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=-500", 10000, "9500-9999" },
		{ "bytes=-1", 10000, "9999-9999" },
		{ "bytes=-10000", 10000, "0-9999" },
		{ "bytes=-10001", 10000, "0-9999" },
		{ "bytes=-0", 10000, UNSATISFIABLE },
		{ "bytes=-00", 10000, UNSATISFIABLE },
		{ "bytes=-1", 1, "0-0" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void ranges_are_clipped_to_the_size(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=5-10000", 10, "5-9" },
		{ "bytes=9-10", 10, "9-9" },
		{ "bytes=0-18446744073709551615", 10, "0-9" },
		{ "bytes=0-18446744073709551616", 10, "0-9" },
		{ "bytes=0-99999999999999999999999999999999999999", 10, "0-9" },
		{ "bytes=-99999999999999999999999999999999999999", 10, "0-9" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void what_lies_behind_the_end_is_unsatisfiable(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=10-", 10, UNSATISFIABLE },
		{ "bytes=10-20", 10, UNSATISFIABLE },
		{ "bytes=10-20,30-,-0", 10, UNSATISFIABLE },
		{ "bytes=9223372036854775807-", 10, UNSATISFIABLE },
		{ "bytes=9223372036854775808-", 10, UNSATISFIABLE },
		{ "bytes=18446744073709551615-", 10, UNSATISFIABLE },
		{ "bytes=18446744073709551616-", 10, UNSATISFIABLE },
		{ "bytes=36893488147419103232-36893488147419103233", 10, UNSATISFIABLE },
		{ "bytes=18446744073709551617-18446744073709551618", 10, UNSATISFIABLE },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void sizes_past_2_to_the_63_do_not_overflow(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-", UINT64_MAX, "0-18446744073709551614" },
		{ "bytes=-1", UINT64_MAX, "18446744073709551614-18446744073709551614" },
		{ "bytes=18446744073709551614-", UINT64_MAX,
		  "18446744073709551614-18446744073709551614" },
		{ "bytes=18446744073709551615-", UINT64_MAX, UNSATISFIABLE },
		{ "bytes=9223372036854775808-9223372036854775808", UINT64_MAX,
		  "9223372036854775808-9223372036854775808" },
		{ "bytes=0-,0-", UINT64_MAX, NONE },
		{ "bytes=0-9223372036854775807,0-9223372036854775807", UINT64_MAX, NONE },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void a_set_keeps_its_order_and_loses_the_unsatisfiable(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-0,-1", 10000, "0-0 9999-9999" },
		{ "bytes=-1,0-0", 10000, "9999-9999 0-0" },
		{ "bytes=500-600,601-999", 10000, "500-600 601-999" },
		{ "bytes=500-700,601-999", 10000, "500-700 601-999" },
		{ "bytes=10000-,0-0,20000-30000,-0,-1", 10000, "0-0 9999-9999" },
		{ "bytes=0-4,5-9", 10, "0-4 5-9" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void white_space_and_empty_elements_of_a_list_are_passed_over(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-0 , 2-2", 10, "0-0 2-2" }, { "bytes=0-0,\t2-2 ", 10, "0-0 2-2" },
		{ "bytes= 0-0", 10, "0-0" },          { "bytes=,0-0,,2-2,", 10, "0-0 2-2" },
		{ "bytes=, ,\t, 0-0", 10, "0-0" },    { NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void another_unit_is_ignored(void **state)
{
	static const struct promise promises[] = {
		{ "", 10, NONE },           { "bytes", 10, NONE },     { "byte=0-1", 10, NONE },
		{ "items=0-1", 10, NONE },  { "bytes 0-1", 10, NONE }, { "bytes =0-1", 10, NONE },
		{ " bytes=0-1", 10, NONE }, { "0-1", 10, NONE },       { "bytess=0-1", 10, NONE },
		{ "=0-1", 10, NONE },       { NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void bad_syntax_behind_the_unit_is_unsatisfiable(void **state)
{
	static const char *const bad[] = {
		"bytes=",
		"bytes=,",
		"bytes= ",
		"bytes=-",
		"bytes=--1",
		"bytes=1",
		"bytes=a-b",
		"bytes=0-b",
		"bytes=a-5",
		"bytes=0x0-5",
		"bytes=+0-5",
		"bytes=0-+5",
		"bytes=-+5",
		"bytes=0--5",
		"bytes=0- 5",
		"bytes=0 -5",
		"bytes=- 5",
		"bytes=5-4",
		"bytes=0-5;",
		"bytes=0-5 6-7",
		"bytes=0-5-7",
		"bytes=0-1/2",
		"bytes=*",
		"bytes=0-1,x",
		"bytes=0-1,5-4",
		"bytes=0-1,,-",
		"bytes=0.5-1",
		"bytes=1e1-20",
		"bytes=0-1\n",
		"bytes=\"0-1\"",
		"bytes==0-1",
		"bytes=0-1=",
		"bytes=0-1\x01",
		"bytes=\xd9\xa1-",
		"bytes=0-1,bytes=2-3",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check((const struct promise[]){ { bad[i], 1000, UNSATISFIABLE },
						{ NULL, 0, NULL } });
}

static void a_nul_is_bad_syntax(void **state)
{
	static const char text[] = "bytes=0-1\0,2-3";
	char got[1024];

	(void)state;
	describe(got, sizeof(got), text, sizeof(text) - 1, 10);
	assert_string_equal(got, UNSATISFIABLE);
	describe(got, sizeof(got), text, 9, 10);
	assert_string_equal(got, "0-1");
}

static void every_truncation_is_read_for_what_it_is(void **state)
{
	static const char text[] = "bytes=1-23, 45-67";
	static const char *const want[] = { NONE,          NONE,          NONE,
					    NONE,          NONE,          NONE,
					    UNSATISFIABLE, UNSATISFIABLE, "1-99",
					    "1-2",         "1-23",        "1-23",
					    "1-23",        UNSATISFIABLE, UNSATISFIABLE,
					    "1-23 45-99",  UNSATISFIABLE, "1-23 45-67" };

	(void)state;
	/* "45-" is open, and "45-6" ends before it begins. */
	for (size_t n = 0; n < sizeof(text); n++) {
		char got[1024];

		describe(got, sizeof(got), text, n, 100);
		assert_string_equal(got, want[n]);
	}
}

static void asking_for_more_than_the_whole_is_a_bomb(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-,0-", 10, NONE },
		{ "bytes=0-,0-0", 10, NONE },
		{ "bytes=0-5,4-9", 10, NONE },
		{ "bytes=-10,-1", 10, NONE },
		{ "bytes=0-4,5-9,0-0", 10, NONE },
		{ "bytes=0-100,0-100", 50, NONE },
		{ "bytes=0-4,5-9,10-", 10, "0-4 5-9" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

static void more_than_sixteen_ranges_are_a_bomb(void **state)
{
	char text[4096] = "bytes=0-0", got[1024];

	(void)state;
	for (int i = 1; i < RANGE_MAX; i++)
		strcat(text, ",0-0");
	describe(got, sizeof(got), text, strlen(text), 1000);
	assert_memory_equal(got, "0-0 0-0 0-0", 11);
	strcat(text, ",0-0");
	describe(got, sizeof(got), text, strlen(text), 1000);
	assert_string_equal(got, NONE);
	strcpy(text, "bytes=9999-");
	for (int i = 1; i <= RANGE_MAX; i++)
		strcat(text, ",9999-"); /* unsatisfiable ones count too */
	describe(got, sizeof(got), text, strlen(text), 1000);
	assert_string_equal(got, NONE);
}

static void nothing_has_no_bytes_to_ask_for(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-", 0, UNSATISFIABLE },
		{ "bytes=0-0", 0, UNSATISFIABLE },
		{ "bytes=-0", 0, UNSATISFIABLE },
		{ "bytes=5-9", 0, UNSATISFIABLE },
		/* RFC 9110 section 14.1.2: a suffix is satisfied by all there is, which is nothing.
		 */
		{ "bytes=-5", 0, NONE },
		{ "bytes=0-,-5", 0, NONE },
		{ "items=0-", 0, NONE },
		{ NULL, 0, NULL },
	};

	(void)state;
	check(promises);
}

/* ---- of what still grows (RFC 8673) ---- */

#define VERY_LARGE "9007199254740991"

/* "first-last", and "…" behind it where the last has not come. */
static void check_growing(const struct promise *p)
{
	for (; p->text != NULL; p++) {
		struct range r = { 7, 7 };
		bool open = true;
		enum range_result rc =
			range_parse_growing(&r, &open, p->text, strlen(p->text), p->size);
		char got[128];

		if (rc == RANGE_SOME)
			snprintf(got, sizeof(got), "%" PRIu64 "-%" PRIu64 "%s", r.first, r.last,
				 open ? "..." : "");
		else
			snprintf(got, sizeof(got), "%s", rc == RANGE_NONE ? NONE : UNSATISFIABLE);
		if (rc != RANGE_SOME)
			assert_int_equal(r.first, 7);
		if (strcmp(got, p->want) != 0)
			fail_msg("\"%s\" of %" PRIu64 " so far: %s instead of %s", p->text, p->size,
				 got, p->want);
	}
}

static void of_what_grows_a_range_that_is_there_is_closed(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=0-0", 100, "0-0" },
		{ "bytes=10-19", 100, "10-19" },
		{ "bytes=10-99", 100, "10-99" },
		{ "bytes=0-", 100, "0-99" },
		{ "BYTES=99-", 100, "99-99" },
		{ "bytes= , 5-6 ,", 100, "5-6" },
		{ NULL, 0, NULL },
	};

	(void)state;
	check_growing(promises);
}

static void of_what_grows_a_range_beyond_is_open(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=10-100", 100, "10-100..." },
		{ "bytes=100-100", 100, "100-100..." },
		{ "bytes=100-", 100, "100-" VERY_LARGE "..." },
		{ "bytes=0-", 0, "0-" VERY_LARGE "..." },
		{ "bytes=0-9", 0, "0-9..." },
		{ "bytes=7-" VERY_LARGE, 100, "7-" VERY_LARGE "..." },
		{ "bytes=7-99999999999999999999999", 100, "7-9223372036854775806..." },
		{ NULL, 0, NULL },
	};

	(void)state;
	check_growing(promises);
}

static void of_what_grows_nothing_behind_it_is_satisfiable(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=101-", 100, UNSATISFIABLE },
		{ "bytes=101-200", 100, UNSATISFIABLE },
		{ "bytes=1-", 0, UNSATISFIABLE },
		{ "bytes=99999999999999999999999-", 100, UNSATISFIABLE },
		{ "bytes=5-4", 100, UNSATISFIABLE },
		{ "bytes=", 100, UNSATISFIABLE },
		{ "bytes=x", 100, UNSATISFIABLE },
		{ "bytes=1", 100, UNSATISFIABLE },
		{ "bytes=1-2x", 100, UNSATISFIABLE },
		{ NULL, 0, NULL },
	};

	(void)state;
	check_growing(promises);
}

static void of_what_grows_the_end_and_sets_are_not_asked_for(void **state)
{
	static const struct promise promises[] = {
		{ "bytes=-5", 100, NONE },
		{ "bytes=, -5", 100, NONE },
		{ "bytes=0-1,3-4", 100, NONE },
		{ "bytes=0-,0-", 100, NONE },
		{ "lines=0-1", 100, NONE },
		{ "", 100, NONE },
		{ NULL, 0, NULL },
	};

	(void)state;
	check_growing(promises);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_range_is_taken),
		cmocka_unit_test(a_suffix_counts_from_the_end),
		cmocka_unit_test(ranges_are_clipped_to_the_size),
		cmocka_unit_test(what_lies_behind_the_end_is_unsatisfiable),
		cmocka_unit_test(sizes_past_2_to_the_63_do_not_overflow),
		cmocka_unit_test(a_set_keeps_its_order_and_loses_the_unsatisfiable),
		cmocka_unit_test(white_space_and_empty_elements_of_a_list_are_passed_over),
		cmocka_unit_test(another_unit_is_ignored),
		cmocka_unit_test(bad_syntax_behind_the_unit_is_unsatisfiable),
		cmocka_unit_test(a_nul_is_bad_syntax),
		cmocka_unit_test(every_truncation_is_read_for_what_it_is),
		cmocka_unit_test(asking_for_more_than_the_whole_is_a_bomb),
		cmocka_unit_test(more_than_sixteen_ranges_are_a_bomb),
		cmocka_unit_test(nothing_has_no_bytes_to_ask_for),
		cmocka_unit_test(of_what_grows_a_range_that_is_there_is_closed),
		cmocka_unit_test(of_what_grows_a_range_beyond_is_open),
		cmocka_unit_test(of_what_grows_nothing_behind_it_is_satisfiable),
		cmocka_unit_test(of_what_grows_the_end_and_sets_are_not_asked_for),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
