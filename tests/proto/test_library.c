/* What libmicrohttpd does wrong (doc/architecture.md, "Ten bugs"), and that we do not suffer of
 * it: one test a bug. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define MB ((size_t)1 << 20)
#define MEMORY "upload { min_free = 0; }\nstore { engine = memory; }\n"

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(int ms)
{
	(void)poll(NULL, 0, ms);
}

/* Waits until `metric` is at most `limit`; the milliseconds that took, or -1. */
static int64_t await_at_most(struct test_server *s, const char *metric, uint64_t limit, int ms)
{
	const int64_t began = now_ms();

	while (server_metric(s, metric) > limit) {
		if (now_ms() - began > ms)
			return -1;
		nap(20);
	}
	return now_ms() - began;
}

/* ---- load: many connections, each asking again as soon as it has its answer ---- */

#define LOAD_MAX 256
static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";

struct load {
	int port, count, epoll;
	atomic_bool stop;
	bool gone; /* nobody listens any more */
	uint64_t answers;
	int fds[LOAD_MAX];
};

static void load_open(struct load *l, uint32_t i)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->port) };
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->fds[i] = -1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		l->gone = true;
		(void)close(fd);
		return;
	}
	l->fds[i] = fd;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
	(void)send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL);
}

static void load_hear(struct load *l, uint32_t i)
{
	char text[2048];
	ssize_t n = recv(l->fds[i], text, sizeof(text), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		(void)close(l->fds[i]);
		load_open(l, i);
		return;
	}
	if (n >= 3 && memcmp(text + n - 3, "ok\n", 3) == 0) {
		l->answers++;
		(void)send(l->fds[i], ask, sizeof(ask) - 1, MSG_NOSIGNAL);
	}
}

static void load_run(struct load *l, int ms)
{
	const int64_t until = now_ms() + ms;
	struct epoll_event ev[LOAD_MAX];

	while (now_ms() < until && !atomic_load(&l->stop) && !l->gone) {
		int n = epoll_wait(l->epoll, ev, LOAD_MAX, 20);

		for (int k = 0; k < n && !l->gone; k++)
			load_hear(l, ev[k].data.u32);
	}
}

static void load_init(struct load *l, int port, int count)
{
	*l = (struct load){ .port = port, .count = count, .epoll = epoll_create1(EPOLL_CLOEXEC) };
	for (int i = 0; i < count; i++)
		load_open(l, (uint32_t)i);
}

static void load_fini(struct load *l)
{
	for (int i = 0; i < l->count; i++)
		if (l->fds[i] >= 0)
			(void)close(l->fds[i]);
	(void)close(l->epoll);
}

static uint64_t answers_with(int port, int connections, int ms)
{
	struct load l;

	load_init(&l, port, connections);
	load_run(&l, 100);
	l.answers = 0;
	load_run(&l, ms);
	load_fini(&l);
	return l.answers;
}

/* ---- B1 ---- */

static void b1_128_busy_connections_are_not_stalled(void **state)
{
	static const struct test_server_options o = { .config = MEMORY "http { loops = 1; }\n" };
	struct test_server s;
	uint64_t with_127 = 0, with_128 = 0;

	(void)state;
	server_start(&s, &o);
	for (int i = 0; i < 3; i++) {
		with_127 += answers_with(s.port, 127, 400);
		with_128 += answers_with(s.port, 128, 400);
	}
	print_message("# B1: 127 connections %llu answers, 128 %llu\n",
		      (unsigned long long)with_127, (unsigned long long)with_128);
	assert_true(with_127 > 0);
	assert_true((double)with_128 > 0.3 * (double)with_127);
	server_remove(&s);
}

/* ---- B2 ---- */

static void *load_main(void *arg)
{
	load_run(arg, 30000);
	return NULL;
}

static void stop_under_load(const char *config)
{
	struct test_server_options o = { .config = config };
	struct test_server s;
	struct load l;
	pthread_t t;

	server_start(&s, &o);
	load_init(&l, s.port, 64);
	assert_int_equal(pthread_create(&t, NULL, load_main, &l), 0);
	nap(60);
	assert_int_equal(server_stop(&s), 0);
	atomic_store(&l.stop, true);
	(void)pthread_join(t, NULL);
	assert_true(l.answers > 0);
	load_fini(&l);
	server_remove(&s);
}

static void b2_stopping_under_load_never_aborts(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		stop_under_load(MEMORY);
		/* at the connection limit the library's own listening was worst */
		stop_under_load(MEMORY "http { connections = 60; }\n");
	}
}

