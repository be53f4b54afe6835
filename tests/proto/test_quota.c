/* quota - a bucket has as many bytes and uploads as it may, and not one more: whoever brings them,
 * in whatever dialect, and whatever became of others; what goes is given back, and nothing is
 * forgotten in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/minter.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"
#include "wire/token.h"

#define UPLOADS 8
#define BYTES 100000
#define SECONDS 1000

static struct test_server server;
static struct minter minter;
static uint8_t bytes[4 * BYTES];

static int start_on(const char *quota, const char *faults)
{
	static char config[1024];
	char key[128];
	const struct test_server_options options = { .config = config, .faults = faults };

	minter_init(&minter, 7);
	fill_random(bytes, sizeof(bytes), 5);
	(void)snprintf(config, sizeof(config),
		       "upload { min_free = 0; ttl_max = 30d; }\n"
		       "expiry { interval = 1s }\n"
		       "grants { key = [ %s ] }\n%s\n",
		       minter_key(&minter, key, sizeof(key)), quota);
	server_start(&server, &options);
	return 0;
}

static int start(const char *quota)
{
	return start_on(quota, NULL);
}

static int start_alive(void **state)
{
	(void)state;
	return start("quota { bytes = 100000; uploads = 8 }");
}

static int start_large(void **state)
{
	(void)state;
	return start("quota { bytes = 100mb }");
}

static int start_faulty(void **state)
{
	(void)state;
	return start_on("quota { bytes = 100000 }",
			"inner=memory;fail=bucket:1;fail=commit:2;fail=drop:2");
}

static int start_rates(void **state)
{
	(void)state;
	return start("quota { bytes_per_minute = 100000; uploads_per_minute = 6 }");
}

static int start_hosts(void **state)
{
	static char config[2048];
	char key[128];

	(void)state;
	minter_init(&minter, 7);
	fill_random(bytes, sizeof(bytes), 5);
	(void)minter_key(&minter, key, sizeof(key));
	(void)snprintf(config, sizeof(config),
		       "upload { min_free = 0; ttl_max = 30d; }\n"
		       "quota { bytes = 5000 }\n"
		       "server \"small.test\" { grants { key = [ %s ] }; quota { bytes = 1000 } }\n"
		       "server \"same.test\" { grants { key = [ %s ] } }\n"
		       "server \"free.test\" { grants { key = [ %s ] }; quota { bytes = 0 } }\n",
		       key, key, key);
	server_start(&server, &(struct test_server_options){ .config = config });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

/* ---- requests ---- */

/* The grant of a bucket, as a field; good until the ninth call after this. */
static const char *as(const char *bucket)
{
	static _Thread_local char fields[8][MINTER_FIELD_SIZE];
	static _Thread_local unsigned turn;
	struct grant g = minter_grant(&minter);

	(void)snprintf(g.bucket, sizeof(g.bucket), "%s", bucket);
	return minter_field(&minter, &g, fields[turn++ % 8]);
}

/* A name that nobody has used, so that every test has a bucket of its own. */
static const char *fresh_bucket(void)
{
	static char name[32];
	static unsigned n;

	(void)snprintf(name, sizeof(name), "of-somebody-%u", n++);
	return name;
}

static int put_as(const char *bucket, const char *query, size_t n, struct answer *a)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	http_request(server.port, "PUT", target, as(bucket), bytes, n, a);
	return a->status;
}

static int put(const char *bucket, size_t n)
{
	struct answer a;
	const int status = put_as(bucket, "", n, &a);

	answer_free(&a);
	return status;
}

static struct placed place(const char *bucket, const char *query, size_t n)
{
	struct placed p = { .size = n };
	struct answer a;

	assert_int_equal(put_as(bucket, query, n, &a), 201);
	assert_true(answer_json(&a, "token", p.token, sizeof(p.token)));
	assert_true(answer_json(&a, "manage_token", p.manage, sizeof(p.manage)));
	answer_free(&a);
	return p;
}

static void drop(const struct placed *p)
{
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p->manage), 204);
}

/* The answer says of what there is too much, and not whose. */
static void assert_over(struct answer *a, int status, const char *limit)
{
	char text[128];

	assert_status(a, status);
	assert_true(answer_is_problem(a, status));
	assert_true(answer_json(a, "type", text, sizeof(text)));
	assert_string_equal(text, "urn:restante:problem:over-quota");
	assert_true(answer_json(a, "limit", text, sizeof(text)));
	assert_string_equal(text, limit);
	assert_true(answer_field(a, "Retry-After", text, sizeof(text)));
	assert_in_range(atoi(text), 1, 60);
	assert_null(strstr(a->head, "somebody"));
	assert_null(strstr((const char *)a->body, "somebody"));
	answer_free(a);
}

