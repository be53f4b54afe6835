/* live - an upload that is still arriving is fetched as it comes: all of it, nothing but durable
 * bytes, and an end that tells a part from the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/follow.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define VERY_LARGE "9007199254740991"
#define SOON 5000  /* ms, for what is expected to come */
#define MOMENT 150 /* ms, for what is not */

static uint8_t bytes[48 * MB];

static uint8_t *fresh(size_t n)
{
	static uint64_t seed = 77000;

	fill_random(bytes, n, seed++);
	return bytes;
}

static int start_with(void **state, const struct test_server_options *o)
{
	static struct test_server server;

	server_start(&server, o);
	*state = &server;
	return 0;
}

static int start(void **state)
{
	return start_with(
		state, &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								"fetch { live_timeout = 30s }\n" });
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

/* ---- an upload, step by step ---- */

static struct tus_upload begin(const struct test_server *s, uint64_t length)
{
	struct tus_upload u;

	assert_int_equal(tus_create(s, length, "", &u), 201);
	return u;
}

/* A PATCH that is not over. */
static struct client *open_patch(const struct tus_upload *u, uint64_t offset)
{
	struct client *c = tus_begin(u, offset, TUS_CHUNKED);

	assert_non_null(c);
	return c;
}

static void bring(struct client *c, const void *p, size_t n)
{
	assert_true(client_chunk(c, p, n));
}

static void end_patch(struct client *c)
{
	assert_true(client_chunk(c, "", 0));
	assert_int_equal(tus_end(c), 204);
}

/* Of a length that was not known before. */
static void finish(const struct tus_upload *u, uint64_t length)
{
	char field[64];
	struct answer a;

	(void)snprintf(field, sizeof(field), "Upload-Length: %llu\r\n", (unsigned long long)length);
	tus_patch_answer(u, length, field, "", 0, &a);
	assert_status(&a, 204);
	answer_free(&a);
}

static struct follow *follow_status(const struct test_server *s, const char *token,
				    const char *fields, int status)
{
	struct follow *f = follow(s->port, token, fields);

	assert_status(&f->head, status);
	return f;
}

static struct follow *follow_it(const struct tus_upload *u)
{
	return follow_status(u->server, u->token, "", 200);
}

static void assert_end(struct follow *f, enum follow_end how)
{
	assert_int_equal(follow_end(f, SOON), how);
	follow_close(f);
}

static void assert_waits(struct follow *f)
{
	assert_int_equal(follow_end(f, MOMENT), FOLLOW_OPEN);
}

#define assert_gets(f, p, n) assert_true(follow_gets((f), (p), (n), SOON))

/* ---- what comes ---- */

static void a_follower_gets_what_is_there_then_what_comes_then_an_end(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(300 * KB);
	struct client *c;
	struct follow *f;

	c = open_patch(&u, 0);
	bring(c, p, 100 * KB);
	end_patch(c);
	f = follow_it(&u);
	assert_true(f->chunked);
	assert_gets(f, p, 100 * KB);
	assert_waits(f);
	c = open_patch(&u, 100 * KB);
	bring(c, p + 100 * KB, 1);
	assert_gets(f, p + 100 * KB, 1);
	bring(c, p + 100 * KB + 1, 200 * KB - 1);
	assert_gets(f, p + 100 * KB + 1, 200 * KB - 1);
	end_patch(c);
	assert_waits(f);
	finish(&u, 300 * KB);
	assert_end(f, FOLLOW_WHOLE);
	assert_true(tus_has(&u, p, 300 * KB));
}

static void a_length_that_is_known_is_told(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 200 * KB);
	const uint8_t *p = fresh(200 * KB);
	struct follow *f = follow_it(&u);
	struct client *c = open_patch(&u, 0);

	assert_int_equal(f->length, 200 * KB);
	assert_no_field(&f->head, "ETag");
	assert_no_field(&f->head, "Repr-Digest");
	assert_field(&f->head, "Cache-Control", "no-store");
	assert_field(&f->head, "X-Accel-Buffering", "no");
	bring(c, p, 150 * KB);
	assert_gets(f, p, 150 * KB);
	bring(c, p + 150 * KB, 50 * KB);
	end_patch(c);
	assert_gets(f, p + 150 * KB, 50 * KB);
	assert_end(f, FOLLOW_WHOLE);
}

static void one_without_bytes_yet_is_followed(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct follow *f = follow_it(&u);

	assert_waits(f);
	finish(&u, 0);
	assert_end(f, FOLLOW_WHOLE);
}

/* What lies in a buffer is made durable because somebody wants it. */
static void who_joins_a_silent_sender_gets_what_it_has_sent(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f;
	int64_t began;

	bring(c, "hello", 5);
	client_nap(100);
	assert_int_equal(tus_offset(&u) == 5 ? 5 : 0, 5); /* which ends that request */
	client_close(c);
	c = open_patch(&u, 5);
	bring(c, "there", 5);
	client_nap(100);
	began = clock_mono_ms();
	f = follow_it(&u);
	assert_gets(f, "hellothere", 10);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
	bring(c, "again", 5);
	assert_gets(f, "again", 5);
	follow_close(f);
	end_patch(c);
}

/* Stored before anybody followed, and nothing is filling. */
static void who_joins_between_two_pieces_gets_what_is_stored(void **state)
{
	static const size_t sent[] = { 256 * KB, 512 * KB, 2 * MB, 3 * MB };
	struct test_server *s = *state;
	const uint8_t *p = fresh(3 * MB);

	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		struct tus_upload u = begin(s, TUS_DEFERRED);
		struct client *c = tus_begin(&u, 0, "Content-Length: 10485760\r\n");
		struct follow *f;

		assert_non_null(c);
		client_nap(50);
		assert_true(client_send(c, p, sent[i]));
		client_nap(200);
		f = follow_it(&u);
		assert_gets(f, p, sent[i]);
		assert_true(client_send(c, "more", 4));
		assert_gets(f, "more", 4);
		client_close(c);
		client_nap(50);
		assert_int_equal(tus_offset(&u), sent[i] + 4);
		follow_close(f);
	}
}

