/* limits - what is too much, too slow or too many, and a server that is well afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* memory figures mean nothing */
#else
#define SANITIZED false
#endif

static uint8_t bytes[20 * MB];

static int start(void **state, const char *config)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = config });
	*state = &server;
	return 0;
}

static int start_plain(void **state)
{
	/* an end that comes along with the head is seen when the time is up */
	return start(state, "fetch { cache = 8mb }\n");
}

static int start_small(void **state)
{
	return start(state, "upload { max = 1mb }\n");
}

static int start_hurried(void **state)
{
	return start(state, "http { timeout = 1s }\n");
}

static int start_narrow(void **state)
{
	return start(state, "http { connections = 8; connections_per_address = 4 }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

static void assert_well(const struct test_server *s)
{
	char token[52];

	fill_random(bytes, 1000, 4711);
	assert_int_equal(http_put(s->port, "", bytes, 1000, token), 201);
	assert_true(http_has(s->port, token, bytes, 1000));
}

static uint64_t failed_uploads(struct test_server *s)
{
	return server_metric(s, "restante_uploads_failed_total");
}

static void assert_problem(struct answer *a, int status)
{
	char field[64];

	assert_int_equal(a->status, status);
	assert_true(a->whole);
	(void)answer_field(a, "Content-Type", field, sizeof(field));
	assert_string_equal(field, "application/problem+json");
	if (status == 503 || status == 507) {
		assert_true(answer_field(a, "Retry-After", field, sizeof(field)));
		assert_true(atoi(field) > 0);
	}
	answer_free(a);
}

/* ---- too large ---- */

static void the_largest_upload_is_taken(void **state)
{
	struct test_server *s = *state;
	char token[52];

	fill_random(bytes, MB, 1);
	assert_int_equal(http_put(s->port, "", bytes, MB, token), 201);
	assert_true(http_has(s->port, token, bytes, MB));
}

static void announce(struct client *c, const char *length, const char *fields)
{
	(void)client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: %s\r\n%s\r\n",
			   length, fields);
}

static void too_much_announced_is_refused_before_the_body(void **state)
{
	static const char *const lengths[] = { "1048577", "3000000", "4294967296",
					       "999999999999999999" };
	struct test_server *s = *state;
	const uint64_t received = server_metric(s, "restante_received_bytes_total");
	struct answer a;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct client *c = client_open(s->port);
		const int64_t began = clock_mono_ms();

		announce(c, lengths[i], "");
		client_answer(c, false, &a, NULL);
		assert_problem(&a, 413);
		assert_in_range(clock_mono_ms() - began, 0, 1000);
		client_close(c);
	}
	assert_int_equal(server_metric(s, "restante_received_bytes_total"), received);
	assert_well(s);
}

static void a_length_near_or_past_64_bits_is_refused(void **state)
{
	static const char *const lengths[] = {
		"9223372036854775807",  "9223372036854775808",  "18446744073709551614",
		"18446744073709551615", "18446744073709551616", "99999999999999999999999999"
	};
	struct test_server *s = *state;
	struct answer a;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct client *c = client_open(s->port);

		announce(c, lengths[i], "");
		client_answer(c, false, &a, NULL);
		assert_true(a.status == 400 || a.status == 413);
		answer_free(&a);
		client_close(c);
	}
	assert_well(s);
}

static void who_asks_before_sending_too_much_is_not_told_to_go_on(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	announce(c, "3000000", "Expect: 100-continue\r\n");
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_problem(&a, 413);
	client_close(c);
}

static void who_asks_before_sending_little_is_told_to_go_on(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;
	int interim;

	announce(c, "1000", "Expect: 100-continue\r\n");
	assert_true(client_peek(c, 5000) > 0);
	fill_random(bytes, 1000, 2);
	assert_true(client_send(c, bytes, 1000));
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 1);
	assert_int_equal(a.status, 201);
	answer_free(&a);
	client_close(c);
}

static void who_sends_everything_before_it_reads_gets_its_413(void **state)
{
	static const size_t lengths[] = { MB + 1, 3 * MB, 20 * MB };
	struct test_server *s = *state;
	char length[32];
	struct answer a;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct client *c = client_open(s->port);

		(void)snprintf(length, sizeof(length), "%zu", lengths[i]);
		announce(c, length, "");
		assert_true(client_send(c, bytes, lengths[i]));
		client_answer(c, false, &a, NULL);
		assert_problem(&a, 413);
		client_close(c);
	}
}

