#include "restante/seal.h"

#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/bech32.h"

/* Of Bech32's two cases age writes keys in the upper one, so that they stand out; its checksum is
 * that of the lower one. */
#define PREFIX "age-secret-key-"
#define TEXT_LEN (sizeof(PREFIX) + BECH32_LEN(RESTANTE_KEY_SIZE)) /* the NUL makes up for the 1 */

_Static_assert(TEXT_LEN + 1 == RESTANTE_KEY_TEXT_SIZE, "what the header says");

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Upper case to lower; lower case to what no decoder takes. */
static char lower(char c)
{
	if (c >= 'a' && c <= 'z')
		return '\0';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

enum restante_code restante_key_new(uint8_t key[RESTANTE_KEY_SIZE], struct restante_error *e)
{
	if (key == NULL)
		return fail(e, RESTANTE_MISUSE, "no place for the key was given");
	if (sodium_init() < 0)
		return fail(e, RESTANTE_IO, "the system has no source of randomness");
	randombytes_buf(key, RESTANTE_KEY_SIZE);
	return RESTANTE_OK;
}

void restante_key_format(char out[RESTANTE_KEY_TEXT_SIZE], const uint8_t key[RESTANTE_KEY_SIZE])
{
	if (out == NULL)
		return;
	out[0] = '\0';
	if (key == NULL)
		return;
	bech32_encode(out, PREFIX, (struct bytes){ key, RESTANTE_KEY_SIZE });
	for (char *c = out; *c != '\0'; c++)
		*c = upper(*c);
}

static bool begins_with(const char *text, size_t length, const char *with)
{
	return length >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* What people take for a key, told apart. The sentence must not hold any of the text. */
static enum restante_code refuse(const char *text, size_t length, struct restante_error *e)
{
	if (begins_with(text, length, "AGE-SECRET-KEY-PQ-1"))
		return fail(e, RESTANTE_INVALID, "post-quantum (hybrid) keys are not supported");
	if (begins_with(text, length, "AGE-PLUGIN-"))
		return fail(e, RESTANTE_INVALID, "keys of age plugins are not supported");
	if (begins_with(text, length, "age1"))
		return fail(e, RESTANTE_INVALID,
			    "that is an age recipient, which can seal, not the key that opens");
	return fail(e, RESTANTE_INVALID,
		    "not a key: it is AGE-SECRET-KEY-1 and 58 more characters, upper case, without "
		    "a typing error");
}

enum restante_code restante_key_parse(uint8_t key[RESTANTE_KEY_SIZE], const char *text,
				      size_t length, struct restante_error *e)
{
	char lowered[TEXT_LEN];
	uint8_t read[RESTANTE_KEY_SIZE];
	bool good;

	if (key == NULL || (text == NULL && length > 0))
		return fail(e, RESTANTE_MISUSE, "no key text, or no place for the key, was given");
	if (length != TEXT_LEN)
		return refuse(text, length, e);
	for (size_t i = 0; i < length; i++)
		lowered[i] = lower(text[i]);
	good = bech32_decode(read, sizeof(read), PREFIX, lowered, length);
	if (good)
		memcpy(key, read, sizeof(read));
	sodium_memzero(lowered, sizeof(lowered));
	sodium_memzero(read, sizeof(read));
	return good ? RESTANTE_OK : refuse(text, length, e);
}
