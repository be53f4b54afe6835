/* etag - lists of entity tags in If-Match, If-None-Match and If-Range (RFC 9110 sections 8.8.3 and
 * 13.1). Pure; any thread. */
#ifndef RESTANTE_WIRE_ETAG_H
#define RESTANTE_WIRE_ETAG_H

#include <stdbool.h>
#include <stddef.h>

enum etag_compare { ETAG_STRONG, ETAG_WEAK };

/* Whether text[0..n), a list of entity tags or "*", holds `tag` (a strong one, with its quotes)
 * under the comparison. "*" holds every tag. A list that is not well formed holds none. */
bool etag_list_has(const char *text, size_t n, const char *tag, enum etag_compare how);

#endif
