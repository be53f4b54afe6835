#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/num.h"

typedef bool reader(const char *text, size_t n, uint64_t max, uint64_t *out);

struct good {
	const char *text;
	uint64_t value;
};

static void check_read(reader *read, const struct good *good)
{
	for (; good->text != NULL; good++) {
		uint64_t v = 99;

		if (!read(good->text, strlen(good->text), UINT64_MAX, &v))
			fail_msg("\"%s\" was refused", good->text);
		assert_int_equal(v, good->value);
	}
}

static void check_refused(reader *read, const char *const *texts)
{
	for (; *texts != NULL; texts++) {
		uint64_t v = 99;

		if (read(*texts, strlen(*texts), UINT64_MAX, &v))
			fail_msg("\"%s\" was taken", *texts);
		assert_int_equal(v, 99);
	}
}

/* What no reader takes. */
static const char *const never[] = { "",
				     " ",
				     "+1",
				     "-1",
				     "-0",
				     " 1",
				     "1 ",
				     "\t1",
				     "1\n",
				     "01",
				     "00",
				     "0x1",
				     "1e3",
				     "1.0",
				     "1,0",
				     "1_000",
				     "abc",
				     "k",
				     "s",
				     "-",
				     "+",
				     "1-",
				     "1+",
				     "\xef\xbc\x91",
				     "1\xa0",
				     "٣",
				     "18446744073709551616",
				     "18446744073709551620",
				     "99999999999999999999",
				     "340282366920938463463374607431768211456",
				     NULL };

static void digits_are_a_number(void **state)
{
	static const struct good good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "10", 10 },
		{ "4294967296", UINT64_C(4294967296) },
		{ "9223372036854775808", UINT64_C(1) << 63 },
		{ "18446744073709551609", UINT64_MAX - 6 },
		{ "18446744073709551615", UINT64_MAX },
		{ NULL, 0 },
	};

	(void)state;
	check_read(num_u64, good);
}

static void anything_else_is_none(void **state)
{
	static const char *const units[] = { "1k", "1s", "1b", "1K", NULL };

	(void)state;
	check_refused(num_u64, never);
	check_refused(num_u64, units);
	check_refused(num_size, never);
	check_refused(num_duration, never);
}

static void more_than_the_maximum_is_refused(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_true(num_u64("100", 3, 100, &v));
	assert_int_equal(v, 100);
	v = 99;
	assert_false(num_u64("101", 3, 100, &v));
	assert_true(num_u64("0", 1, 0, &v));
	v = 99;
	assert_false(num_u64("1", 1, 0, &v));
	assert_false(num_size("1k", 2, 1023, &v));
	assert_false(num_duration("1min", 4, 59, &v));
	assert_int_equal(v, 99);
	assert_true(num_size("1k", 2, 1024, &v));
	assert_true(num_size("1k", 2, 2047, &v));
	assert_true(num_duration("1min", 4, 60, &v));
}

static void the_length_counts_and_not_a_nul(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_true(num_u64("123", 2, UINT64_MAX, &v));
	assert_int_equal(v, 12);
	assert_false(num_u64("1\0", 2, UINT64_MAX, &v));
	assert_false(num_size("1k\0", 3, UINT64_MAX, &v));
	assert_false(num_size("1\0", 2, UINT64_MAX, &v));
	assert_false(num_duration("1\0h", 3, UINT64_MAX, &v));
	assert_false(num_u64(NULL, 0, UINT64_MAX, &v));
	assert_false(num_size(NULL, 0, UINT64_MAX, &v));
}

static void sizes_have_units_in_either_case(void **state)
{
	static const struct good good[] = {
		{ "0", 0 },
		{ "0tb", 0 },
		{ "7", 7 },
		{ "7b", 7 },
		{ "7B", 7 },
		{ "64k", 65536 },
		{ "64KB", 65536 },
		{ "64Kb", 65536 },
		{ "64m", UINT64_C(64) << 20 },
		{ "64mb", UINT64_C(64) << 20 },
		{ "2g", UINT64_C(2) << 30 },
		{ "2GB", UINT64_C(2) << 30 },
		{ "3t", UINT64_C(3) << 40 },
		{ "16777215tB", UINT64_C(16777215) << 40 },
		{ NULL, 0 },
	};
	static const char *const bad[] = {
		"1kib", "1 k", "1k ", "1kk",  "1p",  "1bk",       "1kbb",
		"1min", "01k", "k1",  "1.5m", "-1k", "16777216t", "99999999999999999999k",
		NULL
	};

	(void)state;
	check_read(num_size, good);
	check_refused(num_size, bad);
}

static void durations_have_units(void **state)
{
	static const struct good good[] = {
		{ "0", 0 },       { "3600", 3600 }, { "30s", 30 },        { "15min", 900 },
		{ "24h", 86400 }, { "7d", 604800 }, { "2w", 2 * 604800 }, { NULL, 0 },
	};
	static const char *const bad[] = {
		"1m",   "1y",    "1H",  "1MIN", "1 h", "1h ", "1hs",
		"1h30", "1mins", "-7d", "07d",  "1ms", "h",   "30500568904944w",
		NULL
	};

	(void)state;
	check_read(num_duration, good);
	check_refused(num_duration, bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_are_a_number),
		cmocka_unit_test(anything_else_is_none),
		cmocka_unit_test(more_than_the_maximum_is_refused),
		cmocka_unit_test(the_length_counts_and_not_a_nul),
		cmocka_unit_test(sizes_have_units_in_either_case),
		cmocka_unit_test(durations_have_units),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
