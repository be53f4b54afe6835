/* Tokens without a key: what the library reads in them, and how it narrows them. The vectors are
 * doc/token-vectors.json, made by another implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "restante/token.h"
#include "wire/token.h"

#define PLAIN "EQEQERITFBUWFxgZGhscHR4faytNgNnwaC-B3aYF0hbhKkLB77s"
#define NARROW_42 "EQEQERITFBUWFxgZGhscHR4faytNgAIAKuFl0v9QkXnwTyu_aTgOJkE"

static int load_vectors(void **state)
{
	const char *top = getenv("TOP");
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/doc/token-vectors.json", top != NULL ? top : ".");
	*state = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(*state);
	return 0;
}

static int drop_vectors(void **state)
{
	json_decref(*state);
	return 0;
}

static const char *string_of(const json_t *vector, const char *name)
{
	const char *text = json_string_value(json_object_get(vector, name));

	assert_non_null(text);
	return text;
}

static uint64_t number_of(const json_t *vector, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(vector, name));
}

static enum restante_token_type type_of(const json_t *vector)
{
	const char *type = string_of(vector, "type");

	return strcmp(type, "fetch") == 0    ? RESTANTE_TOKEN_FETCH
	       : strcmp(type, "manage") == 0 ? RESTANTE_TOKEN_MANAGE
					     : RESTANTE_TOKEN_UPLOAD;
}

/* Applies a caveat to what reading should tell. */
static void expect(struct restante_token_info *info, const json_t *caveat)
{
	info->caveat_count++;
	if (json_object_get(caveat, "recipient") != NULL)
		info->recipients[info->recipient_count++] =
			(uint16_t)number_of(caveat, "recipient");
	else if (number_of(caveat, "not_after") < info->not_after)
		info->not_after = number_of(caveat, "not_after");
}

static void assert_info(const struct restante_token_info *got,
			const struct restante_token_info *want)
{
	assert_int_equal(got->type, want->type);
	assert_int_equal(got->key_id, want->key_id);
	assert_int_equal(got->not_after, want->not_after);
	assert_int_equal(got->caveat_count, want->caveat_count);
	assert_int_equal(got->recipient_count, want->recipient_count);
	assert_memory_equal(got->recipients, want->recipients, sizeof(want->recipients));
}

static void the_good_vectors_are_read_without_a_key(void **state)
{
	const json_t *vector, *caveat;
	size_t i, j;

	json_array_foreach(json_object_get(*state, "good"), i, vector)
	{
		struct restante_token_info got, want = {
			.type = type_of(vector),
			.key_id = (uint8_t)number_of(vector, "key_id"),
			.not_after = number_of(vector, "not_after"),
		};

		json_array_foreach(json_object_get(vector, "caveats"), j, caveat)
			expect(&want, caveat);
		assert_int_equal(restante_token_read(&got, string_of(vector, "token"), NULL),
				 RESTANTE_OK);
		assert_info(&got, &want);
	}
	assert_true(i >= 10);
}

/* The tag before the caveats is in no vector, so each starts at the plain token of its fields. */
static const char *plain_of(const json_t *good, const json_t *vector)
{
	const json_t *other;
	size_t i;

	json_array_foreach(good, i, other)
	{
		if (json_array_size(json_object_get(other, "caveats")) == 0 &&
		    strcmp(string_of(other, "type"), string_of(vector, "type")) == 0 &&
		    strcmp(string_of(other, "upload"), string_of(vector, "upload")) == 0 &&
		    number_of(other, "key_id") == number_of(vector, "key_id") &&
		    number_of(other, "not_after") == number_of(vector, "not_after"))
			return string_of(other, "token");
	}
	return NULL;
}

