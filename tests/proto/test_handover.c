/* handover - the newest request on an upload wins: an older one that still hangs is ended, what it
 * brought is kept, and nobody waits for it ("Concurrency" in the draft; tus C12, C15; DESIGN
 * section 4: answered within 50 ms). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define HUNG 1000
#define BURST 50
#define SOON_MS 1000 /* for what is to happen at once, on a machine that is busy */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROMISED_US INT64_MAX /* times mean nothing */
#else
#define PROMISED_US 50000
#endif

static uint8_t bytes[64 * MB];

static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 5000;

	fill_random(bytes, n, seed++);
	return bytes;
}

struct fixture {
	struct test_server server;
	int sockets; /* of the server, when nobody is there */
};

static int start(void **state, const char *config, const char *faults)
{
	static struct fixture f;
	const struct test_server_options o = { .config = config, .faults = faults };

	server_start(&f.server, &o);
	f.sockets = open_sockets(f.server.pid);
	*state = &f;
	return 0;
}

/* Without a cache no chunk is held when nothing happens. */
#define CONFIG "fetch { cache = 0 }\nupload { min_rate = 0 }\n"

static int start_plain(void **state)
{
	return start(state, CONFIG "http { loops = 2 }\n", NULL);
}

static int start_one_loop(void **state)
{
	return start(state, CONFIG "http { loops = 1 }\n", NULL);
}

static int start_four_loops(void **state)
{
	return start(state, CONFIG "http { loops = 4 }\n", NULL);
}

static int start_cramped(void **state)
{
	return start(state,
		     "fetch { cache = 0 }\nhttp { loops = 2 }\n"
		     "upload { min_rate = 0; memory = 1mb }\n",
		     NULL);
}

static int start_slow(void **state)
{
	return start(state, CONFIG "http { loops = 2 }\n", "inner=rocksdb;delay_ms=15");
}

static int stop(void **state)
{
	struct fixture *f = *state;

	server_remove(&f->server);
	return 0;
}

static int64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the older request ---- */

static struct rufh create(const struct test_server *s)
{
	struct rufh u;

	assert_int_equal(rufh_create(s->port, "", &u), 201);
	return u;
}

static struct tus_upload create_tus(const struct test_server *s, uint64_t length)
{
	struct tus_upload u;

	assert_int_equal(tus_create(s, length, "", &u), 201);
	return u;
}

/* What a PATCH says, in either dialect. */
#define SAYS_RUFH RUFH_PARTIAL RUFH_CAREFUL
#define SAYS_TUS TUS_BYTES

/* A PATCH that has the upload (100 Continue came), has sent n bytes of more than that, and hangs.
 */
static struct client *hang(const struct test_server *s, const char *path, const char *says,
			   uint64_t offset, const uint8_t *p, size_t n)
{
	struct client *c = client_open(s->port);
	char fields[256];
	struct answer a;

	(void)snprintf(fields, sizeof(fields), "%sUpload-Offset: %llu\r\nExpect: 100-continue\r\n",
		       says, (unsigned long long)offset);
	assert_true(rufh_ask(c, "PATCH", path, n + 100000, fields));
	assert_int_equal(rufh_interim(c, 5000, &a), 100);
	answer_free(&a);
	assert_true(client_send(c, p, n));
	return c;
}

/* The same, and all n bytes have left the network. */
static struct client *hang_received(struct test_server *s, const char *path, const char *says,
				    uint64_t offset, const uint8_t *p, size_t n)
{
	const uint64_t before = rufh_received(s);
	struct client *c = hang(s, path, says, offset, p, n);

	assert_true(rufh_receives(s, before + n, 5000));
	return c;
}

static void assert_ended(struct client *c)
{
	assert_true(rufh_ended_unanswered(c, SOON_MS));
	client_close(c);
}

/* Who has left may still be in the server's ear: waits until nobody but the asking one is there. */
static void wait_alone(struct test_server *s)
{
	for (int i = 0; i < 500 && server_metric(s, "restante_connections_open") > 1; i++)
		client_nap(5);
	assert_in_range(server_metric(s, "restante_connections_open"), 0, 1);
}

#define assert_finishes(s, u, p, n) assert_true(rufh_finishes((s)->port, (u), (p), (n)))

