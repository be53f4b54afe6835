/* operator - what the operator of a server on this machine asks it: status, reload, expiry, backup.
 *
 * The server answers HTTP on a Unix domain socket in its data directory, to root and to the user it
 * runs as. doc/operating.md lists what can be asked, and the restante command asks all of it. */
#ifndef RESTANTE_OPERATOR_H
#define RESTANTE_OPERATOR_H

#include "restante/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The longest body of an answer, in bytes. */
#define RESTANTE_OPERATOR_MAX (4u << 20)

/* A client (client.h) of the server whose operator's socket this is, for restante_operator_ask()
 * and nothing else. Nobody is connected to yet. RESTANTE_INVALID: no path of a socket is so long.
 * On RESTANTE_OK the caller owns *out and ends it with restante_client_free(). */
RESTANTE_API enum restante_code restante_operator_new(struct restante_client **out,
						      const char *socket_path,
						      struct restante_error *error);

/* Asks once: `method` such as "GET", `target` a path such as "/admin/status", perhaps with a query.
 * RESTANTE_OK means that an answer came whole, whatever it says: *status is that of HTTP (200 to
 * 599), and *body, with a NUL behind its *size bytes, is the caller's to free(). Refusals bring
 * problem+json (RFC 9457). *body and *size may be asked for or NULL, both.
 *
 * RESTANTE_NETWORK: there is no such socket, nobody listens, or the connection ended without an
 * answer, as it does for users whom the server does not let in; RESTANTE_DENIED: the socket may not
 * be connected to; RESTANTE_INVALID: no path; RESTANTE_SERVER: the answer is none, or longer than
 * RESTANTE_OPERATOR_MAX; RESTANTE_CANCELLED. The sentence names the socket. Nothing is tried again.
 * restante_client_set_stall() says how long a silence is waited for: 30 s, which backup and expiry
 * may well need more than. */
RESTANTE_API enum restante_code restante_operator_ask(struct restante_client *client,
						      const char *method, const char *target,
						      int *status, char **body, size_t *size,
						      struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
