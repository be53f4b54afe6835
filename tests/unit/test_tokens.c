/* tokens - what is remembered of tokens never says anything else than verifying would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "server/tokens.h"

#define NOW 1800000000
#define END (NOW + 100)
#define MANY 2000

struct fixture {
	char dir[64];
	struct keys *keys;
	struct err err;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/restante-tokens-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(keys_open(&f->keys, f->dir, NOW, 1000, &f->err), ERR_OK);
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;
	char command[128];

	keys_free(f->keys);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void mint(const struct fixture *f, char text[static TOKEN_TEXT_SIZE], uint32_t number)
{
	struct token t = { .type = TOKEN_FETCH, .not_after = END };
	const uint8_t *key = keys_current(f->keys, &t.key_id);

	memcpy(t.upload.b, &number, sizeof(number));
	token_mint(text, &t, key);
}

static bool is_good(const struct keys *keys, const char *text, int64_t now)
{
	struct upload_id id;

	return tokens_verify(&id, text, strlen(text), TOKEN_FETCH, now, keys);
}

static void assert_names(const struct fixture *f, const char *text, uint32_t number)
{
	struct upload_id id, want = { { 0 } };

	memcpy(want.b, &number, sizeof(number));
	assert_true(tokens_verify(&id, text, strlen(text), TOKEN_FETCH, NOW, f->keys));
	assert_memory_equal(&id, &want, sizeof(id));
}

static void a_token_names_its_upload_every_time(void **state)
{
	char text[TOKEN_TEXT_SIZE];

	for (int i = 0; i < 3 * MANY; i++) {
		mint(*state, text, (uint32_t)(i % MANY));
		assert_names(*state, text, (uint32_t)(i % MANY));
		assert_names(*state, text, (uint32_t)(i % MANY));
	}
}

static void a_known_token_ends_when_its_time_is_over(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE];

	mint(f, text, 1);
	assert_true(is_good(f->keys, text, NOW));
	assert_true(is_good(f->keys, text, END));
	assert_false(is_good(f->keys, text, END + 1));
	assert_true(is_good(f->keys, text, END)); /* a clock may be set back */
}

static void a_narrowed_token_ends_earlier_than_the_one_it_was_made_of(void **state)
{
	struct fixture *f = *state;
	char wide[TOKEN_TEXT_SIZE], text[TOKEN_TEXT_SIZE];

	mint(f, wide, 1);
	assert_int_equal(token_narrow_time(text, wide, strlen(wide), NOW + 10), ERR_OK);
	for (int i = 0; i < 2; i++) {
		assert_true(is_good(f->keys, wide, NOW + 11));
		assert_true(is_good(f->keys, text, NOW + 10));
		assert_false(is_good(f->keys, text, NOW + 11));
	}
}

static void a_known_token_is_good_for_its_own_type_only(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE];
	struct upload_id id;

	mint(f, text, 1);
	assert_true(is_good(f->keys, text, NOW));
	assert_false(tokens_verify(&id, text, strlen(text), TOKEN_UPLOAD, NOW, f->keys));
	assert_false(tokens_verify(&id, text, strlen(text), TOKEN_MANAGE, NOW, f->keys));
	assert_true(is_good(f->keys, text, NOW));
}

static void what_differs_from_a_known_token_anywhere_is_not_good(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE];
	const char right[] = "AB";

	mint(f, text, 1);
	for (size_t i = 0; i < TOKEN_PLAIN_CHARS; i++) {
		const char was = text[i];

		assert_true(is_good(f->keys, text, NOW));
		text[i] = right[was == right[0]];
		assert_false(is_good(f->keys, text, NOW));
		text[i] = was;
	}
	assert_true(is_good(f->keys, text, NOW));
	text[TOKEN_PLAIN_CHARS - 1] = '\0';
	assert_false(is_good(f->keys, text, NOW));
	assert_false(is_good(f->keys, "", NOW));
}

static void a_token_known_by_other_keys_is_not_good_by_these(void **state)
{
	struct fixture *f = *state, *other;
	void *more;
	char text[TOKEN_TEXT_SIZE];

	make(&more);
	other = more;
	mint(f, text, 1);
	for (int i = 0; i < 2; i++) {
		assert_true(is_good(f->keys, text, NOW));
		assert_false(is_good(other->keys, text, NOW));
	}
	drop(&more);
}

/* Also when those that take their place lie where the others lay. */
static void a_known_token_goes_with_its_key(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE];
	int64_t now = NOW;

	mint(f, text, 1);
	assert_true(is_good(f->keys, text, NOW));
	for (int i = 0; i < 2; i++, now += 2000) { /* the first is spent by then */
		assert_int_equal(keys_rotate(f->dir, now, 1000, &f->err), ERR_OK);
		keys_free(f->keys);
		assert_int_equal(keys_open(&f->keys, f->dir, now, 1000, &f->err), ERR_OK);
		assert_int_equal(is_good(f->keys, text, NOW), i == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_token_names_its_upload_every_time, make, drop),
		cmocka_unit_test_setup_teardown(a_known_token_ends_when_its_time_is_over, make,
						drop),
		cmocka_unit_test_setup_teardown(
			a_narrowed_token_ends_earlier_than_the_one_it_was_made_of, make, drop),
		cmocka_unit_test_setup_teardown(a_known_token_is_good_for_its_own_type_only, make,
						drop),
		cmocka_unit_test_setup_teardown(
			what_differs_from_a_known_token_anywhere_is_not_good, make, drop),
		cmocka_unit_test_setup_teardown(a_token_known_by_other_keys_is_not_good_by_these,
						make, drop),
		cmocka_unit_test_setup_teardown(a_known_token_goes_with_its_key, make, drop),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
