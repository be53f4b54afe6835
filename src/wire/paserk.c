#include "wire/paserk.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#define PUBLIC "k4.public."
#define SECRET "k4.secret."
#define PID "k4.pid."

_Static_assert(PASERK_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "public key");
_Static_assert(PASERK_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "secret key");

static void write_key(char *out, const char *head, const uint8_t *key, size_t len)
{
	size_t n = strlen(head);

	memcpy(out, head, n);
	base64url_encode(out + n, key, len);
}

static bool read_key(uint8_t *key, size_t len, const char *head, const char *text, size_t n)
{
	size_t head_len = strlen(head), got;

	return n > head_len && memcmp(text, head, head_len) == 0 &&
	       base64url_decode(key, len, &got, text + head_len, n - head_len) && got == len;
}

void paserk_public(char out[static PASERK_PUBLIC_SIZE],
		   const uint8_t key[static PASERK_PUBLIC_BYTES])
{
	write_key(out, PUBLIC, key, PASERK_PUBLIC_BYTES);
}

void paserk_secret(char out[static PASERK_SECRET_SIZE],
		   const uint8_t secret[static PASERK_SECRET_BYTES])
{
	write_key(out, SECRET, secret, PASERK_SECRET_BYTES);
}

/* PASERK, "ID": BLAKE2b-264 of the header and the key's text. */
void paserk_pid(char out[static PASERK_PID_SIZE], const uint8_t key[static PASERK_PUBLIC_BYTES])
{
	char text[sizeof(PID) - 1 + PASERK_PUBLIC_SIZE] = PID;
	uint8_t id[PASERK_PID_BYTES];
	int rc;

	paserk_public(text + sizeof(PID) - 1, key);
	rc = crypto_generichash(id, sizeof(id), (const uint8_t *)text, strlen(text), NULL, 0);
	assert(rc == 0);
	write_key(out, PID, id, sizeof(id));
}

bool paserk_read_public(uint8_t key[static PASERK_PUBLIC_BYTES], const char *text, size_t n)
{
	return read_key(key, PASERK_PUBLIC_BYTES, PUBLIC, text, n) &&
	       crypto_core_ed25519_is_valid_point(key);
}

static bool halves_belong(const uint8_t secret[static PASERK_SECRET_BYTES])
{
	uint8_t whole[PASERK_SECRET_BYTES], key[PASERK_PUBLIC_BYTES];
	bool same;

	crypto_sign_seed_keypair(key, whole, secret);
	same = sodium_memcmp(whole, secret, sizeof(whole)) == 0;
	sodium_memzero(whole, sizeof(whole));
	return same;
}

bool paserk_read_secret(uint8_t secret[static PASERK_SECRET_BYTES], const char *text, size_t n)
{
	if (read_key(secret, PASERK_SECRET_BYTES, SECRET, text, n) && halves_belong(secret))
		return true;
	sodium_memzero(secret, PASERK_SECRET_BYTES);
	return false;
}
