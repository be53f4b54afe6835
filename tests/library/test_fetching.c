/* fetching - what an envelope tells of, got whole: over good lines and bad ones, until it is there
 * or somebody ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/proxy.h"
#include "tests/lib/sealed.h"
#include "tests/lib/server.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define SEALED_CHUNK ((size_t)RESTANTE_SEALED_CHUNK_SIZE)

static struct test_server server;

/* Puts it on the real server, and tells what fetches it. */
static void place(const struct sealed *c, struct fetching *f)
{
	char token[52];

	assert_int_equal(http_put(server.port, "", c->bytes, c->sealed_size, token), 201);
	fetching_open(f, server.url, sealed_envelope(c, token));
}

/* ---- good lines ---- */

static void every_size_comes_back_as_it_was(void **state)
{
	static const size_t sizes[] = { 0,     1,     100,    65535,  65536,
					65537, 65552, 131071, 131072, 131073 };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		struct sealed c;
		struct taken t = { .of = &c };
		struct fetching f;

		sealed_make(&c, sizes[i / 2], i % 2 != 0, i + 1);
		place(&c, &f);
		assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
		assert_true(taken_all(&t));
		fetching_close(&f);
		sealed_free(&c);
	}
}

struct told {
	uint64_t done, total;
	int calls;
	bool back;
};

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	struct told *t = ctx;

	t->back = t->back || done < t->done;
	t->done = done;
	t->total = total;
	t->calls++;
}

static void ten_megabytes_come_in_order_and_progress_is_told(void **state)
{
	struct told told = { 0 };
	struct fetching f;
	struct sealed c;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 10 * MB + 17, true, 3);
	place(&c, &f);
	restante_fetch_set_progress(f.fetch, tell, &told);
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(taken_all(&t));
	assert_int_equal(told.done, c.sealed_size);
	assert_int_equal(told.total, c.sealed_size);
	assert_false(told.back);
	fetching_close(&f);
	sealed_free(&c);
}

static void one_handle_fetches_as_often_as_it_is_asked(void **state)
{
	struct fetching f;
	struct sealed c;

	(void)state;
	sealed_make(&c, 300000, true, 4);
	place(&c, &f);
	for (int i = 0; i < 3; i++) {
		struct taken t = { .of = &c };

		assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
		assert_true(taken_all(&t));
	}
	fetching_close(&f);
	sealed_free(&c);
}

/* What an envelope without sizes and digest tells of may be finished by now. */
static void a_bare_envelope_is_enough(void **state)
{
	static const size_t sizes[] = { 0, 1, 65536, 131072, 200000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		char token[52];
		struct fetching f;
		struct sealed c;
		struct taken t = { .of = &c };

		sealed_make(&c, sizes[i], false, i + 1);
		assert_int_equal(http_put(server.port, "", c.bytes, c.sealed_size, token), 201);
		fetching_open(&f, server.url, sealed_envelope_live(&c, token));
		assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
		assert_true(taken_all(&t));
		fetching_close(&f);
		sealed_free(&c);
	}
}

static void the_token_stands_in_no_address(void **state)
{
	const struct fake_request *r;
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };
	char field[200];

	(void)state;
	sealed_make(&c, 1000, false, 5);
	shelf_open(&s, &c);
	fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(fake_reaches(s.fake, 1, 1000));
	r = fake_asked(s.fake, 0);
	assert_string_equal(r->method, "GET");
	assert_string_equal(r->target, "/v1/media");
	assert_true(fake_field(r, "Authorization", field, sizeof(field)));
	assert_string_equal(field, "Bearer " SEALED_TOKEN);
	assert_false(fake_field(r, "Range", field, sizeof(field)));
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

/* ---- bad lines ---- */

/* The real server behind a link that resets every connection sooner or later. */
static void a_link_that_drops_every_few_hundred_kb_is_resumed_until_whole(void **state)
{
	struct proxy *p = proxy_new(server.port);
	struct fetching f;
	struct sealed c;
	struct taken t = { .of = &c };
	char token[52];

	(void)state;
	sealed_make(&c, 10 * MB, true, 18);
	assert_int_equal(http_put(server.port, "", c.bytes, c.sealed_size, token), 201);
	proxy_set_cut(p, 0, 600000, true);
	fetching_open(&f, proxy_url(p), sealed_envelope(&c, token));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(taken_all(&t));
	assert_true(proxy_connections(p) >= (int)(c.sealed_size / 600000));
	/* heads of answers; and a reset takes what lay unread in the socket, more on a busy machine
	 */
	assert_in_range(proxy_down(p), c.sealed_size, 2 * c.sealed_size);
	fetching_close(&f);
	proxy_free(p);
	sealed_free(&c);
}

