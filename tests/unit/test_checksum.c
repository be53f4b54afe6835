#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"
#include "wire/checksum.h"

#define SHA1_OF_HELLO "qvTGHdzF6KLavt4PO0gs2a6pQ00=" /* "hello" */

/* Is refused with rc, and out is as it was. From memory of just that size, for the sanitizers. */
static void check_refused(const char *text, size_t n, enum err_code rc)
{
	static struct sum_claim claim, before;
	char *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, text, n);
	memset(&claim, 0xa5, sizeof(claim));
	before = claim;
	if (checksum_parse(&claim, copy, n) != rc)
		fail_msg("not refused as promised: '%.*s'", (int)n, text);
	assert_memory_equal(&claim, &before, sizeof(claim));
	free(copy);
}

static void check_all_refused(const char *const *texts, enum err_code rc)
{
	for (; *texts != NULL; texts++)
		check_refused(*texts, strlen(*texts), rc);
}

/* "name " and the base64 of `size` bytes, in which no two are the same. */
static size_t write_claim(char *out, const char *name, size_t size)
{
	uint8_t raw[SUM_SIZE_MAX + 2];
	size_t at = strlen(name);

	for (size_t i = 0; i < size; i++)
		raw[i] = (uint8_t)(100 + i);
	memcpy(out, name, at);
	out[at++] = ' ';
	base64_encode(out + at, raw, size);
	return at + BASE64_LEN(size);
}

static void what_a_client_sends_is_what_the_bytes_have(void **state)
{
	static const char text[] = "sha1 " SHA1_OF_HELLO;
	struct sum_claim claim;
	struct sums s;

	(void)state;
	assert_int_equal(checksum_parse(&claim, text, strlen(text)), ERR_OK);
	assert_int_equal(claim.sum, SUM_SHA1);
	sums_init(&s, SUM_BIT(claim.sum));
	sums_update(&s, BYTES("hello"));
	assert_true(sums_match(&s, &claim));
}

static void every_algorithm_is_read_with_its_size(void **state)
{
	char text[128];

	(void)state;
	for (enum sum i = 0; i < SUM_COUNT; i++) {
		size_t size = sum_size(i), n = write_claim(text, sum_name(i), size);
		struct sum_claim claim;

		memset(&claim, 0xa5, sizeof(claim));
		assert_int_equal(checksum_parse(&claim, text, n), ERR_OK);
		assert_int_equal(claim.sum, i);
		for (size_t k = 0; k < SUM_SIZE_MAX; k++)
			assert_int_equal(claim.value[k], k < size ? 100 + k : 0);
		check_refused(text, write_claim(text, sum_name(i), size - 1), ERR_INVALID);
		check_refused(text, write_claim(text, sum_name(i), size + 1), ERR_INVALID);
		check_refused(text, write_claim(text, sum_name(i), 0), ERR_INVALID);
	}
}

static void an_algorithm_not_known_is_told_apart(void **state)
{
	static const char *const unknown[] = {
		"SHA1 " SHA1_OF_HELLO,
		"Sha1 " SHA1_OF_HELLO,
		"sha-1 " SHA1_OF_HELLO,
		"sha " SHA1_OF_HELLO,
		"sha11 " SHA1_OF_HELLO,
		"sha1, " SHA1_OF_HELLO,
		"sha1\t " SHA1_OF_HELLO,
		"\tsha1 " SHA1_OF_HELLO,
		"sha224 AAAA",
		"crc32 AAAAAA==",
		"adler32 AAAAAA==",
		"unknown not base64 at all",
		"unknown ",
		"\xc3\xa9 " SHA1_OF_HELLO,
		NULL,
	};

	(void)state;
	check_all_refused(unknown, ERR_NOTFOUND);
	check_refused("sha1\0 " SHA1_OF_HELLO, 6 + 28, ERR_NOTFOUND);
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"sha1",
		"sha1 ",
		"unknown",
		SHA1_OF_HELLO,
		" " SHA1_OF_HELLO,
		" sha1 " SHA1_OF_HELLO,
		"sha1" SHA1_OF_HELLO,
		"sha1=" SHA1_OF_HELLO,
		"sha1:" SHA1_OF_HELLO,
		"sha1\t" SHA1_OF_HELLO,
		"sha1  " SHA1_OF_HELLO,
		"sha1 \t" SHA1_OF_HELLO,
		"sha1 " SHA1_OF_HELLO " ",
		"sha1 " SHA1_OF_HELLO "\t",
		"sha1 " SHA1_OF_HELLO "\n",
		"sha1 " SHA1_OF_HELLO "\r\n",
		"sha1 " SHA1_OF_HELLO "=",
		"sha1 " SHA1_OF_HELLO ",",
		"sha1 " SHA1_OF_HELLO ",sha1 " SHA1_OF_HELLO,
		"sha1 :" SHA1_OF_HELLO ":",
		"sha1 \"" SHA1_OF_HELLO "\"",
		"sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00",  /* no padding */
		"sha1 qvTGHdzF6KLavt4PO0gs2a6pQ01=", /* stray bits */
		"sha1 qvTGHdzF6KLavt4PO0gs2a6pQ0==", /* 19 bytes */
		"sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00A", /* 21 */
		"sha1 qvTGHdzF6KLavt4P_0gs2a6pQ00=", /* base64url */
		"sha1 qvTGHdzF6KLavt4\xef"
		"0gs2a6pQ00=",
		"sha1 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
		"sha256 " SHA1_OF_HELLO,
		"md5 " SHA1_OF_HELLO,
		"crc32c " SHA1_OF_HELLO,
		NULL,
	};

	(void)state;
	check_all_refused(bad, ERR_INVALID);
	check_refused("sha1 " SHA1_OF_HELLO, 5 + 28 + 1, ERR_INVALID); /* its NUL */
}

static void no_truncation_is_taken(void **state)
{
	static const char text[] = "sha1 " SHA1_OF_HELLO;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++)
		check_refused(text, n, ERR_INVALID);
}

static void the_names_are_told_sha1_first(void **state)
{
	char names[CHECKSUM_NAMES_SIZE];

	(void)state;
	checksum_names(names);
	assert_string_equal(names, "sha1,sha256,sha512,md5,crc32c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_client_sends_is_what_the_bytes_have),
		cmocka_unit_test(every_algorithm_is_read_with_its_size),
		cmocka_unit_test(an_algorithm_not_known_is_told_apart),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(no_truncation_is_taken),
		cmocka_unit_test(the_names_are_told_sha1_first),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