static void narrowing_makes_the_narrow_vectors(void **state)
{
	const json_t *good = json_object_get(*state, "good"), *vector, *caveat;
	char token[RESTANTE_TOKEN_SIZE];
	size_t i, j;
	int made = 0;

	json_array_foreach(good, i, vector)
	{
		const json_t *caveats = json_object_get(vector, "caveats");
		const char *plain = plain_of(good, vector);

		if (plain == NULL || json_array_size(caveats) == 0)
			continue;
		strcpy(token, plain);
		json_array_foreach(caveats, j, caveat)
		{
			enum restante_code rc =
				json_object_get(caveat, "recipient") != NULL
					? restante_token_recipient(
						  token, token,
						  (uint16_t)number_of(caveat, "recipient"), NULL)
					: restante_token_not_after(token, token,
								   number_of(caveat, "not_after"),
								   NULL);

			assert_int_equal(rc, RESTANTE_OK);
		}
		assert_string_equal(token, string_of(vector, "token"));
		made++;
	}
	assert_true(made >= 5);
}

/* The others are about keys, tags and times, of which only the server knows. */
static void the_vectors_that_are_no_tokens_are_refused(void **state)
{
	static const char *const types[] = { "fetch", "manage", "upload" };
	const json_t *vector;
	size_t i;
	int seen = 0;

	json_array_foreach(json_object_get(*state, "bad"), i, vector)
	{
		struct restante_token_info info;
		struct restante_error e;
		enum restante_code rc = restante_token_read(&info, string_of(vector, "token"), &e);

		if (strcmp(string_of(vector, "reason"), "invalid") != 0) {
			assert_int_equal(rc, RESTANTE_OK);
			continue;
		}
		/* or a token, but of another type than the one wanted */
		if (rc == RESTANTE_OK) {
			assert_string_not_equal(types[info.type - RESTANTE_TOKEN_FETCH],
						string_of(vector, "want"));
			continue;
		}
		assert_int_equal(rc, RESTANTE_INVALID);
		assert_int_equal(e.code, RESTANTE_INVALID);
		assert_true(e.detail[0] != '\0');
		seen++;
	}
	assert_true(seen >= 10);
}

static void a_narrowed_token_is_one_that_the_server_takes(void **state)
{
	char token[RESTANTE_TOKEN_SIZE];

	(void)state;
	assert_int_equal(restante_token_recipient(token, PLAIN, 42, NULL), RESTANTE_OK);
	assert_string_equal(token, NARROW_42);
}

static void a_token_is_narrowed_eight_times_at_most(void **state)
{
	char token[RESTANTE_TOKEN_SIZE] = PLAIN, before[RESTANTE_TOKEN_SIZE];
	struct restante_token_info info;
	struct restante_error e;

	(void)state;
	for (uint64_t i = 0; i < RESTANTE_TOKEN_CAVEATS; i++)
		assert_int_equal(restante_token_not_after(token, token, 1790000000 - i, NULL),
				 RESTANTE_OK);
	assert_int_equal(strlen(token), RESTANTE_TOKEN_SIZE - 1);
	assert_int_equal(restante_token_read(&info, token, NULL), RESTANTE_OK);
	assert_int_equal(info.caveat_count, RESTANTE_TOKEN_CAVEATS);
	assert_int_equal(info.not_after, 1790000000 - 7);
	strcpy(before, token);
	assert_int_equal(restante_token_recipient(token, token, 1, &e), RESTANTE_TOOBIG);
	assert_int_equal(restante_token_not_after(token, token, 1, &e), RESTANTE_TOOBIG);
	assert_int_equal(e.code, RESTANTE_TOOBIG);
	assert_string_equal(token, before);
}

static void a_token_never_ends_later(void **state)
{
	struct restante_token_info info;
	char token[RESTANTE_TOKEN_SIZE];

	(void)state;
	assert_int_equal(restante_token_not_after(token, PLAIN, UINT32_MAX, NULL), RESTANTE_OK);
	assert_int_equal(restante_token_read(&info, token, NULL), RESTANTE_OK);
	assert_int_equal(info.not_after, 1798000000);
	assert_int_equal(restante_token_not_after(token, PLAIN, (uint64_t)UINT32_MAX + 1, NULL),
			 RESTANTE_INVALID);
}

