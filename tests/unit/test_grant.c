/* grant - what a grant says is read as it was signed; anything else is refused for its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "wire/grant.h"
#include "wire/paserk.h"
#include "wire/paseto.h"

#define NAME "media.example"
#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */
#define EXP "\"aud\":\"media.example\",\"exp\":\"2027-01-15T09:00:00Z\""
#define HOUR 3600

struct fixture {
	uint8_t key[GRANT_KEYBYTES], secret[GRANT_SECRETBYTES];
	struct err err;
	struct grant got;
};

static int setup(void **state)
{
	static struct fixture f;
	static const uint8_t seed[crypto_sign_SEEDBYTES] = "the one key of this test";

	memset(&f, 0, sizeof(f));
	crypto_sign_seed_keypair(f.key, f.secret, seed);
	*state = &f;
	return 0;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static enum err_code verify_at(struct fixture *f, const char *text, int64_t now, uint64_t leeway)
{
	return grant_verify(&f->got, text, strlen(text), f->key, NAME, now, leeway, &f->err);
}

/* What our verifier says of this payload, well signed, with that footer. */
static enum err_code judged(struct fixture *f, const char *payload, const char *footer)
{
	enum err_code rc;
	char *text;

	assert_int_equal(paseto_sign(&text, bytes_of(payload), bytes_of(footer),
				     (struct bytes){ 0 }, f->secret),
			 ERR_OK);
	rc = verify_at(f, text, NOW, 0);
	free(text);
	return rc;
}

static void taken(struct fixture *f, const char *payload)
{
	if (judged(f, payload, "{\"kid\":\"k\"}") != ERR_OK)
		fail_msg("%s: %s", payload, f->err.why);
}

static void refused(struct fixture *f, const char *payload)
{
	enum err_code rc = judged(f, payload, "{\"kid\":\"k\"}");

	if (rc != ERR_INVALID)
		fail_msg("%s: %s", payload, err_text(rc));
}

/* With the claims that have to be, and these. */
static void refused_claims(struct fixture *f, const char *const *bad, size_t n)
{
	char payload[4096];

	for (size_t i = 0; i < n; i++) {
		assert_true(snprintf(payload, sizeof(payload), "{" EXP ",%s}", bad[i]) <
			    (int)sizeof(payload));
		refused(f, payload);
	}
}
#define REFUSED_CLAIMS(f, bad) refused_claims(f, bad, sizeof(bad) / sizeof((bad)[0]))

static void whole(struct grant *g)
{
	*g = (struct grant){ .kid = "2027-01",
			     .aud = NAME,
			     .jti = "message 17",
			     .bucket = "b\"\\/\xc3\xbc",
			     .exp = NOW + HOUR,
			     .nbf = NOW - 1,
			     .iat = NOW,
			     .max_given = true,
			     .max = 52428800,
			     .ttl_given = true,
			     .ttl = 604800,
			     .recipients_given = true,
			     .recipients = 8,
			     .kind = "photo",
			     .digest_given = true,
			     .reuse = true };
	memset(g->digest.b, 0xa5, sizeof(g->digest.b));
}

static char *minted(struct fixture *f, const struct grant *g)
{
	char *text = NULL;

	if (grant_sign(&text, g, f->secret, &f->err) != ERR_OK)
		fail_msg("%s", f->err.why);
	return text;
}

/* ---- signing ---- */

static void what_was_signed_is_read(void **state)
{
	struct fixture *f = *state;
	struct grant g;
	char *text;

	whole(&g);
	text = minted(f, &g);
	assert_int_equal(verify_at(f, text, NOW, 0), ERR_OK);
	assert_string_equal(f->got.kid, g.kid);
	assert_string_equal(f->got.aud, g.aud);
	assert_string_equal(f->got.jti, g.jti);
	assert_string_equal(f->got.bucket, g.bucket);
	assert_string_equal(f->got.kind, g.kind);
	assert_int_equal(f->got.exp, g.exp);
	assert_int_equal(f->got.nbf, g.nbf);
	assert_int_equal(f->got.iat, g.iat);
	assert_true(f->got.max_given && f->got.ttl_given && f->got.recipients_given);
	assert_int_equal(f->got.max, g.max);
	assert_int_equal(f->got.ttl, g.ttl);
	assert_int_equal(f->got.recipients, g.recipients);
	assert_true(f->got.digest_given && f->got.reuse);
	assert_memory_equal(f->got.digest.b, g.digest.b, 32);
	free(text);
}

static void absent_claims_are_absent(void **state)
{
	struct fixture *f = *state;

	taken(f, "{" EXP "}");
	assert_string_equal(f->got.kid, "k");
	assert_string_equal(f->got.jti, "");
	assert_string_equal(f->got.bucket, "");
	assert_string_equal(f->got.kind, "");
	assert_int_equal(f->got.nbf, 0);
	assert_int_equal(f->got.iat, 0);
	assert_false(f->got.max_given || f->got.ttl_given || f->got.recipients_given);
	assert_false(f->got.digest_given || f->got.reuse);
}

static void the_payload_is_written_in_one_way(void **state)
{
	static const char want[] =
		"{\"aud\":\"media.example\",\"exp\":\"2027-01-15T09:00:00Z\","
		"\"nbf\":\"2027-01-15T07:59:59Z\",\"iat\":\"2027-01-15T08:00:00Z\","
		"\"jti\":\"message 17\",\"max\":52428800,\"ttl\":604800,\"recipients\":8,"
		"\"kind\":\"photo\",\"sha256\":"
		"\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\","
		"\"bucket\":\"b\\\"\\\\/\xc3\xbc\",\"reuse\":true}";
	struct fixture *f = *state;
	struct grant g;
	struct paseto p;
	char *text;

	whole(&g);
	text = minted(f, &g);
	assert_int_equal(paseto_read(&p, text, strlen(text)), ERR_OK);
	assert_int_equal(paseto_payload(&p).len, strlen(want));
	assert_memory_equal(paseto_payload(&p).data, want, strlen(want));
	assert_int_equal(paseto_footer(&p).len, strlen("{\"kid\":\"2027-01\"}"));
	assert_memory_equal(paseto_footer(&p).data, "{\"kid\":\"2027-01\"}", paseto_footer(&p).len);
	free(text);
}

static void without_a_kid_it_is_the_keys_id(void **state)
{
	struct fixture *f = *state;
	struct grant g = { .aud = NAME, .exp = NOW + HOUR };
	char *text = minted(f, &g), pid[PASERK_PID_SIZE], kid[GRANT_NAME_MAX + 1];

	paserk_pid(pid, f->key);
	assert_int_equal(grant_kid(kid, text, strlen(text)), ERR_OK);
	assert_string_equal(kid, pid);
	free(text);
}

static void what_would_not_be_read_is_not_signed(void **state)
{
	struct fixture *f = *state;
	struct grant good = { .aud = NAME, .exp = NOW }, bad[17];
	size_t n = sizeof(bad) / sizeof(bad[0]);
	char *text = NULL;

	for (size_t i = 0; i < n; i++)
		bad[i] = good;
	bad[0].exp = 0;
	bad[1].exp = -1;
	bad[2].exp = INT64_MAX;
	bad[3].nbf = -1;
	bad[4].iat = INT64_C(253402300800);
	bad[5].aud[0] = '\0';
	strcpy(bad[6].aud, "a\nb");
	strcpy(bad[7].jti, "\xff");
	strcpy(bad[8].kid, "\xc2\x80");
	strcpy(bad[9].kind, "poem");
	bad[10].ttl_given = true; /* 0 */
	bad[11].recipients_given = true, bad[11].recipients = 1025;
	bad[12].max_given = true, bad[12].max = UINT64_MAX;
	strcpy(bad[13].bucket, "\x7f");
	strcpy(bad[14].kid, "\xff");
	bad[15].ttl_given = true, bad[15].ttl = (uint64_t)GRANT_TTL_MAX + 1;
	bad[16].max_given = true; /* 0 */
	for (size_t i = 0; i < n; i++)
		assert_int_equal(grant_sign(&text, &bad[i], f->secret, &f->err), ERR_INVALID);
	assert_null(text);
}

static void the_longest_names_fit(void **state)
{
	struct fixture *f = *state;
	struct grant g;
	char *text;

	whole(&g);
	memset(g.aud, 'm', GRANT_NAME_MAX);
	memset(g.kid, '"', GRANT_NAME_MAX);
	memset(g.jti, '\\', GRANT_NAME_MAX);
	memset(g.bucket, '"', GRANT_NAME_MAX);
	g.bucket[GRANT_NAME_MAX] = '\0';
	text = minted(f, &g);
	assert_true(strlen(text) <= GRANT_CHARS_MAX);
	assert_int_equal(grant_verify(&f->got, text, strlen(text), f->key, g.aud, NOW, 0, &f->err),
			 ERR_OK);
	assert_string_equal(f->got.bucket, g.bucket);
	free(text);
}

/* ---- is it good ---- */

static void a_grant_of_another_key_is_a_forgery(void **state)
{
	struct fixture *f = *state;
	struct grant g = { .aud = NAME, .exp = NOW + HOUR };
	char *text = minted(f, &g);

	f->key[3] ^= 1;
	assert_int_equal(verify_at(f, text, NOW, 0), ERR_FORGED);
	assert_int_equal(verify_at(f, "v4.public.", NOW, 0), ERR_FORGED);
	assert_int_equal(verify_at(f, "", NOW, 0), ERR_FORGED);
	free(text);
}

/* Old, for others and forged at once: nothing is told to who cannot sign. */
static void a_forgery_is_forged_whatever_it_says(void **state)
{
	struct fixture *f = *state;
	struct grant g = { .aud = "elsewhere", .exp = 1 };
	char *text = minted(f, &g);

	f->key[3] ^= 1;
	assert_int_equal(verify_at(f, text, NOW, 0), ERR_FORGED);
	free(text);
}

static void a_grant_is_for_one_server_in_either_case(void **state)
{
	static const char *const others[] = { "media.example2", "media.exampl", "", "nedia.example",
					      "media.example." };
	struct fixture *f = *state;
	struct grant g = { .aud = "Media.EXAMPLE", .exp = NOW + HOUR };
	char *text = minted(f, &g);
	size_t n = strlen(text);

	assert_int_equal(verify_at(f, text, NOW, 0), ERR_OK);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(grant_verify(&f->got, text, n, f->key, others[i], NOW, 0, &f->err),
				 ERR_NOTFOUND);
	free(text);
	taken(f, "{\"aud\":\"media.example\",\"exp\":\"2027-01-15T09:00:00Z\"}");
}

static void a_grant_has_its_time(void **state)
{
	struct fixture *f = *state;
	struct grant g = { .aud = NAME, .exp = NOW + HOUR, .nbf = NOW };
	char *text = minted(f, &g);

	assert_int_equal(verify_at(f, text, NOW - 1, 0), ERR_EXPIRED);
	assert_int_equal(verify_at(f, text, NOW, 0), ERR_OK);
	assert_int_equal(verify_at(f, text, NOW + HOUR - 1, 0), ERR_OK);
	assert_int_equal(verify_at(f, text, NOW + HOUR, 0), ERR_EXPIRED);
	assert_int_equal(verify_at(f, text, NOW - 61, 60), ERR_EXPIRED);
	assert_int_equal(verify_at(f, text, NOW - 60, 60), ERR_OK);
	assert_int_equal(verify_at(f, text, NOW + HOUR + 59, 60), ERR_OK);
	assert_int_equal(verify_at(f, text, NOW + HOUR + 60, 60), ERR_EXPIRED);
	assert_int_equal(verify_at(f, text, NOW, UINT64_MAX), ERR_OK);
	free(text);
}

static void times_of_any_writer_are_read(void **state)
{
	static const char *const same[] = {
		"2027-01-15T09:00:00Z",        "2027-01-15T09:00:00.000Z",
		"2027-01-15T09:00:00+00:00",   "2027-01-15T10:30:00.999999+01:30",
		"2027-01-14t21:00:00.5-12:00", "2027-01-15T09:00:00z",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char payload[256];

		(void)snprintf(payload, sizeof(payload), "{\"aud\":\"" NAME "\",\"exp\":\"%s\"}",
			       same[i]);
		taken(f, payload);
		assert_int_equal(f->got.exp, NOW + HOUR);
	}
}

/* ---- the payload ---- */

static void aud_and_exp_have_to_be(void **state)
{
	struct fixture *f = *state;

	refused(f, "{}");
	refused(f, "{\"aud\":\"media.example\"}");
	refused(f, "{\"exp\":\"2027-01-15T09:00:00Z\"}");
}

static void what_is_no_json_object_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "[]",
					   "["
					   "{" EXP "}"
					   "]",
					   "1",
					   "null",
					   "{" EXP,
					   "{" EXP "}x",
					   "{" EXP ",}",
					   "{" EXP "}{" EXP "}",
					   "{" EXP ",\"x\":\"\xff\"}",
					   "{" EXP ",\"x\":\"\\u0000\"}",
					   "{" EXP ",\"x\":\"\\ud800\"}",
					   "{" EXP ",\"x\":01}",
					   "{" EXP ",\"x\":99999999999999999999}",
					   "\xef\xbb\xbf{" EXP "}" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(f, bad[i]);
}

