#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/etag.h"

#define TAG "\"abc\""

static bool has(const char *text, enum etag_compare how)
{
	return etag_list_has(text, strlen(text), TAG, how);
}

static void check(const char *const *texts, bool strong, bool weak)
{
	for (; *texts != NULL; texts++) {
		if (has(*texts, ETAG_STRONG) != strong || has(*texts, ETAG_WEAK) != weak)
			fail_msg("not as promised: %s", *texts);
	}
}

static void a_strong_tag_matches_both_ways(void **state)
{
	static const char *const lists[] = { "\"abc\"",
					     " \"abc\"\t",
					     "\"x\", \"abc\"",
					     "\"abc\",\"x\"",
					     "\"\" , \"abc\" , W/\"abc\"",
					     "W/\"abc\", \"abc\"",
					     ",, \"abc\",",
					     "\"x,y\", \"abc\"",
					     "\"\xc3\xa9!#~\", \"abc\"",
					     NULL };

	(void)state;
	check(lists, true, true);
}

static void a_weak_tag_matches_weakly_only(void **state)
{
	static const char *const lists[] = { "W/\"abc\"", "\"x\", W/\"abc\"", "W/\"abc\",\"x\"",
					     NULL };

	(void)state;
	check(lists, false, true);
}

static void a_star_holds_every_tag(void **state)
{
	static const char *const stars[] = { "*", " *", "* ", NULL };

	(void)state;
	check(stars, true, true);
}

static void another_tag_does_not_match(void **state)
{
	static const char *const lists[] = { "\"abcd\"",     "\"ab\"",    "\"ABC\"",  "\"\"",
					     "\"x\", \"y\"", "W/\"x\"",   "\"*\"",    "\" abc\"",
					     "\"abc\\\"",    "\"W/abc\"", "\"xabc\"", NULL };

	(void)state;
	check(lists, false, false);
}

static void a_list_that_is_not_well_formed_holds_none(void **state)
{
	static const char *const lists[] = { "",
					     " ",
					     ",",
					     "abc",
					     "\"abc",
					     "abc\"",
					     "'abc'",
					     "w/\"abc\"",
					     "W\"abc\"",
					     "W/ \"abc\"",
					     "W/abc",
					     "W/",
					     "W",
					     "\"abc\" \"x\"",
					     "\"abc\"\"x\"",
					     "\"abc\";q=1",
					     "\"abc\", x",
					     "\"abc\", \"x",
					     "\"abc\", *",
					     "*, \"abc\"",
					     "**",
					     "* *",
					     "\"abc\", \"a\"b\"",
					     "\"abc\", \"a b\"",
					     "\"abc\", \"a\tb\"",
					     "\"abc\", \"\x7f\"",
					     "\"abc\"\n",
					     "\"abc\", W",
					     NULL };

	(void)state;
	check(lists, false, false);
}

static void no_truncation_matches(void **state)
{
	static const char text[] = "W/\"x\", \"abc\"";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_false(etag_list_has(text, n, TAG, ETAG_WEAK));
	assert_true(etag_list_has(text, sizeof(text) - 1, TAG, ETAG_WEAK));
}

static void a_nul_spoils_the_list(void **state)
{
	(void)state;
	assert_false(etag_list_has("\"abc\"\0", 6, TAG, ETAG_WEAK));
	assert_false(etag_list_has("\"abc\", \"\0\"", 10, TAG, ETAG_WEAK));
	assert_false(etag_list_has("*\0", 2, TAG, ETAG_WEAK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_strong_tag_matches_both_ways),
		cmocka_unit_test(a_weak_tag_matches_weakly_only),
		cmocka_unit_test(a_star_holds_every_tag),
		cmocka_unit_test(another_tag_does_not_match),
		cmocka_unit_test(a_list_that_is_not_well_formed_holds_none),
		cmocka_unit_test(no_truncation_matches),
		cmocka_unit_test(a_nul_spoils_the_list),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