static void each_piece_comes_as_it_is_sent(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);
	const uint8_t *p = fresh(100 * KB);

	for (size_t at = 0; at < 100 * KB; at += KB) {
		bring(c, p + at, KB);
		assert_gets(f, p + at, KB);
	}
	follow_close(f);
	end_patch(c);
}

/* ---- many ---- */

#define CROWD 64

static void many_join_at_any_time_and_get_the_same(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	const uint8_t *p = fresh(CROWD * 10 * KB);
	struct follow *f[CROWD];

	for (size_t i = 0; i < CROWD; i++) {
		f[i] = follow_it(&u);
		bring(c, p + i * 10 * KB, 10 * KB);
	}
	for (size_t i = 0; i < CROWD; i++)
		assert_gets(f[i], p, CROWD * 10 * KB);
	assert_int_equal(server_metric(s, "restante_live_followers"), CROWD);
	end_patch(c);
	finish(&u, CROWD * 10 * KB);
	for (size_t i = 0; i < CROWD; i++)
		assert_end(f[i], FOLLOW_WHOLE);
	for (int i = 0; i < 50 && server_metric(s, "restante_live_followers") > 0; i++)
		client_nap(20);
	assert_int_equal(server_metric(s, "restante_live_followers"), 0);
}

static void those_in_front_touch_no_disk(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(4 * MB);
	struct client *c = open_patch(&u, 0);
	struct follow *f[8];
	uint64_t before;

	for (size_t i = 0; i < 8; i++)
		f[i] = follow_it(&u);
	bring(c, p, 1);
	for (size_t i = 0; i < 8; i++)
		assert_gets(f[i], p, 1);
	before = server_metric(s, "restante_cache_misses_total");
	for (size_t at = 1; at < 4 * MB; at += 64 * KB) {
		const size_t n = at + 64 * KB < 4 * MB ? 64 * KB : 4 * MB - at;

		bring(c, p + at, n);
		for (size_t i = 0; i < 8; i++)
			assert_gets(f[i], p + at, n);
	}
	assert_int_equal(server_metric(s, "restante_cache_misses_total"), before);
	for (size_t i = 0; i < 8; i++)
		follow_close(f[i]);
	end_patch(c);
}

static void who_is_slow_gets_the_rest_from_the_store(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 40 * MB);
	const uint8_t *p = fresh(40 * MB);
	struct follow *f = follow_it(&u), *quick = follow_it(&u);
	uint64_t before;

	assert_int_equal(tus_patch(&u, 0, p, 30 * MB), 204);
	assert_gets(quick, p, 30 * MB);
	before = server_metric(s, "restante_cache_misses_total");
	assert_gets(f, p, 30 * MB); /* only now */
	assert_true(server_metric(s, "restante_cache_misses_total") > before);
	assert_int_equal(tus_patch(&u, 30 * MB, p + 30 * MB, 10 * MB), 204);
	assert_gets(f, p + 30 * MB, 10 * MB);
	assert_end(f, FOLLOW_WHOLE);
	assert_gets(quick, p + 30 * MB, 10 * MB);
	assert_end(quick, FOLLOW_WHOLE);
}

/* Its own bytes are given back then, and it has those of the other. */
static void who_is_slow_gets_the_rest_of_a_duplicate_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 40 * MB);
	const uint8_t *p = fresh(40 * MB);
	struct placed other;
	struct follow *f;

	assert_int_equal(http_place(s->port, "", p, 40 * MB, &other), 201);
	assert_int_equal(tus_patch(&u, 0, p, 39 * MB), 204);
	f = follow_it(&u);
	assert_gets(f, p, MB);
	assert_int_equal(tus_patch(&u, 39 * MB, p + 39 * MB, MB), 204);
	assert_gets(f, p + MB, 39 * MB);
	assert_end(f, FOLLOW_WHOLE);
}

/* ---- what is said of it ---- */

static void assert_head(const struct test_server *s, const char *token, const char *length)
{
	char target[80];
	struct answer a;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_request(s->port, "HEAD", target, "", NULL, 0, &a);
	assert_status(&a, 200);
	if (length != NULL)
		assert_field(&a, "Content-Length", length);
	else
		assert_no_field(&a, "Content-Length");
	assert_no_field(&a, "ETag");
	assert_no_field(&a, "Repr-Digest");
	assert_field(&a, "Cache-Control", "no-store");
	assert_field(&a, "Accept-Ranges", "bytes");
	assert_field(&a, "X-Accel-Buffering", "no");
	assert_field(&a, "Content-Type", "application/octet-stream");
	answer_free(&a);
}

static void head_tells_what_is_known(void **state)
{
	struct test_server *s = *state;
	const struct tus_upload u = begin(s, TUS_DEFERRED), v = begin(s, 12345);

	assert_head(s, u.token, NULL);
	assert_head(s, v.token, "12345");
}

static void there_is_no_tag_that_a_condition_could_name(void **state)
{
	static const struct {
		const char *field;
		int status;
	} cases[] = {
		{ "If-Match: \"x\"\r\n", 412 },      { "If-Match: *\r\n", 200 },
		{ "If-None-Match: \"x\"\r\n", 200 }, { "If-None-Match: *\r\n", 304 },
		{ "If-None-Match: \"\"\r\n", 200 },  { "If-Match: \"\"\r\n", 412 },
	};
	struct test_server *s = *state;
	const struct tus_upload u = begin(s, 10), v = begin(s, TUS_DEFERRED);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		follow_close(follow_status(s, u.token, cases[i].field, cases[i].status));
		follow_close(follow_status(s, v.token, cases[i].field, cases[i].status));
	}
}

