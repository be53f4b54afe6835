#include "server/http/inside.h"

#include "base/clock.h"
#include "server/access.h"
#include "server/logs.h"
#include "server/metrics.h"
#include "server/server.h"

/* Its answer is there: what the server took for it. How long the client took does not count. */
void count_answered(const struct request *r, int status)
{
	if (r->handler == NULL || status >= 400)
		return;
	if (r->handler->fetches)
		metric_observe(HISTOGRAM_FETCH, clock_mono_ns() - r->began_ns);
	else if (r->body_length != 0)
		metric_observe(HISTOGRAM_APPEND, r->stood_ns);
}

/* The body of its answer has been sent whole, as far as can be known here. */
static bool sent_body(const struct request *r)
{
	return r->reply != NULL && !r->head_only && r->reply->status != 304 &&
	       (r->sent || r->state == LINGERING);
}

static uint64_t body_size(const struct request *r)
{
	return r->reply->size == REPLY_SIZE_UNKNOWN ? r->streamed : r->reply->size;
}

void count_sent(const struct request *r)
{
	if (r->sent && sent_body(r))
		metric_add(METRIC_BYTES_SENT, body_size(r));
}

void count_ended(struct request *r)
{
	const int status = r->reply != NULL ? r->reply->status : METRIC_CUT;
	const bool address =
		r->side->pool != OPERATOR && server_settings(request_server(r))->log_access_address;

	metric_request(r->method, r->route.number, status);
	if (!logs_want_access())
		return;
	access_log(&(struct access){
		.client = address ? request_peer(r) : NULL,
		.method = r->method,
		.route = r->route.number,
		.http11 = r->http11,
		.status = status,
		.bytes = sent_body(r) ? body_size(r) : ACCESS_NONE,
		.began_ns = r->began_ns,
	});
}
