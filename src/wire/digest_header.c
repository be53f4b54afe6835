#include "wire/digest_header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "wire/sf_read.h"

#define NAME "sha-256"
#define BASE64_CHARS BASE64_LEN(sizeof(struct digest))

_Static_assert(DIGEST_HEADER_SIZE == sizeof(NAME "=::") + BASE64_CHARS, "length of the header");

/* 4.2.1.2 of RFC 9651, as the numbers below, and behind the opening parenthesis. */
static bool take_inner_list(struct cursor *c)
{
	struct sf_item ignored;

	for (;;) {
		sf_read_skip(c, " ");
		if (cursor_take(c, ')'))
			return true;
		if (!sf_read_bare_item(c, &ignored) || !sf_read_parameters(c))
			return false;
		if (c->p == c->end || (*c->p != ' ' && *c->p != ')'))
			return false;
	}
}

/* A value, or nothing, which stands for true; then its parameters. Lists are passed over. */
static bool take_member(struct cursor *c, struct sf_view *key, struct sf_item *value)
{
	*value = (struct sf_item){ SF_OTHER, { NULL, 0 } };
	if (!sf_read_key(c, key))
		return false;
	if (cursor_take(c, '=') &&
	    !(cursor_take(c, '(') ? take_inner_list(c) : sf_read_bare_item(c, value)))
		return false;
	return sf_read_parameters(c);
}

/* 4.2.7 asks that missing padding be forgiven: it is put back before our strict decoder looks. */
static bool read_digest(struct digest *out, const struct sf_item *value)
{
	const struct sf_view *text = &value->text;
	char padded[BASE64_CHARS];
	size_t len;

	if (value->type != SF_BYTES || text->n < BASE64_CHARS - 1 || text->n > BASE64_CHARS)
		return false;
	padded[BASE64_CHARS - 1] = '=';
	memcpy(padded, text->p, text->n);
	return base64_decode(out->b, sizeof(out->b), &len, padded, sizeof(padded)) &&
	       len == sizeof(out->b);
}

/* OWS "," OWS between members (4.2.2); *more says whether another has to follow. */
static bool take_separator(struct cursor *c, bool *more)
{
	sf_read_skip(c, " \t");
	*more = cursor_take(c, ',');
	sf_read_skip(c, " \t");
	return *more || c->p == c->end;
}

enum digest_header_result digest_header_parse(struct digest *out, const char *text, size_t n)
{
	enum digest_header_result result = DIGEST_HEADER_NONE;
	struct cursor c = { text, text + n };
	struct digest found = { { 0 } };
	bool more;

	sf_read_skip(&c, " ");
	more = c.p < c.end; /* nothing at all is an empty dictionary */
	while (more) {
		struct sf_view key;
		struct sf_item value;

		if (!take_member(&c, &key, &value) || !take_separator(&c, &more))
			return DIGEST_HEADER_BAD;
		if (key.n == sizeof(NAME) - 1 && memcmp(key.p, NAME, key.n) == 0)
			result = read_digest(&found, &value) ? DIGEST_HEADER_FOUND
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