/* ---- B3, B4 ---- */

static void sixteen_ranges(char *out, uint64_t step, uint64_t length)
{
	out += sprintf(out, "Range: bytes=");
	for (uint64_t i = 0; i < 16; i++)
		out += sprintf(out, "%s%llu-%llu", i > 0 ? "," : "",
			       (unsigned long long)(i * step + 7),
			       (unsigned long long)(i * step + 7 + length - 1));
	(void)sprintf(out, "\r\n");
}

/* Every part is there, with the right bytes. */
static void is_multipart(const struct answer *a, const uint8_t *blob, uint64_t step, size_t length)
{
	const uint8_t *p = a->body, *end = a->body + a->body_len;

	assert_true(a->whole);
	for (uint64_t i = 0; i < 16; i++) {
		p = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
		assert_non_null(p);
		p += 4;
		assert_true((size_t)(end - p) > length);
		assert_memory_equal(p, blob + i * step + 7, length);
		p += length;
	}
}

/* Heads of all sizes up to the limit and beyond, each leaving less of the connection's memory. */
static void with_large_heads(struct test_server *s, const char *token, const char *range,
			     int *answered, int *refused)
{
	char filler[17000];

	for (size_t n = 0; n < 16600; n += 199) {
		struct client *c = client_open(s->port);
		struct answer a;

		memset(filler, 'f', n);
		filler[n] = '\0';
		(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n%sX-F: %s\r\n\r\n",
				   token, range, filler);
		client_answer(c, false, &a, NULL);
		if (a.status == 200 || a.status == 206) {
			assert_true(a.whole);
			++*answered;
		} else {
			assert_true(a.status == 431 || a.status == 0);
			++*refused;
		}
		answer_free(&a);
		client_close(c);
	}
}

static void b3_many_pieces_beside_a_large_head_do_not_abort(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	struct test_server s;
	uint8_t *blob = malloc(16 * MB);
	char token[64], range[1024];
	struct answer a;
	int answered = 0, refused = 0;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 16 * MB, 3);
	server_start(&s, &o);
	/* 33 pieces: sixteen parts, and the text around them */
	assert_int_equal(http_put(s.port, "", blob, MB, token), 201);
	sixteen_ranges(range, 60000, 1000);
	with_large_heads(&s, token, range, &answered, &refused);
	assert_true(answered >= 30);
	assert_true(refused >= 30);
	/* 64 pieces: as many chunks */
	assert_int_equal(http_put(s.port, "", blob, 16 * MB, token), 201);
	for (size_t n = 0; n < 8000; n += 1990) {
		char fields[8192], target[80];

		(void)snprintf(fields, sizeof(fields), "X-F: %0*d\r\n", (int)n, 0);
		(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
		http_get(s.port, target, fields, &a);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body_len, 16 * MB);
		assert_memory_equal(a.body, blob, 16 * MB);
		answer_free(&a);
	}
	free(blob);
	server_remove(&s);
}

/* What else takes of the pool that the list of pieces must fit into: each field, each cookie. */
static void fields_and_cookies(char *out, size_t fields, size_t cookies, size_t filler)
{
	char *p = out;

	for (size_t i = 0; i < fields; i++)
		p += sprintf(p, "A%zu: b\r\n", i);
	if (cookies > 0)
		p += sprintf(p, "Cookie: ");
	for (size_t i = 0; i < cookies; i++)
		p += sprintf(p, "%sa", i > 0 ? ";" : "");
	if (cookies > 0)
		p += sprintf(p, "\r\n");
	(void)sprintf(p, "X-F: %0*d\r\n", (int)filler, 0);
}

static void b3_many_fields_and_cookies_do_not_abort(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	static const size_t fields[] = { 20, 60, 80, 94 }, cookies[] = { 0, 50, 90, 400, 800 };
	struct test_server s;
	uint8_t *blob = malloc(16 * MB);
	char token[64], text[16384], target[80];
	struct client *c;
	struct answer a;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 16 * MB, 3);
	server_start(&s, &o);
	assert_int_equal(http_put(s.port, "", blob, 16 * MB, token), 201);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	for (int i = 0; i < 3; i++) { /* until all of its 64 pages are in memory */
		http_get(s.port, target, "", &a);
		assert_int_equal(a.status, 200);
		answer_free(&a);
	}
	for (size_t f = 0; f < 4; f++)
		for (size_t k = 0; k < 5; k++)
			for (size_t n = 1; n < 7600; n += 61) {
				fields_and_cookies(text, fields[f], cookies[k], n);
				c = client_open(s.port);
				(void)client_sendf(c, "GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n",
						   target, text);
				(void)client_peek(c, 2000);
				client_reset(c);
			}
	assert_true(server_alive(&s));
	http_get(s.port, target, "", &a);
	assert_int_equal(a.status, 200);
	assert_memory_equal(a.body, blob, 16 * MB);
	answer_free(&a);
	free(blob);
	server_remove(&s);
}

