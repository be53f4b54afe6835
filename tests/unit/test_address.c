#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "server/address.h"

static struct address of(const char *text, uint16_t port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} u;

	memset(&u, 0, sizeof(u));
	if (strchr(text, ':') == NULL) {
		u.v4.sin_family = AF_INET;
		u.v4.sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &u.v4.sin_addr), 1);
	} else {
		u.v6.sin6_family = AF_INET6;
		u.v6.sin6_port = htons(port);
		u.v6.sin6_flowinfo = port;
		u.v6.sin6_scope_id = port;
		assert_int_equal(inet_pton(AF_INET6, text, &u.v6.sin6_addr), 1);
	}
	return address_of(&u.sa);
}

static struct address of_unix(const char *path)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
	} u;

	memset(&u, 0, sizeof(u));
	u.un.sun_family = AF_UNIX;
	strcpy(u.un.sun_path, path);
	return address_of(&u.sa);
}

static bool same(struct address a, struct address b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static void each_ipv4_address_is_one(void **state)
{
	(void)state;
	assert_true(same(of("192.0.2.1", 80), of("192.0.2.1", 80)));
	assert_false(same(of("192.0.2.1", 80), of("192.0.2.2", 80)));
	assert_false(same(of("192.0.2.1", 80), of("193.0.2.1", 80)));
}

static void ports_and_scopes_do_not_matter(void **state)
{
	(void)state;
	assert_true(same(of("192.0.2.1", 1), of("192.0.2.1", 65535)));
	assert_true(same(of("2001:db8::1", 1), of("2001:db8::1", 65535)));
}

static void an_ipv6_network_of_64_bits_is_one(void **state)
{
	(void)state;
	assert_true(same(of("2001:db8:1:2::1", 1), of("2001:db8:1:2:ffff:ffff:ffff:ffff", 1)));
	assert_false(same(of("2001:db8:1:2::1", 1), of("2001:db8:1:3::1", 1)));
	assert_false(same(of("2001:db8:1:2::1", 1), of("2001:db9:1:2::1", 1)));
}

static void an_ipv4_address_in_ipv6_is_that_ipv4_address(void **state)
{
	(void)state;
	assert_true(same(of("::ffff:192.0.2.1", 1), of("192.0.2.1", 1)));
	assert_false(same(of("::ffff:192.0.2.1", 1), of("::ffff:192.0.2.2", 1)));
}

static void the_families_do_not_mix(void **state)
{
	(void)state;
	/* c000:0201 is 192.0.2.1 */
	assert_false(same(of("192.0.2.1", 1), of("c000:201::", 1)));
	assert_false(same(of("0.0.0.0", 1), of("::", 1)));
	assert_false(same(of("0.0.0.0", 1), of_unix("/run/a")));
	assert_false(same(of("::", 1), of_unix("/run/a")));
}

static void all_without_an_address_are_one(void **state)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	(void)state;
	assert_true(same(of_unix("/run/a"), of_unix("/run/b")));
	assert_true(same(of_unix(""), address_of(&nobody)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_ipv4_address_is_one),
		cmocka_unit_test(ports_and_scopes_do_not_matter),
		cmocka_unit_test(an_ipv6_network_of_64_bits_is_one),
		cmocka_unit_test(an_ipv4_address_in_ipv6_is_that_ipv4_address),
		cmocka_unit_test(the_families_do_not_mix),
		cmocka_unit_test(all_without_an_address_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
