/* query - the query part of a request target, read strictly: name=value pairs joined by "&",
 * percent-encoded (RFC 3986). Pure; any thread. */
#ifndef RESTANTE_WIRE_QUERY_H
#define RESTANTE_WIRE_QUERY_H

#include <stddef.h>

#include "base/err.h"

#define QUERY_PAIRS_MAX 16
#define QUERY_VALUE_MAX 256

struct query {
	size_t count;
	struct {
		char name[32];
		char value[QUERY_VALUE_MAX + 1];
	} pairs[QUERY_PAIRS_MAX];
};

/* Reads text[0..n), which starts behind the "?"; empty is fine. ERR_INVALID for a bad escape, an
 * encoded control character, a name without "=" or twice the same name, ERR_TOOBIG for too many
 * pairs or too long a name or value. "+" is a plus sign. */
enum err_code query_parse(struct query *out, const char *text, size_t n);

/* The value of a name, or NULL. */
const char *query_get(const struct query *q, const char *name);

#endif
