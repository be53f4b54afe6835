/* envelope - what the sender's client hands to the chat layer, inside the encrypted message: where
 * to fetch, how to open, and what to show meanwhile. One JSON object (RFC 8259) of at most 8 KiB;
 * field by field in doc/envelope.md, as JSON Schema in doc/envelope.schema.json.
 *
 * An envelope holds the key: it is as secret as the message. A handle belongs to one thread at a
 * time; all that is in it is wiped when it is freed. Not wiped are the text that the caller has,
 * and what the JSON parser (jansson) frees while it reads: parts of the key may stay in memory
 * there. */
#ifndef RESTANTE_ENVELOPE_H
#define RESTANTE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "restante/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RESTANTE_ENVELOPE_MAX 8192 /* bytes of JSON, without a NUL */

struct restante_envelope;

enum restante_text {
	RESTANTE_TEXT_KIND,         /* "photo", "video", "voice" or "file"; required */
	RESTANTE_TEXT_TYPE,         /* media type (RFC 6838 section 4.2, "image/jpeg"), without
				     * parameters, at most 127 bytes; required */
	RESTANTE_TEXT_TOKEN,        /* the fetch token, by its layout (doc/tokens.md); required */
	RESTANTE_TEXT_NAME,         /* file name, UTF-8, 1 to 255 bytes; no control characters
				     * (bidirectional ones too, U+2028 and U+2029), no "/" or
				     * "\\", and neither "." nor ".." */
	RESTANTE_TEXT_PREVIEW_TYPE, /* "image/jpeg" or "image/webp"; goes with the preview */
	RESTANTE_TEXT_COUNT
};

enum restante_number {
	RESTANTE_NUMBER_SIZE,        /* of the plaintext without padding, bytes, below 2^53 */
	RESTANTE_NUMBER_SEALED_SIZE, /* of the ciphertext, bytes, below 2^53 */
	RESTANTE_NUMBER_EXPIRES_AT,  /* Unix time, seconds, up to the year 9999; in the JSON
				      * "2026-12-21T10:00:00Z" (RFC 3339) */
	RESTANTE_NUMBER_WIDTH,       /* pixels, as displayed, 1 to 1000000 */
	RESTANTE_NUMBER_HEIGHT,
	RESTANTE_NUMBER_DURATION_MS, /* milliseconds, at most 2^40 */
	RESTANTE_NUMBER_COUNT
};

enum restante_blob {
	RESTANTE_BLOB_KEY,       /* RESTANTE_KEY_SIZE bytes; required */
	RESTANTE_BLOB_SHA256,    /* of the ciphertext, 32 bytes */
	RESTANTE_BLOB_WAVEFORM,  /* 64 bars, each 0 to 100 */
	RESTANTE_BLOB_PREVIEW,   /* a small picture, 1 to 4096 bytes */
	RESTANTE_BLOB_THUMBHASH, /* 1 to 25 bytes */
	RESTANTE_BLOB_COUNT
};

/* An empty envelope, the caller's. */
RESTANTE_API enum restante_code restante_envelope_new(struct restante_envelope **out,
						      struct restante_error *error);

/* Wipes and frees; NULL is fine. */
RESTANTE_API void restante_envelope_free(struct restante_envelope *envelope);

/* Set a field, copying the value, or take it out with NULL (texts, blobs). What a value may be is
 * said above; anything else is RESTANTE_INVALID, and the field is as it was. */
RESTANTE_API enum restante_code restante_envelope_set_text(struct restante_envelope *envelope,
							   enum restante_text field,
							   const char *value,
							   struct restante_error *error);
RESTANTE_API enum restante_code restante_envelope_set_number(struct restante_envelope *envelope,
							     enum restante_number field,
							     uint64_t value,
							     struct restante_error *error);
RESTANTE_API enum restante_code restante_envelope_set_blob(struct restante_envelope *envelope,
							   enum restante_blob field,
							   const void *value, size_t size,
							   struct restante_error *error);

/* The value of a field: borrowed until the field is set or the envelope freed. NULL (texts, blobs)
 * or false (numbers, *out as it was) if it is not there. */
RESTANTE_API const char *restante_envelope_text(const struct restante_envelope *envelope,
						enum restante_text field);
RESTANTE_API bool restante_envelope_number(const struct restante_envelope *envelope,
					   enum restante_number field, uint64_t *out);
RESTANTE_API const uint8_t *restante_envelope_blob(const struct restante_envelope *envelope,
						   enum restante_blob field, size_t *size);

/* Writes the JSON on one line, always in the same order of fields, and a NUL to out, which has room
 * for RESTANTE_ENVELOPE_MAX + 1. RESTANTE_INVALID if a required field is missing or fields
 * disagree: of size, sealed_size and sha256 there are all or none (none for what is still being
 * recorded), and sealed_size is from restante_sealed_size(size) to 16 KiB more than that of
 * restante_padded_size(size); width and height go together, and so do a preview and its type.
 * RESTANTE_TOOBIG. */
RESTANTE_API enum restante_code restante_envelope_encode(const struct restante_envelope *envelope,
							 char *out, struct restante_error *error);

/* Reads text[0..length) strictly: UTF-8 without NULs, one object and nothing behind it but white
 * space, no name twice, nested no deeper than 16, "v" is 1, every field we know as above, required
 * ones there. Fields we do not know are passed over. RESTANTE_INVALID; RESTANTE_TOOBIG if length is
 * more than RESTANTE_ENVELOPE_MAX. On RESTANTE_OK the caller owns *out. */
RESTANTE_API enum restante_code restante_envelope_decode(struct restante_envelope **out,
							 const char *text, size_t length,
							 struct restante_error *error);

#ifdef __cplusplus
}
#endif
#endif
