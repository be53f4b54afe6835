/* What recipients and the creator may do with an upload later: acknowledging and extending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "wire/token.h"

static struct test_server server;

static int start(void **state)
{
	static const struct test_server_options options = {
		.config = "upload { min_free = 0; ttl_max = 30d; }\n"
	};

	(void)state;
	server_start(&server, &options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

static const char body[] = "sealed";

static struct placed place(const char *query)
{
	struct placed p;

	assert_int_equal(http_place(server.port, query, body, sizeof(body), &p), 201);
	return p;
}

static int post(const char *token, const char *what)
{
	char target[256];

	(void)snprintf(target, sizeof(target), "%s%s", token, what);
	return http_status(server.port, "POST", "/v1/media/", target);
}

static int ack(const char *token)
{
	return post(token, "/ack");
}

static int ack_as(const char *token, uint16_t recipient)
{
	char narrow[TOKEN_TEXT_SIZE];

	assert_int_equal(token_narrow_recipient(narrow, token, strlen(token), recipient), ERR_OK);
	return ack(narrow);
}

static bool there(const struct placed *p)
{
	return http_has(server.port, p->token, body, sizeof(body));
}

/* ---- acknowledging ---- */

static void it_is_gone_at_once_when_all_recipients_have_it(void **state)
{
	struct placed p = place("?recipients=3");

	(void)state;
	assert_int_equal(ack_as(p.token, 1), 204);
	assert_int_equal(ack_as(p.token, 3), 204);
	assert_true(there(&p));
	assert_int_equal(ack_as(p.token, 2), 204);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", p.token), 404);
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 404);
}

static void saying_it_again_changes_nothing(void **state)
{
	struct placed p = place("?recipients=2");

	(void)state;
	for (unsigned round = 0; round < 3; round++)
		assert_int_equal(ack_as(p.token, 2), 204);
	assert_true(there(&p));
	assert_int_equal(ack_as(p.token, 1), 204);
	assert_int_equal(ack_as(p.token, 1), 204); /* its answer may have been lost */
	assert_int_equal(ack_as(p.token, 2), 204);
}

static void acknowledgements_outlive_a_kill(void **state)
{
	struct placed p = place("?recipients=2");

	(void)state;
	assert_int_equal(ack_as(p.token, 1), 204);
	server_kill(&server);
	server_again(&server);
	assert_true(there(&p));
	assert_int_equal(ack_as(p.token, 2), 204);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", p.token), 404);
}

static void a_plain_token_speaks_for_an_only_recipient(void **state)
{
	struct placed one = place("?recipients=1"), two = place("?recipients=2");

	(void)state;
	assert_int_equal(ack(two.token), 403);
	assert_true(there(&two));
	assert_int_equal(ack(one.token), 204);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", one.token), 404);
}

static void a_token_speaks_for_one_recipient_at_most(void **state)
{
	struct placed p = place("?recipients=2");
	char first[TOKEN_TEXT_SIZE], same[TOKEN_TEXT_SIZE], both[TOKEN_TEXT_SIZE];

	(void)state;
	assert_int_equal(token_narrow_recipient(first, p.token, strlen(p.token), 1), ERR_OK);
	assert_int_equal(token_narrow_recipient(same, first, strlen(first), 1), ERR_OK);
	assert_int_equal(token_narrow_recipient(both, first, strlen(first), 2), ERR_OK);
	assert_int_equal(ack(both), 403);
	assert_int_equal(ack(same), 204);
	assert_int_equal(ack_as(p.token, 0), 403);
	assert_int_equal(ack_as(p.token, 3), 403);
	assert_int_equal(ack_as(p.token, UINT16_MAX), 403);
	assert_true(there(&p));
}

static void where_nobody_is_counted_it_stays(void **state)
{
	struct placed p = place("");

	(void)state;
	assert_int_equal(ack(p.token), 204);
	assert_int_equal(ack_as(p.token, 7), 204);
	assert_true(there(&p));
}

static void other_tokens_acknowledge_nothing(void **state)
{
	struct placed p = place("?recipients=1");
	char forged[52];

	(void)state;
	memcpy(forged, p.token, sizeof(forged));
	forged[40] = forged[40] == 'A' ? 'B' : 'A';
	assert_int_equal(ack(p.manage), 404);
	assert_int_equal(ack(p.upload + strlen("/v1/uploads/")), 404);
	assert_int_equal(ack(forged), 404);
	assert_int_equal(ack("x"), 404);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/x", "/ack"), 405);
	assert_true(there(&p));
}

