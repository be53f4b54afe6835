/* interim - 104 (Upload Resumption Supported), written to the socket by hand, since the library
 * knows no interim answers but 100 (draft-ietf-httpbis-resumable-upload). Loop thread. */
#ifndef RESTANTE_SERVER_HTTP_INTERIM_H
#define RESTANTE_SERVER_HTTP_INTERIM_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

/* Sends it with these field lines, each ended by CR LF; through tls unless NULL. If the socket
 * takes none of it now, it is left out; false if it took a part: the connection is of no use then.
 */
bool interim_send(const char *fields, int fd, gnutls_session_t tls);

#endif