static void a_member_that_stands_twice_is_refused(void **state)
{
	static const char *const bad[] = {
		"\"aud\":\"media.example\"", "\"exp\":\"2028-01-15T09:00:00Z\"",
		"\"max\":1,\"max\":2",       "\"x\":1,\"x\":1",
		"\"x\":{\"y\":1,\"y\":1}",   "\"m\\u0061x\":1,\"max\":2"
	};

	REFUSED_CLAIMS(*state, bad);
}

static void claims_of_another_type_are_refused(void **state)
{
	static const char *const bad[] = {
		"\"nbf\":1800000000",
		"\"nbf\":null",
		"\"nbf\":\"1800000000\"",
		"\"nbf\":\"2027-01-15\"",
		"\"nbf\":\"2027-01-15T08:00:00\"",
		"\"nbf\":\"2027-02-29T08:00:00Z\"",
		"\"nbf\":\"1969-12-31T23:59:59Z\"",
		"\"nbf\":\"2027-01-15T08:00:00+0100\"",
		"\"nbf\":\"2027-01-15T08:00:00.Z\"",
		"\"nbf\":\"2027-01-15 08:00:00Z\"",
		"\"iat\":true",
		"\"iat\":\"\"",
		"\"jti\":17",
		"\"jti\":\"\"",
		"\"jti\":null",
		"\"jti\":[\"a\"]",
		"\"jti\":\"a\\nb\"",
		"\"jti\":\"\\u007f\"",
		"\"jti\":\"\\u0085\"",
		"\"max\":\"50mb\"",
		"\"max\":\"5\"",
		"\"max\":-1",
		"\"max\":0",
		"\"max\":1.0",
		"\"max\":1e3",
		"\"max\":null",
		"\"max\":9223372036854775808",
		"\"ttl\":\"7d\"",
		"\"ttl\":0",
		"\"ttl\":-5",
		"\"ttl\":4294967296",
		"\"recipients\":1025",
		"\"recipients\":-1",
		"\"recipients\":\"8\"",
		"\"recipients\":[1]",
		"\"recipients\":65544",
		"\"kind\":\"poem\"",
		"\"kind\":\"\"",
		"\"kind\":\"Photo\"",
		"\"kind\":1",
		"\"sha256\":\"\"",
		"\"sha256\":\"a5\"",
		"\"sha256\":5",
		"\"sha256\":\"z5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\"",
		"\"sha256\":\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\"",
		"\"bucket\":7",
		"\"bucket\":\"\"",
		"\"bucket\":{}",
		"\"reuse\":1",
		"\"reuse\":\"true\"",
		"\"reuse\":null",
	};

	REFUSED_CLAIMS(*state, bad);
}