/* Of a 304 it is that of the answer which it stands for. */
static void not_modified_tells_no_other_length(void **state)
{
	struct test_server *s = *state;
	const struct tus_upload u = begin(s, 10), v = begin(s, TUS_DEFERRED);
	struct follow *f = follow_status(s, u.token, "If-None-Match: *\r\n", 304);

	assert_int_equal(f->length, 10);
	follow_close(f);
	f = follow_status(s, v.token, "If-None-Match: *\r\n", 304);
	assert_true(f->length == FOLLOW_UNKNOWN);
	follow_close(f);
}

static void if_range_never_holds(void **state)
{
	struct test_server *s = *state;
	const struct tus_upload u = begin(s, 10);
	struct follow *f =
		follow_status(s, u.token, "Range: bytes=2-3\r\nIf-Range: \"x\"\r\n", 200);

	assert_int_equal(f->length, 10);
	follow_close(f);
}

static void the_upload_resource_tells_how_far_it_is_as_before(void **state)
{
	struct test_server *s = *state;
	const struct rufh_state none = { 0 };
	const struct tus_upload u = begin(s, 10);
	struct rufh_state at;

	assert_int_equal(tus_offset(&u), 0);
	at = rufh_state(s->port, u.path);
	assert_int_not_equal(at.status, none.status);
	assert_int_equal(at.offset, 0);
}

/* ---- ranges ---- */

static struct follow *range_of(const struct tus_upload *u, const char *range, int status)
{
	char field[128];

	(void)snprintf(field, sizeof(field), "Range: bytes=%s\r\n", range);
	return follow_status(u->server, u->token, field, status);
}

static void a_range_of_a_known_length_is_followed(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 100);
	const uint8_t *p = fresh(100);
	struct follow *f;

	assert_int_equal(tus_patch(&u, 0, p, 50), 204);
	f = range_of(&u, "10-59", 206);
	assert_field(&f->head, "Content-Range", "bytes 10-59/100");
	assert_int_equal(f->length, 50);
	assert_gets(f, p + 10, 40);
	assert_waits(f);
	assert_int_equal(tus_patch(&u, 50, p + 50, 50), 204);
	assert_gets(f, p + 50, 10);
	assert_end(f, FOLLOW_WHOLE);
}

static void a_range_that_has_not_come_is_waited_for(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 100);
	const uint8_t *p = fresh(100);
	struct follow *f = range_of(&u, "-10", 206), *g = range_of(&u, "50-", 206);

	assert_field(&f->head, "Content-Range", "bytes 90-99/100");
	assert_field(&g->head, "Content-Range", "bytes 50-99/100");
	assert_waits(f);
	assert_int_equal(tus_patch(&u, 0, p, 100), 204);
	assert_gets(f, p + 90, 10);
	assert_end(f, FOLLOW_WHOLE);
	assert_gets(g, p + 50, 50);
	assert_end(g, FOLLOW_WHOLE);
	u = begin(s, 100);
	f = range_of(&u, "100-", 416);
	assert_field(&f->head, "Content-Range", "bytes */100");
	follow_close(f);
}

static void several_ranges_of_a_known_length_are_followed(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 100);
	const uint8_t *p = fresh(100);
	struct follow *f = range_of(&u, "0-9,90-99", 206);
	struct part parts[2];
	struct answer a = f->head;

	assert_int_equal(tus_patch(&u, 0, p, 100), 204);
	a.body_len = (size_t)f->length;
	a.body = calloc(1, a.body_len + 1);
	assert_non_null(a.body);
	assert_int_equal(follow_take(f, a.body, a.body_len, SOON), a.body_len);
	assert_int_equal(answer_parts(&a, parts, 2), 2);
	assert_memory_equal(parts[0].data, p, 10);
	assert_memory_equal(parts[1].data, p + 90, 10);
	assert_int_equal(parts[1].of, 100);
	free(a.body);
	assert_end(f, FOLLOW_WHOLE);
}

/* RFC 8673 */
static void a_range_of_what_is_there_ends(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(100);
	struct client *c = open_patch(&u, 0);
	struct follow *f;

	bring(c, p, 100);
	end_patch(c);
	f = range_of(&u, "10-19", 206);
	assert_field(&f->head, "Content-Range", "bytes 10-19/*");
	assert_int_equal(f->length, 10);
	assert_gets(f, p + 10, 10);
	assert_end(f, FOLLOW_WHOLE);
	f = range_of(&u, "10-", 206);
	assert_field(&f->head, "Content-Range", "bytes 10-99/*");
	assert_int_equal(f->length, 90);
	assert_gets(f, p + 10, 90);
	assert_end(f, FOLLOW_WHOLE);
	follow_close(range_of(&u, "101-", 416));
	follow_close(range_of(&u, "101-200", 416));
	f = range_of(&u, "101-" VERY_LARGE, 416);
	assert_no_field(&f->head, "Content-Range"); /* nobody knows the length */
	follow_close(f);
}

static void a_range_beyond_what_is_there_is_followed_to_its_end(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(100);
	struct client *c = open_patch(&u, 0);
	struct follow *f, *g, *h;

	bring(c, p, 50);
	end_patch(c);
	f = range_of(&u, "10-69", 206);
	assert_field(&f->head, "Content-Range", "bytes 10-69/*");
	assert_true(f->chunked);
	g = range_of(&u, "50-", 206);
	assert_field(&g->head, "Content-Range", "bytes 50-" VERY_LARGE "/*");
	h = range_of(&u, "20-" VERY_LARGE, 206);
	assert_field(&h->head, "Content-Range", "bytes 20-" VERY_LARGE "/*");
	assert_gets(f, p + 10, 40);
	assert_waits(f);
	assert_waits(g);
	c = open_patch(&u, 50);
	bring(c, p + 50, 50);
	end_patch(c);
	assert_gets(f, p + 50, 20);
	assert_end(f, FOLLOW_WHOLE); /* with its last byte */
	assert_gets(g, p + 50, 50);
	assert_gets(h, p + 20, 80);
	assert_waits(g);
	finish(&u, 100);
	assert_end(g, FOLLOW_WHOLE);
	assert_end(h, FOLLOW_WHOLE);
}

