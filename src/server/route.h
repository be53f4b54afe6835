/* route - which handler answers which method and path: a table. Pure; any thread. */
#ifndef RESTANTE_SERVER_ROUTE_H
#define RESTANTE_SERVER_ROUTE_H

#include <stdbool.h>

#include "server/http.h"

struct route_match {
	const struct handler *handler;
	const char *param; /* into the path: the segment that "*" stands for */
	size_t param_len;
	unsigned allow; /* methods the path knows, for 405; 0: no such path */
	bool any_host;  /* answered under any name, even one that no virtual host has */
	size_t number;  /* of the path, for route_pattern() */
};

/* Finds the handler for a request target (origin-form or absolute-form, RFC 9112 section 3.2; the
 * query is not looked at). NULL handler and allow 0: 404; NULL and allow: 405. */
struct route_match route_find(enum http_method method, const char *target, bool admin,
			      bool public_metrics);

#define ROUTES_MAX 48

/* The path of a route as it stands in the table, with its star; "none" of number 0, which is that
 * of no route. Numbers are below ROUTES_MAX. */
const char *route_pattern(size_t number);

/* What an absolute-form target says where Host would (RFC 9112 section 3.2.2); NULL: it is of
 * another form. */
const char *route_authority(const char *target, size_t *len);

/* Whether a request target is the upload resource, or creates one there. */
bool route_is_upload(const char *target);

/* Writes the names of methods, "GET, HEAD, …", and a NUL. */
#define ROUTE_ALLOW_SIZE 64
void route_allow(char out[static ROUTE_ALLOW_SIZE], unsigned methods);

/* "other" for HTTP_OTHER, "none" where no method was understood. */
const char *route_method_name(enum http_method method);

/* HTTP_OTHER for a name not known here. Method names are case-sensitive (RFC 9110 section 9.1). */
enum http_method route_method(const char *name);

#endif
