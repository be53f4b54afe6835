/* rest - connections between two requests, outside of the library: after a body that did not pass
 * through it, or when nothing has come for a while, until the next request begins to come. Then the
 * library takes them back. So they cost no pool of the library. Loop thread. */
#ifndef RESTANTE_SERVER_HTTP_REST_H
#define RESTANTE_SERVER_HTTP_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "server/http/direct.h"

struct rest { /* begins what a kind has that means to rest */
	struct direct d;
	int64_t since_ms;
	bool asks; /* the next request has begun */
	bool over; /* it has been long enough */
};

/* Its request has been let go of. Frees s when it is over. */
void rest_begin(struct rest *s);

/* One that the library has, and is idle in (conn_is_idle()). It stays there for want of memory. */
void rest_park(struct conn *c);

#endif