static void other_ranges_of_an_unknown_length_are_not_heeded(void **state)
{
	static const char *const ranges[] = { "-5", "0-1,3-4", "0-,0-" };
	struct test_server *s = *state;
	const struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);

	bring(c, "hello world", 11);
	end_patch(c);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct follow *f = range_of(&u, ranges[i], 200);

		assert_gets(f, "hello world", 11);
		follow_close(f);
	}
}

static void a_broken_fetch_goes_on_where_it_was(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(64 * KB);
	struct client *c = open_patch(&u, 0);
	size_t at = 0;
	char range[64];

	for (int i = 0; i < 8; i++) {
		struct follow *f;

		(void)snprintf(range, sizeof(range), "%zu-" VERY_LARGE, at);
		f = range_of(&u, range, 206);
		bring(c, p + (size_t)i * 8 * KB, 8 * KB);
		assert_gets(f, p + at, (size_t)(i + 1) * 8 * KB - at - 100);
		at = (size_t)(i + 1) * 8 * KB - 100;
		follow_close(f);
	}
	end_patch(c);
}

/* ---- how it goes on, and ends ---- */

static void a_broken_upload_is_resumed_while_it_is_followed(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 300 * KB);
	const uint8_t *p = fresh(300 * KB);
	struct follow *f = follow_it(&u);
	struct client *c = open_patch(&u, 0);

	bring(c, p, 100 * KB);
	assert_gets(f, p, 100 * KB);
	client_reset(c);
	assert_waits(f);
	c = open_patch(&u, (uint64_t)tus_offset(&u));
	bring(c, p + 100 * KB, 50 * KB);
	assert_gets(f, p + 100 * KB, 50 * KB);
	client_close(c);
	/* and by the other dialect */
	assert_true(tus_reaches(&u, 150 * KB, SOON));
	assert_int_equal(rufh_append(s->port, u.path, 150 * KB, true, p + 150 * KB, 150 * KB, NULL),
			 201);
	assert_gets(f, p + 150 * KB, 150 * KB);
	assert_end(f, FOLLOW_WHOLE);
}

static void an_upload_in_one_request_is_followed(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(100 * KB);
	struct client *c = client_open(s->port);
	struct follow *f;
	struct answer a;
	struct rufh u;

	assert_true(rufh_ask(c, "POST", "/v1/uploads", 100 * KB,
			     "Upload-Draft-Interop-Version: 6\r\n" RUFH_WHOLE));
	assert_int_equal(rufh_interim(c, SOON, &a), 104);
	rufh_of(&a, &u);
	answer_free(&a);
	f = follow_status(s, u.token, "", 200);
	assert_true(client_send(c, p, 60 * KB));
	assert_gets(f, p, 60 * KB);
	assert_true(client_send(c, p + 60 * KB, 40 * KB));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	assert_gets(f, p + 60 * KB, 40 * KB);
	assert_end(f, FOLLOW_WHOLE);
}

static void what_is_deleted_is_cut(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED), v = begin(s, 100);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u), *g = follow_it(&v);
	int64_t began = clock_mono_ms();

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	assert_int_equal(tus_delete(&u), 204);
	assert_end(f, FOLLOW_CUT);
	assert_int_equal(http_status(s->port, "DELETE", "/v1/media/", v.manage), 204);
	assert_end(g, FOLLOW_CUT);
	assert_in_range(clock_mono_ms() - began, 0, 2000);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
	client_close(c);
}

/* Bytes with a checksum count all or none. */
static void what_a_checksum_takes_back_was_never_sent(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 200 * KB);
	const uint8_t *p = fresh(200 * KB);
	struct follow *f = follow_it(&u);
	struct client *c = tus_begin(&u, 0,
				     "Content-Length: 102400\r\n"
				     "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n");

	assert_true(client_send(c, p + 100 * KB, 90 * KB)); /* not those that stay */
	assert_waits(f);
	assert_true(client_send(c, p + 190 * KB, 10 * KB));
	assert_int_equal(tus_end(c), 460);
	assert_waits(f);
	assert_int_equal(tus_patch(&u, 0, p, 200 * KB), 204);
	assert_gets(f, p, 200 * KB);
	assert_end(f, FOLLOW_WHOLE);
}

/* All is there, and it is not what was announced: nobody takes it for that. */
static void what_is_not_the_digest_announced_never_ends_cleanly(void **state)
{
	struct test_server *s = *state;
	struct rufh u;
	char digest[TUS_DIGEST_SIZE], fields[160];
	struct follow *f;

	tus_digest(digest, "HELLO", 5);
	(void)snprintf(fields, sizeof(fields), "Upload-Length: 5\r\nRepr-Digest: %s\r\n", digest);
	assert_int_equal(rufh_create(s->port, fields, &u), 201);
	f = follow_status(s, u.token, "", 200);
	assert_int_equal(rufh_append(s->port, u.path, 0, false, "hello", 5, NULL), 204);
	assert_gets(f, "hell", 4);
	assert_waits(f);
	assert_int_equal(rufh_append(s->port, u.path, 5, true, "", 0, NULL), 400);
	assert_waits(f);
	assert_int_equal(http_status(s->port, "DELETE", u.path, ""), 204);
	assert_end(f, FOLLOW_CUT);
}

static void a_final_is_followed_until_it_is_put_together(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(200 * KB);
	struct tus_upload part[2], final;
	char fields[512];
	struct follow *f;

	for (int i = 0; i < 2; i++)
		assert_int_equal(tus_create(s, 100 * KB, "Upload-Concat: partial\r\n", &part[i]),
				 201);
	(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s %s\r\n", part[0].path,
		       part[1].path);
	assert_int_equal(tus_create(s, TUS_UNSAID, fields, &final), 201);
	f = follow_it(&final);
	assert_int_equal(tus_patch(&part[0], 0, p, 100 * KB), 204);
	assert_waits(f);
	assert_int_equal(tus_patch(&part[1], 0, p + 100 * KB, 100 * KB), 204);
	assert_gets(f, p, 200 * KB);
	assert_end(f, FOLLOW_WHOLE);
}

