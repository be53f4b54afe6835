/* fetch - getting and opening what an envelope tells of. Only the client's server is asked; not a
 * byte more is taken than the envelope announces; no byte is given out that was not authenticated;
 * padding is taken off.
 *
 * Where the envelope has the digest, an answer about anything else (its ETag, RFC 9110
 * section 8.8.3) is refused before the first byte, and resumed requests carry it as If-Range
 * (section 13.1.5).
 *
 * Threads: as those of the client. */
#ifndef RESTANTE_FETCH_H
#define RESTANTE_FETCH_H

#include "restante/client.h"
#include "restante/envelope.h"
#include "restante/upload.h"

#ifdef __cplusplus
extern "C" {
#endif

struct restante_fetch;

/* A fetch of what the envelope tells of; of it a copy is made. On RESTANTE_OK the caller owns *out.
 * RESTANTE_INVALID if key or token are missing. */
RESTANTE_API enum restante_code restante_fetch_new(struct restante_fetch **out,
						   struct restante_client *client,
						   const struct restante_envelope *envelope,
						   struct restante_error *error);

/* Frees it; NULL is fine. Not from its own callbacks: nothing happens then. */
RESTANTE_API void restante_fetch_free(struct restante_fetch *fetch);

/* The most sealed bytes taken when the envelope does not tell the size; default 2 GiB. */
RESTANTE_API void restante_fetch_set_max(struct restante_fetch *fetch, uint64_t size);

/* Follows an upload that is still arriving: an answer that breaks off, or that there is nothing
 * yet, is waited out and resumed, until the end or until nothing has come for wait_ms
 * (RESTANTE_NETWORK, or RESTANTE_GONE if the server does not know it). What was deleted while it
 * came is RESTANTE_GONE at once. Default 0: no waiting. Every chunk is given out as soon as its
 * last byte is there. */
RESTANTE_API void restante_fetch_set_live(struct restante_fetch *fetch, unsigned wait_ms);

/* Told now and then, in sealed bytes; total is 0 while it is not known. */
RESTANTE_API void restante_fetch_set_progress(struct restante_fetch *fetch,
					      restante_progress_fn *fn, void *context);

/* Gets all of it into a file, whole or not at all: what has come is kept beside it under another
 * name (".NAME.XXXXXXXX.part", mode 0600, authenticated bytes only), and the next fetch of the same
 * envelope to the same path goes on from there, by ranges. When all is there and durable it gets
 * its name and the mode of any new file (0666 without the umask), replacing a file or symbolic link
 * of that name.
 *
 * RESTANTE_MISUSE if another process fetches the same to there; RESTANTE_IO, on a full disk too:
 * what has come stays. After RESTANTE_TAMPERED, RESTANTE_KEY and RESTANTE_INVALID it does not: it
 * would never become whole. To give up for good, remove the part. */
RESTANTE_API enum restante_code restante_fetch_to_file(struct restante_fetch *fetch,
						       const char *path,
						       struct restante_error *error);

/* Gets all of it, in order, piece by piece as it is authenticated. Pieces that were given are
 * authentic even if the end never comes; that all came is only said by RESTANTE_OK. The function
 * returns false to stop (RESTANTE_CANCELLED), and must not call functions of this fetch
 * (RESTANTE_MISUSE). Connections that break are resumed. */
typedef bool restante_write_fn(void *context, const void *data, size_t size);
RESTANTE_API enum restante_code restante_fetch_to(struct restante_fetch *fetch,
						  restante_write_fn *fn, void *context,
						  struct restante_error *error);

/* Gets size bytes of the plaintext from offset on, fetching only the chunks that hold them (and the
 * head, once); fewer at the end: *got. The envelope must tell size and sealed size
 * (RESTANTE_MISUSE). For players that seek: the last chunk is kept, so that many small reads one
 * after the other cost one request a chunk. */
RESTANTE_API enum restante_code restante_fetch_at(struct restante_fetch *fetch, uint64_t offset,
						  void *out, size_t size, size_t *got,
						  struct restante_error *error);

/* Gets the ciphertext of a token as it is, for those who open it otherwise; at most max bytes. Not
 * authenticated here; connections that break are resumed if the server tells an entity tag, and
 * only under that. */
RESTANTE_API enum restante_code restante_fetch_sealed(struct restante_client *client,
						      const char *fetch_token, uint64_t max,
						      restante_write_fn *fn, void *context,
						      struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