/* ---- one after the other ---- */

static const size_t lengths[] = { 0, 1, 5 * KB, 300 * KB, 3 * MB };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void offset_retrieval_ends_a_stalled_append_and_tells_what_came(void **state)
{
	static const char *const how[] = { "HEAD", "GET" };
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (size_t i = 0; i < 2 * LENGTHS; i++) {
		const size_t n = lengths[i / 2];
		const uint8_t *p = fresh(n + 100);
		const struct rufh u = create(s);
		struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, n);
		const int64_t began = clock_mono_ms();
		struct answer a;

		http_request(s->port, how[i % 2], u.path, "", NULL, 0, &a);
		assert_status(&a, 204);
		assert_int_equal(rufh_state_of(&a).offset, n);
		assert_in_range((uint64_t)(clock_mono_ms() - began), 0, SOON_MS);
		answer_free(&a);
		assert_ended(old);
		assert_int_equal(rufh_offset(s->port, u.path), n);
		assert_finishes(s, &u, p, n + 100);
	}
}

/* tus C8, C15. */
static void head_ends_a_stalled_patch_of_tus_too(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (size_t i = 0; i < LENGTHS; i++) {
		const size_t n = lengths[i];
		const struct tus_upload u = create_tus(s, TUS_DEFERRED);
		struct client *old = hang_received(s, u.path, SAYS_TUS, 0, fresh(n), n);

		assert_int_equal(tus_offset(&u), n);
		assert_ended(old);
		assert_int_equal(tus_offset(&u), n);
	}
}

static void the_dialects_end_each_other(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(5000);
	const struct rufh u = create(s);
	struct tus_upload t = { .server = s };
	struct client *old;

	(void)snprintf(t.path, sizeof(t.path), "%s", u.path);
	old = hang_received(s, u.path, SAYS_RUFH, 0, p, 1000);
	assert_int_equal(tus_offset(&t), 1000);
	assert_ended(old);
	old = hang_received(s, u.path, SAYS_TUS, 1000, p + 1000, 1000);
	assert_int_equal(rufh_offset(s->port, u.path), 2000);
	assert_ended(old);
	assert_finishes(s, &u, p, 5000);
}

static void a_newer_append_goes_on_where_the_older_one_stood(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (size_t i = 0; i < LENGTHS; i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n + 5000);
		const struct rufh u = create(s);
		struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, n);

		assert_int_equal(rufh_append(s->port, u.path, n, true, p + n, 5000, NULL), 201);
		assert_ended(old);
		assert_true(http_has(s->port, u.token, p, n + 5000));
	}
}

/* Who does not know of the older one's bytes is told of them, and nothing is overwritten. */
static void a_newer_append_that_knows_less_is_told_the_offset(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(10000);
	const struct rufh u = create(s);
	struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, 5000);
	struct answer a;

	(void)rufh_append(s->port, u.path, 0, true, p + 100, 5000, &a);
	assert_status(&a, 409);
	assert_int_equal(rufh_state_of(&a).offset, 5000);
	answer_free(&a);
	assert_ended(old);
	assert_finishes(s, &u, p, 10000);
}

/* A refused one, which would be answered behind its body, holds nothing. */
static void a_refused_append_that_hangs_is_in_nobodys_way(void **state)
{
	static const char *const how[] = { "HEAD", "GET", "DELETE" };
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (size_t i = 0; i < 3; i++) {
		const struct rufh u = create(s);
		struct client *old = rufh_append_begin(s->port, u.path, 5, true, 100000);
		const int64_t began = clock_mono_ms();

		assert_true(client_send(old, bytes, 1000));
		client_nap(20);
		assert_int_equal(http_status(s->port, how[i], u.path, ""), 204);
		assert_in_range((uint64_t)(clock_mono_ms() - began), 0, SOON_MS);
		client_close(old);
	}
}

/* "Upload Cancellation": a request in flight ends first. */
static void a_delete_ends_a_running_append(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (size_t i = 0; i < LENGTHS; i++) {
		const struct rufh u = create(s);
		struct client *old =
			hang_received(s, u.path, SAYS_RUFH, 0, fresh(lengths[i]), lengths[i]);

		assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
		assert_ended(old);
		assert_int_equal(rufh_state(s->port, u.path).status, 404);
		assert_int_equal(http_status(s->port, "GET", "/v1/media/", u.token), 404);
	}
}

