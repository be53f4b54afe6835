/* tus - resumable uploads by tus 1.0.0: the core protocol, who may have how many, and browsers.
 *
 * Names begin with what they prove: c1 .. c16 are the requirements of the core in the order of the
 * specification; t_… in other suites the extensions; trap1 .. trap21 the mistakes that other
 * servers were found to make, core and extensions alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/text.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define MB ((size_t)1 << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t bytes[6 * MB];

/* Other ciphertext on every call. */
static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 1;

	fill_random(bytes, n, seed++);
	return bytes;
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

static int start_small(void **state)
{
	return start(state, "upload { max = 1mb }\n");
}

static int start_hurried(void **state)
{
	return start(state, "http { timeout = 1s }\n");
}

static int start_stopped_soon(void **state)
{
	return start(state, "http { stop_grace = 1s }\n");
}

static int start_narrow(void **state)
{
	return start(state, "upload { open = 4; open_per_address = 2; ttl_unfinished = 1h }\n");
}

static int start_narrow_and_brief(void **state)
{
	return start(state, "upload { open = 2; ttl_unfinished = 1s }\n"
			    "expiry { interval = 1s }\n");
}

static int start_impatient(void **state)
{
	return start(state, "upload { min_rate = 2kb; min_rate_grace = 1s }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

static void create(const struct test_server *s, uint64_t length, struct tus_upload *u)
{
	assert_int_equal(tus_create(s, length, "", u), 201);
}

/* An upload of this length that has the first n bytes of p already. */
static void create_with(const struct test_server *s, uint64_t length, const uint8_t *p, size_t n,
			struct tus_upload *u)
{
	create(s, length, u);
	assert_int_equal(tus_patch(u, 0, p, n), 204);
}

/* Counts what the store has kept, around a story in which it is to keep nothing. */
static uint64_t kept(struct test_server *s)
{
	return server_metric(s, "restante_store_commits_total");
}

/* ---- C1 to C6: versions, and what OPTIONS tells ---- */

static void assert_spoken(const struct test_server *s, int status, const char *method,
			  const char *target, const char *fields, const char *body)
{
	struct answer a;

	tus_request(s, method, target, fields, body, body == NULL ? 0 : strlen(body), &a);
	if (a.status != status)
		fail_msg("%s %s: %d, not %d", method, target, a.status, status);
	assert_field(&a, "Tus-Resumable", "1.0.0");
	answer_free(&a);
}

#define BYTES_AT(offset)                                    \
	"Content-Type: application/offset+octet-stream\r\n" \
	"Upload-Offset: " offset "\r\n"

static void c1_every_answer_to_a_tus_request_names_the_version(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 5, &u);
	assert_spoken(s, 201, "POST", "/v1/uploads", "Upload-Length: 5\r\n", NULL);
	assert_spoken(s, 400, "POST", "/v1/uploads", "", NULL);
	assert_spoken(s, 413, "POST", "/v1/uploads", "Upload-Length: 99999999999999\r\n", NULL);
	assert_spoken(s, 200, "HEAD", u.path, "", NULL);
	assert_spoken(s, 400, "PATCH", u.path, BYTES_AT("x"), "hello");
	assert_spoken(s, 409, "PATCH", u.path, BYTES_AT("1"), "hello");
	assert_spoken(s, 413, "PATCH", u.path, BYTES_AT("0"), "hello, world");
	assert_spoken(s, 415, "PATCH", u.path, "Upload-Offset: 0\r\n", "hello");
	assert_spoken(s, 204, "PATCH", u.path, BYTES_AT("0"), "hello");
	assert_spoken(s, 204, "DELETE", u.path, "", NULL);
	assert_spoken(s, 404, "DELETE", u.path, "", NULL);
	assert_spoken(s, 404, "HEAD", "/v1/uploads/x", "", NULL);
	assert_spoken(s, 404, "PATCH", "/v1/uploads/x", BYTES_AT("0"), "hello");
	assert_spoken(s, 404, "GET", "/v1/media/x", "", NULL);
	assert_spoken(s, 404, "GET", "/nowhere", "", NULL);
	assert_spoken(s, 405, "PATCH", "/v1/media/x", BYTES_AT("0"), "hello");
	assert_spoken(s, 405, "DELETE", "/healthz", "", NULL);
	assert_spoken(s, 501, "POST", u.path, "X-HTTP-Method-Override: BREW\r\n", NULL);
	assert_spoken(s, 204, "OPTIONS", "/v1/uploads", "", NULL);
}

static void assert_not_spoken(const struct test_server *s, const char *method, const char *target,
			      const char *version, const char *fields, const char *body)
{
	char all[600];
	struct answer a;

	(void)snprintf(all, sizeof(all), "%s%s", version, fields);
	http_request(s->port, method, target, all, body, body == NULL ? 0 : strlen(body), &a);
	if (a.status != 412)
		fail_msg("%s with %s: %d", method, version, a.status);
	assert_field(&a, "Tus-Version", "1.0.0");
	if (strcmp(method, "HEAD") != 0)
		assert_true(answer_is_problem(&a, 412));
	answer_free(&a);
}

static void c2_trap1_another_version_is_412_with_what_is_spoken_and_nothing_is_done(void **state)
{
	static const char *const versions[] = {
		"Tus-Resumable: 0.2.2\r\n",     "Tus-Resumable: 1.0.1\r\n",
		"Tus-Resumable: 1.0\r\n",       "Tus-Resumable: 1\r\n",
		"Tus-Resumable: 01.0.0\r\n",    "Tus-Resumable: 1.0.0-rc1\r\n",
		"Tus-Resumable: 1.0.0,2\r\n",   "Tus-Resumable: x\r\n",
		"Tus-Resumable:\r\n",           "Tus-Resumable: 2.0.0\r\nTus-Resumable: 1.0.0\r\n",
		TUS "Tus-Resumable: 2.0.0\r\n", TUS TUS,
	};
	struct test_server *s = *state;
	struct tus_upload u;
	uint64_t before;

	create(s, 5, &u);
	before = kept(s);
	for (size_t i = 0; i < COUNT(versions); i++) {
		const char *v = versions[i];

		assert_not_spoken(s, "POST", "/v1/uploads", v, "Upload-Length: 5\r\n", NULL);
		assert_not_spoken(s, "POST", "/v1/uploads", v,
				  "Upload-Length: 5\r\n"
				  "Content-Type: application/offset+octet-stream\r\n",
				  "hello");
		assert_not_spoken(s, "HEAD", u.path, v, "", NULL);
		assert_not_spoken(s, "PATCH", u.path, v, BYTES_AT("0"), "hello");
		assert_not_spoken(s, "DELETE", u.path, v, "", NULL);
	}
	assert_int_equal(kept(s), before);
	assert_int_equal(tus_offset(&u), 0);
}

static void c2_no_version_at_all_is_412_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	uint64_t before;

	create(s, 5, &u);
	before = kept(s);
	assert_not_spoken(s, "POST", "/v1/uploads", "", "Upload-Length: 5\r\n", NULL);
	assert_not_spoken(s, "PATCH", u.path, "", BYTES_AT("0"), "hello");
	assert_int_equal(kept(s), before);
	assert_int_equal(tus_offset(&u), 0);
}

/* The version is looked at before anything else that is wrong with a request. */
static void c2_the_version_is_checked_first(void **state)
{
	static const char v[] = "Tus-Resumable: 2.0.0\r\n";
	struct test_server *s = *state;

	assert_not_spoken(s, "POST", "/v1/uploads", v, "Upload-Length: x\r\n", NULL);
	assert_not_spoken(s, "POST", "/v1/uploads?what=ever", v, "", NULL);
	assert_not_spoken(s, "PATCH", "/v1/uploads/x", v, "Upload-Offset: x\r\n", "hello");
	assert_not_spoken(s, "HEAD", "/v1/uploads/x", v, "", NULL);
	assert_not_spoken(s, "DELETE", "/v1/uploads/x", v, "", NULL);
}

