/* content_range - the Content-Range field of an answer (RFC 9110 section 14.4), read strictly.
 * Pure; any thread. */
#ifndef RESTANTE_CLIENT_CONTENT_RANGE_H
#define RESTANTE_CLIENT_CONTENT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#define CONTENT_RANGE_UNKNOWN UINT64_MAX /* "*" in the place of the size */

struct content_range {
	bool satisfied;       /* false: "bytes *" and the size; first and last are then 0 */
	uint64_t first, last; /* both inclusive, first <= last < total */
	uint64_t total;       /* or CONTENT_RANGE_UNKNOWN */
};

/* Reads a field's value. False, and *out as it was, if it is none for bytes. NULL is none. */
bool content_range_parse(struct content_range *out, const char *text);

#endif
