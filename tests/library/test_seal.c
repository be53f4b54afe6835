/* seal - containers made and opened: whole, in pieces, chunk by chunk, and misused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "client/seal/header.h"
#include "tests/lib/client.h"
#include "tests/library/sealing.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB ((size_t)1 << 10)
#define PLAIN_MAX (1024 * KB)

static uint8_t key[RESTANTE_KEY_SIZE], other_key[RESTANTE_KEY_SIZE];
static uint8_t plain[PLAIN_MAX];

static int setup(void **state)
{
	(void)state;
	fill_random(plain, sizeof(plain), 1);
	return restante_key_new(key, NULL) != RESTANTE_OK ||
	       restante_key_new(other_key, NULL) != RESTANTE_OK;
}

static struct bytes first(size_t n)
{
	return (struct bytes){ plain, n };
}

/* ---- round trips ---- */

static const size_t sizes[] = { 0,      1,      15,     16,      17,       1000,
				65519,  65520,  65535,  65536,   65537,    131071,
				131072, 131073, 196608, 1000000, PLAIN_MAX };

static const struct pieces ways[] = { { 0, 0 },      { 7, 11 },     { 5000, 12 },
				      { 65536, 13 }, { 65552, 14 }, { 200000, 15 } };

static void round_trip(size_t n, struct pieces in, struct pieces out)
{
	struct outcome sealed, opened;

	seal_pieces(&sealed, key, first(n), in);
	assert_int_equal(sealed.code, RESTANTE_OK);
	assert_int_equal(sealed.size, restante_sealed_size(n));
	open_pieces(&opened, key, outcome_bytes(&sealed), out);
	assert_int_equal(opened.code, RESTANTE_OK);
	assert_int_equal(opened.size, n);
	assert_memory_equal(opened.data, plain, n);
	free(sealed.data);
	free(opened.data);
}

static void what_is_sealed_opens_however_the_bytes_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t w = 0; w < COUNT(ways); w++) {
			size_t v = (w + i) % COUNT(ways);

			if (sizes[i] <= 131073 || (ways[w].most != 7 && ways[v].most != 7))
				round_trip(sizes[i], ways[w], ways[v]);
		}
}

/* The stream's bytes are those of its chunks, each sealed for itself. */
static void any_chunk_can_be_sealed_and_opened_alone(void **state)
{
	static uint8_t again[PAYLOAD_SEALED_CHUNK], chunk[PAYLOAD_CHUNK];
	struct payload payload;
	struct outcome sealed;
	const size_t size = 1000000;

	(void)state;
	seal_pieces(&sealed, key, first(size), (struct pieces){ 30000, 5 });
	assert_int_equal(
		header_open(&payload, (struct bytes){ sealed.data, RESTANTE_HEAD_SIZE }, key, NULL),
		RESTANTE_OK);
	assert_int_equal(payload_chunks(size), 16);
	for (uint64_t i = 16; i-- > 0;) {
		size_t n = payload_chunk_size(size, i);
		struct bytes part = { sealed.data + RESTANTE_HEAD_SIZE + i * PAYLOAD_SEALED_CHUNK,
				      n + PAYLOAD_TAG };

		payload_seal(&payload, i, i == 15, (struct bytes){ plain + i * PAYLOAD_CHUNK, n },
			     again);
		assert_memory_equal(again, part.data, part.len);
		assert_true(payload_open(&payload, i, i == 15, part, chunk));
		assert_memory_equal(chunk, plain + i * PAYLOAD_CHUNK, n);
		assert_false(payload_open(&payload, i, i != 15, part, chunk));
		assert_false(payload_open(&payload, i + 1, i == 15, part, chunk));
		assert_true(payload_open(&payload, i, i == 15, (struct bytes){ again, part.len },
					 again)); /* in place */
		assert_memory_equal(again, plain + i * PAYLOAD_CHUNK, n);
	}
	free(sealed.data);
}

static void sizes_are_cut_into_chunks(void **state)
{
	(void)state;
	assert_int_equal(payload_chunks(0), 1);
	assert_int_equal(payload_chunk_size(0, 0), 0);
	assert_int_equal(payload_chunks(65536), 1);
	assert_int_equal(payload_chunk_size(65536, 0), 65536);
	assert_int_equal(payload_chunks(65537), 2);
	assert_int_equal(payload_chunk_size(65537, 1), 1);
	assert_int_equal(payload_chunks(UINT64_C(1) << 62), UINT64_C(1) << 46);
}

