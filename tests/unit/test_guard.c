#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/guard.h"

#define HEAD_MAX 8192
#define HOST "Host", "t"

struct head {
	const char *fields[9]; /* name, value, name, value, ..., NULL */
	int status;
};

static int verdict(const char *const *fields, const char *version, size_t size)
{
	struct guard g = { 0 };

	for (; fields[0] != NULL; fields += 2)
		guard_header(&g, fields[0], strlen(fields[0]), fields[1], strlen(fields[1]));
	return guard_verdict(&g, version, size, HEAD_MAX);
}

static void check(const struct head *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int got = verdict(h[i].fields, "HTTP/1.1", 100);

		if (got != h[i].status)
			fail_msg("case %zu: %d instead of %d", i, got, h[i].status);
	}
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases[0]))

static void a_sound_head_passes(void **state)
{
	static const struct head cases[] = {
		{ { HOST }, 0 },
		{ { HOST, "Content-Length", "0" }, 0 },
		{ { HOST, "Content-Length", "999999999999999999" }, 0 },
		{ { "content-length", "5", "hOST", "t" }, 0 },
		{ { HOST, "Transfer-Encoding", "chunked" }, 0 },
		{ { HOST, "TRANSFER-encoding", "CHUNKED" }, 0 },
		{ { HOST, "X-A", "\ta\tb \200\377" }, 0 },
		{ { HOST, "X-A", "" }, 0 },
		{ { "Host", "" }, 0 },
		{ { HOST, "!#$%&'*+-.^_`|~09azAZ", "x" }, 0 },
		{ { HOST, "Content-Len", "x", "Transfer", "x", "Hostname", "x" }, 0 },
	};

	(void)state;
	CHECK(cases);
}

static void framing_must_be_said_once(void **state)
{
	static const struct head cases[] = {
		{ { HOST, "Content-Length", "5", "Transfer-Encoding", "chunked" }, 400 },
		{ { HOST, "Transfer-Encoding", "chunked", "Content-Length", "5" }, 400 },
		{ { HOST, "Content-Length", "5", "Content-Length", "5" }, 400 },
		{ { HOST, "Content-Length", "5", "content-length", "6" }, 400 },
		{ { HOST, "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked" }, 400 },
		{ { HOST, HOST }, 400 },
		{ { "X-A", "a" }, 400 },
	};

	(void)state;
	CHECK(cases);
}

static void a_length_is_at_most_18_digits(void **state)
{
	static const char *const bad[] = { "",    "+5",    "-5",  "0x5",
					   "5 ",  " 5",    "5,5", "5, 5",
					   "5a",  "1e3",   "5.0", "0000000000000000005",
					   "\t5", "5\0015" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *fields[] = { HOST, "Content-Length", bad[i], NULL };

		assert_int_equal(verdict(fields, "HTTP/1.1", 100), 400);
	}
}

static void a_coding_other_than_chunked_is_501(void **state)
{
	static const char *const bad[] = { "",         "identity",    "gzip, chunked",
					   "chunked ", " chunked",    "chunked;",
					   "chunkedx", "\"chunked\"", "chunked, chunked" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *fields[] = { HOST, "Transfer-Encoding", bad[i], NULL };

		assert_int_equal(verdict(fields, "HTTP/1.1", 100), 501);
	}
}

/* The library shows "Content-Length:\r\n 5" as "Content-Length5". */
static void folded_framing_is_refused(void **state)
{
	static const struct head cases[] = {
		{ { HOST, "Transfer-Encodingchunked", "" }, 400 },
		{ { HOST, "transfer-encodingchunked", "x" }, 400 },
		{ { HOST, "Content-Length5", "5" }, 400 },
		{ { HOST, "Content-Length5", "" }, 400 },
	};

	(void)state;
	CHECK(cases);
}

static void names_are_tokens(void **state)
{
	static const struct head cases[] = {
		{ { HOST, "", "x" }, 400 },      { { HOST, "X A", "x" }, 400 },
		{ { HOST, "X-A ", "x" }, 400 },  { { HOST, "Content-Length ", "5" }, 400 },
		{ { HOST, "X:A", "x" }, 400 },   { { HOST, "X\tA", "x" }, 400 },
		{ { HOST, "X\200", "x" }, 400 }, { { HOST, "(x)", "x" }, 400 },
	};

	(void)state;
	CHECK(cases);
}

static void values_have_no_control_characters(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		struct guard g = { 0 };
		char value[3] = { 'a', (char)c, 'b' };
		bool bad = (c < 32 && c != '\t') || c == 127;

		guard_header(&g, "Host", 4, "t", 1);
		guard_header(&g, "X-A", 3, value, 3);
		assert_int_equal(guard_verdict(&g, "HTTP/1.1", 100, HEAD_MAX), bad ? 400 : 0);
	}
}

static void only_1_0_and_1_1_are_spoken(void **state)
{
	static const char *const other[] = { "HTTP/1.2", "HTTP/1.9",  "HTTP/2.0", "HTTP/0.9",
					     "http/1.1", "HTTP/1.1 ", "" };
	const char *host[] = { HOST, NULL }, *none[] = { NULL };
	const char *two[] = { HOST, HOST, NULL };
	const char *chunked[] = { HOST, "Transfer-Encoding", "chunked", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_int_equal(verdict(host, other[i], 100), 505);
	assert_int_equal(verdict(host, "HTTP/1.0", 100), 0);
	assert_int_equal(verdict(none, "HTTP/1.0", 100), 0);
	assert_int_equal(verdict(two, "HTTP/1.0", 100), 400);
	assert_int_equal(verdict(chunked, "HTTP/1.0", 100), 400);
}

static void heads_are_bounded(void **state)
{
	const char *host[] = { HOST, NULL };
	struct guard g = { 0 };

	(void)state;
	assert_int_equal(verdict(host, "HTTP/1.1", HEAD_MAX), 0);
	assert_int_equal(verdict(host, "HTTP/1.1", HEAD_MAX + 1), 431);
	guard_header(&g, "Host", 4, "t", 1);
	for (int i = 1; i < GUARD_HEADERS_MAX; i++)
		guard_header(&g, "X", 1, "", 0);
	assert_int_equal(guard_verdict(&g, "HTTP/1.1", 100, HEAD_MAX), 0);
	guard_header(&g, "X", 1, "", 0);
	assert_int_equal(guard_verdict(&g, "HTTP/1.1", 100, HEAD_MAX), 431);
}

static void what_was_found_first_is_what_is_said(void **state)
{
	static const struct head cases[] = {
		{ { HOST, "Transfer-Encoding", "gzip", "X A", "x" }, 501 },
		{ { HOST, "X A", "x", "Transfer-Encoding", "gzip" }, 400 },
	};

	(void)state;
	CHECK(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_head_passes),
		cmocka_unit_test(framing_must_be_said_once),
		cmocka_unit_test(a_length_is_at_most_18_digits),
		cmocka_unit_test(a_coding_other_than_chunked_is_501),
		cmocka_unit_test(folded_framing_is_refused),
		cmocka_unit_test(names_are_tokens),
		cmocka_unit_test(values_have_no_control_characters),
		cmocka_unit_test(only_1_0_and_1_1_are_spoken),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(what_was_found_first_is_what_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
