/* client - one server, seen from a client: who it is, what it may ask, how long it tries. And the
 * small requests: delete, extend, acknowledge.
 *
 * The server is one that the caller trusts: an https address, or http on loopback (127.0.0.0/8,
 * ::1, localhost). Redirections are not followed, and an answer that points to another origin is
 * refused. Certificates are checked.
 *
 * A client and everything made from it belongs to one thread at a time; only restante_cancel() may
 * be called from any other. Several clients in several threads are independent. A client must
 * outlive the uploads and fetches made from it. Requests are sent with libcurl, and the
 * environment's proxy settings hold, except for loopback.
 *
 * Grants and tokens are wiped from the library's memory once they were used. The copies that
 * libcurl, and the TLS library behind it, make of addresses and header fields are out of reach, and
 * so may stay in memory that was freed. */
#ifndef RESTANTE_CLIENT_H
#define RESTANTE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct restante_client;

/* A client of the server at url ("https://media.example.org", with a path in front of /v1 if it has
 * one; no query, no user). RESTANTE_INVALID (no address), RESTANTE_UNTRUSTED (plain http elsewhere
 * than on loopback). On RESTANTE_OK the caller owns *out. */
RESTANTE_API enum restante_code restante_client_new(struct restante_client **out, const char *url,
						    struct restante_error *error);

/* Frees it and closes its connections; NULL is fine. */
RESTANTE_API void restante_client_free(struct restante_client *client);

/* The permission to create uploads, sent as `Authorization: Bearer` (RFC 6750) with creations only.
 * Copied; NULL takes it away. RESTANTE_INVALID if it has characters a token cannot have. */
RESTANTE_API enum restante_code restante_client_set_grant(struct restante_client *client,
							  const char *grant,
							  struct restante_error *error);

/* Certificates to trust instead of the system's: a file in PEM. Copied; NULL: the system's. */
RESTANTE_API enum restante_code restante_client_set_ca_file(struct restante_client *client,
							    const char *path,
							    struct restante_error *error);

/* How often a request is tried again without progress (default 8), and the first wait in
 * milliseconds (default 500; doubled each time up to 30 s, each wait drawn at random between half
 * of it and all of it). What the server asks for with Retry-After (RFC 9110 section 10.2.3) is
 * waited for, up to 300 s; more is RESTANTE_LIMIT at once. Progress, one byte, starts the count
 * anew. */
RESTANTE_API void restante_client_set_retries(struct restante_client *client, unsigned count,
					      unsigned first_wait_ms);

/* Without a byte in either direction for so long a request is broken off and tried again; 0: the
 * default, 30,000 ms. Waiting for a recording to go on does not count. */
RESTANTE_API void restante_client_set_stall(struct restante_client *client, unsigned ms);

/* Ends what the client's thread is doing, soon, with RESTANTE_CANCELLED, and so everything it
 * begins later. What was sent stays; uploads with a state file can be taken up by another client.
 * Any thread, and signal handlers. */
RESTANTE_API void restante_cancel(struct restante_client *client);

/* Deletes the upload of a manage token. RESTANTE_GONE if it is not there (any more); but if it took
 * more than one try, that is RESTANTE_OK: the first may have done it, and its answer was lost. */
RESTANTE_API enum restante_code restante_delete(struct restante_client *client,
						const char *manage_token,
						struct restante_error *error);

/* Moves the end of the upload of a manage token to ttl_s seconds from now (0 is RESTANTE_MISUSE),
 * within the server's bounds; *expires_at is then Unix time in seconds. RESTANTE_LIMIT, and not
 * tried again by itself, if it has not arrived yet: later it may be. */
RESTANTE_API enum restante_code restante_extend(struct restante_client *client,
						const char *manage_token, uint64_t ttl_s,
						uint64_t *expires_at, struct restante_error *error);

/* Says that this recipient has it. When all have, the server drops it. Again is no failure; after
 * the last it may be RESTANTE_GONE. RESTANTE_LIMIT as above if it has not arrived yet. */
RESTANTE_API enum restante_code restante_acknowledge(struct restante_client *client,
						     const char *fetch_token,
						     struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
