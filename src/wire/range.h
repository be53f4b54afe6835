/* range - the Range header field for byte ranges (RFC 9110 section 14). Pure; any thread. */
#ifndef RESTANTE_WIRE_RANGE_H
#define RESTANTE_WIRE_RANGE_H

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

#endif