static void assert_refused_before_the_body(const struct test_server *s, int status,
					   const char *method, const char *target,
					   const char *fields)
{
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	(void)client_sendf(c,
			   "%s %s HTTP/1.1\r\nHost: t\r\n%sContent-Length: 100\r\n"
			   "Expect: 100-continue\r\n\r\n",
			   method, target, fields);
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_problem(&a, status);
	client_close(c);
}

static void c2_c10_c11_what_is_refused_is_refused_before_the_body_is_asked_for(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 1000, &u);
	assert_refused_before_the_body(s, 412, "PATCH", u.path,
				       "Tus-Resumable: 2.0.0\r\n" BYTES_AT("0"));
	assert_refused_before_the_body(s, 415, "PATCH", u.path, TUS "Upload-Offset: 0\r\n");
	assert_refused_before_the_body(s, 400, "PATCH", u.path, TUS BYTES_AT("+0"));
	assert_refused_before_the_body(s, 409, "PATCH", u.path, TUS BYTES_AT("1"));
	assert_refused_before_the_body(s, 404, "PATCH", "/v1/uploads/x", TUS BYTES_AT("0"));
	assert_refused_before_the_body(s, 415, "POST", "/v1/uploads",
				       TUS "Upload-Length: 1000\r\n");
	assert_refused_before_the_body(s, 413, "POST", "/v1/uploads",
				       TUS_BYTES "Upload-Length: 99\r\n");
	assert_refused_before_the_body(s, 413, "POST", "/v1/uploads",
				       TUS_BYTES "Upload-Length: 99999999999999\r\n");
	assert_int_equal(tus_offset(&u), 0);
}

static void options(const struct test_server *s, const char *target, const char *fields,
		    struct answer *a)
{
	http_request(s->port, "OPTIONS", target, fields, NULL, 0, a);
	assert_true(a->status == 200 || a->status == 204);
}

static size_t elements(const char *list)
{
	size_t n = list[0] != '\0';

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static void c3_c5_trap16_options_tells_version_and_extensions(void **state)
{
	static const char *const targets[] = { "/v1/uploads", "/v1/uploads/x", "/v1/media", "*" };
	static const char *const extensions[] = {
		"creation",
		"creation-with-upload",
		"creation-defer-length",
		"expiration",
		"checksum",
		"checksum-trailer",
		"termination",
		"concatenation",
		"concatenation-unfinished",
	};
	char list[512];
	struct answer a;

	for (size_t i = 0; i < COUNT(targets); i++) {
		options(*state, targets[i], TUS, &a);
		assert_field(&a, "Tus-Version", "1.0.0");
		assert_field(&a, "Tus-Resumable", "1.0.0");
		assert_true(answer_field(&a, "Tus-Extension", list, sizeof(list)));
		for (size_t k = 0; k < COUNT(extensions); k++)
			if (!list_has(list, extensions[k]))
				fail_msg("no %s in %s", extensions[k], list);
		assert_int_equal(elements(list), COUNT(extensions));
		answer_free(&a);
	}
}

static void c4_trap2_options_does_not_look_at_the_version_asked_for(void **state)
{
	static const char *const asked[] = { "", "Tus-Resumable: 0.2.2\r\n", "Tus-Resumable: x\r\n",
					     "Tus-Resumable:\r\n", TUS TUS };
	struct answer a;

	for (size_t i = 0; i < COUNT(asked); i++) {
		options(*state, "/v1/uploads", asked[i], &a);
		assert_field(&a, "Tus-Version", "1.0.0");
		assert_true(answer_field(&a, "Tus-Extension", (char[512]){ 0 }, 512));
		answer_free(&a);
	}
}

static void c6_options_tells_the_largest_upload(void **state)
{
	struct answer a;

	options(*state, "/v1/uploads", TUS, &a);
	assert_field(&a, "Tus-Max-Size", "1048576");
	answer_free(&a);
}

static void c6_options_tells_the_largest_upload_by_default(void **state)
{
	struct answer a;

	options(*state, "/v1/uploads", TUS, &a);
	assert_field(&a, "Tus-Max-Size", "2147483648");
	answer_free(&a);
}

static void t_checksum_options_tells_the_algorithms(void **state)
{
	static const char *const algorithms[] = { "sha1", "sha256", "sha512", "md5", "crc32c" };
	char list[256];
	struct answer a;

	options(*state, "/v1/uploads", TUS, &a);
	assert_true(answer_field(&a, "Tus-Checksum-Algorithm", list, sizeof(list)));
	for (size_t i = 0; i < COUNT(algorithms); i++)
		assert_true(list_has(list, algorithms[i]));
	assert_int_equal(elements(list), COUNT(algorithms));
	answer_free(&a);
}

/* ---- C7: the method that is meant ---- */

static void overridden(const struct test_server *s, const char *real, const char *meant,
		       const char *target, const char *fields, const char *body, struct answer *a)
{
	char all[600];

	(void)snprintf(all, sizeof(all), "X-HTTP-Method-Override: %s\r\n%s", meant, fields);
	tus_request(s, real, target, all, body, body == NULL ? 0 : strlen(body), a);
}

static void c7_trap12_the_override_is_the_method_whatever_the_real_one(void **state)
{
	static const char *const real[] = { "POST", "GET",    "PUT",    "PATCH",
					    "HEAD", "DELETE", "OPTIONS" };
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	for (size_t i = 0; i < COUNT(real); i++) {
		overridden(s, real[i], "POST", "/v1/uploads", "Upload-Length: 5\r\n", NULL, &a);
		assert_status(&a, 201);
		tus_learn(s, &a, &u);
		answer_free(&a);

		overridden(s, real[i], "PATCH", u.path, BYTES_AT("0"), "hel", &a);
		assert_status(&a, 204);
		assert_field(&a, "Upload-Offset", "3");
		answer_free(&a);

		overridden(s, real[i], "HEAD", u.path, "", NULL, &a);
		assert_status(&a, 200);
		assert_field(&a, "Upload-Offset", "3");
		assert_field(&a, "Upload-Length", "5");
		assert_true(a.whole);
		assert_int_equal(a.body_len, 0);
		answer_free(&a);

		overridden(s, real[i], "OPTIONS", u.path, "", NULL, &a);
		assert_field(&a, "Tus-Version", "1.0.0");
		answer_free(&a);

		overridden(s, real[i], "DELETE", u.path, "", NULL, &a);
		assert_status(&a, 204);
		answer_free(&a);
		assert_int_equal(tus_offset(&u), -2);
	}
}

/* Bytes mean nothing to a HEAD (RFC 9110 section 9.3.2); it may refuse them, and keeps none. */
static void c7_a_patch_that_means_head_writes_nothing(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	create(s, 5, &u);
	overridden(s, "PATCH", "HEAD", u.path, BYTES_AT("0"), "", &a);
	assert_status(&a, 200);
	assert_field(&a, "Upload-Offset", "0");
	answer_free(&a);
	overridden(s, "PATCH", "HEAD", u.path, BYTES_AT("0"), "hello", &a);
	assert_true(a.status == 200 || a.status == 400);
	answer_free(&a);
	assert_int_equal(tus_offset(&u), 0);
}

static void c7_an_override_that_nobody_knows_is_501_and_two_are_400(void **state)
{
	static const char *const unknown[] = { "BREW", "patch", "Head", "PATCH, HEAD", "PATCHX" };
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	create(s, 5, &u);
	for (size_t i = 0; i < COUNT(unknown); i++) {
		overridden(s, "POST", unknown[i], u.path, BYTES_AT("0"), "hello", &a);
		assert_problem(&a, 501);
	}
	overridden(s, "POST", "PATCH\r\nX-HTTP-Method-Override: PATCH", u.path, BYTES_AT("0"),
		   "hello", &a);
	assert_problem(&a, 400);
	overridden(s, "POST", "PATCH\r\nX-HTTP-Method-Override: DELETE", u.path, BYTES_AT("0"),
		   "hello", &a);
	assert_problem(&a, 400);
	assert_int_equal(tus_offset(&u), 0);
}

/* What a stored page or a proxy can be made to send should not delete media. */
static void c7_an_override_counts_on_uploads_only(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;
	char target[80];
	struct answer a;

	create_with(s, 100, p, 100, &u);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", u.manage);
	overridden(s, "GET", "DELETE", target, "", NULL, &a);
	assert_problem(&a, 404);
	assert_true(tus_has(&u, p, 100));
}

/* ---- C8, C9: HEAD ---- */

static void c8_trap6_head_tells_offset_and_length_at_every_stage_and_is_not_stored(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 1000, &u);
	assert_true(tus_is_at(&u, 0, 1000));
	assert_int_equal(tus_patch(&u, 0, fresh(1000), 400), 204);
	assert_true(tus_is_at(&u, 400, 1000));
	assert_int_equal(tus_patch(&u, 400, bytes + 400, 600), 204);
	assert_true(tus_is_at(&u, 1000, 1000));
}

