/* put - one-shot uploads: PUT and POST to /v1/media. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "storage/chunk.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define DAY 86400
#define BYTES_MAX (5 * MB)

static uint8_t bytes[BYTES_MAX];

/* Other ciphertext on every call. */
static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 1;

	fill_random(bytes, n, seed++);
	return bytes;
}

static void sha256_hex(const uint8_t *p, size_t n, char out[static 65])
{
	struct digest d;

	digest_of((struct bytes){ p, n }, &d);
	hex_encode(out, d.b, sizeof(d.b));
}

static void sha256_base64(const uint8_t *p, size_t n, char out[static 45])
{
	struct digest d;

	digest_of((struct bytes){ p, n }, &d);
	base64_encode(out, d.b, sizeof(d.b));
}

static int start(void **state, const char *config)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = config });
	*state = &server;
	return 0;
}

static int start_plain(void **state)
{
	return start(state, NULL);
}

/* Without a cache every byte comes back from the store. */
static int start_uncached(void **state)
{
	return start(state, "fetch { cache = 0 }\n");
}

static int start_small_segments(void **state)
{
	return start(state, "fetch { cache = 0 }\n"
			    "store { segment_threshold = 64kb; segment_size = 1mb }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

/* ---- bytes in, bytes out ---- */

static void ask(struct client *c, const char *method, const uint8_t *p, size_t n, bool chunked)
{
	const size_t step = 70001; /* no divisor of anything */

	(void)client_sendf(c, "%s /v1/media HTTP/1.1\r\nHost: t\r\n", method);
	if (!chunked) {
		(void)client_sendf(c, "Content-Length: %zu\r\n\r\n", n);
		(void)client_send(c, p, n);
		return;
	}
	(void)client_sendf(c, "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t at = 0; at < n; at += step)
		assert_true(client_chunk(c, p + at, n - at < step ? n - at : step));
	assert_true(client_chunk(c, NULL, 0));
}

static void goes_up_and_comes_back(const struct test_server *s, const char *method, size_t n,
				   bool chunked)
{
	const uint8_t *p = fresh(n);
	struct client *c = client_open(s->port);
	char token[52];
	struct answer a;

	ask(c, method, p, n, chunked);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	assert_true(http_has(s->port, token, p, n));
	answer_free(&a);
	client_close(c);
}

static void every_length_comes_back_as_it_was_sent(void **state)
{
	static const size_t lengths[] = { 0,
					  1,
					  2,
					  4095,
					  4096,
					  4097,
					  CHUNK_MAX - 1,
					  CHUNK_MAX,
					  CHUNK_MAX + 1,
					  2 * CHUNK_MAX - 1,
					  2 * CHUNK_MAX,
					  2 * CHUNK_MAX + 1,
					  MB + 17,
					  5 * MB };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		goes_up_and_comes_back(*state, "PUT", lengths[i], false);
		goes_up_and_comes_back(*state, "PUT", lengths[i], true);
		goes_up_and_comes_back(*state, "POST", lengths[i], false);
		goes_up_and_comes_back(*state, "POST", lengths[i], true);
	}
}

static void a_put_without_any_length_is_an_empty_blob(void **state)
{
	struct test_server *s = *state;
	char token[52], size[16];
	struct answer a;

	http_request(s->port, "PUT", "/v1/media", "", NULL, 0, &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "size", size, sizeof(size)));
	assert_string_equal(size, "0");
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	assert_true(http_has(s->port, token, NULL, 0));
	answer_free(&a);
}

static void several_uploads_ride_on_one_connection(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	char token[52];
	struct answer a;

	for (int i = 0; i < 5; i++) {
		const size_t n = (size_t)i * 100000;
		const uint8_t *p = fresh(n);

		ask(c, "PUT", p, n, i % 2 == 1);
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 201);
		(void)answer_json(&a, "token", token, sizeof(token));
		assert_true(http_has(s->port, token, p, n));
		answer_free(&a);
	}
	client_close(c);
}

/* ---- what is answered ---- */

static void assert_expires(const struct answer *a, int64_t earliest, int64_t latest)
{
	char json[32], field[64], rfc3339[CLOCK_RFC3339_SIZE], http[CLOCK_HTTP_SIZE];
	bool found = false;

	assert_true(answer_json(a, "expires_at", json, sizeof(json)));
	assert_true(answer_field(a, "Upload-Expires", field, sizeof(field)));
	for (int64_t t = earliest; t <= latest && !found; t++) {
		clock_rfc3339(rfc3339, t);
		clock_http(http, t);
		found = strcmp(json, rfc3339) == 0;
	}
	assert_true(found);
	assert_string_equal(field, http);
}