static void too_much_in_chunks_is_refused_while_it_comes(void **state)
{
	struct test_server *s = *state;
	const uint64_t failed = failed_uploads(s);
	const uint64_t kept = server_metric(s, "restante_store_commits_total");
	struct client *c = client_open(s->port);
	struct answer a;

	(void)client_sendf(c, "POST /v1/media HTTP/1.1\r\nHost: t\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 60; i++)
		assert_true(client_chunk(c, bytes, 100000));
	client_answer(c, false, &a, NULL); /* no last chunk has been sent */
	assert_problem(&a, 413);
	client_close(c);
	for (int i = 0; i < 500 && failed_uploads(s) == failed; i++)
		client_nap(10);
	assert_int_equal(failed_uploads(s), failed + 1);
	assert_int_equal(server_metric(s, "restante_store_commits_total"), kept);
	assert_well(s);
}

static void exactly_the_largest_in_chunks_is_taken(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);
	struct answer a;

	fill_random(bytes, MB, 3);
	(void)client_sendf(c, "POST /v1/media HTTP/1.1\r\nHost: t\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 16; i++)
		assert_true(client_chunk(c, bytes + (size_t)i * 64 * KB, 64 * KB));
	assert_true(client_chunk(c, NULL, 0));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	answer_free(&a);
	client_close(c);
}

/* ---- a disk that is nearly full ---- */

static void write_file(const struct test_server *s, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void below_min_free_uploads_are_refused_and_the_server_is_well(void **state)
{
	struct test_server s;
	struct answer a;
	struct client *c;
	int interim;

	(void)state;
	server_start(&s,
		     &(struct test_server_options){ .config = "upload { min_free = 1000tb }\n" });
	fill_random(bytes, 1000, 5);
	http_request(s.port, "PUT", "/v1/media", "", bytes, 1000, &a);
	assert_problem(&a, 507);

	c = client_open(s.port); /* early: the body is not there, and not asked for */
	announce(c, "3000000", "Expect: 100-continue\r\n");
	client_answer(c, false, &a, &interim);
	assert_int_equal(interim, 0);
	assert_problem(&a, 507);
	client_close(c);

	c = client_open(s.port);
	(void)client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 507);
	client_close(c);

	assert_int_equal(http_status(s.port, "GET", "/healthz", ""), 200);
	assert_int_equal(server_metric(&s, "restante_store_commits_total"), 0);

	/* the operator makes room */
	write_file(&s, "conf", "upload { min_free = 0 }\n");
	(void)kill(s.pid, SIGHUP);
	for (int i = 0; i < 300 && http_put(s.port, "", bytes, 1000, NULL) != 201; i++)
		client_nap(10);
	assert_well(&s);
	server_remove(&s);
}

/* ---- a disk that is full ---- */

static bool mount_small(struct test_server *s, const char *size)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/data", s->dir);
	return mount("tmpfs", path, "tmpfs", 0, size) == 0;
}

/* Takes the room there is, but for a little. */
static void fill_disk(const struct test_server *s)
{
	char path[128];
	ssize_t n = 1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/data/filler", s->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (n > 0)
		n = write(fd, bytes, 64 * KB);
	assert_int_equal(errno, ENOSPC);
	(void)close(fd);
}

static void empty_disk(const struct test_server *s)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/data/filler", s->dir);
	assert_int_equal(unlink(path), 0);
}

/* The log has some room of its own: a few short uploads may still go there, and are then kept. */
static void assert_no_room_in_rows(const struct test_server *s)
{
	char token[52];
	int status = 201;

	for (uint64_t i = 0; i < 20 && status == 201; i++) {
		fill_random(bytes, 700 * KB, 20 + i);
		status = http_put(s->port, "", bytes, 700 * KB, token);
		assert_true(status == 507 || http_has(s->port, token, bytes, 700 * KB));
	}
	assert_int_equal(status, 507);
}

static void assert_no_room_in_segments(const struct test_server *s)
{
	struct answer a;

	fill_random(bytes, 6 * MB, 40);
	http_request(s->port, "PUT", "/v1/media", "", bytes, 6 * MB, &a);
	assert_problem(&a, 507);
}

