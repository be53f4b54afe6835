/* paseto and paserk - the vectors of the PASETO standard (version 4), read where they are to be
 * had, and what a reader that is strict refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/text.h"
#include "wire/paserk.h"
#include "wire/paseto.h"

#define VECTORS "../shared/vectors/paseto-v4.json"
#define NONE ((struct bytes){ 0 })

struct pair {
	uint8_t key[PASETO_KEYBYTES], secret[PASETO_SECRETBYTES];
};

static struct pair pair_of(uint8_t seed)
{
	uint8_t bytes[crypto_sign_SEEDBYTES];
	struct pair p;

	memset(bytes, seed, sizeof(bytes));
	crypto_sign_seed_keypair(p.key, p.secret, bytes);
	return p;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static char *signed_by(const struct pair *p, const char *payload, const char *footer,
		       const char *implicit)
{
	char *text = NULL;

	assert_int_equal(paseto_sign(&text, bytes_of(payload), bytes_of(footer), bytes_of(implicit),
				     p->secret),
			 ERR_OK);
	return text;
}

/* Reads and verifies. */
static enum err_code verify(const char *text, size_t n, const char *implicit, const uint8_t *key)
{
	struct paseto p;
	enum err_code rc = paseto_read(&p, text, n);

	return rc != ERR_OK ? rc : paseto_verify(&p, bytes_of(implicit), key);
}

/* ---- the vectors ---- */

static const char *string_of(const json_t *vector, const char *name)
{
	return json_string_value(json_object_get(vector, name));
}

static bool hex_of(uint8_t *out, size_t cap, const json_t *vector, const char *name)
{
	const char *text = string_of(vector, name);
	size_t n;

	return text != NULL && hex_decode(out, cap, &n, text, strlen(text)) && n == cap;
}

/* A public key, or the key of another purpose, which the token has to fail with. */
static void key_of(uint8_t key[static PASETO_KEYBYTES], const json_t *vector)
{
	assert_true(hex_of(key, PASETO_KEYBYTES, vector, "public-key") ||
		    hex_of(key, PASETO_KEYBYTES, vector, "key"));
}

static bool is_ours(const json_t *vector)
{
	return string_of(vector, "public-key") != NULL &&
	       !json_is_true(json_object_get(vector, "expect-fail"));
}

static void verifies_the_vector(const json_t *vector)
{
	const char *text = string_of(vector, "token"), *payload = string_of(vector, "payload");
	const char *footer = string_of(vector, "footer");
	uint8_t key[PASETO_KEYBYTES];
	struct paseto p;

	key_of(key, vector);
	assert_int_equal(paseto_read(&p, text, strlen(text)), ERR_OK);
	assert_int_equal(paseto_verify(&p, bytes_of(string_of(vector, "implicit-assertion")), key),
			 ERR_OK);
	assert_int_equal(paseto_payload(&p).len, strlen(payload));
	assert_memory_equal(paseto_payload(&p).data, payload, strlen(payload));
	assert_int_equal(paseto_footer(&p).len, strlen(footer));
	assert_memory_equal(paseto_footer(&p).data, footer, strlen(footer));
	assert_int_equal(paseto_verify(&p, BYTES("another"), key), ERR_FORGED);
}

static void signs_the_vector(const json_t *vector)
{
	struct pair p;
	char *text;

	assert_true(hex_of(p.secret, sizeof(p.secret), vector, "secret-key"));
	text = signed_by(&p, string_of(vector, "payload"), string_of(vector, "footer"),
			 string_of(vector, "implicit-assertion"));
	assert_string_equal(text, string_of(vector, "token"));
	free(text);
}

static void refuses_the_vector(const json_t *vector)
{
	const char *text = string_of(vector, "token");
	const char *implicit = string_of(vector, "implicit-assertion");
	uint8_t key[PASETO_KEYBYTES];

	key_of(key, vector);
	if (verify(text, strlen(text), implicit, key) == ERR_OK)
		fail_msg("%s is taken", string_of(vector, "name"));
}

/* The number of those that `judge` was asked about. */
static size_t for_vectors(bool ours, void (*judge)(const json_t *vector))
{
	json_t *root = json_load_file(VECTORS, 0, NULL), *vector;
	size_t i, count = 0;

	if (root == NULL)
		skip();
	json_array_foreach(json_object_get(root, "tests"), i, vector)
	{
		if (is_ours(vector) == ours) {
			judge(vector);
			count++;
		}
	}
	json_decref(root);
	return count;
}

static void the_standards_signed_tokens_verify(void **state)
{
	(void)state;
	assert_true(for_vectors(true, verifies_the_vector) >= 3);
}

static void signing_gives_the_standards_tokens(void **state)
{
	(void)state;
	assert_true(for_vectors(true, signs_the_vector) >= 3);
}

/* Those that must fail, and those of v4.local, which is not for us. */
static void the_standards_other_tokens_are_refused(void **state)
{
	(void)state;
	assert_true(for_vectors(false, refuses_the_vector) >= 14);
}

