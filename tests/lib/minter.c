#include "tests/lib/minter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "wire/paserk.h"

void minter_init(struct minter *m, uint8_t seed)
{
	uint8_t from[crypto_sign_SEEDBYTES];

	if (sodium_init() < 0)
		abort();
	memset(from, seed, sizeof(from));
	(void)snprintf(m->kid, sizeof(m->kid), "k%u", (unsigned)seed);
	(void)crypto_sign_seed_keypair(m->public_key, m->secret, from);
}

const char *minter_key(const struct minter *m, char *out, size_t size)
{
	char text[PASERK_PUBLIC_SIZE];

	paserk_public(text, m->public_key);
	(void)snprintf(out, size, "\"%s %s\"", m->kid, text);
	return out;
}

struct grant minter_grant(const struct minter *m)
{
	struct grant g = { .aud = "localhost", .exp = clock_now_s() + 3600 };

	(void)snprintf(g.kid, sizeof(g.kid), "%s", m->kid);
	return g;
}

const char *minter_field(const struct minter *m, const struct grant *g,
			 char out[static MINTER_FIELD_SIZE])
{
	char *token = NULL;

	if (grant_sign(&token, g, m->secret, NULL) != ERR_OK)
		abort();
	(void)snprintf(out, MINTER_FIELD_SIZE, "Authorization: Bearer %s\r\n", token);
	free(token);
	return out;
}