static void b4_many_pieces_are_sent_to_the_last(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	/* pieces: 33; about 64, and more; so many that they go in blocks */
	static const size_t lengths[] = { 1, 200000, 500000, 700000, 1000000 };
	struct test_server s;
	uint8_t *blob = malloc(17 * MB);
	char token[64], range[1024], target[80];
	struct answer a;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 17 * MB, 4);
	server_start(&s, &o);
	assert_int_equal(http_put(s.port, "", blob, 17 * MB, token), 201);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		sixteen_ranges(range, 1048576, lengths[i]);
		for (int again = 0; again < 2; again++) {
			http_get(s.port, target, range, &a);
			assert_int_equal(a.status, 206);
			is_multipart(&a, blob, 1048576, lengths[i]);
			answer_free(&a);
		}
	}
	http_get(s.port, target, "", &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, 17 * MB);
	assert_memory_equal(a.body, blob, 17 * MB);
	answer_free(&a);
	free(blob);
	server_remove(&s);
}

/* ---- B5 ---- */

static void leave_together_with(struct test_server *s, const char *raw, size_t n, int pause_ms)
{
	for (int i = 0; i < 20; i++) {
		struct client *c = client_open(s->port);

		if (pause_ms > 0) { /* head first, the rest together with the FIN */
			const char *body = strstr(raw, "\r\n\r\n") + 4;

			assert_true(client_send(c, raw, (size_t)(body - raw)));
			nap(pause_ms);
			assert_true(send(c->fd, body, n - (size_t)(body - raw), MSG_MORE) > 0);
		} else {
			assert_true(send(c->fd, raw, n, MSG_MORE) > 0);
		}
		client_close(c);
	}
}

static void b5_an_end_together_with_the_last_data_is_seen_at_once(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	static const char with_length[] =
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nsome of it";
	static const char chunked[] = "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				      "Transfer-Encoding: chunked\r\n\r\n64\r\nsome of it";
	struct test_server s;
	int64_t took[4];

	(void)state;
	server_start(&s, &o);
	for (int i = 0; i < 4; i++) {
		const char *raw = i < 2 ? with_length : chunked;

		leave_together_with(&s, raw, strlen(raw), i % 2 == 0 ? 0 : 5);
		/* one is the connection that asks */
		took[i] = await_at_most(&s, "restante_connections_open", 1, 5000);
	}
	print_message("# B5: gone after %d and %d ms, chunked %d and %d ms\n", (int)took[0],
		      (int)took[1], (int)took[2], (int)took[3]);
	for (int i = 0; i < 4; i++) {
		assert_true(took[i] >= 0);
		assert_true(took[i] <= (i < 2 ? 1000 : 3500));
	}
	assert_int_equal(server_metric(&s, "restante_uploads_finished_total"), 0);
	assert_int_equal(server_metric(&s, "restante_upload_memory_bytes"), 0);
	server_remove(&s);
}

static void b5_a_client_that_half_closes_after_its_request_is_answered(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	static const struct {
		const char *raw;
		int status;
	} cases[] = {
		{ "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", 200 },
		{ "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", 201 },
		{ "PUT /v1/media HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "5\r\nhello\r\n0\r\n\r\n",
		  201 },
		{ "PUT /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", 404 },
	};
	struct test_server s;

	(void)state;
	server_start(&s, &o);
	for (int round = 0; round < 10; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct client *c = client_open(s.port);
			struct answer a;

			assert_true(send(c->fd, cases[i].raw, strlen(cases[i].raw), MSG_MORE) > 0);
			client_half_close(c);
			client_answer(c, false, &a, NULL);
			if (a.status != cases[i].status || !a.whole)
				fail_msg("%d instead of %d for %s", a.status, cases[i].status,
					 cases[i].raw);
			answer_free(&a);
			client_close(c);
		}
	server_remove(&s);
}

/* ---- B6 ---- */

