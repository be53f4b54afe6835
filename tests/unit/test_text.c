#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"

typedef bool decoder(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n);

/* RFC 4648 section 10. */
static const struct {
	const char *plain, *hex, *padded, *url;
} vectors[] = {
	{ "", "", "", "" },
	{ "f", "66", "Zg==", "Zg" },
	{ "fo", "666f", "Zm8=", "Zm8" },
	{ "foo", "666f6f", "Zm9v", "Zm9v" },
	{ "foob", "666f6f62", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "666f6f6261", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "666f6f626172", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "fbfffe", "+//+", "-__-" },
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void the_vectors_of_the_rfc_are_encoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		const uint8_t *in = (const uint8_t *)vectors[i].plain;
		size_t n = strlen(vectors[i].plain);
		char out[32];

		hex_encode(out, in, n);
		assert_string_equal(out, vectors[i].hex);
		assert_int_equal(strlen(out), HEX_LEN(n));
		base64_encode(out, in, n);
		assert_string_equal(out, vectors[i].padded);
		assert_int_equal(strlen(out), BASE64_LEN(n));
		base64url_encode(out, in, n);
		assert_string_equal(out, vectors[i].url);
		assert_int_equal(strlen(out), BASE64URL_LEN(n));
	}
}

static void check_decoded(decoder *decode, const char *text, const char *plain)
{
	size_t len = 99, want = strlen(plain);
	uint8_t out[32];

	assert_true(decode(out, want, &len, text, strlen(text)));
	assert_int_equal(len, want);
	assert_memory_equal(out, plain, want);
	if (want > 0)
		assert_false(decode(out, want - 1, &len, text, strlen(text)));
}

static void the_vectors_of_the_rfc_are_decoded_into_just_enough_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		check_decoded(hex_decode, vectors[i].hex, vectors[i].plain);
		check_decoded(base64_decode, vectors[i].padded, vectors[i].plain);
		check_decoded(base64url_decode, vectors[i].url, vectors[i].plain);
	}
}

static void every_byte_comes_back(void **state)
{
	uint8_t in[256], out[256];
	char text[HEX_LEN(256) + 1];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t n = 0; n <= sizeof(in); n++) {
		hex_encode(text, in, n);
		assert_true(hex_decode(out, n, &len, text, HEX_LEN(n)));
		assert_memory_equal(in, out, n);
		base64_encode(text, in, n);
		assert_true(base64_decode(out, n, &len, text, BASE64_LEN(n)));
		assert_memory_equal(in, out, n);
		base64url_encode(text, in, n);
		assert_true(base64url_decode(out, n, &len, text, BASE64URL_LEN(n)));
		assert_memory_equal(in, out, n);
	}
}

static void check_refused(decoder *decode, const char *const *texts)
{
	for (; *texts != NULL; texts++) {
		uint8_t out[32];
		size_t len = 99;

		if (decode(out, sizeof(out), &len, *texts, strlen(*texts)))
			fail_msg("\"%s\" was taken", *texts);
		assert_int_equal(len, 99);
	}
}

static void hex_takes_both_cases_and_nothing_else(void **state)
{
	static const char *const bad[] = { "0",    "abc",  "0g", "g0",    " 00",      "00 ", "0 0",
					   "00\n", "0x00", "-1", "00:11", "\xc3\xa9", NULL };
	uint8_t out[4];
	size_t len;

	(void)state;
	assert_true(hex_decode(out, 4, &len, "aAfF0019", 8));
	assert_memory_equal(out, "\xaa\xff\x00\x19", 4);
	check_refused(hex_decode, bad);
	assert_false(hex_decode(out, 4, &len, "00\0", 3));
	assert_false(hex_decode(out, 4, &len, "0\0", 2));
}

static void base64_wants_its_padding_and_its_alphabet(void **state)
{
	static const char *const bad[] = { "Zg",       "Zg=",      "Zg===",       "Z",
					   "Z===",     "=",        "====",        "Zm9v=",
					   "Zm9v====", "Zg==Zg==", " Zg==",       "Zg== ",
					   "Zg=\n=",   "Zm 8=",    "-__-",        "Zg==\n",
					   "Zm8=\r\n", "Zm9v.",    "Z\xc3\xa9==", NULL };

	(void)state;
	check_refused(base64_decode, bad);
}

static void base64url_wants_no_padding_and_its_alphabet(void **state)
{
	static const char *const bad[] = { "Zg==", "Zg=", "Zm8=", "Z",    "Zm9vY", "+//+", "=",
					   " Zg",  "Zg ", "Z g",  "Zg\n", "Zm9v.", NULL };

	(void)state;
	check_refused(base64url_decode, bad);
}

static void stray_bits_in_the_last_character_are_refused(void **state)
{
	static const char *const padded[] = { "Zh==", "Zv==", "Zm9=", "Zm+=", NULL };
	static const char *const url[] = { "Zh", "Zv", "Zm9", "Zm_", NULL };

	(void)state;
	check_refused(base64_decode, padded);
	check_refused(base64url_decode, url);
}

/* Not in the last place, where padding is at home. */
static void check_alphabet(decoder *decode, const char *alphabet)
{
	char text[] = "AAAA";
	uint8_t out[3];
	size_t len;

	for (int c = 0; c < 256; c++) {
		bool belongs = c != 0 && strchr(alphabet, c) != NULL;

		for (size_t at = 0; at < 3; at++) {
			text[at] = (char)c;
			assert_int_equal(decode(out, sizeof(out), &len, text, 4), belongs);
			text[at] = 'A';
		}
	}
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static void no_byte_but_the_alphabet_is_taken(void **state)
{
	(void)state;
	check_alphabet(hex_decode, "0123456789abcdefABCDEF");
	check_alphabet(base64url_decode, LETTERS "-_");
	check_alphabet(base64_decode, LETTERS "+/");
}

static void a_nul_inside_is_not_the_end(void **state)
{
	uint8_t out[8];
	size_t len;

	(void)state;
	assert_false(base64url_decode(out, sizeof(out), &len, "Zg\0", 3));
	assert_false(base64url_decode(out, sizeof(out), &len, "Zm9v\0m9v", 8));
	assert_false(base64_decode(out, sizeof(out), &len, "Zg==\0", 5));
	assert_false(base64_decode(out, sizeof(out), &len, "Zm\0=", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_rfc_are_encoded),
		cmocka_unit_test(the_vectors_of_the_rfc_are_decoded_into_just_enough_room),
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(hex_takes_both_cases_and_nothing_else),
		cmocka_unit_test(base64_wants_its_padding_and_its_alphabet),
		cmocka_unit_test(base64url_wants_no_padding_and_its_alphabet),
		cmocka_unit_test(stray_bits_in_the_last_character_are_refused),
		cmocka_unit_test(no_byte_but_the_alphabet_is_taken),
		cmocka_unit_test(a_nul_inside_is_not_the_end),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
