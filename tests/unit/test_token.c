#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "base/bytes.h"
#include "base/text.h"
#include "wire/token.h"

#define NOW INT64_C(1790000000)
#define LATER 1798000000u

static const uint8_t key_1[TOKEN_KEYBYTES] = "the key that has the id of one.";
static const uint8_t key_2[TOKEN_KEYBYTES] = "and this is the key for id two.";

static const uint8_t *find_key(const void *ctx, uint8_t key_id)
{
	(void)ctx;
	return key_id == 1 ? key_1 : key_id == 2 ? key_2 : NULL;
}

static struct token sample(enum token_type type)
{
	struct token t = { .type = type, .key_id = 1, .not_after = LATER };

	memcpy(t.upload.b, "sixteen random b", 16);
	return t;
}

static void mint(char out[static TOKEN_TEXT_SIZE], enum token_type type)
{
	struct token t = sample(type);

	token_mint(out, &t, key_1);
}

static enum err_code verify(struct token *out, const char *text, enum token_type want)
{
	return token_verify(out, text, strlen(text), want, NOW, find_key, NULL);
}

/* Is refused, with out untouched. */
static void check_refused(const char *text, size_t n, enum token_type want, int64_t now,
			  enum err_code rc)
{
	struct token t, before;

	memset(&t, 0xa5, sizeof(t));
	before = t;
	assert_int_equal(token_verify(&t, text, n, want, now, find_key, NULL), rc);
	assert_memory_equal(&t, &before, sizeof(t));
}

static void a_minted_token_verifies(void **state)
{
	static const enum token_type types[] = { TOKEN_FETCH, TOKEN_MANAGE, TOKEN_UPLOAD };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct token in = sample(types[i]), out;
		char text[TOKEN_TEXT_SIZE];

		mint(text, types[i]);
		assert_int_equal(strlen(text), TOKEN_PLAIN_CHARS);
		assert_int_equal(verify(&out, text, types[i]), ERR_OK);
		assert_int_equal(out.type, types[i]);
		assert_int_equal(out.key_id, 1);
		assert_memory_equal(out.upload.b, in.upload.b, 16);
		assert_int_equal(out.not_after, LATER);
		assert_int_equal(out.recipient_count, 0);
	}
}

static void a_token_of_one_type_is_none_of_another(void **state)
{
	char text[TOKEN_TEXT_SIZE];

	(void)state;
	mint(text, TOKEN_FETCH);
	check_refused(text, strlen(text), TOKEN_UPLOAD, NOW, ERR_INVALID);
	check_refused(text, strlen(text), TOKEN_MANAGE, NOW, ERR_INVALID);
	mint(text, TOKEN_UPLOAD);
	check_refused(text, strlen(text), TOKEN_FETCH, NOW, ERR_INVALID);
}

static void an_unknown_key_is_not_found(void **state)
{
	struct token t = sample(TOKEN_FETCH);
	char text[TOKEN_TEXT_SIZE];

	(void)state;
	t.key_id = 3;
	token_mint(text, &t, key_1);
	check_refused(text, strlen(text), TOKEN_FETCH, NOW, ERR_NOTFOUND);
}

static void a_forged_token_is_refused(void **state)
{
	struct token t = sample(TOKEN_FETCH);
	char text[TOKEN_TEXT_SIZE];

	(void)state;
	token_mint(text, &t, key_2);
	check_refused(text, strlen(text), TOKEN_FETCH, NOW, ERR_FORGED);
	t.key_id = 2;
	token_mint(text, &t, key_1);
	check_refused(text, strlen(text), TOKEN_FETCH, NOW, ERR_FORGED);
}

/* Refused as any of the three types, by whatever check comes first. */
static void check_no_type_takes(const uint8_t *raw, size_t len)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	base64url_encode(text, raw, len);
	assert_int_not_equal(verify(&t, text, TOKEN_FETCH), ERR_OK);
	assert_int_not_equal(verify(&t, text, TOKEN_MANAGE), ERR_OK);
	assert_int_not_equal(verify(&t, text, TOKEN_UPLOAD), ERR_OK);
}

