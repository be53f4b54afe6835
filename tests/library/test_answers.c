/* answers - what a server may say instead of what it should: nothing of it is believed, and nothing
 * unauthenticated is given out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/content_range.h"
#include "tests/lib/client.h"
#include "tests/lib/sealed.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHUNK ((size_t)RESTANTE_CHUNK_SIZE)
#define SEALED_CHUNK ((size_t)RESTANTE_SEALED_CHUNK_SIZE)
#define HEAD ((size_t)RESTANTE_HEAD_SIZE)
#define SIZE (3 * CHUNK + 1000)
#define CUT 100000 /* where the first answer breaks off, in the second chunk */

/* ---- the field ---- */

static void content_range_is_read_strictly(void **state)
{
	static const struct {
		const char *text;
		struct content_range r;
	} good[] = {
		{ "bytes 0-0/1", { true, 0, 0, 1 } },
		{ "bytes 5-99/100", { true, 5, 99, 100 } },
		{ "Bytes 5-99/*", { true, 5, 99, CONTENT_RANGE_UNKNOWN } },
		{ "bytes */100", { false, 0, 0, 100 } },
		{ "bytes 0-18446744073709551613/18446744073709551614",
		  { true, 0, UINT64_MAX - 2, UINT64_MAX - 1 } },
	};
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes ",
		"bytes=0-1/2",
		"octets 0-1/2",
		"bytes 0-1",
		"bytes 0-1/",
		"bytes -1/2",
		"bytes 0-/2",
		"bytes 1-0/2",
		"bytes 0-2/2",
		"bytes 0-1/2 ",
		"bytes  0-1/2",
		"bytes 0 - 1/2",
		"bytes +0-1/2",
		"bytes 00-1/2",
		"bytes 0-1/02",
		"bytes 0-1/2, bytes 0-1/2",
		"bytes *",
		"bytes */",
		"bytes 0-1/18446744073709551615",
		"bytes 0-1/99999999999999999999",
	};
	struct content_range r = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_true(content_range_parse(&r, good[i].text));
		assert_int_equal(r.satisfied, good[i].r.satisfied);
		assert_int_equal(r.first, good[i].r.first);
		assert_int_equal(r.last, good[i].r.last);
		assert_int_equal(r.total, good[i].r.total);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (content_range_parse(&r, bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_false(content_range_parse(&r, NULL));
}

/* ---- servers that lie ---- */

struct liar {
	struct sealed c;
	struct shelf shelf;
	struct fetching f;
	struct taken taken;
};

static void liar_open(struct liar *l, fake_script *script, size_t size, bool bare)
{
	*l = (struct liar){ 0 };
	sealed_make(&l->c, size, false, size + 1);
	l->taken.of = &l->c;
	shelf_open(&l->shelf, &l->c);
	if (script != NULL) {
		shelf_close(&l->shelf);
		l->shelf.fake = fake_new(script, &l->shelf);
	}
	fetching_open(&l->f, fake_url(l->shelf.fake),
		      bare ? sealed_envelope_live(&l->c, SEALED_TOKEN)
			   : sealed_envelope(&l->c, SEALED_TOKEN));
}

static void liar_close(struct liar *l)
{
	fetching_close(&l->f);
	shelf_close(&l->shelf);
	sealed_free(&l->c);
}

static enum restante_code liar_fetch(struct liar *l)
{
	const enum restante_code rc =
		restante_fetch_to(l->f.fetch, taken_write, &l->taken, &l->f.e);

	assert_false(l->taken.wrong);
	assert_int_equal(l->taken.n % CHUNK, rc == RESTANTE_OK ? l->c.size % CHUNK : 0);
	return rc;
}

static void send_chunk(struct fake_request *r, const void *p, size_t n)
{
	fake_printf(r, "%zx\r\n", n);
	fake_send(r, p, n);
	fake_printf(r, "\r\n");
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void one_byte_more(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_printf(r, CHUNKED);
	send_chunk(r, s->bytes, s->size);
	send_chunk(r, "x", 1);
	send_chunk(r, NULL, 0);
}

static void one_byte_less(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_printf(r, CHUNKED);
	send_chunk(r, s->bytes, s->size - 1);
	send_chunk(r, NULL, 0);
}

static void endless(struct fake_request *r, void *ctx)
{
	struct shelf *s = ctx;

	fake_printf(r, CHUNKED);
	for (int i = 0; i < 1000; i++) { /* 200 MB, if somebody took them */
		send_chunk(r, s->bytes, s->size);
		atomic_fetch_add(&s->sent, s->size);
	}
}

static void announces_more(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", s->size + 1);
	fake_send(r, s->bytes, s->size);
	fake_hang(r);
}

static void announces_less(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_answer_bytes(r, 200, "", s->bytes, s->size - SEALED_CHUNK);
}

static void has_another_tag(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;

	fake_answer_bytes(r, 200, "ETag: \"0123456789abcdef\"\r\n", s->bytes, s->size);
}

static void sends_a_part_unasked(struct fake_request *r, void *ctx)
{
	const struct shelf *s = ctx;
	char field[80];

	(void)snprintf(field, sizeof(field), "Content-Range: bytes 0-%zu/%zu\r\n", s->size - 1,
		       s->size);
	fake_answer_bytes(r, 206, field, s->bytes, s->size);
}

static void has_no_content(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 204, "", NULL);
}

static void cannot_be_satisfied(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 416, "Content-Range: bytes */0\r\n", NULL);
}

