/* opening - the payload of a container, opened from the beginning of any chunk on: sealed bytes in,
 * as they come, authenticated plaintext out, chunk by chunk and without padding. One thread.
 *
 * Where the number of chunks is known, each is opened as what it has to be. Where it is not (a
 * recording that goes on), every full chunk is given out as soon as its last byte is there, as one
 * in the middle; if it does not open as such it has to be the last, and is kept until the end. */
#ifndef RESTANTE_CLIENT_OPENING_H
#define RESTANTE_CLIENT_OPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/seal/payload.h"
#include "restante/error.h"

#define OPENING_UNKNOWN UINT64_MAX

/* Takes plaintext that was found authentic, which begins at offset `at`; anything but RESTANTE_OK
 * ends the opening. */
typedef enum restante_code opening_give(void *ctx, uint64_t at, struct bytes plain,
					struct restante_error *e);

struct opening {
	struct payload payload;
	uint64_t index;     /* of the chunk that is being collected */
	uint64_t chunks;    /* of all, or OPENING_UNKNOWN */
	size_t last_sealed; /* size of the last one, if chunks is known */
	uint64_t size;      /* plaintext without padding, or OPENING_UNKNOWN */
	bool done;          /* the last chunk was opened */
	bool refused;       /* sealed is full, and no chunk in the middle */
	opening_give *give;
	void *ctx;
	size_t have; /* bytes in sealed */
	/* what was opened last, and stays until the next: a cache for who seeks */
	uint64_t plain_at;
	size_t plain_len; /* 0: nothing */
	uint8_t sealed[PAYLOAD_SEALED_CHUNK];
	uint8_t plain[PAYLOAD_CHUNK];
};

/* For a payload (what is behind header and nonce) of `sealed` bytes, or OPENING_UNKNOWN, of which
 * `size` bytes of plaintext are no padding, or OPENING_UNKNOWN. RESTANTE_TAMPERED if no payload is
 * that long, or it has no room for `size`. Wipe it at the end with sodium_memzero(). */
enum restante_code opening_init(struct opening *o, const struct payload *p, uint64_t sealed,
				uint64_t size, struct restante_error *e);

/* Begins anew at chunk `index`, for another receiver. What was opened last stays. */
void opening_start(struct opening *o, uint64_t index, opening_give *give, void *ctx);

/* Takes sealed bytes. RESTANTE_TAMPERED, or what `give` has returned. */
enum restante_code opening_take(struct opening *o, struct bytes in, struct restante_error *e);

/* Whether what is there may be the end: if so it is given out, and o->done is true. Fails only with
 * what `give` has returned; that it is not the end is no failure. */
enum restante_code opening_try_end(struct opening *o, struct restante_error *e);

/* There are no more bytes. RESTANTE_TAMPERED if that is not all, or less than `size`. */
enum restante_code opening_end(struct opening *o, struct restante_error *e);

/* The first sealed byte of the payload behind chunk `index`. */
uint64_t opening_offset(uint64_t index);

#endif
