/* problem - errors as application/problem+json (RFC 9457). The one place where a failure becomes
 * an HTTP status. */
#ifndef RESTANTE_SERVER_PROBLEM_H
#define RESTANTE_SERVER_PROBLEM_H

#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "server/reply.h"

/* A problem with this status. slug names a type of ours ("digest-mismatch") or is a whole URI, NULL
 * is about:blank; detail is for a person and never holds what a client sent, NULL leaves it out.
 * 429, 503 and 507 get Retry-After. NULL without memory. */
struct reply *problem_reply(int status, const char *slug, const char *detail);

/* What would be too much of a bucket, without saying of which. NULL without memory. */
struct quota_refusal;
struct reply *problem_quota(const struct quota_refusal *why);

/* The same with a member of its own; takes value over. */
struct reply *problem_with(int status, const char *slug, const char *detail, const char *name,
			   json_t *value);

/* 409 with the offset that would have been right, as field and as member (draft-ietf-httpbis-
 * resumable-upload, "Mismatching Offset"). NULL without memory. */
struct reply *problem_offset(uint64_t expected, uint64_t provided);

/* The problem that a failed call means to the client; e->why stays with us. */
struct reply *problem_of(enum err_code code);

/* The one answer of the fetch path to unknown, expired, deleted and forged tokens. */
struct reply *problem_not_found(void);

#endif
