/* listen - the sockets that clients connect to: made from addresses, or inherited from systemd.
 * Called by main's thread only. */
#ifndef RESTANTE_SERVER_LISTEN_H
#define RESTANTE_SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct listener {
	int fd; /* non-blocking, close-on-exec, listening */
	bool tls;
	bool inherited; /* from systemd: never shut down, only closed */
	char url[96];   /* "http://127.0.0.1:8080", with the port it really has */
};

/* Is this an "ADDRESS:PORT": IPv4, "[IPv6]", or "localhost"; no other names; port 0 to 65535?
 * ERR_INVALID says what it is not. Any thread. */
enum err_code listen_check(const char *address, struct err *e);

/* Is it such an address, and one that only this machine can reach? Any thread. */
bool listen_check_loopback(const char *address);

/* Binds such an "ADDRESS:PORT" and listens. IPv6 sockets are V6ONLY. SO_REUSEADDR;
 * TCP_DEFER_ACCEPT, so that a connection is accepted with its first bytes there. *out is the
 * caller's to close. ERR_INVALID, ERR_BUSY (address in use), ERR_IO. */
enum err_code listen_tcp(struct listener *out, const char *address, bool tls, struct err *e);

/* Sockets handed over by systemd (sd_listen_fds(3)); a name starting with "tls"
 * (FileDescriptorName=) is a TLS listener. At most max; *count says how many, 0 where there is no
 * systemd. Every one must be a listening TCP stream socket: ERR_INVALID. */
enum err_code listen_inherited(struct listener *out, size_t max, size_t *count, struct err *e);

/* Binds a Unix domain socket at path, mode 0600 from the first moment; a stale one of an earlier
 * run is replaced, one that answers is ERR_BUSY. Returns in *fd. ERR_INVALID: path too long. */
enum err_code listen_unix(int *fd, const char *path, struct err *e);

/* Whether who has connected to a Unix socket is root, or the user that we run as (unix(7),
 * SO_PEERCRED). Any thread. */
bool listen_peer_is_operator(int fd);

/* Whether only this machine can reach it. */
bool listen_is_loopback(const struct listener *l);

void listen_close(struct listener *l);

#endif
