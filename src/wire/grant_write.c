#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/text.h"
#include "wire/grant_inside.h"
#include "wire/paserk.h"
#include "wire/paseto.h"

/* ---- claims as JSON; jansson's setters take the new value, and fail if there is none ---- */

static bool put_text(json_t *o, const char *name, const char *text)
{
	return text[0] == '\0' || json_object_set_new(o, name, json_string(text)) == 0;
}

static bool put_time(json_t *o, const char *name, int64_t unix_s)
{
	char text[CLOCK_RFC3339_SIZE];

	if (unix_s == 0)
		return true;
	clock_rfc3339(text, unix_s);
	return put_text(o, name, text);
}

static bool put_number(json_t *o, const char *name, bool given, uint64_t n)
{
	if (!given)
		return true;
	return n <= INT64_MAX && json_object_set_new(o, name, json_integer((json_int_t)n)) == 0;
}

static bool put_digest(json_t *o, const char *name, bool given, const struct digest *d)
{
	char text[HEX_LEN(sizeof(d->b)) + 1];

	hex_encode(text, d->b, sizeof(d->b));
	return !given || put_text(o, name, text);
}

static bool put_flag(json_t *o, const char *name, bool flag)
{
	return !flag || json_object_set_new(o, name, json_true()) == 0;
}

static bool put_claims(json_t *o, const struct grant *g)
{
	return put_text(o, "aud", g->aud) && put_time(o, "exp", g->exp) &&
	       put_time(o, "nbf", g->nbf) && put_time(o, "iat", g->iat) &&
	       put_text(o, "jti", g->jti) && put_number(o, "max", g->max_given, g->max) &&
	       put_number(o, "ttl", g->ttl_given, g->ttl) &&
	       put_number(o, "recipients", g->recipients_given, g->recipients) &&
	       put_text(o, "kind", g->kind) &&
	       put_digest(o, "sha256", g->digest_given, &g->digest) &&
	       put_text(o, "bucket", g->bucket) && put_flag(o, "reuse", g->reuse);
}

/* The caller's, malloc'd; NULL if a text is no UTF-8 (or memory is out). */
static char *claims_text(const struct grant *g)
{
	json_t *o = json_object();
	char *text = NULL;

	if (o != NULL && put_claims(o, g))
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static char *footer_text(const struct grant *g, const uint8_t *key)
{
	char pid[PASERK_PID_SIZE];
	json_t *o = json_object();
	char *text = NULL;

	paserk_pid(pid, key);
	if (o != NULL && put_text(o, "kid", g->kid[0] != '\0' ? g->kid : pid))
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

/* Times are written clamped to the years that there are; read again they are then others. */
static enum err_code read_again(const struct grant *g, const char *claims, const char *footer,
				struct err *e)
{
	struct grant again = { 0 };
	enum err_code rc = grant_read_claims(&again, bytes_of(claims), e);

	if (rc != ERR_OK)
		return rc;
	if (again.exp != g->exp || again.nbf != g->nbf || again.iat != g->iat)
		return err_set(e, ERR_INVALID, "a time of the grant is out of range");
	if (grant_read_kid(again.kid, bytes_of(footer)) != ERR_OK)
		return err_set(e, ERR_INVALID, "the grant's kid is not well formed");
	return ERR_OK;
}

enum err_code grant_sign(char **out, const struct grant *g,
			 const uint8_t secret[static GRANT_SECRETBYTES], struct err *e)
{
	char *claims = claims_text(g), *footer = footer_text(g, secret + GRANT_SECRETBYTES / 2);
	enum err_code rc;

	if (claims == NULL || footer == NULL) {
		rc = err_set(e, ERR_INVALID, "a text of the grant is no UTF-8");
		goto out;
	}
	rc = read_again(g, claims, footer, e);
	if (rc != ERR_OK)
		goto out;
	rc = paseto_sign(out, bytes_of(claims), bytes_of(footer), (struct bytes){ 0 }, secret);
	if (rc != ERR_OK)
		err_set(e, rc, "signing: %s", err_text(rc));
out:
	free(claims);
	free(footer);
	return rc;
}
