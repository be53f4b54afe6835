/* finished - what a finished upload answers, in every dialect: tokens, size, digest, expiry. Any
 * thread. */
#ifndef RESTANTE_SERVER_FINISHED_H
#define RESTANTE_SERVER_FINISHED_H

#include "server/reply.h"
#include "storage/store.h"

struct server;

/* 201 with the JSON and the header fields of DESIGN, "Uploading". NULL without memory. */
struct reply *finished_reply(const struct server *server, const struct upload *u);

#endif