static void uploads_work_again(const struct test_server *s)
{
	int status = 0;

	fill_random(bytes, 300 * KB, 99);
	for (int i = 0; i < 150 && status != 201; i++) {
		status = http_put(s->port, "", bytes, 300 * KB, NULL);
		client_nap(status == 201 ? 0 : 100);
	}
	assert_int_equal(status, 201);
	assert_well(s);
}

static void a_full_disk_refuses_and_forgets_nothing(void **state)
{
	/* no cache: what is fetched is on the disk */
	struct test_server_options o = { .config = "upload { min_free = 0 }\n"
						   "fetch { cache = 0 }\n"
						   "store { write_buffer = 1mb }\n" };
	struct test_server s;
	struct placed small, large;
	uint8_t *first = malloc(6 * MB);

	(void)state;
	server_start(&s, &o);
	assert_int_equal(server_stop(&s), 0);
	if (!mount_small(&s, "size=48m")) {
		server_remove(&s);
		free(first);
		skip();
	}
	server_again(&s);
	fill_random(first, 6 * MB, 10);
	assert_int_equal(http_place(s.port, "", first, 100 * KB, &small), 201);
	assert_int_equal(http_place(s.port, "", first, 6 * MB, &large), 201);

	fill_disk(&s);
	for (int i = 0; i < 5; i++) {
		assert_no_room_in_segments(&s);
		assert_no_room_in_rows(&s);
	}
	assert_true(http_has(s.port, small.token, first, 100 * KB));
	assert_true(http_has(s.port, large.token, first, 6 * MB));
	assert_int_equal(server_metric(&s, "restante_upload_memory_bytes"), 0);

	empty_disk(&s);
	uploads_work_again(&s);
	assert_true(http_has(s.port, large.token, first, 6 * MB));

	server_kill(&s);
	server_again(&s);
	assert_true(http_has(s.port, small.token, first, 100 * KB));
	assert_true(http_has(s.port, large.token, first, 6 * MB));
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(umount(strcat(strcpy((char[128]){ "" }, s.dir), "/data")), 0);
	server_remove(&s);
	free(first);
}

/* The disk fills while the bytes come: what had room at the start is still answered well. */
static void a_disk_that_fills_meanwhile_refuses_too(void **state)
{
	struct test_server_options o = { .config = "upload { min_free = 0 }\n"
						   "store { write_buffer = 1mb }\n" };
	struct test_server s;
	struct client *c;
	struct answer a;
	bool sent = true;

	(void)state;
	server_start(&s, &o);
	assert_int_equal(server_stop(&s), 0);
	if (!mount_small(&s, "size=120m")) {
		server_remove(&s);
		skip();
	}
	server_again(&s);
	c = client_open(s.port);
	(void)client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n");
	fill_random(bytes, MB, 11);
	for (int i = 0; i < 140 && sent; i++)
		sent = client_chunk(c, bytes, MB);
	(void)client_chunk(c, NULL, 0);
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 507);
	client_close(c);

	/* nothing half-kept: there is room again, above what the store keeps free for dropping */
	uploads_work_again(&s);
	fill_random(bytes, 20 * MB, 12);
	for (int i = 0, status = 0; i < 100 && status != 201; i++) {
		status = http_put(s.port, "", bytes, 20 * MB, NULL);
		client_nap(status == 201 ? 0 : 100);
		assert_true(i < 99);
	}
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(umount(strcat(strcpy((char[128]){ "" }, s.dir), "/data")), 0);
	server_remove(&s);
}

/* ---- clients that vanish ---- */

/* Whether the server is back to this many sockets, soon. */
static bool sockets_return(const struct test_server *s, int sockets)
{
	for (int i = 0; i < 500 && open_sockets(s->pid) > sockets; i++)
		client_nap(10);
	return open_sockets(s->pid) <= sockets;
}

static void vanish(const struct test_server *s, int how, size_t sent)
{
	struct client *c = client_open(s->port);

	if (how % 2 == 0) {
		announce(c, "5000000", "");
		(void)client_send(c, bytes, sent);
	} else {
		(void)client_sendf(c,
				   "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
				   5 * MB);
		(void)client_send(c, bytes, sent);
	}
	if (how / 2 == 0)
		client_close(c);
	else
		client_reset(c);
}

