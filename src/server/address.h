/* address - whom something is counted against: an IPv4 address, or an IPv6 network of 64 bits,
 * since a client has as many addresses in there as it likes. All without an address (Unix sockets)
 * are one. Pure; any thread. */
#ifndef RESTANTE_SERVER_ADDRESS_H
#define RESTANTE_SERVER_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

/* Compared as bytes. */
struct address {
	uint8_t key[9];
};

struct address address_of(const struct sockaddr *sa);

#endif
