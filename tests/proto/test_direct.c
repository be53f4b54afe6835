/* direct - long answers, which the server sends past its HTTP library: every byte arrives, at
 * whatever pace; who leaves or stalls costs nothing; and who asks for more is still heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
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

#define MB ((size_t)1 << 20)
#define PAGE ((size_t)256 << 10)
#define LONG (24 * PAGE) /* an answer that is longer is streamed */
#define MOST (33 * MB)

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

static int start_roomy(void **state)
{
	(void)state;
	return start("upload { min_free = 0; }\nhttp { timeout = 600s; stop_grace = 60s; }\n"
		     "fetch { cache = 256mb; memory = 256mb; }\n");
}

static int start_impatient(void **state)
{
	(void)state;
	return start("upload { min_free = 0; }\nhttp { timeout = 3s; }\n");
}

/* Where every page comes from the store, and answers may hold next to nothing. */
static int start_narrow(void **state)
{
	(void)state;
	return start("upload { min_free = 0; memory = 1mb; }\nhttp { timeout = 600s; }\n"
		     "fetch { cache = 0; memory = 1mb; }\n");
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	free(bytes);
	return 0;
}

/* Every one has bytes of its own. */
static struct placed place(size_t n)
{
	static uint64_t seed = 7000;
	struct placed p;

	fill_random(bytes, n, seed++);
	assert_int_equal(http_place(server.port, "?ttl=3600", bytes, n, &p), 201);
	return p;
}

static bool ask(struct client *c, const struct placed *p, const char *fields)
{
	return client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n%s\r\n", p->token, fields);
}

/* Asks, and takes next to nothing of the answer. */
static struct client *begin(const struct placed *p)
{
	const int little = 65536;
	struct client *c = client_open(server.port);

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_true(ask(c, p, ""));
	assert_true(client_peek(c, 5000) > 0);
	return c;
}

/* Takes the answer: all of what was placed last. */
static void assert_whole(struct client *c, const struct placed *p)
{
	struct answer a;

	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_true(a.whole);
	assert_int_equal(a.body_len, p->size);
	assert_memory_equal(a.body, bytes, p->size);
	answer_free(&a);
}

static void assert_all_left(int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (open_sockets(server.pid) > sockets && clock_mono_ms() < until)
		client_nap(10);
	assert_in_range(open_sockets(server.pid), 0, sockets);
}

static void assert_comes_down_to(const char *metric, uint64_t n)
{
	for (int i = 0; i < 300 && server_metric(&server, metric) > n; i++)
		client_nap(10);
	assert_in_range(server_metric(&server, metric), 0, n);
}

/* ---- every byte ---- */

static void every_size_around_a_page_arrives_whole(void **state)
{
	static const size_t sizes[] = { LONG + 1,          LONG + PAGE - 1, LONG + PAGE,
					LONG + PAGE + 1,   8 * MB - 1,      8 * MB,
					8 * MB + PAGE / 2, 16 * MB + 1,     32 * MB + 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct placed p = place(sizes[i]);

		/* from the store, on its way into memory, and from there */
		for (int turn = 0; turn < 3; turn++)
			assert_true(http_has(server.port, p.token, bytes, sizes[i]));
	}
}

static void a_range_of_any_length_arrives_whole(void **state)
{
	static const struct {
		size_t first, last;
	} ranges[] = { { 1, 16 * MB - 2 },
		       { PAGE - 1, LONG + PAGE },
		       { PAGE, LONG + PAGE },
		       { 3 * PAGE + 77, 16 * MB - 1 } };
	struct placed p = place(16 * MB);
	struct answer a;
	char field[64];

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		const size_t first = ranges[i].first, n = ranges[i].last - first + 1;
		struct client *c = client_open(server.port);

		(void)snprintf(field, sizeof(field), "Range: bytes=%zu-%zu\r\n", first,
			       ranges[i].last);
		assert_true(ask(c, &p, field));
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 206);
		assert_true(a.whole);
		assert_int_equal(a.body_len, n);
		assert_memory_equal(a.body, bytes + first, n);
		answer_free(&a);
		client_close(c);
	}
}