static void no_two_containers_share_anything_secret(void **state)
{
	uint8_t a[RESTANTE_HEAD_SIZE], b[RESTANTE_HEAD_SIZE];
	struct payload pa, pb;

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(header_make(a, &pa, key, NULL), RESTANTE_OK);
		assert_int_equal(header_make(b, &pb, key, NULL), RESTANTE_OK);
		assert_memory_not_equal(pa.key, pb.key, sizeof(pa.key));
		assert_memory_not_equal(a + 32, b + 32, 43);   /* ephemeral share */
		assert_memory_not_equal(a + 76, b + 76, 43);   /* wrapped file key */
		assert_memory_not_equal(a + 168, b + 168, 16); /* nonce */
	}
}

/* ---- as the bytes of a sender who is still sending come ---- */

static void a_whole_chunk_is_given_without_waiting_for_the_next(void **state)
{
	static uint8_t out[RESTANTE_CHUNK_SIZE];
	struct outcome sealed;
	struct restante_opener *o;
	size_t taken, given;
	bool done;

	(void)state;
	seal_pieces(&sealed, key, first(131072), one_piece);
	assert_int_equal(restante_opener_new(&o, key, NULL), RESTANTE_OK);
	for (int i = 0; i < 2; i++) {
		size_t from = i == 0 ? 0 : RESTANTE_HEAD_SIZE + PAYLOAD_SEALED_CHUNK;
		size_t n = RESTANTE_HEAD_SIZE + PAYLOAD_SEALED_CHUNK * (size_t)(i + 1) - from;

		assert_int_equal(restante_opener_run(o, sealed.data + from, n, false, &taken, out,
						     sizeof(out), &given, &done, NULL),
				 RESTANTE_OK);
		assert_int_equal(taken, n);
		assert_int_equal(given, PAYLOAD_CHUNK);
		assert_false(done); /* the end may be marked, but nobody said that it is one */
	}
	assert_int_equal(restante_opener_run(o, NULL, 0, true, &taken, out, sizeof(out), &given,
					     &done, NULL),
			 RESTANTE_OK);
	assert_true(done && given == 0);
	restante_opener_free(o);
	free(sealed.data);
}

/* ---- made by another program ---- */

/* The text between two marks of doc/container.md, without its line feeds. */
static size_t from_documentation(char *out, size_t size, const char *from, const char *to)
{
	static char page[32 * KB];
	FILE *f = fopen("doc/container.md", "r");
	char *at, *end;
	size_t n = 0;

	assert_non_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	at = strstr(page, from);
	assert_non_null(at);
	end = strstr(at, to);
	assert_non_null(end);
	for (; at < end && n < size; at++)
		if (*at != '\n')
			out[n++] = *at;
	return n;
}

static void the_container_in_the_documentation_opens(void **state)
{
	char text[512];
	uint8_t its_key[RESTANTE_KEY_SIZE], container[512];
	struct outcome opened;
	size_t n, size;

	(void)state;
	n = from_documentation(text, sizeof(text), "AGE-SECRET-KEY-1GF", "\n");
	assert_int_equal(restante_key_parse(its_key, text, n, NULL), RESTANTE_OK);
	n = from_documentation(text, sizeof(text), "YWdl", "```");
	assert_true(base64_decode(container, sizeof(container), &size, text, n));
	open_pieces(&opened, its_key, (struct bytes){ container, size }, one_piece);
	assert_int_equal(opened.code, RESTANTE_OK);
	assert_int_equal(opened.size, restante_padded_size(15));
	assert_memory_equal(opened.data, "Poste restante!", 16);
	free(opened.data);
}

/* ---- who else may open ---- */

/* As for an upload that is resumed: key and head are all it takes. */
static void a_head_is_opened_as_a_whole_or_not_at_all(void **state)
{
	uint8_t head[RESTANTE_HEAD_SIZE + 1] = { 0 };
	struct payload made, again;

	(void)state;
	assert_int_equal(header_make(head, &made, key, NULL), RESTANTE_OK);
	assert_int_equal(header_open(&again, (struct bytes){ head, RESTANTE_HEAD_SIZE }, key, NULL),
			 RESTANTE_OK);
	assert_memory_equal(made.key, again.key, sizeof(made.key));
	assert_int_equal(header_open(&again, (struct bytes){ head, sizeof(head) }, key, NULL),
			 RESTANTE_INVALID);
	for (size_t n = 0; n < RESTANTE_HEAD_SIZE; n++)
		assert_int_equal(header_open(&again, (struct bytes){ head, n }, key, NULL),
				 RESTANTE_INVALID);
}