static void what_is_no_token_is_said_to_be_none_without_quoting_it(void **state)
{
	static const char *const bad[] = { "",
					   " ",
					   "x",
					   PLAIN "=",
					   PLAIN "A",
					   PLAIN " ",
					   "AQEQERITFBUWFxgZGhscHR4faytNgNnwaC-B3aYF0hbhKkLB77s",
					   PLAIN PLAIN PLAIN PLAIN };
	struct restante_token_info info = { .key_id = 99 };
	char token[RESTANTE_TOKEN_SIZE] = "as it was";
	struct restante_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(restante_token_read(&info, bad[i], &e), RESTANTE_INVALID);
		assert_null(strstr(e.detail, "EQEQ"));
		assert_int_equal(restante_token_recipient(token, bad[i], 1, &e), RESTANTE_INVALID);
		assert_int_equal(restante_token_not_after(token, bad[i], 1, &e), RESTANTE_INVALID);
	}
	assert_int_equal(info.key_id, 99);
	assert_string_equal(token, "as it was");
}

static void misuse_is_a_code(void **state)
{
	struct restante_token_info info;
	char token[RESTANTE_TOKEN_SIZE];

	(void)state;
	assert_int_equal(restante_token_read(NULL, PLAIN, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_token_read(&info, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_token_not_after(NULL, PLAIN, 1, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_token_not_after(token, NULL, 1, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_token_recipient(NULL, PLAIN, 1, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_token_recipient(token, NULL, 1, NULL), RESTANTE_MISUSE);
}

static const uint8_t *the_key(const void *ctx, uint8_t key_id)
{
	(void)key_id;
	return ctx;
}

static void reading_and_verifying_tell_the_same(void **state)
{
	uint8_t key[TOKEN_KEYBYTES];
	struct token minted = { .type = TOKEN_MANAGE, .key_id = 3, .not_after = 1798000000 };
	struct token read, verified;
	char text[TOKEN_TEXT_SIZE];

	(void)state;
	randombytes_buf(key, sizeof(key));
	token_mint(text, &minted, key);
	assert_int_equal(restante_token_recipient(text, text, 7, NULL), RESTANTE_OK);
	assert_int_equal(restante_token_not_after(text, text, 1797000000, NULL), RESTANTE_OK);
	assert_int_equal(token_verify(&verified, text, strlen(text), TOKEN_MANAGE, 1, the_key, key),
			 ERR_OK);
	assert_int_equal(token_read(&read, text, strlen(text)), ERR_OK);
	assert_int_equal(read.type, verified.type);
	assert_int_equal(read.key_id, verified.key_id);
	assert_memory_equal(read.upload.b, verified.upload.b, sizeof(read.upload.b));
	assert_int_equal(read.recipient_count, verified.recipient_count);
	assert_int_equal(read.recipients[0], verified.recipients[0]);
	assert_int_equal(read.not_after, verified.not_after);
	assert_int_equal(read.caveat_count, 2);
	assert_int_equal(read.not_after, 1797000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_good_vectors_are_read_without_a_key),
		cmocka_unit_test(narrowing_makes_the_narrow_vectors),
		cmocka_unit_test(the_vectors_that_are_no_tokens_are_refused),
		cmocka_unit_test(a_narrowed_token_is_one_that_the_server_takes),
		cmocka_unit_test(a_token_is_narrowed_eight_times_at_most),
		cmocka_unit_test(a_token_never_ends_later),
		cmocka_unit_test(what_is_no_token_is_said_to_be_none_without_quoting_it),
		cmocka_unit_test(misuse_is_a_code),
		cmocka_unit_test(reading_and_verifying_tell_the_same),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, load_vectors, drop_vectors);
}