static void points_elsewhere(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 302, "Location: http://127.0.0.2:1/v1/media\r\n", NULL);
}

static void forbids(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 403, "", NULL);
}

static void speaks_another_tongue(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_printf(r, "220 mail.example.org ESMTP\r\n\r\n");
	fake_close(r);
}

static void first_answers_that_lie_are_refused(void **state)
{
	static const struct {
		fake_script *script;
		enum restante_code code;
		size_t given; /* at most */
	} lies[] = {
		{ one_byte_more, RESTANTE_TAMPERED, SIZE },
		{ one_byte_less, RESTANTE_TAMPERED, 3 * CHUNK },
		{ endless, RESTANTE_TAMPERED, SIZE },
		{ announces_more, RESTANTE_TAMPERED, 0 },
		{ announces_less, RESTANTE_TAMPERED, 0 },
		{ has_another_tag, RESTANTE_TAMPERED, 0 },
		{ sends_a_part_unasked, RESTANTE_SERVER, 0 },
		{ has_no_content, RESTANTE_SERVER, 0 },
		{ cannot_be_satisfied, RESTANTE_SERVER, 0 },
		{ points_elsewhere, RESTANTE_SERVER, 0 },
		{ forbids, RESTANTE_DENIED, 0 },
		{ speaks_another_tongue, RESTANTE_SERVER, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct taken t;
		struct liar l;

		liar_open(&l, lies[i].script, SIZE, false);
		t = (struct taken){ .of = &l.c };
		assert_code(restante_fetch_to(l.f.fetch, taken_write, &t, &l.f.e), lies[i].code,
			    &l.f.e);
		assert_false(t.wrong);
		assert_in_range(t.n, 0, lies[i].given);
		assert_in_range(fake_count(l.shelf.fake), 0, 2);
		liar_close(&l);
	}
}

static void an_endless_answer_is_left_soon(void **state)
{
	struct liar l;

	(void)state;
	liar_open(&l, endless, SIZE, false);
	assert_code(restante_fetch_to(l.f.fetch, taken_write, &l.taken, &l.f.e), RESTANTE_TAMPERED,
		    &l.f.e);
	assert_true(fake_reaches(l.shelf.fake, 1, 5000)); /* it could not send all of it */
	liar_close(&l);
	liar_open(&l, endless, SIZE, true);
	restante_fetch_set_max(l.f.fetch, 100000);
	assert_code(liar_fetch(&l), RESTANTE_TOOBIG, &l.f.e);
	assert_int_equal(l.taken.n, CHUNK);
	liar_close(&l);
}

static void more_than_the_bound_is_refused_before_it_is_sent(void **state)
{
	struct liar l;

	(void)state;
	liar_open(&l, NULL, SIZE, true);
	restante_fetch_set_max(l.f.fetch, l.c.sealed_size - 1);
	assert_code(liar_fetch(&l), RESTANTE_TOOBIG, &l.f.e);
	assert_int_equal(l.taken.calls, 0);
	restante_fetch_set_max(l.f.fetch, l.c.sealed_size);
	assert_code(liar_fetch(&l), RESTANTE_OK, &l.f.e);
	liar_close(&l);
	/* what the envelope announces is not bounded by it */
	liar_open(&l, NULL, SIZE, false);
	restante_fetch_set_max(l.f.fetch, 1);
	assert_code(liar_fetch(&l), RESTANTE_OK, &l.f.e);
	liar_close(&l);
}

/* ---- servers that lie when asked for the rest ---- */

/* What the second answer says; the first breaks off after CUT bytes. ALL is the size of what there
 * is, LAST its last byte. */
#define ALL "197856"
#define LAST "197855"

struct second {
	int status;
	const char *fields;
	bool tag;    /* the right one on top */
	size_t skip; /* of the bytes that should come */
	enum restante_code code;
};

static const struct second *second;

static void lies_the_second_time(struct fake_request *r, void *ctx)
{
	struct shelf s = *(struct shelf *)ctx;

	if (r->number == 0) {
		s.cut = CUT;
		shelf_serve(r, &s);
		return;
	}
	fake_printf(r, "HTTP/1.1 %d X\r\n%s", second->status, second->fields);
	if (second->tag)
		fake_printf(r, "ETag: %s\r\n", s.etag);
	if (strstr(second->fields, "Content-Length") == NULL)
		fake_printf(r, "Content-Length: %zu\r\n", s.size - CUT);
	fake_printf(r, "\r\n");
	fake_send(r, s.bytes + CUT + second->skip, s.size - CUT - second->skip);
	fake_close(r);
}

#define RANGE(text) "Content-Range: bytes " text "\r\n"
#define LENGTH(text) "Content-Length: " text "\r\n"

static const struct second seconds[] = {
	/* about something else */
	{ 206, RANGE("100000-198063/198064") LENGTH("98064"), true, 0, RESTANTE_TAMPERED },
	{ 206, RANGE("100000-100009/100010") LENGTH("10"), true, 0, RESTANTE_TAMPERED },
	{ 206, "ETag: \"other\"\r\n" RANGE("100000-" LAST "/" ALL), false, 0, RESTANTE_TAMPERED },
	{ 200, "ETag: \"other\"\r\n" LENGTH(ALL), false, 0, RESTANTE_TAMPERED },
	{ 200, LENGTH(ALL), false, 0, RESTANTE_TAMPERED },
	{ 200, LENGTH("97856"), true, 0, RESTANTE_TAMPERED },
	{ 200, "ETag: W/\"weak\"\r\n" LENGTH(ALL), false, 0, RESTANTE_TAMPERED },
	{ 416, RANGE("*/" ALL), true, 0, RESTANTE_TAMPERED },
	/* other bytes than asked for */
	{ 206, "", true, 0, RESTANTE_SERVER },
	{ 206, RANGE("99999-" LAST "/" ALL), true, 0, RESTANTE_SERVER },
	{ 206, RANGE("100001-" LAST "/" ALL), true, 0, RESTANTE_SERVER },
	{ 206, RANGE("0-97855/" ALL), true, 0, RESTANTE_SERVER },
	{ 206, RANGE("100000-100099/" ALL), true, 0, RESTANTE_SERVER },
	{ 206, RANGE("*/" ALL), true, 0, RESTANTE_SERVER },
	{ 206, "Content-Type: multipart/byteranges; boundary=x\r\n", true, 0, RESTANTE_SERVER },
	/* right in all that can be seen, but they are others */
	{ 206, RANGE("100000-" LAST "/" ALL), true, 1, RESTANTE_TAMPERED },
};

static void second_answers_that_lie_are_not_mixed_in(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(seconds); i++) {
		struct liar l;
		enum restante_code rc;

		second = &seconds[i];
		liar_open(&l, lies_the_second_time, SIZE, false);
		assert_int_equal(l.c.sealed_size, 197856);
		rc = liar_fetch(&l);
		if (rc != seconds[i].code)
			fail_msg("%zu: code %d: %s", i, (int)rc,
				 rc == RESTANTE_OK ? "" : l.f.e.detail);
		assert_int_equal(l.taken.n, CHUNK);
		liar_close(&l);
	}
}

