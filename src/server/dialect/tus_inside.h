/* tus_inside - what the files of this dialect share; for tus*.c alone. tus.c: what all requests
 * have, what is answered, and the bytes of those that create or append; tus_create.c, tus_patch.c
 * and tus_look.c: the requests. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_TUS_INSIDE_H
#define RESTANTE_SERVER_DIALECT_TUS_INSIDE_H

#include "server/dialect/tus.h"
#include "server/dialect/work.h"
#include "server/workers.h"

/* Of every body. */
#define BODY_TYPE "application/offset+octet-stream"

/* A request of this dialect, whichever. */
struct tus {
	struct work w;
	struct upload_id *parts; /* of a final that is created */
	bool body_taken; /* and of no use: another request with the same grant was quicker */
	bool made;       /* a worker has been told to make it */
	enum err_code rc;
	struct job job;
	uint64_t offset;
	bool length_given;
	uint64_t length;
};

/* ---- tus.c ---- */

/* NULL if a request says Tus-Resumable: 1.0.0, else the answer. */
struct reply *tus_check_version(struct request *req);

/* Checks that, and makes the request's context. NULL: the handler returns *next; it is answered, or
 * there is no memory. */
struct tus *tus_begin(struct request *req, enum http_next *next);
void tus_gone(struct request *req);

/* Upload-Length; NULL, or why not. */
struct reply *tus_read_length(struct tus *t);

/* A part is not to be fetched on its own. */
void tus_add_tokens(struct reply *r, struct tus *t, const struct upload *u, enum role role);

/* What a creation and a PATCH are answered. */
struct reply *tus_created(struct tus *t, const struct upload *u);
struct reply *tus_patched(struct tus *t, const struct upload *u);

/* Of the handlers; and when all bytes of a session are there. */
enum http_next tus_body(struct request *req, const uint8_t *data, size_t *n);
enum http_next tus_room(struct request *req, size_t there, struct iovec *out);
void tus_came(struct request *req, size_t n);
enum http_next tus_finish(struct tus *t);

/* ---- tus_create.c ---- */

/* Goes on with a creation whose head is read: also once its bytes are there, if another request
 * with the same grant was quicker. */
enum http_next tus_create_next(struct tus *t);

#endif
