#include "client/seal/payload.h"

#include <assert.h>

#include <sodium.h>

#define NONCE_SIZE crypto_aead_chacha20poly1305_ietf_NPUBBYTES

/* The chunk's number in eleven bytes, big-endian, of which the first three are never needed, and
 * whether it is the last. */
static void chunk_nonce(uint8_t nonce[static NONCE_SIZE], uint64_t index, bool last)
{
	assert(index < PAYLOAD_INDEX_MAX);
	nonce[0] = nonce[1] = nonce[2] = 0;
	bytes_put_u64(nonce + 3, index);
	nonce[11] = last ? 1 : 0;
}

void payload_seal(const struct payload *p, uint64_t index, bool last, struct bytes plain,
		  uint8_t *out)
{
	uint8_t nonce[NONCE_SIZE];

	assert(last ? plain.len <= PAYLOAD_CHUNK : plain.len == PAYLOAD_CHUNK);
	assert(plain.len > 0 || index == 0);
	chunk_nonce(nonce, index, last);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, NULL, 0, NULL,
						  nonce, p->key);
}

/* An empty chunk with a valid tag is refused too, unless it is all of an empty payload: the
 * specification knows no other. */
static bool has_size_of_chunk(uint64_t index, bool last, size_t size)
{
	if (index >= PAYLOAD_INDEX_MAX || size > PAYLOAD_SEALED_CHUNK)
		return false;
	if (!last)
		return size == PAYLOAD_SEALED_CHUNK;
	return size > PAYLOAD_TAG || (size == PAYLOAD_TAG && index == 0);
}

bool payload_open(const struct payload *p, uint64_t index, bool last, struct bytes sealed,
		  uint8_t *out)
{
	uint8_t nonce[NONCE_SIZE];

	if (!has_size_of_chunk(index, last, sealed.len))
		return false;
	chunk_nonce(nonce, index, last);
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len,
							 NULL, 0, nonce, p->key) == 0;
}

uint64_t payload_chunks(uint64_t size)
{
	return size == 0 ? 1 : (size - 1) / PAYLOAD_CHUNK + 1;
}

size_t payload_chunk_size(uint64_t size, uint64_t index)
{
	uint64_t at = index * PAYLOAD_CHUNK;

	assert(index < payload_chunks(size));
	return size - at < PAYLOAD_CHUNK ? (size_t)(size - at) : PAYLOAD_CHUNK;
}
