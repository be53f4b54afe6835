/* session - an upload while its bytes arrive, whatever dialect they arrive in: begin, take, finish,
 * or break off. Bytes are copied from the connection into chunks; workers hash and store them, one
 * chunk of a session at a time and in order.
 *
 * All functions are for the event loop of the request the session was made for. */
#ifndef RESTANTE_SERVER_SESSION_H
#define RESTANTE_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/http.h"
#include "server/params.h"

struct session;

enum session_state {
	SESSION_GOES_ON,
	SESSION_WAITS,  /* request_wait() was called; ask again after the wake */
	SESSION_FAILED, /* session_error() says why; only session_end() may follow */
	SESSION_FINISHED,
};

/* Begins an upload that becomes durable as a whole, with its last byte. `length` is announced or
 * HTTP_LENGTH_UNKNOWN. ERR_TOOBIG, ERR_FULL, ERR_NOMEM: refused before a byte was taken. */
enum err_code session_begin(struct session **out, struct request *req, const struct params *p,
			    uint64_t length, int64_t now, struct err *e);

/* Takes bytes; *n is how many there are, then how many were left. SESSION_GOES_ON (none left),
 * SESSION_WAITS or SESSION_FAILED. */
enum session_state session_take(struct session *s, const uint8_t *data, size_t *n);

/* All bytes have been taken: SESSION_WAITS until everything is durable, then SESSION_FINISHED or
 * SESSION_FAILED. */
enum session_state session_finish(struct session *s);

enum err_code session_error(struct session *s);

/* The record of a finished upload; borrowed. */
const struct upload *session_upload(const struct session *s);

/* Lets go of the session. If it is not finished, the upload is broken off and its bytes are given
 * back, by and by. NULL is fine. */
void session_end(struct session *s);

#endif
