/* stanza - the grammar of an age v1 header, read line by line from its beginning. Strict: one
 * spelling for each header (canonical base64, no CR, body lines of 64 characters but the last).
 * Pure; any thread. */
#ifndef RESTANTE_CLIENT_SEAL_STANZA_H
#define RESTANTE_CLIENT_SEAL_STANZA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define HEADER_VERSION "age-encryption.org/v1\n"
#define HEADER_MAC_SIZE 32
#define HEADER_MARK_LEN 3 /* of "---", the last bytes that the MAC is about */
#define STANZA_BODY_KEPT 48

struct stanza {
	struct bytes args; /* one or more, a space between two; the first is the type */
	size_t body_size;
	uint8_t body[STANZA_BODY_KEPT]; /* the first bytes of it */
};

enum header_item {
	HEADER_STANZA, /* *stanza was read */
	HEADER_END,    /* the MAC line was */
	HEADER_MORE,   /* the input ends too early to tell */
	HEADER_BROKEN, /* that is no header */
};

/* in.len is how far is known; at goes forward, by whole items. */
struct header_reader {
	struct bytes in;
	size_t at;
};

/* Starts behind the version line, which the caller has compared. */
void header_reader_init(struct header_reader *r, struct bytes in);

/* Reads the next item; of an end, mac is what the line says, and r->at the first byte behind. */
enum header_item header_next(struct header_reader *r, struct stanza *stanza,
			     uint8_t mac[static HEADER_MAC_SIZE]);

/* The type is exactly that. */
bool stanza_is(const struct stanza *s, const char *type);

/* All arguments behind the type, which s has, are one: the encoding of exactly n bytes. */
bool stanza_argument(const struct stanza *s, uint8_t *out, size_t n);

/* Base64 (RFC 4648 section 4) without padding. Encoding writes RAW64_LEN(n) characters and no
 * NUL. */
#define RAW64_LEN(n) (((n)*8 + 5) / 6)
void raw64_encode(char *out, const uint8_t *in, size_t n);
bool raw64_decode(uint8_t *out, size_t cap, size_t *size, struct bytes text);

#endif
