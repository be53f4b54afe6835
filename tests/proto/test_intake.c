/* intake - long bodies, which the server receives past its HTTP library: every byte arrives however
 * it is cut, and nothing but the body is taken from the connection, which lives on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* memory figures mean nothing */
#else
#define SANITIZED false
#endif

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define MOST (4 * MB)

static struct test_server server;
static int sockets; /* of a server without clients */
static uint8_t *bytes;

static int start(const char *config)
{
	const struct test_server_options options = { .config = config };

	bytes = malloc(MOST);
	if (bytes == NULL)
		return -1;
	server_start(&server, &options);
	sockets = open_sockets(server.pid);
	return 0;
}

static int start_patient(void **state)
{
	(void)state;
	return start("upload { min_free = 0; open_per_address = 10000; }\n"
		     "http { loops = 2; connections_per_address = 0; stop_grace = 60s; }\n");
}

static int start_impatient(void **state)
{
	(void)state;
	return start("upload { min_free = 0; }\nhttp { timeout = 3s; }\n");
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	free(bytes);
	return 0;
}

/* Other bytes each time. */
static void fresh(size_t n)
{
	static uint64_t seed = 9000;

	fill_random(bytes, n, seed++);
}

static bool send_head(struct client *c, size_t n, const char *fields)
{
	return client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\n%sContent-Length: %zu\r\n\r\n",
			    fields, n);
}

static bool send_put(struct client *c, size_t n, const char *fields)
{
	return send_head(c, n, fields) && client_send(c, bytes, n);
}

/* The answer to a PUT, of bytes that are kept now. */
static void hear_put(struct client *c, char token[static 64])
{
	struct answer a;

	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "token", token, 64));
	answer_free(&a);
}

static void assert_kept(struct client *c, size_t n)
{
	char token[64];

	hear_put(c, token);
	assert_true(http_has(server.port, token, bytes, n));
}

static void assert_alive(struct client *c)
{
	struct answer a;

	assert_true(client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	answer_free(&a);
}

static bool all_left(void)
{
	return open_sockets(server.pid) <= sockets &&
	       server_metric(&server, "restante_connections_open") <= 1 && /* who asks */
	       server_metric(&server, "restante_upload_memory_bytes") == 0;
}

static void assert_all_left(void)
{
	bool left = all_left();

	for (int i = 0; i < 1500 && !left; i++) {
		client_nap(20); /* the connection that asked goes as well */
		left = all_left();
	}
	assert_true(left);
}

/* ---- the connection ---- */

static void a_connection_lives_on_after_a_long_body(void **state)
{
	static const size_t sizes[] = { 100,          32 * KB - 1, 32 * KB,   32 * KB + 1,
					44 * KB,      45 * KB,     100000,    256 * KB,
					256 * KB + 1, MB,          3 * MB + 7 };
	struct client *c = client_open(server.port);

	(void)state;
	for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t n = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];

		fresh(n);
		assert_true(send_put(c, n, ""));
		assert_kept(c, n);
		if (i % 3 == 0)
			assert_alive(c);
	}
	client_close(c);
	assert_all_left();
}

static void requests_behind_a_long_body_are_answered_in_their_order(void **state)
{
	static const size_t sizes[] = { 300000, 10, 200000, 40000, 40001 };
	struct client *c = client_open(server.port);
	char token[5][64];
	struct answer a;

	(void)state;
	fresh(300000);
	for (int i = 0; i < 5; i++)
		assert_true(send_put(c, sizes[i], ""));
	assert_true(client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
	for (int i = 0; i < 5; i++)
		hear_put(c, token[i]);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	for (int i = 0; i < 5; i++)
		assert_true(http_has(server.port, token[i], bytes, sizes[i]));
	client_close(c);
}

static void the_next_head_may_begin_with_the_bodys_end(void **state)
{
	static const char next[] = "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";
	struct client *c = client_open(server.port);
	const size_t n = 100000;
	struct answer a;

	(void)state;
	for (size_t cut = 1; cut < sizeof(next) - 1; cut += 7) {
		fresh(n);
		memcpy(bytes + n, next, cut);
		assert_true(send_head(c, n, ""));
		assert_true(client_send(c, bytes, 50000));
		client_nap(5);
		assert_true(client_send(c, bytes + 50000, n - 50000 + cut));
		assert_kept(c, n);
		assert_true(client_send(c, next + cut, sizeof(next) - 1 - cut));
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 200);
		answer_free(&a);
	}
	client_close(c);
}

