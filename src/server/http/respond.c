#include "server/http/inside.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/answer_head.h"
#include "server/problem.h"

/* A refused body this small is read to its end, so that the connection lives on. */
#define DISCARD_MAX ((uint64_t)1 << 20)
/* What the transport adds to an answer by itself: status line, date, own_fields.h. */
#define OWN_FIELDS_ROOM ((size_t)768)
/* An answer whose head is longer may not fit beside that of its request. */
#define LONG_ANSWER ((size_t)3 << 10)

/* What the answer to this request has beside what every answer has. */
static size_t own_fields(struct request *r, struct own_field out[static OWN_FIELDS])
{
	size_t n;

	return own_fields_of(r->settings, request_header(r, "Origin", &n, NULL) != NULL,
			     r->method == HTTP_OPTIONS ||
				     request_header(r, "Tus-Resumable", &n, NULL) != NULL,
			     out);
}

static bool leaving(const struct request *r)
{
	return atomic_load_explicit(&r->side->loop->http->phase, memory_order_relaxed) != RUNNING;
}

static enum MHD_Result queue_native(struct request *r)
{
	struct own_field own[OWN_FIELDS];
	const size_t n = own_fields(r, own);
	const bool close = leaving(r);
	const bool alone = close || n > 0 || r->reply->kind == REPLY_STREAM;
	struct MHD_Response *m = alone ? native_alone(r, own, n, close) : native_of(r->reply);
	enum MHD_Result rc;

	if (m == NULL)
		return MHD_NO;
	way_move(r, ANSWERED);
	rc = MHD_queue_response(r->mc, (unsigned)r->reply->status, m);
	if (alone)
		MHD_destroy_response(m);
	return rc;
}

bool respond_by_hand(struct request *r)
{
	struct own_field own[OWN_FIELDS];
	size_t n = own_fields(r, own);

	request_set_timeout(r, LINGER_SECONDS);
	return linger_start(&r->linger, r->reply, r->head_only, own, n, request_fd(r),
			    request_tls(r), clock_mono_ms());
}

/* RFC 9112 section 9.3. Nobody asks a client of HTTP/1.0 whether it would stay. */
static bool may_stay(struct request *r)
{
	size_t n, k;
	const char *v;

	for (unsigned i = 0; (v = request_header_line(r, "Connection", i, &n)) != NULL; i++)
		for (; n > 0; v += k, n -= k) {
			if (n >= 5 && strncasecmp(v, "close", 5) == 0)
				return false;
			k = strcspn(v, ", \t");
			k += strspn(v + k, ", \t");
			k = k < n ? k : n;
		}
	return r->http11 && !leaving(r);
}

bool respond_taken(struct request *r, bool *stay)
{
	struct own_field own[OWN_FIELDS];
	struct answer_head h = { .reply = r->reply, .own = own, .own_count = own_fields(r, own) };
	size_t len;
	ssize_t sent;
	char *text;

	*stay = *stay && may_stay(r);
	h.close = !*stay;
	text = r->head_only ? answer_head_text(&h, &len) : answer_text(&h, &len);
	if (text == NULL)
		return false;
	/* into an empty send buffer: it fits, or the connection is broken */
	sent = send(request_fd(r), text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	return sent == (ssize_t)len;
}

/* Head of the request and head of the answer share the connection's pool, and an answer for which
 * there is no room is never sent. Only what a client has said of its upload can be that long. */
static bool fits_pool(struct request *r)
{
	const union MHD_ConnectionInfo *head =
		MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	size_t n = OWN_FIELDS_ROOM;

	for (size_t i = 0; i < r->reply->header_count; i++)
		n += strlen(r->reply->headers[i].name) + strlen(r->reply->headers[i].value) + 4;
	return n <= LONG_ANSWER || head == NULL ||
	       head->header_size + n <= pool_size(r->side->pool) / 2;
}

/* By hand then, and closed. */
static enum MHD_Result send_apart(struct request *r)
{
	assert(r->reply->kind == REPLY_EMPTY);
	way_move(r, ANSWERED);
	(void)respond_by_hand(r);
	return MHD_NO;
}

static enum MHD_Result send_directly(struct request *r)
{
	struct own_field own[OWN_FIELDS];
	const size_t n = own_fields(r, own);

	way_move(r, ANSWERED);
	return direct_send(r, own, n);
}

enum MHD_Result respond(struct request *r)
{
	if (r->reply->kind == REPLY_EMPTY && !fits_pool(r))
		return send_apart(r);
	return direct_sends(r) ? send_directly(r) : queue_native(r);
}

/* Closing on a client that is still sending would cost it the answer (the kernel resets the
 * connection), so the body is read and thrown away: a short one to its end, of a long one what
 * comes in a short while. */
enum MHD_Result respond_early(struct request *r, bool body_begun)
{
	if (r->body_length == 0) {
		way_move(r, AT_DONE); /* queued in the final call, which keeps the connection */
		return MHD_YES;
	}
	if (!body_begun && request_expects_continue(r))
		return respond(r); /* it waits for our word and sends nothing */
	if (r->body_length != HTTP_LENGTH_UNKNOWN && r->body_length - r->body_seen <= DISCARD_MAX) {
		way_move(r, DISCARDING);
		return MHD_YES;
	}
	way_move(r, LINGERING);
	return respond_by_hand(r) ? MHD_YES : MHD_NO;
}

enum MHD_Result respond_refuse(struct request *r, int status, const char *detail)
{
	return request_reply(r, problem_reply(status, NULL, detail)) == HTTP_GO
		       ? respond_early(r, false)
		       : MHD_NO;
}
