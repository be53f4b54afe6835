/* rufh - Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload), interop versions 3 to 9.
 * The words in quotation marks above the tests are titles of the draft's sections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "storage/chunk.h"
#include "tests/lib/client.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define DAY 86400
#define UPLOADS "/v1/uploads"
#define MISMATCH "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
#define INCONSISTENT "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
#define DIGEST_MISMATCH "urn:restante:problem:digest-mismatch"

static uint8_t bytes[160 * MB];

/* Other ciphertext on every call. */
static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 1000;

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

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

/* ---- what the tests look at ---- */

static void assert_number_field(const struct answer *a, const char *name, uint64_t want)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, want);
	assert_field(a, name, text);
}

/* A problem of one of the draft's types (or ours). Frees the answer. */
static void assert_problem_type(struct answer *a, int status, const char *type)
{
	char text[128];

	assert_true(answer_json(a, "type", text, sizeof(text)));
	assert_string_equal(text, type);
	assert_no_field(a, "Location");
	assert_problem(a, status);
}

/* A member of Upload-Limit, which is a Dictionary of Integers; -1 if it is not there. */
static int64_t limit(const struct answer *a, const char *key)
{
	char text[256], *rest = text, *item;
	int64_t found = -1;

	if (!answer_field(a, "Upload-Limit", text, sizeof(text)))
		return -1;
	while ((item = strsep(&rest, ",")) != NULL) {
		char *end, *value;

		item += strspn(item, " \t");
		value = strchr(item, '=');
		assert_non_null(value);
		*value++ = '\0';
		assert_in_range(value[0], '0', '9');
		if (strcmp(item, key) == 0)
			found = strtoll(value, &end, 10);
		else
			(void)strtoll(value, &end, 10);
		assert_int_equal(*end, '\0');
	}
	return found;
}

/* The time left is `expires` in interop 6 and `max-age` since 7. */
static void assert_limits_of(const struct answer *a, int version)
{
	assert_int_equal(limit(a, "max-size"), INT64_C(2) << 30);
	assert_in_range((uint64_t)limit(a, version == 6 ? "expires" : "max-age"), DAY - 10, DAY);
}

static void assert_place(const struct answer *a)
{
	char text[128];

	assert_true(answer_field(a, "Location", text, sizeof(text)));
	assert_int_equal(strncmp(text, UPLOADS "/", 12), 0);
	assert_int_equal(strlen(text), 12 + 51);
}

/* An answer from the upload protocol about an upload that is not finished. */
static void assert_unfinished_of(const struct answer *a, uint64_t offset, int version)
{
	assert_field(a, "Upload-Complete", "?0");
	assert_number_field(a, "Upload-Offset", offset);
	assert_limits_of(a, version);
	assert_in_range((uint64_t)answer_life(a), DAY - 10, DAY);
	assert_field(a, "Cache-Control", "no-store");
}

static void assert_unfinished(const struct answer *a, uint64_t offset)
{
	assert_unfinished_of(a, offset, 9);
}

static void assert_tokens(const struct answer *a)
{
	char text[64];

	assert_true(answer_field(a, "Media-Token", text, sizeof(text)));
	assert_int_equal(strlen(text), 51);
	assert_true(answer_field(a, "Media-Manage-Token", text, sizeof(text)));
	assert_int_equal(strlen(text), 51);
}

/* The final answer: that of a finished upload, which can be fetched at once. Frees it. */
static void assert_finished(const struct test_server *s, struct answer *a, const uint8_t *p,
			    size_t n)
{
	char token[52], text[80], hex[65], want[TUS_DIGEST_SIZE];
	struct digest d;

	assert_status(a, 201);
	assert_field(a, "Upload-Complete", "?1");
	assert_number_field(a, "Upload-Offset", n);
	assert_field(a, "Content-Type", "application/json");
	assert_field(a, "Cache-Control", "no-store");
	assert_tokens(a);
	tus_digest(want, p, n);
	assert_field(a, "Repr-Digest", want);
	digest_of((struct bytes){ p, n }, &d);
	hex_encode(hex, d.b, sizeof(d.b));
	assert_true(answer_json(a, "sha256", text, sizeof(text)));
	assert_string_equal(text, hex);
	assert_true(answer_json(a, "size", text, sizeof(text)));
	assert_int_equal(strtoull(text, NULL, 10), n);
	assert_true(answer_json(a, "token", token, sizeof(token)));
	assert_field(a, "Media-Token", token);
	assert_true(http_has(s->port, token, p, n));
	answer_free(a);
}

static struct rufh create(const struct test_server *s, const char *fields)
{
	struct rufh u;

	assert_int_equal(rufh_create(s->port, fields, &u), 201);
	return u;
}

static void assert_at(const struct test_server *s, const char *path, uint64_t offset)
{
	const struct rufh_state at = rufh_state(s->port, path);

	assert_int_equal(at.status, 204);
	assert_int_equal(at.offset, offset);
	assert_int_equal(at.complete, 0);
}

static void assert_gone(const struct test_server *s, const struct rufh *u)
{
	const struct rufh_state at = rufh_state(s->port, u->path);

	assert_int_equal(at.status, 404);
	assert_int_equal(at.offset, -1);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u->token), 404);
}

/* Counts what the store has made durable, around a story in which nothing is to be kept. */
static uint64_t kept(struct test_server *s)
{
	return server_metric(s, "restante_store_commits_total");
}

static void finish_and_compare(const struct test_server *s, const char *path, uint64_t offset,
			       const uint8_t *p, size_t n)
{
	struct answer a;

	(void)rufh_append(s->port, path, offset, true, p + offset, n - offset, &a);
	assert_finished(s, &a, p, n);
}

/* ---- "Upload Creation" ---- */

static const char *const targets[] = { UPLOADS, "/v1/media" };
static const char *const methods[] = { "POST", "PUT" };

static void a_careful_creation_tells_where_to_go_on(void **state)
{
	struct test_server *s = *state;
	struct answer a;

	for (int i = 0; i < 4; i++) {
		http_request(s->port, methods[i % 2], targets[i / 2], RUFH_CAREFUL, "", 0, &a);
		assert_status(&a, 201);
		assert_int_equal(a.body_len, 0);
		assert_place(&a);
		assert_tokens(&a);
		assert_unfinished(&a, 0);
		answer_free(&a);
	}
}

static void a_creation_without_any_body_is_a_careful_one(void **state)
{
	struct test_server *s = *state;
	struct answer a;

	http_request(s->port, "POST", UPLOADS, RUFH_CAREFUL, NULL, 0, &a);
	assert_status(&a, 201);
	assert_unfinished(&a, 0);
	answer_free(&a);
}

static void a_creation_may_bring_the_first_bytes(void **state)
{
	static const size_t lengths[] = { 1, 1000, 300 * KB, 5 * MB + 17 };
	struct test_server *s = *state;
	struct answer a;
	struct rufh u;

	for (size_t i = 0; i < 4; i++) {
		const uint8_t *p = fresh(lengths[i] + 10);

		http_request(s->port, methods[i % 2], targets[i / 2], RUFH_CAREFUL, p, lengths[i],
			     &a);
		assert_status(&a, 201);
		assert_unfinished(&a, lengths[i]);
		rufh_of(&a, &u);
		answer_free(&a);
		assert_at(s, u.path, lengths[i]);
		finish_and_compare(s, u.path, lengths[i], p, lengths[i] + 10);
	}
}

/* "Upgrading": the request of a client that can also resume, as a plain upload otherwise. */
static void a_whole_upload_in_one_request_is_answered_as_the_plain_one(void **state)
{
	static const size_t lengths[] = { 0, 1, 300 * KB, 5 * MB + 17 };
	struct test_server *s = *state;
	struct answer a;

	for (int i = 0; i < 16; i++) {
		const size_t n = lengths[i / 4];
		const uint8_t *p = fresh(n);

		http_request(s->port, methods[i % 2], targets[i / 2 % 2], RUFH_WHOLE, p, n, &a);
		assert_place(&a);
		assert_finished(s, &a, p, n);
	}
}

static void a_whole_upload_may_come_in_chunks(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(300 * KB);

	for (int i = 0; i < 2; i++) {
		struct client *c = client_open(s->port);
		struct answer a;

		assert_true(rufh_ask(c, "POST", targets[i], RUFH_CHUNKED, RUFH_WHOLE));
		for (size_t at = 0; at < 300 * KB; at += 50 * KB)
			assert_true(client_chunk(c, p + at, 50 * KB));
		assert_true(client_chunk(c, NULL, 0));
		client_answer(c, false, &a, NULL);
		assert_finished(s, &a, p, 300 * KB);
		client_close(c);
	}
}

/* "Upload-Length": given, or offset + Content-Length of what completes. */
static void the_length_is_known_once_it_was_told(void **state)
{
	struct test_server *s = *state;
	struct rufh u = create(s, "");
	struct answer a;

	assert_int_equal(rufh_state(s->port, u.path).length, -1);
	u = create(s, "Upload-Length: 1000\r\n");
	assert_int_equal(rufh_state(s->port, u.path).length, 1000);

	/* on an append, too */
	u = create(s, "");
	http_request(s->port, "PATCH", u.path,
		     RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 0\r\nUpload-Length: 77\r\n",
		     fresh(10), 10, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_int_equal(rufh_state(s->port, u.path).length, 77);
}

/* tus-js-client says nothing more about an empty file; who does is answered all the same. */
static void an_upload_of_length_zero_is_there_at_once(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create(s, "Upload-Length: 0\r\n");

	assert_true(http_has(s->port, u.token, "", 0));
	assert_int_equal(rufh_state(s->port, u.path).complete, 1);
	finish_and_compare(s, u.path, 0, bytes, 0);
}

static void each_creation_makes_another_upload(void **state)
{
	struct test_server *s = *state;
	const struct rufh one = create(s, ""), two = create(s, "");

	assert_string_not_equal(one.path, two.path);
	assert_string_not_equal(one.token, two.token);
	assert_string_not_equal(one.token, one.path + 12);
	assert_int_equal(rufh_append(s->port, one.path, 0, false, fresh(10), 10, NULL), 204);
	assert_at(s, two.path, 0);
}

static void parameters_are_taken_from_the_query(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct answer a;
	struct rufh u;

	http_request(s->port, "POST", UPLOADS "?ttl=1h&kind=photo&recipients=3", RUFH_WHOLE, p, 100,
		     &a);
	assert_status(&a, 201);
	assert_in_range((uint64_t)answer_life(&a), 3590, 3600);
	answer_free(&a);

	/* and count from the end, also when there is a pause */
	http_request(s->port, "POST", UPLOADS "?ttl=1h", RUFH_CAREFUL, "", 0, &a);
	assert_status(&a, 201);
	assert_unfinished(&a, 0);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 100, &a), 201);
	assert_in_range((uint64_t)answer_life(&a), 3590, 3600);
	answer_free(&a);
}