static void c8_head_hands_the_tokens_out_again(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	char digest[TUS_DIGEST_SIZE];
	struct answer a;

	create(s, 1000, &u);
	tus_head(&u, &a);
	assert_field(&a, "Media-Token", u.token);
	assert_field(&a, "Media-Manage-Token", u.manage);
	assert_no_field(&a, "Repr-Digest");
	answer_free(&a);

	assert_int_equal(tus_patch(&u, 0, p, 1000), 204);
	tus_head(&u, &a);
	assert_field(&a, "Media-Token", u.token);
	assert_field(&a, "Media-Manage-Token", u.manage);
	tus_digest(digest, p, 1000);
	assert_field(&a, "Repr-Digest", digest);
	answer_free(&a);
}

/* u's path with another last character: what a forger has. */
/* As much as a creation may bring; and as the first or the second request on its connection, which
 * a HEAD has begun. */
static void c8_head_tells_long_metadata_whole_whatever_else_is_asked_with_it(void **state)
{
	static char metadata[7100], fields[7200], cookie[3100];
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	(void)snprintf(metadata, sizeof(metadata), "name %07000d", 0);
	(void)snprintf(fields, sizeof(fields), "Upload-Metadata: %s\r\n", metadata);
	assert_int_equal(tus_create(s, 5, fields, &u), 201);
	for (int i = 0; i < 8; i++) {
		struct client *c = client_open(s->port);

		(void)snprintf(cookie, sizeof(cookie), "Cookie: %0*d\r\n", 1 + i / 2 * 1000, 0);
		if (i % 2 == 1) {
			assert_true(client_sendf(c, "HEAD /v1/uploads/x HTTP/1.1\r\n"
						    "Host: t\r\n" TUS "\r\n"));
			client_answer(c, true, &a, NULL);
			assert_status(&a, 404);
			answer_free(&a);
		}
		assert_true(client_sendf(c, "HEAD %s HTTP/1.1\r\nHost: t\r\n" TUS "%s\r\n", u.path,
					 cookie));
		client_answer(c, true, &a, NULL);
		assert_status(&a, 200);
		assert_field(&a, "Upload-Metadata", metadata);
		assert_field(&a, "Upload-Offset", "0");
		assert_field(&a, "Media-Token", u.token);
		answer_free(&a);
		client_close(c);
	}
}

static void forge(const struct tus_upload *u, struct tus_upload *forged)
{
	*forged = *u;
	forged->path[40] = forged->path[40] == 'A' ? 'B' : 'A';
}

static void c9_c13_of_what_is_not_there_nothing_is_told(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u, other;

	create_with(s, 10, fresh(10), 5, &u);
	forge(&u, &other);
	assert_tells_nothing(&other, 404);
	(void)snprintf(other.path, sizeof(other.path), "/v1/uploads/x");
	assert_tells_nothing(&other, 404);
	(void)snprintf(other.path, sizeof(other.path), "/v1/uploads/%s", u.token);
	assert_tells_nothing(&other, 404);
	(void)snprintf(other.path, sizeof(other.path), "/v1/uploads/%s", u.manage);
	assert_tells_nothing(&other, 404);
	assert_int_equal(tus_offset(&u), 5);
	assert_int_equal(tus_delete(&u), 204);
	assert_tells_nothing(&u, 404);
}

/* ---- C10, C11: what PATCH refuses ---- */

static int patch_of_type(const struct tus_upload *u, const char *type)
{
	char fields[200];
	struct answer a;
	int status;

	(void)snprintf(fields, sizeof(fields), "%sUpload-Offset: 0\r\n", type);
	tus_ask(u, "PATCH", fields, "hello", 5, &a);
	status = a.status;
	if (status >= 400)
		assert_true(answer_is_problem(&a, status));
	answer_free(&a);
	return status;
}

static void c10_trap3_another_content_type_is_415(void **state)
{
	static const char *const types[] = {
		"",
		"Content-Type:\r\n",
		"Content-Type: application/octet-stream\r\n",
		"Content-Type: application/offset+octet-streams\r\n",
		"Content-Type: application/offset\r\n",
		"Content-Type: application/partial-upload\r\n",
		"Content-Type: text/plain\r\n",
		"Content-Type: application/x-www-form-urlencoded\r\n",
		"Content-Type: multipart/form-data; boundary=x\r\n",
	};
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 5, &u);
	for (size_t i = 0; i < COUNT(types); i++)
		assert_int_equal(patch_of_type(&u, types[i]), 415);
	assert_int_equal(tus_offset(&u), 0);
}

/* RFC 9110 section 8.3.1. */
static void c10_letters_case_in_a_content_type_does_not_count(void **state)
{
	struct tus_upload u;

	create(*state, 5, &u);
	assert_int_equal(patch_of_type(&u, "content-type: Application/Offset+Octet-Stream\r\n"),
			 204);
}

static void assert_conflict(const struct tus_upload *u, uint64_t asked, const char *right)
{
	struct answer a;

	tus_patch_answer(u, asked, "", "hello", 5, &a);
	assert_status(&a, 409);
	assert_field(&a, "Upload-Offset", right);
	assert_problem(&a, 409);
}

static void c11_another_offset_is_409_tells_the_right_one_and_changes_nothing(void **state)
{
	static const uint64_t wrong[] = { 0, 4, 6, 99, 100, 101, INT64_MAX };
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;

	create_with(s, 100, p, 5, &u);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_conflict(&u, wrong[i], "5");
	assert_int_equal(tus_offset(&u), 5);
	assert_int_equal(tus_patch(&u, 5, p + 5, 95), 204);
	assert_conflict(&u, 0, "100");
	assert_conflict(&u, 99, "100");
	assert_conflict(&u, 101, "100");
	assert_true(tus_has(&u, p, 100));
}

static void c11_trap4_without_an_offset_it_is_400(void **state)
{
	struct tus_upload u;
	struct answer a;

	create(*state, 5, &u);
	tus_ask(&u, "PATCH", "Content-Type: application/offset+octet-stream\r\n", "hello", 5, &a);
	assert_problem(&a, 400);
	assert_int_equal(tus_offset(&u), 0);
}

