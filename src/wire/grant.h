/* grant - permission to create uploads, minted by a chat backend (DESIGN, "Tokens and grants";
 * doc/integration.md). A PASETO v4.public token: claims in JSON, signed with Ed25519, and a footer
 * {"kid":"..."} that says with which key.
 *
 * Reading is strict: what is known and of another type or out of its range, a member twice, an
 * object deeper than anyone needs, is refused; a claim nobody knows is passed over. Pure functions;
 * any thread, after sodium_init(). */
#ifndef RESTANTE_WIRE_GRANT_H
#define RESTANTE_WIRE_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"

#define GRANT_KEYBYTES 32    /* a public key */
#define GRANT_SECRETBYTES 64 /* a secret key, as libsodium has it: seed, public key */
#define GRANT_CHARS_MAX 4096 /* of the whole token */
#define GRANT_NAME_MAX 128   /* bytes of aud, jti, kid and bucket */
#define GRANT_RECIPIENTS_MAX 1024
#define GRANT_TTL_MAX UINT32_MAX /* seconds */

/* Texts are NUL-terminated UTF-8 without control characters, "" where the claim is absent. Times
 * are Unix seconds, from 1970 to 9999; a fraction is dropped. */
struct grant {
	char kid[GRANT_NAME_MAX + 1]; /* of the footer */
	char aud[GRANT_NAME_MAX + 1]; /* the server's name. Required */
	char jti[GRANT_NAME_MAX + 1]; /* makes it a grant for one upload */
	char bucket[GRANT_NAME_MAX + 1];
	int64_t exp;      /* Required */
	int64_t nbf, iat; /* 0: absent */
	bool max_given;
	uint64_t max; /* bytes of the upload: 1 to INT64_MAX */
	bool ttl_given;
	uint64_t ttl; /* seconds, upper bound: 1 to GRANT_TTL_MAX */
	bool recipients_given;
	uint16_t recipients; /* 0 to GRANT_RECIPIENTS_MAX */
	char kind[16];       /* "" or photo, video, voice, file */
	bool digest_given;
	struct digest digest; /* the claim sha256, 64 hexadecimal digits */
	bool reuse;
};

/* The key id of the footer, believing it: it picks the key with which grant_verify() then looks at
 * the signature. ERR_INVALID if text[0..n) is no v4.public token, or names no key. */
enum err_code grant_kid(char kid[static GRANT_NAME_MAX + 1], const char *text, size_t n);

/* Verifies text[0..n) with the key, then reads its claims, compares aud with `name` (ASCII letters
 * in either case) and exp and nbf with now: from nbf - leeway until before exp + leeway it is good.
 * ERR_FORGED (signature, or no such token by its form), ERR_INVALID (claims not well formed),
 * ERR_NOTFOUND (for another audience), ERR_EXPIRED (over, or not yet begun), ERR_NOMEM.
 * *out is written on ERR_OK only. */
enum err_code grant_verify(struct grant *out, const char *text, size_t n,
			   const uint8_t key[static GRANT_KEYBYTES], const char *name, int64_t now,
			   uint64_t leeway, struct err *e);

/* Whether it is a grant for one upload (it has a jti), believing it: for who holds a grant and has
 * no key. False also of what is no grant. */
bool grant_is_for_one(const char *text, size_t n);

/* Signs. Without a kid it is the PASERK id (k4.pid) of the secret's public key. The claims stand in
 * the order aud, exp, nbf, iat, jti, max, ttl, recipients, kind, sha256, bucket, reuse, without
 * white space, times as 2026-12-21T10:00:00Z: the same grant and secret give the same token.
 * *out is malloc'd. ERR_INVALID if grant_verify() would not read it, ERR_NOMEM. */
enum err_code grant_sign(char **out, const struct grant *g,
			 const uint8_t secret[static GRANT_SECRETBYTES], struct err *e);

#endif