static void what_has_not_arrived_cannot_be_acknowledged(void **state)
{
	struct answer a;
	char token[52];

	(void)state;
	http_request(server.port, "POST", "/v1/uploads?recipients=1",
		     "Tus-Resumable: 1.0.0\r\nUpload-Length: 10\r\n", NULL, 0, &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_field(&a, "Media-Token", token, sizeof(token)));
	answer_free(&a);
	assert_int_equal(ack(token), 409);
}

static void what_is_over_is_over(void **state)
{
	struct placed p = place("?recipients=1&ttl=1");

	(void)state;
	client_nap(1100);
	assert_int_equal(ack(p.token), 404);
	assert_int_equal(post(p.manage, "/extend?ttl=1d"), 404);
}

/* ---- extending ---- */

static int64_t extended(const char *manage, const char *query)
{
	struct answer a;
	char target[160], field[64], json[32], same[CLOCK_RFC3339_SIZE];
	int64_t end = -1;

	(void)snprintf(target, sizeof(target), "/v1/media/%s/extend%s", manage, query);
	http_request(server.port, "POST", target, "", NULL, 0, &a);
	assert_int_equal(a.status, 200);
	assert_true(answer_field(&a, "Upload-Expires", field, sizeof(field)));
	assert_true(clock_parse_http(field, strlen(field), &end));
	assert_true(answer_json(&a, "expires_at", json, sizeof(json)));
	clock_rfc3339(same, end);
	assert_string_equal(json, same);
	answer_free(&a);
	return end;
}

static bool ends_in(int64_t end, int64_t s)
{
	const int64_t now = clock_now_s();

	return end >= now + s - 3 && end <= now + s + 3;
}

static void an_extended_upload_outlives_its_first_end(void **state)
{
	struct placed p = place("?ttl=2");

	(void)state;
	assert_true(there(&p)); /* its record is in memory now */
	assert_true(ends_in(extended(p.manage, "?ttl=1h"), 3600));
	client_nap(2500);
	assert_true(there(&p));
	server_kill(&server);
	server_again(&server);
	assert_true(there(&p));
}

static void an_end_never_comes_closer(void **state)
{
	struct placed p = place("?ttl=10d");

	(void)state;
	assert_true(ends_in(extended(p.manage, "?ttl=1h"), 10 * 86400));
	assert_true(ends_in(extended(p.manage, "?ttl=12d"), 12 * 86400));
}

static void no_end_is_beyond_what_the_server_keeps(void **state)
{
	struct placed p = place("?ttl=1d");

	(void)state;
	assert_true(ends_in(extended(p.manage, "?ttl=4000d"), 30 * 86400));
	assert_true(there(&p)); /* and its token still lasts */
}

static void extending_takes_one_strict_ttl(void **state)
{
	static const char *const bad[] = { "",
					   "?",
					   "?ttl=",
					   "?ttl=0",
					   "?ttl=-1",
					   "?ttl=1y",
					   "?ttl=1d&x=1",
					   "?kind=file",
					   "?ttl=+1",
					   "?ttl=99999999999999999999",
					   "?ttl=1d&ttl=2d" };
	struct placed p = place("");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char what[64];

		(void)snprintf(what, sizeof(what), "/extend%s", bad[i]);
		assert_int_equal(post(p.manage, what), 400);
	}
	assert_int_equal(post(p.token, "/extend?ttl=1d"), 404);
	assert_int_equal(post(p.upload + strlen("/v1/uploads/"), "/extend?ttl=1d"), 404);
}

static void what_is_deleted_is_not_extended(void **state)
{
	struct placed p = place("");

	(void)state;
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 204);
	assert_int_equal(post(p.manage, "/extend?ttl=1d"), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_gone_at_once_when_all_recipients_have_it),
		cmocka_unit_test(saying_it_again_changes_nothing),
		cmocka_unit_test(acknowledgements_outlive_a_kill),
		cmocka_unit_test(a_plain_token_speaks_for_an_only_recipient),
		cmocka_unit_test(a_token_speaks_for_one_recipient_at_most),
		cmocka_unit_test(where_nobody_is_counted_it_stays),
		cmocka_unit_test(other_tokens_acknowledge_nothing),
		cmocka_unit_test(what_has_not_arrived_cannot_be_acknowledged),
		cmocka_unit_test(what_is_over_is_over),
		cmocka_unit_test(an_extended_upload_outlives_its_first_end),
		cmocka_unit_test(an_end_never_comes_closer),
		cmocka_unit_test(no_end_is_beyond_what_the_server_keeps),
		cmocka_unit_test(extending_takes_one_strict_ttl),
		cmocka_unit_test(what_is_deleted_is_not_extended),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
