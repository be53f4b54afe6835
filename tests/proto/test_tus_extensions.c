/* tus extensions - creation, creation-with-upload, creation-defer-length, expiration and
 * termination of tus 1.0.0; checksum and concatenation have suites of their own. Names begin as in
 * test_tus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define MB ((size_t)1 << 20)
#define HOUR 3600
#define DAY (24 * HOUR)
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

static int start_kinds(void **state)
{
	return start(state, "upload { ttl_max = 2d; ttl_photo = 1h; ttl_voice = 5min; "
			    "ttl_video = 2d; ttl_file = 1d }\n");
}

static int start_brief(void **state)
{
	return start(state, "upload { ttl_unfinished = 2s }\nexpiry { interval = 0 }\n");
}

static int start_brief_and_swept(void **state)
{
	return start(state, "upload { ttl_unfinished = 2s }\nexpiry { interval = 1s }\n");
}

static int start_narrow(void **state)
{
	return start(state, "upload { open = 4; open_per_address = 2; ttl_unfinished = 1h }\n");
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

/* ---- creation ---- */

static void t_creation_tells_where_and_until_when_and_hands_tokens_out(void **state)
{
	struct test_server *s = *state;
	char location[128], token[64], manage[64];
	struct answer a;

	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 1000\r\n", NULL, 0, &a);
	assert_status(&a, 201);
	assert_true(answer_field(&a, "Location", location, sizeof(location)));
	assert_int_equal(strncmp(location, "/v1/uploads/", 12), 0);
	assert_int_equal(strlen(location), 12 + 51);
	assert_true(answer_field(&a, "Media-Token", token, sizeof(token)));
	assert_true(answer_field(&a, "Media-Manage-Token", manage, sizeof(manage)));
	assert_int_equal(strlen(token), 51);
	assert_int_equal(strlen(manage), 51);
	assert_string_not_equal(token, manage);
	assert_string_not_equal(token, location + 12);
	assert_field(&a, "Upload-Offset", "0");
	assert_field(&a, "Cache-Control", "no-store");
	assert_in_range(answer_life(&a), DAY - 2, DAY);
	assert_no_field(&a, "Repr-Digest");
	assert_int_equal(a.body_len, 0);
	answer_free(&a);
}

static void t_creation_is_durable_when_it_is_answered(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 1000, &u);
	server_kill(s);
	server_again(s);
	assert_true(tus_is_at(&u, 0, 1000));
}

static void t_creation_without_a_length_is_400_and_creates_nothing(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	assert_int_equal(tus_create(s, TUS_UNSAID, "", NULL), 400);
	assert_int_equal(tus_create(s, 5, "Upload-Defer-Length: 1\r\n", NULL), 400);
	assert_int_equal(tus_create(s, TUS_UNSAID, "Upload-Concat: partial\r\n", NULL), 400);
	assert_int_equal(kept(s), before);
}

static void t_creation_trap10_an_empty_upload_is_finished_at_once(void **state)
{
	struct test_server *s = *state;
	char digest[TUS_DIGEST_SIZE];
	struct tus_upload u;
	struct answer a;

	tus_digest(digest, "", 0);
	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 0\r\n", NULL, 0, &a);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Offset", "0");
	assert_field(&a, "Repr-Digest", digest);
	assert_in_range(answer_life(&a), 30 * DAY - 2, 30 * DAY);
	tus_learn(s, &a, &u);
	answer_free(&a);
	assert_true(tus_is_at(&u, 0, 0));
	assert_true(tus_has(&u, NULL, 0));
	assert_true(tus_stays(&u, 0));
}

static void t_creation_trap11_longer_than_the_largest_is_413_and_creates_nothing(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	struct answer a;

	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 1048577\r\n", NULL, 0, &a);
	assert_problem(&a, 413);
	assert_int_equal(kept(s), before);
	assert_int_equal(tus_create(s, MB, "", NULL), 201);
}

static void t_creation_the_tokens_of_a_creation_fetch_and_delete_what_was_uploaded(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	struct tus_upload u;

	create_with(s, 1000, p, 1000, &u);
	assert_true(tus_has(&u, p, 1000));
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", u.manage), 204);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
	assert_tells_nothing(&u, 404);
}

static void t_creation_a_recipient_cannot_write_or_delete(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u, theirs;

	create_with(s, 10, (const uint8_t *)"hello", 5, &u);
	theirs = u;
	(void)snprintf(theirs.path, sizeof(theirs.path), "/v1/uploads/%s", u.token);
	assert_int_equal(tus_patch(&theirs, 5, "WRONG", 5), 404);
	assert_int_equal(tus_delete(&theirs), 404);
	assert_int_equal(tus_offset(&u), 5);
}