/* ---- HTTP/1.0 and TLS ---- */

static struct follow *follow_10(const struct tus_upload *u)
{
	char target[80];

	(void)snprintf(target, sizeof(target), "/v1/media/%s", u->token);
	return follow_as(u->server->port, "HTTP/1.0", target, "");
}

static void http_1_0_ends_with_its_connection_or_by_a_reset(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED), v = begin(s, TUS_DEFERRED), w = begin(s, 10);
	struct follow *f = follow_10(&u), *g = follow_10(&v), *h = follow_10(&w);
	struct client *c = open_patch(&u, 0);

	assert_false(f->chunked);
	bring(c, "hello", 5);
	end_patch(c);
	assert_gets(f, "hello", 5);
	finish(&u, 5);
	assert_int_equal(follow_end(f, SOON), FOLLOW_WHOLE);
	assert_int_equal(f->wire, CLOSED);
	follow_close(f);
	assert_int_equal(tus_delete(&v), 204);
	assert_end(g, FOLLOW_CUT);
	assert_int_equal(h->length, 10);
	assert_int_equal(tus_patch(&w, 0, "0123456789", 10), 204);
	assert_gets(h, "0123456789", 10);
	assert_end(h, FOLLOW_WHOLE);
}

/* Also for who has closed his direction, or has asked for more, before he is answered. */
static void http_1_0_never_takes_a_cut_for_an_end(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 2; i++) {
		struct tus_upload u = begin(s, TUS_DEFERRED);
		struct client *c = client_open(s->port);
		char waste[4096];
		ssize_t n;

		assert_true(client_sendf(c, "GET /v1/media/%s HTTP/1.0\r\n\r\n%s", u.token,
					 i == 0 ? "" : "GET /healthz HTTP/1.0\r\n\r\n"));
		if (i == 0)
			client_half_close(c);
		else
			assert_true(client_peek(c, SOON) > 0);
		assert_int_equal(tus_delete(&u), 204);
		do
			n = recv(c->fd, waste, sizeof(waste), 0);
		while (n > 0);
		assert_int_equal(n, -1);
		assert_int_equal(errno, ECONNRESET);
		client_close(c);
	}
}

static void what_had_no_length_counts_as_what_it_was(void **state)
{
	struct test_server *s = *state;
	const uint64_t before = server_metric(s, "restante_sent_bytes_total");
	const uint8_t *p = fresh(400 * KB);
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct follow *f = follow_it(&u);

	assert_int_equal(tus_patch(&u, 0, p, 400 * KB), 204);
	assert_gets(f, p, 400 * KB);
	finish(&u, 400 * KB);
	assert_end(f, FOLLOW_WHOLE);
	for (int i = 0; i < 20; i++) { /* each look is an answer too, of a few KB */
		if (server_metric(s, "restante_sent_bytes_total") >= before + 400 * KB)
			return;
		client_nap(10);
	}
	fail();
}

/* ---- races ---- */

static void who_joins_while_it_is_finished_gets_all(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(8 * KB);

	for (int i = 0; i < 100; i++) {
		struct tus_upload u = begin(s, 8 * KB);
		struct client *c = tus_begin(&u, 0, "Content-Length: 8192\r\n");
		struct follow *f;

		assert_true(client_send(c, p, 8 * KB - 1));
		assert_true(client_send(c, p + 8 * KB - 1, 1));
		f = follow_it(&u);
		assert_gets(f, p, 8 * KB);
		assert_end(f, FOLLOW_WHOLE);
		assert_int_equal(tus_end(c), 204);
	}
}

static void who_joins_while_it_is_deleted_is_refused_or_cut(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 100; i++) {
		struct tus_upload u = begin(s, 8 * KB);
		struct client *c = client_open(s->port);
		struct follow *f;

		assert_true(
			client_sendf(c, "DELETE %s HTTP/1.1\r\nHost: t\r\n" TUS "\r\n", u.path));
		f = follow(s->port, u.token, "");
		if (f->head.status != 404) /* else cut, with a head or before that */
			assert_int_equal(follow_end(f, SOON), FOLLOW_CUT);
		follow_close(f);
		assert_int_equal(tus_end(c), 204);
	}
}

/* ---- byte for byte, at random ---- */

#define STRESS (3 * MB)
#define READERS 12
#define BEGINNING 1000 /* which may not have come when they do */

struct reader {
	const struct tus_upload *u;
	const uint8_t *p;
	uint64_t seed;
	pthread_t thread;
	bool good;
};

static uint64_t random_below(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (*seed >> 33) % n;
}

/* From `at` on, with pauses; breaks off now and then: how far it got. */
static size_t read_on(struct reader *r, size_t at, bool *over)
{
	size_t stop = random_below(&r->seed, 3) == 0 ? random_below(&r->seed, STRESS) : SIZE_MAX;
	uint8_t buf[20000];
	struct follow *f;
	char range[96];
	size_t n, k;

	(void)snprintf(range, sizeof(range), "Range: bytes=%zu-" VERY_LARGE "\r\n", at);
	f = follow(r->u->server->port, r->u->token, at == 0 ? "" : range);
	if (f->head.status != (at == 0 ? 200 : 206)) {
		*over = f->head.status == 416 && at == STRESS; /* finished meanwhile */
		r->good = r->good && (*over || (f->head.status == 416 && at < BEGINNING));
		client_nap(10);
		follow_close(f);
		return at;
	}
	do {
		n = 1 + random_below(&r->seed, sizeof(buf));
		k = follow_take(f, buf, n, SOON);
		r->good = r->good && memcmp(buf, r->p + at, k) == 0;
		at += k;
		if (random_below(&r->seed, 40) == 0)
			client_nap((int)random_below(&r->seed, 30));
	} while (k == n && at < stop);
	*over = k < n;
	r->good = r->good && (!*over || follow_end(f, SOON) == FOLLOW_WHOLE);
	follow_close(f);
	return at;
}

