#include "wire/digest_header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "wire/cursor.h"

#define NAME "sha-256"
#define BASE64_CHARS BASE64_LEN(sizeof(struct digest))

_Static_assert(DIGEST_HEADER_SIZE == sizeof(NAME "=::") + BASE64_CHARS, "length of the header");

/* What follows reads structured fields by the algorithms of RFC 9651 section 4.2, whose numbers
 * stand at the functions. Each take_* moves the cursor behind what it took; after a false the
 * whole field is given up, so where the cursor stands then does not matter. */
struct view {
	const char *p;
	size_t n;
};

static bool peek(const struct cursor *c, char want)
{
	return c->p < c->end && *c->p == want;
}

static void skip(struct cursor *c, const char *chars)
{
	while (c->p < c->end && *c->p != '\0' && strchr(chars, *c->p) != NULL)
		c->p++;
}

/* ---- characters -------------------------------------------------------------------------------
 */

typedef bool charset(char c);

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *chars)
{
	return c != '\0' && strchr(chars, c) != NULL;
}

static bool is_key_char(char c)
{
	return is_lower(c) || is_digit(c) || is_one_of(c, "_-.*");
}

/* tchar of RFC 9110, and what section 3.3.4 adds. */
static bool is_token_char(char c)
{
	return is_alpha(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~:/");
}

static bool is_base64_char(char c)
{
	return is_alpha(c) || is_digit(c) || is_one_of(c, "+/=");
}

static bool is_printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* The run of such characters, possibly empty. */
static struct view take_run(struct cursor *c, charset *belongs)
{
	struct view run = { c->p, 0 };

	while (c->p < c->end && belongs(*c->p))
		c->p++;
	run.n = (size_t)(c->p - run.p);
	return run;
}

/* ---- bare items (4.2.3.1) ---------------------------------------------------------------------
 */

/* 4.2.4: 15 digits, or 12 and up to 3 behind a point. */
static bool take_number(struct cursor *c, bool allow_decimal)
{
	size_t whole, part;

	(void)cursor_take(c, '-');
	whole = take_run(c, is_digit).n;
	if (whole == 0 || whole > 15)
		return false;
	if (!allow_decimal || !cursor_take(c, '.'))
		return true;
	part = take_run(c, is_digit).n;
	return whole <= 12 && part >= 1 && part <= 3;
}

/* 4.2.5, behind the opening quote. */
static bool take_string(struct cursor *c)
{
	while (c->p < c->end && is_printable(*c->p)) {
		if (cursor_take(c, '"'))
			return true;
		if (cursor_take(c, '\\') && !peek(c, '"') && !peek(c, '\\'))
			return false;
		c->p++;
	}
	return false;
}

/* 4.2.7, behind the opening colon. */
static bool take_byte_sequence(struct cursor *c, struct view *content)
{
	*content = take_run(c, is_base64_char);
	return cursor_take(c, ':');
}

/* RFC 3629, byte by byte: how many more belong to this character, and what the next may be. */
struct utf8 {
	int left;
	uint8_t low, high;
};

static bool utf8_lead(struct utf8 *u, uint8_t b)
{
	u->left = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
	/* No overlong forms, no surrogates, nothing past U+10FFFF. */
	u->low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
	u->high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
	return b < 0x80 || (b >= 0xc2 && b <= 0xf4);
}

static bool utf8_step(struct utf8 *u, uint8_t b)
{
	if (u->left == 0)
		return utf8_lead(u, b);
	if (b < u->low || b > u->high)
		return false;
	u->low = 0x80;
	u->high = 0xbf;
	u->left--;
	return true;
}

/* "%" and two digits, which have to be lower case. */
static bool take_escaped(struct cursor *c, uint8_t *out)
{
	size_t len;

	if (c->end - c->p < 2 || is_one_of(c->p[0], "ABCDEF") || is_one_of(c->p[1], "ABCDEF") ||
	    !hex_decode(out, 1, &len, c->p, 2))
		return false;
	c->p += 2;
	return true;
}

/* 4.2.10, behind the percent sign: UTF-8 in a quoted string of ASCII. */
static bool take_display_string(struct cursor *c)
{
	struct utf8 u = { 0, 0, 0 };

	if (!cursor_take(c, '"'))
		return false;
	while (c->p < c->end && is_printable(*c->p)) {
		uint8_t b = (uint8_t)*c->p++;

		if (b == '"')
			return u.left == 0;
		if ((b == '%' && !take_escaped(c, &b)) || !utf8_step(&u, b))
			return false;
	}
	return false;
}

/* Any value that is no list; *bytes is the content of a byte sequence, of others NULL. */
static bool take_bare_item(struct cursor *c, struct view *bytes)
{
	*bytes = (struct view){ NULL, 0 };
	if (cursor_take(c, ':'))
		return take_byte_sequence(c, bytes);
	if (cursor_take(c, '"'))
		return take_string(c);
	if (cursor_take(c, '?'))
		return cursor_take(c, '0') || cursor_take(c, '1');
	if (cursor_take(c, '@'))
		return take_number(c, false);
	if (cursor_take(c, '%'))
		return take_display_string(c);
	if (c->p < c->end && (is_alpha(*c->p) || *c->p == '*'))
		return take_run(c, is_token_char).n > 0;
	return take_number(c, true);
}

/* ---- dictionary -------------------------------------------------------------------------------
 */

/* 4.2.3.3 */
static bool take_key(struct cursor *c, struct view *key)
{
	if (c->p == c->end || !(is_lower(*c->p) || *c->p == '*'))
		return false;
	*key = take_run(c, is_key_char);
	return true;
}

/* 4.2.3.2 */
static bool take_parameters(struct cursor *c)
{
	struct view ignored;

	while (cursor_take(c, ';')) {
		skip(c, " ");
		if (!take_key(c, &ignored) || (cursor_take(c, '=') && !take_bare_item(c, &ignored)))
			return false;
	}
	return true;
}

/* 4.2.1.2, behind the opening parenthesis. */
static bool take_inner_list(struct cursor *c)
{
	struct view ignored;

	for (;;) {
		skip(c, " ");
		if (cursor_take(c, ')'))
			return true;
		if (!take_bare_item(c, &ignored) || !take_parameters(c))
			return false;
		if (!peek(c, ' ') && !peek(c, ')'))
			return false;
	}
}

/* A value, or nothing, which stands for true; then its parameters. */
static bool take_member(struct cursor *c, struct view *key, struct view *bytes)
{
	*bytes = (struct view){ NULL, 0 };
	if (!take_key(c, key))
		return false;
	if (cursor_take(c, '=') &&
	    !(cursor_take(c, '(') ? take_inner_list(c) : take_bare_item(c, bytes)))
		return false;
	return take_parameters(c);
}

/* 4.2.7 asks that missing padding be forgiven: it is put back before our strict decoder looks. */
static bool read_digest(struct digest *out, struct view bytes)
{
	char padded[BASE64_CHARS];
	size_t len;

	if (bytes.p == NULL || bytes.n < BASE64_CHARS - 1 || bytes.n > BASE64_CHARS)
		return false;
	padded[BASE64_CHARS - 1] = '=';
	memcpy(padded, bytes.p, bytes.n);
	return base64_decode(out->b, sizeof(out->b), &len, padded, sizeof(padded)) &&
	       len == sizeof(out->b);
}

/* OWS "," OWS between members (4.2.2); *more says whether another has to follow. */
static bool take_separator(struct cursor *c, bool *more)
{
	skip(c, " \t");
	*more = cursor_take(c, ',');
	skip(c, " \t");
	return *more || c->p == c->end;
}

enum digest_header_result digest_header_parse(struct digest *out, const char *text, size_t n)
{
	enum digest_header_result result = DIGEST_HEADER_NONE;
	struct cursor c = { text, text + n };
	struct digest found = { { 0 } };
	bool more;

	skip(&c, " ");
	more = c.p < c.end; /* nothing at all is an empty dictionary */
	while (more) {
		struct view key, bytes;

		if (!take_member(&c, &key, &bytes) || !take_separator(&c, &more))
			return DIGEST_HEADER_BAD;
		if (key.n == sizeof(NAME) - 1 && memcmp(key.p, NAME, key.n) == 0)
			result = read_digest(&found, bytes) ? DIGEST_HEADER_FOUND
							    : DIGEST_HEADER_BAD;
	}
	if (result == DIGEST_HEADER_FOUND)
		*out = found;
	return result;
}

void digest_header_format(char out[static DIGEST_HEADER_SIZE], const struct digest *d)
{
	static const char start[] = NAME "=:";
	size_t at = sizeof(start) - 1;

	memcpy(out, start, at);
	base64_encode(out + at, d->b, sizeof(d->b));
	memcpy(out + at + BASE64_CHARS, ":", sizeof(":"));
}
