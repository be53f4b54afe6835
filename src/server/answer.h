/* answer - what answers say of an upload, in every dialect: where it is, its tokens, size, digest
 * and expiry. Tokens last as long as the virtual host of the request keeps anything. Any thread. */
#ifndef RESTANTE_SERVER_ANSWER_H
#define RESTANTE_SERVER_ANSWER_H

#include "server/reply.h"
#include "storage/store.h"
#include "wire/token.h"

struct request; /* http.h */

#define ANSWER_LOCATION_SIZE (sizeof("/v1/uploads/") + TOKEN_PLAIN_CHARS)

/* The path of the upload, with a NUL. */
void answer_location(char out[static ANSWER_LOCATION_SIZE], const struct request *req,
		     const struct upload *u);

/* Adds Location. NULL is fine, for this and all the next. */
void answer_add_location(struct reply *r, const struct request *req, const struct upload *u);

struct answer_tokens {
	char fetch[TOKEN_PLAIN_CHARS + 1], manage[TOKEN_PLAIN_CHARS + 1];
};

void answer_mint(struct answer_tokens *out, const struct request *req, const struct upload *u);

/* Adds Media-Token and Media-Manage-Token. */
void answer_add_tokens(struct reply *r, const struct request *req, const struct upload *u);

void answer_add_offset(struct reply *r, uint64_t offset);

/* Adds Upload-Expires, Cache-Control: no-store and, of a finished one, Repr-Digest. */
void answer_add_state(struct reply *r, const struct upload *u);

/* Adds a field as its client has sent it, if it did. */
void answer_add_sent(struct reply *r, const char *name, struct bytes value);

/* 201 with the JSON and the header fields of DESIGN, "Uploading". NULL without memory. */
struct reply *answer_finished(const struct request *req, const struct upload *u);

/* 200 with the end of an upload: JSON and Upload-Expires. NULL without memory. */
struct reply *answer_end(int64_t expires_s);

#endif
