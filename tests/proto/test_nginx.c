/* nginx - the same bytes behind nginx and behind us: ranges and conditions are to mean the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/client.h"
#include "tests/lib/nginx.h"
#include "tests/lib/server.h"

#define PARTS_MAX 16
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct fixture {
	struct test_server server;
	struct nginx nginx;
	bool there;
} fixture;

/* Blobs of which both have a copy: a short one, and one of several of our chunks. */
static struct blob {
	const char *name;
	size_t n;
	uint8_t *bytes;
	char targets[2][100]; /* ours, nginx's */
	char etags[2][100];
} blobs[] = { { .name = "short", .n = 1000 }, { .name = "long", .n = 1000000 } };

/* ---- nginx ---- */

/* max_ranges as ours; the rest is what nginx does by itself. */
static void start_nginx(void)
{
	struct nginx *x = &fixture.nginx;
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "  default_type application/octet-stream;\n"
		       "  server { listen 127.0.0.1:%d; root %s; max_ranges 16; }\n",
		       x->port, x->dir);
	nginx_run(x, text);
}

static void learn_etag(int port, const char *target, char out[static 100])
{
	struct answer a;

	http_request(port, "HEAD", target, "", NULL, 0, &a);
	assert_int_equal(a.status, 200);
	assert_true(answer_field(&a, "ETag", out, 100));
	answer_free(&a);
}

static int start(void **state)
{
	struct placed p;

	*state = &fixture;
	fixture.there = nginx_is_there();
	if (!fixture.there)
		return 0;
	nginx_prepare(&fixture.nginx);
	server_start(&fixture.server, NULL);
	for (size_t i = 0; i < COUNT(blobs); i++) {
		struct blob *b = &blobs[i];

		b->bytes = malloc(b->n);
		assert_non_null(b->bytes);
		fill_random(b->bytes, b->n, i + 1);
		nginx_write(&fixture.nginx, b->name, b->bytes, b->n);
		assert_int_equal(http_place(fixture.server.port, "", b->bytes, b->n, &p), 201);
		(void)snprintf(b->targets[0], sizeof(b->targets[0]), "/v1/media/%s", p.token);
		(void)snprintf(b->targets[1], sizeof(b->targets[1]), "/%s", b->name);
	}
	start_nginx();
	for (size_t i = 0; i < COUNT(blobs); i++) {
		learn_etag(fixture.server.port, blobs[i].targets[0], blobs[i].etags[0]);
		learn_etag(fixture.nginx.port, blobs[i].targets[1], blobs[i].etags[1]);
	}
	return 0;
}

static int stop(void **state)
{
	(void)state;
	if (!fixture.there)
		return 0;
	nginx_stop(&fixture.nginx);
	server_remove(&fixture.server);
	for (size_t i = 0; i < COUNT(blobs); i++)
		free(blobs[i].bytes);
	return 0;
}

/* ---- the same question to both ---- */

/* "@" in fields stands for the entity tag that the asked one gives. */
struct question {
	const char *fields;
	/* Where we mean to differ: what each answers, and why. */
	int ours, theirs;
	const char *reason;
};

static void put_question(const struct blob *b, int whom, const char *method, const char *fields,
			 struct answer *a)
{
	char text[2000];
	size_t n = 0;

	for (const char *p = fields; *p != '\0'; p++) {
		if (*p == '@')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", b->etags[whom]);
		else
			text[n++] = *p;
	}
	text[n] = '\0';
	http_request(whom == 0 ? fixture.server.port : fixture.nginx.port, method, b->targets[whom],
		     text, NULL, 0, a);
}

static void assert_same_parts(const char *fields, const struct answer *ours,
			      const struct answer *theirs)
{
	struct part a[PARTS_MAX], b[PARTS_MAX];
	const int n = answer_parts(ours, a, PARTS_MAX);

	if (n < 2 || n != answer_parts(theirs, b, PARTS_MAX))
		fail_msg("%s: %d parts, not theirs", fields, n);
	for (int i = 0; i < n; i++) {
		if (a[i].first != b[i].first || a[i].last != b[i].last || a[i].of != b[i].of)
			fail_msg("%s: part %d differs", fields, i);
		assert_memory_equal(a[i].data, b[i].data, a[i].last - a[i].first + 1);
		assert_string_equal(a[i].type, b[i].type);
	}
}

static void assert_same_content(const char *fields, const struct answer *ours,
				const struct answer *theirs)
{
	char range[2][200], type[200];

	for (int whom = 0; whom < 2; whom++)
		(void)answer_field(whom == 0 ? ours : theirs, "Content-Range", range[whom],
				   sizeof(range[whom]));
	if (strcmp(range[0], range[1]) != 0)
		fail_msg("%s: %s, theirs %s", fields, range[0], range[1]);
	if (ours->status != 200 && ours->status != 206)
		return; /* errors are worded differently */
	(void)answer_field(theirs, "Content-Type", type, sizeof(type));
	if (strncmp(type, "multipart/", 10) == 0) {
		assert_same_parts(fields, ours, theirs);
		return;
	}
	assert_int_equal(ours->body_len, theirs->body_len);
	assert_memory_equal(ours->body, theirs->body, ours->body_len);
}

