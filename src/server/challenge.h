/* challenge - proof that someone holds the bytes of a blob, without sending them: the server names
 * a range of it, the client answers with HMAC-SHA-256 (RFC 2104) of those bytes, under the
 * challenge's text as key. The server keeps nothing meanwhile: the challenge is authenticated by
 * one of its own keys. Pure functions but for the random range; any thread. */
#ifndef RESTANTE_SERVER_CHALLENGE_H
#define RESTANTE_SERVER_CHALLENGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/text.h"
#include "server/keys.h"

#define CHALLENGE_LIFE_S 60
#define CHALLENGE_BYTES (1 + 4 + 8 + 4 + 8 + 16)
#define CHALLENGE_CHARS BASE64URL_LEN(CHALLENGE_BYTES)
#define CHALLENGE_RANGE_MAX (256u << 10)
#define CHALLENGE_MAC_SIZE 32

struct challenge {
	char text[CHALLENGE_CHARS + 1];
	uint64_t offset; /* of the range, which is not empty unless the blob is */
	uint32_t length;
};

/* A range of a blob of that size, at random. */
void challenge_make(struct challenge *out, const struct digest *blob, uint64_t size, int64_t now_s,
		    const struct keys *keys);

/* Reads one that a client brings back. ERR_INVALID: it is none; ERR_FORGED: not of ours, or for
 * another blob; ERR_EXPIRED. */
enum err_code challenge_read(struct challenge *out, const char *text, size_t n,
			     const struct digest *blob, int64_t now_s, const struct keys *keys);

#endif