static void who_wants_to_be_the_last_is(void **state)
{
	struct client *c = client_open(server.port);

	(void)state;
	fresh(MB);
	assert_true(send_put(c, MB, "Connection: close\r\n"));
	assert_kept(c, MB);
	assert_true(client_closed_within(c, 1000));
	client_close(c);
	c = client_open(server.port);
	assert_true(client_sendf(c, "PUT /v1/media HTTP/1.0\r\nContent-Length: 100000\r\n\r\n"));
	assert_true(client_send(c, bytes, 100000));
	assert_kept(c, 100000);
	assert_true(client_closed_within(c, 1000));
	client_close(c);
}

/* A body behind the head would be taken for the next answer. */
static void who_asks_by_head_gets_no_body(void **state)
{
	struct client *c = client_open(server.port);
	struct tus_upload u;
	struct answer a;

	(void)state;
	fresh(100000);
	assert_int_equal(tus_create(&server, 100000, "", &u), 201);
	assert_true(client_sendf(c,
				 "HEAD %s HTTP/1.1\r\nHost: t\r\n" TUS_BYTES
				 "X-HTTP-Method-Override: PATCH\r\nUpload-Offset: 0\r\n"
				 "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
				 "Content-Length: 100000\r\n\r\n",
				 u.path));
	assert_true(client_send(c, bytes, 100000));
	client_answer(c, true, &a, NULL);
	assert_int_equal(a.status, 460);
	answer_free(&a);
	assert_alive(c);
	client_close(c);
}

static void whoever_sends_no_more_is_answered(void **state)
{
	(void)state;
	for (size_t n = 33 * KB; n <= 2 * MB; n *= 2) {
		struct client *c = client_open(server.port);

		fresh(n);
		assert_true(send_put(c, n, ""));
		client_half_close(c);
		assert_kept(c, n);
		assert_true(client_closed_within(c, 1000));
		client_close(c);
	}
	assert_all_left();
}

static void those_who_leave_cost_nothing(void **state)
{
	(void)state;
	fresh(MB);
	for (int i = 0; i < 60; i++) {
		struct client *c = client_open(server.port);

		assert_true(send_head(c, MB, ""));
		assert_true(client_send(c, bytes, (size_t)i * 17000));
		if (i % 3 == 0)
			client_half_close(c);
		else if (i % 3 == 1)
			client_nap(i % 5);
		if (i % 2 == 0)
			client_reset(c);
		else
			client_close(c);
	}
	assert_all_left();
}

/* ---- the body ---- */

static void a_body_may_be_cut_anywhere(void **state)
{
	static const size_t firsts[] = { 0, 1, 1000, 9000, 13000, 40000 };
	static const size_t steps[] = { 997, 4096, 20000, 65536 };
	struct client *c = client_open(server.port);
	const size_t n = 150000;

	(void)state;
	for (size_t i = 0; i < 24; i++) {
		size_t at = firsts[i % 6];

		fresh(n);
		assert_true(send_head(c, n, ""));
		assert_true(client_send(c, bytes, at));
		client_nap((int)(i % 4));
		for (size_t k; at < n; at += k) {
			k = n - at < steps[i / 6] ? n - at : steps[i / 6];
			assert_true(client_send(c, bytes + at, k));
			client_nap(at % 5 == 0);
		}
		assert_kept(c, n);
	}
	client_close(c);
}

static void whoever_waits_for_100_gets_it_once(void **state)
{
	struct client *c = client_open(server.port);
	struct answer a;
	int interim = 0;

	(void)state;
	fresh(100000);
	assert_true(send_head(c, 100000, "Expect: 100-continue\r\n"));
	assert_true(client_peek(c, 2000) > 0);
	assert_true(client_send(c, bytes, 100000));
	client_answer(c, false, &a, &interim);
	assert_int_equal(a.status, 201);
	assert_int_equal(interim, 1);
	answer_free(&a);
	assert_alive(c);
	client_close(c);
}

