/* grant - permission to upload, as a chat's server mints it for its users (doc/integration.md).
 *
 * A grant is a PASETO v4.public token: whoever has the secret key makes them, without asking
 * anybody; media servers have the public key only. The secret belongs on the chat's server and
 * never into an app. Keys are texts of PASERK, with a NUL. A struct restante_grant belongs to one
 * thread at a time; the rest any thread may call. */
#ifndef RESTANTE_GRANT_H
#define RESTANTE_GRANT_H

#include <stddef.h>
#include <stdint.h>

#include "restante/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RESTANTE_GRANT_SIZE 4097      /* the longest grant and its NUL */
#define RESTANTE_GRANT_SECRET_SIZE 97 /* "k4.secret..." */
#define RESTANTE_GRANT_PUBLIC_SIZE 54 /* "k4.public..." */
#define RESTANTE_GRANT_KID_SIZE 52    /* "k4.pid..." */
#define RESTANTE_GRANT_NAME_MAX 128   /* bytes of a text in a grant */

/* ---- keys ---- */

/* Makes a secret key. RESTANTE_NOMEM if the system gives no random bytes. Whoever called wipes it
 * when it is no longer needed. */
RESTANTE_API enum restante_code restante_grant_keygen(char secret[RESTANTE_GRANT_SECRET_SIZE],
						      struct restante_error *error);

/* The public key of a secret one, for restante.conf, and that key's id, which is the kid of grants
 * unless they say another. Either may be NULL. RESTANTE_INVALID if it is no secret key. */
RESTANTE_API enum restante_code restante_grant_public(char public_key[RESTANTE_GRANT_PUBLIC_SIZE],
						      char kid[RESTANTE_GRANT_KID_SIZE],
						      const char *secret,
						      struct restante_error *error);

/* ---- what a grant says ---- */

struct restante_grant;

/* Texts: UTF-8 of 1 to RESTANTE_GRANT_NAME_MAX bytes without control characters. */
enum restante_grant_text {
	RESTANTE_GRANT_KID,    /* which key of the server's settings; without it the key's own id */
	RESTANTE_GRANT_ID,     /* jti: for one upload only; the same id again meets that upload */
	RESTANTE_GRANT_KIND,   /* "photo", "video", "voice" or "file" */
	RESTANTE_GRANT_SHA256, /* of what is uploaded, 64 hexadecimal digits */
	RESTANTE_GRANT_BUCKET, /* what quotas count against: a pseudonym, never a user's id */
	RESTANTE_GRANT_TEXT_COUNT
};

enum restante_grant_number {
	RESTANTE_GRANT_MAX,        /* bytes of an upload, 1 to 2^63 - 1 */
	RESTANTE_GRANT_TTL,        /* seconds that an upload is kept at most, 1 to 2^32 - 1 */
	RESTANTE_GRANT_RECIPIENTS, /* who will acknowledge: is the number, 0 to 1024 */
	RESTANTE_GRANT_NOT_BEFORE, /* Unix time, seconds */
	RESTANTE_GRANT_ISSUED_AT,  /* Unix time, seconds; only told */
	RESTANTE_GRANT_REUSE,      /* 1: may use a blob that is there already, without sending it */
	RESTANTE_GRANT_NUMBER_COUNT
};

/* Starts a grant for the server of that name (the setting `name`, or of a virtual host) until
 * expires_at (Unix time, seconds). On RESTANTE_OK the caller owns *out. RESTANTE_INVALID if the
 * name is no text as above, RESTANTE_NOMEM. */
RESTANTE_API enum restante_code restante_grant_new(struct restante_grant **out,
						   const char *audience, uint64_t expires_at,
						   struct restante_error *error);

/* Ends it. NULL is fine. */
RESTANTE_API void restante_grant_free(struct restante_grant *grant);

/* Set what else it says; the last call counts. RESTANTE_INVALID if the value is none such. */
RESTANTE_API enum restante_code restante_grant_set_text(struct restante_grant *grant,
							enum restante_grant_text field,
							const char *value,
							struct restante_error *error);
RESTANTE_API enum restante_code restante_grant_set_number(struct restante_grant *grant,
							  enum restante_grant_number field,
							  uint64_t value,
							  struct restante_error *error);

/* Sets a random id (RESTANTE_GRANT_ID): for one upload only. */
RESTANTE_API enum restante_code restante_grant_set_once(struct restante_grant *grant,
							struct restante_error *error);

/* Writes the grant, signed with a secret key, and its NUL to out. The same grant and key give the
 * same text. RESTANTE_INVALID if it is no secret key, or a server would not read the grant. */
RESTANTE_API enum restante_code restante_grant_sign(char out[RESTANTE_GRANT_SIZE],
						    const struct restante_grant *grant,
						    const char *secret,
						    struct restante_error *error);

/* What the server at an address is called unless its settings say another name: the host, in small
 * letters; "localhost" for loopback. out has room for RESTANTE_GRANT_NAME_MAX + 1.
 * RESTANTE_INVALID, RESTANTE_UNTRUSTED as restante_client_new(). */
RESTANTE_API enum restante_code restante_grant_audience(char *out, const char *server,
							struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