static void check_every_flip(const char *text)
{
	uint8_t raw[TOKEN_MAX_BYTES];
	size_t len;

	assert_true(base64url_decode(raw, sizeof(raw), &len, text, strlen(text)));
	for (size_t bit = 0; bit < len * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		check_no_type_takes(raw, len);
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void add_caveats(char text[static TOKEN_TEXT_SIZE], int n)
{
	for (int i = 0; i < n; i++) {
		enum err_code rc = i % 2 == 0 ? token_narrow_recipient(text, text, strlen(text),
								       (uint16_t)(i + 1))
					      : token_narrow_time(text, text, strlen(text),
								  LATER - (uint32_t)i);

		assert_int_equal(rc, ERR_OK);
	}
}

static void every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	for (int caveats = 0; caveats <= TOKEN_CAVEATS_MAX; caveats++) {
		char text[TOKEN_TEXT_SIZE];

		mint(text, TOKEN_FETCH);
		add_caveats(text, caveats);
		check_every_flip(text);
	}
}

static void every_other_spelling_of_a_character_is_noticed(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	for (size_t at = 0; text[at] != '\0'; at++) {
		char was = text[at];

		for (int c = 0; c < 256; c++) {
			text[at] = (char)c;
			if (text[at] != was)
				assert_int_not_equal(token_verify(&t, text, TOKEN_PLAIN_CHARS,
								  TOKEN_FETCH, NOW, find_key, NULL),
						     ERR_OK);
		}
		text[at] = was;
	}
}

static void every_truncation_is_refused(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	add_caveats(text, 3);
	for (size_t n = 0; n < strlen(text); n++) {
		assert_int_not_equal(token_verify(&t, text, n, TOKEN_FETCH, NOW, find_key, NULL),
				     ERR_OK);
		if (n < TOKEN_PLAIN_CHARS)
			check_refused(text, n, TOKEN_FETCH, NOW, ERR_INVALID);
	}
}

static void what_is_too_long_is_no_token(void **state)
{
	char text[4096];

	(void)state;
	memset(text, 'A', sizeof(text));
	mint(text, TOKEN_FETCH);
	text[TOKEN_PLAIN_CHARS] = 'A';
	for (size_t n = TOKEN_PLAIN_CHARS + 1; n < 200; n++)
		check_refused(text, n, TOKEN_FETCH, NOW, ERR_INVALID);
	check_refused(text, sizeof(text), TOKEN_FETCH, NOW, ERR_INVALID);
}

static void only_strict_base64url_is_read(void **state)
{
	char text[TOKEN_TEXT_SIZE], other[TOKEN_TEXT_SIZE + 4];

	(void)state;
	mint(text, TOKEN_FETCH);
	snprintf(other, sizeof(other), "%s=", text);
	check_refused(other, strlen(other), TOKEN_FETCH, NOW, ERR_INVALID);
	snprintf(other, sizeof(other), " %s", text);
	check_refused(other, strlen(other), TOKEN_FETCH, NOW, ERR_INVALID);
	snprintf(other, sizeof(other), "%s\n", text);
	check_refused(other, strlen(other), TOKEN_FETCH, NOW, ERR_INVALID);
	check_refused(text, TOKEN_PLAIN_CHARS + 1, TOKEN_FETCH, NOW, ERR_INVALID); /* its NUL */
	check_refused("", 0, TOKEN_FETCH, NOW, ERR_INVALID);
}

static void a_token_ends_with_its_last_second(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	assert_int_equal(token_verify(&t, text, strlen(text), TOKEN_FETCH, LATER, find_key, NULL),
			 ERR_OK);
	check_refused(text, strlen(text), TOKEN_FETCH, (int64_t)LATER + 1, ERR_EXPIRED);
	check_refused(text, strlen(text), TOKEN_FETCH, INT64_MAX, ERR_EXPIRED);
	/* 2^32 seconds on, a clock cut to 32 bits would find it fresh again. */
	check_refused(text, strlen(text), TOKEN_FETCH, NOW + (INT64_C(1) << 32), ERR_EXPIRED);
}

static void a_caveat_ends_a_token_earlier_and_never_later(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	assert_int_equal(token_narrow_time(text, text, strlen(text), NOW + 10), ERR_OK);
	assert_int_equal(token_narrow_time(text, text, strlen(text), UINT32_MAX), ERR_OK);
	assert_int_equal(verify(&t, text, TOKEN_FETCH), ERR_OK);
	assert_int_equal(t.not_after, NOW + 10);
	check_refused(text, strlen(text), TOKEN_FETCH, NOW + 11, ERR_EXPIRED);
}

static void a_forged_token_is_forged_however_old(void **state)
{
	char text[TOKEN_TEXT_SIZE];

	(void)state;
	mint(text, TOKEN_FETCH);
	text[TOKEN_PLAIN_CHARS - 10] ^= 1;
	check_refused(text, strlen(text), TOKEN_FETCH, INT64_MAX, ERR_FORGED);
}

static void recipients_are_reported_in_order(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	for (uint16_t i = 0; i < TOKEN_CAVEATS_MAX; i++)
		assert_int_equal(token_narrow_recipient(text, text, strlen(text),
							(uint16_t)(UINT16_MAX - i * 1000)),
				 ERR_OK);
	assert_int_equal(verify(&t, text, TOKEN_FETCH), ERR_OK);
	assert_int_equal(t.recipient_count, TOKEN_CAVEATS_MAX);
	for (uint16_t i = 0; i < TOKEN_CAVEATS_MAX; i++)
		assert_int_equal(t.recipients[i], UINT16_MAX - i * 1000);
}

static void the_ninth_caveat_is_refused(void **state)
{
	char text[TOKEN_TEXT_SIZE], out[TOKEN_TEXT_SIZE] = "untouched";
	struct token t;

	(void)state;
	mint(text, TOKEN_FETCH);
	for (uint32_t i = 0; i < TOKEN_CAVEATS_MAX; i++)
		assert_int_equal(token_narrow_time(text, text, strlen(text), LATER - i), ERR_OK);
	assert_int_equal(strlen(text), TOKEN_TEXT_SIZE - 1);
	assert_int_equal(verify(&t, text, TOKEN_FETCH), ERR_OK);
	assert_int_equal(t.not_after, LATER - 7);
	assert_int_equal(token_narrow_time(out, text, strlen(text), 1), ERR_TOOBIG);
	assert_int_equal(token_narrow_recipient(out, text, strlen(text), 1), ERR_TOOBIG);
	assert_string_equal(out, "untouched");
}

static void narrowing_needs_no_key_and_believes_nothing(void **state)
{
	struct token t = sample(TOKEN_FETCH);
	char text[TOKEN_TEXT_SIZE], out[TOKEN_TEXT_SIZE];

	(void)state;
	token_mint(text, &t, key_2); /* forged: the id says 1 */
	assert_int_equal(token_narrow_recipient(out, text, strlen(text), 7), ERR_OK);
	check_refused(out, strlen(out), TOKEN_FETCH, NOW, ERR_FORGED);
}

static void only_a_token_can_be_narrowed(void **state)
{
	char text[TOKEN_TEXT_SIZE], out[TOKEN_TEXT_SIZE] = "untouched";

	(void)state;
	mint(text, TOKEN_FETCH);
	assert_int_equal(token_narrow_time(out, text, strlen(text) - 1, 1), ERR_INVALID);
	assert_int_equal(token_narrow_time(out, "", 0, 1), ERR_INVALID);
	assert_int_equal(token_narrow_recipient(out, "hello", 5, 1), ERR_INVALID);
	text[0] = 'I'; /* type 0x21 */
	assert_int_equal(token_narrow_recipient(out, text, strlen(text), 1), ERR_INVALID);
	assert_string_equal(out, "untouched");
}

static void a_removed_or_swapped_caveat_is_noticed(void **state)
{
	char one[TOKEN_TEXT_SIZE], text[TOKEN_TEXT_SIZE];
	uint8_t raw[TOKEN_MAX_BYTES], cut[TOKEN_MAX_BYTES];
	size_t len;

	(void)state;
	mint(text, TOKEN_FETCH);
	assert_int_equal(token_narrow_recipient(one, text, strlen(text), 1), ERR_OK);
	assert_int_equal(token_narrow_recipient(text, one, strlen(one), 2), ERR_OK);
	assert_true(base64url_decode(raw, sizeof(raw), &len, text, strlen(text)));
	memcpy(cut, raw, 22);
	memcpy(cut + 22, raw + 25, len - 25);
	check_no_type_takes(cut, len - 3); /* without the first */
	memcpy(cut, raw, 25);
	memcpy(cut + 25, raw + 28, len - 28);
	check_no_type_takes(cut, len - 3); /* without the second */
	memcpy(cut, raw, len);
	memcpy(cut + 22, raw + 25, 3);
	memcpy(cut + 25, raw + 22, 3);
	check_no_type_takes(cut, len);
}

/* ---- doc/token-vectors.json -------------------------------------------------------------------
 */

struct vectors {
	json_t *root;
	uint8_t keys[256][TOKEN_KEYBYTES];
	bool known[256];
};

static const uint8_t *find_vector_key(const void *ctx, uint8_t key_id)
{
	const struct vectors *v = ctx;

	return v->known[key_id] ? v->keys[key_id] : NULL;
}

static const char *string_of(const json_t *vector, const char *name)
{
	const char *s = json_string_value(json_object_get(vector, name));

	assert_non_null(s);
	return s;
}

static uint32_t u32_of(const json_t *vector, const char *name)
{
	const json_t *v = json_object_get(vector, name);

	assert_true(json_is_integer(v));
	return (uint32_t)json_integer_value(v);
}

static enum token_type type_of(const json_t *vector, const char *name)
{
	const char *s = string_of(vector, name);

	if (strcmp(s, "fetch") == 0)
		return TOKEN_FETCH;
	return strcmp(s, "manage") == 0 ? TOKEN_MANAGE : TOKEN_UPLOAD;
}

static int load_vectors(void **state)
{
	static struct vectors v;
	const char *top = getenv("RESTANTE_TOP"), *id;
	char path[512];
	json_t *key;
	size_t len;

	snprintf(path, sizeof(path), "%s/doc/token-vectors.json", top != NULL ? top : ".");
	v.root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(v.root);
	json_object_foreach(json_object_get(v.root, "keys"), id, key)
	{
		uint8_t *out = v.keys[atoi(id)];

		assert_true(hex_decode(out, TOKEN_KEYBYTES, &len, json_string_value(key),
				       json_string_length(key)));
		assert_int_equal(len, TOKEN_KEYBYTES);
		v.known[atoi(id)] = true;
	}
	*state = &v;
	return 0;
}

static int drop_vectors(void **state)
{
	struct vectors *v = *state;

	json_decref(v->root);
	return 0;
}

static void narrow_as_told(char text[static TOKEN_TEXT_SIZE], const json_t *caveats)
{
	const json_t *caveat;
	size_t i;

	json_array_foreach(caveats, i, caveat)
	{
		size_t n = strlen(text);
		enum err_code rc =
			json_object_get(caveat, "recipient") != NULL
				? token_narrow_recipient(text, text, n,
							 (uint16_t)u32_of(caveat, "recipient"))
				: token_narrow_time(text, text, n, u32_of(caveat, "not_after"));

		assert_int_equal(rc, ERR_OK);
	}
}

static struct token plain_of(const json_t *vector)
{
	struct token t = { .type = type_of(vector, "type"),
			   .key_id = (uint8_t)u32_of(vector, "key_id"),
			   .not_after = u32_of(vector, "not_after") };
	const char *upload = string_of(vector, "upload");
	size_t len;

	assert_true(hex_decode(t.upload.b, sizeof(t.upload.b), &len, upload, strlen(upload)));
	assert_int_equal(len, sizeof(t.upload.b));
	return t;
}

/* What verifying should report: the plain token with its caveats applied. */
static struct token narrowed_of(const json_t *vector)
{
	struct token t = plain_of(vector);
	const json_t *caveat;
	size_t i;

	json_array_foreach(json_object_get(vector, "caveats"), i, caveat)
	{
		if (json_object_get(caveat, "recipient") != NULL)
			t.recipients[t.recipient_count++] = (uint16_t)u32_of(caveat, "recipient");
		else if (u32_of(caveat, "not_after") < t.not_after)
			t.not_after = u32_of(caveat, "not_after");
	}
	return t;
}

static void minting_gives_the_good_vectors(void **state)
{
	struct vectors *v = *state;
	const json_t *good = json_object_get(v->root, "good"), *vector;
	size_t i;

	assert_true(json_array_size(good) >= 10);
	json_array_foreach(good, i, vector)
	{
		struct token t = plain_of(vector);
		char text[TOKEN_TEXT_SIZE];

		token_mint(text, &t, v->keys[t.key_id]);
		narrow_as_told(text, json_object_get(vector, "caveats"));
		assert_string_equal(text, string_of(vector, "token"));
	}
}

static void verifying_gives_the_fields_of_the_good_vectors(void **state)
{
	struct vectors *v = *state;
	const json_t *vector;
	size_t i;

	json_array_foreach(json_object_get(v->root, "good"), i, vector)
	{
		struct token want = narrowed_of(vector), got;
		const char *text = string_of(vector, "token");

		assert_int_equal(token_verify(&got, text, strlen(text), want.type, want.not_after,
					      find_vector_key, v),
				 ERR_OK);
		assert_int_equal(got.type, want.type);
		assert_int_equal(got.key_id, want.key_id);
		assert_memory_equal(got.upload.b, want.upload.b, sizeof(want.upload.b));
		assert_int_equal(got.not_after, want.not_after);
		assert_int_equal(got.recipient_count, want.recipient_count);
		assert_memory_equal(got.recipients, want.recipients, sizeof(want.recipients));
	}
}

static enum err_code reason_of(const json_t *vector)
{
	static const struct {
		const char *name;
		enum err_code code;
	} reasons[] = { { "invalid", ERR_INVALID },
			{ "not-found", ERR_NOTFOUND },
			{ "forged", ERR_FORGED },
			{ "expired", ERR_EXPIRED } };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reasons[i].name, string_of(vector, "reason")) == 0)
			return reasons[i].code;
	}
	fail_msg("unknown reason %s", string_of(vector, "reason"));
	return ERR_OK;
}

