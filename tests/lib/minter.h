/* minter - the chat backend of a test: a key pair, and grants signed with it. */
#ifndef RESTANTE_TESTS_MINTER_H
#define RESTANTE_TESTS_MINTER_H

#include <stddef.h>
#include <stdint.h>

#include "wire/grant.h"

#define MINTER_FIELD_SIZE (GRANT_CHARS_MAX + 32)

struct minter {
	char kid[32];
	uint8_t public_key[GRANT_KEYBYTES], secret[GRANT_SECRETBYTES];
};

/* The same pair for the same seed; its kid is "k" and the seed. */
void minter_init(struct minter *m, uint8_t seed);

/* Its key as the config wants it, in quotes: "KID k4.public.…". Returns out. */
const char *minter_key(const struct minter *m, char *out, size_t size);

/* A grant for "localhost" that is good for an hour and says nothing more. */
struct grant minter_grant(const struct minter *m);

/* Signed, as the field of a request: "Authorization: Bearer …\r\n". Returns out. */
const char *minter_field(const struct minter *m, const struct grant *g,
			 char out[static MINTER_FIELD_SIZE]);

#endif
