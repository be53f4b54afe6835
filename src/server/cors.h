/* cors - lets pages of other origins use the interface, as http.cors_origin says (Fetch standard,
 * "CORS protocol"). Any thread. */
#ifndef RESTANTE_SERVER_CORS_H
#define RESTANTE_SERVER_CORS_H

#include <stdbool.h>
#include <stddef.h>

struct server;

#define CORS_FIELDS 2

struct cors_field {
	const char *name, *value;
};

/* Whether other origins are let in at all. */
bool cors_enabled(const struct server *server);

/* The fields to add to the answer of a request that names an origin; how many. The transport adds
 * them, to every answer. */
size_t cors_fields(const struct server *server, struct cors_field out[static CORS_FIELDS]);

#endif