static void clients_that_vanish_leave_nothing(void **state)
{
	static const size_t lengths[] = { 0, 1, 3000, 300000, 4999999 };
	struct test_server *s = *state;
	uint64_t failed, kept, on_disk, memory;
	int sockets, rounds = 0;

	assert_well(s);
	failed = failed_uploads(s);
	kept = server_metric(s, "restante_store_commits_total");
	on_disk = server_metric(s, "restante_store_data_bytes");
	memory = server_metric(s, "restante_chunk_memory_bytes");
	sockets = open_sockets(s->pid);
	fill_random(bytes, 5 * MB, 6);
	for (int k = 0; k < 3; k++)
		for (int how = 0; how < 4; how++)
			for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++, rounds++)
				vanish(s, how, lengths[i]);

	/* a reset may overtake the head: then there was no upload to fail */
	for (int i = 0; i < 500 && server_metric(s, "restante_chunk_memory_bytes") > memory; i++)
		client_nap(10);
	assert_true(sockets_return(s, sockets));
	assert_in_range(failed_uploads(s), failed + (uint64_t)rounds / 2,
			failed + (uint64_t)rounds);
	assert_int_equal(server_metric(s, "restante_store_commits_total"), kept);
	assert_int_equal(server_metric(s, "restante_chunk_memory_bytes"), memory);
	assert_int_equal(server_metric(s, "restante_upload_memory_bytes"), 0);
	for (int i = 0;
	     i < 300 && server_metric(s, "restante_store_data_bytes") > on_disk + 20 * MB; i++)
		client_nap(10);
	assert_in_range(server_metric(s, "restante_store_data_bytes"), 0, on_disk + 20 * MB);
	assert_well(s);
}

/* ---- many clients ---- */

static void thousands_of_connections_are_served_at_once(void **state)
{
	enum { COUNT = 2500 }; /* more than the library allows by itself */
	struct test_server *s = *state;
	static struct client *c[COUNT];
	struct rlimit r;
	struct answer a;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	if (r.rlim_max < COUNT + 100)
		skip();
	r.rlim_cur = r.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	for (int i = 0; i < COUNT; i++) {
		c[i] = client_open(s->port);
		assert_true(client_sendf(c[i], "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
		client_answer(c[i], false, &a, NULL);
		assert_int_equal(a.status, 200);
		answer_free(&a);
	}
	assert_in_range(server_metric(s, "restante_connections_open"), COUNT, COUNT + 1);
	for (int i = 0; i < COUNT; i++)
		client_close(c[i]);
	assert_well(s);
}

static void what_is_held_by_slow_readers_is_bounded(void **state)
{
	enum { COUNT = 60 };
	static struct client *c[COUNT];
	struct test_server *s = *state;
	const int tiny = 4096;
	char token[52];
	uint64_t most;

	fill_random(bytes, 3 * MB, 9);
	for (int i = 0; i < COUNT; i++) {
		bytes[0] = (uint8_t)i; /* another blob each time: the cache keeps none for long */
		assert_int_equal(http_put(s->port, "", bytes, 3 * MB, token), 201);
		c[i] = client_open(s->port);
		(void)setsockopt(c[i]->fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny));
		(void)client_sendf(c[i], "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", token);
		assert_true(client_peek(c[i], 5000) > 0);
	}
	/* the cache, and what answers may hold beside it (fetch.memory + upload.memory) */
	most = server_metric(s, "restante_chunk_memory_bytes");
	assert_in_range(most, 1, (8 + 64 + 64 + 8) * (uint64_t)MB);
	for (int i = 0; i < COUNT; i++)
		client_close(c[i]);
}

/* ---- slow clients ---- */

static void one_byte_at_a_time_is_served(void **state)
{
	static const char request[] = "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				      "Content-Length: 40\r\n\r\n"
				      "0123456789012345678901234567890123456789";
	struct test_server *s = *state; /* where 1 s without progress is too long */
	struct client *c = client_open(s->port);
	char size[8];
	struct answer a;

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_true(client_send(c, request + i, 1));
		client_nap(25);
	}
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "size", size, sizeof(size)));
	assert_string_equal(size, "40");
	answer_free(&a);
	client_close(c);
}

