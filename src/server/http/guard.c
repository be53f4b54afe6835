#include "server/http/guard.h"

#include <string.h>

/* Field names are tokens (RFC 9110 section 5.6.2). */
static const char TCHAR[] = "!#$%&'*+-.^_`|~0123456789"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is(const char *name, size_t len, const char *wanted)
{
	return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

/* MHD glues the text of a folded line to the field's name ("Transfer-Encoding:\r\n chunked" is
 * shown as "Transfer-Encodingchunked"), and a framing field would go unseen (RFC 9112 section 5.2).
 */
static bool is_folded(const char *name, size_t len, const char *wanted)
{
	return len > strlen(wanted) && strncasecmp(name, wanted, strlen(wanted)) == 0;
}

static bool value_is_clean(const char *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)v[i] < 32 && v[i] != '\t') || v[i] == 127)
			return false;
	return true;
}

static void refuse(struct guard *g, int status)
{
	if (g->bad == 0)
		g->bad = status;
}

void guard_header(struct guard *g, const char *name, size_t name_len, const char *value,
		  size_t value_len)
{
	g->count++;
	if (name_len == 0 || strspn(name, TCHAR) != name_len || !value_is_clean(value, value_len))
		refuse(g, 400);
	if (is_folded(name, name_len, "Content-Length") ||
	    is_folded(name, name_len, "Transfer-Encoding"))
		refuse(g, 400);
	if (is(name, name_len, "Content-Length")) {
		g->lengths++;
		/* 18 digits stay far below 2^63 */
		if (value_len == 0 || value_len > 18 || strspn(value, "0123456789") != value_len)
			refuse(g, 400);
	} else if (is(name, name_len, "Transfer-Encoding")) {
		g->encodings++;
		if (!is(value, value_len, "chunked"))
			refuse(g, 501);
	} else if (is(name, name_len, "Host")) {
		g->hosts++;
	}
}

int guard_verdict(const struct guard *g, const char *version, size_t head_size, size_t head_max)
{
	bool http11 = strcmp(version, "HTTP/1.1") == 0;

	if (g->bad != 0)
		return g->bad;
	if (!http11 && strcmp(version, "HTTP/1.0") != 0)
		return 505;
	/* RFC 9112 section 6.1: both framings at once, or chunked from an HTTP/1.0 client, is an
	 * attack or a broken peer; section 3.2: exactly one Host */
	if (g->lengths + g->encodings > 1 || (g->encodings > 0 && !http11) ||
	    (http11 ? g->hosts != 1 : g->hosts > 1))
		return 400;
	return g->count > GUARD_HEADERS_MAX || head_size > head_max ? 431 : 0;
}
