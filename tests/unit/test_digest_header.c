#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/digest.h"
#include "wire/digest_header.h"

/* Of {"hello": "world"} and a newline, the example of RFC 9530; and of nothing. */
#define HELLO "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
#define EMPTY "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
#define SHA_512                                                             \
	"sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCs" \
	"yRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"

static struct digest hello, empty;

static enum digest_header_result parse(struct digest *out, const char *text)
{
	return digest_header_parse(out, text, strlen(text));
}

static void check_found(const char *text, const struct digest *want)
{
	struct digest d = { { 0 } };

	if (parse(&d, text) != DIGEST_HEADER_FOUND)
		fail_msg("nothing found in: %s", text);
	if (!digest_equal(&d, want))
		fail_msg("another digest in: %s", text);
}

static void check_without(const char *const *texts, enum digest_header_result want)
{
	for (; *texts != NULL; texts++) {
		struct digest d = hello;

		if (parse(&d, *texts) != want)
			fail_msg("not answered with %d: %s", (int)want, *texts);
		assert_true(digest_equal(&d, &hello));
	}
}

static void a_digest_is_found(void **state)
{
	(void)state;
	check_found(HELLO, &hello);
	check_found(EMPTY, &empty);
	check_found("  " HELLO "  ", &hello);
}

static void other_algorithms_are_passed_over(void **state)
{
	(void)state;
	check_found(SHA_512 ", " HELLO, &hello);
	check_found(HELLO "," SHA_512, &hello);
	check_found("md5=:AAAA:\t,\t" HELLO " , *x.y_z-1=?1", &hello);
	check_found("a=1, b=-2.5, c=\"q\\\"\\\\s\", d=tok/en:*, e=?0, f, g=@-1659578233, " HELLO
		    ", h=%\"f%c3%bc%c3%bc\"",
		    &hello);
	check_found("a=(1 :AAAA: \"s\";p=1  tok);q, " HELLO ", b=(), c=( )", &hello);
	check_found("sha-2560=:AAAA:, sha-25=:AAAA:, " HELLO, &hello);
}

static void parameters_are_passed_over(void **state)
{
	(void)state;
	check_found(HELLO ";a", &hello);
	check_found(HELLO ";a=1;b=\"x\"; c=?0;   d=:AA==:;*=tok", &hello);
	check_found("x;a=1, " HELLO ";sha-256=1", &hello);
}

static void the_last_sha_256_counts(void **state)
{
	static const char *const bad[] = { HELLO ", sha-256=1",
					   HELLO ", sha-256=:AAAA:", HELLO ", sha-256", NULL };

	(void)state;
	check_found(HELLO ", " EMPTY, &empty);
	check_found(EMPTY ", " HELLO, &hello);
	check_found("sha-256=1, " HELLO, &hello);
	check_found("sha-256=:AAAA:, " HELLO, &hello);
	check_without(bad, DIGEST_HEADER_BAD);
}

static void a_dictionary_without_sha_256_has_none(void **state)
{
	static const char *const none[] = { "",
					    " ",
					    "a",
					    "md5=:AAAA:",
					    SHA_512,
					    "sha-256x=1",
					    "sha-25=1",
					    "a=(\"sha-256=:AAAA:\")",
					    "a;sha-256=:AAAA:",
					    NULL };

	(void)state;
	check_without(none, DIGEST_HEADER_NONE);
}

static void sha_256_has_to_be_32_bytes(void **state)
{
	static const char *const bad[] = {
		"sha-256",
		"sha-256=?1",
		"sha-256=1",
		"sha-256=::",
		"sha-256=:AAAA:",
		"sha-256=\"RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=\"",
		"sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg",
		"sha-256=(:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:)",
		"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabA==:", /* 31 */
		"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDgA:", /* 33 */
		"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDh=:", /* stray bits */
		"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg==:",
		"sha-256=:=K/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"sha-256=:RK_0qy18MlBSVnWgjwz6lZEWjP_lF5HF9bvEF8FabDg=:", /* base64url */
		"sha-256=:44af f4ab:",
		NULL,
	};

	(void)state;
	check_without(bad, DIGEST_HEADER_BAD);
}

/* RFC 9651 section 4.2.7: parsers should not fail for it. */
static void missing_padding_is_forgiven(void **state)
{
	(void)state;
	check_found("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg:", &hello);
}

