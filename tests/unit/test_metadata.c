#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/metadata.h"

static enum err_code parse(struct metadata *m, const char *text)
{
	return metadata_parse(m, text, strlen(text));
}

/* Is refused with rc, and out is as it was. From memory of just that size, for the sanitizers. */
static void check_refused(const char *text, size_t n, enum err_code rc)
{
	static struct metadata m, before;
	char *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, text, n);
	memset(&m, 0xa5, sizeof(m));
	before = m;
	if (metadata_parse(&m, copy, n) != rc)
		fail_msg("not refused as promised: '%.*s'", (int)n, text);
	assert_memory_equal(&m, &before, sizeof(m));
	free(copy);
}

static void check_value(const struct metadata *m, const char *key, const char *want)
{
	char value[64];
	bool there = false;

	if (!metadata_get(m, key, value, sizeof(value), &there) || strcmp(value, want) != 0)
		fail_msg("not the value promised: %s", key);
	assert_true(there);
}

static void check_pair(const struct metadata_pair *p, const char *key, const char *value)
{
	assert_int_equal(p->key_len, strlen(key));
	assert_memory_equal(p->key, key, p->key_len);
	assert_int_equal(p->value_len, strlen(value));
	assert_memory_equal(p->value, value, p->value_len);
}

/* The example of tus 1.0.0. */
static void pairs_are_views_in_the_order_sent(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential"),
			 ERR_OK);
	assert_int_equal(m.count, 2);
	check_pair(&m.pairs[0], "filename", "d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==");
	check_pair(&m.pairs[1], "is_confidential", "");
	check_value(&m, "filename", "world_domination_plan.pdf");
	check_value(&m, "is_confidential", "");
}

static void nothing_is_no_pairs(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, ""), ERR_OK);
	assert_int_equal(m.count, 0);
	assert_int_equal(metadata_parse(&m, NULL, 0), ERR_OK);
	assert_int_equal(m.count, 0);
}

static void an_empty_value_may_leave_its_space_out(void **state)
{
	static const char *const good[] = { "a,b QQ==", "a ,b QQ==", "a,  b QQ==",  "a  , b QQ==",
					    "b QQ==,a", "b QQ==,a ", "b QQ== , a ", NULL };

	(void)state;
	for (size_t i = 0; good[i] != NULL; i++) {
		struct metadata m;

		if (parse(&m, good[i]) != ERR_OK)
			fail_msg("refused: '%s'", good[i]);
		assert_int_equal(m.count, 2);
		check_value(&m, "a", "");
		check_value(&m, "b", "A");
	}
}

static void spaces_around_a_comma_are_taken(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, "a QQ== , b Qg==,  c Qw==   ,d RA=="), ERR_OK);
	assert_int_equal(m.count, 4);
	check_value(&m, "a", "A");
	check_value(&m, "b", "B");
	check_value(&m, "c", "C");
	check_value(&m, "d", "D");
}

static void keys_are_any_printable_ascii(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~ QQ==,key Qg==,Key Qw=="),
			 ERR_OK);
	check_value(&m, "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", "A");
	check_value(&m, "key", "B");
	check_value(&m, "Key", "C");
}

static void a_key_is_found_whole_or_not_at_all(void **state)
{
	struct metadata m;
	char value[8];
	bool there = true;

	(void)state;
	assert_int_equal(parse(&m, "name QQ=="), ERR_OK);
	assert_false(metadata_get(&m, "nam", value, sizeof(value), &there));
	assert_false(there);
	assert_false(metadata_get(&m, "names", value, sizeof(value), NULL));
	assert_false(metadata_get(&m, "NAME", value, sizeof(value), NULL));
	assert_false(metadata_get(&m, "", value, sizeof(value), NULL));
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		/* keys */
		" ",
		"  ",
		" QQ==",
		" a",
		" a QQ==",

		"\xc3\xa9 QQ==",
		"a\xff",
		"a\tQQ==",
		"\ta",
		"a\t",
		"a\x7f",
		"a\x01 QQ==",
		"a\n",
		"a\r\n",
		/* twice */
		"a,a",
		"a QQ==,a QQ==",
		"a,b,c,a Qg==",
		"a ,a",
		/* commas */
		",",
		",,",
		" ,",
		", ",
		"a,",
		"a QQ==,",
		"a QQ==, ",
		"a QQ== ,",
		",a",
		" , a",
		"a,,b",
		"a QQ==,,b",
		"a, ,b",
		"a;b QQ==,",
		/* spaces */
		"a  QQ==",
		"a  ",
		"a QQ== ",
		"a QQ==  ",
		"a QQ== QQ==",
		"a QQ== b",
		"a,\tb",
		"a\t,b",
		/* base64 */
		"a Q",
		"a QQ",
		"a QQ=",
		"a QQQ",
		"a QQQQQ",
		"a =",
		"a ==",
		"a ====",
		"a Q===",
		"a QQ==QQ==",
		"a QQ=Q",
		"a QQ==QQQQ",
		"a QQ_=",
		"a QQ-=",
		"a __==",
		"a QQ*=",
		"a QR==",
		"a QUJ=",
		"a Q\xc3\xa9=",
		"a \xc3\xa9\xc3\xa9",
		"a Q\nQ=",
		"a QQ==\n",
		"a QQ%3D%3D",
		"a \"QQ==\"",
		NULL,
	};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		check_refused(bad[i], strlen(bad[i]), ERR_INVALID);
	check_refused("a\0", 2, ERR_INVALID);
	check_refused("\0 QQ==", 6, ERR_INVALID);
	check_refused("a QQ=\0", 6, ERR_INVALID);
}

