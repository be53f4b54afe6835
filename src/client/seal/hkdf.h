/* hkdf - HKDF-SHA-256 (RFC 5869) for keys of 32 bytes, all that age asks of it. Pure; any thread.
 */
#ifndef RESTANTE_CLIENT_SEAL_HKDF_H
#define RESTANTE_CLIENT_SEAL_HKDF_H

#include <stdint.h>

#include "base/bytes.h"

#define HKDF_SIZE 32

/* Extracts with salt (empty is fine) and expands with info: the first HKDF_SIZE bytes. */
void hkdf(uint8_t out[static HKDF_SIZE], struct bytes ikm, struct bytes salt, struct bytes info);

#endif