static void the_answer_names_the_upload_and_what_arrived(void **state)
{
	struct test_server *s = *state;
	const size_t n = 183422;
	const uint8_t *p = fresh(n);
	const int64_t before = clock_now_s();
	char token[64], manage[64], location[128], field[128], sha[65], b64[45], want[512],
		expires[32];
	struct answer a;

	http_request(s->port, "PUT", "/v1/media?ttl=7d", "", p, n, &a);
	assert_int_equal(a.status, 201);
	assert_expires(&a, before + 7 * DAY, clock_now_s() + 7 * DAY);
	assert_true(answer_field(&a, "Media-Token", token, sizeof(token)));
	assert_true(answer_field(&a, "Media-Manage-Token", manage, sizeof(manage)));
	assert_int_equal(strlen(token), 51);
	assert_int_equal(strlen(manage), 51);
	assert_string_not_equal(token, manage);

	sha256_hex(p, n, sha);
	(void)answer_json(&a, "expires_at", expires, sizeof(expires));
	(void)snprintf(want, sizeof(want),
		       "{\"token\":\"%s\",\"manage_token\":\"%s\",\"size\":%zu,\"sha256\":\"%s\","
		       "\"expires_at\":\"%s\"}\n",
		       token, manage, n, sha, expires);
	assert_string_equal((char *)a.body, want);
	assert_true(answer_field(&a, "Content-Type", field, sizeof(field)));
	assert_string_equal(field, "application/json");
	assert_true(answer_field(&a, "Cache-Control", field, sizeof(field)));
	assert_string_equal(field, "no-store");

	sha256_base64(p, n, b64);
	(void)snprintf(want, sizeof(want), "sha-256=:%s:", b64);
	assert_true(answer_field(&a, "Repr-Digest", field, sizeof(field)));
	assert_string_equal(field, want);

	assert_true(answer_field(&a, "Location", location, sizeof(location)));
	assert_int_equal(strncmp(location, "/v1/uploads/", 12), 0);
	assert_int_equal(strlen(location), 12 + 51);
	answer_free(&a);

	http_get(s->port, location, "", &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, n);
	assert_memory_equal(a.body, p, n);
	answer_free(&a);
}

static void an_empty_upload_has_the_digest_of_nothing(void **state)
{
	struct test_server *s = *state;
	struct placed p;

	assert_int_equal(http_place(s->port, "", NULL, 0, &p), 201);
	assert_string_equal(p.sha256, "e3b0c44298fc1c149afbf4c8996fb924"
				      "27ae41e4649b934ca495991b7852b855");
	assert_int_equal(p.size, 0);
}

/* ---- digests announced ---- */

static int put_with(const struct test_server *s, const char *query, const char *fields,
		    const uint8_t *p, size_t n)
{
	char target[600];
	struct answer a;
	char type[64];
	int status;

	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	http_request(s->port, "PUT", target, fields, p, n, &a);
	status = a.status;
	if (status >= 400) {
		char member[16], code[16];

		(void)answer_field(&a, "Content-Type", type, sizeof(type));
		assert_string_equal(type, "application/problem+json");
		(void)snprintf(code, sizeof(code), "%d", status);
		assert_true(answer_json(&a, "status", member, sizeof(member)));
		assert_string_equal(member, code);
		assert_true(answer_json(&a, "title", type, sizeof(type)));
		assert_true(answer_json(&a, "type", type, sizeof(type)));
		assert_false(answer_json(&a, "token", type, sizeof(type)));
		assert_false(answer_field(&a, "Media-Token", type, sizeof(type)));
	}
	answer_free(&a);
	return status;
}

/* Counts what the store has kept, around a story in which it is to keep nothing. */
static uint64_t kept(struct test_server *s)
{
	return server_metric(s, "restante_store_commits_total");
}

static void a_right_digest_is_taken(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	char b64[45], fields[300];

	sha256_base64(p, 1000, b64);
	(void)snprintf(fields, sizeof(fields), "Repr-Digest: sha-256=:%s:\r\n", b64);
	assert_int_equal(put_with(s, "", fields, p, 1000), 201);
	(void)snprintf(fields, sizeof(fields), "Repr-Digest: md5=:AAAA:, sha-256=:%s:;x=1\r\n",
		       b64);
	assert_int_equal(put_with(s, "", fields, p, 1000), 201);
}

