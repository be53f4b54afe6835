#include "base/text.h"

#include <sodium.h>

#define BASE64_PADDED sodium_base64_VARIANT_ORIGINAL
#define BASE64_URL sodium_base64_VARIANT_URLSAFE_NO_PADDING

void hex_encode(char *out, const uint8_t *in, size_t len)
{
	sodium_bin2hex(out, HEX_LEN(len) + 1, in, len);
}

void base64_encode(char *out, const uint8_t *in, size_t len)
{
	sodium_bin2base64(out, BASE64_LEN(len) + 1, in, len, BASE64_PADDED);
}

void base64url_encode(char *out, const uint8_t *in, size_t len)
{
	sodium_bin2base64(out, BASE64URL_LEN(len) + 1, in, len, BASE64_URL);
}

/* All decoders below pass no characters to ignore and no place to stop at, which is how libsodium
 * is told to take the whole input or nothing. */
bool hex_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n)
{
	size_t got;

	if (sodium_hex2bin(out, cap, text, n, NULL, &got, NULL) != 0)
		return false;
	*len = got;
	return true;
}

/* libsodium 1.0.18 compares characters as signed and takes every byte from 0x80 on for a "/" or
 * "_". No early way out: what is decoded may be secret. */
static bool is_ascii(const char *text, size_t n)
{
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++)
		seen |= (unsigned char)text[i];
	return seen < 0x80;
}

static bool decode64(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n, int variant)
{
	size_t got;

	if (!is_ascii(text, n) ||
	    sodium_base642bin(out, cap, text, n, NULL, &got, NULL, variant) != 0)
		return false;
	*len = got;
	return true;
}

bool base64_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n)
{
	return decode64(out, cap, len, text, n, BASE64_PADDED);
}

bool base64url_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n)
{
	return decode64(out, cap, len, text, n, BASE64_URL);
}