/* ---- Upload-Metadata ---- */

static int create_described(const struct test_server *s, const char *metadata, struct tus_upload *u)
{
	char fields[9000];

	(void)snprintf(fields, sizeof(fields), "Upload-Metadata: %s\r\n", metadata);
	return tus_create(s, 10, fields, u);
}

static void assert_described(const struct tus_upload *u, const char *metadata)
{
	struct answer a;

	tus_head(u, &a);
	assert_status(&a, 200);
	assert_field(&a, "Upload-Metadata", metadata);
	answer_free(&a);
}

static void t_creation_trap7_trap8_metadata_comes_back_as_it_was_given(void **state)
{
	static const char *const metadata[] = {
		"filename d29ybGQ=",
		"zebra YQ==,apple Yg==,Middle Yw==",
		"filename d29ybGQ=,is_confidential",
		"is_confidential,filename d29ybGQ=",
		"empty ,other YQ==",
		"one YQ==, two Yg== ,three Yw==",
		"!#$%&'()*+-./:;<=>?@[]^_`{|}~ YQ==",
		"filetype aW1hZ2UvanBlZw==,name Y2Fmw6kgIvCfmIAiLmpwZw==",
		"bytes AAECAwQFBgcICQoLDA0ODw==",
	};
	struct test_server *s = *state;
	struct tus_upload u;

	for (size_t i = 0; i < COUNT(metadata); i++) {
		assert_int_equal(create_described(s, metadata[i], &u), 201);
		assert_described(&u, metadata[i]);
		assert_int_equal(tus_patch(&u, 0, fresh(10), 10), 204);
		assert_described(&u, metadata[i]);
	}
	server_kill(s);
	server_again(s);
	assert_described(&u, metadata[COUNT(metadata) - 1]);
}

/* Metadata has one or more pairs: none at all is as good as no field. */
static void t_creation_empty_metadata_is_no_metadata(void **state)
{
	struct tus_upload u;
	char value[64];
	struct answer a;

	assert_int_equal(create_described(*state, "", &u), 201);
	tus_head(&u, &a);
	assert_status(&a, 200);
	(void)answer_field(&a, "Upload-Metadata", value, sizeof(value));
	assert_string_equal(value, "");
	answer_free(&a);
}

static void t_creation_no_metadata_stays_no_metadata(void **state)
{
	struct tus_upload u;
	struct answer a;

	create(*state, 10, &u);
	tus_head(&u, &a);
	assert_no_field(&a, "Upload-Metadata");
	answer_free(&a);
}

static void t_creation_trap8_long_metadata_comes_back(void **state)
{
	char metadata[7600] = "long ";
	struct tus_upload u;

	memset(metadata + 5, 'A', 7500);
	metadata[5 + 7500] = '\0';
	assert_int_equal(create_described(*state, metadata, &u), 201);
	assert_described(&u, metadata);
}

