/* digest_header - the sha-256 member of Repr-Digest and Content-Digest (RFC 9530), a Dictionary of
 * structured fields (RFC 9651). Pure; any thread. */
#ifndef RESTANTE_WIRE_DIGEST_HEADER_H
#define RESTANTE_WIRE_DIGEST_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/ids.h"

/* "sha-256=:" + 44 + ":" and a NUL. */
#define DIGEST_HEADER_SIZE 55

enum digest_header_result {
	DIGEST_HEADER_FOUND, /* *out is set */
	DIGEST_HEADER_NONE,  /* well formed, but without sha-256 */
	DIGEST_HEADER_BAD,   /* not a dictionary, or sha-256 is not 32 bytes */
};

/* Other algorithms and parameters of members are passed over; the last sha-256 counts, as RFC 9651
 * section 4.2.2 has it. */
enum digest_header_result digest_header_parse(struct digest *out, const char *text, size_t n);

/* Writes `sha-256=:…:` and a NUL. */
void digest_header_format(char out[static DIGEST_HEADER_SIZE], const struct digest *d);

#endif
