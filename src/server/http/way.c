#include "server/http/inside.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/metrics.h"
#include "server/problem.h"

#define TO(s) (1u << (s))
static const struct {
	const char *name;
	unsigned next;
} states[STATES] = {
	[AT_HEAD] = { "head",
		      TO(AT_BODY) | TO(AT_DONE) | TO(DISCARDING) | TO(LINGERING) | TO(ANSWERED) },
	[AT_BODY] = { "body", TO(AT_DONE) | TO(DISCARDING) | TO(LINGERING) },
	[AT_DONE] = { "done", TO(ANSWERED) },
	[DISCARDING] = { "discarding", TO(ANSWERED) }, /* answered after the body was thrown away */
	[LINGERING] = { "lingering", 0 }, /* answered already; listening until the client stops */
	[ANSWERED] = { "answered", 0 },
};

void way_move(struct request *r, enum state next)
{
	assert(states[r->state].next & TO(next));
	r->state = next;
}

/* B5: an end that arrives together with the last data is not seen in edge-triggered mode. */
static bool end_is_near(struct request *r)
{
	char c;

	return r->side->pool != TLS && recv(request_fd(r), &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static enum MHD_Result at_head(struct request *r)
{
	enum http_next next;

	if (r->body_length != 0 && r->handler->body == NULL)
		return respond_refuse(r, 400, "This request takes no body.");
	next = r->handler->head(r);
	if (next == HTTP_WAIT)
		return MHD_YES;
	if (next == HTTP_CUT)
		return MHD_NO;
	if (r->reply != NULL)
		return respond_early(r, false);
	if (r->body_length == 0) {
		way_move(r, AT_DONE);
		return MHD_YES;
	}
	way_move(r, AT_BODY);
	pace_start(&r->pace, clock_mono_ms());
	if (r->kept != NULL && conn_holds_nothing(r) && intake_begin(r))
		return MHD_NO;
	/* B5: an end that came with the head; the body may be here already, so time tells */
	if (end_is_near(r))
		request_set_timeout(r, 1);
	return MHD_YES;
}

static bool client_left(struct request *r)
{
	if (!end_is_near(r))
		return false;
	if (r->body_length != HTTP_LENGTH_UNKNOWN)
		return r->body_seen < r->body_length;
	/* The last chunk may be on its way through the parser: if not, time out soon. */
	request_set_timeout(r, 1);
	return false;
}

static enum MHD_Result at_body(struct request *r, const char *data, size_t *size)
{
	size_t left = *size;
	enum http_next next;

	if (r->state == AT_BODY) {
		next = r->handler->body(r, (const uint8_t *)data, &left);
		/* B9: data left over without a wait would spin */
		assert(left == 0 || next != HTTP_GO);
		r->body_seen += *size - left;
		conn_of(r->mc)->heard += *size - left;
		metric_add(METRIC_BYTES_RECEIVED, *size - left);
		*size = left;
		if (next == HTTP_CUT || (next == HTTP_GO && request_interrupted(r)))
			return MHD_NO;
		if (next == HTTP_WAIT)
			return MHD_YES;
		if (r->reply != NULL && respond_early(r, true) != MHD_YES)
			return MHD_NO;
		if (intake_begin(r))
			return MHD_NO;
		return client_left(r) ? MHD_NO : MHD_YES;
	}
	r->body_seen += *size;
	conn_of(r->mc)->heard += *size;
	*size = 0;
	if (r->state == LINGERING && linger_over(&r->linger, left, clock_mono_ms()))
		return MHD_NO;
	return client_left(r) ? MHD_NO : MHD_YES;
}

static enum MHD_Result at_end(struct request *r)
{
	enum http_next next;

	if (r->state == LINGERING)
		return MHD_NO; /* answered long ago */
	if (r->state == AT_BODY)
		way_move(r, AT_DONE);
	if (r->reply == NULL) {
		next = r->handler->done(r);
		r->done_waited = next == HTTP_WAIT;
		if (next == HTTP_WAIT)
			return MHD_YES;
		if (next == HTTP_CUT || r->reply == NULL)
			return MHD_NO;
	}
	return respond(r);
}

void way_go_on(struct request *r)
{
	if (r->stopped_ns != 0)
		r->stood_ns += clock_mono_ns() - r->stopped_ns;
	r->stopped_ns = 0;
}

enum MHD_Result way_on_request(void *cls, struct MHD_Connection *mc, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *size, void **req)
{
	struct request *r = *req;

	(void)cls;
	(void)url;
	if (r == NULL || atomic_load(&r->side->loop->http->phase) == CUTTING)
		return MHD_NO;
	way_go_on(r);
	if (!r->counted) {
		r->counted = true;
		r->mc = mc;
		conn_of(mc)->heard +=
			MHD_get_connection_info(mc, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
				->header_size;
		if (head_look(r, method, version) != MHD_YES)
			return MHD_NO;
		return r->handler != NULL ? at_head(r) : MHD_YES;
	}
	if (r->state == AT_HEAD)
		return at_head(r); /* repeated after a wait */
	return *size != 0 ? at_body(r, data, size) : at_end(r);
}

void way_check_pace(struct request *r, const struct settings *s, int64_t now_ms)
{
	if (r->state != AT_BODY || r->reply != NULL)
		return;
	if (request_stand(r) == WAITING) {
		r->pace = (struct pace){ now_ms, r->body_seen };
		return;
	}
	if (!pace_too_slow(&r->pace, r->body_seen, s->upload_min_rate, s->upload_min_rate_grace,
			   now_ms))
		return;
	r->reply = problem_reply(408, "too-slow",
				 "The body came too slowly; what has come may have been kept.");
	way_move(r, LINGERING);
	if (r->reply == NULL || !respond_by_hand(r))
		(void)shutdown(request_fd(r), SHUT_RDWR);
}

/* B5 again: a client that sent all of its upload and closed its direction is taken for gone when
 * its request is resumed, although the upload is durable. The socket is still open here. */
void way_answer_late(struct request *r)
{
	/* asked once and woken since: it has its answer, and does not wait again */
	if (!r->done_waited || r->reply != NULL || r->handler->done(r) != HTTP_GO ||
	    r->reply == NULL || r->reply->kind != REPLY_TEXT)
		return;
	(void)respond_by_hand(r);
}