static void a_wrong_digest_keeps_nothing(void **state)
{
	struct test_server *s = *state;
	static const size_t lengths[] = { 0, 1, 1000, CHUNK_MAX, 5 * MB };
	const uint64_t before = kept(s);
	char b64[45], fields[300];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const uint8_t *p = fresh(lengths[i]);

		sha256_base64((const uint8_t *)"something else", 14, b64);
		(void)snprintf(fields, sizeof(fields), "Repr-Digest: sha-256=:%s:\r\n", b64);
		assert_int_equal(put_with(s, "", fields, p, lengths[i]), 400);
	}
	/* a long one has marked its files before it filled them, and unmarks them after */
	assert_true(server_metric(s, "restante_uploads_failed_total") > 0);
	assert_int_equal(kept(s), before);
}

static void the_problem_of_a_wrong_digest_has_a_type_of_its_own(void **state)
{
	struct test_server *s = *state;
	char type[64];
	struct answer a;

	http_request(s->port, "PUT",
		     "/v1/media?sha256="
		     "0000000000000000000000000000000000000000000000000000000000000000",
		     "", fresh(10), 10, &a);
	assert_int_equal(a.status, 400);
	assert_true(answer_json(&a, "type", type, sizeof(type)));
	assert_string_equal(type, "urn:restante:problem:digest-mismatch");
	answer_free(&a);
}