static void t_creation_metadata_out_of_shape_is_400_and_creates_nothing(void **state)
{
	static const char *const metadata[] = {
		",",
		"a YQ==,",
		",a YQ==",
		"a YQ==,,b YQ==",
		"a YQ==,a Yg==",
		"a,a",
		"a Y",
		"a YQ",
		"a YQ=",
		"a YQ===",
		"a YR==",
		"a !!!!",
		"a YQ== b",
		"a  YQ==",
		"a YQ==;b",
		"a Y-_=",
		"a\tYQ==",
		"caf\xc3\xa9 YQ==",
		"a caf\xc3\xa9",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	for (size_t i = 0; i < COUNT(metadata); i++)
		if (create_described(s, metadata[i], NULL) != 400)
			fail_msg("Upload-Metadata: %s", metadata[i]);
	assert_int_equal(
		tus_create(s, 10, "Upload-Metadata: a YQ==\r\nUpload-Metadata: b YQ==\r\n", NULL),
		400);
	assert_int_equal(kept(s), before);
}

/* "a\r\nX-Evil: 1" and the like are values as any others: they are never made into fields. */
static void t_creation_metadata_smuggles_no_fields(void **state)
{
	static const char metadata[] = "filename YQ0KWC1FdmlsOiAx,content-type dGV4dC9odG1s,"
				       "filetype dGV4dC9odG1s";
	struct test_server *s = *state;
	struct tus_upload u;
	char target[80];
	struct answer a;

	assert_int_equal(create_described(s, metadata, &u), 201);
	assert_described(&u, metadata);
	assert_int_equal(tus_patch(&u, 0, fresh(10), 10), 204);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", u.token);
	http_get(s->port, target, "", &a);
	assert_status(&a, 200);
	assert_no_field(&a, "X-Evil");
	assert_field(&a, "Content-Type", "application/octet-stream");
	answer_free(&a);
}

/* ---- parameters, as a query or as metadata ---- */

static void pair(char *out, size_t size, const char *key, const char *value)
{
	char base64[40];

	base64_encode(base64, (const uint8_t *)value, strlen(value));
	(void)snprintf(out, size, "%s %s", key, base64);
}

static int64_t life_when_finished(const struct tus_upload *u)
{
	struct answer a;
	int64_t life;

	tus_patch_answer(u, 0, "", "helloworld", 10, &a);
	assert_status(&a, 204);
	life = answer_life(&a);
	answer_free(&a);
	return life;
}

static void t_creation_kind_and_ttl_are_taken_from_query_and_metadata(void **state)
{
	static const struct {
		const char *key, *value;
		int64_t life;
	} said[] = {
		{ "kind", "photo", HOUR }, { "kind", "voice", 300 },   { "kind", "video", 2 * DAY },
		{ "kind", "file", DAY },   { "ttl", "90", 90 },        { "ttl", "3h", 3 * HOUR },
		{ "ttl", "30d", 2 * DAY }, { "recipients", "3", DAY },
	};
	struct test_server *s = *state;
	struct tus_upload u;

	for (size_t i = 0; i < COUNT(said); i++) {
		char query[64], metadata[64];

		(void)snprintf(query, sizeof(query), "?%s=%s", said[i].key, said[i].value);
		assert_int_equal(tus_post(s, query, 10, "", NULL, 0, &u), 201);
		assert_in_range(life_when_finished(&u), said[i].life - 2, said[i].life);

		pair(metadata, sizeof(metadata), said[i].key, said[i].value);
		assert_int_equal(create_described(s, metadata, &u), 201);
		assert_in_range(life_when_finished(&u), said[i].life - 2, said[i].life);
	}
}

static void t_creation_parameters_out_of_shape_are_400_and_create_nothing(void **state)
{
	static const struct {
		const char *key, *value;
	} said[] = {
		{ "kind", "gif" },        { "kind", "" },         { "kind", "Photo" },
		{ "ttl", "0" },           { "ttl", "1y" },        { "ttl", "-1" },
		{ "ttl", "1e3" },         { "recipients", "-1" }, { "recipients", "1025" },
		{ "recipients", "many" }, { "sha256", "abc" },    { "sha256", "" },
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);

	for (size_t i = 0; i < COUNT(said); i++) {
		char query[64], metadata[64];

		(void)snprintf(query, sizeof(query), "?%s=%s", said[i].key, said[i].value);
		if (tus_post(s, query, 10, "", NULL, 0, NULL) != 400)
			fail_msg("%s", query);
		pair(metadata, sizeof(metadata), said[i].key, said[i].value);
		if (create_described(s, metadata, NULL) != 400)
			fail_msg("%s", metadata);
	}
	assert_int_equal(kept(s), before);
}

/* A misspelt parameter is not a month of storage; but metadata has keys of others, too. */
static void t_creation_unknown_parameters_are_refused_and_unknown_metadata_is_not(void **state)
{
	struct test_server *s = *state;

	assert_int_equal(tus_post(s, "?name=x", 10, "", NULL, 0, NULL), 400);
	assert_int_equal(tus_post(s, "?ttl", 10, "", NULL, 0, NULL), 400);
	assert_int_equal(create_described(s, "name eA==,relativePath bnVsbA==,ttl NjA=", NULL),
			 201);
}

static void t_creation_query_and_metadata_must_not_disagree(void **state)
{
	static const char ttl_60[] = "Upload-Metadata: ttl NjA=\r\n";
	struct test_server *s = *state;
	struct tus_upload u;

	assert_int_equal(tus_post(s, "?ttl=61", 10, ttl_60, NULL, 0, NULL), 400);
	assert_int_equal(tus_post(s, "?ttl=60", 10, ttl_60, NULL, 0, &u), 201);
	assert_in_range(life_when_finished(&u), 58, 60);
	assert_int_equal(tus_post(s, "?kind=photo", 10, ttl_60, NULL, 0, &u), 201);
	assert_in_range(life_when_finished(&u), 58, 60);
}

/* ---- creation-with-upload ---- */

static void t_creation_with_upload_takes_the_first_bytes(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB);
	struct tus_upload u;

	assert_int_equal(tus_post(s, "", MB, "", p, 400000, &u), 201);
	assert_int_equal(u.offset, 400000);
	assert_true(tus_is_at(&u, 400000, 1048576));
	assert_int_equal(tus_patch(&u, 400000, p + 400000, MB - 400000), 204);
	assert_true(tus_has(&u, p, MB));
}