static void ask_both(const struct blob *b, const char *method, const struct question *q)
{
	struct answer ours, theirs;

	put_question(b, 0, method, q->fields, &ours);
	put_question(b, 1, method, q->fields, &theirs);
	if (q->reason != NULL) {
		if (ours.status != q->ours || theirs.status != q->theirs)
			fail_msg("%s: %d and %d, meant %d and %d (%s)", q->fields, ours.status,
				 theirs.status, q->ours, q->theirs, q->reason);
	} else {
		if (ours.status != theirs.status)
			fail_msg("%s %s: %d, theirs %d", method, q->fields, ours.status,
				 theirs.status);
		assert_same_content(q->fields, &ours, &theirs);
	}
	assert_true(ours.whole && theirs.whole);
	answer_free(&ours);
	answer_free(&theirs);
}

static void ask_all(const char *method, const struct question *q, size_t n)
{
	if (!fixture.there)
		skip();
	for (size_t b = 0; b < COUNT(blobs); b++)
		for (size_t i = 0; i < n; i++)
			ask_both(&blobs[b], method, &q[i]);
}

/* ---- questions ---- */

static const struct question ranges[] = {
	{ .fields = "" },
	{ .fields = "Range: bytes=0-0\r\n" },
	{ .fields = "Range: bytes=0-999\r\n" },
	{ .fields = "Range: bytes=10-19\r\n" },
	{ .fields = "Range: bytes=999-999\r\n" },
	{ .fields = "Range: bytes=990-\r\n" },
	{ .fields = "Range: bytes=0-\r\n" },
	{ .fields = "Range: bytes=-1\r\n" },
	{ .fields = "Range: bytes=-10\r\n" },
	{ .fields = "Range: bytes=-1000\r\n" },
	{ .fields = "Range: bytes=-9999999\r\n" },
	{ .fields = "Range: bytes=990-9999999\r\n" },
	{ .fields = "Range: bytes=0-9223372036854775806\r\n" },
	{ .fields = "Range: BYTES=10-19\r\n" },
	{ .fields = "Range: bytes= 10-19\r\n" },
	{ .fields = "Range: bytes=10-19 \r\n" },
	{ .fields = "Range: bytes=0010-0019\r\n" },
	/* several */
	{ .fields = "Range: bytes=0-0,-1\r\n" },
	{ .fields = "Range: bytes=0-9,20-29,40-49\r\n" },
	{ .fields = "Range: bytes=0-9, 20-29\r\n" },
	{ .fields = "Range: bytes=0-9 , 20-29\r\n" },
	{ .fields = "Range: bytes=900-999,0-99\r\n" },
	{ .fields = "Range: bytes=0-9,5-14\r\n" },
	{ .fields = "Range: bytes=0-9,990-\r\n" },
	{ .fields = "Range: bytes=0-9,9999999-\r\n" },
	{ .fields = "Range: bytes=9999999-,0-9\r\n" },
	{ .fields = "Range: bytes=0-9,9999999-,20-29\r\n" },
	/* bombs */
	{ .fields = "Range: bytes=0-,0-\r\n" },
	{ .fields = "Range: bytes=0-,-1\r\n" },
	{ .fields = "Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,"
		    "24-24,26-26,28-28,30-30\r\n" },
	{ .fields = "Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,"
		    "24-24,26-26,28-28,30-30,32-32\r\n" },
	/* nothing there */
	{ .fields = "Range: bytes=9999999-\r\n" },
	{ .fields = "Range: bytes=9999998-9999999\r\n" },
	{ .fields = "Range: bytes=9999998-,9999999-\r\n" },
	{ .fields = "Range: bytes=-0\r\n" },
	{ .fields = "Range: bytes=0-9,-0\r\n" },
	/* bad syntax */
	{ .fields = "Range: bytes=\r\n",
	  .ours = 416,
	  .theirs = 200,
	  .reason = "nginx looks at fields of 7 characters and more only" },
	{ .fields = "Range: bytes=-\r\n" },
	{ .fields = "Range: bytes=5\r\n" },
	{ .fields = "Range: bytes=a-b\r\n" },
	{ .fields = "Range: bytes=0-b\r\n" },
	{ .fields = "Range: bytes=1-2-3\r\n" },
	{ .fields = "Range: bytes=0-1;2-3\r\n" },
	{ .fields = "Range: bytes=--5\r\n" },
	{ .fields = "Range: bytes=+1-5\r\n" },
	{ .fields = "Range: bytes=9-5\r\n" },
	{ .fields = "Range: bytes=0-9,9-5\r\n",
	  .ours = 416,
	  .theirs = 206,
	  .reason = "section 14.1.1: one bad range makes the set invalid" },
	{ .fields = "Range: bytes=0-9,x\r\n" },
	{ .fields = "Range: bytes=0 - 9\r\n",
	  .ours = 416,
	  .theirs = 206,
	  .reason = "no space is allowed within a range" },
	{ .fields = "Range: bytes=0-9,\r\n",
	  .ours = 206,
	  .theirs = 416,
	  .reason = "RFC 9110 section 5.6.1.2: empty elements of a list are passed over" },
	{ .fields = "Range: bytes=,0-9\r\n",
	  .ours = 206,
	  .theirs = 416,
	  .reason = "RFC 9110 section 5.6.1.2: empty elements of a list are passed over" },
	{ .fields = "Range: bytes=0-9,,20-29\r\n",
	  .ours = 206,
	  .theirs = 416,
	  .reason = "RFC 9110 section 5.6.1.2: empty elements of a list are passed over" },
	{ .fields = "Range: bytes=990-99999999999999999999999\r\n",
	  .ours = 206,
	  .theirs = 416,
	  .reason = "a number too large for us is a number all the same" },
	{ .fields = "Range: bytes=99999999999999999999999-\r\n" },
	{ .fields = "Range: bytes=-99999999999999999999999\r\n",
	  .ours = 206,
	  .theirs = 416,
	  .reason = "a number too large for us is a number all the same" },
	/* another unit */
	{ .fields = "Range: chapters=1-2\r\n" },
	{ .fields = "Range: bytes\r\n" },
	{ .fields = "Range: bytes 0-5\r\n" },
	{ .fields = "Range: 0-5\r\n" },
};

