/* tus - the words of tus 1.0.0 (https://tus.io/protocols/resumable-upload) about one upload:
 * requests are worded here, and answers read. When to send which is leg.h's. One thread. */
#ifndef RESTANTE_CLIENT_TUS_H
#define RESTANTE_CLIENT_TUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"
#include "client/client.h"

#define TUS_DEFERRED UINT64_MAX     /* a length that is told later */
#define TUS_UNSAID (UINT64_MAX - 1) /* nothing is said of a length */

#define TUS_TOKEN_SIZE 105    /* the longest token, with its NUL */
#define TUS_METADATA_SIZE 128 /* for what tus_metadata() writes */

/* ---- asking ---- */

struct tus_creation {
	const char *endpoint;      /* absolute */
	const char *authorization; /* a whole field, or NULL */
	const char *metadata;      /* NULL: none */
	const char *concat;        /* value of Upload-Concat; NULL: none */
	uint64_t length;           /* or TUS_DEFERRED, TUS_UNSAID */
};

struct tus_append {
	const char *url; /* absolute */
	uint64_t offset;
	uint64_t length;   /* of the whole, to be told now; or TUS_UNSAID */
	int64_t body_size; /* or BODY_UNKNOWN */
	enum body_next (*body)(void *ctx, uint8_t *out, size_t cap, size_t *n);
	void *ctx;
};

/* Begin a request, as exchange_begin() does. */
enum restante_code tus_create(struct transport *t, struct exchange **out,
			      const struct tus_creation *c, struct restante_error *e);
enum restante_code tus_ask(struct transport *t, struct exchange **out, const char *url,
			   struct restante_error *e);
enum restante_code tus_append(struct transport *t, struct exchange **out,
			      const struct tus_append *a, struct restante_error *e);

/* Deletes an upload, trying once: nobody waits for it. */
void tus_delete(const struct restante_client *c, const char *url);

/* Whether the server says that it has an extension ("Tus-Extension"). A server that does not say
 * has none; RESTANTE_NETWORK and the like if it cannot be asked. */
enum restante_code tus_offers(struct restante_client *c, const char *endpoint,
			      const char *extension, bool *out, struct restante_error *e);

/* The parameters as restante takes them from Upload-Metadata; 0: not said. */
void tus_metadata(char out[static TUS_METADATA_SIZE], const char *kind, uint64_t ttl_s,
		  unsigned recipients);

/* ---- reading ---- */

/* What a server has told of an upload so far. Empty, 0 or false: not told. */
struct tus_news {
	bool has_offset, has_length, has_digest;
	uint64_t offset, length;
	struct digest digest; /* of the whole */
	int64_t expires_at;   /* Unix time, seconds */
	char token[TUS_TOKEN_SIZE], manage[TUS_TOKEN_SIZE];
};

/* Takes up what the answer says: offset, length, digest and expiry are as in this one, tokens stay
 * if it has none. RESTANTE_SERVER if a number or a token is none. */
enum restante_code tus_read(struct tus_news *news, const struct exchange *x,
			    struct restante_error *e);

/* Where a creation's answer says that the upload is: absolute, malloc'd. RESTANTE_SERVER (it says
 * nothing), RESTANTE_UNTRUSTED (on another server), RESTANTE_INVALID. */
enum restante_code tus_location(const struct transport *t, const struct exchange *x,
				const char *endpoint, char **out, struct restante_error *e);

#endif
