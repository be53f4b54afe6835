#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/crc32c.h"
#include "base/sums.h"
#include "base/text.h"

#define ABC_448 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
#define ABC_896                                                    \
	"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn" \
	"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
#define DIGITS_80                                  \
	"1234567890123456789012345678901234567890" \
	"1234567890123456789012345678901234567890"

/* A million times "a", of FIPS 180-4's examples and RFC 3174. */
static uint8_t million[1000000];

static const struct answer {
	enum sum sum;
	const char *text; /* NULL: the million */
	const char *hex;
} answers[] = {
	/* RFC 1321, appendix A.5 */
	{ SUM_MD5, "", "d41d8cd98f00b204e9800998ecf8427e" },
	{ SUM_MD5, "a", "0cc175b9c0f1b6a831c399e269772661" },
	{ SUM_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72" },
	{ SUM_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
	{ SUM_MD5, DIGITS_80, "57edf4a22be3c955ac49da2e2107b67a" },
	/* RFC 3174, section 7.3 */
	{ SUM_SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
	{ SUM_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ SUM_SHA1, ABC_448, "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
	{ SUM_SHA1, NULL, "34aa973cd4c4daa4f61eeb2bdbad27316534016f" },
	/* FIPS 180-4, the examples published with it */
	{ SUM_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ SUM_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ SUM_SHA256, ABC_448, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ SUM_SHA256, NULL, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	{ SUM_SHA512, "",
	  "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
	  "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e" },
	{ SUM_SHA512, "abc",
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	{ SUM_SHA512, ABC_896,
	  "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
	  "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909" },
	/* The check value of CRC-32/ISCSI in the catalogue of CRCs, and no bytes. */
	{ SUM_CRC32C, "123456789", "e3069283" },
	{ SUM_CRC32C, "", "00000000" },
};
#define ANSWERS (sizeof(answers) / sizeof(answers[0]))

static struct bytes bytes_of(const struct answer *a)
{
	if (a->text == NULL)
		return (struct bytes){ million, sizeof(million) };
	return (struct bytes){ (const uint8_t *)a->text, strlen(a->text) };
}

static struct sum_claim claim_of(enum sum sum, const char *hex)
{
	struct sum_claim claim = { .sum = sum };
	size_t len;

	assert_true(hex_decode(claim.value, sizeof(claim.value), &len, hex, strlen(hex)));
	assert_int_equal(len, sum_size(sum));
	return claim;
}

static bool matches(struct bytes data, const struct sum_claim *claim)
{
	struct sums s;

	sums_init(&s, SUM_BIT(claim->sum));
	sums_update(&s, data);
	return sums_match(&s, claim);
}

static void known_bytes_have_the_known_sums(void **state)
{
	(void)state;
	for (size_t i = 0; i < ANSWERS; i++) {
		struct sum_claim claim = claim_of(answers[i].sum, answers[i].hex);

		if (!matches(bytes_of(&answers[i]), &claim))
			fail_msg("%s of the %zu bytes of answer %zu", sum_name(claim.sum),
				 bytes_of(&answers[i]).len, i);
	}
}

static void one_bit_anywhere_is_another_sum(void **state)
{
	(void)state;
	for (size_t i = 0; i < ANSWERS; i++) {
		struct sum_claim claim = claim_of(answers[i].sum, answers[i].hex);

		for (size_t bit = 0; answers[i].text != NULL && bit < 8 * sum_size(claim.sum);
		     bit++) {
			claim.value[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(matches(bytes_of(&answers[i]), &claim));
			claim.value[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

/* However the bytes arrive, and whatever else is wanted of them. */
static void pieces_have_the_sum_of_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ANSWERS; i++) {
		struct sum_claim claim = claim_of(answers[i].sum, answers[i].hex);
		struct bytes data = bytes_of(&answers[i]);
		struct sums s;

		sums_init(&s, SUM_ALL);
		for (size_t at = 0, n = 0; at < data.len; at += n, n = n * 2 + 1) {
			size_t left = data.len - at;

			n = n < left ? n : left;
			sums_update(&s, (struct bytes){ data.data + at, n });
			sums_update(&s, (struct bytes){ NULL, 0 });
		}
		assert_true(sums_match(&s, &claim));
	}
}

static void one_sum_ends_and_the_others_go_on(void **state)
{
	struct sum_claim sha1 = claim_of(SUM_SHA1, answers[6].hex), md5, crc32c;
	struct sums s;

	(void)state;
	md5 = claim_of(SUM_MD5, "e80b5017098950fc58aad83c8c14978e"); /* of abcdef */
	crc32c = claim_of(SUM_CRC32C, "53bceff1");
	sums_init(&s, SUM_BIT(SUM_SHA1) | SUM_BIT(SUM_MD5) | SUM_BIT(SUM_CRC32C));
	sums_update(&s, BYTES("abc"));
	assert_true(sums_match(&s, &sha1));
	sums_update(&s, BYTES("def"));
	assert_true(sums_match(&s, &md5));
	assert_true(sums_match(&s, &crc32c));
}

static void a_sum_asked_for_is_no_longer_wanted(void **state)
{
	struct sum_claim sha1 = claim_of(SUM_SHA1, answers[5].hex);
	struct sums s;

	(void)state;
	sums_init(&s, SUM_BIT(SUM_SHA1) | SUM_BIT(SUM_MD5));
	assert_true(sums_match(&s, &sha1));
	assert_int_equal(s.wanted, SUM_BIT(SUM_MD5));
}

static void names_are_found_as_they_are_written(void **state)
{
	static const char *const unknown[] = { "",       "s",       "sha",    "sha11", "SHA1",
					       "Sha256", "sha-1",   "sha224", "md",    "md55",
					       "crc32",  "crc32cc", " md5",   "md5 ",  NULL };
	enum sum sum;

	(void)state;
	for (enum sum i = 0; i < SUM_COUNT; i++) {
		assert_true(sum_find(&sum, sum_name(i), strlen(sum_name(i))));
		assert_int_equal(sum, i);
		assert_true(sum_size(i) > 0 && sum_size(i) <= SUM_SIZE_MAX);
	}
	assert_string_equal(sum_name(SUM_SHA1), "sha1");
	sum = SUM_COUNT;
	for (size_t i = 0; unknown[i] != NULL; i++)
		assert_false(sum_find(&sum, unknown[i], strlen(unknown[i])));
	assert_false(sum_find(&sum, "md5\0", 4));
	assert_int_equal(sum, SUM_COUNT);
}

/* ---- crc32c ------------------------------------------------------------------------------------
 */

/* RFC 3720 appendix B.4 writes the bytes as they are sent, the lowest first. */
static void crc32c_is_that_of_iscsi(void **state)
{
	static const uint8_t read_command[48] = {
		0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
		0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	uint8_t b[32];

	(void)state;
	memset(b, 0, sizeof(b));
	assert_int_equal(crc32c_extend(0, (struct bytes){ b, 32 }), 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	assert_int_equal(crc32c_extend(0, (struct bytes){ b, 32 }), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(crc32c_extend(0, (struct bytes){ b, 32 }), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c_extend(0, (struct bytes){ b, 32 }), 0x113fdb5c);
	assert_int_equal(crc32c_extend(0, (struct bytes){ read_command, 48 }), 0xd9963a56);
}

/* The polynomial by hand: bit for bit, no table. */
static uint32_t crc32c_by_bits(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t bit = 0; bit < n * 8; bit++) {
		uint32_t out = (crc ^ (uint32_t)(p[bit / 8] >> bit % 8)) & 1;

		crc = crc >> 1 ^ (out != 0 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static void crc32c_is_the_same_at_every_length_place_and_cut(void **state)
{
	uint8_t b[96];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * i * 31 + 7);
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 0; n <= 64; n++) {
			uint32_t want = crc32c_by_bits(b + at, n);
			size_t cut = n * 3 / 7;
			uint32_t head = crc32c_extend(0, (struct bytes){ b + at, cut });

			assert_int_equal(crc32c_extend(0, (struct bytes){ b + at, n }), want);
			assert_int_equal(
				crc32c_extend(head, (struct bytes){ b + at + cut, n - cut }), want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_bytes_have_the_known_sums),
		cmocka_unit_test(one_bit_anywhere_is_another_sum),
		cmocka_unit_test(pieces_have_the_sum_of_the_whole),
		cmocka_unit_test(one_sum_ends_and_the_others_go_on),
		cmocka_unit_test(a_sum_asked_for_is_no_longer_wanted),
		cmocka_unit_test(names_are_found_as_they_are_written),
		cmocka_unit_test(crc32c_is_that_of_iscsi),
		cmocka_unit_test(crc32c_is_the_same_at_every_length_place_and_cut),
	};

	if (sodium_init() < 0)
		return 1;
	memset(million, 'a', sizeof(million));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