static void a_malformed_digest_field_is_refused(void **state)
{
	static const char *const fields[] = {
		"Repr-Digest: sha-256\r\n",
		"Repr-Digest: sha-256=\r\n",
		"Repr-Digest: sha-256=::\r\n",
		"Repr-Digest: sha-256=:AAAA:\r\n",
		"Repr-Digest: sha-256=:!!!!:\r\n",
		"Repr-Digest: sha-256=abc\r\n",
		"Repr-Digest: sha-256=\"abc\"\r\n",
		"Repr-Digest: =:AAAA:\r\n",
		"Repr-Digest: sha-256:AAAA\r\n",
		/* 33 bytes, 31 bytes */
		"Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:\r\n",
		"Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:\r\n",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_int_equal(put_with(s, "", fields[i], fresh(100), 100), 400);
	assert_int_equal(kept(s), before);
}

static void a_digest_field_that_stands_twice_is_refused(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	const uint8_t *p = fresh(100);
	char b64[45], fields[300];

	sha256_base64(p, 100, b64);
	(void)snprintf(fields, sizeof(fields),
		       "Repr-Digest: sha-256=:%s:\r\nRepr-Digest: sha-256=:%s:\r\n", b64, b64);
	assert_int_equal(put_with(s, "", fields, p, 100), 400);
	assert_int_equal(kept(s), before);
}

/* RFC 9530 lets a recipient ignore algorithms it does not support. */
static void a_digest_of_another_algorithm_is_passed_over(void **state)
{
	assert_int_equal(put_with(*state, "", "Repr-Digest: sha-512=:AAAA:\r\n", fresh(100), 100),
			 201);
}

static void the_sha256_parameter_is_verified(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	char hex[65], query[100];
	uint64_t before;

	sha256_hex(p, 1000, hex);
	(void)snprintf(query, sizeof(query), "?sha256=%s", hex);
	assert_int_equal(put_with(s, query, "", p, 1000), 201);
	for (char *c = query + 8; *c != '\0'; c++)
		*c = (char)(*c >= 'a' ? *c - 32 : *c);
	assert_int_equal(put_with(s, query, "", p, 1000), 201);

	before = kept(s);
	query[8] = query[8] == '0' ? '1' : '0';
	assert_int_equal(put_with(s, query, "", p, 1000), 400);
	(void)snprintf(query, sizeof(query), "?sha256=%.62s", hex);
	assert_int_equal(put_with(s, query, "", p, 1000), 400);
	(void)snprintf(query, sizeof(query), "?sha256=%s0", hex);
	assert_int_equal(put_with(s, query, "", p, 1000), 400);
	(void)snprintf(query, sizeof(query), "?sha256=%s00", hex);
	assert_int_equal(put_with(s, query, "", p, 1000), 400);
	(void)snprintf(query, sizeof(query), "?sha256=g%s", hex + 1);
	assert_int_equal(put_with(s, query, "", p, 1000), 400);
	assert_int_equal(put_with(s, "?sha256=", "", p, 1000), 400);
	assert_int_equal(kept(s), before);
}

static void two_digests_have_to_agree(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	char hex[65], b64[45], query[100], fields[100];
	uint64_t before;

	sha256_hex(p, 1000, hex);
	sha256_base64(p, 1000, b64);
	(void)snprintf(query, sizeof(query), "?sha256=%s", hex);
	(void)snprintf(fields, sizeof(fields), "Repr-Digest: sha-256=:%s:\r\n", b64);
	assert_int_equal(put_with(s, query, fields, p, 1000), 201);

	before = kept(s);
	query[8] = query[8] == '0' ? '1' : '0';
	assert_int_equal(put_with(s, query, fields, p, 1000), 400);
	assert_int_equal(kept(s), before);
}

/* ---- parameters ---- */

static void parameters_in_shape_are_taken(void **state)
{
	static const char *const queries[] = {
		"?kind=photo",      "?kind=video",
		"?kind=voice",      "?kind=file",
		"?ttl=1",           "?ttl=3600",
		"?ttl=12h",         "?ttl=7d",
		"?recipients=0",    "?recipients=1",
		"?recipients=1024", "?kind=voice&ttl=7d&recipients=256",
		"?%6bind=%70hoto",  "?",
	};

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		assert_int_equal(put_with(*state, queries[i], "", fresh(100), 100), 201);
}

static void parameters_out_of_shape_are_refused_and_nothing_is_kept(void **state)
{
	static const char *const queries[] = {
		"?kind=",
		"?kind=gif",
		"?kind=Photo",
		"?kind=photo%20",
		"?kind=photo%00",
		"?kind=photo&kind=photo",
		"?kind=photo&kind=video",
		"?ttl=",
		"?ttl=0",
		"?ttl=0d",
		"?ttl=-1",
		"?ttl=+1",
		"?ttl=%2B1",
		"?ttl=%201",
		"?ttl=1%20",
		"?ttl=1.5",
		"?ttl=1e3",
		"?ttl=0x10",
		"?ttl=1y",
		"?ttl=d",
		"?ttl=1dd",
		"?ttl=99999999999999999999",
		"?ttl=18446744073709551616",
		"?ttl=213503982334602d",
		"?ttl=60&ttl=60",
		"?recipients=",
		"?recipients=-1",
		"?recipients=+1",
		"?recipients=%201",
		"?recipients=1%20",
		"?recipients=1025",
		"?recipients=65537",
		"?recipients=4294967297",
		"?recipients=1.0",
		"?recipients=0x1",
		"?recipients=many",
		"?recipients=1&recipients=1",
		"?name=holiday.jpg",
		"?TTL=60",
		"?ttl",
		"?=60",
		"?ttl=60&",
		"?&ttl=60",
		"?ttl=60&&kind=photo",
		"?ttl=6%",
		"?ttl=6%3",
		"?ttl=6%zz",
		"?tt%6=60",
		"?kind=%0d%0aX:y",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		int status = put_with(s, queries[i], "", fresh(100), 100);

		if (status != 400)
			fail_msg("%s: %d", queries[i], status);
	}
	assert_int_equal(kept(s), before);
}

static int64_t expires_after(const struct test_server *s, const char *query)
{
	char target[100], text[64];
	struct answer a;
	int64_t when = 0, now = clock_now_s();

	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	http_request(s->port, "PUT", target, "", fresh(10), 10, &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_field(&a, "Upload-Expires", text, sizeof(text)));
	assert_true(clock_parse_http(text, strlen(text), &when));
	answer_free(&a);
	return when - now;
}

static void assert_about(int64_t seconds, int64_t want)
{
	assert_in_range((uint64_t)seconds, (uint64_t)want, (uint64_t)want + 2);
}

static int start_with_bounds(void **state)
{
	return start(state, "upload { ttl_max = 2d; ttl_photo = 1h; ttl_voice = 5min; "
			    "ttl_video = 2d; ttl_file = 1d }\n");
}

static void a_ttl_longer_than_the_server_keeps_anything_is_shortened(void **state)
{
	assert_about(expires_after(*state, "?ttl=3d"), 2 * DAY);
	assert_about(expires_after(*state, "?ttl=4294967295"), 2 * DAY);
	assert_about(expires_after(*state, "?ttl=2d"), 2 * DAY);
	assert_about(expires_after(*state, "?ttl=47h"), 47 * 3600);
}

static void each_kind_has_its_own_time(void **state)
{
	assert_about(expires_after(*state, "?kind=photo"), 3600);
	assert_about(expires_after(*state, "?kind=voice"), 300);
	assert_about(expires_after(*state, "?kind=video"), 2 * DAY);
	assert_about(expires_after(*state, ""), DAY);
	assert_about(expires_after(*state, "?kind=photo&ttl=10"), 10);
}

static void without_a_word_everything_is_kept_thirty_days(void **state)
{
	assert_about(expires_after(*state, ""), 30 * DAY);
	assert_about(expires_after(*state, "?kind=photo"), 30 * DAY);
	assert_about(expires_after(*state, "?ttl=365d"), 90 * DAY);
}

static void a_partial_put_is_refused(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	assert_int_equal(put_with(s, "", "Content-Range: bytes 0-99/200\r\n", fresh(100), 100),
			 400);
	assert_int_equal(put_with(s, "", "Content-Range: bytes 0-99/100\r\n", fresh(100), 100),
			 400);
	assert_int_equal(kept(s), before);
}

/* ---- the same ciphertext again ---- */

static uint64_t on_disk(struct test_server *s)
{
	return server_metric(s, "restante_store_data_bytes");
}

static void the_same_ciphertext_again_stores_no_second_copy(void **state)
{
	struct test_server *s = *state;
	static const size_t lengths[] = { 0, 10, 300 * KB, 5 * MB };
	struct placed first, second;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n);
		uint64_t merged, bytes_before;

		assert_int_equal(http_place(s->port, "", p, n, &first), 201);
		merged = server_metric(s, "restante_store_deduplicated_total");
		bytes_before = on_disk(s);
		for (int k = 0; k < 8; k++)
			assert_int_equal(http_place(s->port, "", p, n, &second), 201);
		if (n > 0)
			assert_int_equal(server_metric(s, "restante_store_deduplicated_total"),
					 merged + 8);
		if (n == 5 * MB)
			assert_in_range(on_disk(s), 0, bytes_before + 10 * MB);

		assert_string_not_equal(first.token, second.token);
		assert_string_equal(first.sha256, second.sha256);
		assert_true(http_has(s->port, first.token, p, n));
		assert_true(http_has(s->port, second.token, p, n));
	}
}

