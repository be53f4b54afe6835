/* access - a request as a line of the access log: the Common Log Format and the seconds it took.
 * What a client sends is not in it: in the place of the path stands the route's pattern, and
 * neither query nor any field of the head is there. Any thread. */
#ifndef RESTANTE_SERVER_ACCESS_H
#define RESTANTE_SERVER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/http.h"

#define ACCESS_NONE UINT64_MAX

struct access {
	const struct sockaddr *client; /* NULL: not to be named */
	enum http_method method;
	size_t route; /* number of it, route.h */
	bool http11;
	int status;
	uint64_t bytes;   /* of the answer's body; ACCESS_NONE: none was sent, or not all of it */
	int64_t began_ns; /* clock_mono_ns() when its head came */
};

/* Writes the line, without its end, for a request that ended now. */
#define ACCESS_LINE_MAX 256
void access_format(char out[static ACCESS_LINE_MAX], const struct access *a, int64_t now_s,
		   int64_t now_ns);

/* Writes it to the access log. */
void access_log(const struct access *a);

#endif
