#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/concat.h"

#define PREFIX "/v1/uploads/"

static enum err_code parse(struct concat *c, const char *text)
{
	return concat_parse(c, PREFIX, text, strlen(text));
}

/* Is refused with rc, and out is as it was. From memory of just that size, for the sanitizers. */
static void check_refused(const char *text, size_t n, enum err_code rc)
{
	static struct concat c, before;
	char *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, text, n);
	memset(&c, 0xa5, sizeof(c));
	before = c;
	if (concat_parse(&c, PREFIX, copy, n) != rc)
		fail_msg("not refused as promised: '%.*s'", (int)n, text);
	assert_memory_equal(&c, &before, sizeof(c));
	free(copy);
}

static void check_part(const struct concat *c, size_t i, const char *want)
{
	assert_int_equal(c->parts[i].len, strlen(want));
	assert_memory_equal(c->parts[i].text, want, c->parts[i].len);
}

/* A final of two parts, "one" and "Two-_2". */
static void check_two(const char *text)
{
	struct concat c;

	if (parse(&c, text) != ERR_OK)
		fail_msg("refused: '%s'", text);
	assert_int_equal(c.kind, CONCAT_FINAL);
	assert_int_equal(c.count, 2);
	check_part(&c, 0, "one");
	check_part(&c, 1, "Two-_2");
}

/* The same of one. */
static void check_one(const char *url)
{
	char text[256];
	struct concat c;

	snprintf(text, sizeof(text), "final;%s", url);
	if (parse(&c, text) != ERR_OK)
		fail_msg("refused: '%s'", text);
	assert_int_equal(c.count, 1);
	check_part(&c, 0, "one");
}

static void partial_is_read(void **state)
{
	struct concat c;

	(void)state;
	assert_int_equal(parse(&c, "partial"), ERR_OK);
	assert_int_equal(c.kind, CONCAT_PARTIAL);
	assert_int_equal(c.count, 0);
}

static void paths_and_absolute_urls_are_read_and_mixed(void **state)
{
	(void)state;
	check_two("final;/v1/uploads/one /v1/uploads/Two-_2");
	check_two("final;https://media.example/v1/uploads/one "
		  "https://media.example/v1/uploads/Two-_2");
	check_two("final;/v1/uploads/one http://a.example:8080/v1/uploads/Two-_2");
	check_two("final;http://a.example/v1/uploads/one /v1/uploads/Two-_2");
}

static void any_authority_will_do(void **state)
{
	(void)state;
	check_one("http://x/v1/uploads/one");
	check_one("HTTPS://MEDIA.example:443/v1/uploads/one");
	check_one("hTTp://[2001:db8::1]:8080/v1/uploads/one");
	check_one("https://user:pass@127.0.0.1/v1/uploads/one");
	check_one("https://xn--bcher-kva.example./v1/uploads/one");
	check_one("https://b%c3%bccher.example/v1/uploads/one");
}

/* tusd takes them as well, and rustus writes one behind the semicolon. */
static void any_number_of_spaces_is_between_urls(void **state)
{
	(void)state;
	check_two("final; /v1/uploads/one /v1/uploads/Two-_2");
	check_two("final;/v1/uploads/one   /v1/uploads/Two-_2");
	check_two("final;   /v1/uploads/one  /v1/uploads/Two-_2  ");
}

static void a_part_may_come_twice_and_order_stays(void **state)
{
	struct concat c;

	(void)state;
	assert_int_equal(parse(&c, "final;" PREFIX "b " PREFIX "a " PREFIX "b"), ERR_OK);
	assert_int_equal(c.count, 3);
	check_part(&c, 0, "b");
	check_part(&c, 1, "a");
	check_part(&c, 2, "b");
}

static void a_segment_is_what_the_rfc_allows_without_escapes(void **state)
{
	struct concat c;

	(void)state;
	assert_int_equal(parse(&c, "final;" PREFIX "Az09-._~!$&'()*+,;=:@ " PREFIX "... " PREFIX
				   ".a " PREFIX "final;"),
			 ERR_OK);
	assert_int_equal(c.count, 4);
	check_part(&c, 0, "Az09-._~!$&'()*+,;=:@");
	check_part(&c, 1, "...");
	check_part(&c, 2, ".a");
	check_part(&c, 3, "final;");
}

static void another_prefix_is_read_where_it_is_asked_for(void **state)
{
	struct concat c;

	(void)state;
	assert_int_equal(concat_parse(&c, "/", "final;/one http://x/two", 23), ERR_OK);
	check_part(&c, 0, "one");
	check_part(&c, 1, "two");
	assert_int_equal(concat_parse(&c, "/", "final;//x", 9), ERR_INVALID);
	assert_int_equal(concat_parse(&c, "/", "final;/x/y", 10), ERR_INVALID);
}

static void what_is_neither_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"Partial",
		"PARTIAL",
		"partial ",
		" partial",
		"partial;",
		"partial;" PREFIX "one",
		"partials",
		"partia",
		"partial,partial",
		"final",
		"final;",
		"final; ",
		"final;  ",
		"Final;" PREFIX "one",
		"FINAL;" PREFIX "one",
		" final;" PREFIX "one",
		"final " PREFIX "one",
		"final ;" PREFIX "one",
		"final:" PREFIX "one",
		"final=" PREFIX "one",
		"final;;" PREFIX "one",
		PREFIX "one",
		"true",
		"?1",
		NULL,
	};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		check_refused(bad[i], strlen(bad[i]), ERR_INVALID);
}

