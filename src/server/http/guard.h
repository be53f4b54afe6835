/* guard - looks at a request's head for what could be understood differently by a proxy in front
 * (request smuggling), before anything else is done with it. Pure; one guard a request. */
#ifndef RESTANTE_SERVER_HTTP_GUARD_H
#define RESTANTE_SERVER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GUARD_HEADERS_MAX 100

struct guard {
	unsigned lengths, encodings, hosts, count;
	int bad; /* the first status found to answer with */
};

/* Shows one header field. */
void guard_header(struct guard *g, const char *name, size_t name_len, const char *value,
		  size_t value_len);

/* The status to refuse with: 400, 431, 501 or 505; 0 if the head is sound. head_size is in bytes.
 */
int guard_verdict(const struct guard *g, const char *version, size_t head_size, size_t head_max);

#endif
