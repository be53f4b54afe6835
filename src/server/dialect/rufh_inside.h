/* rufh_inside - what the files of this dialect share; for rufh*.c alone. rufh.c: what all requests
 * say, and what is answered; rufh_create.c, rufh_append.c and rufh_look.c: the requests;
 * rufh_bytes.c: the bytes of those that create or append. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_RUFH_INSIDE_H
#define RESTANTE_SERVER_DIALECT_RUFH_INSIDE_H

#include "server/dialect/rufh.h"
#include "server/dialect/work.h"
#include "server/workers.h"

/* Interop versions, and what they brought. */
#define OLDEST 3 /* with Upload-Incomplete */
#define PROGRESS 5
#define MEDIA_TYPE 6
#define STRICT 7 /* Upload-Complete has to be said */
#define NEWEST 9

struct rufh {
	struct work w;
	uint64_t version; /* 0: none that is known */
	bool complete_given, complete;
	bool length_given;
	uint64_t length; /* as far as this request tells, or UPLOAD_LENGTH_UNKNOWN */
	uint64_t offset;
	bool condemned;  /* the upload has become invalid, and a worker has dropped it */
	bool body_taken; /* and of no use: another request with the same grant was quicker */
	bool stored;     /* a worker has been told to make it */
	unsigned progress_told;
	uint64_t told; /* the last offset in an interim answer */
	enum err_code rc;
	struct job job;
};

/* ---- rufh.c ---- */

/* Is the request's context from here on; NULL without memory. */
struct rufh *rufh_new(struct request *req);
void rufh_gone(struct request *req);

/* Upload-Complete, or what it was before. */
void rufh_read_complete(struct rufh *x);

/* Upload-Length, and what Content-Length tells of a last request: `offset` is where it begins.
 * NULL, or why not. */
struct reply *rufh_read_length(struct rufh *x, uint64_t offset);

void rufh_add_complete(struct reply *r, const struct rufh *x, bool complete);

/* The value of Upload-Limit for an upload. */
#define RUFH_LIMIT_SIZE 96
void rufh_write_limit(const struct rufh *x, const struct upload *u,
		      char out[static RUFH_LIMIT_SIZE]);
void rufh_add_limit(struct reply *r, const struct rufh *x, const struct upload *u);

/* The final answer, to the last bytes and wherever it is asked for again. */
struct reply *rufh_completed(struct rufh *x, const struct upload *u);

/* Upload creation and appending that leave it open. */
struct reply *rufh_created(struct rufh *x, const struct upload *u);
struct reply *rufh_appended(struct rufh *x, const struct upload *u);

struct reply *rufh_inconsistent(struct rufh *x);

/* More than was announced is not more than the server takes. */
struct reply *rufh_problem(struct rufh *x, enum err_code rc);

/* Any other refusal comes from the upload protocol, not from what the upload was for. */
enum http_next rufh_refuse(struct rufh *x, struct reply *r);

/* ---- rufh_bytes.c ---- */

/* For bytes of an upload that is there, or fresh. */
enum http_next rufh_begin_session(struct rufh *x, const struct upload *rec, bool fresh);

/* More than there may be: the resource is invalid from now on, says the draft, since -08. */
enum http_next rufh_condemn(struct rufh *x);

/* Of the handlers. */
enum http_next rufh_body(struct request *req, const uint8_t *data, size_t *n);
enum http_next rufh_room(struct request *req, size_t there, struct iovec *out);
void rufh_came(struct request *req, size_t n);
enum http_next rufh_done(struct request *req);

/* ---- rufh_create.c ---- */

/* Goes on with a creation whose head is read: also once its bytes are there, if another request
 * with the same grant was quicker. */
enum http_next rufh_create_next(struct rufh *x);

#endif
