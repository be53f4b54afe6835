/* envelope - the inside of a struct restante_envelope, for the library's other files. One thread.
 *
 * It holds no pointers: a copy is an assignment. Whoever keeps one inside a struct of their own
 * wipes it with sodium_memzero(). */
#ifndef RESTANTE_CLIENT_SEAL_ENVELOPE_H
#define RESTANTE_CLIENT_SEAL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/envelope.h"
#include "restante/seal.h"

#define ENVELOPE_TEXT_MAX 255 /* bytes of the longest text, the name */
#define ENVELOPE_SHA256_SIZE 32
#define ENVELOPE_BARS 64
#define ENVELOPE_PREVIEW_MAX 4096
#define ENVELOPE_THUMBHASH_MAX 25

struct restante_envelope {
	char texts[RESTANTE_TEXT_COUNT][ENVELOPE_TEXT_MAX + 1]; /* "": not there */
	uint64_t numbers[RESTANTE_NUMBER_COUNT];
	bool has_number[RESTANTE_NUMBER_COUNT];
	size_t blob_sizes[RESTANTE_BLOB_COUNT]; /* 0: not there */
	uint8_t key[RESTANTE_KEY_SIZE];
	uint8_t sha256[ENVELOPE_SHA256_SIZE];
	uint8_t waveform[ENVELOPE_BARS];
	uint8_t preview[ENVELOPE_PREVIEW_MAX];
	uint8_t thumbhash[ENVELOPE_THUMBHASH_MAX];
};

/* Whether the required fields are there and all agree: RESTANTE_OK or RESTANTE_INVALID. */
enum restante_code envelope_check(const struct restante_envelope *envelope,
				  struct restante_error *e);

#endif