/* Every check comes before the first byte is taken, and none of them disturbs what is there. */
static void c11_trap15_no_byte_of_a_refused_patch_is_kept(void **state)
{
	static const struct {
		int status;
		const char *fields;
	} refused[] = {
		{ 412, "Tus-Resumable: 2.0.0\r\n" BYTES_AT("5") },
		{ 415, TUS "Upload-Offset: 5\r\n" },
		{ 415, TUS "Upload-Offset: 5\r\nContent-Type: text/plain\r\n" },
		{ 400, TUS_BYTES },
		{ 400, TUS BYTES_AT("05") },
		{ 400, TUS BYTES_AT("5") "Upload-Checksum: sha3 AAAA\r\n" },
		{ 400, TUS BYTES_AT("5") "Upload-Checksum: sha1\r\n" },
		{ 409, TUS BYTES_AT("4") },
		{ 409, TUS BYTES_AT("6") },
		{ 400, TUS BYTES_AT("5") "Upload-Length: 11\r\n" },
	};
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(refused); i++) {
		http_request(s->port, "PATCH", u.path, refused[i].fields, "WRONG", 5, &a);
		assert_problem(&a, refused[i].status);
		assert_int_equal(tus_offset(&u), 5);
	}
	assert_int_equal(tus_patch(&u, 5, "world", 5), 204);
	assert_true(tus_has(&u, "helloworld", 10));
}

static void assert_refused_first(const struct tus_upload *u, int status, const char *fields)
{
	struct answer a;

	tus_ask(u, "PATCH", fields, "hello, world", 12, &a);
	assert_problem(&a, status);
}

static void c10_c11_what_is_wrong_with_a_patch_is_told_in_this_order(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u, unknown;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	unknown = u;
	(void)snprintf(unknown.path, sizeof(unknown.path), "/v1/uploads/x");
	assert_refused_first(&unknown, 415, "Upload-Offset: x\r\nUpload-Checksum: x\r\n");
	assert_refused_first(&unknown, 400, BYTES_AT("x"));
	assert_refused_first(&unknown, 400, BYTES_AT("0") "Upload-Checksum: x\r\n");
	assert_refused_first(&unknown, 404, BYTES_AT("0"));
	assert_refused_first(&u, 409, BYTES_AT("4"));
	assert_refused_first(&u, 409, BYTES_AT("4") "Upload-Length: 9\r\n");
	assert_refused_first(&u, 400, BYTES_AT("5") "Upload-Length: 9\r\n");
	assert_refused_first(&u, 413, BYTES_AT("5"));
	assert_int_equal(tus_offset(&u), 5);
}

/* ---- C12: what PATCH does ---- */

static void c12_every_patch_tells_how_far_it_came_and_all_bytes_come_back(void **state)
{
	static const size_t pieces[] = { 1, 4095, 1, 262143, 2, 70001, 300000, 5, 1048576, 17 };
	struct test_server *s = *state;
	const uint8_t *p;
	struct tus_upload u;
	size_t at = 0, total = 0;
	char offset[32];
	struct answer a;

	for (size_t i = 0; i < COUNT(pieces); i++)
		total += pieces[i];
	p = fresh(total);
	create(s, total, &u);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		tus_patch_answer(&u, at, "", p + at, pieces[i], &a);
		at += pieces[i];
		assert_status(&a, 204);
		(void)snprintf(offset, sizeof(offset), "%zu", at);
		assert_field(&a, "Upload-Offset", offset);
		assert_field(&a, "Cache-Control", "no-store");
		assert_int_equal(a.body_len, 0);
		answer_free(&a);
		assert_int_equal(tus_offset(&u), at);
	}
	assert_true(tus_has(&u, p, total));
}

static void c12_the_patch_that_finishes_hands_out_tokens_and_digest(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	char digest[TUS_DIGEST_SIZE];
	struct tus_upload u;
	struct answer a;

	create_with(s, 1000, p, 999, &u);
	tus_patch_answer(&u, 999, "", p + 999, 1, &a);
	assert_status(&a, 204);
	tus_digest(digest, p, 1000);
	assert_field(&a, "Upload-Offset", "1000");
	assert_field(&a, "Repr-Digest", digest);
	assert_field(&a, "Media-Token", u.token);
	assert_field(&a, "Media-Manage-Token", u.manage);
	answer_free(&a);
}

static void c12_a_patch_without_bytes_moves_nothing(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10);
	struct tus_upload u;

	create(s, 10, &u);
	assert_true(tus_stays(&u, 0));
	assert_int_equal(tus_patch(&u, 0, p, 4), 204);
	assert_true(tus_stays(&u, 4));
	assert_int_equal(tus_patch(&u, 4, p + 4, 6), 204);
	assert_true(tus_stays(&u, 10)); /* and again, for whoever missed the answer */
	assert_true(tus_stays(&u, 10));
	assert_true(tus_has(&u, p, 10));
}

/* As tus clients do that do not know how much is left to be sent. */
static void c12_the_last_answer_is_told_again_to_an_empty_chunked_patch(void **state)
{
	const uint8_t *p = fresh(1000);
	struct tus_upload u;

	assert_int_equal(tus_place(*state, "", p, 1000, &u), 204);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tus_patch_chunked(&u, 1000, NULL, 0, 1), 204);
		assert_int_equal(tus_patch_chunked(&u, 1000, p, 1, 1), 413);
		assert_true(tus_is_at(&u, 1000, 1000));
		assert_true(tus_has(&u, p, 1000));
	}
}

static void c12_more_than_the_length_is_413_and_nothing_of_it_is_kept(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;
	struct answer a;

	create_with(s, 50, p, 40, &u);
	tus_patch_answer(&u, 40, "", p + 40, 11, &a);
	assert_problem(&a, 413);
	assert_int_equal(tus_offset(&u), 40);
	assert_int_equal(tus_patch(&u, 40, p + 40, 10), 204);
	tus_patch_answer(&u, 50, "", p + 50, 1, &a);
	assert_problem(&a, 413);
	assert_true(tus_has(&u, p, 50));
}

static void c12_a_chunked_patch_counts_as_well(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB + 17);
	struct tus_upload u;

	create(s, MB + 17, &u);
	assert_int_equal(tus_patch_chunked(&u, 0, p, 5, 2), 204);
	assert_int_equal(tus_offset(&u), 5);
	assert_int_equal(tus_patch_chunked(&u, 5, NULL, 0, 1), 204);
	assert_int_equal(tus_patch_chunked(&u, 5, p + 5, MB + 12, 70001), 204);
	assert_true(tus_has(&u, p, MB + 17));
}

static void c12_trap18_a_chunked_patch_cannot_overrun_the_length(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;

	create_with(s, 10, p, 4, &u);
	assert_int_equal(tus_patch_chunked(&u, 4, p + 4, 7, 7), 413);
	assert_int_equal(tus_offset(&u), 4);
	assert_int_equal(tus_patch_chunked(&u, 4, p + 4, 7, 1), 413);
	assert_int_equal(tus_offset(&u), 4);
	assert_int_equal(tus_patch_chunked(&u, 4, p + 4, 6, 1), 204);
	assert_int_equal(tus_patch_chunked(&u, 10, p + 10, 1, 1), 413);
	assert_true(tus_has(&u, p, 10));
}

/* However much more comes: what is kept is the beginning, and the upload can be ended as it is. */
static void c12_trap18_a_long_overrun_leaves_an_upload_that_goes_on(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(6 * MB);
	struct tus_upload u;
	int64_t offset;

	create(s, 3 * MB, &u);
	assert_int_equal(tus_patch_chunked(&u, 0, p, 6 * MB, 100000), 413);
	offset = tus_offset(&u);
	assert_in_range(offset, 0, 3 * MB);
	assert_int_equal(tus_patch(&u, (uint64_t)offset, p + offset, 3 * MB - (size_t)offset), 204);
	assert_true(tus_has(&u, p, 3 * MB));
}