static void assert_refused(const char *bucket, size_t n, int status, const char *limit)
{
	struct answer a;

	(void)put_as(bucket, "", n, &a);
	assert_over(&a, status, limit);
}

static void assert_full_of_bytes(const char *bucket)
{
	assert_refused(bucket, 1, 507, "bytes");
}

/* So many bytes may still come, and not one more. Nothing is left of the try. */
static void assert_room(const char *bucket, size_t n)
{
	struct placed p;

	assert_refused(bucket, n + 1, 507, "bytes");
	p = place(bucket, "", n);
	drop(&p);
}

/* The same, as soon as what nobody waits for is done. */
static void assert_room_soon(const char *bucket, size_t n, int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	for (;;) {
		struct answer a;
		const int status = put_as(bucket, "", n, &a);
		struct placed p = { .size = n };

		(void)answer_json(&a, "manage_token", p.manage, sizeof(p.manage));
		answer_free(&a);
		if (status == 201) {
			drop(&p);
			break;
		}
		assert_true(clock_mono_ms() < until);
		client_nap(20);
	}
	assert_room(bucket, n);
}

/* ---- what is alive ---- */

static void as_many_uploads_as_may_be_in_any_dialect(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128];
	struct tus_upload t;
	struct answer a;

	(void)state;
	(void)snprintf(fields, sizeof(fields),
		       "%sUpload-Complete: ?0\r\nUpload-Draft-Interop-Version: 9\r\n", as(bucket));
	for (int i = 0; i < UPLOADS; i++) {
		if (i % 3 == 0)
			assert_int_equal(put(bucket, 10), 201);
		else if (i % 3 == 1)
			assert_int_equal(tus_create(&server, 10, as(bucket), &t), 201);
		else {
			http_request(server.port, "POST", "/v1/uploads", fields, "", 0, &a);
			assert_status(&a, 201);
			answer_free(&a);
		}
	}
	assert_refused(bucket, 10, 507, "uploads");
	assert_refused(bucket, 0, 507, "uploads");
	tus_request(&server, "POST", "/v1/uploads", "Upload-Length: 3\r\n", NULL, 0, &a);
	assert_status(&a, 401); /* and this is not about quotas */
	answer_free(&a);
	(void)snprintf(fields, sizeof(fields), "%sUpload-Length: 3\r\n", as(bucket));
	tus_request(&server, "POST", "/v1/uploads", fields, NULL, 0, &a);
	assert_over(&a, 507, "uploads");
	(void)snprintf(fields, sizeof(fields),
		       "%sUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 9\r\n", as(bucket));
	http_request(server.port, "POST", "/v1/uploads", fields, bytes, 3, &a);
	assert_field(&a, "Upload-Complete", "?0");
	assert_over(&a, 507, "uploads");
}

static void as_many_bytes_as_may_be_and_not_one_more(void **state)
{
	const char *bucket = fresh_bucket();

	(void)state;
	assert_refused(bucket, BYTES + 1, 507, "bytes");
	assert_int_equal(put(bucket, 60000), 201);
	assert_refused(bucket, 40001, 507, "bytes");
	assert_int_equal(put(bucket, 40000), 201);
	assert_full_of_bytes(bucket);
	assert_int_equal(put(bucket, 0), 201); /* no byte more */
}

static void a_bucket_is_nobody_elses(void **state)
{
	char one[32];
	const char *two;
	struct answer a;

	(void)state;
	(void)snprintf(one, sizeof(one), "%s", fresh_bucket());
	two = fresh_bucket();
	assert_int_equal(put(one, BYTES), 201);
	assert_full_of_bytes(one);
	assert_int_equal(put(two, BYTES), 201);
	assert_full_of_bytes(two);
	/* a grant without one */
	for (int i = 0; i < UPLOADS + 2; i++) {
		(void)put_as("", "", BYTES, &a);
		assert_status(&a, 201);
		answer_free(&a);
	}
}

static void the_same_bytes_again_weigh_again(void **state)
{
	const char *bucket = fresh_bucket();
	struct placed one, two;

	(void)state;
	one = place(bucket, "", 50000);
	two = place(bucket, "", 50000);
	assert_full_of_bytes(bucket);
	drop(&one);
	assert_room(bucket, 50000);
	drop(&two);
	assert_room(bucket, BYTES);
}

/* ---- given back ---- */

