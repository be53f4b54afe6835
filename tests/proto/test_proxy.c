/* What conf/nginx.conf promises, with the real nginx: the file as it is shipped, but for addresses
 * and paths. Bytes go through as they come, in both directions; nothing is bounded, changed or
 * written down on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/fake.h"
#include "tests/lib/nginx.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1024)
#define MB (KB * KB)
/* What nginx may hold back of an upload: its client_body_buffer_size. */
#define HELD (256 * KB)

static struct fixture {
	bool there;
	struct test_server server;
	struct test_server proxied; /* the same, as tus.h asks it through nginx */
	struct nginx nginx;
	uint8_t *bytes;
} fixture;

#define WHOLE (5 * MB)

static int start(void **state)
{
	const struct test_server_options o = {
		.config = "upload { min_free = 0; max = 64mb; }\n",
	};

	*state = &fixture;
	fixture.there = nginx_is_there();
	if (!fixture.there)
		return 0;
	server_start(&fixture.server, &o);
	nginx_start(&fixture.nginx, fixture.server.port);
	fixture.proxied = fixture.server;
	fixture.proxied.port = fixture.nginx.port;
	fixture.bytes = malloc(WHOLE);
	assert_non_null(fixture.bytes);
	fill_random(fixture.bytes, WHOLE, 1);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	if (!fixture.there)
		return 0;
	nginx_stop(&fixture.nginx);
	server_remove(&fixture.server);
	free(fixture.bytes);
	return 0;
}

#define NEEDS_NGINX()               \
	do {                        \
		(void)state;        \
		if (!fixture.there) \
			skip();     \
	} while (0)

/* ---- uploads ---- */

static void what_is_placed_is_fetched(void **state)
{
	struct placed p;
	struct answer a;
	char target[100], value[64];

	NEEDS_NGINX();
	assert_int_equal(http_place(fixture.nginx.port, "", fixture.bytes, WHOLE, &p), 201);
	assert_int_equal(strncmp(p.upload, "/v1/uploads/", 12), 0); /* of no address: it holds */
	assert_true(http_has(fixture.nginx.port, p.token, fixture.bytes, WHOLE));
	(void)snprintf(target, sizeof(target), "/v1/media/%s", p.token);
	http_request(fixture.nginx.port, "HEAD", target, "", NULL, 0, &a);
	assert_status(&a, 200);
	(void)snprintf(value, sizeof(value), "%zu", WHOLE);
	assert_field(&a, "Content-Length", value);
	answer_free(&a);
	http_get(fixture.nginx.port, target, "Range: bytes=1000000-1000999\r\n", &a);
	assert_status(&a, 206);
	assert_int_equal(a.body_len, 1000);
	assert_memory_equal(a.body, fixture.bytes + 1000000, 1000);
	answer_free(&a);
	http_get(fixture.nginx.port, target, "If-None-Match: *\r\n", &a);
	assert_status(&a, 304);
	answer_free(&a);
}

/* The client has sent a part and is silent; to ask is to end its request, so that comes last. */
static void bytes_are_durable_while_the_client_still_sends(void **state)
{
	const uint64_t before = fixture.there ? rufh_received(&fixture.server) : 0;
	struct tus_upload u;
	struct client *c;
	int64_t at;

	NEEDS_NGINX();
	assert_int_equal(tus_create(&fixture.proxied, WHOLE, "", &u), 201);
	c = tus_begin(&u, 0, "Content-Length: 5242880\r\n");
	assert_true(client_send(c, fixture.bytes, 2 * MB));
	assert_true(rufh_receives(&fixture.server, before + 2 * MB - HELD, 5000));
	at = tus_offset(&u);
	assert_in_range(at, 2 * MB - HELD, 2 * MB);
	client_close(c);
	assert_int_equal(tus_patch(&u, (uint64_t)at, fixture.bytes + at, WHOLE - (size_t)at), 204);
	assert_true(tus_has(&u, fixture.bytes, WHOLE));
}