static void what_is_no_dictionary_is_bad(void **state)
{
	static const char *const bad[] = {
		",",
		HELLO ",",
		HELLO ", ",
		"," HELLO,
		HELLO ",," HELLO,
		HELLO " " HELLO,
		HELLO ";",
		HELLO ";=1",
		HELLO ";A",
		HELLO " ;a",
		HELLO "x",
		"\t" HELLO,
		HELLO "\n",
		HELLO "\r\n",
		"SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"sha-256 =:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"sha-256= :RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
		"sha-256:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		"sha-256=",
		"=1",
		"1=1",
		"-a=1",
		"a=:A A=:",
		"a=:\xc3\xa9:",
		"\xc3\xa9=1",
		"a=\"",
		"a=\"\\",
		"a=\"\\x\"",
		"a=\"\x7f\"",
		"a=\"\t\"",
		"a=\"\xc3\xa9\"",
		"a=?2",
		"a=?",
		"a=-",
		"a=+1",
		"a=1.",
		"a=.1",
		"a=1.2345",
		"a=1.2.3",
		"a=1234567890123456",
		"a=1234567890123.1",
		"a=@1.5",
		"a=@",
		"a=(",
		"a=(1",
		"a=(1,2)",
		"a=(1 2",
		"a=(1\t2)",
		"a=(\"a\"\"b\")",
		"a=((1))",
		"a=(1))",
		"a={}",
		"a=%",
		"a=%\"",
		"a=%\"%c3\"",
		"a=%\"%C3%BC\"",
		"a=%\"%zz\"",
		"a=%\"%c\"",
		"a=%\"%c0%80\"",
		"a=%\"%ed%a0%80\"",
		"a=%\"%f4%90%80%80\"",
		"a=%\"%80\"",
		"a=%\"%e2%82x\"",
		"a;b=",
		"a;b=(1)",
		NULL,
	};

	(void)state;
	check_without(bad, DIGEST_HEADER_BAD);
}

static void the_edges_of_every_type_are_well_formed(void **state)
{
	static const char *const none[] = {
		"a=-999999999999999",
		"a=123456789012.123",
		"a=00",
		"a=-0.0",
		"a=\"\"",
		"a=*",
		"a=a!#$%&'*+-.^_`|~:/9",
		"a=::",
		"a=@0",
		"a=%\"\"",
		"a=%\"\\ %22%25\"",
		"a=%\"%e0%a0%80%ed%9f%bf%f0%90%80%80%f4%8f%bf%bf\"",
		"a=();x;y=1",
		"a;  b",
		NULL,
	};

	(void)state;
	check_without(none, DIGEST_HEADER_NONE);
}

static void a_nul_is_bad(void **state)
{
	struct digest d;

	(void)state;
	assert_int_equal(digest_header_parse(&d, HELLO "\0", sizeof(HELLO)), DIGEST_HEADER_BAD);
	assert_int_equal(digest_header_parse(&d, "a\0", 2), DIGEST_HEADER_BAD);
	assert_int_equal(digest_header_parse(&d, "a=\"\0\"", 5), DIGEST_HEADER_BAD);
	assert_int_equal(digest_header_parse(&d, "\0", 1), DIGEST_HEADER_BAD);
}

static void no_truncation_is_found(void **state)
{
	struct digest d = hello;

	(void)state;
	for (size_t n = 0; n < strlen(HELLO); n++) {
		assert_int_not_equal(digest_header_parse(&d, HELLO, n), DIGEST_HEADER_FOUND);
		assert_true(digest_equal(&d, &hello));
	}
}

static void what_is_written_is_read_back(void **state)
{
	char text[DIGEST_HEADER_SIZE];

	(void)state;
	digest_header_format(text, &hello);
	assert_string_equal(text, HELLO);
	for (int i = 0; i < 256; i++) {
		struct digest d;

		memset(d.b, i, sizeof(d.b));
		digest_header_format(text, &d);
		assert_int_equal(strlen(text), DIGEST_HEADER_SIZE - 1);
		check_found(text, &d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_digest_is_found),
		cmocka_unit_test(other_algorithms_are_passed_over),
		cmocka_unit_test(parameters_are_passed_over),
		cmocka_unit_test(the_last_sha_256_counts),
		cmocka_unit_test(a_dictionary_without_sha_256_has_none),
		cmocka_unit_test(sha_256_has_to_be_32_bytes),
		cmocka_unit_test(missing_padding_is_forgiven),
		cmocka_unit_test(what_is_no_dictionary_is_bad),
		cmocka_unit_test(the_edges_of_every_type_are_well_formed),
		cmocka_unit_test(a_nul_is_bad),
		cmocka_unit_test(no_truncation_is_found),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	if (sodium_init() < 0)
		return 1;
	digest_of(BYTES("{\"hello\": \"world\"}\n"), &hello);
	digest_of(BYTES(""), &empty);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