static void long_ranges_come_as_parts(void **state)
{
	struct placed p = place(20 * MB);
	struct client *c = client_open(server.port);
	struct part parts[4];
	struct answer a;

	(void)state;
	assert_true(ask(c, &p, "Range: bytes=100-9000000,19000000-20000000,5-5,-3\r\n"));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 206);
	assert_true(a.whole);
	assert_int_equal(answer_parts(&a, parts, 4), 4);
	for (int i = 0; i < 4; i++)
		assert_memory_equal(parts[i].data, bytes + parts[i].first,
				    parts[i].last - parts[i].first + 1);
	answer_free(&a);
	client_close(c);
}

/* Stalls for longer than pieces are held while memory is short, more than once. */
static void a_slow_reader_gets_every_byte(void **state)
{
	struct placed p = place(12 * MB);
	struct client *c = begin(&p);
	uint8_t *got = malloc(13 * MB);
	size_t n = 0;
	ssize_t k = 1;

	(void)state;
	assert_non_null(got);
	for (int naps = 0; k > 0; n += (size_t)k) {
		if (n > (size_t)(naps + 1) * 3 * MB && naps++ < 3)
			client_nap(2500);
		k = recv(c->fd, got + n, 13 * MB - n, 0);
		assert_true(k >= 0);
	}
	assert_true(c->len == 0 && n > p.size); /* begin() has only peeked */
	assert_memory_equal(got + n - p.size, bytes, p.size);
	free(got);
	client_close(c);
}

static void many_are_served_at_once(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c[24];

	(void)state;
	for (size_t i = 0; i < 24; i++)
		c[i] = begin(&p);
	for (size_t i = 0; i < 24; i++) {
		assert_whole(c[i], &p);
		client_close(c[i]);
	}
	assert_all_left(2000);
}

/* ---- the connection ---- */

static void a_long_answer_is_the_last_on_its_connection_and_says_so(void **state)
{
	struct placed small = place(1000), p = place(8 * MB);
	struct client *c = client_open(server.port);
	struct answer a;
	char value[32];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(ask(c, &small, ""));
		client_answer(c, false, &a, NULL);
		assert_true(a.whole);
		assert_false(answer_field(&a, "Connection", value, sizeof(value)));
		answer_free(&a);
	}
	assert_true(ask(c, &p, "Origin: http://a.example\r\n"));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_true(a.whole);
	assert_memory_equal(a.body, bytes, p.size);
	assert_true(answer_field(&a, "Connection", value, sizeof(value)));
	assert_string_equal(value, "close");
	assert_true(answer_field(&a, "Vary", value, sizeof(value)));
	assert_true(answer_field(&a, "Access-Control-Allow-Origin", value, sizeof(value)));
	assert_string_equal(value, "*");
	answer_free(&a);
	assert_true(client_closed_within(c, 1000));
	client_close(c);
}

static void its_head_alone_keeps_the_connection(void **state)
{
	struct placed p = place(8 * MB);
	struct client *c = client_open(server.port);
	struct answer a;
	char value[32];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(
			client_sendf(c, "HEAD /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", p.token));
		client_answer(c, true, &a, NULL);
		assert_int_equal(a.status, 200);
		assert_true(answer_field(&a, "Content-Length", value, sizeof(value)));
		assert_int_equal(strtoul(value, NULL, 10), 8 * MB);
		answer_free(&a);
	}
	client_close(c);
}

static void whoever_has_asked_for_more_already_gets_it(void **state)
{
	struct placed p = place(8 * MB);
	struct client *c = client_open(server.port);

	(void)state;
	assert_true(client_sendf(c,
				 "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n"
				 "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
				 p.token, p.token));
	assert_whole(c, &p);
	assert_whole(c, &p);
	client_close(c);
}

