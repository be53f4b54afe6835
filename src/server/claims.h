/* claims - who works on an unfinished upload: one request at a time, and the newest wins. Whoever
 * asks for an upload that another request holds makes that one stop, and gets it as soon as its
 * bytes are safe (RFC draft-ietf-httpbis-resumable-upload, "Concurrency").
 *
 * A claim is made by a request's event loop and may be let go by any thread: a request that was cut
 * leaves its claim to the worker that stores what it brought. */
#ifndef RESTANTE_SERVER_CLAIMS_H
#define RESTANTE_SERVER_CLAIMS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/ids.h"

struct claim;
struct claims;
struct request;

enum err_code claims_new(struct claims **out, struct err *e);
void claims_free(struct claims *c); /* none may be left; NULL is fine */

/* Asks for an upload. True: it is had. False: request_wait() was called, and request_wake() follows
 * when it is had. *out is NULL without memory (and true is returned). */
bool claim_take(struct claims *c, const struct upload_id *id, struct request *req,
		struct claim **out);

/* From here on the holder may be told to stop by request_interrupt(), until claim_hold_on(). False:
 * a newer request waits already, and it should not begin. */
bool claim_let_interrupt(struct claim *c);
void claim_hold_on(struct claim *c);

/* Lets the next one have it. NULL is fine. */
void claim_release(struct claim *c);

/* Whether somebody holds the upload at this moment. Any thread. */
bool claims_held(struct claims *c, const struct upload_id *id);

#endif