/* ---- the layout ---- */

static void what_is_signed_verifies(void **state)
{
	static const char *const texts[] = { "", "{}", "{\"kid\":\"k\"}", "\xff\x80" };
	struct pair p = pair_of(1);

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			char *text = signed_by(&p, texts[i], texts[k], texts[i]);

			assert_int_equal(verify(text, strlen(text), texts[i], p.key), ERR_OK);
			free(text);
		}
}

static void another_key_or_assertion_is_a_forgery(void **state)
{
	struct pair p = pair_of(1), q = pair_of(2);
	char *text = signed_by(&p, "{}", "f", "here");

	(void)state;
	assert_int_equal(verify(text, strlen(text), "here", q.key), ERR_FORGED);
	assert_int_equal(verify(text, strlen(text), "there", p.key), ERR_FORGED);
	assert_int_equal(verify(text, strlen(text), "", p.key), ERR_FORGED);
	free(text);
}

/* One spelling for each token: any other character anywhere is another token, or none. */
static void every_other_character_is_noticed(void **state)
{
	static const char others[] = "Aw-_+/=. \n.v4";
	struct pair p = pair_of(1);
	char *text = signed_by(&p, "{\"a\":1}", "{\"kid\":\"k\"}", "");

	(void)state;
	for (size_t i = 0; text[i] != '\0'; i++) {
		char kept = text[i];

		for (size_t k = 0; k < sizeof(others); k++) { /* and NUL */
			text[i] = others[k];
			if (others[k] != kept)
				assert_int_not_equal(verify(text, strlen(text), "", p.key), ERR_OK);
		}
		for (unsigned bit = 0; bit < 8; bit++) {
			text[i] = (char)(kept ^ (1 << bit));
			assert_int_not_equal(verify(text, strlen(text), "", p.key), ERR_OK);
		}
		text[i] = kept;
	}
	assert_int_equal(verify(text, strlen(text), "", p.key), ERR_OK);
	free(text);
}

static void every_truncation_is_refused(void **state)
{
	struct pair p = pair_of(1);
	char *text = signed_by(&p, "{\"a\":1}", "{\"kid\":\"k\"}", "");

	(void)state;
	for (size_t n = 0; n < strlen(text); n++)
		assert_int_not_equal(verify(text, n, "", p.key), ERR_OK);
	free(text);
}

static void refused_with(const struct pair *p, const char *before, const char *text,
			 const char *behind)
{
	char made[1024];
	int n = snprintf(made, sizeof(made), "%s%s%s", before, text, behind);

	assert_int_equal(verify(made, (size_t)n, "", p->key), ERR_INVALID);
}

static void only_v4_public_is_read_and_nothing_around_it(void **state)
{
	static const char *const heads[] = { "",           "v1.public.", "v2.public.",
					     "v3.public.", "v4.local.",  "v4.secret.",
					     "V4.public.", "v4.Public.", " v4.public.",
					     "v4..",       "v5.public." };
	struct pair p = pair_of(1);
	char *text = signed_by(&p, "{}", "", "");
	const char *body = text + strlen("v4.public.");

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		refused_with(&p, heads[i], body, "");
	refused_with(&p, "", text, ".");
	refused_with(&p, "", text, "..");
	refused_with(&p, "", text, ".Zg.Zg");
	refused_with(&p, "", text, "=");
	refused_with(&p, "", text, " ");
	refused_with(&p, "v4.public..", body, "");
	free(text);
}

/* S of a signature is below the group's order; one above it would be a second signature of the same
 * token. */
static void a_signature_has_one_spelling(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a,       0x63,
					   0x12, 0x58, 0xd6, 0x9c, 0xf7,       0xa2,
					   0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	struct pair p = pair_of(1);
	char *text = signed_by(&p, "{}", "", "");
	struct paseto t;
	uint8_t *s;

	(void)state;
	assert_int_equal(paseto_read(&t, text, strlen(text)), ERR_OK);
	assert_int_equal(paseto_verify(&t, NONE, p.key), ERR_OK);
	s = t.body + t.body_len - sizeof(order);
	sodium_add(s, order, sizeof(order));
	assert_int_equal(paseto_verify(&t, NONE, p.key), ERR_FORGED);
	free(text);
}

static void no_token_is_longer_than_what_is_read(void **state)
{
	static uint8_t much[PASETO_CHARS_MAX];
	struct pair p = pair_of(1);
	size_t payload = 3000, n;
	char *text = NULL;

	(void)state;
	for (;; payload++) {
		enum err_code rc =
			paseto_sign(&text, (struct bytes){ much, payload }, NONE, NONE, p.secret);

		if (rc == ERR_TOOBIG)
			break;
		assert_int_equal(rc, ERR_OK);
		n = strlen(text);
		assert_true(n <= PASETO_CHARS_MAX);
		assert_int_equal(verify(text, n, "", p.key), ERR_OK);
		free(text);
	}
	assert_int_equal(n, PASETO_CHARS_MAX);
	assert_int_equal(
		paseto_sign(&text, BYTES("{}"), (struct bytes){ much, 513 }, NONE, p.secret),
		ERR_TOOBIG);
	assert_int_equal(
		paseto_sign(&text, BYTES("{}"), NONE, (struct bytes){ much, 513 }, p.secret),
		ERR_TOOBIG);
}

