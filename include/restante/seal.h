/* seal - the sealed container: age v1 (C2SP age specification, "X25519 recipient stanza" and
 * "Payload") with one fresh X25519 identity for each upload, whose secret, the key, travels in the
 * envelope. Any age tool opens it with the key's text form.
 *
 *   sealed = header (168 bytes with our one recipient) | nonce (16) | chunks
 *
 * A chunk is up to 64 KiB of plaintext and a tag of 16 bytes (ChaCha20-Poly1305, RFC 8439),
 * numbered, the last one marked: nothing can be changed, moved, left out or cut off unnoticed, and
 * no byte leaves this library that was not authenticated.
 *
 * Padding (PADMÉ: PURBs, PoPETs 2019/4, algorithm 1) is zeroes behind the plaintext, inside the
 * container, so that the size tells little; who opens it knows the true size from the envelope.
 *
 * A sealer or opener belongs to one thread at a time; different ones are independent. Keys are
 * wiped when handles are freed. Constants and formats: doc/container.md. */
#ifndef RESTANTE_SEAL_H
#define RESTANTE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RESTANTE_KEY_SIZE 32      /* an X25519 secret */
#define RESTANTE_KEY_TEXT_SIZE 75 /* "AGE-SECRET-KEY-1..." and its NUL */
#define RESTANTE_HEAD_SIZE 184    /* header and nonce of what we seal */
#define RESTANTE_CHUNK_SIZE 65536 /* plaintext in a chunk that is not the last */
#define RESTANTE_SEALED_CHUNK_SIZE 65552

/* Makes a key from the system's random source. RESTANTE_IO if there is none. */
RESTANTE_API enum restante_code restante_key_new(uint8_t key[RESTANTE_KEY_SIZE],
						 struct restante_error *error);

/* Writes a key as age writes identities (Bech32 with "AGE-SECRET-KEY-", upper case), and its NUL.
 * Without a key, nothing but the NUL. */
RESTANTE_API void restante_key_format(char out[RESTANTE_KEY_TEXT_SIZE],
				      const uint8_t key[RESTANTE_KEY_SIZE]);

/* Reads it, strictly: all of text[0..length). RESTANTE_INVALID otherwise; key is then as it was. */
RESTANTE_API enum restante_code restante_key_parse(uint8_t key[RESTANTE_KEY_SIZE], const char *text,
						   size_t length, struct restante_error *error);

/* The padded size of size bytes of plaintext: at most 12 % more, exact in integers. Sizes of 2^62
 * and more are not padded. */
RESTANTE_API uint64_t restante_padded_size(uint64_t size);

/* The sealed size of size bytes of plaintext (padding, if any, already counted). size is at most
 * 2^62. */
RESTANTE_API uint64_t restante_sealed_size(uint64_t size);

/* ---- sealing, as a stream ---- */

struct restante_sealer;

/* Starts a container for the holder of key; on RESTANTE_OK the caller owns *out. */
RESTANTE_API enum restante_code restante_sealer_new(struct restante_sealer **out,
						    const uint8_t key[RESTANTE_KEY_SIZE],
						    struct restante_error *error);

/* Takes plaintext and gives sealed bytes, as many of both as fit: *taken of in[0..in_size) were
 * read, *given bytes were written to out. The last chunk needs to be known as such: `last` says
 * that behind `in` there is nothing (in_size may be 0). *done is true once the last sealed byte was
 * given: until then call again, also with no input left. `in` and `out` must not overlap.
 *
 * Give room for at least RESTANTE_SEALED_CHUNK_SIZE to make progress with each call; less is
 * RESTANTE_MISUSE, as is more plaintext after `last`. */
RESTANTE_API enum restante_code restante_sealer_run(struct restante_sealer *sealer, const void *in,
						    size_t in_size, bool last, size_t *taken,
						    void *out, size_t out_size, size_t *given,
						    bool *done, struct restante_error *error);

/* Wipes and frees; NULL is fine. */
RESTANTE_API void restante_sealer_free(struct restante_sealer *sealer);

/* ---- opening, as a stream ---- */

struct restante_opener;

/* Starts to open containers for the holder of key, ours or any age v1 file that has an X25519
 * stanza for it. */
RESTANTE_API enum restante_code restante_opener_new(struct restante_opener **out,
						    const uint8_t key[RESTANTE_KEY_SIZE],
						    struct restante_error *error);

/* Takes sealed bytes and gives authenticated plaintext; parameters as those of
 * restante_sealer_run(), and out_size is at least RESTANTE_CHUNK_SIZE. `last` says that the sealed
 * bytes end behind `in`; *done is true once the whole container was found to be whole: until then
 * call again, also with no input left, since a call that gives bytes leaves its failure to the next
 * one. Padding comes out as zeroes. `in` and `out` must not overlap.
 *
 * RESTANTE_INVALID (no age v1 file, or a header this library does not take), RESTANTE_KEY (no
 * stanza opens with it), RESTANTE_TAMPERED (header or payload not authentic, cut short, or with
 * something behind the end). After a failure the opener only fails. */
RESTANTE_API enum restante_code restante_opener_run(struct restante_opener *opener, const void *in,
						    size_t in_size, bool last, size_t *taken,
						    void *out, size_t out_size, size_t *given,
						    bool *done, struct restante_error *error);

/* Wipes and frees; NULL is fine. */
RESTANTE_API void restante_opener_free(struct restante_opener *opener);

#ifdef __cplusplus
}
#endif
#endif
