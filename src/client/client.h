/* client - the inside of a struct restante_client, for the library's other files. One thread. */
#ifndef RESTANTE_CLIENT_CLIENT_H
#define RESTANTE_CLIENT_CLIENT_H

#include "client/transport.h"
#include "restante/client.h"

struct restante_client {
	struct transport *transport;
	char *authorization; /* "Authorization: Bearer ...", or NULL */
	bool one_upload;     /* that grant is good for one only, and so for no parts of one */
	unsigned retries;
	unsigned first_wait_ms;
};

/* Runs one request to its end, trying again as retry.h has it, and gives the finished exchange:
 * RESTANTE_OK means 2xx, else *out may hold the last answer too (the caller ends it either way;
 * NULL if there is none). For requests without a body that may be repeated. */
enum restante_code client_ask(struct restante_client *c, const struct exchange_request *rq,
			      struct exchange **out, struct restante_error *e);

/* The same; *repeated is how many tries there were after the first. What one of them asked for may
 * have been done by an earlier one whose answer was lost. */
enum restante_code client_ask_counted(struct restante_client *c, const struct exchange_request *rq,
				      struct exchange **out, unsigned *repeated,
				      struct restante_error *e);

#endif
