/* token - what may be done with fetch, manage and upload tokens without asking anybody: looking at
 * them, and narrowing them (doc/tokens.md). Whether one is genuine only the server can tell. Pure;
 * any thread. */
#ifndef RESTANTE_TOKEN_H
#define RESTANTE_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "restante/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RESTANTE_TOKEN_SIZE 105 /* the longest token and its NUL */
#define RESTANTE_TOKEN_CAVEATS 8

enum restante_token_type {
	RESTANTE_TOKEN_FETCH = 0x11,
	RESTANTE_TOKEN_MANAGE = 0x12,
	RESTANTE_TOKEN_UPLOAD = 0x13
};

/* What is written in a token. */
struct restante_token_info {
	enum restante_token_type type;
	uint8_t key_id;        /* of the server's key */
	uint64_t not_after;    /* Unix time, seconds: the earliest of all in it */
	unsigned caveat_count; /* how often it was narrowed, at most RESTANTE_TOKEN_CAVEATS */
	unsigned recipient_count;
	uint16_t recipients[RESTANTE_TOKEN_CAVEATS]; /* in the order they were added */
};

/* Reads a token by its layout. RESTANTE_INVALID if it is none. */
RESTANTE_API enum restante_code restante_token_read(struct restante_token_info *out,
						    const char *token,
						    struct restante_error *error);

/* Write a narrower token and its NUL to out: one that ends earlier (Unix time, seconds, at most
 * 2^32 - 1), or one that acknowledges for that recipient only (0 to 65535; which ones there are,
 * the server knows). Whoever has a token can do it, and nobody can undo it. RESTANTE_INVALID;
 * RESTANTE_TOOBIG if it was narrowed 8 times already. */
RESTANTE_API enum restante_code restante_token_not_after(char out[RESTANTE_TOKEN_SIZE],
							 const char *token, uint64_t not_after,
							 struct restante_error *error);
RESTANTE_API enum restante_code restante_token_recipient(char out[RESTANTE_TOKEN_SIZE],
							 const char *token, uint16_t recipient,
							 struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