static void another_key_does_not_open_it(void **state)
{
	struct outcome sealed, opened;

	(void)state;
	seal_pieces(&sealed, key, first(100), one_piece);
	open_pieces(&opened, other_key, outcome_bytes(&sealed), (struct pieces){ 9, 3 });
	assert_int_equal(opened.code, RESTANTE_KEY);
	assert_int_equal(opened.size, 0);
	free(sealed.data);
	free(opened.data);
}

/* Before the stanza of a container that opens, `count` others of about 70 bytes each. */
static size_t with_stanzas(uint8_t *out, const struct outcome *sealed, size_t count)
{
	static const char version[] = "age-encryption.org/v1\n";
	static const char stanza[] = "-> grease some argument ~!/ and another one\n"
				     "QUJDREVGR0hJSktMTU5PUA\n";
	size_t at = strlen(version);

	memcpy(out, version, at);
	for (size_t i = 0; i < count; i++, at += strlen(stanza))
		memcpy(out + at, stanza, strlen(stanza));
	memcpy(out + at, sealed->data + strlen(version), sealed->size - strlen(version));
	return at + sealed->size - strlen(version);
}

/* They are passed over, and the MAC is about them too. */
static void stanzas_that_were_put_in_are_noticed_up_to_the_limit(void **state)
{
	static uint8_t in[4 * HEADER_MAX];
	struct outcome sealed, opened;
	struct bytes more = { in, 0 };
	size_t count = 0;

	(void)state;
	seal_pieces(&sealed, key, first(10), one_piece);
	for (; more.len < HEADER_MAX + sealed.size; count += 80) {
		bool fits = with_stanzas(in, &sealed, count) - 26 <= HEADER_MAX;

		more.len = with_stanzas(in, &sealed, count);
		open_pieces(&opened, key, more, (struct pieces){ 900, 8 });
		assert_int_equal(opened.code, count == 0 ? RESTANTE_OK
					      : fits     ? RESTANTE_TAMPERED
							 : RESTANTE_INVALID);
		free(opened.data);
	}
	assert_true(count > 160);
	free(sealed.data);
}

static void a_header_without_end_is_refused_at_the_limit(void **state)
{
	static uint8_t in[2 * HEADER_MAX];
	struct restante_error e;
	size_t size;

	(void)state;
	memset(in, 'A', sizeof(in));
	memcpy(in, "age-encryption.org/v1\n-> ", 25);
	assert_int_equal(header_size(&size, (struct bytes){ in, HEADER_MAX - 1 }, &e), RESTANTE_OK);
	assert_int_equal(size, 0);
	assert_int_equal(header_size(&size, (struct bytes){ in, HEADER_MAX }, &e),
			 RESTANTE_INVALID);
	assert_non_null(strstr(e.detail, "16384"));
}

/* Of the processor: what it takes to find that all of in is no container. */
static clock_t time_to_refuse(struct bytes in, size_t step)
{
	static uint8_t out[RESTANTE_CHUNK_SIZE];
	enum restante_code rc = RESTANTE_OK;
	struct restante_opener *o;
	const clock_t began = clock();
	size_t taken, given;
	bool done;

	assert_int_equal(restante_opener_new(&o, key, NULL), RESTANTE_OK);
	for (size_t at = 0; at < in.len && rc == RESTANTE_OK; at += step)
		rc = restante_opener_run(o, in.data + at, step, at + step == in.len, &taken, out,
					 sizeof(out), &given, &done, NULL);
	assert_int_equal(rc, RESTANTE_INVALID);
	restante_opener_free(o);
	return clock() - began;
}

/* A head is not read again for each byte of it. */
static void a_head_that_comes_byte_by_byte_is_not_much_more_work(void **state)
{
	static uint8_t in[2 * HEADER_MAX];
	clock_t bytes, pieces;
	size_t at = 22;

	(void)state;
	memcpy(in, "age-encryption.org/v1\n", at);
	for (; at + 6 <= sizeof(in); at += 6)
		memcpy(in + at, "-> a\n\n", 6);
	pieces = time_to_refuse((struct bytes){ in, sizeof(in) }, 16);
	bytes = time_to_refuse((struct bytes){ in, sizeof(in) }, 1);
	assert_true(bytes < 5 * pieces + CLOCKS_PER_SEC / 50);
}

