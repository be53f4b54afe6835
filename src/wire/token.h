/* token - fetch, manage and upload tokens (DESIGN, "Tokens and grants"; doc/tokens.md).
 *
 *   byte 0      0x11 fetch, 0x12 manage, 0x13 upload
 *   byte 1      key id
 *   2 .. 17     upload id
 *   18 .. 21    not after, Unix seconds, u32 big-endian
 *   then        caveats: 0x01 + u32 earlier not-after | 0x02 + u16 recipient number
 *   last 16     tag: BLAKE2b-128 chained over the parts, personal "restante.token.1"
 *
 * Written as base64url without padding. Pure functions; any thread. */
#ifndef RESTANTE_WIRE_TOKEN_H
#define RESTANTE_WIRE_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"

#define TOKEN_KEYBYTES 32
#define TOKEN_CAVEATS_MAX 8
#define TOKEN_PLAIN_BYTES (22 + 16)
#define TOKEN_MAX_BYTES (TOKEN_PLAIN_BYTES + TOKEN_CAVEATS_MAX * 5)
#define TOKEN_PLAIN_CHARS 51 /* of a token without caveats */
#define TOKEN_TEXT_SIZE 105  /* the longest, with its NUL */

enum token_type { TOKEN_FETCH = 0x11, TOKEN_MANAGE = 0x12, TOKEN_UPLOAD = 0x13 };

/* What is written in a token. not_after is the earliest of all; recipients holds every recipient
 * caveat in order (a token with two different ones acknowledges for nobody: the caller decides). */
struct token {
	enum token_type type;
	uint8_t key_id;
	struct upload_id upload;
	uint32_t not_after;
	uint8_t caveat_count; /* of either kind */
	uint8_t recipient_count;
	uint16_t recipients[TOKEN_CAVEATS_MAX];
};

/* Finds the token key of an id; NULL if there is none. The key is borrowed. */
typedef const uint8_t *token_key_lookup(const void *ctx, uint8_t key_id);

/* Writes a token without caveats, and its NUL. Of `t` type, key_id, upload and not_after count. */
void token_mint(char out[static TOKEN_PLAIN_CHARS + 1], const struct token *t,
		const uint8_t key[static TOKEN_KEYBYTES]);

/* Checks text[0..n): strict base64url, layout, key, tag (in constant time), then time. `want` is
 * the type asked for. ERR_INVALID (layout or type), ERR_NOTFOUND (no such key), ERR_FORGED,
 * ERR_EXPIRED (now > not_after). *out is written on ERR_OK only. Touches no store. */
enum err_code token_verify(struct token *out, const char *text, size_t n, enum token_type want,
			   int64_t now, token_key_lookup *keys, const void *ctx);

/* Reads text[0..n) by its layout alone, believing everything: for who holds a token and has no key.
 * ERR_INVALID if it is none. *out is written on ERR_OK only. */
enum err_code token_read(struct token *out, const char *text, size_t n);

/* Adds a caveat to text[0..n) without any key, writing the narrower token and its NUL to out.
 * ERR_INVALID if the text is no token by its layout, ERR_TOOBIG if it has 8 caveats already. */
enum err_code token_narrow_time(char out[static TOKEN_TEXT_SIZE], const char *text, size_t n,
				uint32_t not_after);
enum err_code token_narrow_recipient(char out[static TOKEN_TEXT_SIZE], const char *text, size_t n,
				     uint16_t recipient);

#endif
