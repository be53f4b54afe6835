#include "wire/grant.h"

#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/text.h"
#include "wire/grant_inside.h"
#include "wire/paseto.h"
#include "wire/shallow.h"

_Static_assert(GRANT_CHARS_MAX == PASETO_CHARS_MAX, "length of a grant");
_Static_assert(GRANT_KEYBYTES == PASETO_KEYBYTES, "public key");
_Static_assert(GRANT_SECRETBYTES == PASETO_SECRETBYTES, "secret key");

/* ---- one claim ---- */

/* U+0000 to U+001F, U+007F, and U+0080 to U+009F; jansson has looked at the UTF-8. */
static bool has_control(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static bool read_name(struct grant *g, void *field, const json_t *v)
{
	size_t n = json_string_length(v);

	(void)g;
	if (!json_is_string(v) || n == 0 || n > GRANT_NAME_MAX ||
	    has_control(json_string_value(v), n))
		return false;
	memcpy(field, json_string_value(v), n + 1);
	return true;
}

static bool read_time(struct grant *g, void *field, const json_t *v)
{
	(void)g;
	return json_is_string(v) &&
	       clock_parse_timestamp(json_string_value(v), json_string_length(v), field);
}

static bool read_number(uint64_t *out, const json_t *v, uint64_t least, uint64_t most)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return *out >= least && *out <= most;
}

static bool read_max(struct grant *g, void *field, const json_t *v)
{
	g->max_given = true;
	return read_number(field, v, 1, INT64_MAX);
}

static bool read_ttl(struct grant *g, void *field, const json_t *v)
{
	g->ttl_given = true;
	return read_number(field, v, 1, GRANT_TTL_MAX);
}

static bool read_recipients(struct grant *g, void *field, const json_t *v)
{
	uint64_t count;

	(void)field;
	if (!read_number(&count, v, 0, GRANT_RECIPIENTS_MAX))
		return false;
	g->recipients_given = true;
	g->recipients = (uint16_t)count;
	return true;
}

static bool read_kind(struct grant *g, void *field, const json_t *v)
{
	static const char *const kinds[] = { "photo", "video", "voice", "file" };

	(void)g;
	for (size_t i = 0; json_is_string(v) && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(json_string_value(v), kinds[i]) == 0) {
			memcpy(field, kinds[i], strlen(kinds[i]) + 1);
			return true;
		}
	}
	return false;
}

static bool read_digest(struct grant *g, void *field, const json_t *v)
{
	struct digest *d = field;
	size_t n;

	g->digest_given = true;
	return json_is_string(v) &&
	       hex_decode(d->b, sizeof(d->b), &n, json_string_value(v), json_string_length(v)) &&
	       n == sizeof(d->b);
}

static bool read_flag(struct grant *g, void *field, const json_t *v)
{
	(void)g;
	*(bool *)field = json_is_true(v);
	return json_is_boolean(v);
}

/* ---- all of them ---- */

#define CLAIM(name, member, how)                          \
	{                                                 \
		name, offsetof(struct grant, member), how \
	}
static const struct {
	const char *name;
	size_t at;
	bool (*read)(struct grant *g, void *field, const json_t *v);
} claims[] = {
	CLAIM("aud", aud, read_name),       CLAIM("exp", exp, read_time),
	CLAIM("nbf", nbf, read_time),       CLAIM("iat", iat, read_time),
	CLAIM("jti", jti, read_name),       CLAIM("max", max, read_max),
	CLAIM("ttl", ttl, read_ttl),        CLAIM("recipients", recipients, read_recipients),
	CLAIM("kind", kind, read_kind),     CLAIM("sha256", digest, read_digest),
	CLAIM("bucket", bucket, read_name), CLAIM("reuse", reuse, read_flag),
};

static enum err_code read_object(struct grant *g, const json_t *object, struct err *e)
{
	if (!json_is_object(object))
		return err_set(e, ERR_INVALID, "the grant's payload is no JSON object");
	if (json_object_get(object, "aud") == NULL || json_object_get(object, "exp") == NULL)
		return err_set(e, ERR_INVALID, "the grant has no aud or no exp");
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		const json_t *v = json_object_get(object, claims[i].name);

		if (v != NULL && !claims[i].read(g, (char *)g + claims[i].at, v))
			return err_set(e, ERR_INVALID, "the grant's %s is not well formed",
				       claims[i].name);
	}
	return ERR_OK;
}

enum err_code grant_read_claims(struct grant *g, struct bytes payload, struct err *e)
{
	json_t *object = shallow_read(payload);
	enum err_code rc = read_object(g, object, e);

	json_decref(object);
	return rc;
}

enum err_code grant_read_kid(char kid[static GRANT_NAME_MAX + 1], struct bytes footer)
{
	json_t *object = shallow_read(footer);
	bool read = read_name(NULL, kid, json_object_get(object, "kid"));

	json_decref(object);
	return read ? ERR_OK : ERR_INVALID;
}

enum err_code grant_kid(char kid[static GRANT_NAME_MAX + 1], const char *text, size_t n)
{
	struct paseto p;

	if (paseto_read(&p, text, n) != ERR_OK)
		return ERR_INVALID;
	return grant_read_kid(kid, paseto_footer(&p));
}

bool grant_is_for_one(const char *text, size_t n)
{
	struct grant g = { 0 };
	struct paseto p;

	return paseto_read(&p, text, n) == ERR_OK &&
	       grant_read_claims(&g, paseto_payload(&p), NULL) == ERR_OK && g.jti[0] != '\0';
}

/* ---- is it good ---- */

/* Of ASCII letters in either case; other letters have to be the same. strcasecmp() asks the locale.
 */
static bool same_name(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++) {
		unsigned char x = (unsigned char)*a, y = (unsigned char)*b;

		if (x >= 'A' && x <= 'Z')
			x = (unsigned char)(x + 'a' - 'A');
		if (y >= 'A' && y <= 'Z')
			y = (unsigned char)(y + 'a' - 'A');
		if (x != y)
			return false;
	}
	return *a == *b;
}

/* Times of a grant are before the year 10000: no sum here overflows. */
static enum err_code check_times(const struct grant *g, int64_t now, uint64_t leeway, struct err *e)
{
	int64_t slack = leeway > UINT32_MAX ? UINT32_MAX : (int64_t)leeway;

	if (now >= g->exp + slack)
		return err_set(e, ERR_EXPIRED, "the grant is over");
	if (now < g->nbf - slack)
		return err_set(e, ERR_EXPIRED, "the grant has not begun");
	return ERR_OK;
}

enum err_code grant_verify(struct grant *out, const char *text, size_t n,
			   const uint8_t key[static GRANT_KEYBYTES], const char *name, int64_t now,
			   uint64_t leeway, struct err *e)
{
	struct grant g = { 0 };
	struct paseto p;
	enum err_code rc;

	if (paseto_read(&p, text, n) != ERR_OK)
		return err_set(e, ERR_FORGED, "it is no v4.public token");
	if (paseto_verify(&p, (struct bytes){ 0 }, key) != ERR_OK)
		return err_set(e, ERR_FORGED, "the grant's signature is not the key's");
	if (grant_read_kid(g.kid, paseto_footer(&p)) != ERR_OK)
		return err_set(e, ERR_INVALID, "the grant's footer has no kid");
	rc = grant_read_claims(&g, paseto_payload(&p), e);
	if (rc != ERR_OK)
		return rc;
	if (!same_name(g.aud, name))
		return err_set(e, ERR_NOTFOUND, "the grant is for another server");
	rc = check_times(&g, now, leeway, e);
	if (rc == ERR_OK)
		*out = g;
	return rc;
}