static void t_creation_with_upload_of_all_bytes_finishes(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5 * MB);
	char digest[TUS_DIGEST_SIZE];
	struct tus_upload u;
	struct answer a;

	tus_digest(digest, p, 5 * MB);
	http_request(s->port, "POST", "/v1/uploads", TUS_BYTES "Upload-Length: 5242880\r\n", p,
		     5 * MB, &a);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Offset", "5242880");
	assert_field(&a, "Repr-Digest", digest);
	assert_in_range(answer_life(&a), 30 * DAY - 2, 30 * DAY);
	tus_learn(s, &a, &u);
	answer_free(&a);
	assert_true(tus_has(&u, p, 5 * MB));
	assert_true(tus_is_at(&u, 5242880, 5242880));
}

static void t_creation_with_upload_in_chunks(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(200000);
	struct client *c = client_open(s->port);
	struct tus_upload u;
	struct answer a;

	(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS_BYTES TUS_CHUNKED
			      "Upload-Length: 200000\r\n\r\n");
	assert_true(client_chunk(c, p, 70001));
	assert_true(client_chunk(c, p + 70001, 1));
	assert_true(client_chunk(c, NULL, 0));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Offset", "70002");
	tus_learn(s, &a, &u);
	answer_free(&a);
	client_close(c);
	assert_int_equal(tus_patch(&u, 70002, p + 70002, 200000 - 70002), 204);
	assert_true(tus_has(&u, p, 200000));
}

static void t_creation_with_upload_of_no_bytes_needs_no_content_type(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 10\r\n", "", 0, &a);
	assert_status(&a, 201);
	tus_learn(s, &a, &u);
	answer_free(&a);
	assert_true(tus_is_at(&u, 0, 10));
	assert_int_equal(tus_post(s, "", 10, "", "", 0, &u), 201);
	assert_true(tus_is_at(&u, 0, 10));
}

static void t_creation_with_upload_trap13_of_another_type_is_415_and_creates_nothing(void **state)
{
	static const char *const types[] = {
		"",
		"Content-Type: application/octet-stream\r\n",
		"Content-Type: text/plain\r\n",
		"Content-Type: application/partial-upload\r\n",
	};
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char fields[200];
	struct answer a;

	for (size_t i = 0; i < COUNT(types); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Length: 10\r\n%s", types[i]);
		tus_request(s, "POST", "/v1/uploads", fields, "hello", 5, &a);
		assert_no_field(&a, "Location");
		assert_problem(&a, 415);
	}
	assert_int_equal(kept(s), before);
}

static void t_creation_with_upload_of_more_than_its_length_is_413_and_creates_nothing(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	struct client *c = client_open(s->port);
	struct answer a;

	assert_int_equal(tus_post(s, "", 4, "", "hello", 5, NULL), 413);
	assert_int_equal(tus_post(s, "", 0, "", "hello", 5, NULL), 413);
	(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS_BYTES TUS_CHUNKED
			      "Upload-Length: 4\r\n\r\n");
	(void)client_chunk(c, "hello", 5);
	(void)client_chunk(c, NULL, 0);
	client_answer(c, false, &a, NULL);
	assert_no_field(&a, "Location");
	assert_problem(&a, 413);
	client_close(c);
	assert_int_equal(kept(s), before);
}

static void t_creation_with_upload_who_asks_before_sending_is_told_to_go_on(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS_BYTES
			      "Upload-Length: 10\r\nContent-Length: 5\r\n"
			      "Expect: 100-continue\r\n\r\n");
	assert_true(client_peek(c, 5000) > 0);
	assert_true(client_send(c, "hello", 5));
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 1);
	assert_status(&a, 201);
	assert_field(&a, "Upload-Offset", "5");
	answer_free(&a);
	client_close(c);
}

/* Nobody knows its URL: it would be in the way until it expires. */
static void t_creation_with_upload_that_is_broken_off_leaves_no_upload_behind(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u[2];
	int status = 429;

	for (int i = 0; i < 6; i++) {
		struct client *c = client_open(s->port);

		(void)client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS_BYTES
				      "Upload-Length: 100000\r\nContent-Length: 100000\r\n\r\n");
		(void)client_send(c, fresh(50000), 50000);
		client_nap(50);
		if (i % 2 == 0)
			client_close(c);
		else
			client_reset(c);
		client_nap(50);
	}
	create(s, 10, &u[0]);
	for (int i = 0; i < 100 && status != 201; i++) {
		status = tus_create(s, 10, "", &u[1]);
		client_nap(status == 201 ? 0 : 50);
	}
	assert_int_equal(status, 201);
	assert_int_equal(tus_create(s, 10, "", NULL), 429);
}

/* ---- creation-defer-length ---- */

