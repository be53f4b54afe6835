#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/access.h"
#include "server/route.h"

#define NOW_S 1795341600 /* 22 November 2026, 10:00:00 */
#define MS INT64_C(1000000)

static const char *line_of(const struct access *a, int64_t took_ns)
{
	static char line[ACCESS_LINE_MAX];

	access_format(line, a, NOW_S, a->began_ns + took_ns);
	return line;
}

static struct access fetched(void)
{
	return (struct access){
		.method = HTTP_GET,
		.route = route_find(HTTP_GET, "/v1/media/abc", false, false).number,
		.http11 = true,
		.status = 200,
		.bytes = 1234,
		.began_ns = 77 * MS,
	};
}

static void a_line_is_common_log_and_the_seconds_it_took(void **state)
{
	const struct access a = fetched();

	(void)state;
	assert_string_equal(line_of(&a, 2 * MS),
			    "- - - [22/Nov/2026:10:00:00 +0000] \"GET /v1/media/* HTTP/1.1\" 200 "
			    "1234 0.002");
	assert_non_null(strstr(line_of(&a, 61005 * MS), " 1234 61.005"));
}

static void what_was_not_understood_is_named_by_us(void **state)
{
	struct access a = { .status = 431, .bytes = 60 };

	(void)state;
	assert_string_equal(line_of(&a, 0), "- - - [22/Nov/2026:10:00:00 +0000] \"none none "
					    "HTTP/1.0\" 431 60 0.000");
	a.method = HTTP_OTHER;
	a.bytes = ACCESS_NONE;
	assert_non_null(strstr(line_of(&a, 0), "\"other none HTTP/1.0\" 431 - 0.000"));
}

static void an_address_stands_there_if_it_is_to(void **state)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr local = { .sa_family = AF_UNIX };
	struct access a = fetched();

	(void)state;
	inet_pton(AF_INET, "127.0.0.7", &v4.sin_addr);
	a.client = (const struct sockaddr *)&v4;
	assert_memory_equal(line_of(&a, 0), "127.0.0.7 - - [", 15);
	inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr);
	a.client = (const struct sockaddr *)&v6;
	assert_memory_equal(line_of(&a, 0), "2001:db8::7 - - [", 17);
	inet_pton(AF_INET6, "::ffff:127.0.0.8", &v6.sin6_addr);
	assert_memory_equal(line_of(&a, 0), "127.0.0.8 - - [", 15);
	a.client = &local;
	assert_memory_equal(line_of(&a, 0), "- - - [", 7);
}

/* No method, no route, no number makes a line that would be cut. */
static void every_line_fits(void **state)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct access a = { .client = (const struct sockaddr *)&v6,
			    .http11 = true,
			    .status = 599,
			    .bytes = UINT64_MAX - 1 };

	(void)state;
	memset(&v6.sin6_addr, 0xab, sizeof(v6.sin6_addr));
	for (a.route = 0; a.route < ROUTES_MAX; a.route++)
		for (unsigned m = 0; m <= HTTP_OTHER; m = m == 0 ? 1 : m << 1) {
			const char *line;

			a.method = (enum http_method)m;
			line = line_of(&a, INT64_MAX);
			assert_true(strlen(line) < ACCESS_LINE_MAX - 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_common_log_and_the_seconds_it_took),
		cmocka_unit_test(what_was_not_understood_is_named_by_us),
		cmocka_unit_test(an_address_stands_there_if_it_is_to),
		cmocka_unit_test(every_line_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