static void c12_told_offsets_survive_a_kill(void **state)
{
	static const size_t pieces[] = { 10, 300000, 1000000, 1 };
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB * 2);
	struct tus_upload u;
	size_t at = 0;

	create(s, 2 * MB, &u);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		assert_int_equal(tus_patch(&u, at, p + at, pieces[i]), 204);
		at += pieces[i];
		server_kill(s);
		server_again(s);
		assert_int_equal(tus_offset(&u), at);
	}
	assert_int_equal(tus_patch(&u, at, p + at, 2 * MB - at), 204);
	server_kill(s);
	server_again(s);
	assert_true(tus_has(&u, p, 2 * MB));
}

/* ---- C14, C15: what is broken off ---- */

static void c14_c15_a_stalled_patch_is_closed_in_time_and_its_bytes_are_kept(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	uint8_t waste[4096];
	struct tus_upload u;
	struct client *c;
	int64_t began;

	create(s, 10000, &u);
	c = tus_begin(&u, 0, "Content-Length: 10000\r\n");
	assert_true(client_send(c, p, 5000));
	began = clock_mono_ms();
	while (client_peek(c, 5000) > 0) /* a 408 may be said first */
		assert_true(recv(c->fd, waste, sizeof(waste), 0) > 0);
	assert_in_range(clock_mono_ms() - began, 400, 3500);
	client_close(c);
	assert_true(tus_reaches(&u, 5000, 2000));
	assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
	assert_true(tus_has(&u, p, 10000));
}

enum how { BY_CLOSE, BY_HALF_CLOSE, BY_RESET, HOWS };

static void break_off(struct client *c, enum how how)
{
	client_nap(200); /* what was sent has come */
	if (how == BY_RESET) {
		client_reset(c);
		return;
	}
	if (how == BY_HALF_CLOSE) {
		client_half_close(c);
		client_nap(200);
	}
	client_close(c);
}

static void c15_trap14_a_patch_that_is_broken_off_keeps_what_came(void **state)
{
	static const struct {
		size_t length, sent;
	} stories[] = { { 10000, 1 }, { 10000, 5000 }, { 10000, 9999 }, { 5 * MB, 3 * MB + 17 } };
	struct test_server *s = *state;
	struct tus_upload u;

	for (size_t i = 0; i < COUNT(stories) * HOWS; i++) {
		const size_t length = stories[i / HOWS].length, sent = stories[i / HOWS].sent;
		const uint8_t *p = fresh(length);
		struct client *c;
		char fields[64];

		create(s, length, &u);
		(void)snprintf(fields, sizeof(fields), "Content-Length: %zu\r\n", length);
		c = tus_begin(&u, 0, fields);
		assert_true(client_send(c, p, sent));
		break_off(c, (enum how)(i % HOWS));
		assert_true(tus_reaches(&u, sent, 3000));
		assert_int_equal(tus_patch(&u, sent, p + sent, length - sent), 204);
		assert_true(tus_has(&u, p, length));
	}
}

static void c15_trap14_a_chunked_patch_that_is_broken_off_keeps_what_came(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	struct tus_upload u;

	for (enum how how = BY_CLOSE; how < HOWS; how++) {
		struct client *c;

		create(s, 10000, &u);
		c = tus_begin(&u, 0, TUS_CHUNKED);
		assert_true(client_chunk(c, p, 3000));
		assert_true(client_chunk(c, p + 3000, 2000));
		break_off(c, how);
		assert_true(tus_reaches(&u, 5000, 3000));
		assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
		assert_true(tus_has(&u, p, 10000));
	}
}

/* All bytes were there, only the request had no end: tus knows of no other end than the length. */
static void c15_all_bytes_of_a_patch_that_is_broken_off_finish_the_upload(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	struct tus_upload u;
	struct client *c;

	create(s, 10000, &u);
	c = tus_begin(&u, 0, TUS_CHUNKED);
	assert_true(client_chunk(c, p, 10000));
	break_off(c, BY_CLOSE);
	assert_true(tus_reaches(&u, 10000, 3000));
	assert_true(tus_stays(&u, 10000));
	assert_true(tus_has(&u, p, 10000));
}

static void c15_a_stop_keeps_what_came(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	struct tus_upload u;
	struct client *c;

	create(s, 10000, &u);
	c = tus_begin(&u, 0, "Content-Length: 10000\r\n");
	assert_true(client_send(c, p, 5000));
	client_nap(200);
	assert_int_equal(server_stop(s), 0);
	client_close(c);
	server_again(s);
	assert_int_equal(tus_offset(&u), 5000);
	assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
	assert_true(tus_has(&u, p, 10000));
}

/* ---- C15, C12: the newest request wins ---- */

/* A PATCH that has sent 5000 of 10000 bytes and hangs. */
static struct client *hanging(const struct test_server *s, const uint8_t *p, struct tus_upload *u)
{
	struct client *c;

	create(s, 10000, u);
	c = tus_begin(u, 0, "Content-Length: 10000\r\n");
	assert_true(client_send(c, p, 5000));
	client_nap(100);
	return c;
}

static void c15_a_head_ends_a_patch_that_hangs_and_tells_what_it_brought(void **state)
{
	const uint8_t *p = fresh(10000);
	struct tus_upload u;
	struct client *c = hanging(*state, p, &u);
	const int64_t began = clock_mono_ms();

	assert_int_equal(tus_offset(&u), 5000);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
	assert_true(client_closed_within(c, 2000));
	client_close(c);
	assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
	assert_true(tus_has(&u, p, 10000));
}

static void c15_a_newer_patch_ends_an_older_one_and_goes_on_from_there(void **state)
{
	const uint8_t *p = fresh(10000);
	struct tus_upload u;
	struct client *c = hanging(*state, p, &u);
	const int64_t began = clock_mono_ms();

	assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
	assert_true(client_closed_within(c, 2000));
	client_close(c);
	assert_true(tus_has(&u, p, 10000));
}

static void c11_a_newer_patch_with_an_older_offset_is_told_the_right_one(void **state)
{
	const uint8_t *p = fresh(10000);
	struct tus_upload u;
	struct client *c = hanging(*state, p, &u);

	assert_conflict(&u, 0, "5000");
	client_close(c);
	assert_int_equal(tus_patch(&u, 5000, p + 5000, 5000), 204);
	assert_true(tus_has(&u, p, 10000));
}

static void c11_what_is_malformed_does_not_disturb_a_running_patch(void **state)
{
	static const char *const malformed[] = {
		"Tus-Resumable: 2.0.0\r\n" BYTES_AT("5000"),
		TUS "Upload-Offset: 5000\r\n",
		TUS_BYTES,
		TUS BYTES_AT("x"),
		TUS BYTES_AT("5000") "Upload-Checksum: sha3 AAAA\r\n",
	};
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	struct tus_upload u, forged;
	struct client *c = hanging(s, p, &u);
	struct answer a;

	for (size_t i = 0; i < COUNT(malformed); i++) {
		http_request(s->port, "PATCH", u.path, malformed[i], "WRONG", 5, &a);
		assert_in_range(a.status, 400, 415);
		answer_free(&a);
	}
	forge(&u, &forged);
	assert_int_equal(tus_offset(&forged), -2);
	assert_int_equal(tus_patch(&forged, 5000, "WRONG", 5), 404);
	assert_true(client_send(c, p + 5000, 5000));
	assert_int_equal(tus_end(c), 204);
	assert_true(tus_has(&u, p, 10000));
}

/* ---- C16: numbers ---- */

