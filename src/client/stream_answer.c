#include "client/stream_answer.h"

#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "client/content_range.h"
#include "client/fail.h"

/* The entity tag, if it is a strong one of a length that we keep (RFC 9110 section 8.8.3). */
static const char *strong_tag(const struct stream *s)
{
	const char *tag = exchange_field(s->exchange, "ETag");
	const size_t n = tag == NULL ? 0 : strlen(tag);

	return n >= 2 && n < STREAM_ETAG_SIZE && tag[0] == '"' && tag[n - 1] == '"' ? tag : NULL;
}

/* Bytes of two answers are put together if both have the tag. Sealed bytes say for themselves where
 * they belong: for them it is enough that nobody has said the opposite, as a 200 does that has no
 * tag when a range was asked for under one. */
static enum restante_code check_tag(struct stream *s, int status, struct restante_error *e)
{
	const char *tag = strong_tag(s);

	if (tag == NULL) {
		if (s->ranged && s->etag[0] != '\0' && (status == 200 || s->sink->ended == NULL))
			return fail(e, RESTANTE_TAMPERED,
				    "the server does not say that it still has the same");
		return RESTANTE_OK;
	}
	if (s->etag[0] != '\0' && strcmp(tag, s->etag) != 0)
		return fail(e, RESTANTE_TAMPERED, "the server has something else in its place");
	memcpy(s->etag, tag, strlen(tag) + 1);
	return RESTANTE_OK;
}

static enum restante_code learn_total(struct stream *s, uint64_t total, struct restante_error *e)
{
	if (s->total != STREAM_UNKNOWN && total != s->total)
		return fail(e, RESTANTE_TAMPERED,
			    "the server has %" PRIu64 " bytes instead of %" PRIu64, total,
			    s->total);
	if (s->total == STREAM_UNKNOWN && total > s->max)
		return fail(e, RESTANTE_TOOBIG,
			    "it is %" PRIu64 " bytes long, %" PRIu64 " are allowed", total, s->max);
	if (total < s->at)
		return fail(e, RESTANTE_TAMPERED, "the server has less of it than it had");
	s->total = total;
	return RESTANTE_OK;
}

/* False if there is a Content-Length that is none. */
static bool content_length(const struct stream *s, uint64_t otherwise, uint64_t *out)
{
	const char *text = exchange_field(s->exchange, "Content-Length");

	*out = otherwise;
	return text == NULL || num_u64(text, strlen(text), STREAM_UNKNOWN - 1, out);
}

/* All of it: of a server without ranges, or that does not heed them. */
static enum restante_code take_whole(struct stream *s, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	uint64_t length;

	if (!content_length(s, STREAM_UNKNOWN, &length))
		return fail(e, RESTANTE_SERVER, "the server's Content-Length is none");
	if (length == 0 && s->wait_ms > 0)
		length = STREAM_UNKNOWN; /* of a live one: nothing yet */
	if (length != STREAM_UNKNOWN)
		rc = learn_total(s, length, e);
	s->skip = s->at;
	s->answer_end = s->total;
	return rc;
}

static enum restante_code take_range(struct stream *s, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	struct content_range r;
	uint64_t length;

	if (!content_range_parse(&r, exchange_field(s->exchange, "Content-Range")) || !r.satisfied)
		return fail(e, RESTANTE_SERVER, "the server does not say which bytes it sends");
	if (!s->ranged || r.first != s->at || (s->end != STREAM_UNKNOWN && r.last >= s->end))
		return fail(e, RESTANTE_SERVER, "the server sends other bytes than asked for");
	if (!content_length(s, r.last - r.first + 1, &length) || length != r.last - r.first + 1)
		return fail(e, RESTANTE_SERVER, "the server's Content-Length is not the range's");
	if (r.total != CONTENT_RANGE_UNKNOWN)
		rc = learn_total(s, r.total, e);
	s->skip = 0;
	s->answer_end = r.last + 1;
	return rc;
}

enum restante_code stream_answer(struct stream *s, struct restante_error *e)
{
	const int status = exchange_status(s->exchange);
	const enum restante_code rc = check_tag(s, status, e);

	if (rc != RESTANTE_OK)
		return rc;
	return status == 206 ? take_range(s, e) : take_whole(s, e);
}
