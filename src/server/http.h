/* http - the transport: event loops, connections, requests. The room http/ alone knows
 * libmicrohttpd; everyone else sees struct request and struct reply.
 *
 * A request belongs to one event loop, which alone calls the handler's functions. They never wait:
 * whoever needs a disk calls request_wait(), gives the work to a worker, and returns HTTP_WAIT; the
 * worker calls request_wake(), and the loop calls the same function again. */
#ifndef RESTANTE_SERVER_HTTP_H
#define RESTANTE_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "server/address.h"
#include "server/listen.h"
#include "server/reply.h"
#include "server/settings.h"

struct http;
struct request;
struct server; /* server.h: what handlers share */

enum http_method {
	HTTP_GET = 1,
	HTTP_HEAD = 2,
	HTTP_PUT = 4,
	HTTP_POST = 8,
	HTTP_PATCH = 16,
	HTTP_DELETE = 32,
	HTTP_OPTIONS = 64,
	HTTP_OTHER = 128,
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

enum http_next {
	HTTP_GO,   /* go on; if request_reply() was called, towards that answer */
	HTTP_WAIT, /* request_wait() was called: repeat this call after request_wake() */
	HTTP_CUT,  /* cut the connection: an answer would be a lie */
};

/* What a route does with a request. Any function may be NULL, and each may answer. */
struct handler {
	/* Which handler it really is for, where that depends on header fields. Needs no other
	 * function then. */
	const struct handler *(*choose)(const struct request *r);
	/* The head is there, the body not yet (nor 100 Continue). Needed without `done`. */
	enum http_next (*head)(struct request *r);
	/* Body bytes; *n is how many there are, and is set to how many were left (only with
	 * HTTP_WAIT may that be more than 0). Without it a request with a body is refused. */
	enum http_next (*body)(struct request *r, const uint8_t *data, size_t *n);
	/* The same without a copy, for long bodies of known length; whoever has this has body() and
	 * came() too. Where the next bytes may be put, at least one of them; `there` are known to
	 * have come. If it gives some, came() follows at once, with how many have been put there:
	 * maybe none. */
	enum http_next (*room)(struct request *r, size_t there, struct iovec *out);
	void (*came)(struct request *r, size_t n);
	/* All of the body is there (or none was sent): must answer. */
	enum http_next (*done)(struct request *r);
	/* The request is over, however it ended; ctx is to be let go. Called once if ctx is not
	 * NULL. */
	void (*gone)(struct request *r);
	/* Its answers are those of a fetch, and timed as such. */
	bool fetches;
};

/* Starts loops and acceptor over the listeners (borrowed). admin_fd is a listening Unix socket for
 * the operator, or -1. ERR_NOMEM, ERR_IO, ERR_INVALID. */
enum err_code http_start(struct http **out, struct server *server, const struct settings *settings,
			 struct listener *listeners, size_t listener_count, int admin_fd,
			 struct err *e);

/* Takes no new connection of clients and lets what runs finish; returns when all is quiet, grace_ms
 * have passed, or *hurry has become non-zero. Then cuts what is left. Until then the operator is
 * answered. */
void http_stop(struct http *h, int64_t grace_ms, const volatile int *hurry);

void http_free(struct http *h); /* after http_stop; NULL is fine */

/* Connections open now. */
size_t http_connections(const struct http *h);

/* ---- for handlers ---- */

struct server *request_server(const struct request *r);

/* The settings of the virtual host that the request is for; those of the server where there are
 * none. */
const struct settings *request_settings(const struct request *r);

/* The method asked for: on the upload resource X-HTTP-Method-Override counts, if it is there. */
enum http_method request_method(const struct request *r);

struct address request_address(const struct request *r);
bool request_from_admin(const struct request *r);

/* What stood in the place of "*" in the route's path, and the query behind "?" (NULL: none). */
const char *request_param(const struct request *r, size_t *len);
const char *request_query(const struct request *r);

/* A header field's value, without white space around it; NULL if it is not there. *twice (unless
 * NULL) says whether there were several. */
const char *request_header(const struct request *r, const char *name, size_t *len, bool *twice);

/* The same of line number `nth` (from 0) of a list field that may stand on several. */
const char *request_header_line(const struct request *r, const char *name, unsigned nth,
				size_t *len);

/* A field of the trailer section (RFC 9110 section 6.5), for done() only. Names only that cannot be
 * a field of the head as well, or that are looked for there first: the library may show the head's
 * last field here once more. */
const char *request_trailer(const struct request *r, const char *name, size_t *len, bool *twice);

/* Bytes of body announced; 0 without a body, HTTP_LENGTH_UNKNOWN when chunked. */
uint64_t request_body_length(const struct request *r);

void *request_ctx(const struct request *r);
void request_set_ctx(struct request *r, void *ctx);

/* Answers: takes the caller's reference. What it returns is what the handler returns: HTTP_GO, or
 * HTTP_CUT for NULL (no memory). Once only. */
enum http_next request_reply(struct request *r, struct reply *reply);

/* Sends a 104 (Upload Resumption Supported) with these field lines, each ended by CR LF; from
 * head() or body(), before any answer. HTTP_CUT if the connection is broken by it. A client of
 * HTTP/1.0 gets none, nor does one behind a proxy that says Restante-Interim. */
enum http_next request_interim(struct request *r, const char *fields);

/* Ends the request as if its client had gone: what has come is delivered, then gone() is called.
 * Any thread, as long as it is sure that gone() has not returned yet. */
void request_interrupt(struct request *r);

/* Whether it was interrupted: nothing that still arrives should be taken. */
bool request_interrupted(const struct request *r);

/* Cuts the connection of a request that is being answered: what the kernel has not got yet is not
 * sent. The same threads. */
void request_cut(struct request *r);

/* Hands the request over to another handler, whose head() is called now; what it returns is what
 * the first one's head() returns. The context is NULL again: let go of it before. */
enum http_next request_become(struct request *r, const struct handler *h);

/* Whether its connection is over, and done() is called once more only so that a client that closed
 * its direction gets an answer: nothing can be waited for any more. */
bool request_over(const struct request *r);

/* Whether its answer was sent whole, as far as can be known here. For gone(). */
bool request_answered(const struct request *r);

/* Stops the request until request_wake(). Loop only; call it before the work is handed over, so
 * that the wake cannot come first. */
void request_wait(struct request *r);

/* Lets a request go on that waits, or is idle (REPLY_IDLE); any thread. Whoever wakes an idle one
 * has to be sure that gone() has not returned (by a lock that gone() passes too), and that it does
 * not wait for somebody else meanwhile. Of one that waited, r may be gone when this returns. */
void request_wake(struct request *r);

#endif