static void c16_trap21_a_length_that_is_no_plain_number_is_400(void **state)
{
	static const char *const lengths[] = {
		"+5", "-5", "-0", "05", "00", "1e3", "5.0", "0x5", "5,5", "5 5",
		"5;", "a",  "",   "5a", "५",  "٥",   "5_0", "5'0", "?5",  "\"5\"",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char fields[64];

	for (size_t i = 0; i < COUNT(lengths); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Length: %s\r\n", lengths[i]);
		if (tus_create(s, TUS_UNSAID, fields, NULL) != 400)
			fail_msg("%s", fields);
	}
	assert_int_equal(kept(s), before);
	assert_int_equal(tus_create(s, 5, "", NULL), 201);
	assert_true(kept(s) > before);
}

static void c16_trap21_an_offset_that_is_no_plain_number_is_400(void **state)
{
	static const char *const offsets[] = {
		"+5", "-5", "05", "5e0", "5.0", "0x5", "5,5", "5 5", "5;", "a", "", "5a", "\"5\"",
	};
	struct test_server *s = *state;
	struct tus_upload u;
	char fields[128];
	struct answer a;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(offsets); i++) {
		(void)snprintf(fields, sizeof(fields),
			       "Content-Type: application/offset+octet-stream\r\n"
			       "Upload-Offset: %s\r\n",
			       offsets[i]);
		tus_ask(&u, "PATCH", fields, "world", 5, &a);
		assert_problem(&a, 400);
	}
	assert_int_equal(tus_offset(&u), 5);
}

static void c16_trap21_a_number_that_stands_twice_is_400(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	struct tus_upload u;
	struct answer a;

	assert_int_equal(tus_create(s, 5, "Upload-Length: 5\r\n", NULL), 400);
	assert_int_equal(tus_create(s, 5, "Upload-Length: 6\r\n", NULL), 400);
	assert_int_equal(tus_create(s, TUS_DEFERRED, "Upload-Defer-Length: 1\r\n", NULL), 400);
	assert_int_equal(kept(s), before);
	create(s, 10, &u);
	tus_patch_answer(&u, 0, "Upload-Offset: 0\r\n", "hello", 5, &a);
	assert_problem(&a, 400);
	tus_patch_answer(&u, 0, "Upload-Offset: 5\r\n", "hello", 5, &a);
	assert_problem(&a, 400);
	assert_int_equal(tus_offset(&u), 0);
}

/* RFC 9110 section 5.5: such space is not part of a field's value. */
static void c16_trap21_space_around_a_number_is_not_part_of_it(void **state)
{
	static const char *const lengths[] = { "Upload-Length:   5\r\n", "Upload-Length:5\r\n",
					       "Upload-Length: 5  \r\n",
					       "Upload-Length:\t5\t\r\n" };
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		assert_int_equal(tus_create(s, TUS_UNSAID, lengths[i], &u), 201);
		assert_true(tus_is_at(&u, 0, 5));
		tus_ask(&u, "PATCH",
			"Content-Type: application/offset+octet-stream\r\nUpload-Offset:  0 \r\n",
			"hello", 5, &a);
		assert_status(&a, 204);
		answer_free(&a);
	}
}

static void c16_trap21_trap11_lengths_near_and_past_64_bits_are_too_long(void **state)
{
	static const char *const lengths[] = { "2147483649",           "4294967296",
					       "9223372036854775807",  "9223372036854775808",
					       "18446744073709551614", "18446744073709551615" };
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char fields[64];
	int status;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Length: %s\r\n", lengths[i]);
		assert_int_equal(tus_create(s, TUS_UNSAID, fields, NULL), 413);
	}
	status = tus_create(s, TUS_UNSAID, "Upload-Length: 18446744073709551616\r\n", NULL);
	assert_true(status == 413 || status == 400);
	status = tus_create(s, TUS_UNSAID, "Upload-Length: 99999999999999999999999999\r\n", NULL);
	assert_true(status == 413 || status == 400);
	assert_int_equal(kept(s), before);
}

static void c16_trap21_offsets_near_and_past_64_bits_are_refused(void **state)
{
	static const char *const offsets[] = { "4294967296",           "9223372036854775807",
					       "9223372036854775808",  "18446744073709551614",
					       "18446744073709551615", "18446744073709551616",
					       "18446744073709551621" };
	struct test_server *s = *state;
	struct tus_upload u;
	char fields[128];
	struct answer a;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	for (size_t i = 0; i < COUNT(offsets); i++) {
		(void)snprintf(fields, sizeof(fields),
			       "Content-Type: application/offset+octet-stream\r\n"
			       "Upload-Offset: %s\r\n",
			       offsets[i]);
		tus_ask(&u, "PATCH", fields, "world", 5, &a);
		assert_true(a.status == 409 || (a.status == 400 && i > 1));
		answer_free(&a);
	}
	assert_int_equal(tus_offset(&u), 5);
}

/* ---- acknowledged bytes and a store that fails ---- */

/* Uploads with a store whose nth call of a kind fails, going on from what HEAD tells after every
 * failure: how many there were. */
static unsigned upload_over_failures(const struct test_server *s)
{
	const uint8_t *p = fresh(1000000);
	int64_t told = 0, offset = 0;
	struct tus_upload u;
	unsigned failures = 0;

	while (tus_create(s, 1000000, "", &u) != 201)
		assert_true(++failures < 10);
	while (offset < 1000000) {
		size_t n = 1000000 - (size_t)offset < 300000 ? 1000000 - (size_t)offset : 300000;

		if (tus_patch(&u, (uint64_t)offset, p + offset, n) == 204)
			told = offset + (int64_t)n;
		else
			assert_true(++failures < 10);
		offset = tus_offset(&u);
		assert_true(offset >= told);
	}
	assert_true(tus_has(&u, p, 1000000));
	return failures;
}

static void c12_trap19_a_store_that_fails_takes_no_acknowledged_byte_back(void **state)
{
	static const char *const calls[] = { "stage", "commit", "write_open" };
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(calls) * 5; i++) {
		struct test_server_options o = { .config = "fetch { cache = 0 }\n" };
		struct test_server s;
		char faults[64];

		(void)snprintf(faults, sizeof(faults), "inner=rocksdb;fail=%s:%zu", calls[i / 5],
			       i % 5 + 1);
		o.faults = faults;
		server_start(&s, &o);
		failures += upload_over_failures(&s);
		server_remove(&s);
	}
	assert_true(failures >= 10);
}

static void c12_trap19_a_patch_on_a_store_that_fails_is_503_and_changes_nothing(void **state)
{
	struct test_server_options o = { .faults = "inner=memory;fail=commit:3" };
	const uint8_t *p = fresh(1000);
	struct test_server s;
	struct tus_upload u;
	struct answer a;

	(void)state;
	server_start(&s, &o);
	create_with(&s, 1000, p, 400, &u);
	tus_patch_answer(&u, 400, "", p + 400, 300, &a);
	assert_problem(&a, 503);
	assert_int_equal(tus_offset(&u), 400);
	assert_int_equal(tus_patch(&u, 400, p + 400, 600), 204);
	assert_true(tus_has(&u, p, 1000));
	server_remove(&s);
}

/* ---- a browser on another origin ---- */

#define ORIGIN "Origin: https://app.example\r\n"

static void assert_lists(const struct answer *a, const char *field, const char *const *names,
			 size_t n)
{
	char list[4096];

	assert_true(answer_field(a, field, list, sizeof(list)));
	for (size_t i = 0; i < n; i++)
		if (!list_has(list, names[i]))
			fail_msg("no %s in %s: %s", names[i], field, list);
}

