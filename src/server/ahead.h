/* ahead - pages of an answer that a reader loads before they are asked for, so that the socket
 * seldom waits for the disk: more of them the longer the client keeps up, none that it does not
 * take while memory is short. One answer's; loop thread. */
#ifndef RESTANTE_SERVER_AHEAD_H
#define RESTANTE_SERVER_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/pages.h"

struct ahead;
struct request;
struct server;

/* Has a reference to the record. NULL without memory. */
struct ahead *ahead_new(struct server *s, struct media *m);
void ahead_free(struct ahead *a); /* NULL is fine; a reader that is still at it lets go later */

/* The page with byte `offset` of the content, if it has been loaded; those before it are given
 * back. */
bool ahead_take(struct ahead *a, uint64_t offset, struct page *out);

/* Has pages loaded from `offset` on, and not beyond `end`: r waits (request_wait()) until the first
 * are there, or cannot be had. */
void ahead_want(struct ahead *a, struct request *r, uint64_t offset, uint64_t end);

/* What the last want met with. */
enum err_code ahead_trouble(struct ahead *a);

/* Gives back what is loaded. */
void ahead_drop(struct ahead *a);

#endif
