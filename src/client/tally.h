/* tally - SHA-256 over the sealed bytes of an upload, taken while they are sent as far as they come
 * in order, and from the source where they do not. One thread. */
#ifndef RESTANTE_CLIENT_TALLY_H
#define RESTANTE_CLIENT_TALLY_H

#include "base/digest.h"
#include "client/source.h"

struct tally {
	struct digester digester;
};

void tally_init(struct tally *t);

/* These bytes are at this offset. What was counted already, and what does not join on, is passed
 * over. */
void tally_count(struct tally *t, uint64_t offset, struct bytes data);

/* Counts at most `most` bytes that are missing; *done says whether that was the last of them.
 * RESTANTE_IO, RESTANTE_CHANGED, RESTANTE_NOMEM. The source's size is known. */
enum restante_code tally_rest(struct tally *t, struct reader *r, uint64_t size, uint64_t most,
			      bool *done, struct restante_error *e);

/* The digest of all of them; t can be asked again. */
void tally_digest(const struct tally *t, struct digest *out);

#endif
