/* fetch - GET and HEAD of what a token names: conditions, ranges, the bytes (RFC 9110 sections 13
 * and 14). */
#ifndef RESTANTE_SERVER_FETCH_H
#define RESTANTE_SERVER_FETCH_H

#include "server/http.h"

/* By fetch token in the path or as a bearer token; and by upload token. */
extern const struct handler fetch_handler, fetch_upload_handler;

#endif
