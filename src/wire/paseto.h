/* paseto - signed tokens of other people's making: PASETO v4.public (Ed25519), and no other version
 * or purpose. The layout is strict: base64url without padding or stray bits, no empty footer behind
 * a dot. What the payload says is for the caller. Pure functions; any thread, after sodium_init().
 *
 *   v4.public.base64url(payload, signature)[.base64url(footer)]
 *   signature = Ed25519 of PAE("v4.public.", payload, footer, implicit assertion) */
#ifndef RESTANTE_WIRE_PASETO_H
#define RESTANTE_WIRE_PASETO_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define PASETO_KEYBYTES 32
#define PASETO_SECRETBYTES 64
#define PASETO_SIGNATUREBYTES 64
#define PASETO_CHARS_MAX 4096   /* of a token */
#define PASETO_FOOTER_MAX 512   /* bytes */
#define PASETO_IMPLICIT_MAX 512 /* bytes */
#define PASETO_BODY_MAX (PASETO_CHARS_MAX / 4 * 3)

/* A token by its layout; nothing in it is to be believed before paseto_verify(). */
struct paseto {
	size_t body_len, footer_len;
	uint8_t body[PASETO_BODY_MAX]; /* payload, signature */
	uint8_t footer[PASETO_FOOTER_MAX];
};

/* ERR_INVALID, with *out undefined, if text[0..n) is no v4.public token, or longer than we read. */
enum err_code paseto_read(struct paseto *out, const char *text, size_t n);

/* ERR_FORGED if the signature is not the key's, or the implicit assertion not the signer's. */
enum err_code paseto_verify(const struct paseto *p, struct bytes implicit,
			    const uint8_t key[static PASETO_KEYBYTES]);

/* Views into p. */
struct bytes paseto_payload(const struct paseto *p);
struct bytes paseto_footer(const struct paseto *p);

/* Signs; *out, with a NUL, is malloc'd. An empty footer is left out. ERR_TOOBIG if paseto_read()
 * would not read it, ERR_NOMEM. */
enum err_code paseto_sign(char **out, struct bytes payload, struct bytes footer,
			  struct bytes implicit, const uint8_t secret[static PASETO_SECRETBYTES]);

#endif