static void what_is_deleted_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	struct placed p;
	struct tus_upload t;

	(void)state;
	p = place(bucket, "", 30000);
	assert_int_equal(tus_create(&server, 20000, as(bucket), &t), 201);
	assert_room(bucket, 50000);
	drop(&p);
	assert_room(bucket, 80000);
	assert_int_equal(tus_delete(&t), 204);
	assert_room(bucket, BYTES);
	assert_int_equal(tus_delete(&t), 404);
	assert_room(bucket, BYTES);
}

static void what_all_have_acknowledged_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	struct placed p = place(bucket, "?recipients=2", 30000);
	char narrow[TOKEN_TEXT_SIZE + 8];

	(void)state;
	for (uint16_t i = 1; i <= 2; i++) {
		assert_room(bucket, 70000);
		assert_int_equal(token_narrow_recipient(narrow, p.token, strlen(p.token), i),
				 ERR_OK);
		(void)strcat(narrow, "/ack");
		for (int again = 0; again < 2; again++)
			assert_int_equal(http_status(server.port, "POST", "/v1/media/", narrow),
					 204);
	}
	assert_room(bucket, BYTES);
}

static void what_is_over_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();

	(void)state;
	(void)place(bucket, "?ttl=2", 30000);
	(void)place(bucket, "?ttl=2", 30000);
	assert_room(bucket, 40000);
	assert_room_soon(bucket, BYTES, 6 * SECONDS);
}

static void what_fails_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128];
	struct answer a;

	(void)state;
	(void)snprintf(fields, sizeof(fields),
		       "%sRepr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n",
		       as(bucket));
	for (int i = 0; i < UPLOADS + 2; i++) {
		http_request(server.port, "PUT", "/v1/media", fields, bytes, BYTES, &a);
		assert_status(&a, 400);
		answer_free(&a);
	}
	assert_room(bucket, BYTES);
}

static void what_is_broken_off_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	struct client *c[UPLOADS - 1];

	(void)state;
	for (int i = 0; i < UPLOADS - 1; i++) {
		c[i] = client_open(server.port);
		assert_true(client_sendf(c[i],
					 "PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n%s"
					 "Content-Length: 14000\r\n\r\n",
					 as(bucket)));
		assert_true(client_send(c[i], bytes, 5000));
	}
	client_nap(200);
	assert_room(bucket, BYTES - (UPLOADS - 1) * 14000);
	for (int i = 0; i < UPLOADS - 1; i++)
		client_reset(c[i]);
	assert_room_soon(bucket, BYTES, 3 * SECONDS);
}

/* ---- of unknown length ---- */

static int put_chunked(const char *bucket, size_t n, struct answer *a)
{
	struct client *c = client_open(server.port);

	assert_true(client_sendf(c,
				 "PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n%s"
				 "Transfer-Encoding: chunked\r\n\r\n",
				 as(bucket)));
	for (size_t at = 0; at < n; at += 10000)
		(void)client_chunk(c, bytes + at, n - at < 10000 ? n - at : 10000);
	(void)client_chunk(c, NULL, 0);
	client_answer(c, false, a, NULL);
	client_close(c);
	return a->status;
}

static void a_body_of_unknown_length_weighs_what_comes(void **state)
{
	const char *bucket = fresh_bucket();
	struct answer a;

	(void)state;
	(void)put_chunked(bucket, BYTES + 1, &a);
	assert_over(&a, 507, "bytes");
	assert_room_soon(bucket, BYTES, 3 * SECONDS);
	assert_int_equal(put_chunked(bucket, 30000, &a), 201);
	answer_free(&a);
	assert_room(bucket, 70000);
	assert_int_equal(put_chunked(bucket, 70000, &a), 201);
	answer_free(&a);
	assert_full_of_bytes(bucket);
}

static void an_upload_of_unknown_length_weighs_what_it_has(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload t;
	struct answer a;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	assert_room(bucket, BYTES);
	assert_int_equal(tus_patch(&t, 0, bytes, 30000), 204);
	assert_room(bucket, 70000);
	assert_int_equal(tus_patch_chunked(&t, 30000, bytes, 20000, 3000), 204);
	assert_room(bucket, 50000);
	/* refused before it is sent, or when it comes; what was there stays */
	tus_patch_answer(&t, 50000, "", bytes, 50001, &a);
	assert_over(&a, 507, "bytes");
	assert_int_equal(tus_offset(&t), 50000);
	assert_int_equal(tus_patch_chunked(&t, 50000, bytes, 50001, 10000), 507);
	assert_true(tus_reaches(&t, 50000, 2 * SECONDS));
	assert_room_soon(bucket, 50000, 3 * SECONDS);
	assert_int_equal(tus_patch(&t, 50000, bytes, 50000), 204);
	assert_full_of_bytes(bucket);
	assert_int_equal(tus_delete(&t), 204);
	assert_room(bucket, BYTES);
}