static void *read_all(void *arg)
{
	struct reader *r = arg;
	size_t at = random_below(&r->seed, 2) == 0 ? 0 : random_below(&r->seed, BEGINNING);
	bool over = false;

	r->good = true;
	client_nap((int)random_below(&r->seed, 200));
	while (!over && r->good)
		at = read_on(r, at, &over);
	r->good = r->good && at == STRESS;
	return NULL;
}

/* Brings bytes [at, end) of p, in steps and pauses of any size. */
static void write_some(struct client *c, bool chunked, const uint8_t *p, size_t at, size_t end,
		       uint64_t *seed)
{
	while (at < end) {
		size_t n = 1 + random_below(seed, random_below(seed, 4) == 0 ? 200000 : 3000);

		n = n < end - at ? n : end - at;
		assert_true(chunked ? client_chunk(c, p + at, n) : client_send(c, p + at, n));
		at += n;
		if (random_below(seed, 20) == 0)
			client_nap((int)random_below(seed, 10));
	}
}

/* In requests of any size and both kinds, some broken off. */
static void write_all(const struct tus_upload *u, const uint8_t *p, uint64_t *seed)
{
	size_t at = 0;

	while (at < STRESS) {
		const size_t end = at + 1 + random_below(seed, STRESS - at);
		const bool chunked = random_below(seed, 2) == 0,
			   breaks = random_below(seed, 2) == 0;
		char fields[64] = TUS_CHUNKED;
		struct client *c;

		if (!chunked)
			(void)snprintf(fields, sizeof(fields), "Content-Length: %zu\r\n",
				       end - at + (breaks ? 100000 : 0));
		c = tus_begin(u, at, fields);
		write_some(c, chunked, p, at, end, seed);
		if (breaks) {
			client_half_close(c);
			(void)tus_end(c); /* when it has closed, it has heard all */
		} else if (chunked) {
			end_patch(c);
		} else {
			assert_int_equal(tus_end(c), 204);
		}
		assert_in_range(tus_offset(u), breaks ? at : end, end);
		at = (size_t)tus_offset(u);
	}
}

static void whoever_reads_gets_byte_for_byte_what_was_written(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	const uint8_t *p = fresh(STRESS);
	struct reader readers[READERS];
	uint64_t seed = 4711;

	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .u = &u, .p = p, .seed = (uint64_t)i * 77 + 5 };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]),
				 0);
	}
	write_all(&u, p, &seed);
	finish(&u, STRESS);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		assert_true(readers[i].good);
	}
	assert_true(tus_has(&u, p, STRESS));
}

/* ---- time ---- */

static int start_impatient(void **state)
{
	return start_with(
		state, &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								"fetch { live_timeout = 1s }\n" });
}

static void who_waits_for_nothing_too_long_is_cut(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);
	int64_t began;
	const uint64_t before = server_metric(s, "restante_live_cut_total");

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	began = clock_mono_ms();
	assert_end(f, FOLLOW_CUT);
	assert_in_range(clock_mono_ms() - began, 900, 3000);
	assert_int_equal(server_metric(s, "restante_live_cut_total"), before + 1);
	/* the upload itself is none the worse for it */
	bring(c, "there", 5);
	end_patch(c);
	f = follow_it(&u);
	assert_gets(f, "hellothere", 10);
	finish(&u, 10);
	assert_end(f, FOLLOW_WHOLE);
}

static void who_gets_a_little_now_and_then_is_not_cut(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);

	for (int i = 0; i < 6; i++) {
		client_nap(500);
		bring(c, "x", 1);
		assert_gets(f, "x", 1);
	}
	end_patch(c);
	finish(&u, 6);
	assert_end(f, FOLLOW_WHOLE);
}

/* It may come back. */
static void when_the_uploader_is_gone_its_followers_wait(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	client_reset(c);
	assert_int_equal(follow_end(f, 500), FOLLOW_OPEN);
	c = open_patch(&u, 5);
	bring(c, "there", 5);
	assert_gets(f, "there", 5);
	client_reset(c);
	assert_end(f, FOLLOW_CUT);
}

static int start_expiring(void **state)
{
	return start_with(state, &(struct test_server_options){
					 .config = "upload { min_free = 0; ttl_unfinished = 2s }\n"
						   "expiry { interval = 0 }\n" });
}

static void what_expires_is_cut_though_nobody_sweeps(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct follow *f = follow_it(&u);
	int64_t began = clock_mono_ms();

	assert_end(f, FOLLOW_CUT);
	assert_in_range(clock_mono_ms() - began, 500, 4500);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
}

/* Its end moves with every byte. */
static void what_goes_on_arriving_does_not_expire(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);

	for (int i = 0; i < 10; i++) {
		client_nap(500);
		bring(c, "x", 1);
		assert_gets(f, "x", 1);
	}
	end_patch(c);
	finish(&u, 10);
	assert_end(f, FOLLOW_WHOLE);
}

static int start_unswept(void **state)
{
	return start_with(state,
			  &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								   "expiry { interval = 0 }\n" });
}

/* While it arrives there is more time than once it is finished. */
static void what_is_finished_is_cut_in_its_own_time(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(40 * MB);
	struct tus_upload u;
	struct follow *f;

	assert_int_equal(tus_create(s, 40 * MB, "Upload-Metadata: ttl MQ==\r\n", &u), 201);
	f = follow_it(&u);
	assert_int_equal(tus_patch(&u, 0, p, 40 * MB), 204);
	assert_gets(f, p, MB);
	client_nap(3500);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
	assert_true(follow_take(f, bytes, 39 * MB, SOON) < 39 * MB);
	assert_end(f, FOLLOW_CUT);
}