static void parameters_out_of_shape_create_nothing(void **state)
{
	static const char *const queries[] = { "?ttl=",      "?ttl=-1",
					       "?kind=gif",  "?recipients=1025",
					       "?sha256=00", "?name=x" };
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char target[64];
	struct answer a;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		(void)snprintf(target, sizeof(target), UPLOADS "%s", queries[i]);
		http_request(s->port, "POST", target, RUFH_CAREFUL, "", 0, &a);
		assert_problem(&a, 400);
	}
	assert_int_equal(kept(s), before);
}

/* "Upload Creation": interrupted, it keeps what came and is not complete, whatever was meant. */
static void an_interrupted_creation_is_kept_and_not_complete(void **state)
{
	static const char *const complete[] = { RUFH_WHOLE, RUFH_CAREFUL };
	struct test_server *s = *state;

	for (int i = 0; i < 4; i++) {
		const uint8_t *p = fresh(1000);
		const uint64_t before = rufh_received(s);
		struct client *c = client_open(s->port);
		char fields[128];
		struct answer a;
		struct rufh u;

		(void)snprintf(fields, sizeof(fields), "%sUpload-Draft-Interop-Version: 9\r\n",
			       complete[i % 2]);
		assert_true(rufh_ask(c, "POST", targets[i / 2], 1000, fields));
		assert_int_equal(rufh_interim(c, 5000, &a), 104);
		rufh_of(&a, &u);
		answer_free(&a);
		assert_true(client_send(c, p, 600));
		assert_true(rufh_receives(s, before + 600, 5000));
		client_close(c);
		assert_at(s, u.path, 600);
		finish_and_compare(s, u.path, 600, p, 1000);
	}
}

/* ---- "Status Code 104" ---- */

static int first_interim(const struct test_server *s, const char *http, const char *fields,
			 uint64_t n)
{
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	(void)client_sendf(
		c, "POST /v1/uploads HTTP/%s\r\nHost: t\r\nContent-Length: %" PRIu64 "\r\n%s\r\n",
		http, n, fields);
	(void)client_send(c, fresh(n), n);
	client_answer(c, false, &a, &interim);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	return interim;
}

static void a_104_comes_before_the_first_byte_and_has_all_that_resuming_needs(void **state)
{
	static const char *const complete[] = { RUFH_CAREFUL, RUFH_WHOLE };
	struct test_server *s = *state;

	for (int i = 0; i < 12; i++) {
		struct client *c = client_open(s->port);
		const int interop = 4 + i / 2;
		char fields[128], place[80], version[16];
		struct answer a;
		struct rufh u;

		(void)snprintf(version, sizeof(version), "%d", interop);
		(void)snprintf(fields, sizeof(fields), "%sUpload-Draft-Interop-Version: %s\r\n",
			       complete[i % 2], version);
		assert_true(rufh_ask(c, "POST", UPLOADS, 1000, fields));
		assert_int_equal(rufh_interim(c, 5000, &a), 104);
		assert_field(&a, "Upload-Draft-Interop-Version", version);
		assert_place(&a);
		assert_limits_of(&a, interop);
		assert_tokens(&a); /* DESIGN section 5 */
		assert_no_field(&a, "Content-Length");
		rufh_of(&a, &u);
		answer_free(&a);

		assert_true(client_send(c, fresh(1000), 1000));
		client_answer(c, false, &a, NULL);
		assert_status(&a, 201);
		(void)answer_field(&a, "Location", place, sizeof(place));
		assert_string_equal(place, u.path); /* the same in all answers of a request */
		answer_free(&a);
		client_close(c);
	}
}

/* "Draft Version Identification": a client that does not know this version gets none. */
static void there_is_no_104_without_a_known_version(void **state)
{
	static const char *const versions[] = { "",
						"Upload-Draft-Interop-Version: 2\r\n",
						"Upload-Draft-Interop-Version: 10\r\n",
						"Upload-Draft-Interop-Version: 9.0\r\n",
						"Upload-Draft-Interop-Version: \"9\"\r\n",
						"Upload-Draft-Interop-Version: ?1\r\n",
						"Upload-Draft-Interop-Version: -9\r\n",
						"Upload-Draft-Interop-Version: 9, 9\r\n",
						"Upload-Draft-Interop-Version: nine\r\n",
						"Upload-Draft-Interop-Version: 9\r\n"
						"Upload-Draft-Interop-Version: 9\r\n" };
	char fields[200];

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		(void)snprintf(fields, sizeof(fields), RUFH_WHOLE "%s", versions[i]);
		assert_int_equal(first_interim(*state, "1.1", fields, 1000), 0);
		(void)snprintf(fields, sizeof(fields), RUFH_CAREFUL "%s", versions[i]);
		assert_int_equal(first_interim(*state, "1.1", fields, 1000), 0);
	}
}

/* RFC 9110 section 15.2: no 1xx to a client of HTTP/1.0. */
static void there_is_no_104_before_http_1_1(void **state)
{
	static const char fields[] = RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\n";

	assert_int_equal(first_interim(*state, "1.0", fields, 1000), 0);
	assert_int_equal(first_interim(*state, "1.1", fields, 1000), 1);
}

static void there_is_no_104_when_there_is_nothing_to_resume(void **state)
{
	assert_int_equal(
		first_interim(*state, "1.1", RUFH_CAREFUL "Upload-Draft-Interop-Version: 9\r\n", 0),
		0);
	assert_int_equal(
		first_interim(*state, "1.1", RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\n", 0),
		0);
}

/* "Upload Creation": a 104 may tell the client to go on, but does not stand for the 100. */
static void a_104_comes_before_the_100_of_who_waits_for_one(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct client *c = client_open(s->port);
	struct answer a;

	assert_true(rufh_ask(c, "POST", UPLOADS, 1000,
			     RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\n"
					"Expect: 100-continue\r\n"));
	assert_int_equal(rufh_interim(c, 5000, &a), 104);
	answer_free(&a);
	assert_int_equal(rufh_interim(c, 5000, &a), 100);
	answer_free(&a);
	assert_true(client_send(c, p, 1000));
	client_answer(c, false, &a, NULL);
	assert_finished(s, &a, p, 1000);
	client_close(c);
}

static void each_request_on_a_connection_has_its_own_104(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct rufh u[3];
	struct answer a;

	for (int i = 0; i < 3; i++) {
		assert_true(rufh_ask(c, "POST", UPLOADS, 100,
				     RUFH_CAREFUL "Upload-Draft-Interop-Version: 8\r\n"));
		assert_int_equal(rufh_interim(c, 5000, &a), 104);
		rufh_of(&a, &u[i]);
		answer_free(&a);
		assert_true(client_send(c, fresh(100), 100));
		client_answer(c, false, &a, NULL);
		assert_status(&a, 201);
		answer_free(&a);
	}
	assert_string_not_equal(u[0].path, u[1].path);
	assert_string_not_equal(u[1].path, u[2].path);
	for (int i = 0; i < 3; i++)
		assert_at(s, u[i].path, 100);
	client_close(c);
}

/* The place is told when it is there to stay. */
static void what_a_104_has_named_survives_a_kill(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct client *c = client_open(s->port);
	struct answer a;
	struct rufh u;

	assert_true(rufh_ask(c, "POST", UPLOADS, 1000,
			     RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\n"));
	assert_int_equal(rufh_interim(c, 5000, &a), 104);
	rufh_of(&a, &u);
	answer_free(&a);
	server_kill(s);
	client_close(c);
	server_again(s);
	assert_at(s, u.path, 0);
	finish_and_compare(s, u.path, 0, p, 1000);
}

static void a_refused_creation_gets_no_104(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	assert_true(rufh_ask(c, "POST", UPLOADS, 1000,
			     RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\nUpload-Length: 99\r\n"
					"Expect: 100-continue\r\n"));
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_problem_type(&a, 400, INCONSISTENT);
	client_close(c);
}

/* Go's client before 1.23 gives up after five. Reads interim answers to the last; their count. */
static int read_progress(struct client *c, const char *version, uint64_t sent)
{
	uint64_t last = 0;
	struct answer a;
	int n = 0;

	while (rufh_interim(c, 10000, &a) != 0) {
		const int64_t offset = rufh_state_of(&a).offset;

		assert_status(&a, 104);
		assert_field(&a, "Upload-Draft-Interop-Version", version);
		assert_no_field(&a, "Location");
		assert_in_range((uint64_t)offset, last, sent);
		last = (uint64_t)offset;
		answer_free(&a);
		n++;
	}
	return n;
}

/* "Upload Creation", "Upload Append": progress is told by a few 104s with the offset. */
static void progress_is_told_now_and_then_but_not_often(void **state)
{
	struct test_server *s = *state;
	const size_t half = sizeof(bytes) / 2;
	const uint8_t *p = fresh(sizeof(bytes));
	struct client *c = client_open(s->port);
	struct answer a;
	struct rufh u;

	assert_true(rufh_ask(c, "POST", UPLOADS, half,
			     RUFH_CAREFUL "Upload-Draft-Interop-Version: 9\r\n"));
	assert_int_equal(rufh_interim(c, 5000, &a), 104);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_true(client_send(c, p, half));
	assert_in_range(read_progress(c, "9", half), 1, 3);
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);

	assert_true(rufh_ask(c, "PATCH", u.path, half,
			     RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 83886080\r\n"
						     "Upload-Draft-Interop-Version: 9\r\n"));
	assert_true(client_send(c, p + half, half));
	assert_in_range(read_progress(c, "9", sizeof(bytes)), 1, 3);
	client_answer(c, false, &a, NULL);
	assert_finished(s, &a, p, sizeof(bytes));
	client_close(c);
}

static void however_long_it_is_progress_is_told_three_times_at_most(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	struct client *c = client_open(s->port);
	struct answer a;

	assert_true(rufh_ask(c, "PATCH", u.path, 3 * sizeof(bytes),
			     RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 0\r\n"
						       "Upload-Draft-Interop-Version: 9\r\n"));
	for (int i = 0; i < 3; i++)
		assert_true(client_send(c, bytes, sizeof(bytes)));
	assert_in_range(read_progress(c, "9", 3 * sizeof(bytes)), 1, 3);
	client_answer(c, false, &a, NULL);
	assert_status(&a, 204);
	answer_free(&a);
	client_close(c);
	assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
}

/* Interop 3 and 4 know 104 only on creation. */
static void an_append_of_interop_3_or_4_gets_no_104(void **state)
{
	static const char *const fields[] = {
		"Upload-Draft-Interop-Version: 3\r\nUpload-Incomplete: ?1\r\nUpload-Offset: 0\r\n",
		"Upload-Draft-Interop-Version: 4\r\n" RUFH_CAREFUL "Upload-Offset: 0\r\n",
		RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 0\r\n"
	};
	struct test_server *s = *state;

	for (size_t i = 0; i < 3; i++) {
		const struct rufh u = create(s, "");
		struct client *c = client_open(s->port);
		struct answer a;
		int interim;

		assert_true(rufh_ask(c, "PATCH", u.path, 70 * MB, fields[i]));
		assert_true(client_send(c, bytes, 70 * MB));
		client_answer(c, false, &a, &interim);
		assert_int_equal(a.status / 100, 2);
		assert_int_equal(interim, 0);
		answer_free(&a);
		client_close(c);
		assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
	}
}

/* ---- "Offset Retrieval" ---- */

/* HEAD is recommended, GET allowed since interop 9. */
static void head_and_get_tell_where_an_unfinished_upload_stands(void **state)
{
	static const char *const how[] = { "HEAD", "GET" };
	struct test_server *s = *state;
	const struct rufh u = create(s, "Upload-Length: 2000\r\n");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, fresh(700), 700, NULL), 204);
	for (int i = 0; i < 2; i++) {
		http_request(s->port, how[i], u.path, "", NULL, 0, &a);
		assert_status(&a, 204);
		assert_int_equal(a.body_len, 0);
		assert_unfinished(&a, 700);
		assert_number_field(&a, "Upload-Length", 2000);
		assert_field(&a, "Media-Token", u.token);
		assert_field(&a, "Media-Manage-Token", u.manage);
		answer_free(&a);
	}
}