static void b6_head_leaves_the_connection_usable(void **state)
{
	static const struct test_server_options o = { .config = MEMORY };
	struct test_server s;
	uint8_t *blob = malloc(17 * MB);
	char token[2][64];
	char target[5][80] = { "/healthz", "/nowhere", "/v1/media/x", "", "" };
	struct client *c;
	struct answer a;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 17 * MB, 6);
	server_start(&s, &o);
	assert_int_equal(http_put(s.port, "", blob, 1000, token[0]), 201);
	assert_int_equal(http_put(s.port, "", blob, 17 * MB, token[1]), 201);
	(void)snprintf(target[3], sizeof(target[3]), "/v1/media/%s", token[0]);
	(void)snprintf(target[4], sizeof(target[4]), "/v1/media/%s", token[1]);
	c = client_open(s.port);
	for (int i = 0; i < 20; i++) {
		client_sendf(c, "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\n", target[i % 5]);
		client_answer(c, true, &a, NULL);
		assert_int_equal(a.status, i % 5 == 1 || i % 5 == 2 ? 404 : 200);
		answer_free(&a);
		/* not a byte too many */
		client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
		client_answer(c, false, &a, NULL);
		assert_int_equal(a.status, 200);
		assert_string_equal((char *)a.body, "ok\n");
		answer_free(&a);
	}
	client_close(c);
	free(blob);
	server_remove(&s);
}

/* ---- B7 ---- */

#define WAITING 20

/* Uploads and fetches that wait for a slow store when the server is told to stop. */
static void stop_while_waiting(bool hurry)
{
	static const struct test_server_options o = { .config = "upload { min_free = 0; }\n",
						      .faults = "inner=memory;delay_ms=300" };
	struct test_server s;
	struct client *c[WAITING];
	struct answer a;
	char token[64];

	server_start(&s, &o);
	http_request(s.port, "PUT", "/v1/media", "", "hello", 5, &a);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "manage_token", token, sizeof(token)));
	answer_free(&a);
	for (int i = 0; i < WAITING; i++) {
		c[i] = client_open(s.port);
		if (i % 2 == 0)
			client_sendf(c[i], "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
					   "Content-Length: 5\r\n\r\nhello");
		else
			client_sendf(c[i], "DELETE /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
				     token);
	}
	nap(120);
	(void)kill(s.pid, SIGTERM);
	if (hurry) {
		nap(30);
		(void)kill(s.pid, SIGTERM);
	}
	for (int i = 0; i < WAITING; i++) {
		client_answer(c[i], false, &a, NULL);
		if (!hurry) {
			char field[32];

			/* one of those that delete is the first */
			assert_true(i % 2 == 0 ? a.status == 201
					       : a.status == 204 || a.status == 404);
			assert_true(answer_field(&a, "Connection", field, sizeof(field)));
			assert_string_equal(field, "close");
		}
		answer_free(&a);
		client_close(c[i]);
	}
	assert_int_equal(server_wait(&s, 10000), 0);
	server_remove(&s);
}

static void b7_stopping_while_requests_wait_does_not_abort(void **state)
{
	(void)state;
	stop_while_waiting(false);
	stop_while_waiting(true);
}

/* ---- B8 ---- */

