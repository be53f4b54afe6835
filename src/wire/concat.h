/* concat - the Upload-Concat field of tus 1.0.0 ("Concatenation"). Pure; any thread. */
#ifndef RESTANTE_WIRE_CONCAT_H
#define RESTANTE_WIRE_CONCAT_H

#include <stddef.h>

#include "base/err.h"

#define CONCAT_PARTS_MAX 256

enum concat_kind { CONCAT_PARTIAL, CONCAT_FINAL };

struct concat {
	enum concat_kind kind;
	size_t count; /* of a final at least 1, of a partial 0 */
	struct {
		const char *text; /* the last segment of the part's path: a token. Into the text */
		size_t len;
	} parts[CONCAT_PARTS_MAX];
};

/* Reads "partial" or "final;url url …", with any number of spaces around a url. A url is absolute
 * (http or https, any authority) or a path from the root (RFC 3986 section 4.2); its path must be
 * `prefix`, which begins and ends with a slash, and one further segment without percent escapes
 * that is not "." or "..", without query or fragment. ERR_INVALID: neither, no part, or a url of
 * another shape. ERR_TOOBIG: too many. *out is written on ERR_OK only; of parts, the first count.
 */
enum err_code concat_parse(struct concat *out, const char *prefix, const char *text, size_t n);

#endif