static void the_offset_of_a_finished_upload_is_its_size(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct placed plain;
	struct answer a;
	struct rufh u;

	http_request(s->port, "POST", UPLOADS, RUFH_WHOLE, p, 1000, &a);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_int_equal(http_place(s->port, "", p, 1000, &plain), 201);
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? u.path : plain.upload;

		http_request(s->port, "HEAD", path, "", NULL, 0, &a);
		assert_status(&a, 204);
		assert_field(&a, "Upload-Complete", "?1");
		assert_number_field(&a, "Upload-Offset", 1000);
		assert_number_field(&a, "Upload-Length", 1000);
		assert_field(&a, "Cache-Control", "no-store");
		answer_free(&a);

		http_get(s->port, path, "", &a); /* its bytes */
		assert_status(&a, 200);
		assert_int_equal(a.body_len, 1000);
		assert_memory_equal(a.body, p, 1000);
		answer_free(&a);
	}
}

static void an_unknown_upload_has_no_offset(void **state)
{
	static const char *const how[] = { "HEAD", "GET", "DELETE", "PATCH" };
	struct test_server *s = *state;
	struct rufh u = create(s, "");
	struct answer a;

	u.path[20] = u.path[20] == 'A' ? 'B' : 'A';
	for (size_t i = 0; i < 4; i++) {
		http_request(s->port, how[i], u.path,
			     RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 0\r\n", i == 3 ? "" : NULL, 0,
			     &a);
		assert_status(&a, 404);
		assert_no_field(&a, "Upload-Offset");
		answer_free(&a);
	}
}

/* ---- "Upload Append" ---- */

/* What is not finished has no digest that a fetch could be told. */
static void assert_no_tag(const struct test_server *s, const struct rufh *u)
{
	char target[80];
	struct answer a;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", u->token);
	http_request(s->port, "HEAD", target, "", NULL, 0, &a);
	assert_status(&a, 200);
	assert_no_field(&a, "ETag");
	answer_free(&a);
}

static void an_append_tells_the_new_offset(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(300 * KB);
	const struct rufh u = create(s, "Upload-Length: 307200\r\n");
	struct answer a;

	for (size_t at = 0; at < 300 * KB; at += 100 * KB) {
		assert_int_equal(rufh_append(s->port, u.path, at, false, p + at, 100 * KB, &a),
				 204);
		assert_unfinished(&a, at + 100 * KB);
		answer_free(&a);
		assert_at(s, u.path, at + 100 * KB);
	}
	/* all bytes are there, and still it is the client who says so */
	assert_no_tag(s, &u);
	assert_int_equal(rufh_append(s->port, u.path, 300 * KB, true, "", 0, &a), 201);
	assert_finished(s, &a, p, 300 * KB);
}

/* The store's grid is nobody's business: around its lines, and around the first size of a buffer.
 */
static void appends_may_meet_at_any_byte(void **state)
{
	static const size_t around[] = { CHUNK_MAX - 5000, CHUNK_MAX - 4097, CHUNK_MAX - 4096,
					 CHUNK_MAX - 4095, CHUNK_MAX - 1,    CHUNK_MAX,
					 CHUNK_MAX + 1,    2 * CHUNK_MAX - 3 };
	static const size_t then[] = { 1, 10, 4096, 5000, 300 * KB };
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB);

	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < 5; k++) {
			const struct rufh u = create(s, "");

			assert_int_equal(rufh_append(s->port, u.path, 0, false, p, around[i], NULL),
					 204);
			assert_int_equal(rufh_append(s->port, u.path, around[i], false,
						     p + around[i], then[k], NULL),
					 204);
			finish_and_compare(s, u.path, around[i] + then[k], p, MB);
		}
}

static void the_last_append_is_answered_as_the_plain_upload(void **state)
{
	static const char *const lengths[] = { "", "Upload-Length: 5000\r\n" };
	struct test_server *s = *state;

	for (int i = 0; i < 2; i++) {
		const uint8_t *p = fresh(5000);
		const struct rufh u = create(s, lengths[i]);
		struct answer a;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 1234, NULL), 204);
		assert_int_equal(
			rufh_append(s->port, u.path, 1234, true, p + 1234, 5000 - 1234, &a), 201);
		assert_field(&a, "Media-Token", u.token); /* as promised at creation */
		assert_finished(s, &a, p, 5000);
	}
}

static void an_append_in_chunks_needs_no_length(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(300 * KB);
	const struct rufh u = create(s, "");
	struct answer a;

	for (int i = 0; i < 2; i++) {
		struct client *c = rufh_append_begin(s->port, u.path, (uint64_t)i * 150 * KB,
						     i == 1, RUFH_CHUNKED);

		for (size_t at = 0; at < 150 * KB; at += 10 * KB)
			assert_true(client_chunk(c, p + (size_t)i * 150 * KB + at, 10 * KB));
		assert_true(client_chunk(c, NULL, 0));
		client_answer(c, false, &a, NULL);
		if (i == 0) {
			assert_status(&a, 204);
			assert_unfinished(&a, 150 * KB);
			answer_free(&a);
		}
		client_close(c);
	}
	assert_finished(s, &a, p, 300 * KB);
}

static void an_append_needs_offset_and_completeness(void **state)
{
	static const char *const fields[] = {
		RUFH_PARTIAL RUFH_CAREFUL,
		RUFH_PARTIAL RUFH_WHOLE,
		RUFH_PARTIAL "Upload-Offset: 0\r\n",
	};
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		http_request(s->port, "PATCH", u.path, fields[i], fresh(10), 10, &a);
		assert_problem(&a, 400);
	}
	assert_at(s, u.path, 0);
}

/* "Media Type application/partial-upload": from interop 6 on. */
static void an_append_needs_its_media_type(void **state)
{
	static const char *const types[] = { "", "Content-Type: application/octet-stream\r\n",
					     "Content-Type: application/offset+octet-stream\r\n",
					     "Content-Type: application/partial-uploads\r\n" };
	static const char *const versions[] = { "",
						"Upload-Draft-Interop-Version: 6\r\n",
						"Upload-Draft-Interop-Version: 7\r\n",
						"Upload-Draft-Interop-Version: 8\r\n",
						"Upload-Draft-Interop-Version: 9\r\n",
						"Upload-Draft-Interop-Version: 10\r\n" };
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	char fields[256];
	struct answer a;

	for (size_t i = 0; i < 4 * 6; i++) {
		(void)snprintf(fields, sizeof(fields), "%s%sUpload-Offset: 0\r\n" RUFH_WHOLE,
			       types[i % 4], versions[i / 4]);
		http_request(s->port, "PATCH", u.path, fields, fresh(10), 10, &a);
		assert_problem(&a, 415);
	}
	assert_at(s, u.path, 0);
}

