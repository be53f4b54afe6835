#include "wire/sf_read.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

static bool peek(const struct cursor *c, char want)
{
	return c->p < c->end && *c->p == want;
}

void sf_read_skip(struct cursor *c, const char *chars)
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
static struct sf_view take_run(struct cursor *c, charset *belongs)
{
	struct sf_view run = { c->p, 0 };

	while (c->p < c->end && belongs(*c->p))
		c->p++;
	run.n = (size_t)(c->p - run.p);
	return run;
}

/* ---- bare items (4.2.3.1) ---------------------------------------------------------------------
 */

/* 4.2.4: 15 digits, or 12 and up to 3 behind a point. */
static bool take_number(struct cursor *c, struct sf_item *item)
{
	const char *start = c->p;
	size_t whole, part;

	(void)cursor_take(c, '-');
	whole = take_run(c, is_digit).n;
	if (whole == 0 || whole > 15)
		return false;
	if (!cursor_take(c, '.')) {
		*item = (struct sf_item){ SF_INTEGER, { start, (size_t)(c->p - start) } };
		return true;
	}
	part = take_run(c, is_digit).n;
	return whole <= 12 && part >= 1 && part <= 3;
}

/* 4.2.9, behind the at sign. */
static bool take_date(struct cursor *c)
{
	struct sf_item number = { SF_OTHER, { NULL, 0 } };

	return take_number(c, &number) && number.type == SF_INTEGER;
}

/* 4.2.8, behind the question mark. */
static bool take_boolean(struct cursor *c, struct sf_item *item)
{
	*item = (struct sf_item){ SF_BOOLEAN, { c->p, 1 } };
	return cursor_take(c, '0') || cursor_take(c, '1');
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
static bool take_byte_sequence(struct cursor *c, struct sf_item *item)
{
	*item = (struct sf_item){ SF_BYTES, take_run(c, is_base64_char) };
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

bool sf_read_bare_item(struct cursor *c, struct sf_item *item)
{
	*item = (struct sf_item){ SF_OTHER, { NULL, 0 } };
	if (cursor_take(c, ':'))
		return take_byte_sequence(c, item);
	if (cursor_take(c, '"'))
		return take_string(c);
	if (cursor_take(c, '?'))
		return take_boolean(c, item);
	if (cursor_take(c, '@'))
		return take_date(c);
	if (cursor_take(c, '%'))
		return take_display_string(c);
	if (c->p < c->end && (is_alpha(*c->p) || *c->p == '*'))
		return take_run(c, is_token_char).n > 0;
	return take_number(c, item);
}

/* ---- around items -----------------------------------------------------------------------------
 */

bool sf_read_key(struct cursor *c, struct sf_view *key)
{
	if (c->p == c->end || !(is_lower(*c->p) || *c->p == '*'))
		return false;
	*key = take_run(c, is_key_char);
	return true;
}

bool sf_read_parameters(struct cursor *c)
{
	struct sf_view key;
	struct sf_item value;

	while (cursor_take(c, ';')) {
		sf_read_skip(c, " ");
		if (!sf_read_key(c, &key) || (cursor_take(c, '=') && !sf_read_bare_item(c, &value)))
			return false;
	}
	return true;
}