static void what_is_kept_of_a_broken_request_is_what_weighs(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload t;
	struct client *c;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	c = tus_begin(&t, 0, "Content-Length: 90000\r\n");
	assert_true(client_send(c, bytes, 40000));
	client_nap(100);
	assert_refused(bucket, 10001, 507, "bytes"); /* those announced */
	client_reset(c);
	assert_true(tus_reaches(&t, 40000, 2 * SECONDS));
	assert_room_soon(bucket, 60000, 3 * SECONDS);
	c = tus_begin(&t, 40000, "Transfer-Encoding: chunked\r\n");
	assert_true(client_chunk(c, bytes, 20000));
	client_nap(100);
	assert_room(bucket, 40000); /* those that came */
	client_reset(c);
	assert_true(tus_reaches(&t, 60000, 2 * SECONDS));
	assert_room_soon(bucket, 40000, 3 * SECONDS);
}

static void what_a_checksum_refuses_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload t;
	struct answer a;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	assert_int_equal(tus_patch(&t, 0, bytes, 10000), 204);
	tus_patch_answer(&t, 10000, "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", bytes,
			 50000, &a);
	assert_status(&a, 460);
	answer_free(&a);
	assert_room(bucket, 90000);
}

static void a_length_that_becomes_known_weighs_at_once(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128], path[192];
	struct tus_upload t;
	struct answer a;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	assert_int_equal(tus_patch(&t, 0, bytes, 10000), 204);
	tus_patch_answer(&t, 10000, "Upload-Length: 100001\r\n", bytes, 5, &a);
	assert_over(&a, 507, "bytes");
	assert_int_equal(tus_offset(&t), 10000);
	assert_room(bucket, 90000);
	tus_patch_answer(&t, 10000, "Upload-Length: 60000\r\n", bytes, 5, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_room(bucket, 40000);
	/* and in the other dialect */
	(void)snprintf(fields, sizeof(fields), "%sUpload-Complete: ?0\r\n", as(bucket));
	http_request(server.port, "POST", "/v1/uploads", fields, bytes, 1000, &a);
	assert_status(&a, 201);
	assert_true(answer_field(&a, "Location", path, sizeof(path)));
	answer_free(&a);
	assert_room(bucket, 39000);
	http_request(server.port, "PATCH", path,
		     RUFH_PARTIAL "Upload-Offset: 1000\r\nUpload-Complete: ?1\r\n", bytes, 39001,
		     &a);
	assert_field(&a, "Upload-Complete", "?0");
	assert_over(&a, 507, "bytes");
	http_request(server.port, "PATCH", path,
		     RUFH_PARTIAL "Upload-Offset: 1000\r\nUpload-Complete: ?0\r\n"
				  "Upload-Length: 20000\r\n",
		     bytes, 10, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_room(bucket, 20000);
}

/* More than was announced: the draft wants such an upload gone. */
static void what_is_condemned_is_given_back(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128], path[192];
	struct client *c;
	struct answer a;

	(void)state;
	(void)snprintf(fields, sizeof(fields), "%sUpload-Complete: ?0\r\n", as(bucket));
	http_request(server.port, "POST", "/v1/uploads", fields, bytes, 1000, &a);
	assert_true(answer_field(&a, "Location", path, sizeof(path)));
	answer_free(&a);
	c = client_open(server.port);
	assert_true(client_sendf(c,
				 "PATCH %s HTTP/1.1\r\nHost: localhost\r\n" RUFH_PARTIAL
				 "Upload-Offset: 1000\r\nUpload-Complete: ?1\r\n"
				 "Upload-Length: 20000\r\nTransfer-Encoding: chunked\r\n\r\n",
				 path));
	(void)client_chunk(c, bytes, 30000);
	client_answer(c, false, &a, NULL);
	assert_status(&a, 400);
	answer_free(&a);
	client_close(c);
	assert_room_soon(bucket, BYTES, 3 * SECONDS);
}