/* RFC 9110 section 8.3.1: types are compared without case, parameters aside. */
static void the_media_type_may_be_written_differently(void **state)
{
	static const char *const types[] = { "Content-Type: Application/Partial-Upload\r\n",
					     "Content-Type: application/partial-upload;x=y\r\n",
					     "content-type:application/partial-upload \r\n" };
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	char fields[256];
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(fields, sizeof(fields), "%sUpload-Offset: %zu\r\n" RUFH_CAREFUL,
			       types[i], i * 10);
		http_request(s->port, "PATCH", u.path, fields, fresh(10), 10, &a);
		assert_status(&a, 204);
		answer_free(&a);
	}
	assert_at(s, u.path, 30);
}

/* ---- "Mismatching Offset" ---- */

static void assert_mismatch(struct answer *a, uint64_t expected, uint64_t provided)
{
	char text[32];

	assert_int_equal(a->status, 409);
	assert_field(a, "Upload-Complete", "?0");
	assert_number_field(a, "Upload-Offset", expected);
	assert_true(answer_json(a, "expected-offset", text, sizeof(text)));
	assert_int_equal(strtoull(text, NULL, 10), expected);
	assert_true(answer_json(a, "provided-offset", text, sizeof(text)));
	assert_int_equal(strtoull(text, NULL, 10), provided);
	assert_non_null(strstr((const char *)a->body, "\"expected-offset\":")); /* a number */
	assert_null(strstr((const char *)a->body, "\"expected-offset\":\""));
	assert_problem_type(a, 409, MISMATCH);
}

static void a_wrong_offset_is_told_the_right_one_and_changes_nothing(void **state)
{
	static const uint64_t wrong[] = { 0, 499, 501, 1000, UINT64_C(999999999999999) };
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 500, NULL), 204);
	for (size_t i = 0; i < 10; i++) {
		(void)rufh_append(s->port, u.path, wrong[i / 2], i % 2 == 0, p, 100, &a);
		assert_mismatch(&a, 500, wrong[i / 2]);
		assert_at(s, u.path, 500);
	}
	finish_and_compare(s, u.path, 500, p, 1000);
}

static void a_wrong_offset_is_told_before_the_body(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	assert_true(rufh_ask(c, "PATCH", u.path, 100 * MB,
			     RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 5\r\nExpect: 100-continue\r\n"
						     "Upload-Draft-Interop-Version: 9\r\n"));
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_mismatch(&a, 0, 5);
	client_close(c);

	/* and who does not ask can send on while the answer comes */
	c = rufh_append_begin(s->port, u.path, 5, true, 30 * MB);
	assert_true(client_send(c, bytes, 30 * MB));
	client_answer(c, false, &a, NULL);
	assert_mismatch(&a, 0, 5);
	client_close(c);
	assert_at(s, u.path, 0);
}

static void a_wrong_offset_is_told_of_a_finished_upload_too(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 1000, NULL), 201);
	(void)rufh_append(s->port, u.path, 0, true, p, 1000, &a);
	assert_mismatch(&a, 1000, 0);
	(void)rufh_append(s->port, u.path, 2000, true, p, 10, &a);
	assert_mismatch(&a, 1000, 2000);
	assert_true(http_has(s->port, u.token, p, 1000));
}

/* ---- "Inconsistent Length" ---- */

static void a_creation_that_disagrees_with_itself_is_refused(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	struct answer a;

	http_request(s->port, "POST", UPLOADS, RUFH_WHOLE "Upload-Length: 999\r\n", fresh(1000),
		     1000, &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	http_request(s->port, "PUT", "/v1/media", RUFH_WHOLE "Upload-Length: 1001\r\n", bytes, 1000,
		     &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	http_request(s->port, "POST", UPLOADS, RUFH_CAREFUL "Upload-Length: 999\r\n", bytes, 1000,
		     &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	assert_int_equal(kept(s), before);
	http_request(s->port, "POST", UPLOADS, RUFH_WHOLE "Upload-Length: 1000\r\n", bytes, 1000,
		     &a);
	assert_finished(s, &a, bytes, 1000);
}

/* Counted while they come; what nobody was told of is not kept. */
static void a_creation_whose_chunks_disagree_with_its_length_is_refused(void **state)
{
	static const char *const complete[] = { RUFH_WHOLE, RUFH_CAREFUL };
	struct test_server *s = *state;

	for (size_t i = 0; i < 4; i++) {
		struct client *c = client_open(s->port);
		char fields[128];
		struct answer a;

		(void)snprintf(fields, sizeof(fields), "%sUpload-Length: 1000\r\n",
			       complete[i % 2]);
		assert_true(rufh_ask(c, "POST", UPLOADS, RUFH_CHUNKED, fields));
		assert_true(client_chunk(c, fresh(1001), i / 2 == 0 ? 1001 : 999));
		assert_true(client_chunk(c, NULL, 0));
		client_answer(c, false, &a, NULL);
		if (i == 3) /* not too much, and it does not say that this is all */
			assert_status(&a, 201);
		else
			assert_problem_type(&a, 400, INCONSISTENT);
		answer_free(&a);
		client_close(c);
	}
}

static void an_append_that_disagrees_about_the_length_is_refused(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "Upload-Length: 1000\r\n");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 500, NULL), 204);
	/* another length than before */
	http_request(s->port, "PATCH", u.path,
		     RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 500\r\nUpload-Length: 1001\r\n",
		     p + 500, 100, &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	assert_at(s, u.path, 500);
	/* complete, with too little: by its Content-Length, and by its chunks */
	(void)rufh_append(s->port, u.path, 500, true, p + 500, 499, &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	assert_at(s, u.path, 500);
	finish_and_compare(s, u.path, 500, p, 1000);
}

static void an_empty_append_does_not_complete_what_is_not_all_there(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "Upload-Length: 1000\r\n");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 999, NULL), 204);
	(void)rufh_append(s->port, u.path, 999, true, "", 0, &a);
	assert_problem_type(&a, 400, INCONSISTENT);
	assert_at(s, u.path, 999);
	finish_and_compare(s, u.path, 999, p, 1000);
}

static void chunks_that_end_before_the_length_do_not_complete(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "Upload-Length: 1000\r\n");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, RUFH_CHUNKED);
	struct rufh_state at;
	struct answer a;

	assert_true(client_chunk(c, p, 400));
	assert_true(client_chunk(c, NULL, 0));
	client_answer(c, false, &a, NULL);
	assert_problem_type(&a, 400, INCONSISTENT);
	client_close(c);
	at = rufh_state(s->port, u.path);
	assert_int_equal(at.complete, 0);
	assert_int_equal(at.length, 1000);
	finish_and_compare(s, u.path, (uint64_t)at.offset, p, 1000);
}

/* "Upload Append": bytes are counted; Content-Length alone is not trusted. The resource is invalid
 * after that. */
static void chunks_past_the_length_end_the_upload(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 4; i++) {
		const uint8_t *p = fresh(1000);
		const struct rufh u = create(s, "Upload-Length: 1000\r\n");
		struct client *c = rufh_append_begin(s->port, u.path, 0, i % 2 == 0, RUFH_CHUNKED);
		struct answer a;

		assert_true(client_chunk(c, p, 600));
		assert_true(client_chunk(c, p, 401));
		if (i / 2 == 0)
			assert_true(client_chunk(c, NULL, 0));
		client_answer(c, false, &a, NULL);
		assert_problem_type(&a, 400, INCONSISTENT);
		client_close(c);
		assert_gone(s, &u);
		assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 1000, NULL), 404);
	}
}

static void content_past_the_length_is_refused_before_it_is_sent(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 2; i++) {
		const struct rufh u = create(s, "Upload-Length: 1000\r\n");
		struct rufh_state at;
		struct answer a;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, fresh(600), 600, NULL),
				 204);
		(void)rufh_append(s->port, u.path, 600, i == 0, fresh(401), 401, &a);
		assert_problem_type(&a, 400, INCONSISTENT);
		/* it may have been ended by that, but has not grown */
		at = rufh_state(s->port, u.path);
		assert_true(at.status == 404 || (at.status == 204 && at.offset == 600));
	}
}

/* tusd#1098: the length was fixed where the request broke off, so nobody could go on. */
static void a_completing_append_that_breaks_off_does_not_fix_the_length(void **state)
{
	static const uint64_t announced[] = { 1500, RUFH_CHUNKED };
	struct test_server *s = *state;

	for (int i = 0; i < 4; i++) {
		const uint8_t *p = fresh(2000);
		const struct rufh u = create(s, "");
		uint64_t before;
		struct client *c;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 500, NULL), 204);
		before = rufh_received(s);
		c = rufh_append_begin(s->port, u.path, 500, true, announced[i % 2]);
		if (i % 2 == 0)
			assert_true(client_send(c, p + 500, 600));
		else
			assert_true(client_chunk(c, p + 500, 600));
		assert_true(rufh_receives(s, before + 600, 5000));
		if (i / 2 == 0)
			client_close(c);
		else
			client_reset(c);
		assert_at(s, u.path, 1100);
		if (i % 2 == 1) /* nobody knows it, so it may be anything */
			assert_int_equal(rufh_state(s->port, u.path).length, -1);
		finish_and_compare(s, u.path, 1100, p, 2000);
	}
}

/* ---- completed uploads ---- */

/* "Upload Append": who has not heard the final answer may ask again. */
static void the_final_answer_is_replayed(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer first, again;

	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 1000, &first), 201);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rufh_append(s->port, u.path, 1000, true, "", 0, &again), 201);
		assert_string_equal((char *)again.body, (char *)first.body);
		assert_finished(s, &again, p, 1000);
		server_kill(s);
		server_again(s);
	}
	answer_free(&first);
}

