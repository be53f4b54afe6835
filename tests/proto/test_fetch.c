/* fetch - GET and HEAD of finished uploads: bytes, ranges, conditions, and the one 404. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "storage/chunk.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "wire/token.h"

#define MB ((size_t)1 << 20)
#define SMALL 1000u
#define MIDDLE (3 * CHUNK_MAX + 17)
#define LARGE (20 * MB) /* too long to be sent from memory */

static uint8_t bytes[LARGE];

struct blob {
	struct placed p;
	size_t n;
	char etag[67];
};

static struct fixture {
	struct test_server server;
	struct blob small, middle, large;
} fixture;

/* All blobs begin alike: one buffer has the bytes of each. */
static void place(struct blob *b, size_t n)
{
	assert_int_equal(http_place(fixture.server.port, "", bytes, n, &b->p), 201);
	b->n = n;
	(void)snprintf(b->etag, sizeof(b->etag), "\"%s\"", b->p.sha256);
}

static int start(void **state, const char *config)
{
	server_start(&fixture.server, &(struct test_server_options){ .config = config });
	fill_random(bytes, LARGE, 1);
	place(&fixture.small, SMALL);
	place(&fixture.middle, MIDDLE);
	place(&fixture.large, LARGE);
	*state = &fixture;
	return 0;
}

static int start_plain(void **state)
{
	return start(state, NULL);
}

static int start_uncached(void **state)
{
	return start(state, "fetch { cache = 0 }\n");
}

static int stop(void **state)
{
	(void)state;
	server_remove(&fixture.server);
	return 0;
}

static void ask(const char *method, const struct blob *b, const char *fields, struct answer *a)
{
	char target[200];

	(void)snprintf(target, sizeof(target), "/v1/media/%s", b->p.token);
	http_request(fixture.server.port, method, target, fields, NULL, 0, a);
}

static void askf(const struct blob *b, struct answer *a, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void askf(const struct blob *b, struct answer *a, const char *fmt, ...)
{
	char fields[1000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(fields, sizeof(fields), fmt, ap);
	va_end(ap);
	ask("GET", b, fields, a);
}

static void assert_field(const struct answer *a, const char *name, const char *want)
{
	char got[512];

	(void)answer_field(a, name, got, sizeof(got));
	assert_string_equal(got, want);
}

static void assert_no_field(const struct answer *a, const char *name)
{
	char got[512];

	assert_false(answer_field(a, name, got, sizeof(got)));
}

static void assert_problem(struct answer *a, int status)
{
	assert_int_equal(a->status, status);
	assert_field(a, "Content-Type", "application/problem+json");
	answer_free(a);
}

/* Takes the answer: 200 with all of the blob. */
static void assert_whole(struct answer *a, const struct blob *b)
{
	assert_int_equal(a->status, 200);
	assert_true(a->whole);
	assert_int_equal(a->body_len, b->n);
	assert_memory_equal(a->body, bytes, b->n);
	assert_no_field(a, "Content-Range");
	answer_free(a);
}

/* ---- all of it ---- */

static void assert_headers(const struct answer *a, const struct blob *b)
{
	char text[128], b64[45];
	struct digest d;

	digest_of((struct bytes){ bytes, b->n }, &d);
	base64_encode(b64, d.b, sizeof(d.b));
	(void)snprintf(text, sizeof(text), "sha-256=:%s:", b64);
	assert_field(a, "Repr-Digest", text);
	assert_field(a, "ETag", b->etag);
	assert_field(a, "Accept-Ranges", "bytes");
	assert_field(a, "X-Content-Type-Options", "nosniff");
	assert_field(a, "Content-Disposition", "attachment");
	assert_field(a, "Cross-Origin-Resource-Policy", "cross-origin");
	assert_no_field(a, "Last-Modified");
	assert_no_field(a, "Set-Cookie");
	assert_true(answer_field(a, "Date", text, sizeof(text)));
	(void)answer_field(a, "Cache-Control", text, sizeof(text));
	assert_int_equal(strncmp(text, "private, immutable, no-transform, max-age=", 42), 0);
}

static void a_fetch_says_what_the_bytes_are_and_how_to_treat_them(void **state)
{
	struct fixture *f = *state;
	struct blob *const blobs[] = { &f->small, &f->middle, &f->large };
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		for (int again = 0; again < 2; again++) { /* a kept answer says the same */
			ask("GET", blobs[i], "", &a);
			assert_headers(&a, blobs[i]);
			assert_field(&a, "Content-Type", "application/octet-stream");
			assert_whole(&a, blobs[i]);
		}
		ask("GET", blobs[i], "Range: bytes=5-9\r\n", &a);
		assert_int_equal(a.status, 206);
		assert_headers(&a, blobs[i]);
		answer_free(&a);
	}
}

static void head_tells_the_same_without_the_bytes(void **state)
{
	struct fixture *f = *state;
	struct blob *const blobs[] = { &f->small, &f->middle, &f->large };
	char length[32];
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(length, sizeof(length), "%zu", blobs[i]->n);
		ask("HEAD", blobs[i], "", &a);
		assert_int_equal(a.status, 200);
		assert_headers(&a, blobs[i]);
		assert_field(&a, "Content-Type", "application/octet-stream");
		assert_field(&a, "Content-Length", length);
		answer_free(&a);
	}
}

/* RFC 9110 section 14.2: a range is defined for GET only. */
static void head_ignores_a_range(void **state)
{
	static const char *const ranges[] = { "Range: bytes=0-9\r\n", "Range: bytes=0-1,3-4\r\n",
					      "Range: bytes=99999999-\r\n", "Range: bytes=x\r\n" };
	struct fixture *f = *state;
	struct answer a;

	for (size_t i = 0; i < 4; i++) {
		ask("HEAD", &f->small, ranges[i], &a);
		assert_int_equal(a.status, 200);
		assert_field(&a, "Content-Length", "1000");
		assert_no_field(&a, "Content-Range");
		answer_free(&a);
	}
}

