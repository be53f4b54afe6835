/* head - header and nonce in front of a payload, collected from what comes: ours are
 * RESTANTE_HEAD_SIZE bytes long, those of other age tools may be longer. One thread. */
#ifndef RESTANTE_CLIENT_HEAD_H
#define RESTANTE_CLIENT_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/seal/header.h"

struct head {
	size_t size;            /* how long it is, header and nonce; 0 until it is open */
	struct payload payload; /* wiped by head_start() */
	size_t have;
	uint8_t bytes[HEADER_MAX];
};

/* Begins anew, wiping what was there. */
void head_start(struct head *h);

/* Takes from *in what belongs to the head, and opens it once it is whole: h->size > 0.
 * RESTANTE_INVALID, RESTANTE_KEY, RESTANTE_TAMPERED, as header_open() has them. */
enum restante_code head_take(struct head *h, struct bytes *in,
			     const uint8_t key[static RESTANTE_KEY_SIZE], struct restante_error *e);

/* How many more bytes to ask for to have all of it: of ours exactly, else at most. */
size_t head_missing(const struct head *h);

#endif
