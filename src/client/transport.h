/* transport - HTTP requests of a client, several at a time. One thread. libcurl is within: only
 * exchange.h and address.c include curl.h.
 *
 * Only https, and http to loopback; no redirections; nothing is decoded. HTTP/1.1 or 2. Callbacks
 * are called from transport_run(); they may call exchange_go_on(), but neither begin nor end an
 * exchange. */
#ifndef RESTANTE_CLIENT_TRANSPORT_H
#define RESTANTE_CLIENT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "restante/error.h"

struct transport;
struct exchange;

/* ---- what is asked ---- */

enum body_next {
	BODY_SOME,  /* *n bytes were written, at least one */
	BODY_END,   /* there is nothing more */
	BODY_LATER, /* not yet: ask again after exchange_go_on() */
	BODY_STOP,  /* break the request off */
};

#define TRANSPORT_FIELDS_MAX 16
#define BODY_NONE (-1)    /* the request has no body */
#define BODY_UNKNOWN (-2) /* it ends with BODY_END */

struct exchange_request {
	const char *method;
	const char *url;                          /* absolute; see transport_url() */
	const char *fields[TRANSPORT_FIELDS_MAX]; /* "Name: value", up to the first NULL; copied */
	int64_t body_size;                        /* bytes, BODY_NONE or BODY_UNKNOWN */
	enum body_next (*body)(void *ctx, uint8_t *out, size_t cap, size_t *n);
	/* The final answer's head is there (exchange_status(), exchange_field()); false breaks off.
	 * NULL is fine. */
	bool (*head)(void *ctx);
	/* A piece of a 2xx answer's body, borrowed for the call; false breaks off. Without it, and
	 * of other answers, up to 64 KiB are kept for exchange_text(), and more than 1 MiB is
	 * RESTANTE_SERVER: somebody who goes on talking would keep the request for ever. */
	bool (*data)(void *ctx, struct bytes piece);
	void *ctx; /* of all three */
};

/* ---- what comes of it ---- */

enum exchange_state { EXCHANGE_RUNS, EXCHANGE_ANSWERED, EXCHANGE_FAILED };

/* url_base: the server, as restante_client_new() takes it. */
enum restante_code transport_new(struct transport **out, const char *url_base,
				 struct restante_error *e);

/* The same for a server that listens on a Unix domain socket. RESTANTE_INVALID: no such path can be
 * one's. What then fails is told with the path in place of the server's name, and without the
 * right to connect it is RESTANTE_DENIED. */
enum restante_code transport_new_local(struct transport **out, const char *socket_path,
				       struct restante_error *e);
void transport_free(struct transport *t); /* ends what runs; NULL is fine */
enum restante_code transport_set_ca_file(struct transport *t, const char *path,
					 struct restante_error *e);
void transport_set_stall(struct transport *t, unsigned ms); /* 0: the default, 30 s */

/* The address of `target` on the server, malloc'd: a path that begins with "/" is put behind the
 * base
 * ("/v1/uploads"); a reference as a Location has it (RFC 3986) is resolved against `against` (an
 * absolute address, or NULL: the base) and must be of the server's origin. RESTANTE_UNTRUSTED if it
 * is of another, RESTANTE_INVALID. */
enum restante_code transport_url(const struct transport *t, const char *target, char **out,
				 struct restante_error *e);
enum restante_code transport_resolve(const struct transport *t, const char *against,
				     const char *reference, char **out, struct restante_error *e);

/* Starts a request; nothing is sent before transport_run(). On RESTANTE_OK the caller owns *out and
 * ends it with exchange_end(), which breaks it off if it runs. */
enum restante_code exchange_begin(struct transport *t, struct exchange **out,
				  const struct exchange_request *rq, struct restante_error *e);
void exchange_end(struct exchange *x); /* NULL is fine */

/* After BODY_LATER: ask for the body again. */
void exchange_go_on(struct exchange *x);

/* Does what can be done, waiting at most wait_ms for something to happen, or for `fd` (-1: none) to
 * become readable: *readable. RESTANTE_CANCELLED after transport_cancel(). */
enum restante_code transport_run(struct transport *t, int wait_ms, int fd, bool *readable,
				 struct restante_error *e);

/* Any thread, signal handlers. */
void transport_cancel(struct transport *t);
bool transport_cancelled(const struct transport *t);

/* EXCHANGE_ANSWERED: the answer came whole (whatever its status; of one from 400 on to a request
 * with a body the head is enough), even if the server did not wait for all of the body.
 * EXCHANGE_FAILED: exchange_error()
 * tells RESTANTE_NETWORK (worth another try), RESTANTE_UNTRUSTED (certificate), RESTANTE_CANCELLED
 * (a callback broke it off), RESTANTE_SERVER; the status is there if the head came. */
enum exchange_state exchange_state(const struct exchange *x);
const struct restante_error *exchange_error(const struct exchange *x);
int exchange_status(const struct exchange *x); /* of the final answer's head; 0 before */
/* A field of the final answer, the first of that name (any case), without space around it; NULL.
 * Borrowed until exchange_end(). */
const char *exchange_field(const struct exchange *x, const char *name);
struct bytes exchange_text(const struct exchange *x);

#endif
