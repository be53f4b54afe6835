/* cut - what is deleted, acknowledged by all, or over in its time is so for those who are getting
 * it just now, too: their answer ends before its end, within a second. */
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

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"
#include "wire/token.h"

#define MB ((size_t)1 << 20)
#define LARGE (64 * MB) /* in blocks */
#define MEDIUM (8 * MB) /* the same, all of it in memory */
#define SHORT (5 * MB)  /* one answer of pages in memory, stuck in the socket */

static struct test_server server;
static int sockets; /* of a server without clients */
static uint8_t *bytes;

static int start(void **state)
{
	static const struct test_server_options options = {
		.config = "upload { min_free = 0; ttl_max = 30d; }\n"
			  "fetch { cache = 256mb; memory = 256mb; }\n"
	};

	(void)state;
	bytes = malloc(LARGE);
	if (bytes == NULL)
		return -1;
	server_start(&server, &options);
	sockets = open_sockets(server.pid);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	free(bytes);
	return 0;
}

/* Every one has bytes of its own. */
static struct placed place(const char *query, size_t n)
{
	static uint64_t seed = 4000;
	struct placed p;

	fill_random(bytes, n, seed++);
	assert_int_equal(http_place(server.port, query, bytes, n, &p), 201);
	return p;
}

/* Asks, and takes next to nothing of the answer. */
static struct client *begin_at(const char *target, const char *fields)
{
	const int little = 65536;
	struct client *c = client_open(server.port);

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_true(client_sendf(c, "GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n", target, fields));
	assert_true(client_peek(c, 5000) > 0);
	return c;
}

static struct client *begin(const char *token, const char *fields)
{
	char target[256];

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	return begin_at(target, fields);
}

/* Its connection is closed by the server within ms, though nothing more is read of it. */
static void assert_sockets_within(int count, int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (open_sockets(server.pid) > count && clock_mono_ms() < until)
		client_nap(5);
	assert_in_range(open_sockets(server.pid), 0, count);
}

/* Those of before may take a moment to go. */
static int at_rest(void)
{
	assert_sockets_within(sockets, 2000);
	return sockets;
}

/* What has come is a part, and cannot be taken for the whole. */
static void assert_part(struct client *c, int status)
{
	struct answer a;

	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, status);
	assert_false(a.whole);
	answer_free(&a);
	client_close(c);
}

static void assert_cut(struct client *c, int status, int before)
{
	assert_sockets_within(before, 1000);
	assert_part(c, status);
}

static void assert_goes_on(struct client *c, size_t n)
{
	struct answer a;

	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_true(a.whole);
	assert_int_equal(a.body_len, n);
	answer_free(&a);
	client_close(c);
}

static void delete (const struct placed *p)
{
	assert_int_equal(http_status(server.port, "DELETE", "/v1/media/", p->manage), 204);
}

static int ack_as(const struct placed *p, uint16_t recipient)
{
	char narrow[TOKEN_TEXT_SIZE + 4];

	assert_int_equal(token_narrow_recipient(narrow, p->token, strlen(p->token), recipient),
			 ERR_OK);
	(void)strcat(narrow, "/ack");
	return http_status(server.port, "POST", "/v1/media/", narrow);
}

static int extend(const struct placed *p, const char *ttl)
{
	char target[256];

	(void)snprintf(target, sizeof(target), "%s/extend?ttl=%s", p->manage, ttl);
	return http_status(server.port, "POST", "/v1/media/", target);
}

/* ---- deleted ---- */

static void deleting_cuts(size_t n)
{
	struct placed p = place("?ttl=60", n);
	const int before = at_rest();
	struct client *c = begin(p.token, "");

	delete (&p);
	assert_cut(c, 200, before);
	assert_int_equal(http_status(server.port, "GET", "/v1/media/", p.token), 404);
}

static void deleting_cuts_those_who_are_sent_blocks(void **state)
{
	(void)state;
	deleting_cuts(LARGE);
	deleting_cuts(MEDIUM);
}

static void deleting_cuts_an_answer_stuck_in_the_socket(void **state)
{
	(void)state;
	deleting_cuts(SHORT);
	deleting_cuts(MB);
}

static void deleting_cuts_ranges_too(void **state)
{
	struct placed p = place("", LARGE);
	const int before = at_rest();
	struct client *one = begin(p.token, "Range: bytes=1000-9000000\r\n"),
		      *two = begin(p.token, "Range: bytes=0-4000000, 5000000-9000000\r\n");

	(void)state;
	delete (&p);
	assert_sockets_within(before, 1000);
	assert_part(one, 206);
	assert_part(two, 206);
}

static void whoever_reads_on_meanwhile_is_cut_as_well(void **state)
{
	struct placed p = place("", LARGE);
	struct client *c = begin(p.token, "");
	char waste[16384];
	int64_t deleted_ms = 0;
	size_t n = 0;
	ssize_t k;

	(void)state;
	while ((k = recv(c->fd, waste, sizeof(waste), 0)) > 0) {
		n += (size_t)k;
		if (deleted_ms == 0 && n > 4 * MB) {
			delete (&p);
			deleted_ms = clock_mono_ms();
		}
	}
	assert_true(deleted_ms != 0);
	assert_in_range(clock_mono_ms() - deleted_ms, 0, 1000);
	assert_in_range(n, 4 * MB, 8 * MB);
	client_close(c);
}

