/* key - keys and their text, the sizes that padding gives, and what both are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/seal/bech32.h"
#include "client/seal/hkdf.h"
#include "restante/seal.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- text ---- */

/* The first is the one that the specification shows (32 bytes of 0x42); the others
 * were computed by another program. */
static const struct {
	const char *hex, *text;
} keys[] = {
	{ "4242424242424242424242424242424242424242424242424242424242424242",
	  "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
	  "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ8H00W3" },
	{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	  "AGE-SECRET-KEY-1LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLS9FV78X" },
	{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG" },
};
#define KEY_TEXT keys[0].text

static enum restante_code parse(const char *text, struct restante_error *e)
{
	uint8_t key[RESTANTE_KEY_SIZE];

	return restante_key_parse(key, text, strlen(text), e);
}

static void a_key_has_the_text_that_age_gives_it(void **state)
{
	char text[RESTANTE_KEY_TEXT_SIZE];
	uint8_t key[RESTANTE_KEY_SIZE], expected[RESTANTE_KEY_SIZE];
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		assert_true(hex_decode(expected, 32, &n, keys[i].hex, strlen(keys[i].hex)));
		restante_key_format(text, expected);
		assert_string_equal(text, keys[i].text);
		assert_int_equal(restante_key_parse(key, text, strlen(text), NULL), RESTANTE_OK);
		assert_memory_equal(key, expected, sizeof(key));
	}
}

static void without_a_key_there_is_no_text(void **state)
{
	char text[RESTANTE_KEY_TEXT_SIZE] = "before";
	const uint8_t key[RESTANTE_KEY_SIZE] = { 1 };

	(void)state;
	restante_key_format(NULL, key);
	restante_key_format(text, NULL);
	assert_string_equal(text, "");
}

static void new_keys_differ_and_survive_their_text(void **state)
{
	char text[RESTANTE_KEY_TEXT_SIZE];
	uint8_t a[RESTANTE_KEY_SIZE], b[RESTANTE_KEY_SIZE];

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(restante_key_new(a, NULL), RESTANTE_OK);
		assert_int_equal(restante_key_new(b, NULL), RESTANTE_OK);
		assert_memory_not_equal(a, b, sizeof(a));
		restante_key_format(text, a);
		assert_int_equal(strlen(text), RESTANTE_KEY_TEXT_SIZE - 1);
		assert_int_equal(restante_key_parse(b, text, strlen(text), NULL), RESTANTE_OK);
		assert_memory_equal(a, b, sizeof(a));
	}
}

static void no_single_letter_can_be_wrong(void **state)
{
	static const char others[] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7Lqpzl1BIO-_ \n\x80\xff";
	char text[RESTANTE_KEY_TEXT_SIZE];
	uint8_t key[RESTANTE_KEY_SIZE] = { 1, 2, 3 };

	(void)state;
	memcpy(text, KEY_TEXT, sizeof(text));
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		for (size_t k = 0; k < sizeof(others); k++) { /* its NUL as well */
			if (text[i] == others[k])
				continue;
			text[i] = others[k];
			assert_int_equal(restante_key_parse(key, text, sizeof(text) - 1, NULL),
					 RESTANTE_INVALID);
			text[i] = KEY_TEXT[i];
		}
	assert_int_equal(key[0] + key[1] + key[2] + key[31], 6); /* as it was */
}

static void no_other_spelling_is_taken(void **state)
{
	static const char *const texts[] = {
		"",
		"AGE-SECRET-KEY-1",
		/* lower case, mixed case */
		"age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex",
		"AGE-SECRET-KEY-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEx",
		/* something around it, or something missing */
		" AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAE",
		/* right checksums: a bit behind the end, 31 bytes, 33 bytes, Bech32m */
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPPG0UGY5",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGGEGVYQK",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYYS582C",
		"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQQ9C3UY",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(parse(texts[i], NULL), RESTANTE_INVALID);
	assert_int_equal(restante_key_parse(NULL, "", 0, NULL), RESTANTE_MISUSE);
}

static void what_is_no_key_is_named_and_never_told(void **state)
{
	struct restante_error e;

	(void)state;
	assert_int_equal(
		parse("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", &e),
		RESTANTE_INVALID);
	assert_non_null(strstr(e.detail, "recipient"));
	assert_int_equal(parse("AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX"
			       "0H3SK3ZQFR",
			       &e),
			 RESTANTE_INVALID);
	assert_non_null(strstr(e.detail, "hybrid"));
	assert_int_equal(parse("AGE-PLUGIN-YUBIKEY-1QQPQQQQQQQQQQQ", &e), RESTANTE_INVALID);
	assert_non_null(strstr(e.detail, "plugin"));
	assert_int_equal(parse("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGF"
			       "PQ4EGAEY",
			       &e),
			 RESTANTE_INVALID);
	assert_null(strstr(e.detail, "GFPYY"));
}

static void bech32_is_that_of_bip_173(void **state)
{
	static const struct bytes nothing = { (const uint8_t *)"", 0 };
	char text[128];
	uint8_t out[32];

	(void)state;
	bech32_encode(text, "a", nothing);
	assert_string_equal(text, "a12uel5l");
	bech32_encode(text,
		      "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcluded"
		      "charactersbio",
		      nothing);
	assert_string_equal(text + 83, "1tt5tgs");
	assert_true(bech32_decode(out, 0, "a", "a12uel5l", 8));
	assert_false(bech32_decode(out, 0, "a", "a12uel5m", 8));
	assert_false(bech32_decode(out, 1, "a", "a12uel5l", 8));
	assert_true(bech32_decode(out, 32, "age",
				  "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
				  62));
}

/* ---- derivation: RFC 5869, appendix A, the first 32 bytes ---- */

static void hkdf_is_that_of_rfc_5869(void **state)
{
	static const struct {
		const char *ikm, *salt, *info, *okm;
	} cases[] = {
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		  "f0f1f2f3f4f5f6f7f8f9",
		  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf" },
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d" },
	};
	uint8_t ikm[64], salt[64], info[64], okm[HKDF_SIZE], out[HKDF_SIZE];
	size_t a, b, c, d;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(hex_decode(ikm, 64, &a, cases[i].ikm, strlen(cases[i].ikm)));
		assert_true(hex_decode(salt, 64, &b, cases[i].salt, strlen(cases[i].salt)));
		assert_true(hex_decode(info, 64, &c, cases[i].info, strlen(cases[i].info)));
		assert_true(hex_decode(okm, 32, &d, cases[i].okm, strlen(cases[i].okm)));
		hkdf(out, (struct bytes){ ikm, a }, (struct bytes){ salt, b },
		     (struct bytes){ info, c });
		assert_memory_equal(out, okm, sizeof(out));
	}
}

