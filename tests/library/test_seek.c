/* seek - any bytes of what an envelope tells of, by fetching only the chunks that hold them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/client.h"
#include "tests/lib/sealed.h"
#include "tests/lib/server.h"

#define CHUNK ((size_t)RESTANTE_CHUNK_SIZE)
#define SEALED_CHUNK ((size_t)RESTANTE_SEALED_CHUNK_SIZE)
#define HEAD ((size_t)RESTANTE_HEAD_SIZE)
#define SIZE (20 * CHUNK + 4321)
#define MARK 0xa5

struct fixture {
	struct sealed c;
	struct shelf shelf;
	struct fetching f;
	uint8_t *out; /* SIZE bytes */
};

static void on_shelf(struct fixture *f, struct restante_envelope *v)
{
	fetching_close(&f->f);
	fetching_open(&f->f, fake_url(f->shelf.fake), v);
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->out = malloc(SIZE);
	assert_non_null(f->out);
	sealed_make(&f->c, SIZE, true, 1);
	shelf_open(&f->shelf, &f->c);
	on_shelf(f, sealed_envelope(&f->c, SEALED_TOKEN));
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	fetching_close(&f->f);
	shelf_close(&f->shelf);
	sealed_free(&f->c);
	free(f->out);
	free(f);
	return 0;
}

/* Reads, and looks whether it is right: how many bytes there were. */
static size_t read_at(struct fixture *f, uint64_t offset, size_t size)
{
	size_t got = 0;

	assert_code(restante_fetch_at(f->f.fetch, offset, f->out, size, &got, &f->f.e), RESTANTE_OK,
		    &f->f.e);
	assert_true(got <= size);
	if (got > 0)
		assert_memory_equal(f->out, f->c.plain + offset, got);
	return got;
}

static enum restante_code try_at(struct fixture *f, uint64_t offset, size_t size)
{
	size_t got = 12345;
	enum restante_code rc;

	memset(f->out, MARK, size);
	rc = restante_fetch_at(f->f.fetch, offset, f->out, size, &got, &f->f.e);
	assert_int_equal(got, 12345);
	return rc;
}

/* Numbers that look random, the same in each run. */
static size_t draw(size_t below)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (size_t)(x % below);
}

static void any_range_is_right_and_only_its_chunks_are_fetched(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_at(f, 0, 1), 1);
	assert_int_equal(atomic_load(&f->shelf.sent), HEAD + SEALED_CHUNK);
	for (int i = 0; i < 200; i++) {
		const size_t offset = draw(SIZE);
		const size_t size = 1 + draw(i % 10 == 0 ? SIZE - offset : 100000);
		const size_t end = size < SIZE - offset ? offset + size : SIZE;
		const size_t chunks = (end - 1) / CHUNK - offset / CHUNK + 1;
		const uint64_t before = atomic_load(&f->shelf.sent);

		assert_int_equal(read_at(f, offset, size), end - offset);
		/* the first may be there still, the last is shorter */
		assert_in_range(atomic_load(&f->shelf.sent) - before,
				chunks > 2 ? (chunks - 2) * SEALED_CHUNK : 0,
				chunks * SEALED_CHUNK);
	}
}

static void a_real_server_gives_any_range(void **state)
{
	struct fixture *f = *state;
	struct test_server server;
	char token[52];

	server_start(&server, NULL);
	assert_int_equal(http_put(server.port, "", f->c.bytes, f->c.sealed_size, token), 201);
	fetching_close(&f->f);
	fetching_open(&f->f, server.url, sealed_envelope(&f->c, token));
	for (int i = 0; i < 200; i++) {
		const size_t offset = draw(SIZE), size = 1 + draw(200000);

		assert_int_equal(read_at(f, offset, size),
				 size < SIZE - offset ? size : SIZE - offset);
	}
	server_remove(&server);
}

static void small_reads_in_a_row_cost_a_request_a_chunk(void **state)
{
	struct fixture *f = *state;

	for (size_t at = 0; at < 5 * CHUNK; at += 4096)
		assert_int_equal(read_at(f, at, 4096), 4096);
	assert_true(fake_reaches(f->shelf.fake, 6, 1000));
	assert_int_equal(fake_count(f->shelf.fake), 6); /* and the head */
	assert_int_equal(atomic_load(&f->shelf.sent), HEAD + 5 * SEALED_CHUNK);
}

static void a_long_read_is_one_request(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_at(f, 10, SIZE), SIZE - 10);
	assert_true(fake_reaches(f->shelf.fake, 2, 1000));
	assert_int_equal(fake_count(f->shelf.fake), 2);
}

static void beyond_the_end_there_is_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_at(f, SIZE - 1, 100), 1);
	assert_int_equal(read_at(f, SIZE, 100), 0);
	assert_int_equal(read_at(f, SIZE + 1, 100), 0); /* padding is nobody's */
	assert_int_equal(read_at(f, UINT64_MAX, 100), 0);
	assert_int_equal(read_at(f, 0, 0), 0);
	assert_int_equal(read_at(f, SIZE - 5000, 100000), 5000);
}

static void a_line_that_breaks_is_resumed(void **state)
{
	struct fixture *f = *state;

	f->shelf.cut = 30000;
	assert_int_equal(read_at(f, 100000, 500000), 500000);
	assert_int_equal(atomic_load(&f->shelf.sent), HEAD + 9 * SEALED_CHUNK);
}