/* The blob is another one all of a sudden. */
static void another_blob_under_the_same_token_is_not_mixed_in(void **state)
{
	for (int bare = 0; bare < 2; bare++) {
		struct sealed other;
		struct liar l;

		(void)state;
		liar_open(&l, NULL, SIZE, bare != 0);
		sealed_make(&other, SIZE, false, 99);
		l.shelf.cut = CUT;
		restante_client_set_retries(l.f.client, 0, 1);
		assert_code(liar_fetch(&l), RESTANTE_NETWORK, &l.f.e);
		assert_int_equal(l.taken.n, CHUNK);
		l.shelf.bytes = other.bytes;
		(void)strcpy(l.shelf.etag, other.etag);
		l.taken.n = 0;
		assert_code(liar_fetch(&l), RESTANTE_TAMPERED, &l.f.e);
		assert_int_equal(l.taken.n, 0);
		liar_close(&l);
		sealed_free(&other);
	}
}

/* ---- bytes that were changed, moved, left out ---- */

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
	static const size_t places[] = {
		0,
		30,
		80,
		150,
		167,
		168,
		183,
		184,
		185,
		184 + 65535,
		184 + 65536,
		184 + 65551,
		184 + 65552,
		184 + 2 * 65552 + 5,
		184 + 3 * 65552,
		184 + 3 * 65552 + 1015,
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(places); i++) {
		const size_t at = places[i / 2];
		struct liar l;
		enum restante_code rc;

		liar_open(&l, NULL, SIZE, i % 2 != 0);
		assert_true(at < l.c.sealed_size);
		l.c.bytes[at] ^= 4; /* under the same tag: the server lies */
		rc = liar_fetch(&l);
		if (at < HEAD - 16)
			assert_true(rc == RESTANTE_TAMPERED || rc == RESTANTE_KEY ||
				    rc == RESTANTE_INVALID);
		else
			assert_code(rc, RESTANTE_TAMPERED, &l.f.e);
		assert_int_equal(l.taken.n, at < HEAD ? 0 : (at - HEAD) / SEALED_CHUNK * CHUNK);
		liar_close(&l);
	}
}