/* What comes meanwhile would make the kernel throw the end of the answer away. */
static void whoever_asks_for_more_meanwhile_gets_the_whole_of_the_first(void **state)
{
	struct placed p = place(8 * MB);

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct client *c = begin(&p);

		assert_true(ask(c, &p, ""));
		assert_true(ask(c, &p, ""));
		assert_whole(c, &p);
		client_close(c);
	}
	assert_all_left(4000);
}

static void whoever_sends_no_more_is_answered(void **state)
{
	struct placed p = place(8 * MB);
	struct client *c = client_open(server.port);

	(void)state;
	assert_true(ask(c, &p, ""));
	client_half_close(c);
	assert_whole(c, &p);
	client_close(c);
	c = begin(&p);
	client_half_close(c);
	assert_whole(c, &p);
	client_close(c);
}

static void http_1_0_is_answered(void **state)
{
	struct placed p = place(8 * MB);
	struct client *c = client_open(server.port);
	struct answer a;
	char value[32];

	(void)state;
	assert_true(client_sendf(c, "GET /v1/media/%s HTTP/1.0\r\n\r\n", p.token));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_true(answer_field(&a, "Content-Length", value, sizeof(value)));
	assert_false(answer_field(&a, "Transfer-Encoding", value, sizeof(value)));
	assert_int_equal(a.body_len, p.size);
	assert_memory_equal(a.body, bytes, p.size);
	answer_free(&a);
	assert_true(client_closed_within(c, 1000));
	client_close(c);
}

/* ---- those who do not take it ---- */

static void those_who_leave_cost_nothing(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c[60];

	(void)state;
	for (size_t i = 0; i < 60; i++)
		c[i] = begin(&p);
	assert_int_equal(open_sockets(server.pid), sockets + 60);
	for (size_t i = 0; i < 60; i++)
		(i % 2 == 0 ? client_close : client_reset)(c[i]);
	assert_all_left(3000);
	assert_comes_down_to("restante_chunk_memory_bytes",
			     server_metric(&server, "restante_cache_bytes"));
	assert_true(http_has(server.port, p.token, bytes, p.size));
}

static void whoever_takes_nothing_is_cut_in_time(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c = begin(&p);
	struct answer a;

	(void)state;
	client_nap(1500);
	assert_int_equal(open_sockets(server.pid), sockets + 1);
	assert_all_left(5000);
	client_answer(c, false, &a, NULL);
	assert_false(a.whole);
	answer_free(&a);
	client_close(c);
}

/* Beyond what is shared, and what the kernel has. */
static void a_stalled_reader_costs_a_few_kilobytes(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c[800];
	uint64_t before, after;

	(void)state;
	for (int turn = 0; turn < 3; turn++)
		assert_true(http_has(server.port, p.token, bytes, p.size));
	for (size_t i = 0; i < 100; i++) /* what the first of them cost is not given back */
		c[i] = begin(&p);
	before = server_rss(&server);
	for (size_t i = 100; i < 800; i++)
		c[i] = begin(&p);
	after = server_rss(&server);
	if (getenv("SAN") == NULL || getenv("SAN")[0] == '\0')
		assert_in_range((after - before) / 700, 0, 8192);
	for (size_t i = 0; i < 800; i++)
		client_close(c[i]);
	assert_all_left(5000);
}

static void what_was_sent_is_counted(void **state)
{
	struct placed p = place(8 * MB);
	const uint64_t before = server_metric(&server, "restante_sent_bytes_total");
	struct client *c = begin(&p);

	(void)state;
	client_reset(c);
	assert_all_left(3000);
	assert_true(server_metric(&server, "restante_sent_bytes_total") < before + MB);
	assert_true(http_has(server.port, p.token, bytes, p.size));
	assert_all_left(3000);
	assert_in_range(server_metric(&server, "restante_sent_bytes_total"), before + p.size,
			before + p.size + MB);
}