static int listening_socket(int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void b8_an_inherited_socket_survives_the_stop(void **state)
{
	struct test_server_options o = { .config = MEMORY, .listen = "" };
	struct test_server s;
	struct client *c;
	struct answer a;
	int port, taken;

	(void)state;
	o.inherited = listening_socket(&port);
	server_start(&s, &o);
	assert_int_equal(s.port, port);
	http_get(port, "/healthz", "", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	assert_int_equal(server_stop(&s), 0);
	/* it still queues clients, and whoever has it next takes them */
	c = client_open(port);
	client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
	server_again(&s);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	client_close(c);
	assert_int_equal(server_stop(&s), 0);
	c = client_open(port);
	taken = accept(o.inherited, NULL, NULL);
	assert_true(taken >= 0);
	(void)close(taken);
	client_close(c);
	(void)close(o.inherited);
	server_remove(&s);
}

/* ---- B9 ---- */

static void b9_stalled_transfers_burn_no_cpu(void **state)
{
	static const struct test_server_options o = { .config = MEMORY "fetch { cache = 1mb; }\n" };
	struct test_server s;
	uint8_t *blob = malloc(48 * MB);
	struct client *c[24];
	char token[64];
	uint64_t before, burnt;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 48 * MB, 9);
	server_start(&s, &o);
	assert_int_equal(http_put(s.port, "", blob, 48 * MB, token), 201);
	for (int i = 0; i < 24; i++) {
		c[i] = client_open(s.port);
		if (i % 3 == 0)
			client_sendf(c[i], "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", token);
		else if (i % 3 == 1)
			client_sendf(c[i], "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
					   "Content-Length: 3000000\r\n\r\n");
		else
			client_sendf(c[i], "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
					   "Transfer-Encoding: chunked\r\n\r\n200000\r\n");
		if (i % 3 != 0)
			assert_true(client_send(c[i], blob, 600000));
	}
	nap(700);
	before = server_cpu_ms(&s);
	nap(2000);
	burnt = server_cpu_ms(&s) - before;
	print_message("# B9: %d ms of CPU in 2 s\n", (int)burnt);
	assert_true(burnt <= 200);
	for (int i = 0; i < 24; i++)
		client_close(c[i]);
	assert_true(await_at_most(&s, "restante_connections_open", 1, 5000) >= 0);
	free(blob);
	server_remove(&s);
}

static void b9_waiting_for_a_slow_store_burns_no_cpu(void **state)
{
	static const struct test_server_options o = {
		.config = "upload { min_free = 0; }\nhttp { stop_grace = 0; }\n",
		.faults = "inner=memory;delay_ms=1500"
	};
	struct test_server s;
	uint8_t *blob = malloc(4 * MB);
	struct client *c[8];
	uint64_t before, burnt;

	(void)state;
	assert_non_null(blob);
	fill_random(blob, 4 * MB, 10);
	server_start(&s, &o);
	for (int i = 0; i < 8; i++) {
		c[i] = client_open(s.port);
		client_sendf(c[i],
			     "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n",
			     4 * MB);
		(void)send(c[i]->fd, blob, 4 * MB, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	nap(300);
	before = server_cpu_ms(&s);
	nap(1000);
	burnt = server_cpu_ms(&s) - before;
	print_message("# B9: %d ms of CPU in 1 s\n", (int)burnt);
	assert_true(burnt <= 200);
	for (int i = 0; i < 8; i++)
		client_close(c[i]);
	free(blob);
	server_kill(&s);
	server_remove(&s);
}

/* ---- B10 ---- */

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static void b10_a_malformed_head_is_answered_once_or_twice_and_closed(void **state)
{
	static const char *const raw[] = {
		"GET /healthz HTTP/1.1\r\n\r\n",
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\nhello",
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 5\r\n\r\nhello",
		"PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\nhello",
		"GET /healthz HTTP/1.1\r\nHost: t\r\nnonsense\r\n\r\n",
	};
	static const struct test_server_options o = { .config = MEMORY };
	struct test_server s;

	(void)state;
	server_start(&s, &o);
	for (size_t i = 0; i < 10 * sizeof(raw) / sizeof(raw[0]); i++) {
		struct client *c = client_open(s.port);
		char text[4096];
		size_t n = 0;
		ssize_t k;

		client_sendf(c, "%s", raw[i % 5]);
		while (n < sizeof(text) - 1 &&
		       (k = recv(c->fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
			n += (size_t)k;
		text[n] = '\0';
		assert_int_equal(k == 0 || errno != EAGAIN, 1); /* closed, not timed out */
		assert_in_range(count(text, "HTTP/1.1 400 "), 1, 2);
		assert_int_equal(count(text, "HTTP/1.1 "), count(text, "HTTP/1.1 400 "));
		client_close(c);
	}
	assert_true(await_at_most(&s, "restante_connections_open", 1, 5000) >= 0);
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b1_128_busy_connections_are_not_stalled),
		cmocka_unit_test(b2_stopping_under_load_never_aborts),
		cmocka_unit_test(b3_many_pieces_beside_a_large_head_do_not_abort),
		cmocka_unit_test(b3_many_fields_and_cookies_do_not_abort),
		cmocka_unit_test(b4_many_pieces_are_sent_to_the_last),
		cmocka_unit_test(b5_an_end_together_with_the_last_data_is_seen_at_once),
		cmocka_unit_test(b5_a_client_that_half_closes_after_its_request_is_answered),
		cmocka_unit_test(b6_head_leaves_the_connection_usable),
		cmocka_unit_test(b7_stopping_while_requests_wait_does_not_abort),
		cmocka_unit_test(b8_an_inherited_socket_survives_the_stop),
		cmocka_unit_test(b9_stalled_transfers_burn_no_cpu),
		cmocka_unit_test(b9_waiting_for_a_slow_store_burns_no_cpu),
		cmocka_unit_test(b10_a_malformed_head_is_answered_once_or_twice_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
