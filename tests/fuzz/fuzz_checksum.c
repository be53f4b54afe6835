/* fuzz_checksum - the input is an Upload-Checksum field, and bytes to be summed. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "wire/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_SIZE (16 + BASE64_LEN(SUM_SIZE_MAX) + 1)

static size_t write_claim(char out[static TEXT_SIZE], enum sum sum, const uint8_t *value)
{
	size_t at = strlen(sum_name(sum));

	memcpy(out, sum_name(sum), at);
	out[at++] = ' ';
	base64_encode(out + at, value, sum_size(sum));
	return at + strlen(out + at);
}

/* A claim has one spelling: what is read is written the same. */
static void check_spelling(const struct sum_claim *claim, const char *text, size_t n)
{
	char again[TEXT_SIZE];

	assert(claim->sum < SUM_COUNT);
	assert(write_claim(again, claim->sum, claim->value) == n && memcmp(again, text, n) == 0);
	for (size_t i = sum_size(claim->sum); i < SUM_SIZE_MAX; i++)
		assert(claim->value[i] == 0);
}

/* Whether one of the names, as they are told to clients, stands before the first space. */
static bool is_told(const char *text, size_t n)
{
	char names[CHECKSUM_NAMES_SIZE], *rest = names;
	bool told = false;

	checksum_names(names);
	for (const char *name; (name = strsep(&rest, ",")) != NULL;) {
		size_t len = strlen(name);

		told |= n > len && memcmp(text, name, len) == 0 && text[len] == ' ';
	}
	return told;
}

static void check_field(const char *text, size_t n)
{
	struct sum_claim claim = { .sum = SUM_COUNT };
	enum err_code rc = checksum_parse(&claim, text, n);

	assert(rc == ERR_OK || rc == ERR_INVALID || rc == ERR_NOTFOUND);
	assert(rc == ERR_OK || claim.sum == SUM_COUNT);
	assert(rc != ERR_OK || is_told(text, n));
	assert(rc != ERR_NOTFOUND || !is_told(text, n));
	if (rc == ERR_OK)
		check_spelling(&claim, text, n);
}

/* The polynomial by hand: bit for bit, no table. */
static uint32_t crc32c_by_bits(struct bytes data)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < data.len; i++) {
		crc ^= data.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

/* Of one sum, by those who do not share our code. */
static void sum_of(uint8_t value[static SUM_SIZE_MAX], enum sum sum, struct bytes data)
{
	if (sum == SUM_SHA256)
		crypto_hash_sha256(value, data.data, data.len);
	else if (sum == SUM_SHA512)
		crypto_hash_sha512(value, data.data, data.len);
	else
		bytes_put_u32(value, crc32c_by_bits(data));
}

/* The bytes, in two pieces, have what their sum says as a field, and not with any bit changed. */
static void check_sums(struct bytes data, size_t cut)
{
	static const enum sum checked[] = { SUM_SHA256, SUM_SHA512, SUM_CRC32C };

	for (size_t i = 0; i < sizeof(checked) / sizeof(checked[0]); i++) {
		struct sum_claim claim;
		uint8_t value[SUM_SIZE_MAX];
		char text[TEXT_SIZE];
		struct sums s, other;

		sum_of(value, checked[i], data);
		assert(checksum_parse(&claim, text, write_claim(text, checked[i], value)) ==
		       ERR_OK);
		sums_init(&s, SUM_ALL);
		sums_update(&s, (struct bytes){ data.data, cut });
		sums_update(&s, (struct bytes){ data.data + cut, data.len - cut });
		other = s;
		assert(sums_match(&s, &claim));
		claim.value[cut % sum_size(checked[i])] ^= (uint8_t)(1u << cut % 8);
		assert(!sums_match(&other, &claim));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (sodium_init() < 0)
		return 0;
	check_field((const char *)data, size);
	if (size > 0)
		check_sums((struct bytes){ data, size }, data[0] % size);
	return 0;
}
