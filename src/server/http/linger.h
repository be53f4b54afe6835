/* linger - answers a client that is still sending, and listens on for a while so that the answer
 * is not lost in a connection reset (RFC 9112 section 9.6). For answers that MHD would not send in
 * the middle of a body. Loop thread only. */
#ifndef RESTANTE_SERVER_HTTP_LINGER_H
#define RESTANTE_SERVER_HTTP_LINGER_H

#include <stdbool.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "server/own_fields.h"
#include "server/reply.h"

#define LINGER_SECONDS 2
#define LINGER_BYTES ((uint64_t)64 << 20)

struct lingering {
	int64_t until_ms;
	uint64_t thrown_away;
};

/* Writes the whole answer (a text reply) with these further fields to the socket and closes our
 * direction; tls is NULL for a plain connection. False: it could not be written. */
bool linger_start(struct lingering *l, const struct reply *reply, bool head_only,
		  const struct own_field *own, size_t own_count, int fd, gnutls_session_t tls,
		  int64_t now_ms);

/* Counts bytes thrown away; true when it has been enough. */
bool linger_over(struct lingering *l, uint64_t bytes, int64_t now_ms);

#endif