/* The same after some of it was made durable on the way. */
static void what_has_grown_meanwhile_is_given_back_as_it_is(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128], path[192];
	struct client *c;
	struct answer a;

	(void)state;
	(void)snprintf(fields, sizeof(fields), "%sUpload-Complete: ?0\r\n", as(bucket));
	http_request(server.port, "POST", "/v1/uploads", fields, bytes, 1000, &a);
	assert_true(answer_field(&a, "Location", path, sizeof(path)));
	answer_free(&a);
	c = client_open(server.port);
	assert_true(client_sendf(c,
				 "PATCH %s HTTP/1.1\r\nHost: localhost\r\n" RUFH_PARTIAL
				 "Upload-Offset: 1000\r\nUpload-Complete: ?1\r\n"
				 "Upload-Length: 70000000\r\nTransfer-Encoding: chunked\r\n\r\n",
				 path));
	for (int i = 0; i < 172; i++) /* past the mark, at 64 MiB */
		assert_true(client_chunk(c, bytes, sizeof(bytes)));
	client_nap(500);
	for (int i = 0; i < 10; i++)
		(void)client_chunk(c, bytes, sizeof(bytes));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 400);
	answer_free(&a);
	client_close(c);
	client_nap(300);
	(void)snprintf(fields, sizeof(fields), "%sUpload-Length: 104857600\r\n", as(bucket));
	tus_request(&server, "POST", "/v1/uploads", fields, NULL, 0, &a);
	assert_status(&a, 201);
	answer_free(&a);
	assert_full_of_bytes(bucket);
}

/* ---- put together ---- */

static void make_part(const char *bucket, size_t n, struct tus_upload *u)
{
	char fields[MINTER_FIELD_SIZE + 64];

	(void)snprintf(fields, sizeof(fields), "%sUpload-Concat: partial\r\n", as(bucket));
	assert_int_equal(tus_create(&server, n, fields, u), 201);
}

static int join(const char *bucket, const struct tus_upload *one, const struct tus_upload *two,
		struct tus_upload *u)
{
	char fields[MINTER_FIELD_SIZE + 512];

	(void)snprintf(fields, sizeof(fields), "%sUpload-Concat: final;%s %s\r\n", as(bucket),
		       one->path, two->path);
	return tus_create(&server, TUS_UNSAID, fields, u);
}

static void a_final_weighs_beside_its_parts(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload one, two, whole;

	(void)state;
	make_part(bucket, 20000, &one);
	make_part(bucket, 15000, &two);
	assert_int_equal(tus_patch(&one, 0, bytes, 20000), 204);
	assert_int_equal(tus_patch(&two, 0, bytes, 15000), 204);
	assert_room(bucket, 65000);
	assert_int_equal(join(bucket, &one, &two, &whole), 201);
	assert_room(bucket, 30000);
	assert_int_equal(join(bucket, &one, &one, NULL), 507);
	assert_room(bucket, 30000);
	assert_int_equal(tus_delete(&one), 204);
	assert_room(bucket, 50000);
	assert_int_equal(tus_delete(&whole), 204);
	assert_room(bucket, 85000);
}

static void a_final_that_waits_weighs_when_it_is_whole(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload one, two, fits, does_not;

	(void)state;
	make_part(bucket, 20000, &one);
	make_part(bucket, 15000, &two);
	assert_int_equal(tus_patch(&one, 0, bytes, 20000), 204);
	assert_int_equal(join(bucket, &one, &two, &fits), 201);
	assert_int_equal(join(bucket, &two, &one, &does_not), 201);
	assert_room(bucket, 65000);
	assert_int_equal(tus_patch(&two, 0, bytes, 15000), 204);
	/* one of them finds no room, whichever was later */
	for (int i = 0; i < 200 && tus_offset(&fits) < 0 && tus_offset(&does_not) < 0; i++)
		client_nap(10);
	client_nap(200);
	assert_true((tus_offset(&fits) == 35000) != (tus_offset(&does_not) == 35000));
	assert_room(bucket, 30000);
}

/* ---- among many ---- */

struct crowd {
	const char *bucket;
	size_t n;
	atomic_uint in, refused, other;
};

static void *press_in(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 4; i++) {
		const int status = put(c->bucket, c->n);

		(void)atomic_fetch_add(status == 201   ? &c->in
				       : status == 507 ? &c->refused
						       : &c->other,
				       1);
	}
	return NULL;
}

static void press(struct crowd *c)
{
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL, press_in, c), 0);
	for (int i = 0; i < 6; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&c->other), 0);
}