/* A refusal that comes while the body does: of a grid of sizes around what is read to its end. */
static void a_wrong_digest_is_answered_and_the_connection_lives_on(void **state)
{
	struct client *c = client_open(server.port);
	struct answer a;

	(void)state;
	for (size_t n = 40000; n < 3 * MB; n *= 3) {
		fresh(n);
		assert_true(send_put(c, n,
				     "Repr-Digest: sha-256=:"
				     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n"));
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status / 100, 4);
		answer_free(&a);
		assert_alive(c);
	}
	client_close(c);
}

/* What a client has said of its upload is used once the body is there. */
static void a_long_head_is_known_behind_the_body(void **state)
{
	static char metadata[6000], fields[6200];
	struct tus_upload u;
	struct answer a;
	char value[6100];

	(void)state;
	fresh(200000);
	memset(metadata, 'A', sizeof(metadata) - 1);
	memcpy(metadata, "name ", 5);
	metadata[5 + 4 * ((sizeof(metadata) - 6) / 4)] = '\0';
	(void)snprintf(fields, sizeof(fields), "Upload-Metadata: %s\r\n", metadata);
	assert_int_equal(tus_post(&server, "", 300000, fields, bytes, 200000, &u), 201);
	assert_int_equal(u.offset, 200000);
	tus_head(&u, &a);
	assert_true(answer_field(&a, "Upload-Metadata", value, sizeof(value)));
	assert_string_equal(value, metadata);
	answer_free(&a);
}

/* Nearly http.header_max, in nearly as many fields as there may be. */
static void a_long_head_of_many_fields_is_taken(void **state)
{
	struct client *c = client_open(server.port);
	static char fields[8000];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 95; i++)
		n += (size_t)snprintf(fields + n, sizeof(fields) - n, "X-%02d: %075d\r\n", i, i);
	for (int turn = 0; turn < 3; turn++) {
		struct answer a;

		fresh(100000);
		assert_true(send_put(c, 100000, fields));
		assert_kept(c, 100000);
		assert_true(client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n%s\r\n", fields));
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 200);
		answer_free(&a);
	}
	client_close(c);
}

/* ---- what it costs ---- */

#define SLOW 1000

static struct client *begin_slow(void)
{
	struct client *c = client_open(server.port);
	struct tus_upload u;
	struct answer a;

	assert_true(client_sendf(c, "POST /v1/uploads HTTP/1.1\r\nHost: t\r\n" TUS
				    "Upload-Length: 1000000\r\nContent-Length: 0\r\n\r\n"));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	tus_learn(&server, &a, &u);
	answer_free(&a);
	assert_true(client_sendf(c,
				 "PATCH %s HTTP/1.1\r\nHost: t\r\n" TUS_BYTES
				 "Upload-Offset: 0\r\nContent-Length: 1000000\r\n\r\nx",
				 u.path));
	return c;
}

static void a_slow_upload_costs_a_few_kilobytes(void **state)
{
	static struct client *c[SLOW];
	uint64_t before, after;

	(void)state;
	for (int i = 0; i < 100; i++) /* what the first of them cost is not given back */
		c[i] = begin_slow();
	client_nap(200);
	before = server_rss(&server);
	for (int i = 100; i < SLOW; i++)
		c[i] = begin_slow();
	client_nap(200);
	for (int i = 0; i < SLOW; i++)
		assert_true(client_send(c[i], "y", 1));
	client_nap(200);
	after = server_rss(&server);
	(void)printf("# %.1f KB each\n", (double)(after - before) / (SLOW - 100) / 1024);
	if (!SANITIZED)
		assert_in_range((after - before) / (SLOW - 100), 0, 16 * KB);
	for (int i = 0; i < SLOW; i++)
		client_close(c[i]);
	assert_all_left();
}

/* ---- connections that nothing comes on ---- */

static void parked_connections_are_heard_again(void **state)
{
	static struct client *c[200];
	char token[64];
	struct answer a;

	(void)state;
	for (int i = 0; i < 200; i++) {
		c[i] = client_open(server.port);
		assert_alive(c[i]);
		if (i % 4 == 0) /* the next one has begun */
			assert_true(client_sendf(c[i], "GET /healthz HTTP/1.1\r\n"));
	}
	client_nap(3500);
	fresh(MB);
	for (int i = 0; i < 200; i++) {
		if (i % 4 == 0) {
			assert_true(client_sendf(c[i], "Host: t\r\n\r\n"));
			client_answer(c[i], false, &a, NULL);
			assert_int_equal(a.status, 200);
			answer_free(&a);
		} else if (i % 4 == 1) {
			assert_true(send_put(c[i], 100000, ""));
			hear_put(c[i], token);
		} else if (i % 4 == 2) {
			client_half_close(c[i]);
			assert_true(client_closed_within(c[i], 1000));
		}
		if (i % 4 != 2)
			assert_alive(c[i]);
		client_close(c[i]);
	}
	assert_all_left();
}