static void the_length_counts_and_not_what_stands_behind(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(metadata_parse(&m, "ab QUJD,c", 7), ERR_OK);
	assert_int_equal(m.count, 1);
	check_value(&m, "ab", "ABC");
	assert_int_equal(metadata_parse(&m, "ab QUJD", 3), ERR_OK);
	check_value(&m, "ab", "");
	check_refused("ab QUJD", 5, ERR_INVALID);
	check_refused("ab QUJD,c", 8, ERR_INVALID);
}

/* Base64 is looked at in pieces, and every length around their ends is read. */
static void values_of_every_length_are_read(void **state)
{
	uint8_t raw[200];
	char text[300] = "k ", value[201];

	(void)state;
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 7 + 1) == 0 ? 1 : (uint8_t)(i * 7 + 1);
	for (size_t n = 0; n <= sizeof(raw); n++) {
		struct metadata m;

		sodium_bin2base64(text + 2, sizeof(text) - 2, raw, n,
				  sodium_base64_VARIANT_ORIGINAL);
		assert_int_equal(parse(&m, text), ERR_OK);
		assert_true(metadata_get(&m, "k", value, n + 1, NULL));
		assert_memory_equal(value, raw, n);
		assert_int_equal(value[n], '\0');
	}
}

static void padding_within_a_long_value_is_refused(void **state)
{
	char text[2 + 256] = "k ";

	(void)state;
	memset(text + 2, 'Q', 256);
	for (size_t at = 0; at + 4 < 256; at += 4) {
		memcpy(text + 2 + at, "QQ==", 4);
		check_refused(text, sizeof(text), ERR_INVALID);
		memcpy(text + 2 + at, "QUI=", 4);
		check_refused(text, sizeof(text), ERR_INVALID);
		memcpy(text + 2 + at, "QQQQ", 4);
	}
}

static void a_value_is_got_only_if_it_fits(void **state)
{
	static const char *const abc[] = { "k QUJD", "k QUI=", "k QQ==", "k" };
	char value[8];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		size_t len = 3 - i;
		struct metadata m;
		bool there = false;

		assert_int_equal(parse(&m, abc[i]), ERR_OK);
		memset(value, 'x', sizeof(value));
		assert_true(metadata_get(&m, "k", value, len + 1, &there));
		assert_true(there);
		assert_int_equal(strlen(value), len);
		assert_int_equal(value[len + 1], 'x');
		there = false;
		assert_true(len == 0 || !metadata_get(&m, "k", value, len, &there));
		assert_true(there || len == 0);
	}
}

static void a_value_with_a_nul_is_not_got(void **state)
{
	static const char *const nul[] = { "k AA==", "k QQA=", "k AEE=", "k QQBC", NULL };
	char value[8];

	(void)state;
	for (size_t i = 0; nul[i] != NULL; i++) {
		struct metadata m;
		bool there = false;

		assert_int_equal(parse(&m, nul[i]), ERR_OK);
		assert_false(metadata_get(&m, "k", value, sizeof(value), &there));
		assert_true(there);
		assert_false(metadata_get(&m, "k", value, sizeof(value), NULL));
	}
}

static size_t many_pairs(char *out, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += (size_t)sprintf(out + n, "%sk%d QQ==", i > 0 ? "," : "", i);
	return n;
}

static void the_65th_pair_is_too_many(void **state)
{
	struct metadata m;
	char text[1024];
	size_t n;

	(void)state;
	n = many_pairs(text, METADATA_PAIRS_MAX);
	assert_int_equal(metadata_parse(&m, text, n), ERR_OK);
	assert_int_equal(m.count, METADATA_PAIRS_MAX);
	check_value(&m, "k63", "A");
	check_refused(text, many_pairs(text, METADATA_PAIRS_MAX + 1), ERR_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_views_in_the_order_sent),
		cmocka_unit_test(nothing_is_no_pairs),
		cmocka_unit_test(an_empty_value_may_leave_its_space_out),
		cmocka_unit_test(spaces_around_a_comma_are_taken),
		cmocka_unit_test(keys_are_any_printable_ascii),
		cmocka_unit_test(a_key_is_found_whole_or_not_at_all),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(the_length_counts_and_not_what_stands_behind),
		cmocka_unit_test(values_of_every_length_are_read),
		cmocka_unit_test(padding_within_a_long_value_is_refused),
		cmocka_unit_test(a_value_is_got_only_if_it_fits),
		cmocka_unit_test(a_value_with_a_nul_is_not_got),
		cmocka_unit_test(the_65th_pair_is_too_many),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