static void a_line_that_breaks_is_resumed_and_nothing_is_asked_for_twice(void **state)
{
	static const size_t cuts[] = { 300000, 65552, 100 * KB + 1, 199 };

	(void)state;
	for (size_t i = 0; i < COUNT(cuts); i++) {
		const size_t size = cuts[i] < 1000 ? 5000 : 3 * MB;
		struct fetching f;
		struct sealed c;
		struct shelf s;
		struct taken t = { .of = &c };

		sealed_make(&c, size, true, 6);
		shelf_open(&s, &c);
		s.cut = cuts[i];
		fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
		assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
		assert_true(taken_all(&t));
		assert_int_equal(atomic_load(&s.sent), c.sealed_size);
		assert_int_equal(fake_count(s.fake), (c.sealed_size + cuts[i] - 1) / cuts[i]);
		fetching_close(&f);
		shelf_close(&s);
		sealed_free(&c);
	}
}

static void resumed_requests_say_which_bytes_and_of_what(void **state)
{
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };
	char field[100];

	(void)state;
	sealed_make(&c, 150000, false, 7);
	shelf_open(&s, &c);
	s.cut = 100000;
	/* the digest is not in the envelope: the first answer's tag is kept to */
	fetching_open(&f, fake_url(s.fake), sealed_envelope_live(&c, SEALED_TOKEN));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(fake_reaches(s.fake, 2, 1000));
	assert_true(fake_field(fake_asked(s.fake, 1), "Range", field, sizeof(field)));
	assert_string_equal(field, "bytes=100000-");
	assert_true(fake_field(fake_asked(s.fake, 1), "If-Range", field, sizeof(field)));
	assert_string_equal(field, c.etag);
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

static void a_server_without_ranges_is_read_over_again(void **state)
{
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 300000, true, 8);
	shelf_open(&s, &c);
	s.no_ranges = true;
	s.cut = 200000;
	fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
	/* never more than 200,000 in one answer: no progress, and no end of patience either */
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_NETWORK, &f.e);
	assert_false(t.wrong);
	s.cut = 0;
	t = (struct taken){ .of = &c };
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(taken_all(&t));
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

/* Breaks the first connection, and has no ranges for the second. */
static void breaks_once(struct fake_request *r, void *ctx)
{
	struct shelf s = *(struct shelf *)ctx;

	s.no_ranges = true;
	s.cut = r->number == 0 ? 100000 : 0;
	shelf_serve(r, &s);
}

static void what_is_there_already_is_passed_over(void **state)
{
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 300000, true, 9);
	shelf_open(&s, &c);
	shelf_close(&s);
	s.fake = fake_new(breaks_once, &s);
	fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(taken_all(&t));
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

static void overloaded_twice(struct fake_request *r, void *ctx)
{
	if (r->number == 0)
		fake_answer(r, 503, "", NULL);
	else if (r->number == 1)
		fake_answer(r, 502, "", NULL);
	else
		shelf_serve(r, ctx);
}

static void an_overloaded_server_is_asked_again(void **state)
{
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 1000, true, 10);
	shelf_open(&s, &c);
	shelf_close(&s);
	s.fake = fake_new(overloaded_twice, &s);
	fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_OK, &f.e);
	assert_true(taken_all(&t));
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

/* ---- stopping ---- */

static void sends_some_and_hangs(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", s->size);
	fake_send(r, s->bytes, 100000);
	fake_hang(r);
}

static void *cancel_soon(void *client)
{
	client_nap(50);
	restante_cancel(client);
	return NULL;
}

static void another_thread_can_end_it(void **state)
{
	struct fetching f;
	struct sealed c;
	struct shelf s;
	struct taken t = { .of = &c };
	pthread_t thread;
	int64_t began;

	(void)state;
	sealed_make(&c, 300000, true, 11);
	shelf_open(&s, &c);
	shelf_close(&s);
	s.fake = fake_new(sends_some_and_hangs, &s);
	fetching_open(&f, fake_url(s.fake), sealed_envelope(&c, SEALED_TOKEN));
	began = clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, f.client), 0);
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_CANCELLED, &f.e);
	assert_in_range(clock_mono_ms() - began, 40, 1000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(t.n, 65536); /* whole chunks only */
	assert_false(t.wrong);
	fetching_close(&f);
	shelf_close(&s);
	sealed_free(&c);
}

static bool only_once(void *ctx, const void *data, size_t size)
{
	(void)data;
	(void)size;
	return (*(int *)ctx)++ == 0;
}

static void the_receiver_can_end_it(void **state)
{
	struct fetching f;
	struct sealed c;
	int calls = 0;

	(void)state;
	sealed_make(&c, 1 * MB, true, 12);
	place(&c, &f);
	assert_code(restante_fetch_to(f.fetch, only_once, &calls, &f.e), RESTANTE_CANCELLED, &f.e);
	assert_int_equal(calls, 2);
	fetching_close(&f);
	sealed_free(&c);
}