/* ---- misuse is a code ---- */

static void a_sealer_used_wrongly_says_so(void **state)
{
	static uint8_t out[RESTANTE_SEALED_CHUNK_SIZE];
	struct restante_sealer *s;
	struct restante_error e;
	size_t taken, given;
	bool done;

	(void)state;
	assert_int_equal(restante_sealer_new(NULL, key, &e), RESTANTE_MISUSE);
	assert_int_equal(restante_sealer_new(&s, NULL, &e), RESTANTE_MISUSE);
	assert_int_equal(restante_sealer_new(&s, key, &e), RESTANTE_OK);
#define RUN(in, n, last, room) \
	restante_sealer_run(s, in, n, last, &taken, out, room, &given, &done, &e)
	assert_int_equal(RUN("x", 1, false, sizeof(out) - 1), RESTANTE_MISUSE);
	assert_int_equal(RUN(NULL, 1, false, sizeof(out)), RESTANTE_MISUSE);
	assert_int_equal(
		restante_sealer_run(s, "x", 1, false, NULL, out, sizeof(out), &given, &done, &e),
		RESTANTE_MISUSE);
	assert_int_equal(RUN("x", 1, true, sizeof(out)), RESTANTE_OK);
	assert_true(done && taken == 1 && given == 201);
	assert_int_equal(RUN("y", 1, true, sizeof(out)), RESTANTE_MISUSE);
	assert_int_equal(RUN("y", 1, false, sizeof(out)), RESTANTE_MISUSE);
	assert_int_equal(RUN(NULL, 0, false, sizeof(out)), RESTANTE_OK);
	assert_true(done && taken == 0 && given == 0);
#undef RUN
	restante_sealer_free(s);
	restante_sealer_free(NULL);
}

static void an_opener_used_wrongly_says_so(void **state)
{
	static uint8_t out[RESTANTE_CHUNK_SIZE];
	struct restante_opener *o;
	struct restante_error e;
	size_t taken, given;
	bool done;

	(void)state;
	assert_int_equal(restante_opener_new(NULL, key, &e), RESTANTE_MISUSE);
	assert_int_equal(restante_opener_new(&o, NULL, &e), RESTANTE_MISUSE);
	assert_int_equal(restante_opener_new(&o, key, &e), RESTANTE_OK);
	assert_int_equal(restante_opener_run(o, "a", 1, false, &taken, out, sizeof(out) - 1, &given,
					     &done, &e),
			 RESTANTE_MISUSE);
	assert_int_equal(
		restante_opener_run(o, NULL, 1, false, &taken, out, sizeof(out), &given, &done, &e),
		RESTANTE_MISUSE);
	assert_int_equal(
		restante_opener_run(o, "a", 1, false, &taken, NULL, sizeof(out), &given, &done, &e),
		RESTANTE_MISUSE);
	assert_int_equal(
		restante_opener_run(o, NULL, 0, false, &taken, out, sizeof(out), &given, &done, &e),
		RESTANTE_OK); /* nothing came yet */
	assert_true(!done && taken == 0 && given == 0);
	restante_opener_free(o);
	restante_opener_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_however_the_bytes_come),
		cmocka_unit_test(any_chunk_can_be_sealed_and_opened_alone),
		cmocka_unit_test(sizes_are_cut_into_chunks),
		cmocka_unit_test(no_two_containers_share_anything_secret),
		cmocka_unit_test(a_whole_chunk_is_given_without_waiting_for_the_next),
		cmocka_unit_test(the_container_in_the_documentation_opens),
		cmocka_unit_test(a_head_is_opened_as_a_whole_or_not_at_all),
		cmocka_unit_test(another_key_does_not_open_it),
		cmocka_unit_test(stanzas_that_were_put_in_are_noticed_up_to_the_limit),
		cmocka_unit_test(a_header_without_end_is_refused_at_the_limit),
		cmocka_unit_test(a_head_that_comes_byte_by_byte_is_not_much_more_work),
		cmocka_unit_test(a_sealer_used_wrongly_says_so),
		cmocka_unit_test(an_opener_used_wrongly_says_so),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
