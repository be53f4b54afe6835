/* acceptor - one thread that accepts connections on all listeners, keeps the limits in all and per
 * address, and hands each on to an event loop. */
#ifndef RESTANTE_SERVER_HTTP_ACCEPTOR_H
#define RESTANTE_SERVER_HTTP_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"
#include "server/listen.h"
#include "server/settings.h"

struct acceptor;

struct accepted {
	int fd; /* non-blocking, close-on-exec; the receiver's */
	bool tls;
	struct sockaddr_storage sa;
	socklen_t sa_len;
};

/* Takes a connection; called in the acceptor's thread. Calls acceptor_left() when it is over. */
typedef void acceptor_give(void *ctx, const struct accepted *in);

/* Starts the thread. The listeners stay the caller's and open until acceptor_stop(). */
enum err_code acceptor_start(struct acceptor **out, const struct listener *listeners, size_t count,
			     const struct settings *settings, acceptor_give *give, void *ctx,
			     struct err *e);

/* A connection from this address has ended. Any thread. */
void acceptor_left(struct acceptor *a, const struct sockaddr *sa);

/* Takes no further connection; joins the thread. NULL is fine. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

#endif