static void a_list_of_audiences_is_refused(void **state)
{
	refused(*state, "{\"aud\":[\"media.example\"],\"exp\":\"2027-01-15T09:00:00Z\"}");
	refused(*state, "{\"aud\":\"\",\"exp\":\"2027-01-15T09:00:00Z\"}");
	refused(*state, "{\"aud\":null,\"exp\":\"2027-01-15T09:00:00Z\"}");
}

static void names_end_where_they_may(void **state)
{
	struct fixture *f = *state;
	char payload[512];

	(void)snprintf(payload, sizeof(payload), "{" EXP ",\"jti\":\"%0*d\"}", GRANT_NAME_MAX, 7);
	taken(f, payload);
	assert_int_equal(strlen(f->got.jti), GRANT_NAME_MAX);
	(void)snprintf(payload, sizeof(payload), "{" EXP ",\"jti\":\"%0*d\"}", GRANT_NAME_MAX + 1,
		       7);
	refused(f, payload);
}

static void the_ends_of_the_ranges_are_taken(void **state)
{
	struct fixture *f = *state;

	taken(f, "{" EXP ",\"max\":1,\"ttl\":1,\"recipients\":0,\"reuse\":false}");
	assert_true(f->got.max_given && f->got.max == 1);
	assert_true(f->got.recipients_given && f->got.recipients == 0);
	assert_false(f->got.reuse);
	taken(f, "{" EXP ",\"max\":9223372036854775807,\"ttl\":4294967295,\"recipients\":1024}");
	assert_int_equal(f->got.max, INT64_MAX);
	assert_int_equal(f->got.ttl, UINT32_MAX);
	assert_int_equal(f->got.recipients, 1024);
}