static void t_defer_length_is_said_until_the_length_is(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;
	struct answer a;

	create(s, TUS_DEFERRED, &u);
	assert_int_equal(tus_patch(&u, 0, p, 30), 204);
	tus_head(&u, &a);
	assert_field(&a, "Upload-Offset", "30");
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Upload-Length");
	answer_free(&a);
	tus_patch_answer(&u, 30, "Upload-Length: 100\r\n", p + 30, 20, &a);
	assert_status(&a, 204);
	assert_field(&a, "Upload-Offset", "50");
	answer_free(&a);
	assert_true(tus_is_at(&u, 50, 100));
	assert_int_equal(tus_patch(&u, 50, p + 50, 50), 204);
	assert_true(tus_has(&u, p, 100));
}

static void t_defer_length_trap7_is_said_after_a_restart_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	create(s, TUS_DEFERRED, &u);
	server_kill(s);
	server_again(s);
	tus_head(&u, &a);
	assert_field(&a, "Upload-Offset", "0");
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Upload-Length");
	answer_free(&a);
}

static void t_defer_length_has_one_value(void **state)
{
	static const char *const values[] = { "0",  "2", "+1",   "01",  "1.0", "true",
					      "?1", "",  "1, 1", "1 1", "-1" };
	struct test_server *s = *state;
	const uint64_t before = kept(s);
	char fields[64];

	for (size_t i = 0; i < COUNT(values); i++) {
		(void)snprintf(fields, sizeof(fields), "Upload-Defer-Length: %s\r\n", values[i]);
		if (tus_create(s, TUS_UNSAID, fields, NULL) != 400)
			fail_msg("%s", fields);
	}
	assert_int_equal(kept(s), before);
}

