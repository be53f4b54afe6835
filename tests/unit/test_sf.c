#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/sf.h"

#define UNTOUCHED UINT64_C(0xa5a5a5a5a5a5a5a5)

static void check_integer(const char *text, uint64_t want)
{
	uint64_t v = UNTOUCHED;

	if (!sf_unsigned(&v, text, strlen(text)) || v != want)
		fail_msg("not read as promised: '%s'", text);
}

static void check_truth(const char *text, bool want)
{
	bool v = !want;

	if (!sf_boolean(&v, text, strlen(text)) || v != want)
		fail_msg("not read as promised: '%s'", text);
}

/* Is neither, and out is as it was. From memory of just that size, for the sanitizers. */
static void check_neither(const char *text, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);
	uint64_t v = UNTOUCHED;
	bool truth = true, lie = false;

	assert_non_null(copy);
	memcpy(copy, text, n);
	if (sf_unsigned(&v, copy, n) || sf_boolean(&truth, copy, n) || sf_boolean(&lie, copy, n))
		fail_msg("not refused: '%.*s'", (int)n, text);
	assert_true(v == UNTOUCHED && truth && !lie);
	free(copy);
}

static void booleans_are_read(void **state)
{
	(void)state;
	check_truth("?1", true);
	check_truth("?0", false);
}

static void integers_are_read_up_to_15_digits(void **state)
{
	(void)state;
	check_integer("0", 0);
	check_integer("7", 7);
	check_integer("1234567890", 1234567890);
	check_integer("100000000000000", UINT64_C(100000000000000));
	check_integer("999999999999999", UINT64_C(999999999999999));
	check_neither("1000000000000000", 16);
	check_neither("0000000000000001", 16);
}

/* RFC 9651 section 3.3.1: allowed, but not to be told apart. */
static void leading_zeroes_and_a_negative_zero_mean_nothing(void **state)
{
	(void)state;
	check_integer("05", 5);
	check_integer("00", 0);
	check_integer("000000000000001", 1);
	check_integer("-0", 0);
	check_integer("-000", 0);
	check_neither("-01", 3);
}

static void an_item_of_another_type_is_refused(void **state)
{
	uint64_t v = UNTOUCHED;
	bool b = true;

	(void)state;
	assert_false(sf_unsigned(&v, "?1", 2));
	assert_false(sf_boolean(&b, "0", 1));
	assert_true(v == UNTOUCHED && b);
}

static void parameters_are_passed_over(void **state)
{
	static const char *const good[] = {
		";a",
		";a=b",
		";a=1;b=?0",
		"; a=1;   b=\"x;y\\\"\\\\\"",
		";*=tok/en:*",
		";a-b_c.d*1=:AAAA:",
		";a=-1.5;a=@1659578233;a=%\"f%c3%bc\"",
		";a;a;a",
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		check_integer(strcat(strcpy(text, "12"), good[i]), 12);
		check_truth(strcat(strcpy(text, "?1"), good[i]), true);
		check_truth(strcat(strcpy(text, "?0"), good[i]), false);
	}
}

static void bad_parameters_spoil_the_item(void **state)
{
	static const char *const bad[] = { ";",       "; ",          ";=1",         ";A",
					   ";a=",     ";a=(1)",      ";a;",         " ;a",
					   ";a =1",   ";a= 1",       ";1=1",        ";a=\"",
					   ";a=?2",   ";a=:",        ";\ta=1",      ";a=1,b",
					   ";a=:A-:", ";a=+1",       ";a=%\"%C3\"", ";a=@1.0",
					   ";a=1.",   ";-a",         ";a=1 ;",      ";a==1",
					   ";a=\n",   ";a=\xc3\xa9", ";\xc3\xa9=1" };
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcat(strcpy(text, "12"), bad[i]);
		check_neither(text, strlen(text));
		strcat(strcpy(text, "?1"), bad[i]);
		check_neither(text, strlen(text));
	}
}

/* Section 4.2 discards spaces at both ends, and nothing else. */
static void spaces_at_the_ends_are_taken(void **state)
{
	(void)state;
	check_integer("  12", 12);
	check_integer("12  ", 12);
	check_integer(" 12;a=1 ", 12);
	check_truth("   ?1 ", true);
	check_truth("?0;a ", false);
}

static void what_is_no_such_item_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"+5",
		"+0",
		"-",
		"-1",
		"--1",
		"- 1",
		"1-",
		"1 2",
		"1,2",
		"1,",
		",1",
		"1.0",
		"1.",
		".1",
		"1e3",
		"0x10",
		"ff",
		"5b",
		"\t5",
		"5\t",
		"5\n",
		"5\r\n",
		"\"5\"",
		"(5)",
		"(?1)",
		"()",
		":AA:",
		"@5",
		"%\"5\"",
		"five",
		"*",
		"true",
		"TRUE",
		"true;a",
		"1;A=1",
		"?",
		"??1",
		"?2",
		"?10",
		"?01",
		"? 1",
		"? 0",
		"?1?1",
		"?1 1",
		"?1, ?1",
		"?1,",
		"?t",
		"?T",
		"?true",
		"?-1",
		"?1.0",
		"!1",
		"\xc2\xa0"
		"5",
		"5\xc2\xa0",
		"\xd9\xa1",
		"5\x7f",
		"?\xb1",
		"_",
		"5_000",
		NULL,
	};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		check_neither(bad[i], strlen(bad[i]));
}

static void the_length_counts_and_not_what_stands_behind(void **state)
{
	uint64_t v;
	bool b;

	(void)state;
	assert_true(sf_unsigned(&v, "123", 2));
	assert_int_equal(v, 12);
	assert_true(sf_boolean(&b, "?1x", 2));
	check_neither("?1", 1);
	check_neither("5", 0);
	check_neither("5\0", 2);
	check_neither("\0", 1);
	check_neither("?\0", 2);
	check_neither("?1\0", 3);
	check_neither("1;a\0", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(booleans_are_read),
		cmocka_unit_test(integers_are_read_up_to_15_digits),
		cmocka_unit_test(leading_zeroes_and_a_negative_zero_mean_nothing),
		cmocka_unit_test(an_item_of_another_type_is_refused),
		cmocka_unit_test(parameters_are_passed_over),
		cmocka_unit_test(bad_parameters_spoil_the_item),
		cmocka_unit_test(spaces_at_the_ends_are_taken),
		cmocka_unit_test(what_is_no_such_item_is_refused),
		cmocka_unit_test(the_length_counts_and_not_what_stands_behind),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
