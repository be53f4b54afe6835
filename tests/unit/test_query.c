#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/query.h"

static enum err_code parse(struct query *q, const char *text)
{
	return query_parse(q, text, strlen(text));
}

/* Is refused with rc, and out is as it was. */
static void check_refused(const char *text, size_t n, enum err_code rc)
{
	static struct query q, before;

	memset(&q, 0xa5, sizeof(q));
	before = q;
	if (query_parse(&q, text, n) != rc)
		fail_msg("not refused as promised: %.*s", (int)n, text);
	assert_memory_equal(&q, &before, sizeof(q));
}

static void pairs_are_read_in_order(void **state)
{
	struct query q;

	(void)state;
	assert_int_equal(parse(&q, "kind=photo&ttl=7d&recipients=3"), ERR_OK);
	assert_int_equal(q.count, 3);
	assert_string_equal(q.pairs[0].name, "kind");
	assert_string_equal(q.pairs[2].value, "3");
	assert_string_equal(query_get(&q, "kind"), "photo");
	assert_string_equal(query_get(&q, "ttl"), "7d");
	assert_null(query_get(&q, "Kind"));
	assert_null(query_get(&q, "kin"));
	assert_null(query_get(&q, ""));
}

static void nothing_is_no_pairs(void **state)
{
	struct query q;

	(void)state;
	assert_int_equal(parse(&q, ""), ERR_OK);
	assert_int_equal(q.count, 0);
	assert_null(query_get(&q, "kind"));
	assert_int_equal(query_parse(&q, NULL, 0), ERR_OK);
}

static void escapes_are_decoded_and_a_plus_is_a_plus(void **state)
{
	struct query q;

	(void)state;
	assert_int_equal(parse(&q, "%6bind=a%20b%26c%3Dd%25&x=1+1&y=&z=a=b&u=%c3%A9"), ERR_OK);
	assert_string_equal(query_get(&q, "kind"), "a b&c=d%");
	assert_string_equal(query_get(&q, "x"), "1+1");
	assert_string_equal(query_get(&q, "y"), "");
	assert_string_equal(query_get(&q, "z"), "a=b");
	assert_string_equal(query_get(&q, "u"), "\xc3\xa9");
}

static void what_the_rfc_allows_needs_no_escape(void **state)
{
	struct query q;

	(void)state;
	assert_int_equal(parse(&q, "a=-._~!$'()*+,;=:@/?Az09"), ERR_OK);
	assert_string_equal(query_get(&q, "a"), "-._~!$'()*+,;=:@/?Az09");
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"a",      "&",          "a=1&",     "&a=1",   "a=1&&b=2", "=",       "=1",
		"a=1&=2", "a=%",        "a=%4",     "a=%zz",  "a=%4g",    "a=%g4",   "a=%%41",
		"a=% 41", "a=%-1",      "a=%4&b=1", "%=1",    "%4=1",     "a=%00",   "a=%0a",
		"a=%0D",  "a=%1f",      "a=%7F",    "%00a=1", "a=%09",    "a=1&a=2", "a=1&%61=2",
		"a&b=1",  "a=1&b",      "a=b c",    "a=\"",   "a=<",      "a=#",     "a=[",
		"a=\\",   "a=^",        "a=`",      "a={",    "a=|",      "a=\n",    "a=\x01",
		"a=\x7f", "a=\xc3\xa9", " a=1",     "a =1",   NULL,
	};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		check_refused(bad[i], strlen(bad[i]), ERR_INVALID);
	check_refused("a=\0", 3, ERR_INVALID);
	check_refused("a\0b=1", 5, ERR_INVALID);
}

static void the_length_counts_and_not_what_stands_behind(void **state)
{
	struct query q;

	(void)state;
	assert_int_equal(query_parse(&q, "a=%41", 2), ERR_OK);
	assert_string_equal(query_get(&q, "a"), "");
	check_refused("a=%41", 3, ERR_INVALID);
	check_refused("a=%41", 4, ERR_INVALID);
}

static size_t many_pairs(char *out, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += (size_t)sprintf(out + n, "%sn%d=v", i > 0 ? "&" : "", i);
	return n;
}

static void the_seventeenth_pair_is_too_many(void **state)
{
	struct query q;
	char text[512];
	size_t n;

	(void)state;
	n = many_pairs(text, QUERY_PAIRS_MAX);
	assert_int_equal(query_parse(&q, text, n), ERR_OK);
	assert_int_equal(q.count, QUERY_PAIRS_MAX);
	assert_string_equal(query_get(&q, "n15"), "v");
	check_refused(text, many_pairs(text, QUERY_PAIRS_MAX + 1), ERR_TOOBIG);
}

static void names_and_values_have_a_longest(void **state)
{
	char text[2000];
	struct query q;

	(void)state;
	memset(text, 'n', sizeof(text));
	text[31] = '=';
	memset(text + 32, 'v', QUERY_VALUE_MAX + 1);
	assert_int_equal(query_parse(&q, text, 32 + QUERY_VALUE_MAX), ERR_OK);
	assert_int_equal(strlen(q.pairs[0].name), 31);
	assert_int_equal(strlen(q.pairs[0].value), QUERY_VALUE_MAX);
	check_refused(text, 32 + QUERY_VALUE_MAX + 1, ERR_TOOBIG);
	text[31] = 'n';
	text[32] = '=';
	check_refused(text, 34, ERR_TOOBIG);
}

static void lengths_are_of_what_is_decoded(void **state)
{
	char text[8 + QUERY_VALUE_MAX * 3] = "a=";
	struct query q;

	(void)state;
	for (int i = 0; i < QUERY_VALUE_MAX; i++)
		strcat(text, "%41");
	assert_int_equal(parse(&q, text), ERR_OK);
	assert_int_equal(strlen(query_get(&q, "a")), QUERY_VALUE_MAX);
	strcat(text, "%41");
	check_refused(text, strlen(text), ERR_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_read_in_order),
		cmocka_unit_test(nothing_is_no_pairs),
		cmocka_unit_test(escapes_are_decoded_and_a_plus_is_a_plus),
		cmocka_unit_test(what_the_rfc_allows_needs_no_escape),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(the_length_counts_and_not_what_stands_behind),
		cmocka_unit_test(the_seventeenth_pair_is_too_many),
		cmocka_unit_test(names_and_values_have_a_longest),
		cmocka_unit_test(lengths_are_of_what_is_decoded),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
