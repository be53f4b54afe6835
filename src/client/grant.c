#include "restante/grant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "client/address.h"
#include "client/fail.h"
#include "wire/grant.h"
#include "wire/paserk.h"

_Static_assert(RESTANTE_GRANT_SIZE == GRANT_CHARS_MAX + 1, "the longest grant");
_Static_assert(RESTANTE_GRANT_SECRET_SIZE == PASERK_SECRET_SIZE, "secret key");
_Static_assert(RESTANTE_GRANT_PUBLIC_SIZE == PASERK_PUBLIC_SIZE, "public key");
_Static_assert(RESTANTE_GRANT_KID_SIZE == PASERK_PID_SIZE, "id of a key");
_Static_assert(RESTANTE_GRANT_NAME_MAX == GRANT_NAME_MAX, "texts");

#define ONCE_BYTES 16 /* of a random id */

struct restante_grant {
	struct grant says;
};

static enum restante_code misuse(struct restante_error *e)
{
	return fail(e, RESTANTE_MISUSE, "a grant, a text or room for one is missing");
}

static enum restante_code no_random(struct restante_error *e)
{
	return fail(e, RESTANTE_NOMEM, "the system gives no random bytes");
}

/* ---- keys ---- */

enum restante_code restante_grant_keygen(char secret[RESTANTE_GRANT_SECRET_SIZE],
					 struct restante_error *error)
{
	uint8_t key[GRANT_KEYBYTES], raw[GRANT_SECRETBYTES];

	if (secret == NULL)
		return misuse(error);
	if (sodium_init() < 0)
		return no_random(error);
	crypto_sign_keypair(key, raw);
	paserk_secret(secret, raw);
	sodium_memzero(raw, sizeof(raw));
	return RESTANTE_OK;
}

/* On RESTANTE_OK the caller wipes it. */
static enum restante_code read_secret(uint8_t raw[static GRANT_SECRETBYTES], const char *text,
				      struct restante_error *e)
{
	if (sodium_init() < 0)
		return no_random(e);
	if (!paserk_read_secret(raw, text, strnlen(text, PASERK_SECRET_SIZE)))
		return fail(e, RESTANTE_INVALID, "this is no secret key (k4.secret....)");
	return RESTANTE_OK;
}

enum restante_code restante_grant_public(char public_key[RESTANTE_GRANT_PUBLIC_SIZE],
					 char kid[RESTANTE_GRANT_KID_SIZE], const char *secret,
					 struct restante_error *error)
{
	uint8_t raw[GRANT_SECRETBYTES];
	enum restante_code rc;

	if (secret == NULL)
		return misuse(error);
	rc = read_secret(raw, secret, error);
	if (rc != RESTANTE_OK)
		return rc;
	if (public_key != NULL)
		paserk_public(public_key, raw + GRANT_SECRETBYTES - GRANT_KEYBYTES);
	if (kid != NULL)
		paserk_pid(kid, raw + GRANT_SECRETBYTES - GRANT_KEYBYTES);
	sodium_memzero(raw, sizeof(raw));
	return RESTANTE_OK;
}

/* ---- what it says ---- */

static enum restante_code put_name(char out[static GRANT_NAME_MAX + 1], const char *value,
				   struct restante_error *e)
{
	const size_t n = strnlen(value, GRANT_NAME_MAX + 1);

	if (n == 0 || n > GRANT_NAME_MAX)
		return fail(e, RESTANTE_INVALID, "a text of a grant has 1 to %d bytes",
			    GRANT_NAME_MAX);
	memcpy(out, value, n + 1);
	return RESTANTE_OK;
}

static enum restante_code put_kind(struct grant *g, const char *value, struct restante_error *e)
{
	if (strcmp(value, "photo") != 0 && strcmp(value, "video") != 0 &&
	    strcmp(value, "voice") != 0 && strcmp(value, "file") != 0)
		return fail(e, RESTANTE_INVALID, "a kind is photo, video, voice or file");
	(void)snprintf(g->kind, sizeof(g->kind), "%s", value);
	return RESTANTE_OK;
}

static enum restante_code put_digest(struct grant *g, const char *value, struct restante_error *e)
{
	struct digest d = { 0 };
	size_t n;

	if (!hex_decode(d.b, sizeof(d.b), &n, value, strnlen(value, HEX_LEN(sizeof(d.b)) + 1)) ||
	    n != sizeof(d.b))
		return fail(e, RESTANTE_INVALID, "a SHA-256 has 64 hexadecimal digits");
	g->digest = d;
	g->digest_given = true;
	return RESTANTE_OK;
}