static int replay_chunked(const struct test_server *s, const char *path, uint64_t offset,
			  const void *p, size_t n, struct answer *a)
{
	struct client *c = rufh_append_begin(s->port, path, offset, true, RUFH_CHUNKED);

	if (n > 0)
		assert_true(client_chunk(c, p, n));
	(void)client_chunk(c, NULL, 0);
	client_answer(c, false, a, NULL);
	client_close(c);
	return a->status;
}

static void the_final_answer_is_replayed_to_an_empty_chunked_append(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 1000, NULL), 201);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(replay_chunked(s, u.path, 1000, NULL, 0, &a), 201);
		assert_finished(s, &a, p, 1000);
		(void)replay_chunked(s, u.path, 1000, p, 1, &a);
		assert_problem_type(&a, 400, INCONSISTENT);
		assert_int_equal(rufh_state(s->port, u.path).offset, 1000);
	}
}

static void a_finished_upload_does_not_grow(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, 900, NULL), 201);
	for (int i = 0; i < 2; i++) {
		(void)rufh_append(s->port, u.path, 900, i == 0, p + 900, 100, &a);
		assert_int_equal(a.status / 100, 4);
		answer_free(&a);
		assert_true(http_has(s->port, u.token, p, 900));
		assert_int_equal(rufh_state(s->port, u.path).complete, 1);
	}
}

/* ---- "Upload Cancellation" ---- */

static void a_cancelled_upload_is_gone(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);

	for (int i = 0; i < 2; i++) {
		const struct rufh u = create(s, "");

		assert_int_equal(rufh_append(s->port, u.path, 0, i == 1, p, 1000, NULL),
				 i == 1 ? 201 : 204);
		assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
		assert_gone(s, &u);
		assert_int_equal(rufh_append(s->port, u.path, 1000, true, p, 10, NULL), 404);
		assert_int_equal(http_status(s->port, "DELETE", "", u.path), 404);
		server_kill(s);
		server_again(s);
		assert_gone(s, &u);
	}
}

/* tus-js-client, where a browser or proxy lets no PATCH pass. */
static void the_method_may_be_overridden(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct answer a;

	http_request(s->port, "POST", u.path,
		     "X-HTTP-Method-Override: PATCH\r\n" RUFH_PARTIAL RUFH_CAREFUL
		     "Upload-Offset: 0\r\n",
		     p, 1000, &a);
	assert_status(&a, 204);
	assert_unfinished(&a, 1000);
	answer_free(&a);
	http_request(s->port, "POST", u.path, "X-HTTP-Method-Override: HEAD\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	assert_unfinished(&a, 1000);
	answer_free(&a);
	http_request(s->port, "POST", u.path, "X-HTTP-Method-Override: DELETE\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_gone(s, &u);
}

/* ---- "Upload-Limit" ---- */

/* An OPTIONS without Upload-Complete; min-size=0 says that there is no least size. */
static void options_tells_the_limits(void **state)
{
	static const char *const where[] = { UPLOADS, "/v1/media", "*" };
	struct test_server *s = *state;
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		http_request(s->port, "OPTIONS", where[i], "", NULL, 0, &a);
		assert_status(&a, 204);
		assert_int_equal(limit(&a, "max-size"), INT64_C(2) << 30);
		assert_int_equal(limit(&a, "min-size"), 0);
		answer_free(&a);
	}
}

static void too_long_is_refused_with_the_limit(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	struct answer a;

	http_request(s->port, "POST", UPLOADS, RUFH_CAREFUL "Upload-Length: 1048577\r\n", "", 0,
		     &a);
	assert_int_equal(limit(&a, "max-size"), MB);
	assert_problem(&a, 413);
	http_request(s->port, "POST", UPLOADS, RUFH_WHOLE, fresh(MB + 1), MB + 1, &a);
	assert_int_equal(limit(&a, "max-size"), MB);
	assert_problem(&a, 413);
	http_request(s->port, "PUT", "/v1/media", RUFH_CAREFUL, bytes, MB + 1, &a);
	assert_int_equal(limit(&a, "max-size"), MB);
	assert_problem(&a, 413);
	assert_int_equal(kept(s), before);
}

static void an_append_past_the_limit_is_refused(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB);
	const struct rufh u = create(s, "");
	struct client *c;
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, MB - 10, NULL), 204);
	(void)rufh_append(s->port, u.path, MB - 10, true, p, 11, &a);
	assert_int_equal(limit(&a, "max-size"), MB);
	assert_problem(&a, 413);

	c = rufh_append_begin(s->port, u.path, MB - 10, true, RUFH_CHUNKED);
	assert_true(client_chunk(c, p, 11));
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 413);
	client_close(c);
	assert_at(s, u.path, MB - 10);
	finish_and_compare(s, u.path, MB - 10, p, MB);
}

/* ---- structured fields (RFC 9651): malformed is as good as not there ---- */

static void a_malformed_completeness_leaves_a_plain_upload(void **state)
{
	static const char *const values[] = { "true",  "1",      "?2",     "?",   "1?",   "\"?1\"",
					      "?1 ?1", "?1, ?1", "?T",     "??1", "?1;",  "?10",
					      ":?1:",  "(?1)",   "?1;A=1", "@1",  "?1,\t" };
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	char fields[64];
	struct answer a;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Complete: %s\r\n", values[i]);
		http_request(s->port, "PUT", "/v1/media", fields, p, 100, &a);
		if (a.status != 201 || a.body_len == 0 || strstr(a.head, "Upload-Complete"))
			fail_msg("%s:\n%s", fields, a.head);
		answer_free(&a);
	}
	http_request(s->port, "PUT", "/v1/media", RUFH_CAREFUL RUFH_CAREFUL, p, 100, &a);
	assert_status(&a, 201);
	assert_no_field(&a, "Upload-Complete");
	answer_free(&a);
}

static void a_malformed_completeness_creates_no_resumable_upload(void **state)
{
	static const char *const values[] = { "true", "?2", "1", "?1, ?0" };
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char fields[64];
	struct answer a;

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Complete: %s\r\n", values[i]);
		http_request(s->port, "POST", UPLOADS, fields, "", 0, &a);
		assert_int_equal(a.status / 100, 4);
		answer_free(&a);
	}
	assert_int_equal(kept(s), before);
}

/* Parameters are passed over (RFC 9651 section 3.1.2). */
static void parameters_of_an_item_mean_nothing(void **state)
{
	struct test_server *s = *state;
	struct answer a;
	struct rufh u;

	http_request(s->port, "POST", UPLOADS,
		     "Upload-Complete: ?0;x=1;y\r\nUpload-Length: 0100;z=\"q\"\r\n", fresh(10), 10,
		     &a);
	assert_status(&a, 201);
	assert_unfinished(&a, 10);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_int_equal(rufh_state(s->port, u.path).length, 100);
}

static const char *const no_integers[] = { "abc", "-1",  "1.0", "1e3",  "?1",   "\"5\"",
					   "1 2", "0x5", "+5",  "5, 5", "5 ;x", "1000000000000000",
					   "5;",  ":5:", "5-",  "5,",   "(5)",  "" };

static void a_malformed_length_is_as_good_as_not_there(void **state)
{
	struct test_server *s = *state;
	char fields[64];

	for (size_t i = 0; i < sizeof(no_integers) / sizeof(no_integers[0]); i++) {
		struct rufh u;

		(void)snprintf(fields, sizeof(fields), "Upload-Length: %s\r\n", no_integers[i]);
		u = create(s, fields);
		if (rufh_state(s->port, u.path).length != -1)
			fail_msg("\"%s\" is a length", no_integers[i]);
	}
	assert_int_equal(
		rufh_state(s->port, create(s, "Upload-Length: 5\r\nUpload-Length: 5\r\n").path)
			.length,
		-1);
}

static void a_malformed_offset_is_as_good_as_not_there(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create(s, "");
	char fields[128];
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, fresh(5), 5, NULL), 204);
	for (size_t i = 0; i < sizeof(no_integers) / sizeof(no_integers[0]); i++) {
		(void)snprintf(fields, sizeof(fields),
			       RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: %s\r\n", no_integers[i]);
		http_request(s->port, "PATCH", u.path, fields, fresh(10), 10, &a);
		if (a.status != 400)
			fail_msg("\"%s\": %d", no_integers[i], a.status);
		assert_problem(&a, 400);
	}
	http_request(s->port, "PATCH", u.path,
		     RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 5\r\nUpload-Offset: 5\r\n",
		     fresh(10), 10, &a);
	assert_problem(&a, 400);
	assert_at(s, u.path, 5);
}

/* ---- earlier versions ---- */

#define INTEROP3 "Upload-Draft-Interop-Version: 3\r\n"

/* Draft -01: Upload-Incomplete, with the sense inverted; no media type (URLSession of iOS 17). */
static void interop_3_says_incomplete(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(3000);
	struct answer a;
	struct rufh u;

	http_request(s->port, "POST", UPLOADS, INTEROP3 "Upload-Incomplete: ?1\r\n", p, 1000, &a);
	assert_status(&a, 201);
	assert_place(&a);
	assert_field(&a, "Upload-Incomplete", "?1");
	assert_number_field(&a, "Upload-Offset", 1000);
	rufh_of(&a, &u);
	answer_free(&a);

	http_request(s->port, "HEAD", u.path, INTEROP3, NULL, 0, &a);
	assert_status(&a, 204);
	assert_field(&a, "Upload-Incomplete", "?1");
	assert_number_field(&a, "Upload-Offset", 1000);
	assert_field(&a, "Cache-Control", "no-store");
	answer_free(&a);

	http_request(s->port, "PATCH", u.path,
		     INTEROP3 "Upload-Incomplete: ?1\r\nUpload-Offset: 999\r\n", p, 1000, &a);
	assert_status(&a, 409);
	assert_field(&a, "Upload-Incomplete", "?1");
	assert_number_field(&a, "Upload-Offset", 1000);
	answer_free(&a);

	http_request(s->port, "PATCH", u.path,
		     INTEROP3 "Upload-Incomplete: ?1\r\nUpload-Offset: 1000\r\n", p + 1000, 1000,
		     &a);
	assert_status(&a, 201); /* a MUST then */
	assert_field(&a, "Upload-Incomplete", "?1");
	assert_number_field(&a, "Upload-Offset", 2000);
	answer_free(&a);

	http_request(s->port, "PATCH", u.path,
		     INTEROP3 "Upload-Incomplete: ?0\r\nUpload-Offset: 2000\r\n", p + 2000, 1000,
		     &a);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Incomplete", "?0");
	assert_number_field(&a, "Upload-Offset", 3000);
	answer_free(&a);
	assert_true(http_has(s->port, u.token, p, 3000));

	http_request(s->port, "HEAD", u.path, INTEROP3, NULL, 0, &a);
	assert_status(&a, 204);
	assert_field(&a, "Upload-Incomplete", "?0");
	answer_free(&a);
}

