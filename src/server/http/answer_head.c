#include "server/http/answer_head.h"

#include <inttypes.h>
#include <stdlib.h>

#include <microhttpd.h>

#include "base/clock.h"

static void write_framing(FILE *f, const struct answer_head *h)
{
	if (h->chunked)
		(void)fputs("Transfer-Encoding: chunked\r\n", f);
	else if (h->reply->size != REPLY_SIZE_UNKNOWN && h->reply->status != 204)
		(void)fprintf(f, "Content-Length: %" PRIu64 "\r\n", h->reply->size);
}

void answer_head_write(FILE *f, const struct answer_head *h)
{
	const struct reply *r = h->reply;
	char date[CLOCK_HTTP_SIZE];

	clock_http(date, clock_now_s());
	(void)fprintf(f, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status,
		      MHD_get_reason_phrase_for((unsigned)r->status), date);
	if (h->close)
		(void)fputs("Connection: close\r\n", f);
	for (size_t i = 0; i < r->header_count; i++)
		(void)fprintf(f, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
	/* what an origin is told of this answer is not told to everyone */
	(void)fputs("Vary: Origin\r\n", f);
	for (size_t i = 0; i < h->own_count; i++)
		(void)fprintf(f, "%s: %s\r\n", h->own[i].name, h->own[i].value);
	write_framing(f, h);
	(void)fputs("\r\n", f);
}

static char *to_text(const struct answer_head *h, bool body, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		return NULL;
	answer_head_write(f, h);
	if (body)
		(void)fwrite(h->reply->text, 1, h->reply->size, f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

char *answer_head_text(const struct answer_head *h, size_t *len)
{
	return to_text(h, false, len);
}

char *answer_text(const struct answer_head *h, size_t *len)
{
	return to_text(h, h->reply->kind == REPLY_TEXT, len);
}