/* ---- answers whose end nobody knows yet ---- */

/* An upload of unknown length of which n bytes are there, and somebody who follows it and has got
 * those. */
static struct client *follow(struct tus_upload *u, const char *version, size_t n)
{
	struct client *c = client_open(server.port);
	uint8_t got[4096];
	size_t k = 0;

	fill_random(bytes, MOST, 99);
	assert_int_equal(tus_create(&server, TUS_DEFERRED, "", u), 201);
	assert_int_equal(tus_patch(u, 0, bytes, n), 204);
	assert_true(
		client_sendf(c, "GET /v1/media/%s HTTP/%s\r\nHost: t\r\n\r\n", u->token, version));
	/* its head may come by itself */
	while (k < n && k < sizeof(got)) {
		assert_true(client_peek(c, 5000) > 0);
		k = (size_t)recv(c->fd, got, sizeof(got), MSG_PEEK);
		client_nap(5);
	}
	return c;
}

static void finish(const struct tus_upload *u, size_t from, size_t to)
{
	char length[64];
	struct answer a;

	(void)snprintf(length, sizeof(length), "Upload-Length: %zu\r\n", to);
	tus_patch_answer(u, from, length, bytes + from, to - from, &a);
	assert_int_equal(a.status, 204);
	answer_free(&a);
}

static void assert_followed(struct client *c, size_t n, bool chunked)
{
	struct answer a;
	char value[32];

	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_false(answer_field(&a, "Content-Length", value, sizeof(value)));
	assert_int_equal(answer_field(&a, "Transfer-Encoding", value, sizeof(value)), chunked);
	assert_true(a.whole);
	assert_int_equal(a.body_len, n);
	assert_memory_equal(a.body, bytes, n);
	answer_free(&a);
	assert_true(client_closed_within(c, 1000));
	client_close(c);
}

static void what_is_followed_ends_with_the_last_chunk(void **state)
{
	static const size_t steps[] = { 1, PAGE - 1, PAGE, 2 * MB + 5, 9 * MB };
	struct tus_upload u;
	struct client *c = follow(&u, "1.1", 10);
	size_t at = 10;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(tus_patch(&u, at, bytes + at, steps[i]), 204);
		at += steps[i];
	}
	finish(&u, at, at + 3);
	assert_followed(c, at + 3, true);
}

static void http_1_0_follows_to_the_end_of_the_connection(void **state)
{
	struct tus_upload u;
	struct client *c = follow(&u, "1.0", 10);

	(void)state;
	assert_int_equal(tus_patch(&u, 10, bytes + 10, MB), 204);
	finish(&u, MB + 10, 2 * MB);
	assert_followed(c, 2 * MB, false);
}

/* Whether the connection ends with a reset: an orderly end would be taken for that of the answer.
 */
static bool is_reset(struct client *c)
{
	uint8_t waste[4096];
	ssize_t k;

	do
		k = recv(c->fd, waste, sizeof(waste), 0);
	while (k > 0);
	return k < 0 && errno == ECONNRESET;
}

static void http_1_0_takes_no_part_for_the_whole(void **state)
{
	struct tus_upload u;
	struct client *c = follow(&u, "1.0", 100000);

	(void)state;
	assert_int_equal(tus_delete(&u), 204);
	assert_true(is_reset(c));
	client_close(c);
	c = follow(&u, "1.0", 100000);
	server_kill(&server);
	assert_true(is_reset(c));
	client_close(c);
	server_again(&server);
}

static void http_1_1_takes_no_part_for_the_whole(void **state)
{
	struct tus_upload u;
	struct client *c = follow(&u, "1.1", 100000);
	struct answer a;

	(void)state;
	assert_int_equal(tus_delete(&u), 204);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_false(a.whole);
	answer_free(&a);
	client_close(c);
}

