/* retry - when to try again, and what a status means for that. One thread. */
#ifndef RESTANTE_CLIENT_RETRY_H
#define RESTANTE_CLIENT_RETRY_H

#include <stdint.h>

#include "client/client.h"
#include "client/transport.h"

struct retry {
	unsigned tries;   /* without progress */
	int64_t until_ms; /* clock_mono_ms() to wait for */
};

/* What a finished exchange that was to be 2xx is for the caller: RESTANTE_OK for 2xx;
 * RESTANTE_NETWORK and RESTANTE_LIMIT may be tried again (connection failures, 408, 423, 425, 429,
 * 500, 502, 503, 504, 507); RESTANTE_GONE (404, 410), RESTANTE_DENIED (401, 403), RESTANTE_TOOBIG
 * (413), RESTANTE_SERVER (others). The sentence is the problem's (RFC 9457 `title`, `detail`) where
 * there is one, with control characters taken out. */
enum restante_code retry_judge(const struct exchange *x, struct restante_error *e);

/* One byte more got through: starts counting anew. */
void retry_progress(struct retry *r);

/* Asks for another try after x failed for `why` (what retry_judge() filled): RESTANTE_OK and
 * until_ms is set (backoff with jitter, or Retry-After), or why->code if it is no use (not one to
 * be tried again, too many tries, too long a wait). */
enum restante_code retry_again(struct retry *r, const struct restante_client *c,
			       const struct exchange *x, struct restante_error *why);

/* Milliseconds still to wait; 0: now. */
int retry_wait_ms(const struct retry *r);

#endif