static void cors_a_preflight_allows_every_request_of_tus_and_rufh(void **state)
{
	static const char *const targets[] = { "/v1/uploads", "/v1/uploads/x" };
	static const char *const methods[] = { "POST", "PUT", "PATCH", "HEAD", "DELETE", "GET" };
	static const char *const fields[] = {
		"Tus-Resumable",
		"Upload-Length",
		"Upload-Defer-Length",
		"Upload-Offset",
		"Upload-Metadata",
		"Upload-Concat",
		"Upload-Checksum",
		"X-HTTP-Method-Override",
		"Upload-Complete",
		"Upload-Incomplete",
		"Upload-Draft-Interop-Version",
		"Content-Type",
		"Content-Digest",
		"Repr-Digest",
		"Authorization",
	};
	struct test_server *s = *state;
	struct answer a;

	for (size_t i = 0; i < COUNT(targets); i++) {
		http_request(s->port, "OPTIONS", targets[i],
			     ORIGIN "Access-Control-Request-Method: PATCH\r\n"
				    "Access-Control-Request-Headers: content-type,"
				    "tus-resumable,upload-offset\r\n",
			     NULL, 0, &a);
		assert_true(a.status == 200 || a.status == 204);
		assert_field(&a, "Access-Control-Allow-Origin", "*");
		assert_lists(&a, "Access-Control-Allow-Methods", methods, COUNT(methods));
		assert_lists(&a, "Access-Control-Allow-Headers", fields, COUNT(fields));
		answer_free(&a);
	}
}

static void assert_readable(const struct test_server *s, int status, const char *method,
			    const char *target, const char *fields, const char *body)
{
	static const char *const exposed[] = {
		"Location",        "Tus-Resumable",      "Tus-Version",
		"Tus-Extension",   "Tus-Max-Size",       "Tus-Checksum-Algorithm",
		"Upload-Offset",   "Upload-Length",      "Upload-Defer-Length",
		"Upload-Metadata", "Upload-Concat",      "Upload-Expires",
		"Upload-Complete", "Upload-Incomplete",  "Upload-Limit",
		"Media-Token",     "Media-Manage-Token", "Upload-Draft-Interop-Version",
		"Repr-Digest",     "Retry-After",
	};
	char all[600];
	struct answer a;

	(void)snprintf(all, sizeof(all), "%s%s", ORIGIN, fields);
	tus_request(s, method, target, all, body, body == NULL ? 0 : strlen(body), &a);
	assert_status(&a, status);
	assert_field(&a, "Access-Control-Allow-Origin", "*");
	assert_lists(&a, "Access-Control-Expose-Headers", exposed, COUNT(exposed));
	answer_free(&a);
}

static void cors_every_answer_can_be_read_by_a_page(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 5, &u);
	assert_readable(s, 201, "POST", "/v1/uploads", "Upload-Length: 5\r\n", NULL);
	assert_readable(s, 400, "POST", "/v1/uploads", "", NULL);
	assert_readable(s, 413, "POST", "/v1/uploads", "Upload-Length: 99999999999999\r\n", NULL);
	assert_readable(s, 415, "PATCH", u.path, "Upload-Offset: 0\r\n", "hello");
	assert_readable(s, 409, "PATCH", u.path, BYTES_AT("1"), "hello");
	assert_readable(s, 204, "PATCH", u.path, BYTES_AT("0"), "hello");
	assert_readable(s, 200, "HEAD", u.path, "", NULL);
	assert_readable(s, 204, "DELETE", u.path, "", NULL);
	assert_readable(s, 404, "HEAD", u.path, "", NULL);
	assert_readable(s, 204, "OPTIONS", "/v1/uploads", "", NULL);
}

static void cors_who_is_no_page_is_told_nothing_of_it(void **state)
{
	struct tus_upload u;
	struct answer a;

	create(*state, 5, &u);
	tus_head(&u, &a);
	assert_no_field(&a, "Access-Control-Allow-Origin");
	assert_no_field(&a, "Access-Control-Expose-Headers");
	answer_free(&a);
}

/* ---- limits ---- */

static void create_from(const struct test_server *s, const char *address, struct answer *a)
{
	struct client *c = client_open_from(s->port, address);

	(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS
			      "Upload-Length: 10\r\n\r\n");
	client_answer(c, false, a, NULL);
	client_close(c);
}

static void created_from(const struct test_server *s, const char *address, struct tus_upload *u)
{
	struct answer a;

	create_from(s, address, &a);
	assert_status(&a, 201);
	tus_learn(s, &a, u);
	answer_free(&a);
}

static void refused_from(const struct test_server *s, const char *address, int status)
{
	struct answer a;

	create_from(s, address, &a);
	assert_field(&a, "Tus-Resumable", "1.0.0");
	assert_problem(&a, status); /* with Retry-After */
}

static void limits_one_address_has_its_share_of_unfinished_uploads(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u[4];

	created_from(s, "127.0.0.2", &u[0]);
	created_from(s, "127.0.0.2", &u[1]);
	refused_from(s, "127.0.0.2", 429);
	refused_from(s, "127.0.0.2", 429);
	created_from(s, "127.0.0.3", &u[2]);

	/* a place is free again with an upload that is finished, and one that is deleted */
	assert_int_equal(tus_patch(&u[0], 0, "helloworld", 10), 204);
	created_from(s, "127.0.0.2", &u[0]);
	refused_from(s, "127.0.0.2", 429);
	assert_int_equal(tus_delete(&u[1]), 204);
	created_from(s, "127.0.0.2", &u[1]);
	refused_from(s, "127.0.0.2", 429);
}

static void limits_all_addresses_together_have_a_limit(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u[5];

	created_from(s, "127.0.0.2", &u[0]);
	created_from(s, "127.0.0.2", &u[1]);
	created_from(s, "127.0.0.3", &u[2]);
	created_from(s, "127.0.0.4", &u[3]);
	refused_from(s, "127.0.0.5", 503);

	/* those that are there go on */
	assert_int_equal(tus_patch(&u[2], 0, "hello", 5), 204);
	refused_from(s, "127.0.0.5", 503);
	assert_int_equal(tus_patch(&u[2], 5, "world", 5), 204);
	created_from(s, "127.0.0.5", &u[4]);
	refused_from(s, "127.0.0.6", 503);
}

/* Finished with its creation, an upload takes no place; refused before its creation, neither. */
static void limits_count_what_is_unfinished_only(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(tus_create(s, 0, "", NULL), 201);
		assert_int_equal(tus_post(s, "", 10, "", "helloworld", 10, NULL), 201);
		assert_int_equal(tus_post(s, "", 10,
					  "Upload-Checksum: sha1 "
					  "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
					  "hello", 5, NULL),
				 460);
		assert_int_equal(tus_post(s, "", 4, "", "hello", 5, NULL), 413);
		assert_int_equal(tus_create(s, UINT64_C(1) << 40, "", NULL), 413);
		assert_int_equal(tus_create(s, TUS_UNSAID, "", NULL), 400);
	}
	create(s, 10, &u);
	create(s, 10, &u);
	assert_int_equal(tus_create(s, 10, "", NULL), 429);
}

static void limits_count_what_was_there_before_a_restart(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u[4];

	created_from(s, "127.0.0.2", &u[0]);
	created_from(s, "127.0.0.2", &u[1]);
	created_from(s, "127.0.0.3", &u[2]);
	created_from(s, "127.0.0.3", &u[3]);
	server_kill(s);
	server_again(s);
	refused_from(s, "127.0.0.4", 503);
	assert_int_equal(tus_delete(&u[0]), 204);
	created_from(s, "127.0.0.4", &u[0]);
	refused_from(s, "127.0.0.4", 503);
}

static void limits_what_expires_takes_no_place(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	int status = 0;

	create(s, 10, &u);
	create(s, 10, &u);
	assert_int_equal(tus_create(s, 10, "", NULL), 503);
	for (int i = 0; i < 100 && status != 201; i++) {
		status = tus_create(s, 10, "", NULL);
		client_nap(status == 201 ? 0 : 100);
	}
	assert_int_equal(status, 201);
}

