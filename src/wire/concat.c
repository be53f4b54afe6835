#include "wire/concat.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "wire/cursor.h"

static bool is_word(const char *word, const char *text, size_t n)
{
	return strlen(word) == n && memcmp(word, text, n) == 0;
}

/* Steps over a text that has to stand here. */
static bool take_text(struct cursor *c, const char *want)
{
	size_t len = strlen(want);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, want, len) != 0)
		return false;
	c->p += len;
	return true;
}

/* In either case (section 3.1 of RFC 3986, as the numbers below). */
static bool take_scheme(struct cursor *c, const char *want)
{
	size_t len = strlen(want);

	if ((size_t)(c->end - c->p) < len || strncasecmp(c->p, want, len) != 0)
		return false;
	c->p += len;
	return true;
}

/* Unreserved or a sub-delim (section 2), or one of the others. */
static bool is_url_char(char c, const char *others)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && (strchr("-._~!$&'()*+,;=", c) != NULL || strchr(others, c) != NULL);
}

/* The run of such characters; false if there are none. */
static bool take_run(struct cursor *c, const char *others)
{
	const char *start = c->p;

	while (c->p < c->end && is_url_char(*c->p, others))
		c->p++;
	return c->p > start;
}

/* Section 3.2. Whose host it is does not matter: proxies have names that we do not know. */
static bool take_authority(struct cursor *c)
{
	return take_run(c, ":@[]%");
}

/* pchar of section 3.3 without escapes, for a token has one spelling. */
static bool take_segment(struct cursor *c)
{
	const char *start = c->p;

	return take_run(c, ":@") && !is_word(".", start, (size_t)(c->p - start)) &&
	       !is_word("..", start, (size_t)(c->p - start));
}

/* A url up to a space or the end; *segment is its last segment's start. */
static bool take_url(struct cursor *c, const char *prefix, const char **segment)
{
	if ((take_scheme(c, "http://") || take_scheme(c, "https://")) && !take_authority(c))
		return false;
	if (!take_text(c, prefix))
		return false;
	*segment = c->p;
	return take_segment(c) && (c->p == c->end || *c->p == ' ');
}

static void skip_spaces(struct cursor *c)
{
	while (cursor_take(c, ' '))
		;
}

static enum err_code read_parts(struct concat *out, const char *prefix, struct cursor *c)
{
	skip_spaces(c);
	for (; c->p < c->end; skip_spaces(c)) {
		const char *segment;

		if (!take_url(c, prefix, &segment))
			return ERR_INVALID;
		if (out->count == CONCAT_PARTS_MAX)
			return ERR_TOOBIG;
		out->parts[out->count].text = segment;
		out->parts[out->count++].len = (size_t)(c->p - segment);
	}
	return out->count > 0 ? ERR_OK : ERR_INVALID;
}

enum err_code concat_parse(struct concat *out, const char *prefix, const char *text, size_t n)
{
	struct cursor c = { text, text + n };
	struct concat found = { .kind = CONCAT_PARTIAL };
	enum err_code rc = ERR_OK;

	assert(prefix[0] == '/' && prefix[strlen(prefix) - 1] == '/');
	if (!is_word("partial", text, n)) {
		found.kind = CONCAT_FINAL;
		rc = take_text(&c, "final;") ? read_parts(&found, prefix, &c) : ERR_INVALID;
	}
	if (rc == ERR_OK)
		*out = found;
	return rc;
}
