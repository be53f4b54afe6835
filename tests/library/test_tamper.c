/* tamper - a container in which anything was changed does not open, and gives nothing out that was
 * not authentic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <sodium.h>

#include "client/seal/header.h"
#include "tests/lib/client.h"
#include "tests/library/sealing.h"

#define CHUNKS 4
#define LAST_SIZE 1000
#define PLAIN_SIZE ((CHUNKS - 1) * PAYLOAD_CHUNK + LAST_SIZE)
#define SEALED_SIZE (RESTANTE_HEAD_SIZE + PLAIN_SIZE + CHUNKS * PAYLOAD_TAG)
#define SMALL_SIZE 60

static uint8_t key[RESTANTE_KEY_SIZE];
static uint8_t plain[PLAIN_SIZE];
static struct outcome sealed, small, other; /* of four chunks, of 60 bytes, and of four others */

static int setup(void **state)
{
	static uint8_t others[PLAIN_SIZE];

	(void)state;
	fill_random(plain, sizeof(plain), 1);
	fill_random(others, sizeof(others), 2);
	if (restante_key_new(key, NULL) != RESTANTE_OK)
		return 1;
	seal_pieces(&sealed, key, (struct bytes){ plain, PLAIN_SIZE }, one_piece);
	seal_pieces(&small, key, (struct bytes){ plain, SMALL_SIZE }, one_piece);
	seal_pieces(&other, key, (struct bytes){ others, PLAIN_SIZE }, one_piece);
	return sealed.size != SEALED_SIZE;
}

static int teardown(void **state)
{
	(void)state;
	free(sealed.data);
	free(small.data);
	free(other.data);
	return 0;
}

/* Whole and in pieces: fails, with the same code, and gives exactly the first `chunks` chunks. */
static enum restante_code fails(struct bytes in, size_t chunks)
{
	static const struct pieces ways[] = { { 0, 0 }, { 40000, 7 } };
	struct outcome o;
	enum restante_code code = RESTANTE_OK;

	for (size_t i = 0; i < 2; i++) {
		open_pieces(&o, key, in, ways[i]);
		assert_int_not_equal(o.code, RESTANTE_OK);
		assert_true(i == 0 || o.code == code);
		assert_true(o.error.detail[0] != '\0');
		assert_int_equal(o.size, chunks * PAYLOAD_CHUNK);
		assert_memory_equal(o.data, plain, o.size);
		code = o.code;
		free(o.data);
	}
	return code;
}

static uint8_t *chunk_at(uint8_t *in, size_t i)
{
	return in + RESTANTE_HEAD_SIZE + i * PAYLOAD_SEALED_CHUNK;
}

/* ---- each byte, each length ---- */

static void every_bit_of_a_small_container_counts(void **state)
{
	struct bytes in = outcome_bytes(&small);

	(void)state;
	for (size_t at = 0; at < small.size; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			enum restante_code code;

			small.data[at] ^= (uint8_t)(1u << bit);
			code = fails(in, 0);
			assert_true(code == RESTANTE_TAMPERED || at < RESTANTE_HEAD_SIZE);
			small.data[at] ^= (uint8_t)(1u << bit);
		}
}

static void what_is_cut_short_anywhere_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < small.size; n++)
		assert_int_equal(fails((struct bytes){ small.data, n }, 0), RESTANTE_TAMPERED);
}

static void garbage_behind_the_end_is_refused(void **state)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 1000, 65536, 65552, 70000 };
	uint8_t *more = calloc(1, SEALED_SIZE + 70000);

	(void)state;
	assert_non_null(more);
	memcpy(more, sealed.data, SEALED_SIZE);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(fails((struct bytes){ more, SEALED_SIZE + sizes[i] }, CHUNKS - 1),
				 RESTANTE_TAMPERED);
	memcpy(more + SEALED_SIZE, small.data, small.size); /* two containers are not one */
	assert_int_equal(fails((struct bytes){ more, SEALED_SIZE + small.size }, CHUNKS - 1),
			 RESTANTE_TAMPERED);
	free(more);
}

/* The last chunk is full, and authentic: what follows it is noticed even so. */
static void a_byte_behind_a_full_last_chunk_is_refused(void **state)
{
	struct outcome full;

	(void)state;
	seal_pieces(&full, key, (struct bytes){ plain, PAYLOAD_CHUNK }, one_piece);
	full.data[full.size] = 0; /* it has room for more */
	assert_int_equal(fails((struct bytes){ full.data, full.size + 1 }, 1), RESTANTE_TAMPERED);
	free(full.data);
}

/* ---- chunks ---- */

static void no_chunk_can_be_cut_off(void **state)
{
	(void)state;
	for (size_t n = 0; n < CHUNKS; n++) {
		size_t end = RESTANTE_HEAD_SIZE + n * PAYLOAD_SEALED_CHUNK;

		assert_int_equal(fails((struct bytes){ sealed.data, end }, n), RESTANTE_TAMPERED);
		assert_int_equal(fails((struct bytes){ sealed.data, end + 16 }, n),
				 RESTANTE_TAMPERED);
		assert_int_equal(fails((struct bytes){ sealed.data, end + 900 }, n),
				 RESTANTE_TAMPERED);
	}
}

static void no_two_chunks_can_be_swapped(void **state)
{
	uint8_t *in = malloc(SEALED_SIZE);

	(void)state;
	assert_non_null(in);
	for (size_t a = 0; a < CHUNKS - 1; a++)
		for (size_t b = a + 1; b < CHUNKS - 1; b++) {
			memcpy(in, sealed.data, SEALED_SIZE);
			memcpy(chunk_at(in, a), chunk_at(sealed.data, b), PAYLOAD_SEALED_CHUNK);
			memcpy(chunk_at(in, b), chunk_at(sealed.data, a), PAYLOAD_SEALED_CHUNK);
			assert_int_equal(fails((struct bytes){ in, SEALED_SIZE }, a),
					 RESTANTE_TAMPERED);
		}
	free(in);
}