static int fetch_status(const struct test_server *s, const struct placed *p)
{
	return http_status(s->port, "GET", "/v1/media/", p->token);
}

static void each_token_of_one_blob_dies_on_its_own(void **state)
{
	struct test_server *s = *state;
	static const size_t lengths[] = { 0, 10, 300 * KB, 5 * MB };
	struct placed first, second;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n);

		assert_int_equal(http_place(s->port, "", p, n, &first), 201);
		assert_int_equal(http_place(s->port, "", p, n, &second), 201);

		assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", first.manage), 204);
		assert_int_equal(fetch_status(s, &first), 404);
		assert_true(http_has(s->port, second.token, p, n));

		assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", second.manage), 204);
		assert_int_equal(fetch_status(s, &second), 404);
		assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", second.manage), 404);

		/* and the same bytes may come again */
		assert_int_equal(http_place(s->port, "", p, n, &first), 201);
		assert_true(http_has(s->port, first.token, p, n));
	}
}

static void deleted_bytes_are_given_back(void **state)
{
	struct test_server *s = *state;
	struct placed p;
	const uint64_t before = on_disk(s);

	for (int i = 0; i < 10; i++) {
		assert_int_equal(http_place(s->port, "", fresh(5 * MB), 5 * MB, &p), 201);
		assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", p.manage), 204);
	}
	for (int i = 0; i < 300 && on_disk(s) > before + 10 * MB; i++)
		client_nap(10);
	assert_in_range(on_disk(s), 0, before + 10 * MB);
}

/* ---- capabilities ---- */

static void a_token_of_one_type_does_nothing_of_another(void **state)
{
	struct test_server *s = *state;
	const uint8_t *bytes_put = fresh(100);
	struct placed p;
	const char *upload;

	assert_int_equal(http_place(s->port, "", bytes_put, 100, &p), 201);
	upload = p.upload + strlen("/v1/uploads/");
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", p.manage), 404);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", upload), 404);
	assert_int_equal(http_status(s->port, "GET", "/v1/uploads/", p.token), 404);
	assert_int_equal(http_status(s->port, "GET", "/v1/uploads/", p.manage), 404);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", p.token), 404);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", upload), 404);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/uploads/", p.token), 404);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/uploads/", p.manage), 404);
	assert_true(http_has(s->port, p.token, bytes_put, 100));
}