/* The place of an upload is told by 104 before its creation ends. */
static void a_creation_that_hangs_is_ended_too(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(10000);
	const uint64_t before = rufh_received(s);
	struct client *old = client_open(s->port);
	struct answer a;
	struct rufh u;

	assert_true(rufh_ask(old, "POST", "/v1/uploads", 10000,
			     RUFH_WHOLE "Upload-Draft-Interop-Version: 9\r\n"));
	assert_int_equal(rufh_interim(old, 5000, &a), 104);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_true(client_send(old, p, 7000));
	assert_true(rufh_receives(s, before + 7000, 5000));
	assert_int_equal(rufh_offset(s->port, u.path), 7000);
	assert_ended(old);
	assert_finishes(s, &u, p, 10000);
}

/* Bytes that cannot be checked any more do not count (tus "Checksum", RFC 9530 section 2). */
static void a_checked_append_that_is_ended_leaves_nothing(void **state)
{
	static const char *const checks[] = {
		SAYS_TUS "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n",
		SAYS_RUFH
		"Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:\r\n",
	};
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (int i = 0; i < 2; i++) {
		const uint8_t *p = fresh(700 * KB);
		const struct rufh u = create(s);
		struct client *old;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 100, NULL), 204);
		old = hang_received(s, u.path, checks[i], 100, p + 100, 600 * KB);
		assert_int_equal(rufh_offset(s->port, u.path), 100);
		assert_ended(old);
		assert_finishes(s, &u, p, 700 * KB);
	}
}

static void a_finished_upload_answers_and_its_readers_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const size_t n = 30 * MB;
	const uint8_t *p = fresh(n);
	const struct rufh u = create(s);
	struct client *reader = client_open(s->port);
	struct answer a;

	assert_int_equal(rufh_append(s->port, u.path, 0, true, p, n, NULL), 201);
	(void)client_sendf(reader, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", u.path);
	assert_true(client_peek(reader, 5000) > 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rufh_offset(s->port, u.path), n);
	assert_int_equal(rufh_append(s->port, u.path, n, true, "", 0, NULL), 201);
	client_answer(reader, false, &a, NULL);
	assert_status(&a, 200);
	assert_true(a.whole);
	assert_int_equal(a.body_len, n);
	assert_memory_equal(a.body, p, n);
	answer_free(&a);
	client_close(reader);
}

/* ---- one that is busy ---- */

struct sender {
	struct client *c;
	const uint8_t *p;
	size_t step;
	int pause_ms;
	atomic_size_t sent; /* at most so much is on its way */
};

/* Sends until the server has enough of it. */
static void *send_main(void *arg)
{
	struct sender *x = arg;

	for (size_t at = 0; at + x->step <= sizeof(bytes); at += x->step) {
		atomic_store(&x->sent, at + x->step);
		if (!client_send(x->c, x->p + at, x->step))
			break;
		if (x->pause_ms > 0)
			client_nap(x->pause_ms);
	}
	return NULL;
}

/* An append that never ends by itself, and a HEAD in the middle of it: the offset is true and does
 * not move any more. */
static void check_busy(struct test_server *s, size_t step, int pause_ms)
{
	const struct rufh u = create(s);
	struct sender x = { .p = bytes, .step = step, .pause_ms = pause_ms };
	const uint64_t before = rufh_received(s);
	int64_t offset, began;
	pthread_t thread;
	size_t n;

	x.c = rufh_append_begin(s->port, u.path, 0, true, RUFH_CHUNKED);
	assert_true(client_sendf(x.c, "%zx\r\n", sizeof(bytes) + 1)); /* one chunk of it all */
	assert_int_equal(pthread_create(&thread, NULL, send_main, &x), 0);
	client_nap(40);
	assert_true(rufh_receives(s, before + 1, 5000));
	began = clock_mono_ms();
	offset = rufh_offset(s->port, u.path);
	assert_in_range((uint64_t)(clock_mono_ms() - began), 0, SOON_MS);
	assert_in_range((uint64_t)offset, 1, atomic_load(&x.sent));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ended(x.c);
	assert_int_equal(rufh_offset(s->port, u.path), offset);
	n = (size_t)offset + 1000;
	assert_finishes(s, &u, bytes, n < sizeof(bytes) ? n : sizeof(bytes));
}