static int start_with_little_patience(void **state)
{
	return start_with(state,
			  &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								   "http { timeout = 1s }\n" });
}

/* Of the follower; its uploader's lasts too long. */
static void a_silence_is_no_reason_to_leave(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	assert_int_equal(follow_end(f, 3000), FOLLOW_OPEN);
	client_close(c);
	c = open_patch(&u, 5);
	bring(c, "there", 5);
	assert_gets(f, "there", 5);
	end_patch(c);
	finish(&u, 10);
	assert_end(f, FOLLOW_WHOLE);
}

/* ---- stopping ---- */

static int start_graceful(void **state)
{
	return start_with(state,
			  &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								   "http { stop_grace = 3s }\n" });
}

static void a_stop_cuts_those_whose_uploader_is_gone_at_once(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct follow *f = follow_it(&u);
	int64_t began = clock_mono_ms();

	assert_int_equal(server_stop(s), 0);
	assert_in_range(clock_mono_ms() - began, 0, 2000);
	assert_end(f, FOLLOW_CUT);
	server_again(s);
}

static void a_stop_lets_an_upload_end_that_is_about_to(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, 10), v = begin(s, TUS_DEFERRED);
	struct follow *f = follow_it(&u), *g = follow_it(&v);
	struct client *c = open_patch(&u, 0), *d = open_patch(&v, 0);

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	(void)kill(s->pid, SIGTERM);
	client_nap(200);
	bring(c, "there", 5);
	end_patch(c);
	assert_gets(f, "there", 5);
	assert_end(f, FOLLOW_WHOLE);
	/* one that is not about to is cut when the time for that is over */
	assert_int_equal(server_wait(s, 6000), 0);
	assert_end(g, FOLLOW_CUT);
	client_close(d);
	server_again(s);
}

/* ---- a store that fails ---- */

static int start_failing(void **state, const char *faults)
{
	return start_with(state,
			  &(struct test_server_options){ .config = "upload { min_free = 0 }\n"
								   "fetch { cache = 0 }\n",
							 .faults = faults });
}

static int start_unreadable(void **state)
{
	return start_failing(state, "inner=memory;fail=read:*");
}

static void a_read_that_fails_cuts(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u), *g;

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5); /* is at hand */
	g = follow_it(&u);
	assert_gets(g, "hello", 5); /* as long as somebody follows */
	follow_close(f);
	assert_waits(g);
	follow_close(g);
	client_nap(50);
	f = follow_it(&u);
	assert_end(f, FOLLOW_CUT);
	end_patch(c);
}

static int start_uncommittable(void **state)
{
	return start_failing(state, "inner=memory;fail=commit:3");
}

static void what_cannot_be_made_durable_is_not_shown(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED); /* the first */
	struct client *c = open_patch(&u, 0);
	struct follow *f = follow_it(&u);

	bring(c, "hello", 5);
	assert_gets(f, "hello", 5);
	bring(c, "WRONG", 5);
	assert_waits(f);
	(void)client_chunk(c, "", 0);
	assert_int_equal(tus_end(c), 503);
	assert_waits(f);
	c = open_patch(&u, 5);
	bring(c, "there", 5);
	assert_gets(f, "there", 5);
	end_patch(c);
	finish(&u, 10);
	assert_end(f, FOLLOW_WHOLE);
}

/* ---- TLS ---- */

static char tls_dir[64];

static int start_tls(void **state)
{
	static char config[512];
	char line[512];

	(void)strcpy(tls_dir, "/tmp/restante-live-XXXXXX");
	if (mkdtemp(tls_dir) == NULL)
		return -1;
	(void)snprintf(
		line, sizeof(line),
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-days 2 -subj /CN=localhost -keyout key -out pem 2>/dev/null",
		tls_dir);
	if (system(line) != 0)
		return -1;
	(void)snprintf(config, sizeof(config),
		       "listen = \"127.0.0.1:0\";\nlisten_tls = \"127.0.0.1:0\";\n"
		       "tls { certificate = \"%s/pem\"; key = \"%s/key\"; }\n"
		       "upload { min_free = 0 }\nhttp { stop_grace = 1s; timeout = 1s }\n"
		       "fetch { live_timeout = 4s }\n",
		       tls_dir, tls_dir);
	return start_with(state, &(struct test_server_options){ .config = config, .listen = "" });
}

static int stop_tls(void **state)
{
	char line[128];

	server_remove(*state);
	(void)snprintf(line, sizeof(line), "rm -rf %s", tls_dir);
	return system(line);
}

static FILE *curl(const struct test_server *s, const struct tus_upload *u, const char *flags)
{
	char line[512];
	FILE *f;

	(void)snprintf(line, sizeof(line), "curl -skN %s https://127.0.0.1:%d/v1/media/%s", flags,
		       s->ports[1] == s->port ? s->ports[0] : s->ports[1], u->token);
	f = popen(line, "r");
	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	client_nap(300);
	return f;
}

static void assert_curl_gets(FILE *f, const void *p, size_t n)
{
	uint8_t *got = malloc(n);

	assert_non_null(got);
	assert_int_equal(fread(got, 1, n, f), n);
	assert_memory_equal(got, p, n);
	free(got);
}

static void tls_follows_ends_and_is_cut(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED), v = begin(s, TUS_DEFERRED), w = begin(s, 100);
	const uint8_t *p = fresh(500 * KB);
	FILE *f = curl(s, &u, ""), *g = curl(s, &v, ""), *h = curl(s, &w, "");
	struct client *c = open_patch(&u, 0);

	for (size_t at = 0; at < 500 * KB; at += 100 * KB) {
		bring(c, p + at, 100 * KB);
		assert_curl_gets(f, p + at, 100 * KB);
	}
	end_patch(c);
	client_nap(2500); /* a silence that http.timeout is not for */
	c = open_patch(&u, 500 * KB);
	bring(c, "more", 4);
	assert_curl_gets(f, "more", 4);
	end_patch(c);
	finish(&u, 500 * KB + 4);
	assert_int_equal(fgetc(f), EOF);
	assert_int_equal(pclose(f), 0);
	assert_int_equal(tus_delete(&v), 204);
	assert_int_not_equal(pclose(g), 0);
	assert_int_not_equal(pclose(h), 0); /* has waited too long */
}

