/* Grants as programs mint them with the library: what they say is what the server's reader reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "restante/grant.h"
#include "wire/grant.h"
#include "wire/paserk.h"

#define NAME "media.example"
#define NOW UINT64_C(1800000000)

struct fixture {
	char secret[RESTANTE_GRANT_SECRET_SIZE], public_key[RESTANTE_GRANT_PUBLIC_SIZE];
	char kid[RESTANTE_GRANT_KID_SIZE], text[RESTANTE_GRANT_SIZE];
	struct restante_grant *grant;
	struct restante_error e;
	struct grant got;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	assert_int_equal(restante_grant_keygen(f.secret, &f.e), RESTANTE_OK);
	assert_int_equal(restante_grant_public(f.public_key, f.kid, f.secret, &f.e), RESTANTE_OK);
	assert_int_equal(restante_grant_new(&f.grant, NAME, NOW + 60, &f.e), RESTANTE_OK);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	restante_grant_free(f->grant);
	return 0;
}

/* Signs it, and reads it as a server does. */
static void arrives(struct fixture *f)
{
	uint8_t key[GRANT_KEYBYTES];
	struct err err;

	if (restante_grant_sign(f->text, f->grant, f->secret, &f->e) != RESTANTE_OK)
		fail_msg("%s", f->e.detail);
	assert_true(paserk_read_public(key, f->public_key, strlen(f->public_key)));
	assert_int_equal(grant_verify(&f->got, f->text, strlen(f->text), key, NAME, NOW, 0, &err),
			 ERR_OK);
}

static void text(struct fixture *f, enum restante_grant_text field, const char *value)
{
	assert_int_equal(restante_grant_set_text(f->grant, field, value, &f->e), RESTANTE_OK);
}

static void number(struct fixture *f, enum restante_grant_number field, uint64_t value)
{
	assert_int_equal(restante_grant_set_number(f->grant, field, value, &f->e), RESTANTE_OK);
}

static void what_is_not_said_is_absent(void **state)
{
	struct fixture *f = *state;

	arrives(f);
	assert_string_equal(f->got.kid, f->kid);
	assert_int_equal(f->got.exp, NOW + 60);
	assert_string_equal(f->got.jti, "");
	assert_string_equal(f->got.kind, "");
	assert_string_equal(f->got.bucket, "");
	assert_true(f->got.nbf == 0 && f->got.iat == 0 && !f->got.reuse);
	assert_false(f->got.max_given || f->got.ttl_given || f->got.recipients_given ||
		     f->got.digest_given);
}

static void what_is_said_arrives(void **state)
{
	struct fixture *f = *state;
	char sha256[65];

	memset(sha256, 'A', 64);
	sha256[64] = '\0';
	text(f, RESTANTE_GRANT_KID, "2027");
	text(f, RESTANTE_GRANT_ID, "m 1");
	text(f, RESTANTE_GRANT_KIND, "voice");
	text(f, RESTANTE_GRANT_SHA256, sha256);
	text(f, RESTANTE_GRANT_BUCKET, "\xc3\xbc");
	number(f, RESTANTE_GRANT_MAX, 1);
	number(f, RESTANTE_GRANT_TTL, 5);
	number(f, RESTANTE_GRANT_RECIPIENTS, 0);
	number(f, RESTANTE_GRANT_NOT_BEFORE, NOW);
	number(f, RESTANTE_GRANT_ISSUED_AT, NOW - 1);
	number(f, RESTANTE_GRANT_REUSE, 1);
	arrives(f);
	assert_string_equal(f->got.kid, "2027");
	assert_string_equal(f->got.jti, "m 1");
	assert_string_equal(f->got.kind, "voice");
	assert_string_equal(f->got.bucket, "\xc3\xbc");
	assert_true(f->got.digest_given && f->got.digest.b[31] == 0xaa);
	assert_true(f->got.max_given && f->got.max == 1);
	assert_true(f->got.ttl_given && f->got.ttl == 5);
	assert_true(f->got.recipients_given && f->got.recipients == 0);
	assert_int_equal(f->got.nbf, NOW);
	assert_int_equal(f->got.iat, NOW - 1);
	assert_true(f->got.reuse);
}

static void the_same_grant_is_the_same_text(void **state)
{
	struct fixture *f = *state;
	char first[RESTANTE_GRANT_SIZE];

	arrives(f);
	memcpy(first, f->text, sizeof(first));
	arrives(f);
	assert_string_equal(f->text, first);
	assert_int_equal(restante_grant_set_once(f->grant, &f->e), RESTANTE_OK);
	arrives(f);
	assert_int_equal(strlen(f->got.jti), 22);
	memcpy(first, f->text, sizeof(first));
	assert_int_equal(restante_grant_set_once(f->grant, &f->e), RESTANTE_OK);
	arrives(f);
	assert_string_not_equal(f->text, first);
}