static void who_leaves_while_nothing_comes_is_seen_to(void **state)
{
	struct tus_upload u;
	struct client *c;

	(void)state;
	for (int i = 0; i < 4; i++) {
		c = follow(&u, i < 2 ? "1.1" : "1.0", 5000);
		(i % 2 == 0 ? client_close : client_reset)(c);
		assert_all_left(1000);
		finish(&u, 5000, 6000);
	}
}

/* ---- the end of the server ---- */

static void a_stopping_server_sends_to_the_end(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c = begin(&p);

	(void)state;
	(void)kill(server.pid, SIGTERM);
	client_nap(300);
	assert_true(server_alive(&server));
	assert_whole(c, &p);
	client_close(c);
	assert_int_equal(server_wait(&server, 5000), 0);
	server_again(&server);
}

static void a_server_in_a_hurry_cuts(void **state)
{
	struct placed p = place(16 * MB);
	struct client *c = begin(&p);
	struct answer a;

	(void)state;
	(void)kill(server.pid, SIGTERM);
	client_nap(100);
	(void)kill(server.pid, SIGTERM);
	assert_int_equal(server_wait(&server, 5000), 0);
	client_answer(c, false, &a, NULL);
	assert_false(a.whole);
	answer_free(&a);
	client_close(c);
	server_again(&server);
}

int main(void)
{
	const struct CMUnitTest roomy[] = {
		cmocka_unit_test(every_size_around_a_page_arrives_whole),
		cmocka_unit_test(a_range_of_any_length_arrives_whole),
		cmocka_unit_test(long_ranges_come_as_parts),
		cmocka_unit_test(many_are_served_at_once),
		cmocka_unit_test(a_long_answer_is_the_last_on_its_connection_and_says_so),
		cmocka_unit_test(its_head_alone_keeps_the_connection),
		cmocka_unit_test(whoever_has_asked_for_more_already_gets_it),
		cmocka_unit_test(whoever_asks_for_more_meanwhile_gets_the_whole_of_the_first),
		cmocka_unit_test(whoever_sends_no_more_is_answered),
		cmocka_unit_test(http_1_0_is_answered),
		cmocka_unit_test(those_who_leave_cost_nothing),
		cmocka_unit_test(a_stalled_reader_costs_a_few_kilobytes),
		cmocka_unit_test(what_was_sent_is_counted),
		cmocka_unit_test(what_is_followed_ends_with_the_last_chunk),
		cmocka_unit_test(http_1_0_follows_to_the_end_of_the_connection),
		cmocka_unit_test(http_1_0_takes_no_part_for_the_whole),
		cmocka_unit_test(http_1_1_takes_no_part_for_the_whole),
		cmocka_unit_test(who_leaves_while_nothing_comes_is_seen_to),
		cmocka_unit_test(a_stopping_server_sends_to_the_end),
		cmocka_unit_test(a_server_in_a_hurry_cuts),
	};
	const struct CMUnitTest impatient[] = {
		cmocka_unit_test(whoever_takes_nothing_is_cut_in_time),
	};
	const struct CMUnitTest narrow[] = {
		cmocka_unit_test(every_size_around_a_page_arrives_whole),
		cmocka_unit_test(long_ranges_come_as_parts),
		cmocka_unit_test(a_slow_reader_gets_every_byte),
		cmocka_unit_test(many_are_served_at_once),
		cmocka_unit_test(those_who_leave_cost_nothing),
		cmocka_unit_test(a_stopping_server_sends_to_the_end),
	};
	struct rlimit files = { 4096, 4096 };
	int failed;

	(void)setrlimit(RLIMIT_NOFILE, &files);
	failed = cmocka_run_group_tests_name("direct", roomy, start_roomy, stop);
	failed +=
		cmocka_run_group_tests_name("direct, impatient", impatient, start_impatient, stop);
	return failed + cmocka_run_group_tests_name("direct, narrow", narrow, start_narrow, stop);
}
