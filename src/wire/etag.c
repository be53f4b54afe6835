#include "wire/etag.h"

#include <string.h>

#include "wire/cursor.h"

static bool is_etagc(char ch)
{
	unsigned char c = (unsigned char)ch;

	return c == 0x21 || (c >= 0x23 && c <= 0x7e) || c >= 0x80;
}

/* [ "W/" ] DQUOTE *etagc DQUOTE; *tag is where the opening quote stands. */
static bool take_tag(struct cursor *c, bool *weak, const char **tag)
{
	*weak = cursor_take(c, 'W');
	if (*weak && !cursor_take(c, '/'))
		return false;
	*tag = c->p;
	if (!cursor_take(c, '"'))
		return false;
	while (c->p < c->end && is_etagc(*c->p))
		c->p++;
	return cursor_take(c, '"');
}

static bool is_star(struct cursor c)
{
	cursor_skip_space(&c);
	if (!cursor_take(&c, '*'))
		return false;
	cursor_skip_space(&c);
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
	for (cursor_skip_empty(&c); c.p < c.end; cursor_skip_empty(&c)) {
		const char *start;
		bool weak;

		if (!take_tag(&c, &weak, &start))
			return false;
		if ((!weak || how == ETAG_WEAK) && (size_t)(c.p - start) == len)
			has |= memcmp(start, tag, len) == 0;
		cursor_skip_space(&c);
		if (c.p < c.end && !cursor_take(&c, ','))
			return false;
	}
	return has;
}