static void a_crowd_does_not_overshoot(void **state)
{
	struct crowd of_uploads = { .n = 10 }, of_bytes = { .n = 30000 };

	(void)state;
	of_uploads.bucket = fresh_bucket();
	press(&of_uploads);
	assert_int_equal(atomic_load(&of_uploads.in), UPLOADS);
	of_bytes.bucket = fresh_bucket();
	press(&of_bytes);
	assert_int_equal(atomic_load(&of_bytes.in), 3);
	assert_room(of_bytes.bucket, 10000);
}

/* ---- across a restart ---- */

static void restart_and_expect(bool kill9, const char *bucket, size_t room)
{
	if (kill9)
		server_kill(&server);
	else
		assert_int_equal(server_stop(&server), 0);
	server_again(&server);
	assert_room(bucket, room);
}

static void a_restart_changes_nothing(void **state)
{
	const char *bucket = fresh_bucket();
	struct tus_upload open, deferred;
	struct placed p;
	struct client *c, *d;

	(void)state;
	p = place(bucket, "", 10000);
	assert_int_equal(tus_create(&server, 20000, as(bucket), &open), 201);
	assert_int_equal(tus_patch(&open, 0, bytes, 5000), 204);
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &deferred), 201);
	assert_int_equal(tus_patch(&deferred, 0, bytes, 7000), 204);
	restart_and_expect(false, bucket, 63000);
	restart_and_expect(true, bucket, 63000);
	/* after it, as before it */
	assert_int_equal(tus_patch(&deferred, 7000, bytes, 3000), 204);
	assert_room(bucket, 60000);
	assert_int_equal(tus_patch(&open, 5000, bytes, 15000), 204);
	assert_room(bucket, 60000);
	/* with requests under way, which come to nothing, or to what was acknowledged */
	c = client_open(server.port);
	assert_true(client_sendf(c,
				 "PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n%s"
				 "Content-Length: 30000\r\n\r\n",
				 as(bucket)));
	d = tus_begin(&deferred, 10000, "Content-Length: 20000\r\n");
	assert_true(client_send(c, bytes, 5000));
	assert_true(client_send(d, bytes, 5000));
	client_nap(200);
	assert_refused(bucket, 10001, 507, "bytes");
	server_kill(&server);
	client_close(c);
	client_close(d);
	server_again(&server);
	assert_room(bucket, BYTES - 30000 - (size_t)tus_offset(&deferred));
	drop(&p);
	assert_int_equal(tus_delete(&open), 204);
	assert_int_equal(tus_delete(&deferred), 204);
	assert_room(bucket, BYTES);
	restart_and_expect(true, bucket, BYTES);
}

/* ---- on a store that fails ---- */

static void what_the_store_did_not_do_does_not_count(void **state)
{
	const char *bucket = fresh_bucket();
	struct placed p;

	(void)state;
	assert_int_equal(put(bucket, 10), 503); /* nobody knows what is there */
	p = place(bucket, "", 60000);
	assert_int_equal(put(bucket, 40000), 503);
	assert_room(bucket, 40000);
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p.manage), 503);
	assert_room(bucket, 40000);
	drop(&p);
	assert_room(bucket, BYTES);
}

/* ---- in a minute ---- */

static void as_many_uploads_a_minute_as_may_begin(void **state)
{
	const char *bucket = fresh_bucket();
	const uint64_t refused = server_metric(&server, "restante_quota_refused_total");
	struct placed p;

	(void)state;
	for (int i = 0; i < 5; i++) {
		p = place(bucket, "", 10);
		drop(&p); /* which does not help */
	}
	p = place(bucket, "", 10);
	assert_refused(bucket, 10, 429, "uploads-per-minute");
	assert_int_equal(server_metric(&server, "restante_quota_refused_total"), refused + 1);
	assert_int_equal(put(fresh_bucket(), 10), 201);
	drop(&p); /* what is there may go */
}

static void a_restart_does_not_forgive(void **state)
{
	const char *bucket = fresh_bucket();

	(void)state;
	for (int i = 0; i < 6; i++)
		(void)place(bucket, "", 10);
	server_kill(&server);
	server_again(&server);
	assert_refused(bucket, 10, 429, "uploads-per-minute");
}

