/* cors - lets pages of other origins use the interface, as http.cors_origin says (Fetch standard,
 * "CORS protocol"), and answers OPTIONS. */
#ifndef RESTANTE_SERVER_CORS_H
#define RESTANTE_SERVER_CORS_H

#include "server/http.h"

/* Adds the fields that every answer needs. */
void cors_headers(struct reply *r, const struct server *server);

extern const struct handler cors_options_handler;

#endif
