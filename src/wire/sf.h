/* sf - structured field items (RFC 9651 sections 3.3.1, 3.3.6, 4.2) as the resumable upload draft
 * uses them. Parameters behind an item are read and passed over; so are spaces around both. A field
 * that is not well formed is as good as not there: callers ignore it as a whole. Pure; any thread.
 */
#ifndef RESTANTE_WIRE_SF_H
#define RESTANTE_WIRE_SF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "?1" or "?0". *out is set on true only (so for both). */
bool sf_boolean(bool *out, const char *text, size_t n);

/* An integer of at most 15 digits that is not negative. Leading zeroes and "-0" are allowed and
 * mean nothing (section 3.3.1). */
bool sf_unsigned(uint64_t *out, const char *text, size_t n);

#endif