/* ---- time, and the end ---- */

static void whoever_stalls_is_cut_in_time(void **state)
{
	struct client *c = client_open(server.port);

	(void)state;
	fresh(MB);
	assert_true(send_head(c, MB, ""));
	assert_true(client_send(c, bytes, 500000));
	assert_false(client_closed_within(c, 2500));
	assert_true(client_closed_within(c, 4000));
	client_close(c);
	assert_all_left();
}

static void whoever_asks_for_nothing_more_is_closed_in_time(void **state)
{
	struct client *c = client_open(server.port);

	(void)state;
	fresh(MB);
	assert_true(send_put(c, MB, ""));
	assert_kept(c, MB);
	assert_false(client_closed_within(c, 2500));
	assert_true(client_closed_within(c, 4000));
	client_close(c);
}

static void a_parked_connection_is_closed_in_time(void **state)
{
	struct client *c = client_open(server.port);
	const int64_t began = clock_mono_ms();

	(void)state;
	assert_alive(c);
	assert_true(client_closed_within(c, 8000));
	(void)printf("# closed after %d ms\n", (int)(clock_mono_ms() - began));
	client_close(c);
}

static void a_stopping_server_waits_for_bodies_and_for_nobody_else(void **state)
{
	struct client *idle = client_open(server.port), *busy = client_open(server.port);
	char token[64];

	(void)state;
	fresh(MB);
	assert_true(send_put(idle, MB, ""));
	hear_put(idle, token);
	assert_true(send_head(busy, MB, ""));
	assert_true(client_send(busy, bytes, 100000));
	client_nap(100);
	(void)kill(server.pid, SIGTERM);
	assert_true(client_closed_within(idle, 2000));
	assert_true(server_alive(&server));
	assert_true(client_send(busy, bytes + 100000, MB - 100000));
	hear_put(busy, token);
	assert_true(client_closed_within(busy, 2000));
	assert_int_equal(server_wait(&server, 5000), 0);
	client_close(idle);
	client_close(busy);
	server_again(&server);
}

static void a_server_in_a_hurry_cuts_bodies(void **state)
{
	struct client *c = client_open(server.port);

	(void)state;
	assert_true(send_head(c, MB, ""));
	assert_true(client_send(c, bytes, 100000));
	client_nap(100);
	(void)kill(server.pid, SIGTERM);
	client_nap(100);
	(void)kill(server.pid, SIGTERM);
	assert_int_equal(server_wait(&server, 5000), 0);
	client_close(c);
	server_again(&server);
}

int main(void)
{
	const struct CMUnitTest patient[] = {
		cmocka_unit_test(a_connection_lives_on_after_a_long_body),
		cmocka_unit_test(requests_behind_a_long_body_are_answered_in_their_order),
		cmocka_unit_test(the_next_head_may_begin_with_the_bodys_end),
		cmocka_unit_test(who_wants_to_be_the_last_is),
		cmocka_unit_test(who_asks_by_head_gets_no_body),
		cmocka_unit_test(whoever_sends_no_more_is_answered),
		cmocka_unit_test(those_who_leave_cost_nothing),
		cmocka_unit_test(a_body_may_be_cut_anywhere),
		cmocka_unit_test(whoever_waits_for_100_gets_it_once),
		cmocka_unit_test(a_wrong_digest_is_answered_and_the_connection_lives_on),
		cmocka_unit_test(a_long_head_is_known_behind_the_body),
		cmocka_unit_test(a_long_head_of_many_fields_is_taken),
		cmocka_unit_test(a_slow_upload_costs_a_few_kilobytes),
		cmocka_unit_test(parked_connections_are_heard_again),
		cmocka_unit_test(a_stopping_server_waits_for_bodies_and_for_nobody_else),
		cmocka_unit_test(a_server_in_a_hurry_cuts_bodies),
	};
	const struct CMUnitTest impatient[] = {
		cmocka_unit_test(whoever_stalls_is_cut_in_time),
		cmocka_unit_test(whoever_asks_for_nothing_more_is_closed_in_time),
		cmocka_unit_test(a_parked_connection_is_closed_in_time),
	};
	struct rlimit files = { 4096, 4096 };
	int failed;

	(void)setrlimit(RLIMIT_NOFILE, &files);
	failed = cmocka_run_group_tests_name("intake", patient, start_patient, stop);
	return failed +
	       cmocka_run_group_tests_name("intake, impatient", impatient, start_impatient, stop);
}