static void a_stop_ends_tls_followers_too(void **state)
{
	struct test_server *s = *state;
	struct tus_upload u = begin(s, TUS_DEFERRED), v = begin(s, TUS_DEFERRED);
	struct client *c = open_patch(&u, 0);
	FILE *f = curl(s, &u, ""), *g = curl(s, &v, "");
	int64_t began = clock_mono_ms();

	bring(c, "hello", 5);
	assert_curl_gets(f, "hello", 5);
	assert_int_equal(server_stop(s), 0);
	assert_in_range(clock_mono_ms() - began, 0, 4000);
	assert_int_not_equal(pclose(f), 0);
	assert_int_not_equal(pclose(g), 0);
	client_close(c);
	server_again(s);
}

#define GROUP(name, start, stop) cmocka_run_group_tests_name(#name, name, start, stop)

int main(void)
{
	const struct CMUnitTest live[] = {
		cmocka_unit_test(a_follower_gets_what_is_there_then_what_comes_then_an_end),
		cmocka_unit_test(a_length_that_is_known_is_told),
		cmocka_unit_test(one_without_bytes_yet_is_followed),
		cmocka_unit_test(who_joins_a_silent_sender_gets_what_it_has_sent),
		cmocka_unit_test(who_joins_between_two_pieces_gets_what_is_stored),
		cmocka_unit_test(each_piece_comes_as_it_is_sent),
		cmocka_unit_test(many_join_at_any_time_and_get_the_same),
		cmocka_unit_test(those_in_front_touch_no_disk),
		cmocka_unit_test(who_is_slow_gets_the_rest_from_the_store),
		cmocka_unit_test(who_is_slow_gets_the_rest_of_a_duplicate_too),
		cmocka_unit_test(head_tells_what_is_known),
		cmocka_unit_test(there_is_no_tag_that_a_condition_could_name),
		cmocka_unit_test(not_modified_tells_no_other_length),
		cmocka_unit_test(if_range_never_holds),
		cmocka_unit_test(the_upload_resource_tells_how_far_it_is_as_before),
		cmocka_unit_test(a_range_of_a_known_length_is_followed),
		cmocka_unit_test(a_range_that_has_not_come_is_waited_for),
		cmocka_unit_test(several_ranges_of_a_known_length_are_followed),
		cmocka_unit_test(a_range_of_what_is_there_ends),
		cmocka_unit_test(a_range_beyond_what_is_there_is_followed_to_its_end),
		cmocka_unit_test(other_ranges_of_an_unknown_length_are_not_heeded),
		cmocka_unit_test(a_broken_fetch_goes_on_where_it_was),
		cmocka_unit_test(a_broken_upload_is_resumed_while_it_is_followed),
		cmocka_unit_test(an_upload_in_one_request_is_followed),
		cmocka_unit_test(what_is_deleted_is_cut),
		cmocka_unit_test(what_a_checksum_takes_back_was_never_sent),
		cmocka_unit_test(what_is_not_the_digest_announced_never_ends_cleanly),
		cmocka_unit_test(a_final_is_followed_until_it_is_put_together),
		cmocka_unit_test(http_1_0_ends_with_its_connection_or_by_a_reset),
		cmocka_unit_test(http_1_0_never_takes_a_cut_for_an_end),
		cmocka_unit_test(what_had_no_length_counts_as_what_it_was),
		cmocka_unit_test(who_joins_while_it_is_finished_gets_all),
		cmocka_unit_test(who_joins_while_it_is_deleted_is_refused_or_cut),
		cmocka_unit_test(whoever_reads_gets_byte_for_byte_what_was_written),
	};
	const struct CMUnitTest impatient[] = {
		cmocka_unit_test(who_waits_for_nothing_too_long_is_cut),
		cmocka_unit_test(who_gets_a_little_now_and_then_is_not_cut),
		cmocka_unit_test(when_the_uploader_is_gone_its_followers_wait),
	};
	const struct CMUnitTest expiring[] = {
		cmocka_unit_test(what_expires_is_cut_though_nobody_sweeps),
		cmocka_unit_test(what_goes_on_arriving_does_not_expire),
	};
	const struct CMUnitTest finished[] = {
		cmocka_unit_test(what_is_finished_is_cut_in_its_own_time),
	};
	const struct CMUnitTest patience[] = {
		cmocka_unit_test(a_silence_is_no_reason_to_leave),
	};
	const struct CMUnitTest stopping[] = {
		cmocka_unit_test(a_stop_cuts_those_whose_uploader_is_gone_at_once),
		cmocka_unit_test(a_stop_lets_an_upload_end_that_is_about_to),
	};
	const struct CMUnitTest unreadable[] = { cmocka_unit_test(a_read_that_fails_cuts) };
	const struct CMUnitTest uncommittable[] = { cmocka_unit_test(
		what_cannot_be_made_durable_is_not_shown) };
	const struct CMUnitTest tls[] = {
		cmocka_unit_test(tls_follows_ends_and_is_cut),
		cmocka_unit_test(a_stop_ends_tls_followers_too),
	};
	int failed = GROUP(live, start, stop);

	failed += GROUP(impatient, start_impatient, stop);
	failed += GROUP(expiring, start_expiring, stop);
	failed += GROUP(finished, start_unswept, stop);
	failed += GROUP(patience, start_with_little_patience, stop);
	failed += GROUP(stopping, start_graceful, stop);
	failed += GROUP(unreadable, start_unreadable, stop);
	failed += GROUP(uncommittable, start_uncommittable, stop);
	failed += GROUP(tls, start_tls, stop_tls);
	return failed;
}