static void c14_a_patch_that_creeps_is_408_and_its_bytes_are_kept(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	const int64_t began = clock_mono_ms();
	struct tus_upload u;
	struct client *c;
	int64_t offset;
	size_t sent = 0;
	struct answer a;

	create(s, 10000, &u);
	c = tus_begin(&u, 0, "Content-Length: 10000\r\n");
	while (client_peek(c, 50) == 0 && clock_mono_ms() - began < 8000)
		sent += client_send(c, p + sent, 20) ? 20 : 0;
	assert_in_range(clock_mono_ms() - began, 900, 6000);
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 408);
	assert_true(client_closed_within(c, 2000));
	client_close(c);
	offset = tus_offset(&u);
	assert_in_range(offset, 20, sent);
	assert_int_equal(tus_patch(&u, (uint64_t)offset, p + offset, 10000 - (size_t)offset), 204);
	assert_true(tus_has(&u, p, 10000));
}

static void c14_a_patch_that_is_fast_enough_is_not_hurried(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(20000);
	struct tus_upload u;
	struct client *c;

	create(s, 20000, &u);
	c = tus_begin(&u, 0, "Content-Length: 20000\r\n");
	for (size_t at = 0; at < 20000; at += 500) { /* 5000 a second, for four */
		assert_true(client_send(c, p + at, 500));
		client_nap(100);
	}
	assert_int_equal(tus_end(c), 204);
	assert_true(tus_has(&u, p, 20000));
}

#define ALONE(test, start) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest core[] = {
		cmocka_unit_test(c1_every_answer_to_a_tus_request_names_the_version),
		cmocka_unit_test(
			c2_trap1_another_version_is_412_with_what_is_spoken_and_nothing_is_done),
		cmocka_unit_test(c2_no_version_at_all_is_412_too),
		cmocka_unit_test(c2_the_version_is_checked_first),
		cmocka_unit_test(
			c2_c10_c11_what_is_refused_is_refused_before_the_body_is_asked_for),
		cmocka_unit_test(c3_c5_trap16_options_tells_version_and_extensions),
		cmocka_unit_test(c4_trap2_options_does_not_look_at_the_version_asked_for),
		cmocka_unit_test(c6_options_tells_the_largest_upload_by_default),
		cmocka_unit_test(t_checksum_options_tells_the_algorithms),
		cmocka_unit_test(c7_trap12_the_override_is_the_method_whatever_the_real_one),
		cmocka_unit_test(c7_a_patch_that_means_head_writes_nothing),
		cmocka_unit_test(c7_an_override_that_nobody_knows_is_501_and_two_are_400),
		cmocka_unit_test(c7_an_override_counts_on_uploads_only),
		cmocka_unit_test(
			c8_trap6_head_tells_offset_and_length_at_every_stage_and_is_not_stored),
		cmocka_unit_test(c8_head_hands_the_tokens_out_again),
		cmocka_unit_test(c8_head_tells_long_metadata_whole_whatever_else_is_asked_with_it),
		cmocka_unit_test(c9_c13_of_what_is_not_there_nothing_is_told),
		cmocka_unit_test(c10_trap3_another_content_type_is_415),
		cmocka_unit_test(c10_letters_case_in_a_content_type_does_not_count),
		cmocka_unit_test(c11_another_offset_is_409_tells_the_right_one_and_changes_nothing),
		cmocka_unit_test(c11_trap4_without_an_offset_it_is_400),
		cmocka_unit_test(c11_trap15_no_byte_of_a_refused_patch_is_kept),
		cmocka_unit_test(c10_c11_what_is_wrong_with_a_patch_is_told_in_this_order),
		cmocka_unit_test(c12_every_patch_tells_how_far_it_came_and_all_bytes_come_back),
		cmocka_unit_test(c12_the_patch_that_finishes_hands_out_tokens_and_digest),
		cmocka_unit_test(c12_a_patch_without_bytes_moves_nothing),
		cmocka_unit_test(c12_the_last_answer_is_told_again_to_an_empty_chunked_patch),
		cmocka_unit_test(c12_more_than_the_length_is_413_and_nothing_of_it_is_kept),
		cmocka_unit_test(c12_a_chunked_patch_counts_as_well),
		cmocka_unit_test(c12_trap18_a_chunked_patch_cannot_overrun_the_length),
		cmocka_unit_test(c12_trap18_a_long_overrun_leaves_an_upload_that_goes_on),
		cmocka_unit_test(c12_told_offsets_survive_a_kill),
		cmocka_unit_test(c15_trap14_a_patch_that_is_broken_off_keeps_what_came),
		cmocka_unit_test(c15_trap14_a_chunked_patch_that_is_broken_off_keeps_what_came),
		cmocka_unit_test(c15_all_bytes_of_a_patch_that_is_broken_off_finish_the_upload),
		cmocka_unit_test(c15_a_head_ends_a_patch_that_hangs_and_tells_what_it_brought),
		cmocka_unit_test(c15_a_newer_patch_ends_an_older_one_and_goes_on_from_there),
		cmocka_unit_test(c11_a_newer_patch_with_an_older_offset_is_told_the_right_one),
		cmocka_unit_test(c11_what_is_malformed_does_not_disturb_a_running_patch),
		cmocka_unit_test(c16_trap21_a_length_that_is_no_plain_number_is_400),
		cmocka_unit_test(c16_trap21_an_offset_that_is_no_plain_number_is_400),
		cmocka_unit_test(c16_trap21_a_number_that_stands_twice_is_400),
		cmocka_unit_test(c16_trap21_space_around_a_number_is_not_part_of_it),
		cmocka_unit_test(c16_trap21_trap11_lengths_near_and_past_64_bits_are_too_long),
		cmocka_unit_test(c16_trap21_offsets_near_and_past_64_bits_are_refused),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(c6_options_tells_the_largest_upload),
	};
	const struct CMUnitTest browsers[] = {
		cmocka_unit_test(cors_a_preflight_allows_every_request_of_tus_and_rufh),
		cmocka_unit_test(cors_every_answer_can_be_read_by_a_page),
		cmocka_unit_test(cors_who_is_no_page_is_told_nothing_of_it),
	};
	const struct CMUnitTest alone[] = {
		ALONE(limits_one_address_has_its_share_of_unfinished_uploads, start_narrow),
		ALONE(limits_all_addresses_together_have_a_limit, start_narrow),
		ALONE(limits_count_what_is_unfinished_only, start_narrow),
		ALONE(limits_count_what_was_there_before_a_restart, start_narrow),
		ALONE(limits_what_expires_takes_no_place, start_narrow_and_brief),
		ALONE(c14_c15_a_stalled_patch_is_closed_in_time_and_its_bytes_are_kept,
		      start_hurried),
		ALONE(c14_a_patch_that_creeps_is_408_and_its_bytes_are_kept, start_impatient),
		ALONE(c14_a_patch_that_is_fast_enough_is_not_hurried, start_impatient),
		ALONE(c15_a_stop_keeps_what_came, start_stopped_soon),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(c12_trap19_a_store_that_fails_takes_no_acknowledged_byte_back),
		cmocka_unit_test(
			c12_trap19_a_patch_on_a_store_that_fails_is_503_and_changes_nothing),
	};
	int failed;

	failed = cmocka_run_group_tests_name("tus", core, start_plain, stop);
	failed += cmocka_run_group_tests_name("tus, size", small, start_small, stop);
	failed += cmocka_run_group_tests_name("tus, browsers", browsers, start_plain, stop);
	failed += cmocka_run_group_tests_name("tus, limits", alone, NULL, NULL);
	return failed + cmocka_run_group_tests_name("tus, faults", faults, NULL, NULL);
}
