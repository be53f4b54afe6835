/* put - the plain dialect: PUT or POST /v1/media, the body is the blob (doc/http-api.md). */
#ifndef RESTANTE_SERVER_DIALECT_PUT_H
#define RESTANTE_SERVER_DIALECT_PUT_H

#include "server/http.h"

extern const struct handler put_handler;

#endif
