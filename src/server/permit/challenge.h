/* challenge - proof that someone holds the bytes of a blob, without sending them: the server names
 * windows of it, the client answers with HMAC-SHA-256 (RFC 2104) of those bytes, one window behind
 * the other, under the challenge's text as key.
 *
 * The server keeps nothing meanwhile: the challenge is authenticated by one of its own keys. For
 * the same blob and bucket the windows stay the same all day: who has some of the bytes cannot ask
 * until the windows are those. Pure functions but for a random part of the text; any thread. */
#ifndef RESTANTE_SERVER_PERMIT_CHALLENGE_H
#define RESTANTE_SERVER_PERMIT_CHALLENGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/text.h"
#include "server/keys.h"

#define CHALLENGE_LIFE_S 60
#define CHALLENGE_BYTES (1 + 4 + 8 + 16)
#define CHALLENGE_CHARS BASE64URL_LEN(CHALLENGE_BYTES)
#define CHALLENGE_WINDOWS 4
#define CHALLENGE_WINDOW (64u << 10) /* a blob that is no longer than all of them is one window */
#define CHALLENGE_MAC_SIZE 32

/* Of what is asked: a blob, by whom. */
struct challenge_subject {
	struct digest blob;
	uint64_t size;
	struct bucket_id bucket;
};

struct challenge_window {
	uint64_t offset, length;
};

struct challenge {
	char text[CHALLENGE_CHARS + 1];
	unsigned count;                                     /* none of an empty blob */
	struct challenge_window windows[CHALLENGE_WINDOWS]; /* in order; they may overlap */
};

void challenge_make(struct challenge *out, const struct challenge_subject *s, int64_t now_s,
		    const struct keys *keys);

/* Reads one that a client brings back. ERR_INVALID: it is none; ERR_FORGED: not of ours, or about
 * something else; ERR_EXPIRED. */
enum err_code challenge_read(struct challenge *out, const char *text, size_t n,
			     const struct challenge_subject *s, int64_t now_s,
			     const struct keys *keys);

#endif