/* ---- keys as text ---- */

/* Of the PASERK standard's vectors: k4.public-1 and -2, k4.pid-1 and -2, k4.secret-1. */
static const struct {
	const char *key, *text, *pid;
} publics[] = {
	{ "0000000000000000000000000000000000000000000000000000000000000000",
	  "k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	  "k4.pid.S_XQmeEwHbbvRmiyfXfHYpLGjXGzjTRSDoT1YtTakWFE" },
	{ "707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f",
	  "k4.public.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjo8",
	  "k4.pid.9ShR3xc8-qVJ_di0tc9nx0IDIqbatdeM2mqLFBJsKRHs" },
};

static void keys_are_written_as_the_standard_has_them(void **state)
{
	char secret[PASERK_SECRET_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(publics) / sizeof(publics[0]); i++) {
		char text[PASERK_PUBLIC_SIZE], pid[PASERK_PID_SIZE];
		uint8_t key[PASERK_PUBLIC_BYTES];
		size_t n;

		assert_true(
			hex_decode(key, sizeof(key), &n, publics[i].key, strlen(publics[i].key)));
		paserk_public(text, key);
		assert_string_equal(text, publics[i].text);
		paserk_pid(pid, key);
		assert_string_equal(pid, publics[i].pid);
	}
	paserk_secret(secret, pair_of(0).secret);
	assert_string_equal(secret, "k4.secret.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA7aie8zra"
				    "kLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ");
}

static void keys_are_read_back(void **state)
{
	(void)state;
	for (uint8_t seed = 0; seed < 20; seed++) {
		char public[PASERK_PUBLIC_SIZE], secret[PASERK_SECRET_SIZE];
		struct pair p = pair_of(seed), back;

		paserk_public(public, p.key);
		paserk_secret(secret, p.secret);
		assert_true(paserk_read_public(back.key, public, strlen(public)));
		assert_true(paserk_read_secret(back.secret, secret, strlen(secret)));
		assert_memory_equal(back.key, p.key, sizeof(p.key));
		assert_memory_equal(back.secret, p.secret, sizeof(p.secret));
		assert_false(paserk_read_public(back.key, secret, strlen(secret)));
		assert_false(paserk_read_secret(back.secret, public, strlen(public)));
		for (size_t n = 0; n < strlen(public); n++)
			assert_false(paserk_read_public(back.key, public, n));
		for (size_t n = 0; n < strlen(secret); n++)
			assert_false(paserk_read_secret(back.secret, secret, n));
	}
}

static void a_text_that_is_no_key_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"k4.public.",
		"k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* of small order */
		"k4.public.AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* the neutral point */
		"k4.public.AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* none of the curve */
		"k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaJ", /* a stray bit */
		"k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI=",
		" k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI",
		"k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI\n",
		"K4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI",
		"k2.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI",
		"Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI",
	};
	static const char good[] = "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI";
	uint8_t key[PASERK_PUBLIC_BYTES];

	(void)state;
	assert_true(paserk_read_public(key, good, strlen(good)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (paserk_read_public(key, bad[i], strlen(bad[i])))
			fail_msg("\"%s\" is taken", bad[i]);
}

static void a_secret_key_of_two_keys_halves_is_refused(void **state)
{
	struct pair p = pair_of(1), q = pair_of(2);
	char text[PASERK_SECRET_SIZE];
	uint8_t back[PASERK_SECRET_BYTES];

	(void)state;
	memcpy(p.secret + 32, q.key, 32);
	paserk_secret(text, p.secret);
	assert_false(paserk_read_secret(back, text, strlen(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_standards_signed_tokens_verify),
		cmocka_unit_test(signing_gives_the_standards_tokens),
		cmocka_unit_test(the_standards_other_tokens_are_refused),
		cmocka_unit_test(what_is_signed_verifies),
		cmocka_unit_test(another_key_or_assertion_is_a_forgery),
		cmocka_unit_test(every_other_character_is_noticed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(only_v4_public_is_read_and_nothing_around_it),
		cmocka_unit_test(a_signature_has_one_spelling),
		cmocka_unit_test(no_token_is_longer_than_what_is_read),
		cmocka_unit_test(keys_are_written_as_the_standard_has_them),
		cmocka_unit_test(keys_are_read_back),
		cmocka_unit_test(a_text_that_is_no_key_is_refused),
		cmocka_unit_test(a_secret_key_of_two_keys_halves_is_refused),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
