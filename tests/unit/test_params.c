#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "server/params.h"
#include "wire/digest_header.h"

#define HOUR 3600u
#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct settings settings(void)
{
	return (struct settings){
		.upload_ttl_photo = 10 * HOUR,
		.upload_ttl_video = 20 * HOUR,
		.upload_ttl_voice = 30 * HOUR,
		.upload_ttl_file = 40 * HOUR,
		.upload_ttl_max = 100 * HOUR,
	};
}

static struct params good(const char *query)
{
	struct settings set = settings();
	struct params p;
	const char *complaint = NULL;

	if (params_parse(&p, query, &set, &complaint) != ERR_OK)
		fail_msg("\"%s\": %s", query, complaint);
	return p;
}

/* Refused, with a sentence that names what is wrong, and nothing written. */
static void bad(const char *query, const char *word)
{
	struct settings set = settings();
	struct params p = { .ttl_s = 77 };
	const char *complaint = NULL;

	if (params_parse(&p, query, &set, &complaint) != ERR_INVALID)
		fail_msg("\"%s\" is taken", query);
	assert_int_equal(p.ttl_s, 77);
	assert_non_null(complaint);
	if (strstr(complaint, word) == NULL)
		fail_msg("\"%s\": \"%s\"", query, complaint);
}

static void without_a_word_the_defaults_hold(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct params p = good(i == 0 ? NULL : "");

		assert_int_equal(p.kind, KIND_FILE);
		assert_int_equal(p.ttl_s, 40 * HOUR);
		assert_int_equal(p.recipients, 0);
		assert_false(p.digest_given);
	}
}

static void each_kind_has_its_ttl(void **state)
{
	(void)state;
	assert_int_equal(good("kind=photo").ttl_s, 10 * HOUR);
	assert_int_equal(good("kind=video").ttl_s, 20 * HOUR);
	assert_int_equal(good("kind=voice").ttl_s, 30 * HOUR);
	assert_int_equal(good("kind=file").ttl_s, 40 * HOUR);
	for (int k = 0; k < KIND_COUNT; k++) {
		char query[32];

		(void)snprintf(query, sizeof(query), "kind=%s", kind_name((enum kind)k));
		assert_int_equal(good(query).kind, k);
	}
	bad("kind=Photo", "kind");
	bad("kind=", "kind");
	bad("kind=audio", "kind");
}

static void a_ttl_is_bounded_by_the_servers(void **state)
{
	struct settings set = settings();
	struct params p;
	const char *complaint;

	(void)state;
	assert_int_equal(good("ttl=1").ttl_s, 1);
	assert_int_equal(good("ttl=3600").ttl_s, HOUR);
	assert_int_equal(good("ttl=12h").ttl_s, 12 * HOUR);
	assert_int_equal(good("ttl=4d&kind=photo").ttl_s, 96 * HOUR);
	assert_int_equal(good("ttl=30d").ttl_s, 100 * HOUR);
	/* so is a default */
	set.upload_ttl_max = HOUR;
	assert_int_equal(params_parse(&p, NULL, &set, &complaint), ERR_OK);
	assert_int_equal(p.ttl_s, HOUR);
	bad("ttl=0", "ttl");
	bad("ttl=", "ttl");
	bad("ttl=-1", "ttl");
	bad("ttl=1.5h", "ttl");
	bad("ttl=soon", "ttl");
	bad("ttl=99999999999999999999", "ttl");
	bad("ttl=4294967296", "ttl");
}

static void recipients_are_counted_up_to_1024(void **state)
{
	(void)state;
	assert_int_equal(good("recipients=0").recipients, 0);
	assert_int_equal(good("recipients=1024").recipients, 1024);
	bad("recipients=1025", "recipients");
	bad("recipients=-1", "recipients");
	bad("recipients=65537", "recipients");
	bad("recipients=", "recipients");
	bad("recipients=5x", "recipients");
}

static void a_sha256_is_64_digits(void **state)
{
	struct params p = good("sha256=" HEX64);

	(void)state;
	assert_true(p.digest_given);
	assert_int_equal(p.digest.b[1], 0x11);
	assert_int_equal(p.digest.b[31], 0xff);
	bad("sha256=", "sha256");
	bad("sha256=0011", "sha256");
	bad("sha256=" HEX64 "00", "sha256");
	bad("sha256=zz" HEX64, "sha256");
}

static void what_is_not_known_is_refused(void **state)
{
	(void)state;
	bad("tll=3600", "parameters");
	bad("Kind=photo", "parameters");
	bad("kind=photo&x=1", "parameters");
	bad("kind", "well formed");
	bad("kind=photo&kind=photo", "well formed");
	bad("kind=%zz", "well formed");
	bad("kind=photo%00", "well formed");
}

static void the_two_digests_must_agree(void **state)
{
	char field[DIGEST_HEADER_SIZE];
	const char *complaint = NULL;
	struct params p = good("sha256=" HEX64), other = good(NULL);

	(void)state;
	digest_header_format(field, &p.digest);
	assert_int_equal(params_add_digest(&p, NULL, 0, &complaint), ERR_OK);
	assert_int_equal(params_add_digest(&p, field, strlen(field), &complaint), ERR_OK);
	assert_int_equal(params_add_digest(&other, field, strlen(field), &complaint), ERR_OK);
	assert_true(other.digest_given);
	assert_true(digest_equal(&other.digest, &p.digest));
	p.digest.b[0] ^= 1;
	assert_int_equal(params_add_digest(&p, field, strlen(field), &complaint), ERR_INVALID);
	assert_non_null(strstr(complaint, "agree"));
	assert_int_equal(params_add_digest(&p, "sha-256=:AAAA:", 14, &complaint), ERR_INVALID);
	assert_non_null(strstr(complaint, "Repr-Digest"));
	/* another algorithm says nothing of this one */
	other = good(NULL);
	assert_int_equal(params_add_digest(&other, "md5=:AAAA:", 10, &complaint), ERR_OK);
	assert_false(other.digest_given);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_word_the_defaults_hold),
		cmocka_unit_test(each_kind_has_its_ttl),
		cmocka_unit_test(a_ttl_is_bounded_by_the_servers),
		cmocka_unit_test(recipients_are_counted_up_to_1024),
		cmocka_unit_test(a_sha256_is_64_digits),
		cmocka_unit_test(what_is_not_known_is_refused),
		cmocka_unit_test(the_two_digests_must_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