static void claims_that_nobody_knows_are_passed_over(void **state)
{
	struct fixture *f = *state;

	taken(f,
	      "{" EXP ",\"iss\":1,\"sub\":[{\"a\":null}],\"Max\":\"x\",\"maximum\":-1,\"\":2.5}");
	assert_false(f->got.max_given);
}

static void what_is_nested_too_deep_is_refused(void **state)
{
	char payload[2900] = "{" EXP ",\"x\":";
	size_t n = strlen(payload);

	memset(payload + n, '[', 1300);
	memset(payload + n + 1300, ']', 1300);
	payload[n + 2600] = '}';
	refused(*state, payload);
}

/* ---- the footer ---- */

static void a_footer_without_a_kid_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "k",
					   "{}",
					   "[\"kid\"]",
					   "{\"kid\":1}",
					   "{\"kid\":\"\"}",
					   "{\"kid\":\"a\\tb\"}",
					   "{\"kid\":\"a\",\"kid\":\"a\"}",
					   "{\"kid\":\"a\"" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char kid[GRANT_NAME_MAX + 1], *text;

		assert_int_equal(paseto_sign(&text, BYTES("{" EXP "}"), bytes_of(bad[i]),
					     (struct bytes){ 0 }, f->secret),
				 ERR_OK);
		assert_int_equal(grant_kid(kid, text, strlen(text)), ERR_INVALID);
		assert_int_equal(verify_at(f, text, NOW, 0), ERR_INVALID);
		free(text);
	}
}

