#include "server/challenge.h"

#include <string.h>

#include <sodium.h>

#include "base/bytes.h"

#define TAG 16
#define FIXED (CHALLENGE_BYTES - TAG)

/* key id (1), until (4), offset (8), length (4), random (8); the blob is under the tag only. */
static void tag_of(uint8_t out[static TAG], const uint8_t fixed[static FIXED],
		   const struct digest *blob, const uint8_t key[static TOKEN_KEYBYTES])
{
	static const uint8_t personal[] = "restante.proof.1";
	crypto_generichash_blake2b_state st;

	(void)crypto_generichash_blake2b_init_salt_personal(&st, key, TOKEN_KEYBYTES, TAG, NULL,
							    personal);
	(void)crypto_generichash_blake2b_update(&st, fixed, FIXED);
	(void)crypto_generichash_blake2b_update(&st, blob->b, sizeof(blob->b));
	(void)crypto_generichash_blake2b_final(&st, out, TAG);
}

/* Up to n, which may be more than 32 bits have: hardly less even than it should be. */
static uint64_t random_up_to(uint64_t n)
{
	uint64_t v;

	randombytes_buf(&v, sizeof(v));
	return n == UINT64_MAX ? v : v % (n + 1);
}

void challenge_make(struct challenge *out, const struct digest *blob, uint64_t size, int64_t now_s,
		    const struct keys *keys)
{
	uint8_t b[CHALLENGE_BYTES];
	const uint8_t *key = keys_current(keys, &b[0]);

	out->length = size < CHALLENGE_RANGE_MAX ? (uint32_t)size : CHALLENGE_RANGE_MAX;
	out->offset = random_up_to(size - out->length);
	bytes_put_u32(b + 1, (uint32_t)(now_s + CHALLENGE_LIFE_S));
	bytes_put_u64(b + 5, out->offset);
	bytes_put_u32(b + 13, out->length);
	randombytes_buf(b + 17, 8);
	tag_of(b + FIXED, b, blob, key);
	base64url_encode(out->text, b, sizeof(b));
}

enum err_code challenge_read(struct challenge *out, const char *text, size_t n,
			     const struct digest *blob, int64_t now_s, const struct keys *keys)
{
	uint8_t b[CHALLENGE_BYTES], tag[TAG];
	const uint8_t *key;
	size_t len;

	if (n != CHALLENGE_CHARS || !base64url_decode(b, sizeof(b), &len, text, n) ||
	    len != sizeof(b))
		return ERR_INVALID;
	key = keys_find(keys, b[0]);
	if (key == NULL)
		return ERR_FORGED;
	tag_of(tag, b, blob, key);
	if (sodium_memcmp(tag, b + FIXED, TAG) != 0)
		return ERR_FORGED;
	if (now_s > (int64_t)bytes_get_u32(b + 1))
		return ERR_EXPIRED;
	memcpy(out->text, text, n);
	out->text[n] = '\0';
	out->offset = bytes_get_u64(b + 5);
	out->length = bytes_get_u32(b + 13);
	return ERR_OK;
}
