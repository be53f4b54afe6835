/* header - the head of an age v1 file (C2SP age specification, "Header"): made for one X25519
 * recipient, read with any number of stanzas. Pure but for randomness; any thread. */
#ifndef RESTANTE_CLIENT_SEAL_HEADER_H
#define RESTANTE_CLIENT_SEAL_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "client/seal/payload.h"
#include "restante/seal.h"

#define HEADER_MAX 16384 /* of what we read, nonce included: more is refused */

/* Makes header and nonce for the holder of key (fresh file key, ephemeral key and nonce), and the
 * key of the payload behind it. */
enum restante_code header_make(uint8_t out[static RESTANTE_HEAD_SIZE], struct payload *payload,
			       const uint8_t key[static RESTANTE_KEY_SIZE],
			       struct restante_error *e);

/* How much of in header and nonce are: *size > 0, at most in.len, or 0 if not all of them is there
 * yet. RESTANTE_INVALID as soon as it is clear that it is none, or longer than HEADER_MAX. */
enum restante_code header_size(size_t *size, struct bytes in, struct restante_error *e);

/* Opens header and nonce, all of in. RESTANTE_INVALID, RESTANTE_KEY, RESTANTE_TAMPERED (the
 * header's MAC). */
enum restante_code header_open(struct payload *payload, struct bytes in,
			       const uint8_t key[static RESTANTE_KEY_SIZE],
			       struct restante_error *e);

#endif
