/* payload - the chunks of an age v1 payload (C2SP age specification, "Payload"), each for itself: a
 * chunk can be sealed or opened without those before it. Pure; any thread. */
#ifndef RESTANTE_CLIENT_SEAL_PAYLOAD_H
#define RESTANTE_CLIENT_SEAL_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define PAYLOAD_KEY_SIZE 32
#define PAYLOAD_CHUNK 65536
#define PAYLOAD_TAG 16
#define PAYLOAD_SEALED_CHUNK (PAYLOAD_CHUNK + PAYLOAD_TAG)
#define PAYLOAD_INDEX_MAX                                                       \
	(UINT64_C(1) << 46) /* chunks; of the counter's 88 bits enough for 2^62 \
			     */

struct payload {
	uint8_t key[PAYLOAD_KEY_SIZE];
};

/* Seals chunk `index`: writes plain.len + PAYLOAD_TAG bytes. plain is at most PAYLOAD_CHUNK, that
 * long unless it is the last, and empty only as the last chunk of an empty payload. */
void payload_seal(const struct payload *p, uint64_t index, bool last, struct bytes plain,
		  uint8_t *out);

/* Opens it: writes sealed.len - PAYLOAD_TAG bytes. False, and nothing to be read from out, unless
 * it is authentic as that chunk. out may be where sealed is. */
bool payload_open(const struct payload *p, uint64_t index, bool last, struct bytes sealed,
		  uint8_t *out);

/* How a payload of `size` plaintext bytes is cut: the number of chunks (one if empty), and the
 * plaintext bytes of chunk `index`. */
uint64_t payload_chunks(uint64_t size);
size_t payload_chunk_size(uint64_t size, uint64_t index);

#endif