static void refused_text(struct fixture *f, enum restante_grant_text field, const char *value)
{
	assert_int_equal(restante_grant_set_text(f->grant, field, value, &f->e), RESTANTE_INVALID);
	arrives(f); /* it says what it said before */
}

static void what_no_server_would_read_is_refused(void **state)
{
	static const char control[] = "a\nb";
	struct fixture *f = *state;
	char much[RESTANTE_GRANT_NAME_MAX + 2];

	memset(much, 'x', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	refused_text(f, RESTANTE_GRANT_ID, much);
	refused_text(f, RESTANTE_GRANT_ID, "");
	refused_text(f, RESTANTE_GRANT_KIND, "poem");
	refused_text(f, RESTANTE_GRANT_SHA256, "a5");
	assert_int_equal(restante_grant_set_number(f->grant, RESTANTE_GRANT_TTL, 0, &f->e),
			 RESTANTE_INVALID);
	assert_non_null(strstr(f->e.detail, "ttl"));
	assert_int_equal(restante_grant_set_number(f->grant, RESTANTE_GRANT_MAX, UINT64_MAX, &f->e),
			 RESTANTE_INVALID);
	assert_int_equal(
		restante_grant_set_number(f->grant, RESTANTE_GRANT_RECIPIENTS, 1025, &f->e),
		RESTANTE_INVALID);
	text(f, RESTANTE_GRANT_ID, control);
	assert_int_equal(restante_grant_sign(f->text, f->grant, f->secret, &f->e),
			 RESTANTE_INVALID);
	assert_non_null(strstr(f->e.detail, "jti"));
	text(f, RESTANTE_GRANT_ID, "m");
	number(f, RESTANTE_GRANT_NOT_BEFORE, INT64_MAX);
	assert_int_equal(restante_grant_sign(f->text, f->grant, f->secret, &f->e),
			 RESTANTE_INVALID);
}

static void only_a_secret_key_signs(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(restante_grant_sign(f->text, f->grant, f->public_key, &f->e),
			 RESTANTE_INVALID);
	assert_int_equal(restante_grant_sign(f->text, f->grant, "", &f->e), RESTANTE_INVALID);
	f->secret[20] ^= 1;
	assert_int_equal(restante_grant_sign(f->text, f->grant, f->secret, &f->e),
			 RESTANTE_INVALID);
	assert_int_equal(restante_grant_public(NULL, NULL, f->secret, &f->e), RESTANTE_INVALID);
}

static void misuse_is_a_code(void **state)
{
	struct fixture *f = *state;
	struct restante_grant *none = NULL;

	assert_int_equal(restante_grant_keygen(NULL, &f->e), RESTANTE_MISUSE);
	assert_int_equal(restante_grant_public(NULL, NULL, NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_grant_new(&none, NULL, 1, &f->e), RESTANTE_MISUSE);
	assert_int_equal(restante_grant_new(&none, "", 1, &f->e), RESTANTE_INVALID);
	assert_int_equal(restante_grant_new(&none, NAME, 0, &f->e), RESTANTE_INVALID);
	assert_null(none);
	assert_int_equal(restante_grant_set_text(f->grant, RESTANTE_GRANT_TEXT_COUNT, "x", &f->e),
			 RESTANTE_MISUSE);
	assert_int_equal(restante_grant_set_number(f->grant, RESTANTE_GRANT_NUMBER_COUNT, 1, &f->e),
			 RESTANTE_MISUSE);
	assert_int_equal(restante_grant_set_once(NULL, NULL), RESTANTE_MISUSE);
	assert_int_equal(restante_grant_sign(NULL, f->grant, f->secret, &f->e), RESTANTE_MISUSE);
	assert_int_equal(restante_grant_audience(NULL, "https://x", &f->e), RESTANTE_MISUSE);
	restante_grant_free(NULL);
}

static void the_audience_is_the_host(void **state)
{
	static const char *const hosts[][2] = {
		{ "https://Media.Example", "media.example" },
		{ "https://media.example:8443/chat/", "media.example" },
		{ "http://127.0.0.1:8080", "localhost" },
		{ "http://[::1]:8080", "localhost" },
		{ "https://localhost", "localhost" },
		{ "https://[2001:db8::1]", "[2001:db8::1]" },
	};
	struct fixture *f = *state;
	char out[RESTANTE_GRANT_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		assert_int_equal(restante_grant_audience(out, hosts[i][0], &f->e), RESTANTE_OK);
		assert_string_equal(out, hosts[i][1]);
	}
	assert_int_equal(restante_grant_audience(out, "nonsense", &f->e), RESTANTE_INVALID);
	assert_int_equal(restante_grant_audience(out, "http://media.example", &f->e),
			 RESTANTE_UNTRUSTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_not_said_is_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_grant_is_the_same_text, setup, teardown),
		cmocka_unit_test_setup_teardown(what_no_server_would_read_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_a_secret_key_signs, setup, teardown),
		cmocka_unit_test_setup_teardown(misuse_is_a_code, setup, teardown),
		cmocka_unit_test_setup_teardown(the_audience_is_the_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