static void stalled_uploads_cost_little(void **state)
{
	enum { COUNT = 200 };
	struct test_server *s = *state;
	struct client *c[COUNT];
	struct answer a;
	uint64_t before, each;

	for (int round = 0; round < 2; round++) { /* the first round warms the allocator */
		before = server_rss(s);
		for (int i = 0; i < COUNT; i++) {
			c[i] = client_open(s->port);
			announce(c[i], "100000", "");
			(void)client_send(c[i], bytes, 3000);
		}
		client_nap(300);
		each = (server_rss(s) - before) / COUNT;
		if (!SANITIZED && round == 0 && server_rss(s) > before)
			assert_in_range(each, 0, 32 * KB);
		assert_well(s); /* others are not held up */
		for (int i = 0; i < COUNT; i++) {
			if (i < 3 && round == 1) { /* and who goes on is served */
				assert_true(client_send(c[i], bytes, 97000));
				client_answer(c[i], false, &a, NULL);
				assert_int_equal(a.status, 201);
				answer_free(&a);
			}
			client_close(c[i]);
		}
		client_nap(200);
	}
}

/* ---- too many ---- */

static struct client *greeted(int port, const char *from, int *status)
{
	struct client *c = client_open_from(port, from);
	char field[32];
	struct answer a;

	(void)client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
	client_answer(c, false, &a, NULL);
	*status = a.status;
	if (a.status == 503) {
		assert_true(answer_field(&a, "Retry-After", field, sizeof(field)));
		assert_true(atoi(field) > 0);
		(void)answer_field(&a, "Content-Type", field, sizeof(field));
		assert_string_equal(field, "application/problem+json");
		assert_true(a.whole);
		assert_true(client_closed_within(c, 5000));
	}
	answer_free(&a);
	return c;
}

static void assert_room_soon(const struct test_server *s, const char *from)
{
	int status = 0;

	for (int i = 0; i < 300 && status != 200; i++) {
		client_close(greeted(s->port, from, &status));
		client_nap(10);
	}
	assert_int_equal(status, 200);
}

static void one_address_gets_its_share_of_connections(void **state)
{
	struct test_server *s = *state;
	struct client *c[4];
	const uint64_t refused = server_metric(s, "restante_connections_refused_total");
	int status;

	for (int i = 0; i < 4; i++) {
		c[i] = greeted(s->port, "127.0.0.2", &status);
		assert_int_equal(status, 200);
	}
	client_close(greeted(s->port, "127.0.0.2", &status));
	assert_int_equal(status, 503);
	client_close(greeted(s->port, "127.0.0.3", &status));
	assert_int_equal(status, 200);
	assert_int_equal(server_metric(s, "restante_connections_refused_total"), refused + 1);
	client_close(c[0]);
	assert_room_soon(s, "127.0.0.2");
	for (int i = 1; i < 4; i++)
		client_close(c[i]);
}

static void all_addresses_together_have_a_limit(void **state)
{
	static const char *const from[] = { "127.0.0.4", "127.0.0.5" };
	struct test_server *s = *state;
	struct client *c[8];
	int status;

	for (int i = 0; i < 8; i++) {
		for (int k = 0; k < 300; k++) { /* those of the test before are leaving */
			c[i] = greeted(s->port, from[i / 4], &status);
			if (status == 200)
				break;
			client_close(c[i]);
			client_nap(10);
		}
		assert_int_equal(status, 200);
	}
	client_close(greeted(s->port, "127.0.0.6", &status));
	assert_int_equal(status, 503);
	/* the operator still gets in */
	assert_true(server_metric(s, "restante_connections_refused_total") > 0);
	client_close(c[0]);
	assert_room_soon(s, "127.0.0.6");
	for (int i = 1; i < 8; i++)
		client_close(c[i]);
}

static void who_is_turned_away_while_it_uploads_gets_its_answer(void **state)
{
	struct test_server *s = *state;
	struct client *c[4], *late;
	struct answer a;
	int status;

	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 300; k++) {
			c[i] = greeted(s->port, "127.0.0.7", &status);
			if (status == 200)
				break;
			client_close(c[i]);
			client_nap(10);
		}
		assert_int_equal(status, 200);
	}
	late = client_open_from(s->port, "127.0.0.7");
	announce(late, "2000", "");
	(void)client_send(late, bytes, 2000);
	client_answer(late, false, &a, NULL);
	assert_problem(&a, 503);
	client_close(late);
	for (int i = 0; i < 4; i++)
		client_close(c[i]);
}

/* ---- too long without progress ---- */

static void assert_closes_in_time(struct client *c)
{
	const int64_t began = clock_mono_ms();

	while (client_peek(c, 5000) > 0) { /* a 408 may be said first */
		uint8_t waste[4096];

		assert_true(recv(c->fd, waste, sizeof(waste), 0) > 0);
	}
	assert_in_range(clock_mono_ms() - began, 400, 3500);
	assert_int_equal(client_peek(c, 0), -1);
	client_close(c);
}