static void ranges_mean_the_same(void **state)
{
	(void)state;
	ask_all("GET", ranges, COUNT(ranges));
}

#define OTHER "\"no-such-tag\""

static const struct question conditions[] = {
	{ .fields = "If-None-Match: @\r\n" },
	{ .fields = "If-None-Match: W/@\r\n" },
	{ .fields = "If-None-Match: *\r\n" },
	{ .fields = "If-None-Match: " OTHER "\r\n" },
	{ .fields = "If-None-Match: " OTHER ", @\r\n" },
	{ .fields = "If-None-Match: @, " OTHER "\r\n" },
	{ .fields = "If-None-Match: " OTHER ", W/@\r\n" },
	{ .fields = "If-None-Match: " OTHER ", " OTHER "\r\n" },
	{ .fields = "If-None-Match: unquoted\r\n" },
	{ .fields = "If-None-Match: \"\"\r\n" },
	{ .fields = "If-Match: @\r\n" },
	{ .fields = "If-Match: *\r\n" },
	{ .fields = "If-Match: " OTHER "\r\n" },
	{ .fields = "If-Match: " OTHER ", @\r\n" },
	{ .fields = "If-Match: W/@\r\n" },
	{ .fields = "If-Match: unquoted\r\n" },
	{ .fields = "If-Match: @\r\nIf-None-Match: @\r\n" },
	{ .fields = "If-Match: " OTHER "\r\nIf-None-Match: @\r\n" },
	{ .fields = "If-Match: @\r\nIf-None-Match: " OTHER "\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-None-Match: @\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-None-Match: " OTHER "\r\n" },
	{ .fields = "Range: bytes=9999999-\r\nIf-None-Match: @\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Match: " OTHER "\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Match: @\r\n" },
	{ .fields = "Range: bytes=9999999-\r\nIf-Match: " OTHER "\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Range: @\r\n" },
	{ .fields = "Range: bytes=0-9,20-29\r\nIf-Range: @\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Range: " OTHER "\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Range: W/@\r\n" },
	{ .fields = "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
	{ .fields = "Range: bytes=9999999-\r\nIf-Range: @\r\n" },
	{ .fields = "Range: bytes=9999999-\r\nIf-Range: " OTHER "\r\n" },
	{ .fields = "If-Range: @\r\n" },
	{ .fields = "If-None-Match: @\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
	  .ours = 304,
	  .theirs = 200,
	  .reason = "section 13.1.3: If-Modified-Since is ignored beside If-None-Match" },
	{ .fields = "If-None-Match: " OTHER
		    "\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
	{ .fields = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
	{ .fields = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
	  .ours = 200,
	  .theirs = 412,
	  .reason = "section 13.1.4: without a modification date it is ignored" },
};

static void conditions_mean_the_same(void **state)
{
	(void)state;
	ask_all("GET", conditions, COUNT(conditions));
}

static void conditions_on_head_mean_the_same(void **state)
{
	static const struct question head[] = {
		{ .fields = "" },
		{ .fields = "If-None-Match: @\r\n" },
		{ .fields = "If-None-Match: " OTHER "\r\n" },
		{ .fields = "If-Match: @\r\n" },
		{ .fields = "If-Match: " OTHER "\r\n" },
		{ .fields = "Range: bytes=0-9\r\n",
		  .ours = 200,
		  .theirs = 206,
		  .reason = "section 14.2: a range is defined for GET only" },
	};

	(void)state;
	ask_all("HEAD", head, COUNT(head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_mean_the_same),
		cmocka_unit_test(conditions_mean_the_same),
		cmocka_unit_test(conditions_on_head_mean_the_same),
	};

	return cmocka_run_group_tests_name("nginx", tests, start, stop);
}