struct nested {
	struct restante_fetch *fetch;
	enum restante_code code;
};

static bool fetch_within(void *ctx, const void *data, size_t size)
{
	struct nested *n = ctx;
	uint8_t byte;
	size_t got;

	(void)data;
	(void)size;
	n->code = restante_fetch_at(n->fetch, 0, &byte, 1, &got, NULL);
	return true;
}

static void a_receiver_that_uses_the_same_fetch_is_told_so(void **state)
{
	struct fetching f;
	struct sealed c;
	struct nested n;

	(void)state;
	sealed_make(&c, 1000, true, 13);
	place(&c, &f);
	n = (struct nested){ f.fetch, RESTANTE_OK };
	assert_code(restante_fetch_to(f.fetch, fetch_within, &n, &f.e), RESTANTE_OK, &f.e);
	assert_int_equal(n.code, RESTANTE_MISUSE);
	fetching_close(&f);
	sealed_free(&c);
}

static bool free_within(void *ctx, const void *data, size_t size)
{
	(void)data;
	(void)size;
	restante_fetch_free(((struct nested *)ctx)->fetch);
	return true;
}

static void a_receiver_cannot_free_it(void **state)
{
	struct fetching f;
	struct sealed c;
	struct nested n;

	(void)state;
	sealed_make(&c, 200000, true, 16);
	place(&c, &f);
	n = (struct nested){ f.fetch, RESTANTE_OK };
	assert_code(restante_fetch_to(f.fetch, free_within, &n, &f.e), RESTANTE_OK, &f.e);
	assert_code(restante_fetch_to(f.fetch, free_within, &n, &f.e), RESTANTE_OK, &f.e);
	fetching_close(&f);
	sealed_free(&c);
}

/* ---- refusals ---- */

static void what_is_gone_is_gone(void **state)
{
	struct fetching f;
	struct sealed c;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 1000, true, 14);
	fetching_open(&f, server.url, sealed_envelope(&c, SEALED_TOKEN));
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_GONE, &f.e);
	assert_int_equal(t.calls, 0);
	assert_null(strstr(f.e.detail, SEALED_TOKEN));
	fetching_close(&f);
	sealed_free(&c);
}

static void another_key_opens_nothing(void **state)
{
	struct fetching f;
	struct sealed c;
	struct taken t = { .of = &c };

	(void)state;
	sealed_make(&c, 100000, true, 15);
	c.key[5] ^= 1;
	place(&c, &f);
	assert_code(restante_fetch_to(f.fetch, taken_write, &t, &f.e), RESTANTE_KEY, &f.e);
	assert_int_equal(t.calls, 0);
	fetching_close(&f);
	sealed_free(&c);
}

static void an_envelope_without_key_or_token_is_refused(void **state)
{
	struct restante_client *client = quick_client(server.url);
	struct restante_envelope *v;
	struct restante_fetch *f = NULL;
	struct restante_error e;

	(void)state;
	assert_int_equal(restante_envelope_new(&v, &e), RESTANTE_OK);
	assert_int_equal(restante_fetch_new(&f, client, v, &e), RESTANTE_INVALID);
	assert_null(f);
	restante_envelope_free(v);
	assert_int_equal(restante_fetch_new(NULL, client, NULL, NULL), RESTANTE_MISUSE);
	restante_fetch_free(NULL);
	restante_client_free(client);
}

static int start(void **state)
{
	(void)state;
	server_start(&server, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back_as_it_was),
		cmocka_unit_test(ten_megabytes_come_in_order_and_progress_is_told),
		cmocka_unit_test(one_handle_fetches_as_often_as_it_is_asked),
		cmocka_unit_test(a_bare_envelope_is_enough),
		cmocka_unit_test(the_token_stands_in_no_address),
		cmocka_unit_test(a_link_that_drops_every_few_hundred_kb_is_resumed_until_whole),
		cmocka_unit_test(a_line_that_breaks_is_resumed_and_nothing_is_asked_for_twice),
		cmocka_unit_test(resumed_requests_say_which_bytes_and_of_what),
		cmocka_unit_test(a_server_without_ranges_is_read_over_again),
		cmocka_unit_test(what_is_there_already_is_passed_over),
		cmocka_unit_test(an_overloaded_server_is_asked_again),
		cmocka_unit_test(another_thread_can_end_it),
		cmocka_unit_test(the_receiver_can_end_it),
		cmocka_unit_test(a_receiver_that_uses_the_same_fetch_is_told_so),
		cmocka_unit_test(a_receiver_cannot_free_it),
		cmocka_unit_test(what_is_gone_is_gone),
		cmocka_unit_test(another_key_opens_nothing),
		cmocka_unit_test(an_envelope_without_key_or_token_is_refused),
	};

	return cmocka_run_group_tests_name("fetching", tests, start, stop);
}