static void chunks_of_unknown_length_go_through(void **state)
{
	struct tus_upload u;

	NEEDS_NGINX();
	assert_int_equal(tus_create(&fixture.proxied, WHOLE, "", &u), 201);
	assert_int_equal(tus_patch_chunked(&u, 0, fixture.bytes, WHOLE, 100000), 204);
	assert_true(tus_has(&u, fixture.bytes, WHOLE));
}

static void a_broken_upload_goes_on_where_it_stopped(void **state)
{
	struct tus_upload u;
	struct client *c;
	int64_t at = -1;

	NEEDS_NGINX();
	assert_int_equal(tus_create(&fixture.proxied, WHOLE, "", &u), 201);
	c = tus_begin(&u, 0, "Content-Length: 5242880\r\n");
	assert_true(client_send(c, fixture.bytes, 3 * MB));
	client_reset(c);
	at = tus_offset(&u);
	assert_in_range(at, 0, 3 * MB);
	assert_int_equal(tus_patch(&u, (uint64_t)at, fixture.bytes + at, WHOLE - (size_t)at), 204);
	assert_true(tus_has(&u, fixture.bytes, WHOLE));
}

static void a_refusal_reaches_who_is_still_sending(void **state)
{
	struct client *c;
	struct answer a;

	NEEDS_NGINX();
	c = client_open(fixture.nginx.port);
	assert_true(client_sendf(
		c, "PUT /v1/media HTTP/1.1\r\nHost: m\r\nContent-Length: 100000000\r\n\r\n"));
	assert_true(client_send(c, fixture.bytes, 10000));
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 413);
	client_close(c);
}

/* nginx 1.22 hands a 104 on as if it were the answer. */
static void clients_that_would_get_104_get_their_answer(void **state)
{
	struct client *c;
	struct answer a;
	int interim = 0;

	NEEDS_NGINX();
	c = client_open(fixture.nginx.port);
	assert_true(rufh_ask(c, "POST", "/v1/uploads", 5,
			     "Upload-Draft-Interop-Version: 6\r\nUpload-Complete: ?1\r\n"));
	assert_true(client_send(c, "hello", 5));
	client_answer(c, false, &a, &interim);
	assert_status(&a, 201);
	assert_int_equal(interim, 0);
	assert_true(a.whole);
	answer_free(&a);
	/* and the connection is as good as before */
	assert_true(client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: m\r\n\r\n"));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 200);
	answer_free(&a);
	client_close(c);
}

/* ---- as people have it: TLS and HTTP/2 ---- */

static void https_and_http2_go_both_ways(void **state)
{
	NEEDS_NGINX();
	assert_true(nginx_script(
		&fixture.nginx,
		"head -c 3000000 /dev/urandom >sent\n"
		"curl -fsSk --http2 -T sent $2/v1/media -o placed -w '%{http_version}' >version\n"
		"grep -qx 2 version\n"
		"token=$(sed 's/.*\"token\":\"\\([^\"]*\\).*/\\1/' placed)\n"
		"curl -fsSk --http2 $2/v1/media/$token -o got && cmp sent got\n"
		"curl -fsSk --http1.1 $2/v1/media/$token -o got && cmp sent got\n"
		"head -c 1000000 sent | curl -fsSk --http2 -X POST -T - "
		"-H 'Upload-Draft-Interop-Version: 6' -H 'Upload-Complete: ?1' "
		"$2/v1/uploads -o placed -w '%{http_code}' >code\n"
		"grep -qx 201 code\n"
		"test $(curl -sk -o /dev/null -w '%{http_code}' $2/metrics) = 404\n"));
}

/* ---- what the server sees ---- */

static void note(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 204, "", NULL);
}