static void a_server_without_ranges_will_do(void **state)
{
	struct fixture *f = *state;

	f->shelf.no_ranges = true;
	assert_int_equal(read_at(f, 100000, 500000), 500000);
	assert_int_equal(read_at(f, 1, 10), 10);
}

static void only_the_chunks_that_are_needed_have_to_be_good(void **state)
{
	struct fixture *f = *state;

	f->c.bytes[HEAD + 3 * SEALED_CHUNK + 9] ^= 1;
	assert_int_equal(read_at(f, 0, 3 * CHUNK), 3 * CHUNK);
	assert_int_equal(read_at(f, 4 * CHUNK, 5 * CHUNK), 5 * CHUNK);
	assert_code(try_at(f, 3 * CHUNK, 1), RESTANTE_TAMPERED, &f->f.e);
	assert_code(try_at(f, 2 * CHUNK, 2 * CHUNK), RESTANTE_TAMPERED, &f->f.e);
	for (size_t i = CHUNK; i < 2 * CHUNK; i++)
		assert_int_equal(f->out[i], MARK);
	assert_int_equal(read_at(f, 2 * CHUNK, CHUNK), CHUNK); /* and goes on */
}

static void what_was_cached_is_never_another_chunk(void **state)
{
	struct fixture *f = *state;
	struct taken t = { .of = &f->c };

	assert_int_equal(read_at(f, 5 * CHUNK, 100), 100);
	f->c.bytes[HEAD + 6 * SEALED_CHUNK + 9] ^= 1;
	assert_code(try_at(f, 6 * CHUNK, 100), RESTANTE_TAMPERED, &f->f.e);
	assert_code(try_at(f, 6 * CHUNK, 100), RESTANTE_TAMPERED, &f->f.e);
	assert_int_equal(read_at(f, 5 * CHUNK, 100), 100);
	f->c.bytes[HEAD + 6 * SEALED_CHUNK + 9] ^= 1;
	assert_code(restante_fetch_to(f->f.fetch, taken_write, &t, &f->f.e), RESTANTE_OK, &f->f.e);
	assert_true(taken_all(&t));
	assert_int_equal(read_at(f, SIZE - 50, 50), 50);
	assert_int_equal(read_at(f, 5 * CHUNK - 50, 100), 100);
}

/* An envelope of a shorter container, whose last chunk would not be marked as that. */
static void the_last_chunk_has_to_be_the_one_that_the_envelope_says(void **state)
{
	struct fixture *f = *state;
	struct restante_envelope *v = sealed_envelope(&f->c, SEALED_TOKEN);
	const size_t sealed_size = HEAD + 3 * SEALED_CHUNK;

	assert_int_equal(restante_envelope_set_number(v, RESTANTE_NUMBER_SIZE, 3 * CHUNK, NULL), 0);
	assert_int_equal(
		restante_envelope_set_number(v, RESTANTE_NUMBER_SEALED_SIZE, sealed_size, NULL), 0);
	on_shelf(f, v);
	f->shelf.size = sealed_size;
	assert_int_equal(read_at(f, 0, 2 * CHUNK), 2 * CHUNK);
	assert_code(try_at(f, 2 * CHUNK, 1), RESTANTE_TAMPERED, &f->f.e);
}

static void other_sizes_than_announced_are_refused(void **state)
{
	struct fixture *f = *state;
	struct restante_envelope *v = sealed_envelope(&f->c, SEALED_TOKEN);

	/* more plaintext than the container has room for */
	assert_int_equal(
		restante_envelope_set_number(v, RESTANTE_NUMBER_SIZE, f->c.sealed_size, NULL), 0);
	on_shelf(f, v);
	assert_code(try_at(f, 0, 1), RESTANTE_TAMPERED, &f->f.e);
	on_shelf(f, sealed_envelope(&f->c, SEALED_TOKEN));
	f->shelf.size -= 1;
	assert_code(try_at(f, 0, 1), RESTANTE_TAMPERED, &f->f.e);
}

static void the_size_has_to_be_known(void **state)
{
	struct fixture *f = *state;

	on_shelf(f, sealed_envelope_live(&f->c, SEALED_TOKEN));
	assert_code(try_at(f, 0, 1), RESTANTE_MISUSE, &f->f.e);
	assert_int_equal(restante_fetch_at(NULL, 0, f->out, 1, NULL, NULL), RESTANTE_MISUSE);
}

static void another_key_opens_nothing(void **state)
{
	struct fixture *f = *state;

	f->c.key[0] ^= 8;
	on_shelf(f, sealed_envelope(&f->c, SEALED_TOKEN));
	assert_code(try_at(f, 0, 1), RESTANTE_KEY, &f->f.e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(any_range_is_right_and_only_its_chunks_are_fetched),
		T(a_real_server_gives_any_range),
		T(small_reads_in_a_row_cost_a_request_a_chunk),
		T(a_long_read_is_one_request),
		T(beyond_the_end_there_is_nothing),
		T(a_line_that_breaks_is_resumed),
		T(a_server_without_ranges_will_do),
		T(only_the_chunks_that_are_needed_have_to_be_good),
		T(what_was_cached_is_never_another_chunk),
		T(the_last_chunk_has_to_be_the_one_that_the_envelope_says),
		T(other_sizes_than_announced_are_refused),
		T(the_size_has_to_be_known),
		T(another_key_opens_nothing),
	};

	return cmocka_run_group_tests_name("seek", tests, NULL, NULL);
}