static void the_upload_url_deletes_too(void **state)
{
	struct test_server *s = *state;
	struct placed p;

	assert_int_equal(http_place(s->port, "", fresh(100), 100, &p), 201);
	assert_int_equal(http_status(s->port, "DELETE", "", p.upload), 204);
	assert_int_equal(http_status(s->port, "GET", "", p.upload), 404);
	assert_int_equal(fetch_status(s, &p), 404);
}

/* ---- durability ---- */

static void answered_bytes_survive_a_kill(void **state)
{
	struct test_server *s = *state;
	static const size_t lengths[] = { 0, 10, 300 * KB, 5 * MB };
	struct placed p;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const uint8_t *b = fresh(lengths[i]);

		assert_int_equal(http_place(s->port, "", b, lengths[i], &p), 201);
		server_kill(s);
		server_again(s);
		assert_true(http_has(s->port, p.token, b, lengths[i]));
	}
}

static void a_delete_survives_a_kill(void **state)
{
	struct test_server *s = *state;
	struct placed p, other;
	const uint8_t *b = fresh(300 * KB);

	assert_int_equal(http_place(s->port, "", b, 300 * KB, &p), 201);
	assert_int_equal(http_place(s->port, "", b, 300 * KB, &other), 201);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", p.manage), 204);
	server_kill(s);
	server_again(s);
	assert_int_equal(fetch_status(s, &p), 404);
	assert_true(http_has(s->port, other.token, b, 300 * KB));
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(every_length_comes_back_as_it_was_sent),
		cmocka_unit_test(a_put_without_any_length_is_an_empty_blob),
		cmocka_unit_test(several_uploads_ride_on_one_connection),
		cmocka_unit_test(the_answer_names_the_upload_and_what_arrived),
		cmocka_unit_test(an_empty_upload_has_the_digest_of_nothing),
		cmocka_unit_test(a_right_digest_is_taken),
		cmocka_unit_test(a_wrong_digest_keeps_nothing),
		cmocka_unit_test(the_problem_of_a_wrong_digest_has_a_type_of_its_own),
		cmocka_unit_test(a_malformed_digest_field_is_refused),
		cmocka_unit_test(a_digest_field_that_stands_twice_is_refused),
		cmocka_unit_test(a_digest_of_another_algorithm_is_passed_over),
		cmocka_unit_test(the_sha256_parameter_is_verified),
		cmocka_unit_test(two_digests_have_to_agree),
		cmocka_unit_test(parameters_in_shape_are_taken),
		cmocka_unit_test(parameters_out_of_shape_are_refused_and_nothing_is_kept),
		cmocka_unit_test(without_a_word_everything_is_kept_thirty_days),
		cmocka_unit_test(a_partial_put_is_refused),
		cmocka_unit_test(the_same_ciphertext_again_stores_no_second_copy),
		cmocka_unit_test(each_token_of_one_blob_dies_on_its_own),
		cmocka_unit_test(deleted_bytes_are_given_back),
		cmocka_unit_test(a_token_of_one_type_does_nothing_of_another),
		cmocka_unit_test(the_upload_url_deletes_too),
		cmocka_unit_test(answered_bytes_survive_a_kill),
		cmocka_unit_test(a_delete_survives_a_kill),
	};
	const struct CMUnitTest uncached[] = {
		cmocka_unit_test(every_length_comes_back_as_it_was_sent),
	};
	const struct CMUnitTest small_segments[] = {
		cmocka_unit_test(every_length_comes_back_as_it_was_sent),
		cmocka_unit_test(a_wrong_digest_keeps_nothing),
		cmocka_unit_test(the_same_ciphertext_again_stores_no_second_copy),
		cmocka_unit_test(each_token_of_one_blob_dies_on_its_own),
		cmocka_unit_test(deleted_bytes_are_given_back),
		cmocka_unit_test(answered_bytes_survive_a_kill),
	};
	const struct CMUnitTest bounds[] = {
		cmocka_unit_test(a_ttl_longer_than_the_server_keeps_anything_is_shortened),
		cmocka_unit_test(each_kind_has_its_own_time),
	};
	int failed;

	failed = cmocka_run_group_tests_name("put", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("put, no cache", uncached, start_uncached, stop);
	failed += cmocka_run_group_tests_name("put, segments", small_segments, start_small_segments,
					      stop);
	return failed + cmocka_run_group_tests_name("put, bounds", bounds, start_with_bounds, stop);
}
