/* fuzz_grant - the input as a token of a stranger, and as the payload of one that is well signed.
 */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "wire/grant.h"
#include "wire/paserk.h"
#include "wire/paseto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "media.example"
#define NOW INT64_C(1800000000)

static uint8_t key[GRANT_KEYBYTES], secret[GRANT_SECRETBYTES];

static void make_keys(void)
{
	static const uint8_t seed[crypto_sign_SEEDBYTES] = "the one key of this fuzz target";

	crypto_sign_seed_keypair(key, secret, seed);
}

static enum err_code verify(struct grant *g, const char *text, size_t n)
{
	struct err e;

	return grant_verify(g, text, n, key, NAME, NOW, 60, &e);
}

/* Keys as text have one spelling. */
static void check_keys(const char *text, size_t n)
{
	char again[PASERK_SECRET_SIZE];
	uint8_t k[PASERK_SECRET_BYTES];

	if (paserk_read_public(k, text, n)) {
		paserk_public(again, k);
		assert(strlen(again) == n && memcmp(again, text, n) == 0);
	}
	if (paserk_read_secret(k, text, n)) {
		paserk_secret(again, k);
		assert(strlen(again) == n && memcmp(again, text, n) == 0);
	}
}

/* Whoever has no key gets nothing in but what is in the corpus. */
static void check_stranger(const char *text, size_t n)
{
	char kid[GRANT_NAME_MAX + 1];
	struct grant g;
	enum err_code rc = grant_kid(kid, text, n);

	if (verify(&g, text, n) == ERR_OK)
		assert(rc == ERR_OK && strcmp(kid, g.kid) == 0);
}

/* What was read is written, and is read again as the same. */
static void check_again(const struct grant *g)
{
	struct grant again;
	struct err e;
	char *text, *twice;

	assert(grant_sign(&text, g, secret, &e) == ERR_OK);
	assert(verify(&again, text, strlen(text)) == ERR_OK);
	assert(grant_sign(&twice, &again, secret, &e) == ERR_OK);
	assert(strcmp(text, twice) == 0);
	free(text);
	free(twice);
}

static void check_payload(struct bytes payload)
{
	struct grant g;
	char *text;

	if (paseto_sign(&text, payload, BYTES("{\"kid\":\"k\"}"), (struct bytes){ 0 }, secret) !=
	    ERR_OK)
		return;
	assert(verify(&g, text, strlen(text)) != ERR_FORGED);
	if (verify(&g, text, strlen(text)) == ERR_OK)
		check_again(&g);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	make_keys();
	check_stranger((const char *)data, size);
	check_keys((const char *)data, size);
	check_payload((struct bytes){ data, size });
	return 0;
}
