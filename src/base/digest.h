/* digest - SHA-256 (FIPS 180-4, by nettle) whose state between two bytes can be stored and taken
 * up again on any machine: the midstate. A struct digester belongs to one thread at a time. */
#ifndef RESTANTE_BASE_DIGEST_H
#define RESTANTE_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

#include "base/bytes.h"
#include "base/ids.h"

/* Eight state words, the count of bytes hashed (all big-endian), and the partial block, zeroes
 * behind it: 32 + 8 + 64 bytes. */
#define MIDSTATE_SIZE 104

struct midstate {
	uint8_t b[MIDSTATE_SIZE];
};

struct digester {
	struct sha256_ctx sha256;
};

/* Starts at no bytes. */
void digest_init(struct digester *d);

/* Takes up a stored midstate. False if it is none (a non-zero byte behind the partial block). */
bool digest_resume(struct digester *d, const struct midstate *m);

void digest_update(struct digester *d, struct bytes data);

/* Bytes hashed so far. */
uint64_t digest_count(const struct digester *d);

/* Writes the state down; d can go on. */
void digest_save(const struct digester *d, struct midstate *m);

/* The digest of all bytes so far; d is then to be initialised again. */
void digest_final(struct digester *d, struct digest *out);

/* Digest of one piece. */
void digest_of(struct bytes data, struct digest *out);

bool digest_equal(const struct digest *a, const struct digest *b);

#endif