static void who_has_sent_enough_waits(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128];
	struct tus_upload t;
	struct client *c;
	struct answer a;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	assert_int_equal(put(bucket, 60000), 201);
	assert_int_equal(put(bucket, 60000), 201); /* it began in time */
	assert_refused(bucket, 1, 429, "bytes-per-minute");
	/* before the body is sent */
	c = tus_begin(&t, 0, "Expect: 100-continue\r\nContent-Length: 1000\r\n");
	client_answer(c, false, &a, NULL);
	assert_over(&a, 429, "bytes-per-minute");
	client_close(c);
	assert_int_equal(tus_offset(&t), 0);
	(void)snprintf(fields, sizeof(fields), "%sUpload-Complete: ?1\r\n", as(bucket));
	http_request(server.port, "POST", "/v1/uploads", fields, bytes, 10, &a);
	assert_field(&a, "Upload-Complete", "?0");
	assert_over(&a, 429, "bytes-per-minute");
	/* without a body there is nothing to wait for */
	assert_int_equal(tus_create(&server, 10, as(bucket), &t), 201);
	assert_int_equal(put(fresh_bucket(), 10), 201);
	assert_int_equal(tus_delete(&t), 204);
}

/* A request of which only the beginning comes. */
static struct client *begin_put(const char *bucket, size_t announced)
{
	struct client *c = client_open(server.port);

	assert_true(client_sendf(c,
				 "PUT /v1/media HTTP/1.1\r\nHost: localhost\r\n%s"
				 "Content-Length: %zu\r\n\r\n",
				 as(bucket), announced));
	assert_true(client_send(c, bytes, 1000));
	client_nap(200);
	return c;
}

static void bodies_that_begin_together_do_not_get_past_the_limit(void **state)
{
	const char *bucket = fresh_bucket();
	struct client *first = begin_put(bucket, 60000), *second = begin_put(bucket, 60000);
	struct answer a;
	int status = 429;

	(void)state;
	assert_refused(bucket, 1, 429, "bytes-per-minute");
	client_reset(first); /* what did not come does not count, nor does the attempt */
	for (int i = 0; i < 100 && status == 429; i++) {
		client_nap(20);
		status = put(bucket, 10);
	}
	assert_int_equal(status, 201);
	/* what was let in may end */
	assert_true(client_send(second, bytes + 1000, 59000));
	client_answer(second, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(second);
	assert_int_equal(put(bucket, 50000), 201);
	assert_refused(bucket, 1, 429, "bytes-per-minute");
}

static void an_attempt_that_is_refused_does_not_count(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128];
	struct answer a;

	(void)state;
	(void)snprintf(fields, sizeof(fields),
		       "%sRepr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n",
		       as(bucket));
	for (int i = 0; i < 10; i++) {
		http_request(server.port, "PUT", "/v1/media", fields, bytes, 10, &a);
		assert_status(&a, 400);
		answer_free(&a);
	}
	for (int i = 0; i < 6; i++)
		assert_int_equal(put(bucket, 10), 201);
	assert_refused(bucket, 10, 429, "uploads-per-minute");
}

static void bytes_count_whatever_becomes_of_them(void **state)
{
	const char *bucket = fresh_bucket();
	char fields[MINTER_FIELD_SIZE + 128];
	struct tus_upload t;
	struct answer a;

	(void)state;
	assert_int_equal(tus_create(&server, TUS_DEFERRED, as(bucket), &t), 201);
	(void)snprintf(fields, sizeof(fields),
		       "%sRepr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n",
		       as(bucket));
	http_request(server.port, "PUT", "/v1/media", fields, bytes, 70000, &a);
	assert_status(&a, 400);
	answer_free(&a);
	tus_patch_answer(&t, 0, "", bytes, 40000, &a);
	assert_status(&a, 204);
	answer_free(&a);
	assert_refused(bucket, 1, 429, "bytes-per-minute");
}

/* ---- virtual hosts ---- */

static void ask_host(const char *host, const char *method, const char *target, const char *bucket,
		     const char *fields, size_t n, struct answer *a)
{
	struct client *c = client_open(server.port);
	struct grant g = minter_grant(&minter);
	char field[MINTER_FIELD_SIZE];

	(void)snprintf(g.aud, sizeof(g.aud), "%s", host);
	(void)snprintf(g.bucket, sizeof(g.bucket), "%s", bucket);
	(void)client_sendf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%sContent-Length: %zu\r\n\r\n",
			   method, target, host, minter_field(&minter, &g, field), fields, n);
	(void)client_send(c, bytes, n);
	client_answer(c, false, a, NULL);
	client_close(c);
}

static void assert_host_room(const char *host, const char *bucket, size_t n)
{
	struct answer a;

	ask_host(host, "PUT", "/v1/media", bucket, "", n + 1, &a);
	assert_over(&a, 507, "bytes");
	ask_host(host, "PUT", "/v1/media", bucket, "", n, &a);
	assert_status(&a, 201);
	answer_free(&a);
	ask_host(host, "PUT", "/v1/media", bucket, "", 1, &a);
	assert_over(&a, 507, "bytes");
}