static void a_dripping_append_is_ended(void **state)
{
	struct fixture *f = *state;

	(void)fresh(sizeof(bytes));
	for (int i = 0; i < 4; i++)
		check_busy(&f->server, 1, 1);
}

static void an_append_at_full_speed_is_ended(void **state)
{
	struct fixture *f = *state;

	(void)fresh(sizeof(bytes));
	for (int i = 0; i < 4; i++)
		check_busy(&f->server, 64 * KB, 1);
	for (int i = 0; i < 4; i++)
		check_busy(&f->server, 256 * KB, 0);
}

/* ---- several at once ---- */

static void every_head_of_a_crowd_is_answered(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(700 * KB);
	const struct rufh u = create(s);
	struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, 600 * KB), *c[20];

	for (int i = 0; i < 20; i++) {
		c[i] = client_open(s->port);
		(void)client_sendf(c[i], "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\n", u.path);
	}
	for (int i = 0; i < 20; i++) {
		struct answer a;

		client_answer(c[i], true, &a, NULL);
		assert_status(&a, 204);
		assert_int_equal(rufh_state_of(&a).offset, 600 * KB);
		answer_free(&a);
		client_close(c[i]);
	}
	assert_ended(old);
	assert_finishes(s, &u, p, 700 * KB);
}

/* One of them has it in the end; the others hear of a conflict, or nothing; none hangs, and no byte
 * is there twice. */
static void of_a_crowd_of_appends_one_wins(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(700 * KB);
	const struct rufh u = create(s);
	struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, 600 * KB), *c[10];
	int won = 0;

	for (int i = 0; i < 10; i++) {
		c[i] = rufh_append_begin(s->port, u.path, 600 * KB, false, 1000);
		(void)client_send(c[i], p + 600 * KB, 1000);
	}
	for (int i = 0; i < 10; i++) {
		struct answer a;

		client_answer(c[i], false, &a, NULL);
		won += a.status == 204;
		assert_true(a.status == 204 || a.status == 409 || a.status == 0);
		if (a.status == 409)
			assert_int_equal(rufh_state_of(&a).offset, 600 * KB + 1000);
		answer_free(&a);
		client_close(c[i]);
	}
	assert_in_range(won, 0, 1);
	assert_ended(old);
	assert_int_equal(rufh_offset(s->port, u.path), 600 * KB + 1000);
	assert_finishes(s, &u, p, 700 * KB);
}

static void who_waits_and_leaves_is_in_nobodys_way(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (int i = 0; i < 12; i++) {
		const uint8_t *p = fresh(700 * KB);
		const struct rufh u = create(s);
		struct client *old = hang_received(s, u.path, SAYS_RUFH, 0, p, 600 * KB), *c;

		if (i % 2 == 0) {
			c = client_open(s->port);
			(void)client_sendf(c, "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\n", u.path);
		} else {
			c = rufh_append_begin(s->port, u.path, 600 * KB, true, 5000);
		}
		if (i / 2 % 2 == 0)
			client_nap(3);
		if (i / 4 == 0)
			client_reset(c);
		else
			client_close(c);
		assert_int_equal(rufh_offset(s->port, u.path), 600 * KB);
		assert_ended(old);
		wait_alone(s);
		assert_finishes(s, &u, p, 700 * KB);
	}
}

/* A chain: each one ends the one before, who waited for the one before. */
static void each_newer_one_ends_the_one_before(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const uint8_t *p = fresh(20 * KB);
	const struct rufh u = create(s);
	struct client *c[10];

	for (size_t i = 0; i < 10; i++)
		c[i] = hang_received(s, u.path, SAYS_RUFH, i * KB, p + i * KB, KB);
	assert_int_equal(rufh_offset(s->port, u.path), 10 * KB);
	for (int i = 0; i < 10; i++)
		assert_ended(c[i]);
	assert_finishes(s, &u, p, 20 * KB);
}