static void nothing_follows_the_answer_to_head(void **state)
{
	struct fixture *f = *state;
	struct client *c = client_open(f->server.port);
	struct answer a;

	for (int i = 0; i < 3; i++) {
		(void)client_sendf(c,
				   "HEAD /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n"
				   "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
				   f->large.p.token, f->small.p.token);
		client_answer(c, true, &a, NULL);
		assert_int_equal(a.status, 200);
		answer_free(&a);
		client_answer(c, false, &a, NULL);
		assert_whole(&a, &f->small);
	}
	client_close(c);
}

static void a_bearer_token_does_what_one_in_the_path_does(void **state)
{
	struct fixture *f = *state;
	char fields[200];
	struct answer a;

	(void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", f->middle.p.token);
	http_get(f->server.port, "/v1/media", fields, &a);
	assert_headers(&a, &f->middle);
	assert_whole(&a, &f->middle);
	(void)snprintf(fields, sizeof(fields), "authorization: bearer %s\r\n", f->middle.p.token);
	http_get(f->server.port, "/v1/media", fields, &a);
	assert_whole(&a, &f->middle);
	(void)snprintf(fields, sizeof(fields), "Authorization: Basic %s\r\n", f->middle.p.token);
	http_get(f->server.port, "/v1/media", fields, &a);
	assert_problem(&a, 404);
	(void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", f->middle.p.manage);
	http_get(f->server.port, "/v1/media", fields, &a);
	assert_problem(&a, 404);
}

static void an_empty_blob_is_fetched_like_any_other(void **state)
{
	struct fixture *f = *state;
	struct blob empty;
	struct answer a;

	place(&empty, 0);
	for (int again = 0; again < 2; again++) {
		ask("GET", &empty, "", &a);
		assert_headers(&a, &empty);
		assert_field(&a, "Content-Length", "0");
		assert_whole(&a, &empty);
	}
	ask("HEAD", &empty, "", &a);
	assert_int_equal(a.status, 200);
	assert_field(&a, "Content-Length", "0");
	answer_free(&a);
	ask("GET", &empty, "Range: bytes=0-\r\n", &a);
	assert_field(&a, "Content-Range", "bytes */0");
	assert_problem(&a, 416);
	ask("GET", &empty, "Range: bytes=-5\r\n", &a);
	assert_whole(&a, &empty);
	(void)f;
}

/* ---- ranges ---- */

#define ALL 0
#define NONE -1

/* What a Range field brings: so many parts, the whole (ALL), or a 416 (NONE). */
struct wish {
	const char *range;
	int parts;
	struct {
		uint64_t first, last;
	} part[16];
};

static void assert_part(const uint8_t *got, size_t n, uint64_t first, uint64_t last)
{
	assert_int_equal(n, last - first + 1);
	assert_memory_equal(got, bytes + first, n);
}

static void assert_single(struct answer *a, const struct blob *b, const struct wish *w)
{
	char range[80];

	(void)snprintf(range, sizeof(range), "bytes %llu-%llu/%zu",
		       (unsigned long long)w->part[0].first, (unsigned long long)w->part[0].last,
		       b->n);
	assert_int_equal(a->status, 206);
	assert_true(a->whole);
	assert_field(a, "Content-Range", range);
	assert_field(a, "Content-Type", "application/octet-stream");
	assert_part(a->body, a->body_len, w->part[0].first, w->part[0].last);
}

static void assert_multipart(struct answer *a, const struct blob *b, const struct wish *w)
{
	struct part parts[16];

	assert_int_equal(a->status, 206);
	assert_true(a->whole);
	assert_no_field(a, "Content-Range");
	assert_int_equal(answer_parts(a, parts, 16), w->parts);
	for (int i = 0; i < w->parts; i++) {
		assert_string_equal(parts[i].type, "application/octet-stream");
		assert_int_equal(parts[i].of, b->n);
		assert_int_equal(parts[i].first, w->part[i].first);
		assert_int_equal(parts[i].last, w->part[i].last);
		assert_part(parts[i].data, (size_t)(parts[i].last - parts[i].first + 1),
			    w->part[i].first, w->part[i].last);
	}
}

static void assert_wish(const struct blob *b, const struct wish *w)
{
	char none[40];
	struct answer a;

	askf(b, &a, "Range: %s\r\n", w->range);
	if (w->parts == ALL) {
		if (a.status != 200)
			fail_msg("%s: %d", w->range, a.status);
		assert_whole(&a, b);
		return;
	}
	if (w->parts == NONE) {
		if (a.status != 416)
			fail_msg("%s: %d", w->range, a.status);
		(void)snprintf(none, sizeof(none), "bytes */%zu", b->n);
		assert_field(&a, "Content-Range", none);
		assert_problem(&a, 416);
		return;
	}
	if (w->parts == 1)
		assert_single(&a, b, w);
	else
		assert_multipart(&a, b, w);
	answer_free(&a);
}

static void assert_wishes(const struct blob *b, const struct wish *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_wish(b, &w[i]);
}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void ranges_of_a_short_blob(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=0-0", 1, { { 0, 0 } } },
		{ "bytes=0-999", 1, { { 0, 999 } } },
		{ "bytes=999-999", 1, { { 999, 999 } } },
		{ "bytes=10-19", 1, { { 10, 19 } } },
		{ "bytes=990-", 1, { { 990, 999 } } },
		{ "bytes=0-", 1, { { 0, 999 } } },
		{ "bytes=-1", 1, { { 999, 999 } } },
		{ "bytes=-10", 1, { { 990, 999 } } },
		{ "bytes=-1000", 1, { { 0, 999 } } },
		{ "bytes=-99999", 1, { { 0, 999 } } },
		{ "bytes=990-99999", 1, { { 990, 999 } } },
		{ "bytes=990-18446744073709551615", 1, { { 990, 999 } } },
		{ "bytes=990-99999999999999999999999", 1, { { 990, 999 } } },
		{ "BYTES=10-19", 1, { { 10, 19 } } },
		{ "bytes= 10-19 ", 1, { { 10, 19 } } },
		{ "bytes=,10-19,,", 1, { { 10, 19 } } },
		{ "bytes=10-19,5000-6000", 1, { { 10, 19 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->small, wishes, COUNT(wishes));
}

static void several_ranges_come_as_parts_in_the_order_asked_for(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=0-0,999-999", 2, { { 0, 0 }, { 999, 999 } } },
		{ "bytes=0-9, 20-29 ,40-49", 3, { { 0, 9 }, { 20, 29 }, { 40, 49 } } },
		{ "bytes=900-999,0-99", 2, { { 900, 999 }, { 0, 99 } } },
		{ "bytes=0-9,-10", 2, { { 0, 9 }, { 990, 999 } } },
		{ "bytes=0-9,990-", 2, { { 0, 9 }, { 990, 999 } } },
		{ "bytes=0-9,5-14", 2, { { 0, 9 }, { 5, 14 } } },
		{ "bytes=0-9,2000-,20-29", 2, { { 0, 9 }, { 20, 29 } } },
		{ "bytes=0-499,500-999", 2, { { 0, 499 }, { 500, 999 } } },
		{ "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,"
		  "28-28,30-30",
		  16,
		  { { 0, 0 },
		    { 2, 2 },
		    { 4, 4 },
		    { 6, 6 },
		    { 8, 8 },
		    { 10, 10 },
		    { 12, 12 },
		    { 14, 14 },
		    { 16, 16 },
		    { 18, 18 },
		    { 20, 20 },
		    { 22, 22 },
		    { 24, 24 },
		    { 26, 26 },
		    { 28, 28 },
		    { 30, 30 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->small, wishes, COUNT(wishes));
}

static void a_bomb_of_ranges_brings_the_whole_once(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,"
		  "28-28,30-30,32-32",
		  ALL,
		  { { 0 } } },
		{ "bytes=0-,0-", ALL, { { 0 } } },
		{ "bytes=0-999,0-0", ALL, { { 0 } } },
		{ "bytes=0-600,400-999", ALL, { { 0 } } },
		{ "bytes=-1000,-1", ALL, { { 0 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->small, wishes, COUNT(wishes));
}

static void what_cannot_be_satisfied_or_read_is_416(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=1000-", NONE, { { 0 } } },
		{ "bytes=1000-1000", NONE, { { 0 } } },
		{ "bytes=5000-6000,7000-", NONE, { { 0 } } },
		{ "bytes=-0", NONE, { { 0 } } },
		{ "bytes=99999999999999999999-", NONE, { { 0 } } },
		{ "bytes=", NONE, { { 0 } } },
		{ "bytes=-", NONE, { { 0 } } },
		{ "bytes=5", NONE, { { 0 } } },
		{ "bytes=9-5", NONE, { { 0 } } },
		{ "bytes=a-b", NONE, { { 0 } } },
		{ "bytes=1-2-3", NONE, { { 0 } } },
		{ "bytes=0-1;2-3", NONE, { { 0 } } },
		{ "bytes=--5", NONE, { { 0 } } },
		{ "bytes=+1-5", NONE, { { 0 } } },
		{ "bytes=0x1-0x5", NONE, { { 0 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->small, wishes, COUNT(wishes));
}

static void an_unknown_unit_is_ignored(void **state)
{
	static const struct wish wishes[] = {
		{ "chapters=1-2", ALL, { { 0 } } },
		{ "bytes", ALL, { { 0 } } },
		{ "bytes 0-5", ALL, { { 0 } } },
		{ "0-5", ALL, { { 0 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->small, wishes, COUNT(wishes));
}

#define C ((uint64_t)CHUNK_MAX)
static void ranges_across_chunk_borders(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=262143-262143", 1, { { C - 1, C - 1 } } },
		{ "bytes=262144-262144", 1, { { C, C } } },
		{ "bytes=262143-262144", 1, { { C - 1, C } } },
		{ "bytes=262144-524287", 1, { { C, 2 * C - 1 } } },
		{ "bytes=100000-700000", 1, { { 100000, 700000 } } },
		{ "bytes=-18", 1, { { MIDDLE - 18, MIDDLE - 1 } } },
		{ "bytes=-17", 1, { { MIDDLE - 17, MIDDLE - 1 } } },
		{ "bytes=1-", 1, { { 1, MIDDLE - 1 } } },
		{ "bytes=262100-262200,524200-524400,0-0,-1",
		  4,
		  { { 262100, 262200 },
		    { 524200, 524400 },
		    { 0, 0 },
		    { MIDDLE - 1, MIDDLE - 1 } } },
		{ "bytes=300000-,0-299999", 2, { { 300000, MIDDLE - 1 }, { 0, 299999 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->middle, wishes, COUNT(wishes));
}

static void ranges_of_a_blob_that_is_streamed(void **state)
{
	static const struct wish wishes[] = {
		{ "bytes=0-0", 1, { { 0, 0 } } },
		{ "bytes=-1", 1, { { LARGE - 1, LARGE - 1 } } },
		{ "bytes=16777215-16777217", 1, { { 16777215, 16777217 } } },
		{ "bytes=1-", 1, { { 1, LARGE - 1 } } },
		{ "bytes=1000000-19999999", 1, { { 1000000, 19999999 } } },
		{ "bytes=0-9,10000000-10000009,-10",
		  3,
		  { { 0, 9 }, { 10000000, 10000009 }, { LARGE - 10, LARGE - 1 } } },
		/* longer than memory holds at once: parts are streamed too */
		{ "bytes=10000000-,1-9999999", 2, { { 10000000, LARGE - 1 }, { 1, 9999999 } } },
		{ "bytes=262143-10485761,0-262142,10485762-20971518",
		  3,
		  { { 262143, 10485761 }, { 0, 262142 }, { 10485762, 20971518 } } },
		{ "bytes=0-,-1", ALL, { { 0 } } },
		{ "bytes=20971520-", NONE, { { 0 } } },
	};
	struct fixture *f = *state;

	assert_wishes(&f->large, wishes, COUNT(wishes));
}

/* ---- conditions ---- */

#define OTHER "\"0000000000000000000000000000000000000000000000000000000000000000\""

/* %1$s in fields stands for the blob's entity tag. */
struct condition {
	int status;
	const char *fields;
};

static void assert_conditions(const struct blob *b, const struct condition *c, size_t n)
{
	char fields[1000];
	struct answer a;

	for (size_t i = 0; i < n; i++) {
		const char *p = c[i].fields;
		size_t len = 0;

		for (; *p != '\0'; p++) {
			if (*p == '@')
				len += (size_t)snprintf(fields + len, sizeof(fields) - len, "%s",
							b->etag);
			else
				fields[len++] = *p;
		}
		fields[len] = '\0';
		ask("GET", b, fields, &a);
		if (a.status != c[i].status)
			fail_msg("%s: %d, not %d", c[i].fields, a.status, c[i].status);
		if (a.status == 200) {
			assert_whole(&a, b);
			continue;
		}
		if (a.status == 304) {
			assert_field(&a, "ETag", b->etag);
			assert_true(answer_field(&a, "Cache-Control", fields, sizeof(fields)));
			assert_int_equal(a.body_len, 0);
		}
		if (a.status == 412)
			assert_field(&a, "Content-Type", "application/problem+json");
		if (a.status == 206)
			assert_memory_equal(a.body, bytes, a.body_len);
		answer_free(&a);
	}
}

static void a_client_that_has_the_bytes_is_told_so(void **state)
{
	static const struct condition conditions[] = {
		{ 304, "If-None-Match: @\r\n" },
		{ 304, "If-None-Match: W/@\r\n" },
		{ 304, "If-None-Match: *\r\n" },
		{ 304, "If-None-Match: " OTHER ", @\r\n" },
		{ 304, "If-None-Match: \"a,b\" , W/\"c\",, @ \r\n" },
		{ 304, "if-none-match: @, " OTHER "\r\n" },
		{ 200, "If-None-Match: " OTHER "\r\n" },
		{ 200, "If-None-Match: \"\"\r\n" },
		{ 200, "If-None-Match: W/" OTHER "\r\n" },
		{ 200, "If-None-Match: unquoted\r\n" },
		{ 200, "If-None-Match: @ @\r\n" },
		{ 200, "If-None-Match: w/@\r\n" },
	};
	struct fixture *f = *state;

	assert_conditions(&f->small, conditions, COUNT(conditions));
	assert_conditions(&f->large, conditions, COUNT(conditions));
}

static void other_bytes_than_wished_for_are_not_sent(void **state)
{
	static const struct condition conditions[] = {
		{ 200, "If-Match: @\r\n" },
		{ 200, "If-Match: *\r\n" },
		{ 200, "If-Match: " OTHER ", @\r\n" },
		{ 412, "If-Match: " OTHER "\r\n" },
		{ 412, "If-Match: W/@\r\n" }, /* strong comparison */
		{ 412, "If-Match: unquoted\r\n" },
	};
	struct fixture *f = *state;

	assert_conditions(&f->small, conditions, COUNT(conditions));
}

static void a_range_is_taken_if_its_condition_holds(void **state)
{
	static const struct condition conditions[] = {
		{ 206, "Range: bytes=0-9\r\nIf-Range: @\r\n" },
		{ 206, "If-Range: @\r\nRange: bytes=0-9\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: " OTHER "\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: W/@\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: @, @\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: *\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
		{ 200, "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 2094 08:49:37 GMT\r\n" },
		{ 200, "Range: bytes=5000-\r\nIf-Range: " OTHER "\r\n" },
		{ 416, "Range: bytes=99999999-\r\nIf-Range: @\r\n" },
		{ 200, "If-Range: @\r\n" },
	};
	struct fixture *f = *state;

	assert_conditions(&f->small, conditions, COUNT(conditions));
	assert_conditions(&f->middle, conditions, COUNT(conditions));
}

/* RFC 9110 section 13.2.2: If-Match, then If-None-Match, then Range with If-Range. */
static void conditions_are_taken_in_their_order(void **state)
{
	static const struct condition conditions[] = {
		{ 412, "If-None-Match: @\r\nIf-Match: " OTHER "\r\n" },
		{ 304, "If-None-Match: @\r\nIf-Match: @\r\n" },
		{ 200, "If-None-Match: " OTHER "\r\nIf-Match: @\r\n" },
		{ 304, "If-None-Match: @\r\nRange: bytes=0-9\r\n" },
		{ 304, "If-None-Match: @\r\nRange: bytes=5000-\r\n" },
		{ 304, "If-None-Match: @\r\nRange: bytes=0-9\r\nIf-Range: " OTHER "\r\n" },
		{ 412, "If-Match: " OTHER "\r\nRange: bytes=99999999-\r\n" },
		{ 206, "If-Match: @\r\nIf-None-Match: " OTHER "\r\nRange: bytes=0-9\r\n" },
		{ 206, "If-Match: *\r\nRange: bytes=0-9\r\nIf-Range: @\r\n" },
		{ 416, "If-Match: @\r\nRange: bytes=99999999-\r\n" },
		/* there is no date that could have changed (sections 13.1.3 and 13.1.4) */
		{ 200, "If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT\r\n" },
		{ 200, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
		{ 304, "If-None-Match: @\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
	};
	struct fixture *f = *state;

	assert_conditions(&f->small, conditions, COUNT(conditions));
	assert_conditions(&f->middle, conditions, COUNT(conditions));
}

static void head_has_conditions_too(void **state)
{
	struct fixture *f = *state;
	char fields[200];
	struct answer a;

	(void)snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", f->small.etag);
	ask("HEAD", &f->small, fields, &a);
	assert_int_equal(a.status, 304);
	answer_free(&a);
	ask("HEAD", &f->small, "If-Match: " OTHER "\r\n", &a);
	assert_int_equal(a.status, 412);
	answer_free(&a);
}

static void a_304_leaves_the_connection_in_step(void **state)
{
	struct fixture *f = *state;
	struct client *c = client_open(f->server.port);
	struct answer a;

	for (int i = 0; i < 3; i++) {
		(void)client_sendf(c,
				   "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n"
				   "If-None-Match: *\r\n\r\n"
				   "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
				   f->large.p.token, f->small.p.token);
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 304);
		answer_free(&a);
		client_answer(c, false, &a, NULL);
		assert_whole(&a, &f->small);
	}
	client_close(c);
}

/* ---- the one 404 ---- */

/* A token that the server itself would have made. */
static void mint(enum token_type type, const struct upload_id *id, uint32_t not_after,
		 char out[static TOKEN_PLAIN_CHARS + 1])
{
	struct token t = { .type = type, .upload = *id, .not_after = not_after };
	uint8_t key[TOKEN_KEYBYTES];
	char path[128], line[200], text[100];
	unsigned key_id = 0;
	size_t n = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/data/keys", fixture.server.dir);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "token %u %99s", &key_id, text) == 2)
			assert_true(base64url_decode(key, sizeof(key), &n, text, strlen(text)));
	(void)fclose(file);
	assert_int_equal(n, sizeof(key));
	t.key_id = (uint8_t)key_id;
	token_mint(out, &t, key);
}

/* Head and body of an answer, but for the date. */
static char *face(struct answer *a)
{
	char *text = NULL, *date = strstr(a->head, "\r\nDate: "), *rest;

	assert_non_null(date);
	rest = strstr(date + 2, "\r\n");
	assert_true(asprintf(&text, "%.*s%s%.*s", (int)(date - a->head), a->head, rest,
			     (int)a->body_len, (const char *)a->body) > 0);
	answer_free(a);
	return text;
}

static void assert_same_404(const char *token, char **like)
{
	char target[2100], *text;
	struct answer a;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_get(fixture.server.port, target, "", &a);
	assert_int_equal(a.status, 404);
	text = face(&a);
	if (*like == NULL) {
		*like = text;
		return;
	}
	assert_string_equal(text, *like);
	free(text);
}

static void whatever_is_not_there_gets_the_same_404(void **state)
{
	struct fixture *f = *state;
	const int64_t now = clock_now_s();
	const struct upload_id unknown = { { 1, 2, 3 } };
	struct placed deleted, expired;
	char text[2000], minted[TOKEN_PLAIN_CHARS + 1], bearer[200], *like = NULL, *other;
	const char *good = f->small.p.token;
	struct answer a;

	assert_int_equal(http_place(f->server.port, "?ttl=1", bytes, 100, &expired), 201);
	assert_int_equal(http_place(f->server.port, "", bytes, 100, &deleted), 201);
	assert_int_equal(http_status(f->server.port, "DELETE", "/v1/media/", deleted.manage), 204);

	mint(TOKEN_FETCH, &unknown, (uint32_t)now + 1000, minted); /* unknown to the store */
	assert_same_404(minted, &like);
	assert_same_404(deleted.token, &like);
	mint(TOKEN_FETCH, &unknown, (uint32_t)now - 1000, minted);
	assert_same_404(minted, &like);

	for (size_t i = 0; i < strlen(good); i++) { /* forged in each of its places */
		(void)strcpy(text, good);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_same_404(text, &like);
	}
	for (size_t i = 1; i < strlen(good); i += 7) { /* cut short */
		(void)snprintf(text, sizeof(text), "%.*s", (int)i, good);
		assert_same_404(text, &like);
	}
	(void)snprintf(text, sizeof(text), "%sA", good); /* too long */
	assert_same_404(text, &like);
	(void)snprintf(text, sizeof(text), "%s%s", good, good);
	assert_same_404(text, &like);
	memset(text, 'A', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_same_404(text, &like);
	assert_same_404(f->small.p.manage, &like); /* of another type */
	assert_same_404(f->small.p.upload + strlen("/v1/uploads/"), &like);
	assert_same_404("", &like);
	assert_same_404("%00", &like);
	assert_same_404("..", &like);
	(void)snprintf(text, sizeof(text), "%s=", good);
	assert_same_404(text, &like);

	http_get(f->server.port, "/v1/media", "", &a);
	assert_int_equal(a.status, 404);
	other = face(&a);
	assert_string_equal(other, like);
	free(other);
	(void)snprintf(bearer, sizeof(bearer), "Authorization: Bearer %.50s\r\n", good);
	http_get(f->server.port, "/v1/media", bearer, &a);
	other = face(&a);
	assert_string_equal(other, like);
	free(other);

	while (clock_now_s() < now + 2)
		client_nap(50);
	assert_same_404(expired.token, &like);
	assert_same_404(expired.token, &like);
	free(like);
}

static void a_404_is_no_answer_to_keep(void **state)
{
	struct fixture *f = *state;
	struct answer a;

	http_get(f->server.port, "/v1/media/x", "", &a);
	assert_field(&a, "Cache-Control", "no-store");
	assert_problem(&a, 404);
}

static void a_forged_token_does_not_reach_the_store(void **state)
{
	struct fixture *f = *state;
	const uint64_t lookups = server_metric(&f->server, "restante_store_lookups_total");
	char text[60];

	for (size_t i = 0; i < 51; i++) {
		(void)strcpy(text, f->small.p.token);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(http_status(f->server.port, "GET", "/v1/media/", text), 404);
		assert_int_equal(http_status(f->server.port, "DELETE", "/v1/media/", text), 404);
	}
	assert_int_equal(http_status(f->server.port, "GET", "/v1/media/", f->small.p.manage), 404);
	assert_int_equal(server_metric(&f->server, "restante_store_lookups_total"), lookups);
}

/* ---- time ---- */

static void nothing_is_served_a_second_late(void **state)
{
	static const size_t lengths[] = { 0, 100, MIDDLE };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct placed p;
		char until[CLOCK_RFC3339_SIZE];
		int64_t before, after;
		int status = 200;

		fill_random(bytes + 50, 8, i + 77); /* a blob of its own */
		assert_int_equal(http_place(f->server.port, "?ttl=1", bytes, lengths[i], &p), 201);
		while (status == 200) {
			before = clock_now_s();
			status = http_status(f->server.port, "GET", "/v1/media/", p.token);
			after = clock_now_s();
			clock_rfc3339(until, before);
			if (status == 200)
				assert_true(strcmp(until, p.expires_at) < 0);
			clock_rfc3339(until, after);
			if (status == 404)
				assert_true(strcmp(until, p.expires_at) >= 0);
		}
		assert_int_equal(status, 404);
		assert_int_equal(http_status(f->server.port, "GET", "", p.upload), 410);
	}
	fill_random(bytes, LARGE, 1);
}

/* A part must not pass for the whole. */
static void a_download_that_outlives_its_blob_is_cut(void **state)
{
	struct fixture *f = *state;
	const int little = 65536;
	struct client *c = client_open(f->server.port);
	struct placed p;
	struct answer a;

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_int_equal(http_place(f->server.port, "?ttl=1", bytes, LARGE, &p), 201);
	(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", p.token);
	assert_true(client_peek(c, 5000) > 0);
	client_nap(2000);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_false(a.whole);
	assert_in_range(a.body_len, 1, LARGE - 1);
	assert_memory_equal(a.body, bytes, a.body_len);
	answer_free(&a);
	client_close(c);
}

static void no_cache_is_told_to_outlive_the_blob(void **state)
{
	static const int64_t ttls[] = { 1, 30, 59, 61, 121, 3600, 30 * 86400 };
	struct fixture *f = *state;
	char query[40], field[128];
	struct answer a;

	for (size_t i = 0; i < COUNT(ttls); i++) {
		struct blob b = { .n = 500 };
		int64_t expires, age;

		(void)snprintf(query, sizeof(query), "?ttl=%lld", (long long)ttls[i]);
		assert_int_equal(http_place(f->server.port, query, bytes, 500, &b.p), 201);
		expires = clock_now_s() + ttls[i];
		for (int again = 0; again < 2; again++) {
			ask("GET", &b, again == 0 ? "" : "Range: bytes=0-1\r\n", &a);
			if (a.status == 404) {
				answer_free(&a);
				continue; /* gone meanwhile */
			}
			assert_true(answer_field(&a, "Cache-Control", field, sizeof(field)));
			age = strtoll(strstr(field, "max-age=") + 8, NULL, 10);
			assert_true(age >= 0 && clock_now_s() + age <= expires);
			assert_true(age >= ttls[i] - 62); /* nor told much less */
			answer_free(&a);
		}
	}
}

/* ---- connections ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	struct blob *const blobs[] = { &f->small, &f->large, &f->middle, &f->small };
	struct client *c = client_open(f->server.port);
	struct answer a;

	for (size_t i = 0; i < 40; i++)
		(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n%s\r\n",
				   blobs[i % 4]->p.token,
				   i % 8 == 1 ? "Range: bytes=0-99\r\n" : "");
	for (size_t i = 0; i < 40; i++) {
		client_answer(c, false, &a, NULL);
		if (i % 8 == 1) {
			assert_int_equal(a.status, 206);
			assert_part(a.body, a.body_len, 0, 99);
			answer_free(&a);
		} else {
			assert_whole(&a, blobs[i % 4]);
		}
	}
	client_close(c);
}

static void a_slow_reader_gets_the_right_bytes(void **state)
{
	struct fixture *f = *state;
	const int little = 131072;
	struct client *c = client_open(f->server.port);
	uint8_t *got = malloc(LARGE + 65536);
	const uint8_t *body;
	size_t n = 0, head;
	ssize_t k;

	assert_non_null(got);
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
			   f->large.p.token);
	for (int turn = 0; n <= LARGE + 65536 - 16384; turn++) {
		k = recv(c->fd, got + n, 16384, 0);
		if (k <= 0)
			break;
		n += (size_t)k;
		if (turn % 2 == 0)
			client_nap(1);
	}
	body = memmem(got, n, "\r\n\r\n", 4);
	assert_non_null(body);
	head = (size_t)(body + 4 - got);
	assert_int_equal(n - head, LARGE);
	assert_memory_equal(got + head, bytes, LARGE);
	free(got);
	client_close(c);
}

static bool comes_down_to(const char *metric, uint64_t want)
{
	for (int i = 0; i < 300 && server_metric(&fixture.server, metric) > want; i++)
		client_nap(10);
	return server_metric(&fixture.server, metric) <= want;
}

static void clients_that_vanish_in_a_download_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct blob *const blobs[] = { &f->small, &f->middle, &f->large };
	const int little = 4096;
	const int sockets = open_sockets(f->server.pid);
	struct client *c;

	for (int i = 0; i < 90; i++) {
		c = client_open(f->server.port);
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
		(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n%s\r\n",
				   blobs[i % 3]->p.token,
				   i % 5 == 0 ? "Range: bytes=1-2,5-\r\n" : "");
		if (i % 2 == 0)
			(void)client_peek(c, 1000);
		if (i % 4 < 2)
			client_reset(c);
		else
			client_close(c);
	}
	for (int i = 0; i < 500 && open_sockets(f->server.pid) > sockets; i++)
		client_nap(10);
	assert_in_range(open_sockets(f->server.pid), 1, sockets);
	/* what is left is the cache's, which counts a little more than the bytes */
	assert_true(comes_down_to("restante_chunk_memory_bytes",
				  server_metric(&f->server, "restante_cache_bytes")));
	for (int i = 0; i < 3; i++)
		assert_true(http_has(f->server.port, blobs[i]->p.token, bytes, blobs[i]->n));
}

static void *fetch_middle_and_large(void *arg)
{
	struct fixture *f = &fixture;
	bool *ok = arg;

	*ok = http_has(f->server.port, f->middle.p.token, bytes, f->middle.n) &&
	      http_has(f->server.port, f->large.p.token, bytes, f->large.n) &&
	      http_has(f->server.port, f->small.p.token, bytes, f->small.n);
	return NULL;
}

static void many_fetch_the_same_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[32];
	bool ok[32] = { false };

	server_kill(&f->server); /* all of them find a cold cache */
	server_again(&f->server);
	for (int i = 0; i < 32; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fetch_middle_and_large, &ok[i]),
				 0);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(ok[i]);
	}
}

static void after_a_restart_the_bytes_are_right(void **state)
{
	struct fixture *f = *state;
	struct blob *const blobs[] = { &f->small, &f->middle, &f->large };
	const struct wish first = { "bytes=300000-300099", 1, { { 300000, 300099 } } };
	struct answer a;

	assert_int_equal(server_stop(&f->server), 0);
	server_again(&f->server);
	ask("HEAD", &f->large, "", &a); /* a record, and no byte, has been read yet */
	assert_headers(&a, &f->large);
	answer_free(&a);
	assert_wish(&f->large, &first);
	assert_wish(&f->middle, &first);
	for (int i = 0; i < 3; i++) {
		ask("GET", blobs[i], "", &a);
		assert_headers(&a, blobs[i]);
		assert_whole(&a, blobs[i]);
	}
}

static void what_was_fetched_once_is_fetched_from_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t reads;

	assert_true(http_has(f->server.port, f->middle.p.token, bytes, f->middle.n));
	reads = server_metric(&f->server, "restante_store_reads_total");
	for (int i = 0; i < 10; i++)
		assert_true(http_has(f->server.port, f->middle.p.token, bytes, f->middle.n));
	assert_int_equal(server_metric(&f->server, "restante_store_reads_total"), reads);
}

static void what_was_just_uploaded_is_fetched_from_memory(void **state)
{
	struct fixture *f = *state;
	const uint64_t lookups = server_metric(&f->server, "restante_store_lookups_total");
	const uint64_t reads = server_metric(&f->server, "restante_store_reads_total");
	struct placed p;

	fill_random(bytes, MIDDLE, 99);
	assert_int_equal(http_place(f->server.port, "", bytes, MIDDLE, &p), 201);
	assert_true(http_has(f->server.port, p.token, bytes, MIDDLE));
	assert_int_equal(server_metric(&f->server, "restante_store_reads_total"), reads);
	/* the upload's own read of its record apart */
	assert_in_range(server_metric(&f->server, "restante_store_lookups_total"), lookups,
			lookups + 1);
	fill_random(bytes, LARGE, 1);
}

/* ---- other origins ---- */

#define ORIGIN "Origin: https://app.example\r\n"

static void a_body_on_a_hot_fetch_is_refused_and_harms_no_other(void **state)
{
	struct fixture *f = *state;
	char target[80];
	const char *at;
	struct answer a;
	int count = 0;

	ask("GET", &f->small, "", &a); /* its answer is now kept for others */
	answer_free(&a);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", f->small.p.token);
	for (int i = 0; i < 5; i++) {
		http_request(f->server.port, "GET", target,
			     ORIGIN "Transfer-Encoding: chunked\r\n\r\n0\r\n", NULL, 0, &a);
		assert_int_equal(a.status, 400);
		answer_free(&a);
	}
	ask("GET", &f->small, ORIGIN, &a);
	assert_int_equal(a.status, 200);
	for (at = a.head; (at = strstr(at, "Access-Control-Allow-Origin")) != NULL; at++)
		count++;
	assert_int_equal(count, 1);
	answer_free(&a);
}

static void a_page_of_any_origin_may_fetch(void **state)
{
	struct fixture *f = *state;
	char exposed[512];
	struct answer a;

	for (int again = 0; again < 2; again++) {
		ask("GET", &f->small, ORIGIN, &a);
		assert_field(&a, "Access-Control-Allow-Origin", "*");
		assert_field(&a, "Vary", "Origin");
		(void)answer_field(&a, "Access-Control-Expose-Headers", exposed, sizeof(exposed));
		assert_non_null(strstr(exposed, "ETag"));
		assert_non_null(strstr(exposed, "Content-Range"));
		assert_non_null(strstr(exposed, "Content-Length"));
		assert_non_null(strstr(exposed, "Accept-Ranges"));
		assert_non_null(strstr(exposed, "Repr-Digest"));
		assert_non_null(strstr(exposed, "Location"));
		assert_whole(&a, &f->small);
		/* who is no page is told nothing of it, whatever was answered before */
		ask("GET", &f->small, "", &a);
		assert_no_field(&a, "Access-Control-Allow-Origin");
		assert_no_field(&a, "Access-Control-Expose-Headers");
		assert_field(&a, "Vary", "Origin");
		assert_whole(&a, &f->small);
	}
}

static void every_kind_of_answer_may_be_read_by_a_page(void **state)
{
	static const struct {
		int status;
		const char *fields;
	} asked[] = {
		{ 206, ORIGIN "Range: bytes=0-1\r\n" },
		{ 206, ORIGIN "Range: bytes=0-1,3-4\r\n" },
		{ 304, ORIGIN "If-None-Match: *\r\n" },
		{ 412, ORIGIN "If-Match: \"x\"\r\n" },
		{ 416, ORIGIN "Range: bytes=99999999-\r\n" },
	};
	struct fixture *f = *state;
	struct answer a;

	for (size_t i = 0; i < COUNT(asked); i++) {
		ask("GET", &f->small, asked[i].fields, &a);
		assert_int_equal(a.status, asked[i].status);
		assert_field(&a, "Access-Control-Allow-Origin", "*");
		assert_field(&a, "Vary", "Origin");
		answer_free(&a);
	}
	http_get(f->server.port, "/v1/media/x", ORIGIN, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "*");
	assert_field(&a, "Vary", "Origin");
	assert_problem(&a, 404);
	http_request(f->server.port, "PUT", "/v1/media", ORIGIN, bytes, 100, &a);
	assert_int_equal(a.status, 201);
	assert_field(&a, "Access-Control-Allow-Origin", "*");
	assert_field(&a, "Vary", "Origin");
	answer_free(&a);
	http_request(f->server.port, "PUT", "/v1/media?ttl=x", ORIGIN, bytes, 100, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "*");
	assert_problem(&a, 400);
}

static void a_preflight_is_told_what_it_may_do(void **state)
{
	static const char *const targets[] = { "/v1/media", "/v1/media/x", "*", "/nowhere" };
	struct fixture *f = *state;
	char field[512];
	struct answer a;

	for (size_t i = 0; i < COUNT(targets); i++) {
		http_request(f->server.port, "OPTIONS", targets[i],
			     ORIGIN "Access-Control-Request-Method: PUT\r\n"
				    "Access-Control-Request-Headers: repr-digest\r\n",
			     NULL, 0, &a);
		assert_int_equal(a.status, 204);
		assert_field(&a, "Access-Control-Allow-Origin", "*");
		assert_field(&a, "Vary", "Origin");
		(void)answer_field(&a, "Access-Control-Allow-Methods", field, sizeof(field));
		assert_non_null(strstr(field, "PUT"));
		assert_non_null(strstr(field, "DELETE"));
		(void)answer_field(&a, "Access-Control-Allow-Headers", field, sizeof(field));
		assert_non_null(strstr(field, "Authorization"));
		assert_non_null(strstr(field, "Range"));
		assert_non_null(strstr(field, "If-Range"));
		assert_non_null(strstr(field, "If-None-Match"));
		assert_non_null(strstr(field, "Repr-Digest"));
		(void)answer_field(&a, "Access-Control-Max-Age", field, sizeof(field));
		assert_true(atoi(field) > 0);
		answer_free(&a);
	}
}

static void one_origin_or_none_may_be_let_in(void **state)
{
	struct test_server s;
	struct answer a;

	(void)state;
	server_start(&s, &(struct test_server_options){
				 .config = "http { cors_origin = \"https://app.example\" }\n" });
	http_get(s.port, "/v1/media/x", ORIGIN, &a);
	assert_field(&a, "Access-Control-Allow-Origin", "https://app.example");
	assert_field(&a, "Vary", "Origin");
	assert_problem(&a, 404);
	server_remove(&s);

	server_start(&s,
		     &(struct test_server_options){ .config = "http { cors_origin = \"\" }\n" });
	http_get(s.port, "/v1/media/x", ORIGIN, &a);
	assert_no_field(&a, "Access-Control-Allow-Origin");
	assert_problem(&a, 404);
	http_request(s.port, "OPTIONS", "/v1/media", ORIGIN, NULL, 0, &a);
	assert_int_equal(a.status, 204);
	assert_no_field(&a, "Access-Control-Allow-Methods");
	answer_free(&a);
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(a_fetch_says_what_the_bytes_are_and_how_to_treat_them),
		cmocka_unit_test(head_tells_the_same_without_the_bytes),
		cmocka_unit_test(head_ignores_a_range),
		cmocka_unit_test(nothing_follows_the_answer_to_head),
		cmocka_unit_test(a_bearer_token_does_what_one_in_the_path_does),
		cmocka_unit_test(an_empty_blob_is_fetched_like_any_other),
		cmocka_unit_test(ranges_of_a_short_blob),
		cmocka_unit_test(several_ranges_come_as_parts_in_the_order_asked_for),
		cmocka_unit_test(a_bomb_of_ranges_brings_the_whole_once),
		cmocka_unit_test(what_cannot_be_satisfied_or_read_is_416),
		cmocka_unit_test(an_unknown_unit_is_ignored),
		cmocka_unit_test(ranges_across_chunk_borders),
		cmocka_unit_test(ranges_of_a_blob_that_is_streamed),
		cmocka_unit_test(a_client_that_has_the_bytes_is_told_so),
		cmocka_unit_test(other_bytes_than_wished_for_are_not_sent),
		cmocka_unit_test(a_range_is_taken_if_its_condition_holds),
		cmocka_unit_test(conditions_are_taken_in_their_order),
		cmocka_unit_test(head_has_conditions_too),
		cmocka_unit_test(a_304_leaves_the_connection_in_step),
		cmocka_unit_test(whatever_is_not_there_gets_the_same_404),
		cmocka_unit_test(a_404_is_no_answer_to_keep),
		cmocka_unit_test(a_forged_token_does_not_reach_the_store),
		cmocka_unit_test(nothing_is_served_a_second_late),
		cmocka_unit_test(a_download_that_outlives_its_blob_is_cut),
		cmocka_unit_test(no_cache_is_told_to_outlive_the_blob),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_slow_reader_gets_the_right_bytes),
		cmocka_unit_test(clients_that_vanish_in_a_download_leave_nothing),
		cmocka_unit_test(what_was_fetched_once_is_fetched_from_memory),
		cmocka_unit_test(what_was_just_uploaded_is_fetched_from_memory),
		cmocka_unit_test(after_a_restart_the_bytes_are_right),
		cmocka_unit_test(many_fetch_the_same_at_once),
		cmocka_unit_test(a_body_on_a_hot_fetch_is_refused_and_harms_no_other),
		cmocka_unit_test(a_page_of_any_origin_may_fetch),
		cmocka_unit_test(every_kind_of_answer_may_be_read_by_a_page),
		cmocka_unit_test(a_preflight_is_told_what_it_may_do),
		cmocka_unit_test(one_origin_or_none_may_be_let_in),
	};
	/* every byte from the store, every time */
	const struct CMUnitTest uncached[] = {
		cmocka_unit_test(a_fetch_says_what_the_bytes_are_and_how_to_treat_them),
		cmocka_unit_test(several_ranges_come_as_parts_in_the_order_asked_for),
		cmocka_unit_test(ranges_across_chunk_borders),
		cmocka_unit_test(ranges_of_a_blob_that_is_streamed),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_slow_reader_gets_the_right_bytes),
		cmocka_unit_test(clients_that_vanish_in_a_download_leave_nothing),
		cmocka_unit_test(many_fetch_the_same_at_once),
	};
	int failed;

	if (sodium_init() < 0)
		return 1;
	failed = cmocka_run_group_tests_name("fetch", plain, start_plain, stop);
	return failed +
	       cmocka_run_group_tests_name("fetch, no cache", uncached, start_uncached, stop);
}