static void the_kid_is_read_before_anything_is_believed(void **state)
{
	struct fixture *f = *state;
	char kid[GRANT_NAME_MAX + 1], *text;

	assert_int_equal(paseto_sign(&text, BYTES("?"), BYTES("{\"kid\":\"2027\",\"x\":[]}"),
				     (struct bytes){ 0 }, f->secret),
			 ERR_OK);
	text[20] = text[20] == 'A' ? 'B' : 'A';
	assert_int_equal(grant_kid(kid, text, strlen(text)), ERR_OK);
	assert_string_equal(kid, "2027");
	assert_int_equal(grant_kid(kid, "v4.public.", 10), ERR_INVALID);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_was_signed_is_read, setup),
		cmocka_unit_test_setup(absent_claims_are_absent, setup),
		cmocka_unit_test_setup(the_payload_is_written_in_one_way, setup),
		cmocka_unit_test_setup(without_a_kid_it_is_the_keys_id, setup),
		cmocka_unit_test_setup(what_would_not_be_read_is_not_signed, setup),
		cmocka_unit_test_setup(the_longest_names_fit, setup),
		cmocka_unit_test_setup(a_grant_of_another_key_is_a_forgery, setup),
		cmocka_unit_test_setup(a_forgery_is_forged_whatever_it_says, setup),
		cmocka_unit_test_setup(a_grant_is_for_one_server_in_either_case, setup),
		cmocka_unit_test_setup(a_grant_has_its_time, setup),
		cmocka_unit_test_setup(times_of_any_writer_are_read, setup),
		cmocka_unit_test_setup(aud_and_exp_have_to_be, setup),
		cmocka_unit_test_setup(what_is_no_json_object_is_refused, setup),
		cmocka_unit_test_setup(a_member_that_stands_twice_is_refused, setup),
		cmocka_unit_test_setup(claims_of_another_type_are_refused, setup),
		cmocka_unit_test_setup(a_list_of_audiences_is_refused, setup),
		cmocka_unit_test_setup(names_end_where_they_may, setup),
		cmocka_unit_test_setup(the_ends_of_the_ranges_are_taken, setup),
		cmocka_unit_test_setup(claims_that_nobody_knows_are_passed_over, setup),
		cmocka_unit_test_setup(what_is_nested_too_deep_is_refused, setup),
		cmocka_unit_test_setup(a_footer_without_a_kid_is_refused, setup),
		cmocka_unit_test_setup(the_kid_is_read_before_anything_is_believed, setup),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