static void interop_3_upgrades_a_plain_upload(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct answer a;

	for (int i = 0; i < 4; i++) {
		http_request(s->port, methods[i % 2], targets[i / 2],
			     INTEROP3 "Upload-Incomplete: ?0\r\n", p, 1000, &a);
		assert_status(&a, 201);
		assert_field(&a, "Upload-Incomplete", "?0");
		assert_true(a.body_len > 0);
		answer_free(&a);
	}
}

static void interop_3_has_its_104(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;
	struct rufh u;

	assert_true(rufh_ask(c, "POST", UPLOADS, 1000, INTEROP3 "Upload-Incomplete: ?0\r\n"));
	assert_int_equal(rufh_interim(c, 5000, &a), 104);
	assert_field(&a, "Upload-Draft-Interop-Version", "3");
	assert_place(&a);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_true(client_send(c, fresh(1000), 1000));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	assert_field(&a, "Location", u.path);
	answer_free(&a);
	client_close(c);
}

/* Drafts -01 to -03 have no media type; -01 to -05 want 201 for an append that does not complete
 * (tus-js-client speaks 5 and 6, URLSession 5 and 6). */
static void appends_of_interop_4_to_6_are_answered_201(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	char fields[200];
	struct answer a;

	for (int version = 4; version <= 6; version++) {
		const struct rufh u = create(s, "Upload-Length: 2000\r\n");

		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\n%s" RUFH_CAREFUL
			       "Upload-Offset: 0\r\n",
			       version, version < 6 ? "" : RUFH_PARTIAL);
		http_request(s->port, "PATCH", u.path, fields, p, 1000, &a);
		assert_status(&a, 201);
		assert_unfinished_of(&a, 1000, version);
		answer_free(&a);

		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\n%s" RUFH_WHOLE
			       "Upload-Offset: 1000\r\n",
			       version, version < 6 ? "" : RUFH_PARTIAL);
		http_request(s->port, "PATCH", u.path, fields, p + 1000, 1000, &a);
		assert_finished(s, &a, p, 2000);
	}
}

/* What was not said yet when a version was made, or no more: -01 completes where nothing is said of
 * it, -02 to -05 do not. */
static void an_append_that_does_not_say_whether_it_completes(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	char fields[200];
	struct answer a;

	for (int version = 3; version <= 6; version++) {
		const struct rufh u = create(s, "");

		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\n%sUpload-Offset: 0\r\n",
			       version, version < 6 ? "" : RUFH_PARTIAL);
		http_request(s->port, "PATCH", u.path, fields, p, 1000, &a);
		assert_status(&a, 201);
		assert_number_field(&a, "Upload-Offset", 1000);
		answer_free(&a);
		assert_int_equal(rufh_state(s->port, u.path).complete, version == 3);
	}
}

/* tus-js-client's last word on a stream: its length, and no content any more. */
static void a_length_that_is_reached_completes_an_older_upload(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	char fields[200];
	struct answer a;

	for (int version = 5; version <= 6; version++) {
		const struct rufh u = create(s, "");

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 2000, NULL), 204);
		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\n%sUpload-Offset: 2000\r\n"
			       "Upload-Length: 2000\r\n",
			       version, version < 6 ? "" : RUFH_PARTIAL);
		http_request(s->port, "PATCH", u.path, fields, "", 0, &a);
		assert_finished(s, &a, p, 2000);
	}
}

/* Drafts -01 to -05: what belongs to appending is an error elsewhere; later ones do not mind. */
static void fields_of_an_append_elsewhere_are_refused_until_interop_6(void **state)
{
	static const char *const how[] = { "HEAD", "DELETE" };
	struct test_server *s = *state;
	char fields[200];
	struct answer a;

	for (int version = 3; version <= 9; version++) {
		const struct rufh u = create(s, "");

		for (int i = 0; i < 4; i++) {
			(void)snprintf(fields, sizeof(fields),
				       "Upload-Draft-Interop-Version: %d\r\n%s", version,
				       i / 2 == 0     ? "Upload-Offset: 0\r\n"
				       : version == 3 ? "Upload-Incomplete: ?1\r\n"
						      : RUFH_CAREFUL);
			if (version > 6 && i % 2 == 1)
				continue;
			http_request(s->port, how[i % 2], u.path, fields, NULL, 0, &a);
			assert_status(&a, version <= 6 ? 400 : 204);
			answer_free(&a);
		}
		assert_int_equal(rufh_state(s->port, u.path).status, 204);
	}
}

/* Drafts -04 and -05 refuse what is too much; those since -08 have done with the upload. */
static void interop_6_keeps_an_upload_whose_length_would_be_passed(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);

	for (int i = 0; i < 2; i++) {
		const struct rufh u = create(s, "Upload-Length: 1000\r\n");
		struct client *c = client_open(s->port);
		struct answer a;

		assert_true(rufh_ask(c, "PATCH", u.path, i == 0 ? 1001 : RUFH_CHUNKED,
				     "Upload-Draft-Interop-Version: 6\r\n" RUFH_PARTIAL RUFH_CAREFUL
				     "Upload-Offset: 0\r\n"));
		if (i == 0)
			assert_true(client_send(c, bytes, 1001));
		else
			assert_true(client_chunk(c, bytes, 1001) && client_chunk(c, NULL, 0));
		client_answer(c, false, &a, NULL);
		assert_problem_type(&a, 400, INCONSISTENT);
		client_close(c);
		finish_and_compare(s, u.path, (uint64_t)rufh_offset(s->port, u.path), p, 1000);
	}
}

/* Since interop 7 any 2xx. */
/* Told of in a 104, it is an upload as any other: since interop 7 it ends when its length would be
 * passed, before that it is kept. */
static void a_creation_that_passes_its_length_ends_the_upload_since_interop_7(void **state)
{
	struct test_server *s = *state;

	for (int version = 3; version <= 9; version++) {
		struct client *c = client_open(s->port);
		const uint8_t *p = fresh(1000);
		char fields[200];
		struct answer a;
		struct rufh u;

		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\nUpload-Length: 1000\r\n%s",
			       version, version == 3 ? "Upload-Incomplete: ?1\r\n" : RUFH_CAREFUL);
		assert_true(rufh_ask(c, "POST", UPLOADS, RUFH_CHUNKED, fields));
		assert_int_equal(rufh_interim(c, 5000, &a), 104);
		rufh_of(&a, &u);
		answer_free(&a);
		assert_true(client_chunk(c, bytes, 1001));
		(void)client_chunk(c, NULL, 0);
		client_answer(c, false, &a, NULL);
		assert_problem_type(&a, 400, INCONSISTENT);
		client_close(c);
		if (version >= 7)
			assert_gone(s, &u);
		else
			finish_and_compare(s, u.path, (uint64_t)rufh_offset(s->port, u.path), p,
					   1000);
	}
}

static void appends_of_interop_7_to_9_are_answered_204(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	char fields[200];
	struct answer a;

	for (int version = 7; version <= 9; version++) {
		const struct rufh u = create(s, "Upload-Length: 2000\r\n");

		(void)snprintf(fields, sizeof(fields),
			       "Upload-Draft-Interop-Version: %d\r\n" RUFH_PARTIAL RUFH_CAREFUL
			       "Upload-Offset: 0\r\n",
			       version);
		http_request(s->port, "PATCH", u.path, fields, p, 1000, &a);
		assert_status(&a, 204);
		assert_unfinished(&a, 1000);
		answer_free(&a);
		finish_and_compare(s, u.path, 1000, p, 2000);
	}
}

/* tus-js-client in draft mode: what its source asks of the answers. */
static void a_whole_conversation_as_tus_js_client_has_it(void **state)
{
	static const char *const common[] = { "Upload-Draft-Interop-Version: 5\r\n",
					      "Upload-Draft-Interop-Version: 6\r\n" RUFH_PARTIAL };
	static const char *const versions[] = { "Upload-Draft-Interop-Version: 5\r\n",
						"Upload-Draft-Interop-Version: 6\r\n" };
	struct test_server *s = *state;

	for (int i = 0; i < 2; i++) {
		const uint8_t *p = fresh(1000);
		char fields[300];
		struct answer a;
		struct rufh u;

		(void)snprintf(fields, sizeof(fields),
			       "%sUpload-Length: 1000\r\nUpload-Complete: ?0\r\n"
			       "Upload-Metadata: filename d29ybGQ=\r\n",
			       versions[i]);
		http_request(s->port, "POST", UPLOADS, fields, "", 0, &a);
		assert_status(&a, 201);
		assert_number_field(&a, "Upload-Offset", 0);
		rufh_of(&a, &u);
		answer_free(&a);

		(void)snprintf(fields, sizeof(fields), "%sUpload-Offset: 0\r\n" RUFH_CAREFUL,
			       common[i]);
		http_request(s->port, "PATCH", u.path, fields, p, 400, &a);
		assert_int_equal(a.status / 100, 2);
		assert_number_field(&a, "Upload-Offset", 400);
		answer_free(&a);

		http_request(s->port, "HEAD", u.path, versions[i], NULL, 0, &a);
		assert_int_equal(a.status / 100, 2);
		assert_number_field(&a, "Upload-Offset", 400);
		assert_number_field(&a, "Upload-Length", 1000);
		assert_field(&a, "Upload-Metadata", "filename d29ybGQ=");
		answer_free(&a);

		(void)snprintf(fields, sizeof(fields), "%sUpload-Offset: 400\r\n" RUFH_WHOLE,
			       common[i]);
		http_request(s->port, "PATCH", u.path, fields, p + 400, 600, &a);
		assert_finished(s, &a, p, 1000);
		http_request(s->port, "DELETE", u.path, versions[i], NULL, 0, &a);
		assert_status(&a, 204);
		answer_free(&a);
	}
}