static void a_stalled_head_is_closed(void **state)
{
	struct test_server *s = *state;
	struct client *c = client_open(s->port);

	(void)client_sendf(c, "GET /healthz HTTP/1.1\r\nHos");
	assert_closes_in_time(c);
}

static void a_stalled_body_is_closed(void **state)
{
	struct test_server *s = *state;
	const uint64_t failed = failed_uploads(s);
	struct client *c = client_open(s->port);

	announce(c, "100000", "");
	(void)client_send(c, bytes, 3000);
	assert_closes_in_time(c);
	for (int i = 0; i < 300 && failed_uploads(s) == failed; i++)
		client_nap(10);
	assert_int_equal(failed_uploads(s), failed + 1);
}

static void an_idle_connection_is_closed(void **state)
{
	struct test_server *s = *state;
	int status;
	struct client *c = greeted(s->port, "127.0.0.1", &status);

	assert_int_equal(status, 200);
	assert_closes_in_time(c);
}

/* Whoever asks for much and reads nothing is let go, in the memory path and the streamed one. */
static void a_stalled_reader_is_closed(void **state)
{
	struct test_server *s = *state;
	const int small = 4096;
	char token[52];
	int sockets;

	fill_random(bytes, 20 * MB, 7);
	for (size_t n = 12 * MB; n <= 20 * MB; n += 8 * MB) {
		struct client *c[10];

		assert_int_equal(http_put(s->port, "", bytes, n, token), 201);
		client_nap(50);
		sockets = open_sockets(s->pid);
		for (int i = 0; i < 10; i++) {
			c[i] = client_open(s->port);
			(void)setsockopt(c[i]->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
			(void)client_sendf(c[i], "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
					   token);
			assert_true(client_peek(c[i], 5000) > 0);
		}
		assert_true(sockets_return(s, sockets));
		for (int i = 0; i < 10; i++)
			client_close(c[i]);
	}
	assert_well(s);
}

int main(void)
{
	const struct CMUnitTest small[] = {
		cmocka_unit_test(the_largest_upload_is_taken),
		cmocka_unit_test(too_much_announced_is_refused_before_the_body),
		cmocka_unit_test(a_length_near_or_past_64_bits_is_refused),
		cmocka_unit_test(who_asks_before_sending_too_much_is_not_told_to_go_on),
		cmocka_unit_test(who_asks_before_sending_little_is_told_to_go_on),
		cmocka_unit_test(who_sends_everything_before_it_reads_gets_its_413),
		cmocka_unit_test(too_much_in_chunks_is_refused_while_it_comes),
		cmocka_unit_test(exactly_the_largest_in_chunks_is_taken),
	};
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(stalled_uploads_cost_little),
		cmocka_unit_test(clients_that_vanish_leave_nothing),
		cmocka_unit_test(thousands_of_connections_are_served_at_once),
		cmocka_unit_test(what_is_held_by_slow_readers_is_bounded),
	};
	const struct CMUnitTest disks[] = {
		cmocka_unit_test(below_min_free_uploads_are_refused_and_the_server_is_well),
		cmocka_unit_test(a_full_disk_refuses_and_forgets_nothing),
		cmocka_unit_test(a_disk_that_fills_meanwhile_refuses_too),
	};
	const struct CMUnitTest narrow[] = {
		cmocka_unit_test(one_address_gets_its_share_of_connections),
		cmocka_unit_test(all_addresses_together_have_a_limit),
		cmocka_unit_test(who_is_turned_away_while_it_uploads_gets_its_answer),
	};
	const struct CMUnitTest hurried[] = {
		cmocka_unit_test(one_byte_at_a_time_is_served),
		cmocka_unit_test(a_stalled_head_is_closed),
		cmocka_unit_test(a_stalled_body_is_closed),
		cmocka_unit_test(an_idle_connection_is_closed),
		cmocka_unit_test(a_stalled_reader_is_closed),
	};
	int failed;

	failed = cmocka_run_group_tests_name("limits, size", small, start_small, stop);
	failed += cmocka_run_group_tests_name("limits, clients", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("limits, disk", disks, NULL, NULL);
	failed += cmocka_run_group_tests_name("limits, count", narrow, start_narrow, stop);
	return failed + cmocka_run_group_tests_name("limits, time", hurried, start_hurried, stop);
}