static void the_bad_vectors_are_refused_for_their_reason(void **state)
{
	struct vectors *v = *state;
	const json_t *bad = json_object_get(v->root, "bad"), *vector;
	size_t i;

	assert_true(json_array_size(bad) >= 30);
	json_array_foreach(bad, i, vector)
	{
		const char *text = string_of(vector, "token");
		struct token t;
		enum err_code rc = token_verify(&t, text, strlen(text), type_of(vector, "want"),
						u32_of(vector, "now"), find_vector_key, v);

		if (rc != reason_of(vector))
			fail_msg("%s: %s", string_of(vector, "name"), err_text(rc));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minted_token_verifies),
		cmocka_unit_test(a_token_of_one_type_is_none_of_another),
		cmocka_unit_test(an_unknown_key_is_not_found),
		cmocka_unit_test(a_forged_token_is_refused),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(every_other_spelling_of_a_character_is_noticed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(what_is_too_long_is_no_token),
		cmocka_unit_test(only_strict_base64url_is_read),
		cmocka_unit_test(a_token_ends_with_its_last_second),
		cmocka_unit_test(a_caveat_ends_a_token_earlier_and_never_later),
		cmocka_unit_test(a_forged_token_is_forged_however_old),
		cmocka_unit_test(recipients_are_reported_in_order),
		cmocka_unit_test(the_ninth_caveat_is_refused),
		cmocka_unit_test(narrowing_needs_no_key_and_believes_nothing),
		cmocka_unit_test(only_a_token_can_be_narrowed),
		cmocka_unit_test(a_removed_or_swapped_caveat_is_noticed),
		cmocka_unit_test(minting_gives_the_good_vectors),
		cmocka_unit_test(verifying_gives_the_fields_of_the_good_vectors),
		cmocka_unit_test(the_bad_vectors_are_refused_for_their_reason),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, load_vectors, drop_vectors);
}
