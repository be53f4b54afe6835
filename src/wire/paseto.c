#include "wire/paseto.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"

#define HEADER "v4.public."
#define HEADER_LEN (sizeof(HEADER) - 1)
#define PIECES 4

_Static_assert(PASETO_SIGNATUREBYTES == crypto_sign_BYTES, "signature");
_Static_assert(PASETO_KEYBYTES == crypto_sign_PUBLICKEYBYTES, "public key");
_Static_assert(PASETO_SECRETBYTES == crypto_sign_SECRETKEYBYTES, "secret key");

/* ---- what is signed ---- */

/* The pieces of a message, each behind its length, behind their number: "pre-authentication
 * encoding". */
struct pae {
	size_t len;
	uint8_t b[8 + PIECES * 8 + HEADER_LEN + PASETO_BODY_MAX + PASETO_FOOTER_MAX +
		  PASETO_IMPLICIT_MAX];
};

/* Lengths are little-endian; the highest bit of 64 is never set. */
static void put_length(struct pae *m, uint64_t n)
{
	for (unsigned shift = 0; shift < 64; shift += 8)
		m->b[m->len++] = (uint8_t)(n >> shift);
}

static void put_piece(struct pae *m, struct bytes piece)
{
	put_length(m, piece.len);
	assert(piece.len <= sizeof(m->b) - m->len);
	if (piece.len > 0)
		memcpy(m->b + m->len, piece.data, piece.len);
	m->len += piece.len;
}

static void pae_make(struct pae *m, struct bytes payload, struct bytes footer,
		     struct bytes implicit)
{
	m->len = 0;
	put_length(m, PIECES);
	put_piece(m, BYTES(HEADER));
	put_piece(m, payload);
	put_piece(m, footer);
	put_piece(m, implicit);
}

/* ---- reading ---- */

static bool read_footer(struct paseto *p, const char *text, size_t n)
{
	return n > 0 && base64url_decode(p->footer, sizeof(p->footer), &p->footer_len, text, n);
}

enum err_code paseto_read(struct paseto *out, const char *text, size_t n)
{
	const char *body = text + HEADER_LEN, *dot;
	size_t left;

	if (n > PASETO_CHARS_MAX || n < HEADER_LEN || memcmp(text, HEADER, HEADER_LEN) != 0)
		return ERR_INVALID;
	left = n - HEADER_LEN;
	dot = memchr(body, '.', left);
	out->footer_len = 0;
	if (dot != NULL) {
		size_t before = (size_t)(dot - body);

		if (!read_footer(out, dot + 1, left - before - 1))
			return ERR_INVALID;
		left = before;
	}
	if (!base64url_decode(out->body, sizeof(out->body), &out->body_len, body, left) ||
	    out->body_len < PASETO_SIGNATUREBYTES)
		return ERR_INVALID;
	return ERR_OK;
}

struct bytes paseto_payload(const struct paseto *p)
{
	return (struct bytes){ p->body, p->body_len - PASETO_SIGNATUREBYTES };
}

struct bytes paseto_footer(const struct paseto *p)
{
	return (struct bytes){ p->footer, p->footer_len };
}

enum err_code paseto_verify(const struct paseto *p, struct bytes implicit,
			    const uint8_t key[static PASETO_KEYBYTES])
{
	struct bytes payload = paseto_payload(p);
	struct pae m;

	if (implicit.len > PASETO_IMPLICIT_MAX)
		return ERR_FORGED; /* we signed none such */
	pae_make(&m, payload, paseto_footer(p), implicit);
	if (crypto_sign_verify_detached(payload.data + payload.len, m.b, m.len, key) != 0)
		return ERR_FORGED;
	return ERR_OK;
}

/* ---- signing ---- */

static size_t chars_of(size_t payload, size_t footer)
{
	size_t n = HEADER_LEN + BASE64URL_LEN(payload + PASETO_SIGNATUREBYTES);

	return footer > 0 ? n + 1 + BASE64URL_LEN(footer) : n;
}

/* The length first, so that the sum of both cannot overflow. */
static bool too_big(struct bytes payload, struct bytes footer, struct bytes implicit)
{
	return payload.len > PASETO_BODY_MAX - PASETO_SIGNATUREBYTES ||
	       footer.len > PASETO_FOOTER_MAX || implicit.len > PASETO_IMPLICIT_MAX ||
	       chars_of(payload.len, footer.len) > PASETO_CHARS_MAX;
}

static void write_text(char *out, const uint8_t *body, size_t len, struct bytes footer)
{
	memcpy(out, HEADER, HEADER_LEN);
	out += HEADER_LEN;
	base64url_encode(out, body, len);
	if (footer.len == 0)
		return;
	out += BASE64URL_LEN(len);
	*out++ = '.';
	base64url_encode(out, footer.data, footer.len);
}

enum err_code paseto_sign(char **out, struct bytes payload, struct bytes footer,
			  struct bytes implicit, const uint8_t secret[static PASETO_SECRETBYTES])
{
	uint8_t body[PASETO_BODY_MAX];
	struct pae m;
	char *text;
	int rc;

	if (too_big(payload, footer, implicit))
		return ERR_TOOBIG;
	text = malloc(chars_of(payload.len, footer.len) + 1);
	if (text == NULL)
		return ERR_NOMEM;
	pae_make(&m, payload, footer, implicit);
	if (payload.len > 0)
		memcpy(body, payload.data, payload.len);
	rc = crypto_sign_detached(body + payload.len, NULL, m.b, m.len, secret);
	assert(rc == 0);
	write_text(text, body, payload.len + PASETO_SIGNATUREBYTES, footer);
	*out = text;
	return ERR_OK;
}