static void urls_of_another_shape_are_refused(void **state)
{
	static const char *const bad[] = {
		/* the path */
		"/",
		"/v1",
		"/v1/uploads",
		PREFIX,
		"/v1/uploads//one",
		PREFIX "one/",
		PREFIX "one/two",
		PREFIX "/one",
		"/v1/media/one",
		"/V1/uploads/one",
		"/v1/Uploads/one",
		"/v1/uploadsone",
		"v1/uploads/one",
		"one",
		"./one",
		"../uploads/one",
		"//v1/uploads/one",
		"//x/v1/uploads/one",
		"/x/v1/uploads/one",
		/* dot segments */
		PREFIX ".",
		PREFIX "..",
		PREFIX "./one",
		PREFIX "../uploads/one",
		"/v1/./uploads/one",
		"/v1/../v1/uploads/one",
		"http://x/../v1/uploads/one",
		PREFIX "one/..",
		PREFIX "one/.",
		/* query and fragment */
		PREFIX "one?",
		PREFIX "one?a=b",
		PREFIX "?one",
		PREFIX "one#",
		PREFIX "one#two",
		PREFIX "#",
		"http://x/v1/uploads/one?a",
		"http://x?/v1/uploads/one",
		"http://x#/v1/uploads/one",
		/* escapes */
		PREFIX "%6fne",
		PREFIX "one%",
		PREFIX "one%20",
		PREFIX "%2e%2e",
		"/v1%2fuploads/one",
		"/%761/uploads/one",
		PREFIX "one%2Ftwo",
		PREFIX "one%00",
		/* scheme and authority */
		"http:" PREFIX "one",
		"http:/" PREFIX "one",
		"http://" PREFIX "one",
		"https://" PREFIX "one",
		"http:///v1/uploads/one",
		"ftp://x" PREFIX "one",
		"httpss://x" PREFIX "one",
		"://x" PREFIX "one",
		"x" PREFIX "one",
		"http://x",
		"http://x/",
		"http://x" PREFIX,
		"http://x y" PREFIX "one",
		"http://x\\" PREFIX "one",
		"http://http://x" PREFIX "one",
		"http://x/x" PREFIX "one",
		"http://<x>" PREFIX "one",
		"http://\xc3\xa9" PREFIX "one",
		/* characters */
		PREFIX "one\t",
		"\t" PREFIX "one",
		PREFIX "one\t" PREFIX "two",
		PREFIX "one\n",
		PREFIX "one\r\n",
		PREFIX "o\\ne",
		PREFIX "\"one\"",
		"\"" PREFIX "one\"",
		"<" PREFIX "one>",
		PREFIX "[one]",
		PREFIX "{one}",
		PREFIX "o|e",
		PREFIX "o^e",
		PREFIX "o`e",
		PREFIX "\xc3\xa9",
		PREFIX "one\x7f",
		PREFIX "one\x01",
		PREFIX "one," PREFIX "two",
		NULL,
	};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++) {
		char text[256];
		int n = snprintf(text, sizeof(text), "final;%s", bad[i]);

		check_refused(text, (size_t)n, ERR_INVALID);
		n = snprintf(text, sizeof(text), "final;" PREFIX "ok %s", bad[i]);
		check_refused(text, (size_t)n, ERR_INVALID);
		n = snprintf(text, sizeof(text), "final;%s " PREFIX "ok", bad[i]);
		check_refused(text, (size_t)n, ERR_INVALID);
	}
}

static void the_length_counts_and_not_what_stands_behind(void **state)
{
	static const char one[] = "final;" PREFIX "one";
	struct concat c;

	(void)state;
	assert_int_equal(concat_parse(&c, PREFIX, one, sizeof(one) - 2), ERR_OK);
	check_part(&c, 0, "on");
	for (size_t n = 0; n <= sizeof("final;" PREFIX) - 1; n++)
		check_refused(one, n, ERR_INVALID);
	check_refused(one, sizeof(one), ERR_INVALID); /* its NUL */
	check_refused("partial", 8, ERR_INVALID);
	check_refused("partial", 6, ERR_INVALID);
}

static size_t many_parts(char *out, int count)
{
	size_t n = (size_t)sprintf(out, "final;");

	for (int i = 0; i < count; i++)
		n += (size_t)sprintf(out + n, "%s" PREFIX "p%d", i > 0 ? " " : "", i);
	return n;
}

static void the_257th_part_is_too_many(void **state)
{
	static char text[8192];
	struct concat c;
	size_t n;

	(void)state;
	n = many_parts(text, CONCAT_PARTS_MAX);
	assert_int_equal(concat_parse(&c, PREFIX, text, n), ERR_OK);
	assert_int_equal(c.count, CONCAT_PARTS_MAX);
	check_part(&c, 0, "p0");
	check_part(&c, 255, "p255");
	check_refused(text, many_parts(text, CONCAT_PARTS_MAX + 1), ERR_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partial_is_read),
		cmocka_unit_test(paths_and_absolute_urls_are_read_and_mixed),
		cmocka_unit_test(any_authority_will_do),
		cmocka_unit_test(any_number_of_spaces_is_between_urls),
		cmocka_unit_test(a_part_may_come_twice_and_order_stays),
		cmocka_unit_test(a_segment_is_what_the_rfc_allows_without_escapes),
		cmocka_unit_test(another_prefix_is_read_where_it_is_asked_for),
		cmocka_unit_test(what_is_neither_is_refused),
		cmocka_unit_test(urls_of_another_shape_are_refused),
		cmocka_unit_test(the_length_counts_and_not_what_stands_behind),
		cmocka_unit_test(the_257th_part_is_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