static void what_was_cut_short_is_found_wherever_it_was(void **state)
{
	static const size_t places[] = {
		0,
		1,
		100,
		167,
		168,
		183,
		184,
		185,
		199,
		200,
		184 + 65551,
		184 + 65552,
		184 + 65553,
		184 + 65568,
		184 + 65569,
		184 + 2 * 65552,
		184 + 3 * 65552,
		184 + 3 * 65552 + 16,
		184 + 3 * 65552 + 1015,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(places); i++) {
		struct liar l;

		liar_open(&l, NULL, SIZE, true); /* nobody knows how long it should be */
		l.shelf.size = places[i];
		l.shelf.etag[0] = '\0';
		assert_code(liar_fetch(&l), RESTANTE_TAMPERED, &l.f.e);
		assert_int_equal(l.taken.n,
				 places[i] < HEAD ? 0 : (places[i] - HEAD) / SEALED_CHUNK * CHUNK);
		liar_close(&l);
	}
}

/* Exchanges the chunks at two places. */
static void swap_chunks(struct sealed *c, size_t a, size_t b)
{
	for (size_t i = 0; i < SEALED_CHUNK; i++) {
		const uint8_t byte = c->bytes[HEAD + a * SEALED_CHUNK + i];

		c->bytes[HEAD + a * SEALED_CHUNK + i] = c->bytes[HEAD + b * SEALED_CHUNK + i];
		c->bytes[HEAD + b * SEALED_CHUNK + i] = byte;
	}
}

static void chunks_that_were_moved_or_left_out_are_found(void **state)
{
	struct liar l;

	(void)state;
	liar_open(&l, NULL, SIZE, false);
	swap_chunks(&l.c, 1, 2);
	assert_code(liar_fetch(&l), RESTANTE_TAMPERED, &l.f.e);
	assert_int_equal(l.taken.n, CHUNK);
	liar_close(&l);

	liar_open(&l, NULL, SIZE, true);
	memmove(l.c.bytes + HEAD + SEALED_CHUNK, l.c.bytes + HEAD + 2 * SEALED_CHUNK,
		l.c.sealed_size - HEAD - 2 * SEALED_CHUNK);
	l.shelf.size -= SEALED_CHUNK;
	assert_code(liar_fetch(&l), RESTANTE_TAMPERED, &l.f.e);
	assert_int_equal(l.taken.n, CHUNK);
	liar_close(&l);
}