static void the_same_name_is_another_bucket_on_another_host(void **state)
{
	struct answer a;

	(void)state;
	assert_host_room("small.test", "of-somebody", 1000);
	assert_host_room("same.test", "of-somebody", 5000);
	for (int i = 0; i < 3; i++) {
		ask_host("free.test", "PUT", "/v1/media", "of-somebody", "", 100000, &a);
		assert_status(&a, 201);
		answer_free(&a);
	}
	server_kill(&server);
	server_again(&server);
	assert_host_room("small.test", "of-somebody-else", 1000);
	ask_host("small.test", "PUT", "/v1/media", "of-somebody", "", 1, &a);
	assert_over(&a, 507, "bytes");
	ask_host("same.test", "PUT", "/v1/media", "of-somebody", "", 1, &a);
	assert_over(&a, 507, "bytes");
}

/* An upload's address is good on every host; what it may is its own host's affair. */
static void nobody_grows_past_a_limit_by_way_of_another_host(void **state)
{
	char path[192];
	struct answer a;

	(void)state;
	ask_host("small.test", "POST", "/v1/uploads", "of-somebody-sly",
		 TUS "Upload-Defer-Length: 1\r\n", 0, &a);
	assert_status(&a, 201);
	assert_true(answer_field(&a, "Location", path, sizeof(path)));
	answer_free(&a);
	ask_host("free.test", "PATCH", path, "", TUS_BYTES "Upload-Offset: 0\r\n", 1001, &a);
	assert_over(&a, 507, "bytes");
	ask_host("free.test", "PATCH", path, "", TUS_BYTES "Upload-Offset: 0\r\n", 1000, &a);
	assert_status(&a, 204);
	answer_free(&a);
}

int main(void)
{
	const struct CMUnitTest alive[] = {
		cmocka_unit_test(as_many_uploads_as_may_be_in_any_dialect),
		cmocka_unit_test(as_many_bytes_as_may_be_and_not_one_more),
		cmocka_unit_test(a_bucket_is_nobody_elses),
		cmocka_unit_test(the_same_bytes_again_weigh_again),
		cmocka_unit_test(what_is_deleted_is_given_back),
		cmocka_unit_test(what_all_have_acknowledged_is_given_back),
		cmocka_unit_test(what_is_over_is_given_back),
		cmocka_unit_test(what_fails_is_given_back),
		cmocka_unit_test(what_is_broken_off_is_given_back),
		cmocka_unit_test(a_body_of_unknown_length_weighs_what_comes),
		cmocka_unit_test(an_upload_of_unknown_length_weighs_what_it_has),
		cmocka_unit_test(what_is_kept_of_a_broken_request_is_what_weighs),
		cmocka_unit_test(what_a_checksum_refuses_is_given_back),
		cmocka_unit_test(a_length_that_becomes_known_weighs_at_once),
		cmocka_unit_test(what_is_condemned_is_given_back),
		cmocka_unit_test(a_final_weighs_beside_its_parts),
		cmocka_unit_test(a_final_that_waits_weighs_when_it_is_whole),
		cmocka_unit_test(a_crowd_does_not_overshoot),
		cmocka_unit_test(a_restart_changes_nothing),
	};
	const struct CMUnitTest large[] = {
		cmocka_unit_test(what_has_grown_meanwhile_is_given_back_as_it_is),
	};
	const struct CMUnitTest faulty[] = {
		cmocka_unit_test(what_the_store_did_not_do_does_not_count),
	};
	const struct CMUnitTest rates[] = {
		cmocka_unit_test(as_many_uploads_a_minute_as_may_begin),
		cmocka_unit_test(a_restart_does_not_forgive),
		cmocka_unit_test(who_has_sent_enough_waits),
		cmocka_unit_test(bodies_that_begin_together_do_not_get_past_the_limit),
		cmocka_unit_test(an_attempt_that_is_refused_does_not_count),
		cmocka_unit_test(bytes_count_whatever_becomes_of_them),
	};

	const struct CMUnitTest hosts[] = {
		cmocka_unit_test(the_same_name_is_another_bucket_on_another_host),
		cmocka_unit_test(nobody_grows_past_a_limit_by_way_of_another_host),
	};

	return cmocka_run_group_tests(alive, start_alive, stop) +
	       cmocka_run_group_tests(large, start_large, stop) +
	       cmocka_run_group_tests(faulty, start_faulty, stop) +
	       cmocka_run_group_tests(rates, start_rates, stop) +
	       cmocka_run_group_tests(hosts, start_hosts, stop);
}
