/* metadata - the Upload-Metadata field of tus 1.0.0 ("Creation"): pairs of a key and a base64
 * value, joined by commas. Pure; any thread. */
#ifndef RESTANTE_WIRE_METADATA_H
#define RESTANTE_WIRE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define METADATA_PAIRS_MAX 64

/* Views into the text: the key, and the value still in base64 (may be empty). */
struct metadata_pair {
	const char *key, *value;
	size_t key_len, value_len;
};

struct metadata {
	size_t count;
	struct metadata_pair pairs[METADATA_PAIRS_MAX];
};

/* Reads text[0..n) strictly: keys are not empty, printable ASCII without space and comma, each
 * once; between key and value one space, which may be left out with an empty value; the value is
 * padded base64 (RFC 4648 section 4); spaces around a comma are taken, tabs and spaces at the ends
 * of the text are not. An empty text has no pairs. ERR_INVALID, ERR_TOOBIG (too many pairs). *out
 * is written on ERR_OK only. */
enum err_code metadata_parse(struct metadata *out, const char *text, size_t n);

/* The decoded value of a key, with a NUL, into out, which has room for size > 0 characters; false
 * if the key is not there, or its value is longer than size - 1 or has a NUL in it: *there tells
 * which (unless NULL). On false nothing is to be read from out. Other bytes of the value are as the
 * client sent them, control characters too. Looks at a metadata that metadata_parse() wrote only,
 * while its text is still there. */
bool metadata_get(const struct metadata *m, const char *key, char *out, size_t size, bool *there);

#endif
