/* checks - what the bytes of one request are said to have: Upload-Checksum (tus 1.0.0, "Checksum")
 * and Content-Digest (RFC 9530 section 2), in the head or, announced there by Trailer, behind the
 * body; and the digest of the whole upload that a last request may bring. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_CHECKS_H
#define RESTANTE_SERVER_DIALECT_CHECKS_H

#include <stdbool.h>

#include "server/http.h"
#include "server/session.h"

struct checks {
	bool checksum_later, digest_later; /* in the trailer section */
	struct session_sum sums[2];
	size_t count;
	bool whole_given; /* Repr-Digest, or sha256 in the query */
	struct digest whole;
};

/* Reads the head. The answer if it cannot be, else NULL. */
struct reply *checks_read(struct checks *c, const struct request *r);

/* Reads the trailer section of a request whose body is there. The same. */
struct reply *checks_read_trailer(struct checks *c, const struct request *r);

/* What session_begin() is to compute, and whether the bytes count all or none. */
unsigned checks_sums(const struct checks *c);
bool checks_any(const struct checks *c);

#endif
