#include "wire/etag.h"

#include <string.h>

struct cursor {
	const char *p, *end;
};

static void skip_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool take(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* Empty elements of a list are passed over (RFC 9110 section 5.6.1.2). */
static void skip_empty(struct cursor *c)
{
	do
		skip_space(c);
	while (take(c, ','));
}

static bool is_etagc(char ch)
{
	unsigned char c = (unsigned char)ch;

	return c == 0x21 || (c >= 0x23 && c <= 0x7e) || c >= 0x80;
}

/* [ "W/" ] DQUOTE *etagc DQUOTE; *tag is where the opening quote stands. */
static bool take_tag(struct cursor *c, bool *weak, const char **tag)
{
	*weak = take(c, 'W');
	if (*weak && !take(c, '/'))
		return false;
	*tag = c->p;
	if (!take(c, '"'))
		return false;
	while (c->p < c->end && is_etagc(*c->p))
		c->p++;
	return take(c, '"');
}

static bool is_star(struct cursor c)
{
	skip_space(&c);
	if (!take(&c, '*'))
		return false;
	skip_space(&c);
	return c.p == c.end;
}

bool etag_list_has(const char *text, size_t n, const char *tag, enum etag_compare how)
{
	struct cursor c = { text, text + n };
	size_t len = strlen(tag);
	bool has = false;

	if (is_star(c))
		return true;
	/* To the end even when the tag is found: what follows may spoil the list. */
	for (skip_empty(&c); c.p < c.end; skip_empty(&c)) {
		const char *start;
		bool weak;

		if (!take_tag(&c, &weak, &start))
			return false;
		if ((!weak || how == ETAG_WEAK) && (size_t)(c.p - start) == len)
			has |= memcmp(start, tag, len) == 0;
		skip_space(&c);
		if (c.p < c.end && !take(&c, ','))
			return false;
	}
	return has;
}
