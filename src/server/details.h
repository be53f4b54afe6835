/* details - what the record of an upload keeps for the server beyond what the store understands: it
 * travels as the record's meta. Encodes and decodes, no I/O; any thread. */
#ifndef RESTANTE_SERVER_DETAILS_H
#define RESTANTE_SERVER_DETAILS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/ids.h"

/* What an upload is in a concatenation (tus 1.0.0, "Concatenation"). */
enum role { ROLE_WHOLE, ROLE_PARTIAL, ROLE_FINAL, ROLE_COUNT };

struct details {
	enum role role;
	uint64_t ttl_s;     /* its life once it is finished */
	uint64_t max;       /* bytes it may have, as its grant says; 0: as many as any */
	uint64_t ttl_max_s; /* since its creation, the same; 0: as long as any */
	struct bytes host;  /* the virtual host that it was made under; empty: there was none */
	bool digest_given;
	struct digest digest;  /* the content must have */
	bool metadata_given;   /* Upload-Metadata was sent, maybe empty */
	struct bytes metadata; /* as sent */
	struct bytes concat;   /* Upload-Concat as sent, or empty */
	size_t part_count;     /* of a final: at most STORE_PARTS_MAX */
	const struct upload_id *parts;
};

/* Into fresh memory, the caller's to free(). NULL without memory, or if it is longer than
 * STORE_META_MAX: *too_long tells which. */
uint8_t *details_encode(const struct details *d, size_t *len, bool *too_long);

/* Views into `in`, which must outlive them. Nothing at all (what a plain upload has) gives zeroes.
 * Strict: ERR_DAMAGED. */
enum err_code details_decode(struct details *out, struct bytes in, struct err *e);

#endif
