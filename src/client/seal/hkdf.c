#include "client/seal/hkdf.h"

#include <sodium.h>

_Static_assert(HKDF_SIZE == crypto_auth_hmacsha256_BYTES, "one block of output is all of it");

/* libsodium has HKDF from 1.0.19 on, and HMAC with keys of any length before. */
void hkdf(uint8_t out[static HKDF_SIZE], struct bytes ikm, struct bytes salt, struct bytes info)
{
	static const uint8_t first_block = 1;
	crypto_auth_hmacsha256_state hmac;
	uint8_t extracted[HKDF_SIZE];

	crypto_auth_hmacsha256_init(&hmac, salt.data, salt.len);
	crypto_auth_hmacsha256_update(&hmac, ikm.data, ikm.len);
	crypto_auth_hmacsha256_final(&hmac, extracted);

	crypto_auth_hmacsha256_init(&hmac, extracted, sizeof(extracted));
	crypto_auth_hmacsha256_update(&hmac, info.data, info.len);
	crypto_auth_hmacsha256_update(&hmac, &first_block, sizeof(first_block));
	crypto_auth_hmacsha256_final(&hmac, out);
	sodium_memzero(&hmac, sizeof(hmac));
	sodium_memzero(extracted, sizeof(extracted));
}
