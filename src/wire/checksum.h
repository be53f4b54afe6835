/* checksum - the Upload-Checksum field of tus 1.0.0 ("Checksum"): algorithm, space, base64. Pure;
 * any thread. */
#ifndef RESTANTE_WIRE_CHECKSUM_H
#define RESTANTE_WIRE_CHECKSUM_H

#include <stddef.h>

#include "base/err.h"
#include "base/sums.h"

/* Room for what Tus-Checksum-Algorithm says: all names, joined by commas. */
#define CHECKSUM_NAMES_SIZE 64

/* Reads text[0..n): a name, one space, padded base64 (RFC 4648 section 4) of exactly the sum's
 * size. ERR_NOTFOUND: an algorithm not known here (so for "SHA1"), whatever its value. ERR_INVALID.
 * *out is written on ERR_OK only, with zeroes behind the value. */
enum err_code checksum_parse(struct sum_claim *out, const char *text, size_t n);

/* Writes the names and a NUL, sha1 first. */
void checksum_names(char out[static CHECKSUM_NAMES_SIZE]);

#endif