enum restante_code restante_grant_new(struct restante_grant **out, const char *audience,
				      uint64_t expires_at, struct restante_error *error)
{
	struct restante_grant *grant;
	enum restante_code rc;

	if (out == NULL || audience == NULL)
		return misuse(error);
	if (expires_at == 0 || expires_at > INT64_MAX)
		return fail(error, RESTANTE_INVALID, "a grant ends at a time");
	grant = calloc(1, sizeof(*grant));
	if (grant == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	grant->says.exp = (int64_t)expires_at;
	rc = put_name(grant->says.aud, audience, error);
	if (rc == RESTANTE_OK)
		*out = grant;
	else
		free(grant);
	return rc;
}

void restante_grant_free(struct restante_grant *grant)
{
	free(grant);
}

enum restante_code restante_grant_set_text(struct restante_grant *grant,
					   enum restante_grant_text field, const char *value,
					   struct restante_error *error)
{
	if (grant == NULL || value == NULL)
		return misuse(error);
	switch (field) {
	case RESTANTE_GRANT_KID:
		return put_name(grant->says.kid, value, error);
	case RESTANTE_GRANT_ID:
		return put_name(grant->says.jti, value, error);
	case RESTANTE_GRANT_KIND:
		return put_kind(&grant->says, value, error);
	case RESTANTE_GRANT_SHA256:
		return put_digest(&grant->says, value, error);
	case RESTANTE_GRANT_BUCKET:
		return put_name(grant->says.bucket, value, error);
	case RESTANTE_GRANT_TEXT_COUNT:
		break;
	}
	return fail(error, RESTANTE_MISUSE, "there is no such text in a grant");
}

static const struct {
	const char *name;
	uint64_t least, most;
} numbers[RESTANTE_GRANT_NUMBER_COUNT] = {
	[RESTANTE_GRANT_MAX] = { "max", 1, INT64_MAX },
	[RESTANTE_GRANT_TTL] = { "ttl", 1, GRANT_TTL_MAX },
	[RESTANTE_GRANT_RECIPIENTS] = { "recipients", 0, GRANT_RECIPIENTS_MAX },
	[RESTANTE_GRANT_NOT_BEFORE] = { "nbf", 1, INT64_MAX },
	[RESTANTE_GRANT_ISSUED_AT] = { "iat", 1, INT64_MAX },
	[RESTANTE_GRANT_REUSE] = { "reuse", 0, 1 },
};

static void put_number(struct grant *g, enum restante_grant_number field, uint64_t value)
{
	switch (field) {
	case RESTANTE_GRANT_MAX:
		g->max_given = true;
		g->max = value;
		break;
	case RESTANTE_GRANT_TTL:
		g->ttl_given = true;
		g->ttl = value;
		break;
	case RESTANTE_GRANT_RECIPIENTS:
		g->recipients_given = true;
		g->recipients = (uint16_t)value;
		break;
	case RESTANTE_GRANT_NOT_BEFORE:
		g->nbf = (int64_t)value;
		break;
	case RESTANTE_GRANT_ISSUED_AT:
		g->iat = (int64_t)value;
		break;
	default: /* RESTANTE_GRANT_REUSE */
		g->reuse = value == 1;
		break;
	}
}

enum restante_code restante_grant_set_number(struct restante_grant *grant,
					     enum restante_grant_number field, uint64_t value,
					     struct restante_error *error)
{
	if (grant == NULL)
		return misuse(error);
	if ((unsigned)field >= RESTANTE_GRANT_NUMBER_COUNT)
		return fail(error, RESTANTE_MISUSE, "there is no such number in a grant");
	if (value < numbers[field].least || value > numbers[field].most)
		return fail(error, RESTANTE_INVALID, "the grant's %s is out of range",
			    numbers[field].name);
	put_number(&grant->says, field, value);
	return RESTANTE_OK;
}

enum restante_code restante_grant_set_once(struct restante_grant *grant,
					   struct restante_error *error)
{
	uint8_t id[ONCE_BYTES];

	if (grant == NULL)
		return misuse(error);
	if (sodium_init() < 0)
		return no_random(error);
	randombytes_buf(id, sizeof(id));
	base64url_encode(grant->says.jti, id, sizeof(id));
	return RESTANTE_OK;
}

/* ---- signing ---- */

enum restante_code restante_grant_sign(char out[RESTANTE_GRANT_SIZE],
				       const struct restante_grant *grant, const char *secret,
				       struct restante_error *error)
{
	uint8_t raw[GRANT_SECRETBYTES];
	struct err why = { 0 };
	enum restante_code rc;
	enum err_code signing;
	char *text = NULL;

	if (out == NULL || grant == NULL || secret == NULL)
		return misuse(error);
	rc = read_secret(raw, secret, error);
	if (rc != RESTANTE_OK)
		return rc;
	signing = grant_sign(&text, &grant->says, raw, &why);
	sodium_memzero(raw, sizeof(raw));
	if (signing == ERR_NOMEM)
		return fail_plain(error, RESTANTE_NOMEM);
	if (signing != ERR_OK)
		return fail(error, RESTANTE_INVALID, "%s", why.why);
	memcpy(out, text, strlen(text) + 1); /* never longer than GRANT_CHARS_MAX */
	sodium_memzero(text, strlen(text));
	free(text);
	return RESTANTE_OK;
}

/* ---- the server's name ---- */

enum restante_code restante_grant_audience(char *out, const char *server,
					   struct restante_error *error)
{
	struct address a = { 0 };
	enum restante_code rc;

	if (out == NULL || server == NULL)
		return misuse(error);
	rc = address_init(&a, server, error);
	if (rc != RESTANTE_OK)
		return rc;
	*strrchr(a.host, ':') = '\0'; /* there is a port always */
	rc = put_name(out, a.loopback ? "localhost" : a.host, error);
	address_fini(&a);
	return rc;
}