static bool lists(const struct answer *a, const char *field, const char *name)
{
	char text[2048];

	(void)answer_field(a, field, text, sizeof(text));
	return list_has(text, name);
}

/* And while it does not know the length, it asks for tus's word for that. */
static void an_unknown_length_is_told_in_the_words_of_tus_too(void **state)
{
	struct test_server *s = *state;
	struct answer a;
	struct rufh u;

	assert_int_equal(rufh_create(s->port, "Upload-Defer-Length: 1\r\n", &u), 201);
	http_request(s->port, "HEAD", u.path, "Upload-Draft-Interop-Version: 6\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Upload-Length");
	answer_free(&a);
}

/* Fetch: what scripts of another origin may send and read. */
static void a_browser_may_send_and_read_the_fields(void **state)
{
	static const char *const sent[] = { "Upload-Draft-Interop-Version",
					    "Upload-Complete",
					    "Upload-Incomplete",
					    "Upload-Offset",
					    "Upload-Length",
					    "Content-Type",
					    "X-HTTP-Method-Override",
					    "Content-Digest",
					    "Repr-Digest" };
	static const char *const read[] = { "Location",        "Upload-Offset", "Upload-Length",
					    "Upload-Complete", "Upload-Limit",  "Upload-Expires",
					    "Media-Token",     "Repr-Digest" };
	struct test_server *s = *state;
	struct answer a;

	http_request(s->port, "OPTIONS", UPLOADS,
		     "Origin: https://app.example\r\nAccess-Control-Request-Method: PATCH\r\n",
		     NULL, 0, &a);
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		if (!lists(&a, "Access-Control-Allow-Headers", sent[i]))
			fail_msg("%s is not allowed:\n%s", sent[i], a.head);
	assert_true(lists(&a, "Access-Control-Allow-Methods", "PATCH"));
	answer_free(&a);
	http_request(s->port, "POST", UPLOADS, RUFH_CAREFUL "Origin: https://app.example\r\n", "",
		     0, &a);
	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		if (!lists(&a, "Access-Control-Expose-Headers", read[i]))
			fail_msg("%s is not exposed:\n%s", read[i], a.head);
	answer_free(&a);
}

/* ---- digests (RFC 9530) ---- */

static void digest_field(char out[static 128], const char *name, const void *p, size_t n)
{
	char digest[TUS_DIGEST_SIZE];

	tus_digest(digest, p, n);
	(void)snprintf(out, 128, "%s: %s\r\n", name, digest);
}

static void a_content_digest_that_holds_is_taken(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(300 * KB);
	const struct rufh u = create(s, "");
	char digest[128], fields[300];
	struct answer a;

	for (size_t at = 0; at < 300 * KB; at += 150 * KB) {
		digest_field(digest, "Content-Digest", p + at, 150 * KB);
		(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL "Upload-Offset: %zu\r\n%s%s",
			       at, at == 0 ? RUFH_CAREFUL : RUFH_WHOLE, digest);
		http_request(s->port, "PATCH", u.path, fields, p + at, 150 * KB, &a);
		assert_int_equal(a.status, at == 0 ? 204 : 201);
		if (at == 0)
			answer_free(&a);
	}
	assert_finished(s, &a, p, 300 * KB);
}

/* "Integrity Digests" (to interop 8), RFC 9530 section 2: of this message's content. */
static void a_content_digest_that_does_not_hold_keeps_nothing_of_the_request(void **state)
{
	static const size_t lengths[] = { 1, 1000, 5 * MB };
	struct test_server *s = *state;
	char digest[128], fields[300];
	struct answer a;

	for (size_t i = 0; i < 6; i++) {
		const size_t n = lengths[i / 2];
		const uint8_t *p = fresh(n + 100);
		const struct rufh u = create(s, "");

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 100, NULL), 204);
		digest_field(digest, "Content-Digest", p, n + 99);
		(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL "Upload-Offset: 100\r\n%s%s",
			       i % 2 == 0 ? RUFH_CAREFUL : RUFH_WHOLE, digest);
		http_request(s->port, "PATCH", u.path, fields, p + 100, n, &a);
		assert_problem_type(&a, 400, DIGEST_MISMATCH);
		assert_at(s, u.path, 100);
		finish_and_compare(s, u.path, 100, p, n + 100);
	}
}

static int append_with_trailer(const struct test_server *s, const char *path, const char *announce,
			       const char *trailer, const uint8_t *p, size_t n, struct answer *a)
{
	struct client *c = client_open(s->port);
	char fields[300];

	(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 0\r\n%s",
		       announce);
	(void)rufh_ask(c, "PATCH", path, RUFH_CHUNKED, fields);
	(void)client_chunk(c, p, n);
	(void)client_sendf(c, "0\r\n%s\r\n", trailer);
	client_answer(c, false, a, NULL);
	client_close(c);
	return a->status;
}

static void a_content_digest_may_come_behind_the_content(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	char digest[128];
	struct answer a;

	digest_field(digest, "Content-Digest", p, 999);
	(void)append_with_trailer(s, u.path, "Trailer: Content-Digest\r\n", digest, p, 1000, &a);
	assert_problem_type(&a, 400, DIGEST_MISMATCH);
	assert_at(s, u.path, 0);
	digest_field(digest, "Content-Digest", p, 1000);
	assert_int_equal(
		append_with_trailer(s, u.path, "Trailer: Content-Digest\r\n", digest, p, 1000, &a),
		201);
	assert_finished(s, &a, p, 1000);
}

/* Its bytes could not be checked. */
static void an_append_with_a_digest_that_breaks_off_leaves_nothing(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5 * MB);
	const struct rufh u = create(s, "");
	char digest[128], fields[300];
	struct client *c = client_open(s->port);
	const uint64_t before = rufh_received(s);

	digest_field(digest, "Content-Digest", p, 5 * MB);
	(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 0\r\n%s",
		       digest);
	assert_true(rufh_ask(c, "PATCH", u.path, 5 * MB, fields));
	assert_true(client_send(c, p, 4 * MB));
	assert_true(rufh_receives(s, before + 4 * MB, 5000));
	client_close(c);
	assert_at(s, u.path, 0);
	finish_and_compare(s, u.path, 0, p, 5 * MB);
}

/* RFC 9530 section 3: of the whole upload, told at the creation or with the end. */
static void a_digest_of_the_whole_is_looked_at_when_it_is_finished(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	char right[128], wrong[128], fields[300];
	struct answer a;
	struct rufh u;

	digest_field(right, "Repr-Digest", p, 2000);
	digest_field(wrong, "Repr-Digest", p, 1999);

	/* at the creation */
	u = create(s, right);
	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 1000, NULL), 204);
	(void)rufh_append(s->port, u.path, 1000, true, p, 1000, &a); /* other bytes */
	assert_problem_type(&a, 400, DIGEST_MISMATCH);
	assert_at(s, u.path, 1000);
	finish_and_compare(s, u.path, 1000, p, 2000);

	/* with the end */
	u = create(s, "");
	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 1000, NULL), 204);
	(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 1000\r\n%s",
		       wrong);
	http_request(s->port, "PATCH", u.path, fields, p + 1000, 1000, &a);
	assert_problem_type(&a, 400, DIGEST_MISMATCH);
	assert_at(s, u.path, 1000);
	(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 1000\r\n%s",
		       right);
	http_request(s->port, "PATCH", u.path, fields, p + 1000, 1000, &a);
	assert_finished(s, &a, p, 2000);

	/* in one request */
	(void)snprintf(fields, sizeof(fields), RUFH_WHOLE "%s", wrong);
	http_request(s->port, "POST", UPLOADS, fields, p, 2000, &a);
	assert_problem_type(&a, 400, DIGEST_MISMATCH);
	(void)snprintf(fields, sizeof(fields), RUFH_WHOLE "%s", right);
	http_request(s->port, "POST", UPLOADS, fields, p, 2000, &a);
	assert_finished(s, &a, p, 2000);
}

/* ---- both dialects, one upload ---- */

static struct tus_upload as_tus(const struct test_server *s, const struct rufh *u)
{
	struct tus_upload t = { .server = s, .offset = -1 };

	(void)snprintf(t.path, sizeof(t.path), "%s", u->path);
	return t;
}

static void an_upload_begun_by_tus_can_be_read_and_ended(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;
	struct answer a;

	assert_int_equal(tus_create(s, 1000, "", &u), 201);
	assert_int_equal(tus_patch(&u, 0, p, 400), 204);
	http_request(s->port, "HEAD", u.path, "", NULL, 0, &a);
	assert_status(&a, 204);
	assert_unfinished(&a, 400);
	assert_number_field(&a, "Upload-Length", 1000);
	answer_free(&a);
	finish_and_compare(s, u.path, 400, p, 1000);
	assert_int_equal(tus_offset(&u), 1000);
}

static void an_upload_of_unknown_length_begun_by_tus_can_be_ended(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;

	assert_int_equal(tus_create(s, TUS_DEFERRED, "", &u), 201);
	assert_at(s, u.path, 0);
	assert_int_equal(rufh_state(s->port, u.path).length, -1);
	finish_and_compare(s, u.path, 0, p, 1000);
}