static void the_server_sees_the_name_and_no_address(void **state)
{
	struct fake *fake;
	struct nginx x;
	struct answer a;
	const char *fields;
	struct client *c;

	NEEDS_NGINX();
	fake = fake_new(note, NULL);
	nginx_start(&x, fake_port(fake));
	c = client_open(x.port);
	assert_true(client_sendf(c,
				 "GET /a%%2Fb?c=%%20 HTTP/1.1\r\nHost: media.example.org:8443\r\n"
				 "X-Forwarded-For: 192.0.2.1\r\nAuthorization: Bearer t\r\n\r\n"));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 204);
	answer_free(&a);
	client_close(c);
	assert_string_equal(fake_asked(fake, 0)->target, "/a%2Fb?c=%20");
	fields = fake_asked(fake, 0)->fields;
	assert_non_null(strcasestr(fields, "Host: media.example.org:8443\r\n"));
	assert_non_null(strcasestr(fields, "X-Forwarded-Proto: http\r\n"));
	assert_non_null(strcasestr(fields, "Authorization: Bearer t\r\n"));
	assert_null(strcasestr(fields, "X-Forwarded-For"));
	assert_null(strcasestr(fields, "Connection: close"));
	assert_null(strstr(fields, "127.0.0.1"));
	assert_null(strstr(fields, "192.0.2.1"));
	nginx_stop(&x);
	fake_free(fake);
}

/* As a fetch that follows what is still being sent. */
static void speak_half(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_printf(r, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
	client_nap(3000);
	fake_printf(r, "4\r\nrest\r\n0\r\n\r\n");
}

static void an_answer_arrives_as_it_comes(void **state)
{
	struct fake *fake;
	struct nginx x;
	struct client *c;
	char text[2000] = "";
	size_t n = 0;
	ssize_t k;

	NEEDS_NGINX();
	fake = fake_new(speak_half, NULL);
	nginx_start(&x, fake_port(fake));
	c = client_open(x.port);
	assert_true(client_sendf(c, "GET / HTTP/1.1\r\nHost: m\r\n\r\n"));
	while (strstr(text, "half") == NULL && (k = recv(c->fd, text + n, 1999 - n, 0)) > 0)
		n += (size_t)k;
	assert_non_null(strstr(text, "half"));
	assert_null(strstr(text, "rest"));
	while (strstr(text, "rest") == NULL && (k = recv(c->fd, text + n, 1999 - n, 0)) > 0)
		n += (size_t)k;
	assert_non_null(strstr(text, "rest"));
	client_close(c);
	nginx_stop(&x);
	fake_free(fake);
}

/* ---- what is written down ---- */

static void no_log_holds_a_token_or_an_address(void **state)
{
	struct placed p;
	char *logs[2];

	NEEDS_NGINX();
	assert_int_equal(http_place(fixture.nginx.port, "", "sealed", 6, &p), 201);
	assert_true(http_has(fixture.nginx.port, p.token, "sealed", 6));
	client_nap(100);
	logs[0] = nginx_read(&fixture.nginx, "restante.access.log");
	assert_non_null(strstr(logs[0], " PUT 201 "));
	assert_non_null(strstr(logs[0], " GET 200 "));
	logs[1] = nginx_read(&fixture.nginx, "restante.error.log");
	for (int i = 0; i < 2; i++) {
		assert_null(strstr(logs[i], p.token));
		assert_null(strstr(logs[i], "/v1/"));
		assert_null(strstr(logs[i], "127.0.0.1"));
		free(logs[i]);
	}
}

/* ---- the other one ---- */

static void the_caddyfile_is_well_formed(void **state)
{
	(void)state;
	if (system("command -v caddy >/dev/null") != 0)
		skip();
	assert_int_equal(system("caddy validate --adapter caddyfile --config conf/Caddyfile "
				">/dev/null 2>&1"),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_placed_is_fetched),
		cmocka_unit_test(bytes_are_durable_while_the_client_still_sends),
		cmocka_unit_test(chunks_of_unknown_length_go_through),
		cmocka_unit_test(a_broken_upload_goes_on_where_it_stopped),
		cmocka_unit_test(a_refusal_reaches_who_is_still_sending),
		cmocka_unit_test(clients_that_would_get_104_get_their_answer),
		cmocka_unit_test(https_and_http2_go_both_ways),
		cmocka_unit_test(the_server_sees_the_name_and_no_address),
		cmocka_unit_test(an_answer_arrives_as_it_comes),
		cmocka_unit_test(no_log_holds_a_token_or_an_address),
		cmocka_unit_test(the_caddyfile_is_well_formed),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