/* ---- sizes ---- */

/* Computed by another program, on strings of binary digits. */
static const uint64_t padded[][2] = {
	{ 0, 0 },
	{ 1, 1 },
	{ 2, 2 },
	{ 3, 3 },
	{ 4, 4 },
	{ 5, 5 },
	{ 6, 6 },
	{ 7, 7 },
	{ 8, 8 },
	{ 9, 10 },
	{ 10, 10 },
	{ 11, 12 },
	{ 15, 16 },
	{ 16, 16 },
	{ 17, 18 },
	{ 31, 32 },
	{ 32, 32 },
	{ 33, 36 },
	{ 63, 64 },
	{ 64, 64 },
	{ 65, 72 },
	{ 100, 104 },
	{ 127, 128 },
	{ 128, 128 },
	{ 129, 144 },
	{ 136, 144 },
	{ 255, 256 },
	{ 256, 256 },
	{ 257, 272 },
	{ 264, 272 },
	{ 511, 512 },
	{ 513, 544 },
	{ 544, 544 },
	{ 545, 576 },
	{ 1000, 1024 },
	{ 1025, 1088 },
	{ 4097, 4352 },
	{ 23456, 23552 },
	{ 65535, 65536 },
	{ 65536, 65536 },
	{ 65537, 67584 },
	{ 67585, 69632 },
	{ 100000, 100352 },
	{ 131073, 135168 },
	{ 1000000, 1015808 },
	{ 1048577, 1081344 },
	{ 10000000, 10223616 },
	{ 52428800, 52428800 },
	{ 52428801, 53477376 },
	{ 100000000, 100663296 },
	{ UINT64_C(1073741825), UINT64_C(1107296256) },
	{ UINT64_C(2147483647), UINT64_C(2147483648) },
	{ UINT64_C(4294967295), UINT64_C(4294967296) },
	{ UINT64_C(4294967296), UINT64_C(4294967296) },
	{ UINT64_C(4294967297), UINT64_C(4362076160) },
	{ UINT64_C(1000000000000), UINT64_C(1005022347264) },
	{ UINT64_C(1099511627777), UINT64_C(1116691496960) },
	{ UINT64_C(9007199254740993), UINT64_C(9147936743096320) },
	{ UINT64_C(2305843009213693953), UINT64_C(2341871806232657920) },
	{ (UINT64_C(1) << 62) - 1, UINT64_C(1) << 62 },
	{ UINT64_C(1) << 62, UINT64_C(1) << 62 },
	{ (UINT64_C(1) << 62) + 1, (UINT64_C(1) << 62) + 1 },
	{ UINT64_MAX, UINT64_MAX },
};

static void sizes_are_padded_as_the_vectors_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(padded); i++)
		assert_int_equal(restante_padded_size(padded[i][0]), padded[i][1]);
}

static void padding_is_monotonous_idempotent_and_at_most_12_percent(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (uint64_t size = 1; size < 300000; size++) {
		uint64_t p = restante_padded_size(size);

		assert_true(p >= size && p >= before);
		assert_true((p - size) * 100 <= size * 12);
		assert_int_equal(restante_padded_size(p), p);
		before = p;
	}
}

static void the_sealed_size_is_known_before(void **state)
{
	static const uint64_t sizes[][2] = {
		{ 0, 200 },
		{ 1, 201 },
		{ 65536, 184 + 65552 },
		{ 65537, 184 + 65552 + 17 },
		{ 131072, 184 + 2 * 65552 },
		{ UINT64_C(1) << 30, 184 + UINT64_C(16384) * 65552 },
		{ UINT64_C(1) << 62, 184 + (UINT64_C(1) << 46) * 65552 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++)
		assert_int_equal(restante_sealed_size(sizes[i][0]), sizes[i][1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_has_the_text_that_age_gives_it),
		cmocka_unit_test(without_a_key_there_is_no_text),
		cmocka_unit_test(new_keys_differ_and_survive_their_text),
		cmocka_unit_test(no_single_letter_can_be_wrong),
		cmocka_unit_test(no_other_spelling_is_taken),
		cmocka_unit_test(what_is_no_key_is_named_and_never_told),
		cmocka_unit_test(bech32_is_that_of_bip_173),
		cmocka_unit_test(hkdf_is_that_of_rfc_5869),
		cmocka_unit_test(sizes_are_padded_as_the_vectors_say),
		cmocka_unit_test(padding_is_monotonous_idempotent_and_at_most_12_percent),
		cmocka_unit_test(the_sealed_size_is_known_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