/* tus C8: length if it is known; "creation-defer-length" while it is not. */
/* What it holds is fetched with the final's. */
static void a_part_of_tus_that_is_ended_here_gets_no_tokens(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part;
	struct answer a;

	assert_int_equal(tus_create(s, 5, "Upload-Concat: partial\r\n", &part), 201);
	for (int i = 0; i < 2; i++) {
		char token[64];

		(void)rufh_append(s->port, part.path, i == 0 ? 0 : 5, true, "hello", i == 0 ? 5 : 0,
				  &a);
		assert_status(&a, 204);
		assert_no_field(&a, "Media-Token");
		assert_no_field(&a, "Media-Manage-Token");
		assert_false(answer_json(&a, "token", token, sizeof(token)));
		assert_field(&a, "Upload-Complete", "?1");
		assert_number_field(&a, "Upload-Offset", 5);
		answer_free(&a);
	}
	assert_int_equal(tus_offset(&part), 5);
}

/* Its length is that of its parts, and no client's to say. */
static void a_final_of_tus_that_waits_has_no_length_to_be_told_later(void **state)
{
	struct test_server *s = *state;
	struct tus_upload part, final;
	char fields[300];
	struct answer a;

	assert_int_equal(tus_create(s, 5, "Upload-Concat: partial\r\n", &part), 201);
	(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s\r\n", part.path);
	assert_int_equal(tus_create(s, TUS_UNSAID, fields, &final), 201);
	http_request(s->port, "HEAD", final.path, "", NULL, 0, &a);
	assert_status(&a, 204);
	assert_no_field(&a, "Upload-Defer-Length");
	assert_no_field(&a, "Upload-Length");
	assert_no_field(&a, "Upload-Offset");
	assert_field(&a, "Upload-Complete", "?0");
	answer_free(&a);
}

static void an_upload_begun_here_can_be_read_and_ended_by_tus(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct rufh u = create(s, "Upload-Length: 1000\r\n");
	struct tus_upload t = as_tus(s, &u);
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 300, NULL), 204);
	tus_head(&t, &a);
	assert_status(&a, 200);
	assert_field(&a, "Tus-Resumable", "1.0.0");
	assert_number_field(&a, "Upload-Offset", 300);
	assert_number_field(&a, "Upload-Length", 1000);
	answer_free(&a);
	assert_int_equal(tus_patch(&t, 300, p + 300, 700), 204);
	assert_int_equal(rufh_state(s->port, u.path).complete, 1);
	assert_true(http_has(s->port, u.token, p, 1000));

	u = create(s, "");
	t = as_tus(s, &u);
	tus_head(&t, &a);
	assert_status(&a, 200);
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Upload-Length");
	answer_free(&a);
}

/* An answer to a request without Tus-Resumable does not pretend to be tus. */
static void answers_speak_the_dialect_of_the_request(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	assert_int_equal(tus_create(s, 1000, "", &u), 201);
	http_request(s->port, "HEAD", u.path, "", NULL, 0, &a);
	assert_no_field(&a, "Tus-Resumable");
	answer_free(&a);
	(void)rufh_append(s->port, u.path, 1, false, fresh(1), 1, &a);
	assert_no_field(&a, "Tus-Resumable");
	assert_mismatch(&a, 0, 1);
}

static void nothing_redirects(void **state)
{
	static const char *const how[] = { "HEAD", "GET", "DELETE" };
	struct test_server *s = *state;

	for (int i = 0; i < 3; i++) {
		const struct rufh u = create(s, "");

		assert_int_equal(http_status(s->port, how[i], u.path, ""), 204);
	}
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(a_careful_creation_tells_where_to_go_on),
		cmocka_unit_test(a_creation_without_any_body_is_a_careful_one),
		cmocka_unit_test(a_creation_may_bring_the_first_bytes),
		cmocka_unit_test(a_whole_upload_in_one_request_is_answered_as_the_plain_one),
		cmocka_unit_test(a_whole_upload_may_come_in_chunks),
		cmocka_unit_test(the_length_is_known_once_it_was_told),
		cmocka_unit_test(an_upload_of_length_zero_is_there_at_once),
		cmocka_unit_test(each_creation_makes_another_upload),
		cmocka_unit_test(parameters_are_taken_from_the_query),
		cmocka_unit_test(parameters_out_of_shape_create_nothing),
		cmocka_unit_test(an_interrupted_creation_is_kept_and_not_complete),
		cmocka_unit_test(a_104_comes_before_the_first_byte_and_has_all_that_resuming_needs),
		cmocka_unit_test(there_is_no_104_without_a_known_version),
		cmocka_unit_test(there_is_no_104_before_http_1_1),
		cmocka_unit_test(there_is_no_104_when_there_is_nothing_to_resume),
		cmocka_unit_test(a_104_comes_before_the_100_of_who_waits_for_one),
		cmocka_unit_test(each_request_on_a_connection_has_its_own_104),
		cmocka_unit_test(what_a_104_has_named_survives_a_kill),
		cmocka_unit_test(a_refused_creation_gets_no_104),
		cmocka_unit_test(progress_is_told_now_and_then_but_not_often),
		cmocka_unit_test(however_long_it_is_progress_is_told_three_times_at_most),
		cmocka_unit_test(an_append_of_interop_3_or_4_gets_no_104),
		cmocka_unit_test(head_and_get_tell_where_an_unfinished_upload_stands),
		cmocka_unit_test(the_offset_of_a_finished_upload_is_its_size),
		cmocka_unit_test(an_unknown_upload_has_no_offset),
		cmocka_unit_test(an_append_tells_the_new_offset),
		cmocka_unit_test(appends_may_meet_at_any_byte),
		cmocka_unit_test(the_last_append_is_answered_as_the_plain_upload),
		cmocka_unit_test(an_append_in_chunks_needs_no_length),
		cmocka_unit_test(an_append_needs_offset_and_completeness),
		cmocka_unit_test(an_append_needs_its_media_type),
		cmocka_unit_test(the_media_type_may_be_written_differently),
		cmocka_unit_test(a_wrong_offset_is_told_the_right_one_and_changes_nothing),
		cmocka_unit_test(a_wrong_offset_is_told_before_the_body),
		cmocka_unit_test(a_wrong_offset_is_told_of_a_finished_upload_too),
		cmocka_unit_test(a_creation_that_disagrees_with_itself_is_refused),
		cmocka_unit_test(a_creation_whose_chunks_disagree_with_its_length_is_refused),
		cmocka_unit_test(an_append_that_disagrees_about_the_length_is_refused),
		cmocka_unit_test(an_empty_append_does_not_complete_what_is_not_all_there),
		cmocka_unit_test(chunks_that_end_before_the_length_do_not_complete),
		cmocka_unit_test(chunks_past_the_length_end_the_upload),
		cmocka_unit_test(content_past_the_length_is_refused_before_it_is_sent),
		cmocka_unit_test(a_completing_append_that_breaks_off_does_not_fix_the_length),
		cmocka_unit_test(the_final_answer_is_replayed),
		cmocka_unit_test(the_final_answer_is_replayed_to_an_empty_chunked_append),
		cmocka_unit_test(a_finished_upload_does_not_grow),
		cmocka_unit_test(a_cancelled_upload_is_gone),
		cmocka_unit_test(the_method_may_be_overridden),
		cmocka_unit_test(options_tells_the_limits),
		cmocka_unit_test(a_malformed_completeness_leaves_a_plain_upload),
		cmocka_unit_test(a_malformed_completeness_creates_no_resumable_upload),
		cmocka_unit_test(parameters_of_an_item_mean_nothing),
		cmocka_unit_test(a_malformed_length_is_as_good_as_not_there),
		cmocka_unit_test(a_malformed_offset_is_as_good_as_not_there),
		cmocka_unit_test(interop_3_says_incomplete),
		cmocka_unit_test(interop_3_upgrades_a_plain_upload),
		cmocka_unit_test(interop_3_has_its_104),
		cmocka_unit_test(appends_of_interop_4_to_6_are_answered_201),
		cmocka_unit_test(an_append_that_does_not_say_whether_it_completes),
		cmocka_unit_test(a_length_that_is_reached_completes_an_older_upload),
		cmocka_unit_test(fields_of_an_append_elsewhere_are_refused_until_interop_6),
		cmocka_unit_test(interop_6_keeps_an_upload_whose_length_would_be_passed),
		cmocka_unit_test(a_creation_that_passes_its_length_ends_the_upload_since_interop_7),
		cmocka_unit_test(appends_of_interop_7_to_9_are_answered_204),
		cmocka_unit_test(a_whole_conversation_as_tus_js_client_has_it),
		cmocka_unit_test(an_unknown_length_is_told_in_the_words_of_tus_too),
		cmocka_unit_test(a_browser_may_send_and_read_the_fields),
		cmocka_unit_test(a_content_digest_that_holds_is_taken),
		cmocka_unit_test(a_content_digest_that_does_not_hold_keeps_nothing_of_the_request),
		cmocka_unit_test(a_content_digest_may_come_behind_the_content),
		cmocka_unit_test(an_append_with_a_digest_that_breaks_off_leaves_nothing),
		cmocka_unit_test(a_digest_of_the_whole_is_looked_at_when_it_is_finished),
		cmocka_unit_test(an_upload_begun_by_tus_can_be_read_and_ended),
		cmocka_unit_test(an_upload_of_unknown_length_begun_by_tus_can_be_ended),
		cmocka_unit_test(a_part_of_tus_that_is_ended_here_gets_no_tokens),
		cmocka_unit_test(a_final_of_tus_that_waits_has_no_length_to_be_told_later),
		cmocka_unit_test(an_upload_begun_here_can_be_read_and_ended_by_tus),
		cmocka_unit_test(answers_speak_the_dialect_of_the_request),
		cmocka_unit_test(nothing_redirects),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(too_long_is_refused_with_the_limit),
		cmocka_unit_test(an_append_past_the_limit_is_refused),
	};
	int failed;

	failed = cmocka_run_group_tests_name("rufh", plain, start_plain, stop);
	return failed + cmocka_run_group_tests_name("rufh, small", small, start_small, stop);
}
