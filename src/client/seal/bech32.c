#include "client/seal/bech32.h"

#include <string.h>

#define CHECKSUM_LEN 6

static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* The checksum (BIP 173): a remainder over GF(32) that takes one value after the other. */
static uint32_t sum_add(uint32_t sum, unsigned value)
{
	static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
					       0x2a1462b3 };
	uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ value;
	for (int i = 0; i < 5; i++)
		sum ^= generator[i] & (0u - (top >> i & 1u));
	return sum;
}

static uint32_t sum_of_prefix(const char *prefix)
{
	uint32_t sum = 1;

	for (const char *p = prefix; *p != '\0'; p++)
		sum = sum_add(sum, (unsigned char)*p >> 5);
	sum = sum_add(sum, 0);
	for (const char *p = prefix; *p != '\0'; p++)
		sum = sum_add(sum, (unsigned char)*p & 31u);
	return sum;
}

/* Five bits of data from bit 5 * i on, zeroes behind the end. */
static unsigned group_at(struct bytes data, size_t i)
{
	size_t at = i * 5 / 8;
	unsigned pair = (unsigned)data.data[at] << 8 | (at + 1 < data.len ? data.data[at + 1] : 0);

	return pair >> (11 - i * 5 % 8) & 31u;
}

void bech32_encode(char *out, const char *prefix, struct bytes data)
{
	const size_t groups = BECH32_LEN(data.len) - CHECKSUM_LEN, n = strlen(prefix);
	uint32_t sum = sum_of_prefix(prefix);

	memcpy(out, prefix, n);
	out += n;
	*out++ = '1';
	for (size_t i = 0; i < groups; i++) {
		unsigned value = group_at(data, i);

		sum = sum_add(sum, value);
		*out++ = letters[value];
	}
	for (int i = 0; i < CHECKSUM_LEN; i++)
		sum = sum_add(sum, 0);
	sum ^= 1;
	for (int shift = 5 * (CHECKSUM_LEN - 1); shift >= 0; shift -= 5)
		*out++ = letters[sum >> shift & 31u];
	*out = '\0';
}

static bool value_of(unsigned *value, char letter)
{
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	if (found == NULL)
		return false;
	*value = (unsigned)(found - letters);
	return true;
}

/* Adds five bits at bit 5 * i of out[0..len), which was zeroes. False if one that falls behind the
 * end is set. */
static bool put_group(uint8_t *out, size_t len, size_t i, unsigned value)
{
	size_t at = i * 5 / 8;
	unsigned pair = value << (11 - i * 5 % 8);

	out[at] |= (uint8_t)(pair >> 8);
	if (at + 1 < len)
		out[at + 1] |= (uint8_t)pair;
	return at + 1 < len || (pair & 0xff) == 0;
}

bool bech32_decode(uint8_t *out, size_t len, const char *prefix, const char *text, size_t n)
{
	const size_t prefix_len = strlen(prefix), groups = BECH32_LEN(len) - CHECKSUM_LEN;
	uint32_t sum = sum_of_prefix(prefix);

	if (n != prefix_len + 1 + groups + CHECKSUM_LEN || memcmp(text, prefix, prefix_len) != 0 ||
	    text[prefix_len] != '1')
		return false;
	text += prefix_len + 1;
	memset(out, 0, len);
	for (size_t i = 0; i < groups + CHECKSUM_LEN; i++) {
		unsigned value;

		if (!value_of(&value, text[i]))
			return false;
		sum = sum_add(sum, value);
		if (i < groups && !put_group(out, len, i, value))
			return false;
	}
	return sum == 1;
}
