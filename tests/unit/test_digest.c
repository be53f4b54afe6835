#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/digest.h"
#include "base/text.h"

#define LONGEST 300

static uint8_t message[LONGEST];

static struct bytes part(size_t from, size_t to)
{
	return (struct bytes){ message + from, to - from };
}

static void check_hex(const struct digest *d, const char *want)
{
	char hex[HEX_LEN(sizeof(d->b)) + 1];

	hex_encode(hex, d->b, sizeof(d->b));
	assert_string_equal(hex, want);
}

static void the_vectors_of_fips_180_hold(void **state)
{
	struct digest d;

	(void)state;
	digest_of(BYTES(""), &d);
	check_hex(&d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_of(BYTES("abc"), &d);
	check_hex(&d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_of(BYTES("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), &d);
	check_hex(&d, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void another_implementation_agrees_at_every_length(void **state)
{
	(void)state;
	for (size_t n = 0; n <= LONGEST; n++) {
		struct digest ours, theirs;

		digest_of(part(0, n), &ours);
		crypto_hash_sha256(theirs.b, message, n);
		assert_true(digest_equal(&ours, &theirs));
	}
}

/* Hashes the front, goes through a midstate into a digester full of rubbish, hashes the rest. */
static void digest_in_two_lives(size_t split, size_t n, struct digest *out)
{
	struct digester first, second;
	struct midstate mid;

	digest_init(&first);
	digest_update(&first, part(0, split));
	memset(&mid, 0xaa, sizeof(mid));
	digest_save(&first, &mid);
	memset(&second, 0x55, sizeof(second));
	assert_true(digest_resume(&second, &mid));
	assert_int_equal(digest_count(&second), split);
	digest_update(&second, part(split, n));
	assert_int_equal(digest_count(&second), n);
	digest_final(&second, out);
}

static void resuming_at_every_split_equals_one_go(void **state)
{
	(void)state;
	for (size_t n = 0; n <= LONGEST; n++) {
		struct digest whole, split;

		digest_of(part(0, n), &whole);
		for (size_t at = 0; at <= n; at++) {
			digest_in_two_lives(at, n, &split);
			assert_true(digest_equal(&whole, &split));
		}
	}
}

static void a_saved_digester_goes_on(void **state)
{
	struct digester d;
	struct midstate m;
	struct digest a, b;

	(void)state;
	digest_init(&d);
	for (size_t i = 0; i < LONGEST; i++) {
		digest_update(&d, part(i, i + 1));
		digest_save(&d, &m);
	}
	digest_final(&d, &a);
	digest_of(part(0, LONGEST), &b);
	assert_true(digest_equal(&a, &b));
}

/* So that a midstate written by this machine is read by any other. */
static void the_layout_of_a_midstate_is_fixed(void **state)
{
	char hex[HEX_LEN(MIDSTATE_SIZE) + 1];
	struct digester d;
	struct midstate m;

	(void)state;
	digest_init(&d);
	digest_update(&d, BYTES("abc"));
	digest_save(&d, &m);
	hex_encode(hex, m.b, sizeof(m.b));
	assert_string_equal(hex,
			    "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"
			    "0000000000000003"
			    "6162630000000000000000000000000000000000000000000000000000000000"
			    "0000000000000000000000000000000000000000000000000000000000000000");
}

static void equal_messages_have_equal_midstates(void **state)
{
	struct digester one, two;
	struct midstate a, b;

	(void)state;
	digest_init(&one);
	digest_update(&one, part(0, 130));
	digest_save(&one, &a);
	memset(&two, 0xff, sizeof(two));
	digest_init(&two);
	for (size_t i = 0; i < 130; i += 13)
		digest_update(&two, part(i, i + 13));
	digest_save(&two, &b);
	assert_memory_equal(a.b, b.b, sizeof(a.b));
}

static void a_byte_behind_the_partial_block_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 130; n++) {
		struct digester d;
		struct midstate m;

		digest_init(&d);
		digest_update(&d, part(0, n));
		digest_save(&d, &m);
		for (size_t at = 40 + n % 64; at < MIDSTATE_SIZE; at++) {
			m.b[at] = 1;
			assert_false(digest_resume(&d, &m));
			m.b[at] = 0;
		}
		assert_true(digest_resume(&d, &m));
	}
}

static void a_count_no_message_can_have_is_refused(void **state)
{
	struct midstate m = { { 0 } };
	struct digester d;

	(void)state;
	bytes_put_u64(m.b + 32, (UINT64_C(1) << 61) - 64);
	assert_true(digest_resume(&d, &m));
	assert_int_equal(digest_count(&d), (UINT64_C(1) << 61) - 64);
	bytes_put_u64(m.b + 32, UINT64_C(1) << 61);
	assert_false(digest_resume(&d, &m));
	bytes_put_u64(m.b + 32, UINT64_MAX - 63);
	assert_false(digest_resume(&d, &m));
}

static void no_bytes_change_nothing(void **state)
{
	struct digester d;
	struct digest a, b;

	(void)state;
	digest_init(&d);
	digest_update(&d, (struct bytes){ NULL, 0 });
	digest_update(&d, part(0, 10));
	digest_update(&d, (struct bytes){ NULL, 0 });
	digest_final(&d, &a);
	digest_of(part(0, 10), &b);
	assert_true(digest_equal(&a, &b));
}

static void digests_differ_in_any_byte(void **state)
{
	struct digest a, b;

	(void)state;
	digest_of(BYTES("abc"), &a);
	for (size_t i = 0; i < sizeof(a.b); i++) {
		b = a;
		assert_true(digest_equal(&a, &b));
		b.b[i] ^= 0x80;
		assert_false(digest_equal(&a, &b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_fips_180_hold),
		cmocka_unit_test(another_implementation_agrees_at_every_length),
		cmocka_unit_test(resuming_at_every_split_equals_one_go),
		cmocka_unit_test(a_saved_digester_goes_on),
		cmocka_unit_test(the_layout_of_a_midstate_is_fixed),
		cmocka_unit_test(equal_messages_have_equal_midstates),
		cmocka_unit_test(a_byte_behind_the_partial_block_is_refused),
		cmocka_unit_test(a_count_no_message_can_have_is_refused),
		cmocka_unit_test(no_bytes_change_nothing),
		cmocka_unit_test(digests_differ_in_any_byte),
	};

	if (sodium_init() < 0)
		return 1;
	for (size_t i = 0; i < LONGEST; i++)
		message[i] = (uint8_t)(i * 151 + 7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
