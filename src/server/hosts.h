/* hosts - which virtual host a request is for, by the name that it asks for. Names are compared
 * without regard to case and a last dot; one that is written out comes before a wildcard, and of
 * wildcards the longest. Any thread. */
#ifndef RESTANTE_SERVER_HOSTS_H
#define RESTANTE_SERVER_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "server/settings.h"

#define HOSTS_NAME_MAX 253 /* characters of a name in the DNS */

/* Is it a name that a host can have: letters, digits, "-", "_", "." between them, or an IPv6
 * address in brackets? A pattern may be "*." and a name as well. */
bool hosts_fits(const char *name, bool pattern);

/* Turns such a name into the form in which they are compared. */
void hosts_plain(char *name);

/* Fills s->names from s->hosts, whose names are plain; those without one ("") are left out. Tells
 * of a name that two hosts have. ERR_NOMEM. */
enum err_code hosts_index(struct settings *s,
			  void (*twice)(void *ctx, const char *name, const struct settings *first,
					const struct settings *second),
			  void *ctx, struct err *e);

/* The settings for a request: authority[0..n) is what it says in Host, or in front of the path (RFC
 * 9112 section 3.2), with or without port. Those of the server if it has no hosts. NULL: the name
 * is unknown, and is to be refused. */
const struct settings *hosts_find(const struct settings *s, const char *authority, size_t n);

#endif
