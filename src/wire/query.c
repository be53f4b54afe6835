#include "wire/query.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

/* pchar / "/" / "?" without pct-encoded (RFC 3986 section 3.4). */
static bool is_query_char(char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && strchr("-._~!$&'()*+,;=:@/?", c) != NULL;
}

/* One character, encoded or not; *used says how many of the input it took. */
static bool decode_char(char *out, const char *text, size_t n, size_t *used)
{
	uint8_t byte;
	size_t len;

	if (text[0] != '%') {
		*used = 1;
		*out = text[0];
		return is_query_char(text[0]);
	}
	*used = 3;
	if (n < 3 || !hex_decode(&byte, 1, &len, text + 1, 2))
		return false;
	*out = (char)byte;
	return byte >= 0x20 && byte != 0x7f;
}

/* Decodes text[0..n) into out, which holds size - 1 characters and a NUL. */
static enum err_code decode(char *out, size_t size, const char *text, size_t n)
{
	size_t len = 0, used;

	for (; n > 0; text += used, n -= used) {
		char c;

		if (!decode_char(&c, text, n, &used))
			return ERR_INVALID;
		if (len == size - 1)
			return ERR_TOOBIG;
		out[len++] = c;
	}
	out[len] = '\0';
	return ERR_OK;
}

static enum err_code add_pair(struct query *q, const char *text, size_t n)
{
	const char *equals = memchr(text, '=', n);
	enum err_code rc;

	if (equals == NULL || equals == text)
		return ERR_INVALID;
	if (q->count == QUERY_PAIRS_MAX)
		return ERR_TOOBIG;
	rc = decode(q->pairs[q->count].name, sizeof(q->pairs[0].name), text,
		    (size_t)(equals - text));
	if (rc != ERR_OK)
		return rc;
	if (query_get(q, q->pairs[q->count].name) != NULL)
		return ERR_INVALID;
	rc = decode(q->pairs[q->count].value, sizeof(q->pairs[0].value), equals + 1,
		    n - (size_t)(equals - text) - 1);
	if (rc == ERR_OK)
		q->count++;
	return rc;
}

enum err_code query_parse(struct query *out, const char *text, size_t n)
{
	struct query q = { 0 };
	bool more = n > 0;

	while (more) {
		const char *amp = memchr(text, '&', n);
		size_t len = amp != NULL ? (size_t)(amp - text) : n;
		enum err_code rc = add_pair(&q, text, len);

		if (rc != ERR_OK)
			return rc;
		more = amp != NULL; /* an empty pair behind it is for add_pair() to refuse */
		if (more) {
			text = amp + 1;
			n -= len + 1;
		}
	}
	*out = q;
	return ERR_OK;
}

const char *query_get(const struct query *q, const char *name)
{
	for (size_t i = 0; i < q->count; i++) {
		if (strcmp(q->pairs[i].name, name) == 0)
			return q->pairs[i].value;
	}
	return NULL;
}
