/* client - the handle, and the small requests: delete, extend, acknowledge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "tests/library/asking.h"
#include "wire/token.h"

/* ---- the handle ---- */

static void a_grant_is_one_token(void **state)
{
	static const char *const bad[] = { "", "a b", "a\r\nX: y", "caf\xc3\xa9", "a=b", "=" };
	struct story s;

	(void)state;
	tell(&s);
	assert_int_equal(restante_client_set_grant(s.c, "v4.public.aA0-._~+/==", &s.error),
			 RESTANTE_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(restante_client_set_grant(s.c, bad[i], &s.error),
				 RESTANTE_INVALID);
	assert_string_equal(s.c->authorization, "Authorization: Bearer v4.public.aA0-._~+/==");
	assert_int_equal(restante_client_set_grant(s.c, NULL, &s.error), RESTANTE_OK);
	assert_null(s.c->authorization);
	end(&s);
}

static void misuse_is_a_code(void **state)
{
	struct restante_client *c = NULL;
	struct story s;
	uint64_t at;

	(void)state;
	tell(&s);
	assert_int_equal(restante_client_new(NULL, "https://a", NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_client_new(&c, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_client_set_grant(NULL, "a", NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_client_set_ca_file(NULL, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_delete(NULL, "a", NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_delete(s.c, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_extend(s.c, NULL, 1, &at, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_extend(s.c, "a", 1, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_extend(s.c, "a", 0, &at, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_acknowledge(s.c, NULL, NULL), RESTANTE_MISUSE);
	restante_client_set_retries(NULL, 1, 1);
	restante_client_set_stall(NULL, 1);
	restante_cancel(NULL);
	restante_client_free(NULL);
	end(&s);
}

static void a_file_that_is_not_there_is_named_without_control_characters(void **state)
{
	struct story s;

	(void)state;
	tell(&s);
	assert_int_equal(restante_client_set_ca_file(s.c, "no\x1b[2J\nfile\x7f.pem", &s.error),
			 RESTANTE_IO);
	assert_non_null(strstr(s.error.detail, "no?[2J?file?.pem: "));
	end(&s);
}

static void late(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_nap(r, 100);
	fake_answer(r, 200, "", NULL);
}

static void a_stall_of_0_is_the_default(void **state)
{
	struct story s = { .fake = fake_new(late, NULL) };

	(void)state;
	assert_int_equal(restante_client_new(&s.c, fake_url(s.fake), NULL), RESTANTE_OK);
	restante_client_set_retries(s.c, 0, 1);
	restante_client_set_stall(s.c, 0);
	assert_int_equal(get(&s, NULL), RESTANTE_OK);
	end(&s);
}

/* ---- the small requests ---- */

static void mint(char out[static TOKEN_PLAIN_CHARS + 1], enum token_type type)
{
	static const uint8_t key[TOKEN_KEYBYTES] = { 7 };
	const struct token t = { .type = type, .upload = { { 1, 2, 3 } }, .not_after = UINT32_MAX };

	token_mint(out, &t, key);
}

/* Whether the first request was for the token's path and `rest`, without the grant. */
static bool was_asked(struct story *s, const char *method, const char *token, const char *rest)
{
	const struct fake_request *r = fake_asked(s->fake, 0);
	char target[256], value[64];

	(void)snprintf(target, sizeof(target), "/v1/media/%s%s", token, rest);
	return strcmp(r->method, method) == 0 && strcmp(r->target, target) == 0 &&
	       !fake_field(r, "Authorization", value, sizeof(value));
}

static void delete_asks_for_it_with_the_manage_token(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;

	(void)state;
	tell(&s);
	/* the grant is for creations */
	assert_int_equal(restante_client_set_grant(s.c, "abc", NULL), RESTANTE_OK);
	mint(token, TOKEN_MANAGE);
	will_answer(&s, 204, "", NULL);
	assert_int_equal(restante_delete(s.c, token, &s.error), RESTANTE_OK);
	assert_true(was_asked(&s, "DELETE", token, ""));
	end(&s);
}

static void what_is_not_there_is_gone(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;
	uint64_t at = 7;

	(void)state;
	tell(&s);
	mint(token, TOKEN_MANAGE);
	will_answer(&s, 404, PROBLEM, "{\"title\":\"Not there\"}");
	assert_int_equal(restante_delete(s.c, token, &s.error), RESTANTE_GONE);
	assert_string_equal(s.error.detail, "Not there");
	assert_int_equal(restante_extend(s.c, token, 60, &at, &s.error), RESTANTE_GONE);
	assert_int_equal(at, 7);
	mint(token, TOKEN_FETCH);
	assert_int_equal(restante_acknowledge(s.c, token, NULL), RESTANTE_GONE);
	end(&s);
}

static void deleting_what_a_lost_answer_had_deleted_is_no_failure(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;

	(void)state;
	tell(&s);
	mint(token, TOKEN_MANAGE);
	will_answer(&s, 0, NULL, NULL);
	will_answer(&s, 404, PROBLEM, "{\"title\":\"Not there\"}");
	assert_int_equal(restante_delete(s.c, token, &s.error), RESTANTE_OK);
	assert_int_equal(s.error.code, RESTANTE_OK);
	assert_int_equal(fake_count(s.fake), 2);
	assert_int_equal(restante_delete(s.c, token, &s.error), RESTANTE_GONE);
	end(&s);
}

static void what_is_still_arriving_is_for_later(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;
	uint64_t at = 7;

	(void)state;
	tell(&s);
	will_answer(&s, 409, PROBLEM, "{\"title\":\"It has not arrived yet.\"}");
	mint(token, TOKEN_MANAGE);
	assert_int_equal(restante_extend(s.c, token, 60, &at, &s.error), RESTANTE_LIMIT);
	assert_int_equal(s.error.code, RESTANTE_LIMIT);
	assert_string_equal(s.error.detail, "It has not arrived yet.");
	assert_int_equal(at, 7);
	mint(token, TOKEN_FETCH);
	assert_int_equal(restante_acknowledge(s.c, token, NULL), RESTANTE_LIMIT);
	/* when to come back is for the caller to say */
	assert_int_equal(fake_count(s.fake), 2);
	end(&s);
}

static void *extend_on_a_small_stack(void *arg)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story *s = arg;
	uint64_t at;

	mint(token, TOKEN_MANAGE);
	assert_int_equal(restante_extend(s->c, token, 60, &at, NULL), RESTANTE_SERVER);
	return NULL;
}

/* JSON that is nested as deep as jansson takes it. */
static void an_answer_that_is_nested_deep_needs_no_deep_stack(void **state)
{
	static char nested[2048];
	pthread_attr_t small;
	pthread_t thread;
	struct story s;

	(void)state;
	memset(nested, '[', sizeof(nested) - 1);
	tell(&s);
	will_answer(&s, 200, "", nested);
	will_answer(&s, 400, PROBLEM, nested);
	assert_int_equal(pthread_attr_init(&small), 0);
	assert_int_equal(pthread_attr_setstacksize(&small, 128 * 1024), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread, &small, extend_on_a_small_stack, &s), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_int_equal(fake_count(s.fake), 2);
	assert_int_equal(pthread_attr_destroy(&small), 0);
	end(&s);
}

static void extend_tells_when_it_ends_then(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;
	uint64_t at = 0;

	(void)state;
	tell(&s);
	mint(token, TOKEN_MANAGE);
	will_answer(&s, 200, "Content-Type: application/json\r\n",
		    "{\"expires_at\":\"2026-12-21T10:00:00Z\"}");
	assert_int_equal(restante_extend(s.c, token, UINT64_MAX, &at, &s.error), RESTANTE_OK);
	assert_int_equal(at, 1797847200);
	/* more than any server of ours takes */
	assert_true(was_asked(&s, "POST", token, "/extend?ttl=4294967295"));
	end(&s);
}

static void an_extension_without_a_time_makes_no_sense(void **state)
{
	static const char *const bodies[] = { "",
					      "{}",
					      "[]",
					      "{\"expires_at\":1797847200}",
					      "{\"expires_at\":\"tomorrow\"}",
					      "{\"expires_at\":\"2026-12-21T10:00:00Z\"} x",
					      "{\"expires_at\":\"2026-13-21T10:00:00Z\"}" };
	char token[TOKEN_PLAIN_CHARS + 1];
	struct story s;
	uint64_t at = 7;

	(void)state;
	mint(token, TOKEN_MANAGE);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		tell(&s);
		will_answer(&s, 200, "", bodies[i]);
		assert_int_equal(restante_extend(s.c, token, 60, &at, &s.error), RESTANTE_SERVER);
		assert_int_equal(at, 7);
		end(&s);
	}
}

static void acknowledge_speaks_for_the_fetch_token(void **state)
{
	char token[TOKEN_PLAIN_CHARS + 1], narrow[TOKEN_TEXT_SIZE];
	struct story s;

	(void)state;
	tell(&s);
	mint(token, TOKEN_FETCH);
	assert_int_equal(token_narrow_recipient(narrow, token, strlen(token), 3), ERR_OK);
	will_answer(&s, 503, "", NULL);
	will_answer(&s, 204, "", NULL);
	assert_int_equal(restante_acknowledge(s.c, narrow, &s.error), RESTANTE_OK);
	assert_true(was_asked(&s, "POST", narrow, "/ack"));
	assert_true(fake_reaches(s.fake, 2, 1000));
	end(&s);
}

static void what_is_no_token_never_becomes_an_address(void **state)
{
	static const char *const bad[] = {
		"", "x", "../../admin", "a?b", "a b", "a\r\nb", "a/b#c"
	};
	char fetch[TOKEN_PLAIN_CHARS + 1], manage[TOKEN_PLAIN_CHARS + 1];
	struct story s;
	uint64_t at;

	(void)state;
	tell(&s);
	will_answer(&s, 204, "", NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(restante_delete(s.c, bad[i], &s.error), RESTANTE_INVALID);
		assert_int_equal(restante_extend(s.c, bad[i], 1, &at, &s.error), RESTANTE_INVALID);
		assert_int_equal(restante_acknowledge(s.c, bad[i], &s.error), RESTANTE_INVALID);
	}
	/* nor does one of another kind */
	mint(fetch, TOKEN_FETCH);
	mint(manage, TOKEN_MANAGE);
	assert_int_equal(restante_delete(s.c, fetch, &s.error), RESTANTE_INVALID);
	assert_int_equal(restante_extend(s.c, fetch, 1, &at, &s.error), RESTANTE_INVALID);
	assert_int_equal(restante_acknowledge(s.c, manage, &s.error), RESTANTE_INVALID);
	assert_int_equal(fake_count(s.fake), 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_grant_is_one_token),
		cmocka_unit_test(misuse_is_a_code),
		cmocka_unit_test(a_file_that_is_not_there_is_named_without_control_characters),
		cmocka_unit_test(a_stall_of_0_is_the_default),
		cmocka_unit_test(delete_asks_for_it_with_the_manage_token),
		cmocka_unit_test(what_is_not_there_is_gone),
		cmocka_unit_test(deleting_what_a_lost_answer_had_deleted_is_no_failure),
		cmocka_unit_test(what_is_still_arriving_is_for_later),
		cmocka_unit_test(an_answer_that_is_nested_deep_needs_no_deep_stack),
		cmocka_unit_test(extend_tells_when_it_ends_then),
		cmocka_unit_test(an_extension_without_a_time_makes_no_sense),
		cmocka_unit_test(acknowledge_speaks_for_the_fetch_token),
		cmocka_unit_test(what_is_no_token_never_becomes_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
