#include "client/response.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

static void wipe(void *p, size_t n)
{
	if (p != NULL)
		sodium_memzero(p, n);
	free(p);
}

/* As realloc() has it, but what is left behind may have tokens in it. */
static void *grow(void *p, size_t n, size_t more)
{
	void *larger = malloc(n + more);

	if (larger == NULL)
		return NULL;
	if (p != NULL)
		memcpy(larger, p, n);
	wipe(p, n);
	return larger;
}

static void forget_head(struct response *r)
{
	wipe(r->head, r->head_len);
	r->head = NULL;
	r->head_len = 0;
	r->coming = 0;
}

void response_fini(struct response *r)
{
	forget_head(r);
	wipe(r->text, r->text_len);
	*r = (struct response){ 0 };
}

/* "HTTP/1.1 200 OK", "HTTP/2 200": the status, 0 if it is none. */
static int status_of(const char *line, size_t n)
{
	const char *p = memchr(line, ' ', n);
	const char *end = line + n;
	int status = 0;

	if (n < 5 || memcmp(line, "HTTP/", 5) != 0 || p == NULL || end - p < 4)
		return 0;
	for (int i = 1; i <= 3; i++) {
		if (!isdigit((unsigned char)p[i]))
			return 0;
		status = status * 10 + (p[i] - '0');
	}
	if (end - p > 4 && p[4] != ' ')
		return 0;
	return status >= 100 ? status : 0;
}

static enum response_next keep_line(struct response *r, const char *line, size_t n)
{
	char *more;

	if (r->head_len + n + 1 > RESPONSE_HEAD_MAX || memchr(line, '\0', n) != NULL)
		return RESPONSE_BAD;
	more = grow(r->head, r->head_len, n + 1);
	if (more == NULL)
		return RESPONSE_NOMEM;
	r->head = more;
	memcpy(more + r->head_len, line, n);
	more[r->head_len + n] = '\0';
	r->head_len += n + 1;
	return RESPONSE_ON;
}

static enum response_next head_ends(struct response *r)
{
	if (r->coming < 200) {
		forget_head(r);
		return ++r->interim > RESPONSE_INTERIM_MAX ? RESPONSE_BAD : RESPONSE_ON;
	}
	r->status = r->coming;
	return RESPONSE_HEAD;
}

enum response_next response_line(struct response *r, const char *line, size_t n)
{
	if (r->status != 0)
		return RESPONSE_ON; /* a trailer */
	while (n > 0 && memchr("\r\n\t ", line[n - 1], 4) != NULL)
		n--;
	if (r->coming == 0) {
		r->coming = status_of(line, n);
		return r->coming != 0 ? RESPONSE_ON : RESPONSE_BAD;
	}
	if (n == 0)
		return head_ends(r);
	return keep_line(r, line, n);
}

enum response_next response_text(struct response *r, struct bytes piece)
{
	const size_t room = RESPONSE_TEXT_MAX - r->text_len;
	const size_t n = piece.len < room ? piece.len : room;
	uint8_t *more;

	if (piece.len > RESPONSE_TEXT_END - r->text_heard)
		return RESPONSE_BAD;
	r->text_heard += piece.len;
	if (n == 0)
		return RESPONSE_ON;
	more = grow(r->text, r->text_len, n);
	if (more == NULL)
		return RESPONSE_NOMEM;
	memcpy(more + r->text_len, piece.data, n);
	r->text = more;
	r->text_len += n;
	return RESPONSE_ON;
}

const char *response_get(const struct response *r, const char *name)
{
	const size_t n = strlen(name);

	if (r->status == 0 || r->head == NULL)
		return NULL;
	for (const char *p = r->head; p < r->head + r->head_len; p += strlen(p) + 1)
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " \t");
	return NULL;
}