static void no_chunk_can_be_left_out_or_said_twice(void **state)
{
	uint8_t *in = malloc(SEALED_SIZE + PAYLOAD_SEALED_CHUNK);

	(void)state;
	assert_non_null(in);
	for (size_t i = 0; i < CHUNKS - 1; i++) {
		size_t rest = SEALED_SIZE - (size_t)(chunk_at(in, i) - in);

		memcpy(in, sealed.data, SEALED_SIZE);
		memcpy(chunk_at(in, i), chunk_at(sealed.data, i + 1), rest - PAYLOAD_SEALED_CHUNK);
		assert_int_equal(fails((struct bytes){ in, SEALED_SIZE - PAYLOAD_SEALED_CHUNK }, i),
				 RESTANTE_TAMPERED);
		memcpy(in, sealed.data, SEALED_SIZE);
		memcpy(chunk_at(in, i + 1), chunk_at(sealed.data, i), rest);
		assert_int_equal(
			fails((struct bytes){ in, SEALED_SIZE + PAYLOAD_SEALED_CHUNK }, i + 1),
			RESTANTE_TAMPERED);
	}
	free(in);
}

/* Of another container for the same key. */
static void no_chunk_can_come_from_elsewhere(void **state)
{
	uint8_t *in = malloc(SEALED_SIZE);

	(void)state;
	assert_non_null(in);
	for (size_t i = 0; i < CHUNKS; i++) {
		size_t n = i < CHUNKS - 1 ? PAYLOAD_SEALED_CHUNK : LAST_SIZE + PAYLOAD_TAG;

		memcpy(in, sealed.data, SEALED_SIZE);
		memcpy(chunk_at(in, i), chunk_at(other.data, i), n);
		assert_int_equal(fails((struct bytes){ in, SEALED_SIZE }, i), RESTANTE_TAMPERED);
	}
	memcpy(in, other.data, RESTANTE_HEAD_SIZE); /* and no head */
	memcpy(chunk_at(in, 0), chunk_at(sealed.data, 0), SEALED_SIZE - RESTANTE_HEAD_SIZE);
	assert_int_equal(fails((struct bytes){ in, SEALED_SIZE }, 0), RESTANTE_TAMPERED);
	free(in);
}

/* ---- what can only be made with the key ---- */

/* payload_seal() does not make such a chunk. */
static void seal_empty_last(const struct payload *p, uint8_t index, uint8_t out[PAYLOAD_TAG])
{
	uint8_t nonce[12] = { [10] = index, [11] = 1 };

	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, NULL, 0, NULL, 0, NULL, nonce, p->key);
}

static void an_empty_last_chunk_is_refused_behind_another(void **state)
{
	static uint8_t in[RESTANTE_HEAD_SIZE + PAYLOAD_SEALED_CHUNK + PAYLOAD_TAG];
	struct outcome empty;
	struct payload payload;

	(void)state;
	seal_pieces(&empty, key, (struct bytes){ plain, 0 }, one_piece);
	assert_int_equal(empty.size, RESTANTE_HEAD_SIZE + PAYLOAD_TAG); /* alone it is fine */
	memcpy(in, empty.data, RESTANTE_HEAD_SIZE);
	assert_int_equal(header_open(&payload, (struct bytes){ in, RESTANTE_HEAD_SIZE }, key, NULL),
			 RESTANTE_OK);
	payload_seal(&payload, 0, false, (struct bytes){ plain, PAYLOAD_CHUNK }, chunk_at(in, 0));
	seal_empty_last(&payload, 1, chunk_at(in, 1));
	assert_int_equal(fails((struct bytes){ in, sizeof(in) }, 1), RESTANTE_TAMPERED);
	free(empty.data);
}

/* ---- afterwards ---- */

static void an_opener_that_failed_only_fails(void **state)
{
	static uint8_t out[RESTANTE_CHUNK_SIZE];
	struct restante_opener *o;
	struct restante_error e;
	size_t taken, given;
	bool done;

	(void)state;
	assert_int_equal(restante_opener_new(&o, key, NULL), RESTANTE_OK);
	small.data[small.size - 1] ^= 1;
	assert_int_equal(restante_opener_run(o, small.data, small.size, true, &taken, out,
					     sizeof(out), &given, &done, &e),
			 RESTANTE_TAMPERED);
	small.data[small.size - 1] ^= 1;
	for (int i = 0; i < 2; i++) {
		e = (struct restante_error){ 0 };
		assert_int_equal(restante_opener_run(o, small.data, small.size, true, &taken, out,
						     sizeof(out), &given, &done, &e),
				 RESTANTE_TAMPERED);
		assert_true(e.code == RESTANTE_TAMPERED && e.detail[0] != '\0');
		assert_true(given == 0 && !done);
	}
	restante_opener_free(o);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_of_a_small_container_counts),
		cmocka_unit_test(what_is_cut_short_anywhere_is_refused),
		cmocka_unit_test(garbage_behind_the_end_is_refused),
		cmocka_unit_test(a_byte_behind_a_full_last_chunk_is_refused),
		cmocka_unit_test(no_chunk_can_be_cut_off),
		cmocka_unit_test(no_two_chunks_can_be_swapped),
		cmocka_unit_test(no_chunk_can_be_left_out_or_said_twice),
		cmocka_unit_test(no_chunk_can_come_from_elsewhere),
		cmocka_unit_test(an_empty_last_chunk_is_refused_behind_another),
		cmocka_unit_test(an_opener_that_failed_only_fails),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