/* Behind the end of a container whose size nobody has told. */
static void nothing_may_follow_the_end(void **state)
{
	static const size_t sizes[] = { 0, 1000, 65536, 131072 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct liar l;
		uint8_t *more;

		liar_open(&l, NULL, sizes[i], true);
		more = calloc(1, l.c.sealed_size + 100);
		assert_non_null(more);
		memcpy(more, l.c.bytes, l.c.sealed_size);
		l.shelf.bytes = more;
		l.shelf.size = l.c.sealed_size + 100;
		assert_code(liar_fetch(&l), RESTANTE_TAMPERED, &l.f.e);
		liar_close(&l);
		free(more);
	}
}

/* ---- envelopes that lie ---- */

static enum restante_code fetch_as(struct liar *l, uint64_t size, uint64_t sealed_size)
{
	struct restante_envelope *v = sealed_envelope(&l->c, SEALED_TOKEN);
	struct fetching f;
	enum restante_code rc;

	assert_int_equal(restante_envelope_set_number(v, RESTANTE_NUMBER_SIZE, size, NULL), 0);
	assert_int_equal(
		restante_envelope_set_number(v, RESTANTE_NUMBER_SEALED_SIZE, sealed_size, NULL), 0);
	fetching_open(&f, fake_url(l->shelf.fake), v);
	l->taken = (struct taken){ .of = &l->c };
	rc = restante_fetch_to(f.fetch, taken_write, &l->taken, &f.e);
	fetching_close(&f);
	assert_false(l->taken.wrong);
	return rc;
}

static void sizes_have_to_be_those_announced(void **state)
{
	struct liar l;
	const uint64_t sealed_size = restante_sealed_size(SIZE);

	(void)state;
	liar_open(&l, NULL, SIZE, false);
	assert_int_equal(fetch_as(&l, SIZE, sealed_size), RESTANTE_OK);
	assert_true(taken_all(&l.taken));
	assert_int_equal(fetch_as(&l, SIZE + 1, sealed_size), RESTANTE_TAMPERED);
	assert_int_equal(fetch_as(&l, SIZE - 1, sealed_size), RESTANTE_TAMPERED);
	assert_int_equal(fetch_as(&l, 100, sealed_size), RESTANTE_TAMPERED);
	assert_int_equal(l.taken.n, 0); /* what is behind is no padding, in the first chunk */
	assert_int_equal(fetch_as(&l, SIZE, sealed_size + 1), RESTANTE_TAMPERED);
	assert_int_equal(fetch_as(&l, SIZE, sealed_size - 1), RESTANTE_TAMPERED);
	assert_int_equal(fetch_as(&l, 0, 0), RESTANTE_TAMPERED);
	assert_int_equal(fetch_as(&l, 0, 100), RESTANTE_TAMPERED);
	liar_close(&l);
}

/* ---- servers that give up ---- */

static void breaks_at_once(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_close(r);
}

static void a_server_that_only_breaks_is_left_after_the_tries(void **state)
{
	struct liar l;

	(void)state;
	liar_open(&l, breaks_at_once, SIZE, false);
	restante_client_set_retries(l.f.client, 3, 1);
	assert_code(liar_fetch(&l), RESTANTE_NETWORK, &l.f.e);
	assert_true(fake_reaches(l.shelf.fake, 4, 1000));
	assert_int_equal(fake_count(l.shelf.fake), 4);
	liar_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_range_is_read_strictly),
		cmocka_unit_test(first_answers_that_lie_are_refused),
		cmocka_unit_test(an_endless_answer_is_left_soon),
		cmocka_unit_test(more_than_the_bound_is_refused_before_it_is_sent),
		cmocka_unit_test(second_answers_that_lie_are_not_mixed_in),
		cmocka_unit_test(another_blob_under_the_same_token_is_not_mixed_in),
		cmocka_unit_test(a_flipped_bit_is_found_wherever_it_is),
		cmocka_unit_test(what_was_cut_short_is_found_wherever_it_was),
		cmocka_unit_test(chunks_that_were_moved_or_left_out_are_found),
		cmocka_unit_test(nothing_may_follow_the_end),
		cmocka_unit_test(sizes_have_to_be_those_announced),
		cmocka_unit_test(a_server_that_only_breaks_is_left_after_the_tries),
	};

	return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