struct storm {
	const struct test_server *s;
	const struct rufh *u;
	size_t total;
	unsigned seed;
	int64_t until;
	struct rufh_state bad; /* not answered, or an offset that went back */
};

static void append_some(const struct storm *x, struct client *c, size_t at, unsigned dice)
{
	const size_t n = dice % 8 == 0 ? 600 * KB : 1 + dice % 5000;

	(void)client_send(c, bytes + at, n < x->total - at ? n : x->total - at);
	if (dice % 4 == 0)
		client_nap((int)(dice % 7));
}

/* Asks, appends, breaks off; as if each were the only one. */
static void *storm_main(void *arg)
{
	struct storm *x = arg;
	int64_t seen = 0;

	while (clock_mono_ms() < x->until) {
		const struct rufh_state now = rufh_state(x->s->port, x->u->path);
		const unsigned dice = (unsigned)rand_r(&x->seed);
		const int64_t at = now.offset;
		struct client *c;

		if (now.status != 204 || at < seen) {
			x->bad = now;
			break;
		}
		seen = at;
		if ((size_t)at == x->total)
			break;
		c = rufh_append_begin(x->s->port, x->u->path, (uint64_t)at, false,
				      x->total - (size_t)at);
		append_some(x, c, (size_t)at, dice);
		if (dice % 5 == 0)
			client_reset(c);
		else
			client_close(c);
	}
	return NULL;
}

