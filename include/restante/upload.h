/* upload - sealing and sending in one go, by tus 1.0.0 (https://tus.io), to restante or any other
 * tus server. Broken connections, restarted servers and, with a state file, restarted clients cost
 * only what was not acknowledged.
 *
 * Threads: as those of the client. */
#ifndef RESTANTE_UPLOAD_H
#define RESTANTE_UPLOAD_H

#include "restante/client.h"
#include "restante/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct restante_upload;

/* An upload to the client's server that does not know yet what to send. On RESTANTE_OK the caller
 * owns *out. */
RESTANTE_API enum restante_code restante_upload_new(struct restante_upload **out,
						    struct restante_client *client,
						    struct restante_error *error);

/* Frees it; NULL is fine. What the server has of an unfinished one stays there for its time. */
RESTANTE_API void restante_upload_free(struct restante_upload *upload);

/* ---- what to send: exactly one of these ---- */

/* A file, sealed with a fresh key while it is sent, padded. It must not change meanwhile
 * (RESTANTE_CHANGED). */
RESTANTE_API enum restante_code restante_upload_file(struct restante_upload *upload,
						     const char *path,
						     struct restante_error *error);

/* Memory, sealed and padded likewise; borrowed until the upload is freed. */
RESTANTE_API enum restante_code restante_upload_memory(struct restante_upload *upload,
						       const void *data, size_t size,
						       struct restante_error *error);

/* What comes out of a pipe, socket or terminal until its end, sealed as it comes; borrowed, read
 * with poll() and read(). `padded`: zeroes are added at the end. Not padded is right where an
 * envelope is handed out before the end: then nobody could tell the padding. Cannot be taken up
 * again by another process. */
RESTANTE_API enum restante_code restante_upload_fd(struct restante_upload *upload, int fd,
						   bool padded, struct restante_error *error);

/* A file that is sealed already: its bytes go as they are, and the envelope gets no key and no
 * size. */
RESTANTE_API enum restante_code restante_upload_sealed_file(struct restante_upload *upload,
							    const char *path,
							    struct restante_error *error);

/* ---- how: all optional ---- */

/* "photo", "video", "voice" or "file" (the default). RESTANTE_INVALID otherwise. */
RESTANTE_API enum restante_code restante_upload_set_kind(struct restante_upload *upload,
							 const char *kind,
							 struct restante_error *error);

/* How long the server is to keep it, in seconds; 0, the default: what the server does by itself. */
RESTANTE_API void restante_upload_set_ttl(struct restante_upload *upload, uint64_t ttl_s);

/* How many recipients will acknowledge, at most 1024; 0, the default: none. */
RESTANTE_API void restante_upload_set_recipients(struct restante_upload *upload, unsigned count);

/* In how many parts at once, 1 to 16; 0, the default: 4 for what is 256 MiB or more, else 1. Where
 * the server has no concatenation, or the length is not known, it is 1. */
RESTANTE_API void restante_upload_set_parts(struct restante_upload *upload, unsigned count);

/* Another endpoint for creations than the client's /v1/uploads, for other tus servers: an address
 * of the client's server that begins with "/". */
RESTANTE_API enum restante_code restante_upload_set_endpoint(struct restante_upload *upload,
							     const char *path,
							     struct restante_error *error);

/* A file in which the upload writes down how to go on (mode 0600; it holds the key). Is it there
 * and about the same file, unchanged, the same server, kind, time and recipients, the upload is
 * taken up, in the parts it has; else it starts anew. Removed when the upload is done, and when the
 * server no longer knows it. Locked while it runs: RESTANTE_MISUSE if another process works on it.
 * Not for memory and pipes, nor for a file that a program writes to through a mapping: that may
 * change no time of the file, and another process that takes the upload up cannot see it. */
RESTANTE_API enum restante_code restante_upload_set_state(struct restante_upload *upload,
							  const char *path,
							  struct restante_error *error);

/* Told now and then, from restante_upload_run(): sealed bytes of which the server has said that it
 * has them or which are on their way, of all (0: not known yet). Goes back when a connection broke.
 */
typedef void restante_progress_fn(void *context, uint64_t done, uint64_t total);
RESTANTE_API void restante_upload_set_progress(struct restante_upload *upload,
					       restante_progress_fn *fn, void *context);

/* Told once, as soon as the server has given the token, before most of the bytes are sent: the
 * envelope as far as it is known, borrowed for the call. Not with parts. Returning false gives up
 * (RESTANTE_CANCELLED). */
typedef bool restante_begun_fn(void *context, const struct restante_envelope *envelope);
RESTANTE_API void restante_upload_set_begun(struct restante_upload *upload, restante_begun_fn *fn,
					    void *context);

/* ---- doing it ---- */

/* Sends all of it and returns when the server has it durably. Fills kind, token, key, size,
 * sealed_size, sha256 and expires_at into envelope; media type, name, preview and so on are the
 * caller's. The digest that the server tells is compared with what was sent (RESTANTE_TAMPERED; the
 * upload is then deleted). Another tus server gives no token: the envelope has none, and
 * restante_upload_location() tells where it is.
 *
 * After RESTANTE_NETWORK, RESTANTE_LIMIT and RESTANTE_CANCELLED it may be run again, and goes on.
 */
RESTANTE_API enum restante_code restante_upload_run(struct restante_upload *upload,
						    struct restante_envelope *envelope,
						    struct restante_error *error);

/* The creator's own: what deletes and extends it, and its address; borrowed until the upload is run
 * again or freed. NULL before the server has told them. */
RESTANTE_API const char *restante_upload_manage_token(const struct restante_upload *upload);
RESTANTE_API const char *restante_upload_location(const struct restante_upload *upload);

#ifdef __cplusplus
}
#endif
#endif