static void the_uploads_own_address_is_cut_and_cuts_as_well(void **state)
{
	struct tus_upload u;
	struct client *one, *two;
	int before;

	(void)state;
	fill_random(bytes, MEDIUM, 77);
	assert_int_equal(tus_place(&server, "", bytes, MEDIUM, &u), 204);
	before = at_rest();
	one = begin_at(u.path, TUS);
	two = begin(u.token, "");
	assert_int_equal(tus_delete(&u), 204);
	assert_sockets_within(before, 1000);
	assert_part(one, 200);
	assert_part(two, 200);
}

static void another_upload_of_the_same_bytes_is_another_matter(void **state)
{
	struct placed one = place("", LARGE), two;
	struct client *of_one, *of_two;
	int before;

	(void)state;
	assert_int_equal(http_place(server.port, "", bytes, LARGE, &two), 201);
	before = at_rest();
	of_one = begin(one.token, "");
	of_two = begin(two.token, "");
	delete (&one);
	assert_cut(of_one, 200, before + 1);
	assert_goes_on(of_two, LARGE);
}

static void a_crowd_is_cut_at_once(void **state)
{
	enum { CROWD = 60 };
	struct placed p = place("", LARGE), other = place("", MB);
	const int before = at_rest();
	struct client *c[CROWD], *stays = begin(other.token, "");

	(void)state;
	for (int i = 0; i < CROWD; i++)
		c[i] = begin(p.token, "");
	delete (&p);
	assert_sockets_within(before + 1, 1000);
	for (int i = 0; i < CROWD; i++)
		assert_part(c[i], 200);
	assert_goes_on(stays, MB);
}

/* ---- acknowledged ---- */

static void the_last_acknowledgement_cuts_and_none_before(void **state)
{
	struct placed p = place("?recipients=2", LARGE);
	const int before = at_rest();
	struct client *one = begin(p.token, ""), *two = begin(p.token, "");

	(void)state;
	assert_int_equal(ack_as(&p, 1), 204);
	assert_goes_on(one, LARGE);
	assert_int_equal(ack_as(&p, 2), 204);
	assert_cut(two, 200, before);
}

/* ---- over in its time ---- */

static void the_end_of_its_time_cuts(void **state)
{
	const size_t sizes[] = { LARGE, MEDIUM, SHORT };
	struct client *c[3];
	int before;
	int64_t end_s;

	(void)state;
	before = at_rest();
	for (int i = 0; i < 3; i++) {
		struct placed p = place("?ttl=3", sizes[i]);

		c[i] = begin(p.token, "");
	}
	end_s = clock_now_s() + 3;
	while (clock_now_s() < end_s)
		client_nap(5);
	assert_sockets_within(before, 1500);
	for (int i = 0; i < 3; i++)
		assert_part(c[i], 200);
}

static void what_is_extended_goes_on(void **state)
{
	struct placed p = place("?ttl=2", LARGE), q = place("?ttl=2", SHORT);
	struct client *one = begin(p.token, ""), *two = begin(q.token, "");

	(void)state;
	assert_int_equal(extend(&p, "60"), 200);
	assert_int_equal(extend(&q, "60"), 200);
	client_nap(4200);
	assert_goes_on(one, LARGE);
	assert_goes_on(two, SHORT);
	delete (&p);
	delete (&q);
}

static void what_is_extended_ends_all_the_same(void **state)
{
	struct placed p = place("?ttl=2", LARGE);
	const int before = at_rest();
	struct client *c = begin(p.token, "");

	(void)state;
	assert_int_equal(extend(&p, "4"), 200);
	client_nap(2500);
	assert_int_equal(open_sockets(server.pid), before + 1);
	assert_sockets_within(before, 4000);
	assert_part(c, 200);
}

/* ---- at the same moment ---- */

#define READERS 6

static void *ask(void *arg)
{
	const struct placed *p = arg;
	const int little = 65536;
	struct client *c = client_open(server.port);

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	(void)client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", p->token);
	return c;
}

static void nobody_slips_through_in_the_moment_of_deleting(void **state)
{
	(void)state;
	for (int round = 0; round < 40; round++) {
		struct placed p = place("", SHORT);
		pthread_t t[READERS];
		void *c[READERS];

		for (int i = 0; i < READERS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, ask, &p), 0);
		if (round % 4 != 0)
			client_nap(round % 4);
		delete (&p);
		for (int i = 0; i < READERS; i++)
			(void)pthread_join(t[i], &c[i]);
		for (int i = 0; i < READERS; i++) {
			struct answer a;

			client_answer(c[i], false, &a, NULL);
			assert_true(a.status == 404 || !a.whole);
			answer_free(&a);
			client_close(c[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleting_cuts_those_who_are_sent_blocks),
		cmocka_unit_test(deleting_cuts_an_answer_stuck_in_the_socket),
		cmocka_unit_test(deleting_cuts_ranges_too),
		cmocka_unit_test(whoever_reads_on_meanwhile_is_cut_as_well),
		cmocka_unit_test(the_uploads_own_address_is_cut_and_cuts_as_well),
		cmocka_unit_test(another_upload_of_the_same_bytes_is_another_matter),
		cmocka_unit_test(a_crowd_is_cut_at_once),
		cmocka_unit_test(the_last_acknowledgement_cuts_and_none_before),
		cmocka_unit_test(the_end_of_its_time_cuts),
		cmocka_unit_test(what_is_extended_goes_on),
		cmocka_unit_test(what_is_extended_ends_all_the_same),
		cmocka_unit_test(nobody_slips_through_in_the_moment_of_deleting),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