/* "Concurrency": no race changes a byte, and no offset is outdated. */
static void a_storm_of_requests_puts_every_byte_in_its_place(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	const struct rufh u = create(s);
	struct storm x[8];
	pthread_t threads[8];

	(void)fresh(sizeof(bytes));
	for (unsigned i = 0; i < 8; i++) {
		x[i] = (struct storm){ s, &u, sizeof(bytes), i + 1, clock_mono_ms() + 700, { 0 } };
		assert_int_equal(pthread_create(&threads[i], NULL, storm_main, &x[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < 8; i++)
		if (x[i].bad.status != 0 || x[i].bad.offset != 0)
			fail_msg("%d, offset %lld", x[i].bad.status, (long long)x[i].bad.offset);
	wait_alone(s);
	assert_finishes(s, &u, bytes, sizeof(bytes));
}

/* ---- a slow store, and a server without memory ---- */

/* The older request is suspended: its buffers are on their way to the disk. */
static void an_append_the_store_is_busy_with_is_ended(void **state)
{
	static const char *const how[] = { "HEAD", "PATCH", "DELETE" };
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (int i = 0; i < 6; i++) {
		const uint8_t *p = fresh(3 * MB);
		const struct rufh u = create(s);
		struct client *old = hang(s, u.path, SAYS_RUFH, 0, p, i < 3 ? MB : 600 * KB);
		struct answer a;

		client_nap(30);
		http_request(s->port, how[i % 3], u.path,
			     i % 3 == 1 ? SAYS_RUFH "Upload-Offset: 1\r\n" : "",
			     i % 3 == 1 ? "" : NULL, 0, &a);
		assert_status(&a, i % 3 == 1 ? 409 : 204);
		if (i % 3 != 2)
			assert_in_range((uint64_t)rufh_state_of(&a).offset, 0, MB);
		answer_free(&a);
		assert_ended(old);
		if (i % 3 != 2)
			assert_finishes(s, &u, p, 3 * MB);
		else
			assert_int_equal(rufh_state(s->port, u.path).status, 404);
	}
}

/* Some of these hold all the memory there is, the others wait for it. */
static void who_waits_for_memory_is_ended_too(void **state)
{
	enum { COUNT = 40 };
	static uint8_t content[400 * KB];
	struct fixture *f = *state;
	struct test_server *s = &f->server;
	struct client *old[COUNT];
	struct rufh u[COUNT];

	fill_random(content, sizeof(content), 77);
	for (int i = 0; i < COUNT; i++) {
		u[i] = create(s);
		old[i] = hang(s, u[i].path, SAYS_RUFH, 0, content, 300 * KB);
	}
	client_nap(100);
	for (int i = COUNT - 1; i >= 0; i--) {
		const int64_t began = clock_mono_ms();

		assert_in_range((uint64_t)rufh_offset(s->port, u[i].path), 0, 300 * KB);
		assert_in_range((uint64_t)(clock_mono_ms() - began), 0, SOON_MS);
		assert_ended(old[i]);
	}
	for (int i = 0; i < COUNT; i++)
		assert_finishes(s, &u[i], content, sizeof(content));
}

/* ---- 1,000 hung appends ---- */

static struct crowd {
	struct rufh u;
	struct client *old;
	uint64_t sent;
} crowd[HUNG];

static struct client *keep_alive[BURST];

/* Uploads, BURST creations at a time. */
static void create_crowd(const struct test_server *s)
{
	for (int i = 0; i < BURST; i++)
		keep_alive[i] = client_open(s->port);
	for (int i = 0; i < HUNG; i += BURST) {
		for (int k = 0; k < BURST; k++)
			assert_true(
				rufh_ask(keep_alive[k], "POST", "/v1/uploads", 0, RUFH_CAREFUL));
		for (int k = 0; k < BURST; k++) {
			struct answer a;

			client_answer(keep_alive[k], false, &a, NULL);
			assert_status(&a, 201);
			rufh_of(&a, &crowd[i + k].u);
			answer_free(&a);
		}
	}
}

/* Each hangs in the middle of its next bytes: few here, many there. */
static void hang_crowd(struct test_server *s)
{
	uint64_t total = rufh_received(s);

	for (int i = 0; i < HUNG; i++) {
		const size_t n = 1 + (size_t)i * 37 % 5000;

		crowd[i].old =
			rufh_append_begin(s->port, crowd[i].u.path, crowd[i].sent, false, 100000);
		assert_true(client_send(crowd[i].old, bytes + crowd[i].sent, n));
		crowd[i].sent += n;
		total += n;
	}
	assert_true(rufh_receives(s, total, 20000));
}

static void ask_head(struct client *c, int i)
{
	assert_true(client_sendf(c, "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\n", crowd[i].u.path));
}

static void hear_head(struct client *c, int i)
{
	struct answer a;

	client_answer(c, true, &a, NULL);
	assert_status(&a, 204);
	assert_int_equal(rufh_state_of(&a).offset, crowd[i].sent); /* exactly what came */
	answer_free(&a);
}

static int by_time(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void assert_quick(const char *what, int64_t us[static HUNG])
{
	qsort(us, HUNG, sizeof(*us), by_time);
	(void)printf("# handover, %s: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", what,
		     (double)us[HUNG / 2] / 1000, (double)us[HUNG * 99 / 100] / 1000,
		     (double)us[HUNG - 1] / 1000);
	(void)fflush(stdout);
	assert_true(us[HUNG * 99 / 100] <= PROMISED_US);
}

static void heads_one_by_one(int64_t us[static HUNG])
{
	for (int i = 0; i < HUNG; i++) {
		const int64_t began = now_us();

		ask_head(keep_alive[i % BURST], i);
		hear_head(keep_alive[i % BURST], i);
		us[i] = now_us() - began;
	}
}

static void heads_in_a_burst(int first, int64_t *us)
{
	struct pollfd p[BURST];
	int left = BURST;

	for (int k = 0; k < BURST; k++) {
		p[k] = (struct pollfd){ .fd = keep_alive[k]->fd, .events = POLLIN };
		us[k] = -now_us();
		ask_head(keep_alive[k], first + k);
	}
	while (left > 0) {
		assert_true(poll(p, BURST, 10000) > 0);
		for (int k = 0; k < BURST; k++) {
			if (p[k].fd < 0 || p[k].revents == 0)
				continue;
			us[k] += now_us();
			hear_head(keep_alive[k], first + k);
			p[k].fd = -1;
			left--;
		}
	}
}

static void end_crowd(void)
{
	for (int i = 0; i < HUNG; i++)
		assert_ended(crowd[i].old);
}

static void a_thousand_hung_appends_are_taken_over_at_once(void **state)
{
	static int64_t us[HUNG];
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	(void)fresh(20 * KB);
	create_crowd(s);
	hang_crowd(s);
	heads_one_by_one(us);
	end_crowd();
	assert_quick("one by one", us);

	hang_crowd(s);
	for (int i = 0; i < HUNG; i += BURST)
		heads_in_a_burst(i, us + i);
	end_crowd();
	assert_quick("in bursts of 50", us);

	for (int i = 0; i < BURST; i++)
		client_close(keep_alive[i]);
	for (int i = 0; i < HUNG; i += 50)
		assert_finishes(s, &crowd[i].u, bytes, 15000);
}

/* ---- what is left ---- */

static bool quiet(struct test_server *s)
{
	return server_metric(s, "restante_connections_open") <= 1 && /* the one that asks */
	       server_metric(s, "restante_upload_memory_bytes") == 0 &&
	       server_metric(s, "restante_chunk_memory_bytes") == 0;
}

static void no_connection_and_no_memory_is_left(void **state)
{
	struct fixture *f = *state;
	struct test_server *s = &f->server;

	for (int i = 0; i < 300 && !quiet(s); i++)
		client_nap(10);
	assert_in_range(server_metric(s, "restante_connections_open"), 0, 1);
	assert_int_equal(server_metric(s, "restante_upload_memory_bytes"), 0);
	assert_int_equal(server_metric(s, "restante_chunk_memory_bytes"), 0);
	for (int i = 0; i < 300 && open_sockets(s->pid) > f->sockets; i++)
		client_nap(10);
	assert_in_range(open_sockets(s->pid), 0, f->sockets);
}

/* A thousand connections on either side. */
static void allow_many_files(void)
{
	struct rlimit r;

	(void)getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

#define STORY(f) cmocka_unit_test(f)
#define EACH_LOOP_COUNT                                                                           \
	STORY(offset_retrieval_ends_a_stalled_append_and_tells_what_came),                        \
		STORY(head_ends_a_stalled_patch_of_tus_too), STORY(the_dialects_end_each_other),  \
		STORY(a_newer_append_goes_on_where_the_older_one_stood),                          \
		STORY(a_newer_append_that_knows_less_is_told_the_offset),                         \
		STORY(a_refused_append_that_hangs_is_in_nobodys_way),                             \
		STORY(a_delete_ends_a_running_append), STORY(a_creation_that_hangs_is_ended_too), \
		STORY(a_checked_append_that_is_ended_leaves_nothing),                             \
		STORY(a_dripping_append_is_ended), STORY(an_append_at_full_speed_is_ended),       \
		STORY(every_head_of_a_crowd_is_answered), STORY(of_a_crowd_of_appends_one_wins),  \
		STORY(who_waits_and_leaves_is_in_nobodys_way),                                    \
		STORY(each_newer_one_ends_the_one_before),                                        \
		STORY(a_storm_of_requests_puts_every_byte_in_its_place)

int main(void)
{
	const struct CMUnitTest plain[] = {
		EACH_LOOP_COUNT,
		STORY(a_finished_upload_answers_and_its_readers_are_left_alone),
		STORY(a_thousand_hung_appends_are_taken_over_at_once),
		STORY(no_connection_and_no_memory_is_left),
	};
	const struct CMUnitTest loops[] = {
		EACH_LOOP_COUNT,
		STORY(no_connection_and_no_memory_is_left),
	};
	const struct CMUnitTest slow[] = {
		STORY(an_append_the_store_is_busy_with_is_ended),
		STORY(every_head_of_a_crowd_is_answered),
		STORY(of_a_crowd_of_appends_one_wins),
		STORY(who_waits_and_leaves_is_in_nobodys_way),
		STORY(no_connection_and_no_memory_is_left),
	};
	const struct CMUnitTest cramped[] = {
		STORY(who_waits_for_memory_is_ended_too),
		STORY(no_connection_and_no_memory_is_left),
	};
	int failed;

	allow_many_files();
	failed = cmocka_run_group_tests_name("handover", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("handover, one loop", loops, start_one_loop, stop);
	failed += cmocka_run_group_tests_name("handover, 4 loops", loops, start_four_loops, stop);
	failed += cmocka_run_group_tests_name("handover, slow store", slow, start_slow, stop);
	return failed +
	       cmocka_run_group_tests_name("handover, no memory", cramped, start_cramped, stop);
}
