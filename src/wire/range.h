/* range - the Range header field for byte ranges (RFC 9110 section 14). Pure; any thread. */
#ifndef RESTANTE_WIRE_RANGE_H
#define RESTANTE_WIRE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More ranges than this in one request are a bomb: the field is ignored (section 14.2). */
#define RANGE_MAX 16

/* First and last byte, both inclusive, within the representation. */
struct range {
	uint64_t first, last;
};

enum range_result {
	RANGE_NONE,          /* no usable field: send all of it (other unit, bad syntax, a bomb) */
	RANGE_SOME,          /* 206 with the ranges found */
	RANGE_UNSATISFIABLE, /* 416 */
};

/* Reads text[0..n) against a representation of `size` bytes. On RANGE_SOME *count ranges are in
 * out, in the order asked for, clipped to the size, unsatisfiable ones of a set left out.
 * RANGE_NONE also when the ranges together ask for more than the whole, or there are more than
 * RANGE_MAX. Bad syntax after "bytes=" is RANGE_UNSATISFIABLE, as nginx has it. */
enum range_result range_parse(struct range out[static RANGE_MAX], size_t *count, const char *text,
			      size_t n, uint64_t size);

/* What an end is said to be where there is none yet (RFC 8673 section 2.1). */
#define RANGE_VERY_LARGE ((UINT64_C(1) << 53) - 1)

/* Reads it against a representation that still grows, and whose end nobody knows: of it `size`
 * bytes are there. RANGE_SOME with one range; *open: its last byte is not there yet, and may never
 * come. With a last byte named, that stands; without one the range ends where the representation
 * does, unless it begins there, and then has no end. RANGE_NONE: as above; and for several ranges,
 * or one from the end, which are sent of what is known to its end only. RANGE_UNSATISFIABLE: bad
 * syntax; or it begins behind what is there. */
enum range_result range_parse_growing(struct range *out, bool *open, const char *text, size_t n,
				      uint64_t size);

#endif
