/* address - the server's address, and which others belong to it (RFC 3986). Beside transport.c the
 * one that includes curl.h, for its reader of addresses: what it reads is what is connected to.
 * Any thread. */
#ifndef RESTANTE_CLIENT_ADDRESS_H
#define RESTANTE_CLIENT_ADDRESS_H

#include <stdbool.h>

#include "restante/error.h"

#define ADDRESS_MAX 4096 /* characters of an address or a reference */

struct address {
	char *base;    /* without a slash at the end */
	char *origin;  /* scheme://host:port, small letters, with the port always */
	char *host;    /* host:port, for sentences */
	bool plain;    /* http */
	bool loopback; /* 127.0.0.0/8, ::1, localhost */
};

/* Reads https://host[:port][/path], or http:// for loopback. On RESTANTE_OK *out is the caller's
 * and ends with address_fini(). RESTANTE_INVALID, RESTANTE_UNTRUSTED (plain http elsewhere). */
enum restante_code address_init(struct address *out, const char *url, struct restante_error *e);
void address_fini(struct address *a); /* of one that is all zeroes, too */

/* The base with `target`, a path from "/" and perhaps a query, put behind it, malloc'd. */
enum restante_code address_join(const struct address *a, const char *target, char **out,
				struct restante_error *e);

/* A reference (RFC 3986 section 4.1), such as a Location's, resolved against an absolute address of
 * the origin, or against the base if that is NULL; malloc'd. RESTANTE_UNTRUSTED if it leads to
 * another origin or names a user, RESTANTE_INVALID if it is none or has a fragment. */
enum restante_code address_resolve(const struct address *a, const char *against,
				   const char *reference, char **out, struct restante_error *e);

/* Wipes and frees an address; NULL is fine. */
void address_free(char *url);

#endif
