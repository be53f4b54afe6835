/* session - one request's bytes on their way into an upload, whatever dialect they arrive in:
 * begin, take, finish, or break off. Bytes are copied from the connection into chunks, or received
 * there; workers hash and store them, one chunk of a session at a time and in order.
 *
 * What has come counts: a request that is broken off leaves its bytes durable, unless they were to
 * count all or none. A long one is made durable now and then on its way.
 *
 * All functions are for the event loop of the request the session was made for. */
#ifndef RESTANTE_SERVER_SESSION_H
#define RESTANTE_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/sums.h"
#include "server/http.h"
#include "server/quota.h"
#include "storage/store.h"

struct claim;
struct session;

enum session_state {
	SESSION_GOES_ON,
	SESSION_WAITS,  /* request_wait() was called; ask again after the wake */
	SESSION_FAILED, /* session_error() says why; only session_end() may follow */
	SESSION_DONE,
};

/* What a request is about to do. */
struct session_plan {
	const struct upload *rec; /* as it is stored, or as it is to be; borrowed for the call */
	bool fresh;               /* it is not in the store yet */
	bool all_or_none;         /* of this request's bytes */
	bool ends_at_length;      /* all bytes of a known length finish it, also if the request is
				   * broken off right behind them; else only session_finish() does */
	bool digest_expected;     /* of the whole upload, when it is finished */
	struct digest expected;
	uint64_t length;     /* of the upload, from now on; or UPLOAD_LENGTH_UNKNOWN. Bytes beyond
			      * it, or beyond upload.max, are refused */
	struct bytes host;   /* whose limits are in force, also if the request is for another;
			      * empty: the request's */
	uint64_t max;        /* nor beyond this; 0: no such bound */
	uint64_t ttl_s;      /* life of the upload once it is finished, from then */
	uint64_t announced;  /* bytes this request brings, or HTTP_LENGTH_UNKNOWN */
	unsigned sums;       /* SUM_BIT of what session_finish() may ask for */
	struct claim *claim; /* taken over; NULL if nobody else knows of the upload, and then it is
			      * given up if the request is broken off */
};

/* What the bytes of a request are said to have, and the error if they have not. */
struct session_sum {
	struct sum_claim claim;
	enum err_code otherwise;
};

/* What is known when the request's last byte is there. */
struct session_close {
	bool complete;        /* finish the upload, whose length is then what has come */
	bool digest_expected; /* beside the plan's */
	struct digest expected;
	const struct session_sum *sums; /* borrowed until the session ends; no sum twice */
	size_t sum_count;
};

/* ERR_TOOBIG, ERR_FULL, ERR_NOMEM, ERR_DAMAGED, ERR_LIMIT (of its bucket: *why): refused before a
 * byte was taken; ERR_OFFSET: a newer request waits for the upload already, and this one is to be
 * cut. The claim is the caller's then. The upload's bucket is held while the session runs. */
enum err_code session_begin(struct session **out, struct request *req, const struct session_plan *p,
			    struct quota_refusal *why, struct err *e);

/* Takes bytes; *n is how many there are, then how many were left. SESSION_GOES_ON (none left),
 * SESSION_WAITS or SESSION_FAILED. */
enum session_state session_take(struct session *s, const uint8_t *data, size_t *n);

/* Room for the next bytes: at least for one, and not for more than a piece; `there` are known to
 * have come. SESSION_GOES_ON, SESSION_WAITS or SESSION_FAILED. */
enum session_state session_room(struct session *s, size_t there, struct iovec *out);

/* n bytes have been put there, or none: what is given as room is to be given back, with nothing
 * else done to the session in between. If they are too many, what follows fails. */
void session_came(struct session *s, size_t n);

/* All bytes have been taken: SESSION_WAITS until everything is durable, then SESSION_DONE or
 * SESSION_FAILED: ERR_DIGEST (of the whole), those of the sums, ERR_TOOBIG, ERR_FULL, ERR_LIMIT, …;
 * then nothing has changed but what was made durable on the way. */
enum session_state session_finish(struct session *s, const struct session_close *c);

/* The request is refused after all: what it brought is not to be kept, but for what was made
 * durable on the way. */
void session_refuse(struct session *s);

enum err_code session_error(struct session *s);

/* Of what its bucket has too much, if the error is ERR_LIMIT. */
const struct quota_refusal *session_refusal(const struct session *s);

/* Bytes of the upload that are durable by now. */
uint64_t session_durable(struct session *s);

/* The record as a SESSION_DONE session left it; borrowed. */
const struct upload *session_upload(const struct session *s);

/* Lets go of the session, and then of its claim. If it is not done, what it brought is kept or
 * given back as planned, by and by. NULL is fine. */
void session_end(struct session *s);

#endif