static void t_defer_length_does_not_change_once_it_is_set(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;
	struct answer a;

	create(s, TUS_DEFERRED, &u);
	tus_patch_answer(&u, 0, "Upload-Length: 100\r\n", p, 10, &a);
	assert_status(&a, 204);
	answer_free(&a);
	tus_patch_answer(&u, 10, "Upload-Length: 99\r\n", p + 10, 10, &a);
	assert_problem(&a, 400);
	tus_patch_answer(&u, 10, "Upload-Length: 101\r\n", p + 10, 10, &a);
	assert_problem(&a, 400);
	assert_true(tus_is_at(&u, 10, 100));
	tus_patch_answer(&u, 10, "Upload-Length: 100\r\n", p + 10, 90, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_true(tus_has(&u, p, 100));
}

static void assert_length_refused(const struct tus_upload *u, uint64_t at, const char *length,
				  int status)
{
	char fields[64];
	struct answer a;

	(void)snprintf(fields, sizeof(fields), "Upload-Length: %s\r\n", length);
	tus_patch_answer(u, at, fields, "hello", 5, &a);
	assert_problem(&a, status);
	tus_head(u, &a);
	assert_field(&a, "Upload-Offset", "10");
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Upload-Length");
	answer_free(&a);
}

static void t_defer_length_trap11_a_wrong_length_is_refused_and_not_taken(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create_with(s, TUS_DEFERRED, fresh(10), 10, &u);
	assert_length_refused(&u, 10, "9", 400); /* less than is there */
	assert_length_refused(&u, 10, "0", 400);
	assert_length_refused(&u, 10, "+20", 400);
	assert_length_refused(&u, 10, "20\r\nUpload-Length: 20", 400);
	assert_length_refused(&u, 10, "14", 413);      /* less than comes with it */
	assert_length_refused(&u, 10, "1048577", 413); /* more than is taken */
	assert_length_refused(&u, 10, "9223372036854775808", 413);
	assert_length_refused(&u, 9, "100", 409); /* at a wrong offset it does not count */
}

static void t_defer_length_can_be_said_with_the_last_byte_or_after_it(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	char digest[TUS_DIGEST_SIZE];
	struct tus_upload u;
	struct answer a;

	tus_digest(digest, p, 100);
	create_with(s, TUS_DEFERRED, p, 60, &u);
	tus_patch_answer(&u, 60, "Upload-Length: 100\r\n", p + 60, 40, &a);
	assert_status(&a, 204);
	assert_field(&a, "Repr-Digest", digest);
	answer_free(&a);
	assert_true(tus_has(&u, p, 100));

	create_with(s, TUS_DEFERRED, p, 100, &u);
	tus_head(&u, &a);
	assert_field(&a, "Upload-Defer-Length", "1");
	assert_no_field(&a, "Repr-Digest");
	answer_free(&a);
	tus_patch_answer(&u, 100, "Upload-Length: 100\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	assert_field(&a, "Repr-Digest", digest);
	assert_field(&a, "Media-Token", u.token);
	answer_free(&a);
	assert_true(tus_is_at(&u, 100, 100));
	assert_true(tus_has(&u, p, 100));
}

static void t_defer_length_of_nothing_is_an_empty_upload(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	create(s, TUS_DEFERRED, &u);
	tus_patch_answer(&u, 0, "Upload-Length: 0\r\n", NULL, 0, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_true(tus_is_at(&u, 0, 0));
	assert_true(tus_has(&u, NULL, 0));
}

static void t_defer_length_trap11_does_not_let_more_in_than_the_largest(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(MB + 1);
	struct tus_upload u;
	struct answer a;

	create_with(s, TUS_DEFERRED, p, MB - 10, &u);
	assert_int_equal(tus_patch(&u, MB - 10, p, 11), 413);
	assert_int_equal(tus_patch_chunked(&u, MB - 10, p, 11, 3), 413);
	assert_int_equal(tus_offset(&u), MB - 10);
	tus_patch_answer(&u, MB - 10, "Upload-Length: 1048576\r\n", p + MB - 10, 10, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_true(tus_has(&u, p, MB));
	assert_int_equal(tus_post(s, "", TUS_DEFERRED, "", p, MB + 1, NULL), 413);
}

static void t_defer_length_with_the_first_bytes(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	struct tus_upload u;
	struct answer a;

	assert_int_equal(tus_post(s, "", TUS_DEFERRED, "", p, 40, &u), 201);
	assert_int_equal(u.offset, 40);
	tus_head(&u, &a);
	assert_field(&a, "Upload-Defer-Length", "1");
	answer_free(&a);
	tus_patch_answer(&u, 40, "Upload-Length: 100\r\n", p + 40, 60, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_true(tus_has(&u, p, 100));
}

/* The sender of a voice note that is still spoken knows length and digest at the end only. */
static void t_defer_length_the_digest_is_bound_with_the_end(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100);
	char digest[TUS_DIGEST_SIZE], wrong[TUS_DIGEST_SIZE], fields[200], type[64];
	struct tus_upload u;
	struct answer a;

	tus_digest(digest, p, 100);
	tus_digest(wrong, p, 99);
	create_with(s, TUS_DEFERRED, p, 60, &u);
	(void)snprintf(fields, sizeof(fields), "Upload-Length: 100\r\nRepr-Digest: %s\r\n", wrong);
	tus_patch_answer(&u, 60, fields, p + 60, 40, &a);
	(void)answer_json(&a, "type", type, sizeof(type));
	assert_string_equal(type, "urn:restante:problem:digest-mismatch");
	assert_problem(&a, 400);
	assert_int_equal(tus_offset(&u), 60);
	(void)snprintf(fields, sizeof(fields), "Upload-Length: 100\r\nRepr-Digest: %s\r\n", digest);
	tus_patch_answer(&u, 60, fields, p + 60, 40, &a);
	assert_status(&a, 204);
	assert_field(&a, "Repr-Digest", digest);
	answer_free(&a);
	assert_true(tus_has(&u, p, 100));
}

/* ---- expiration ---- */

static void t_expiration_trap9_is_a_date_of_http_in_every_answer(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;
	struct answer a;

	tus_request(s, "POST", "/v1/uploads", "Upload-Length: 10\r\n", NULL, 0, &a);
	assert_in_range(answer_life(&a), DAY - 2, DAY);
	tus_learn(s, &a, &u);
	answer_free(&a);
	tus_patch_answer(&u, 0, "", "hello", 5, &a);
	assert_in_range(answer_life(&a), DAY - 2, DAY);
	answer_free(&a);
	tus_head(&u, &a);
	assert_in_range(answer_life(&a), DAY - 2, DAY);
	answer_free(&a);
	tus_patch_answer(&u, 5, "", "world", 5, &a);
	assert_in_range(answer_life(&a), 30 * DAY - 2, 30 * DAY);
	answer_free(&a);
	tus_head(&u, &a);
	assert_in_range(answer_life(&a), 30 * DAY - 2, 30 * DAY);
	answer_free(&a);
}

static void t_expiration_is_410_without_an_offset(void **state)
{
	struct test_server *s = *state;
	struct tus_upload fresh_one, begun, deferred;

	create(s, 10, &fresh_one);
	create_with(s, 10, (const uint8_t *)"hello", 5, &begun);
	create_with(s, TUS_DEFERRED, (const uint8_t *)"hello", 5, &deferred);
	client_nap(3200);
	for (int i = 0; i < 3; i++) { /* asking does not revive them, a sweep does not hide them */
		assert_tells_nothing(&fresh_one, 410);
		assert_tells_nothing(&begun, 410);
		assert_tells_nothing(&deferred, 410);
		client_nap(i == 0 ? 1500 : 0);
		if (i == 1) {
			server_kill(s);
			server_again(s);
		}
	}
}

static void t_expiration_moves_with_every_piece(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 10, &u);
	for (uint64_t i = 0; i < 8; i++) { /* twice as long as nothing may come */
		assert_int_equal(tus_patch(&u, i, "helloworld" + i, 1), 204);
		client_nap(500);
	}
	assert_int_equal(tus_patch(&u, 8, "ld", 2), 204);
	assert_true(tus_has(&u, "helloworld", 10));
}

static void
t_expiration_trap20_the_sweep_takes_unfinished_ones_and_leaves_finished_ones(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const uint64_t swept = server_metric(s, "restante_uploads_expired_total");
	struct tus_upload whole, pieces, unfinished;

	assert_int_equal(tus_post(s, "", 1000, "", p, 1000, &whole), 201);
	create_with(s, 1000, p, 500, &pieces);
	assert_int_equal(tus_patch(&pieces, 500, p + 500, 500), 204);
	create_with(s, 1000, p, 500, &unfinished);
	for (int i = 0; i < 100 && server_metric(s, "restante_uploads_expired_total") == swept; i++)
		client_nap(100);
	client_nap(1500); /* and another sweep, for what it should not have taken */
	assert_true(server_metric(s, "restante_uploads_expired_total") > swept);
	assert_tells_nothing(&unfinished, 410);
	assert_true(tus_has(&whole, p, 1000));
	assert_true(tus_has(&pieces, p, 1000));
	assert_true(tus_is_at(&whole, 1000, 1000));
	assert_true(tus_is_at(&pieces, 1000, 1000));
}

static void t_expiration_of_a_finished_upload_is_410_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	assert_int_equal(tus_post(s, "?ttl=1", 10, "", "helloworld", 10, &u), 201);
	client_nap(2100);
	assert_tells_nothing(&u, 410);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
}

/* ---- termination ---- */

static void t_termination_of_any_upload_is_204_and_then_404(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u[4];

	create(s, 10, &u[0]);
	create_with(s, 10, (const uint8_t *)"hello", 5, &u[1]);
	create_with(s, 10, (const uint8_t *)"helloworld", 10, &u[2]);
	create_with(s, TUS_DEFERRED, (const uint8_t *)"hello", 5, &u[3]);
	for (size_t i = 0; i < COUNT(u); i++) {
		struct answer a;

		tus_ask(&u[i], "DELETE", "", NULL, 0, &a);
		assert_status(&a, 204);
		assert_int_equal(a.body_len, 0);
		answer_free(&a);
		assert_tells_nothing(&u[i], 404);
		assert_int_equal(http_status(s->port, "GET", "/v1/media/", u[i].token), 404);
		assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", u[i].manage), 404);
	}
	server_kill(s);
	server_again(s);
	for (size_t i = 0; i < COUNT(u); i++)
		assert_tells_nothing(&u[i], 404);
}

static void t_termination_ends_a_running_patch_first(void **state)
{
	struct tus_upload u;
	struct client *c;
	int64_t began;

	create(*state, 10000, &u);
	c = tus_begin(&u, 0, "Content-Length: 10000\r\n");
	assert_true(client_send(c, fresh(5000), 5000));
	client_nap(100);
	began = clock_mono_ms();
	assert_int_equal(tus_delete(&u), 204);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
	assert_true(client_closed_within(c, 2000));
	client_close(c);
	assert_tells_nothing(&u, 404);
}

static void t_termination_gives_the_room_back(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = server_metric(s, "restante_store_data_bytes");
	struct tus_upload u;

	for (int i = 0; i < 10; i++) {
		create_with(s, 100 * MB, fresh(5 * MB), 5 * MB, &u);
		assert_int_equal(tus_delete(&u), 204);
	}
	for (int i = 0; i < 300 && server_metric(s, "restante_store_data_bytes") > before + 10 * MB;
	     i++)
		client_nap(10);
	assert_in_range(server_metric(s, "restante_store_data_bytes"), 0, before + 10 * MB);
}

static void t_termination_is_remembered_for_as_long_as_an_unfinished_upload_is(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u;

	create(s, 10, &u);
	assert_int_equal(tus_delete(&u), 204);
	client_nap(700);
	assert_tells_nothing(&u, 404);
	assert_true(tus_becomes(&u, 410, 8000));
	assert_tells_nothing(&u, 410);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(t_creation_tells_where_and_until_when_and_hands_tokens_out),
		cmocka_unit_test(t_creation_is_durable_when_it_is_answered),
		cmocka_unit_test(t_creation_without_a_length_is_400_and_creates_nothing),
		cmocka_unit_test(t_creation_trap10_an_empty_upload_is_finished_at_once),
		cmocka_unit_test(
			t_creation_the_tokens_of_a_creation_fetch_and_delete_what_was_uploaded),
		cmocka_unit_test(t_creation_a_recipient_cannot_write_or_delete),
		cmocka_unit_test(t_creation_trap7_trap8_metadata_comes_back_as_it_was_given),
		cmocka_unit_test(t_creation_empty_metadata_is_no_metadata),
		cmocka_unit_test(t_creation_no_metadata_stays_no_metadata),
		cmocka_unit_test(t_creation_trap8_long_metadata_comes_back),
		cmocka_unit_test(t_creation_metadata_out_of_shape_is_400_and_creates_nothing),
		cmocka_unit_test(t_creation_metadata_smuggles_no_fields),
		cmocka_unit_test(t_creation_parameters_out_of_shape_are_400_and_create_nothing),
		cmocka_unit_test(
			t_creation_unknown_parameters_are_refused_and_unknown_metadata_is_not),
		cmocka_unit_test(t_creation_query_and_metadata_must_not_disagree),
		cmocka_unit_test(t_creation_with_upload_takes_the_first_bytes),
		cmocka_unit_test(t_creation_with_upload_of_all_bytes_finishes),
		cmocka_unit_test(t_creation_with_upload_in_chunks),
		cmocka_unit_test(t_creation_with_upload_of_no_bytes_needs_no_content_type),
		cmocka_unit_test(
			t_creation_with_upload_trap13_of_another_type_is_415_and_creates_nothing),
		cmocka_unit_test(
			t_creation_with_upload_of_more_than_its_length_is_413_and_creates_nothing),
		cmocka_unit_test(t_creation_with_upload_who_asks_before_sending_is_told_to_go_on),
		cmocka_unit_test(t_defer_length_is_said_until_the_length_is),
		cmocka_unit_test(t_defer_length_trap7_is_said_after_a_restart_too),
		cmocka_unit_test(t_defer_length_has_one_value),
		cmocka_unit_test(t_defer_length_does_not_change_once_it_is_set),
		cmocka_unit_test(t_defer_length_can_be_said_with_the_last_byte_or_after_it),
		cmocka_unit_test(t_defer_length_of_nothing_is_an_empty_upload),
		cmocka_unit_test(t_defer_length_with_the_first_bytes),
		cmocka_unit_test(t_defer_length_the_digest_is_bound_with_the_end),
		cmocka_unit_test(t_expiration_trap9_is_a_date_of_http_in_every_answer),
		cmocka_unit_test(t_termination_of_any_upload_is_204_and_then_404),
		cmocka_unit_test(t_termination_ends_a_running_patch_first),
		cmocka_unit_test(t_termination_gives_the_room_back),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(
			t_creation_trap11_longer_than_the_largest_is_413_and_creates_nothing),
		cmocka_unit_test(t_defer_length_trap11_a_wrong_length_is_refused_and_not_taken),
		cmocka_unit_test(t_defer_length_trap11_does_not_let_more_in_than_the_largest),
	};
	const struct CMUnitTest kinds[] = {
		cmocka_unit_test(t_creation_kind_and_ttl_are_taken_from_query_and_metadata),
	};
	const struct CMUnitTest narrow[] = {
		cmocka_unit_test(t_creation_with_upload_that_is_broken_off_leaves_no_upload_behind),
	};
	const struct CMUnitTest brief[] = {
		cmocka_unit_test(t_expiration_is_410_without_an_offset),
		cmocka_unit_test(t_expiration_moves_with_every_piece),
		cmocka_unit_test(t_expiration_of_a_finished_upload_is_410_too),
	};
	const struct CMUnitTest swept[] = {
		cmocka_unit_test(t_expiration_is_410_without_an_offset),
		cmocka_unit_test(t_expiration_moves_with_every_piece),
		cmocka_unit_test(t_expiration_of_a_finished_upload_is_410_too),
		cmocka_unit_test(
			t_expiration_trap20_the_sweep_takes_unfinished_ones_and_leaves_finished_ones),
		cmocka_unit_test(
			t_termination_is_remembered_for_as_long_as_an_unfinished_upload_is),
	};
	int failed;

	failed = cmocka_run_group_tests_name("tus extensions", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("tus extensions, size", small, start_small, stop);
	failed += cmocka_run_group_tests_name("tus extensions, kinds", kinds, start_kinds, stop);
	failed += cmocka_run_group_tests_name("tus extensions, count", narrow, start_narrow, stop);
	failed += cmocka_run_group_tests_name("tus extensions, time", brief, start_brief, stop);
	return failed + cmocka_run_group_tests_name("tus extensions, swept", swept,
						    start_brief_and_swept, stop);
}
