/* bech32 - bytes as text with a checksum (BIP 173, without its limit of 90 characters, as age has
 * it). Lower case only: who writes or reads upper case turns the whole text. Any thread. */
#ifndef RESTANTE_CLIENT_SEAL_BECH32_H
#define RESTANTE_CLIENT_SEAL_BECH32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Characters of n bytes behind prefix and '1', checksum included, without a NUL. */
#define BECH32_LEN(n) (((n)*8 + 4) / 5 + 6)

/* Writes prefix, '1', data and checksum, and a NUL. */
void bech32_encode(char *out, const char *prefix, struct bytes data);

/* Reads text[0..n), all of it, as prefix and exactly len bytes. On false nothing is to be read
 * from out: another prefix or length, a character that is none of Bech32's, bits left over that
 * are not zero, or a wrong checksum. */
bool bech32_decode(uint8_t *out, size_t len, const char *prefix, const char *text, size_t n);

#endif
