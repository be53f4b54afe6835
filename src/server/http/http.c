/* The transport on libmicrohttpd 0.9.75 in external epoll mode. What the library does wrong, and
 * what is done here about it, is told in doc/architecture.md ("Ten bugs"); the names B1 to B10
 * in comments refer to that list. */
#include "server/http.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/access.h"
#include "server/hosts.h"
#include "server/http/acceptor.h"
#include "server/http/guard.h"
#include "server/http/interim.h"
#include "server/http/linger.h"
#include "server/http/pace.h"
#include "server/logs.h"
#include "server/metrics.h"
#include "server/own_fields.h"
#include "server/problem.h"
#include "server/route.h"
#include "server/server.h"
#include "server/tls.h"

/* Most connections ask for little: a small pool keeps parked ones cheap. Those that open with an
 * upload get the size at which reading costs least. */
#define POOL_SMALL ((size_t)12 << 10)
#define POOL_LARGE ((size_t)64 << 10)
/* A block of a streamed answer: what a slow reader costs. */
#define STREAM_BLOCK ((uint64_t)64 << 10)
/* A refused body this small is read to its end, so that the connection lives on. */
#define DISCARD_MAX ((uint64_t)1 << 20)
/* What the transport adds to an answer by itself: status line, date, own_fields.h. */
#define OWN_FIELDS_ROOM ((size_t)768)
/* An answer whose head is longer may not fit beside that of its request. */
#define LONG_ANSWER ((size_t)3 << 10)

enum pool { SMALL, LARGE, TLS, OPERATOR, POOLS };

struct conn { /* one TCP connection */
	int fd;
	struct request *request; /* under way; NULL: idle */
	bool fresh;              /* one has ended since the last look at it */
	bool stranger;           /* on the operator's socket: nothing is heard */
	struct conn *prev, *next;
};

struct arrival { /* accepted, on its way to a loop */
	int fd;
	enum pool pool;
	socklen_t sa_len;
	struct sockaddr_storage sa;
	struct arrival *next;
};

struct loop {
	struct http *http;
	struct side { /* what a daemon's callbacks are given */
		struct loop *loop;
		enum pool pool;
		struct MHD_Daemon *daemon;
	} sides[POOLS];
	int wake_fd;
	atomic_bool kicked; /* wake_fd is written already */
	pthread_t thread;
	bool running;
	struct conn *conns; /* loop thread only, like closed */
	size_t closed;      /* connections that have ended */
	atomic_size_t conn_count;
	atomic_size_t waiting; /* suspended requests */
	unsigned quiet_turns;  /* without any, while cutting */
	int64_t look_ms;       /* when to look at all connections */
	int64_t turn_ns;       /* when this turn began: what it finds has come by then */
	pthread_mutex_t lock;  /* arrivals */
	struct arrival *arrivals;
};

struct http {
	struct server *server;
	struct acceptor *acceptor;
	struct loop *loops;
	size_t loop_count;
	int admin_fd;
	atomic_int phase; /* RUNNING, then DRAINING, then CUTTING */
};
enum { RUNNING, DRAINING, CUTTING };

enum state { AT_HEAD, AT_BODY, AT_DONE, DISCARDING, LINGERING, ANSWERED, STATES };
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

struct request {
	struct side *side;
	struct MHD_Connection *mc;
	const struct settings *settings; /* of its host, however often they are reloaded */
	const struct handler *handler;
	void *ctx;
	struct reply *reply;
	enum state state;
	enum http_method method;
	struct route_match route;
	uint64_t body_length, body_seen;
	struct pace pace; /* of the body */
	struct lingering linger;
	atomic_bool interrupted;
	atomic_bool waiting;
	bool http11;
	bool head_only; /* HEAD on the wire, whatever is asked for */
	bool counted;
	bool over;                              /* the library has ended it: nobody may wait */
	bool sent;                              /* its answer, whole */
	bool done_waited;                       /* the handler's done() is to be asked again */
	int64_t began_ns, stopped_ns, stood_ns; /* its head came; it waits since (0: it does not);
						 * how long it has waited in all */
	char target[];                          /* as sent, query and all */
};

static void move(struct request *r, enum state next)
{
	assert(states[r->state].next & TO(next));
	r->state = next;
}

static int fd_of(struct request *r)
{
	return MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static gnutls_session_t tls_of(struct request *r)
{
	return r->side->pool != TLS
		       ? NULL
		       : MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_GNUTLS_SESSION)
				 ->tls_session;
}

/* ---- what handlers ask ---- */

struct server *request_server(const struct request *r)
{
	return r->side->loop->http->server;
}

const struct settings *request_settings(const struct request *r)
{
	return r->settings;
}

enum http_method request_method(const struct request *r)
{
	return r->method;
}

bool request_from_admin(const struct request *r)
{
	return r->side->pool == OPERATOR;
}

struct address request_address(const struct request *r)
{
	return address_of(
		MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
}

const char *request_param(const struct request *r, size_t *len)
{
	*len = r->route.param_len;
	return r->route.param;
}

const char *request_query(const struct request *r)
{
	const char *q = strchr(r->target, '?');

	return q == NULL ? NULL : q + 1;
}

struct header_search {
	const char *name, *value;
	size_t name_len, len;
	unsigned nth, found;
};

static enum MHD_Result match_header(void *cls, enum MHD_ValueKind kind, const char *name,
				    size_t name_len, const char *value, size_t len)
{
	struct header_search *s = cls;

	(void)kind;
	if (name_len == s->name_len && strncasecmp(name, s->name, name_len) == 0) {
		if (s->found++ == s->nth) {
			s->value = value;
			s->len = len;
		}
	}
	return MHD_YES;
}

static const char *search(const struct request *r, enum MHD_ValueKind kind, struct header_search *s,
			  size_t *len)
{
	s->name_len = strlen(s->name);
	(void)MHD_get_connection_values_n(r->mc, kind, match_header, s);
	if (s->found <= s->nth)
		return NULL;
	while (s->len > 0 && strchr(" \t", s->value[s->len - 1]) != NULL)
		s->len--;
	while (s->len > 0 && strchr(" \t", s->value[0]) != NULL) {
		s->value++;
		s->len--;
	}
	*len = s->len;
	return s->value == NULL ? "" : s->value;
}

const char *request_header(const struct request *r, const char *name, size_t *len, bool *twice)
{
	struct header_search s = { .name = name };
	const char *value = search(r, MHD_HEADER_KIND, &s, len);

	if (twice != NULL)
		*twice = s.found > 1;
	return value;
}

const char *request_trailer(const struct request *r, const char *name, size_t *len, bool *twice)
{
	struct header_search s = { .name = name };
	const char *value = search(r, MHD_FOOTER_KIND, &s, len);

	if (twice != NULL)
		*twice = s.found > 1;
	return value;
}

const char *request_header_line(const struct request *r, const char *name, unsigned nth,
				size_t *len)
{
	struct header_search s = { .name = name, .nth = nth };

	return search(r, MHD_HEADER_KIND, &s, len);
}

uint64_t request_body_length(const struct request *r)
{
	return r->body_length;
}

void *request_ctx(const struct request *r)
{
	return r->ctx;
}

void request_set_ctx(struct request *r, void *ctx)
{
	r->ctx = ctx;
}

/* Its answer is there: what the server took for it. How long the client took does not count. */
static void observe(const struct request *r, int status)
{
	if (r->handler == NULL || status >= 400)
		return;
	if (r->handler->fetches)
		metric_observe(HISTOGRAM_FETCH, clock_mono_ns() - r->began_ns);
	else if (r->body_length != 0)
		metric_observe(HISTOGRAM_APPEND, r->stood_ns);
}

enum http_next request_reply(struct request *r, struct reply *reply)
{
	assert(r->reply == NULL);
	if (reply != NULL)
		observe(r, reply->status);
	r->reply = reply;
	return reply == NULL ? HTTP_CUT : HTTP_GO;
}

/* nginx takes the first interim answer for the answer, and conf/nginx.conf has it say so. */
static bool takes_interim(const struct request *r)
{
	size_t n = 0;
	bool twice = false;

	return r->http11 && request_header(r, "Restante-Interim", &n, &twice) == NULL;
}

enum http_next request_interim(struct request *r, const char *fields)
{
	assert(r->reply == NULL);
	return !takes_interim(r) || interim_send(fields, fd_of(r), tls_of(r)) ? HTTP_GO : HTTP_CUT;
}

static void kick(struct loop *l)
{
	uint64_t one = 1;

	if (!atomic_exchange(&l->kicked, true))
		(void)!write(l->wake_fd, &one, sizeof(one));
}

enum http_next request_become(struct request *r, const struct handler *h)
{
	r->ctx = NULL;
	r->handler = h;
	return h->head(r);
}

void request_interrupt(struct request *r)
{
	atomic_store(&r->interrupted, true);
	/* wakes the loop; what the kernel has is read first. A waiting request hears of it when it
	 * is woken */
	(void)shutdown(fd_of(r), SHUT_RD);
}

bool request_interrupted(const struct request *r)
{
	return atomic_load(&r->interrupted);
}

void request_cut(struct request *r)
{
	/* the loop hears of it when it sends, or is about to */
	(void)shutdown(fd_of(r), SHUT_RDWR);
}

bool request_over(const struct request *r)
{
	return r->over;
}

void request_wait(struct request *r)
{
	assert(!r->over);
	r->stopped_ns = clock_mono_ns();
	atomic_store(&r->waiting, true);
	atomic_fetch_add(&r->side->loop->waiting, 1);
	MHD_suspend_connection(r->mc);
}

void request_wake(struct request *r)
{
	struct loop *l = r->side->loop;

	atomic_store(&r->waiting, false);
	MHD_resume_connection(r->mc);
	atomic_fetch_sub(&l->waiting, 1);
	/* in external mode nothing else wakes the loop */
	kick(l);
}

/* ---- answers ---- */

static void native_free(void *native)
{
	MHD_destroy_response(native);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct reply *reply = cls;
	ssize_t n = reply->read(reply->read_ctx, pos, (uint8_t *)buf, max);

	return n == REPLY_READ_ERROR ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static struct MHD_Response *native_body(struct reply *reply)
{
	switch (reply->kind) {
	case REPLY_TEXT:
		return MHD_create_response_from_buffer(reply->size, reply->text,
						       MHD_RESPMEM_PERSISTENT);
	case REPLY_PIECES:
		/* B3, B4: never more pieces than the pool and the kernel take */
		assert(reply->piece_count <= REPLY_PIECES_MAX);
		return MHD_create_response_from_iovec((const struct MHD_IoVec *)reply->pieces,
						      (unsigned)reply->piece_count, NULL, NULL);
	case REPLY_STREAM:
		return MHD_create_response_from_callback(
			reply->size, reply->size < STREAM_BLOCK ? reply->size + 1 : STREAM_BLOCK,
			stream_read, reply, NULL);
	case REPLY_EMPTY:
		break;
	}
	return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *native_make(struct reply *reply)
{
	struct MHD_Response *m = native_body(reply);

	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < reply->header_count; i++)
		(void)MHD_add_response_header(m, reply->headers[i].name, reply->headers[i].value);
	/* what an origin is told of this answer is not told to everyone */
	(void)MHD_add_response_header(m, "Vary", "Origin");
	return m;
}

/* What the answer to this request has beside what every answer has. */
static size_t own_fields(struct request *r, struct own_field out[static OWN_FIELDS])
{
	size_t n;

	return own_fields_of(r->settings, request_header(r, "Origin", &n, NULL) != NULL,
			     r->method == HTTP_OPTIONS ||
				     request_header(r, "Tus-Resumable", &n, NULL) != NULL,
			     out);
}

/* One that answers this request only. */
static struct MHD_Response *native_for(struct request *r, bool close)
{
	struct MHD_Response *m = native_make(r->reply);
	struct own_field own[OWN_FIELDS];
	size_t n = m != NULL ? own_fields(r, own) : 0;

	for (size_t i = 0; i < n; i++)
		(void)MHD_add_response_header(m, own[i].name, own[i].value);
	if (m != NULL && close)
		(void)MHD_add_response_header(m, "Connection", "close");
	return m;
}

/* The native form is made once, and kept with the reply: a reply that answers many requests, maybe
 * from several loops, is worth that. It refers to memory of the reply, of which every request
 * keeps a reference until it is over. */
static struct MHD_Response *native_of(struct reply *reply)
{
	struct MHD_Response *m = atomic_load(&reply->native);
	void *none = NULL;

	if (m != NULL)
		return m;
	m = native_make(reply);
	if (m == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&reply->native, &none, m))
		return m;
	MHD_destroy_response(m);
	return none;
}

static bool leaving(const struct request *r)
{
	return atomic_load_explicit(&r->side->loop->http->phase, memory_order_relaxed) != RUNNING;
}

static enum MHD_Result queue_native(struct request *r)
{
	struct own_field own[OWN_FIELDS];
	const bool alone = leaving(r) || own_fields(r, own) > 0;
	struct MHD_Response *m = alone ? native_for(r, leaving(r)) : native_of(r->reply);
	enum MHD_Result rc;

	if (m == NULL)
		return MHD_NO;
	move(r, ANSWERED);
	rc = MHD_queue_response(r->mc, (unsigned)r->reply->status, m);
	if (alone)
		MHD_destroy_response(m);
	return rc;
}

static void set_timeout(struct request *r, unsigned seconds)
{
	(void)MHD_set_connection_option(r->mc, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static bool expects_continue(struct request *r)
{
	size_t n;
	const char *v = request_header(r, "Expect", &n, NULL);

	return v != NULL && n == 12 && strncasecmp(v, "100-continue", n) == 0 && r->http11;
}

/* The answer of a request on which the library would not send it: by hand, and to a client that may
 * still be sending. */
static bool answer_by_hand(struct request *r)
{
	struct own_field own[OWN_FIELDS];
	size_t n = own_fields(r, own);

	set_timeout(r, LINGER_SECONDS);
	return linger_start(&r->linger, r->reply, r->head_only, own, n,
			    MHD_get_reason_phrase_for((unsigned)r->reply->status), fd_of(r),
			    tls_of(r), clock_mono_ms());
}

static size_t pool_size(const struct request *r)
{
	return r->side->pool == SMALL || r->side->pool == OPERATOR ? POOL_SMALL : POOL_LARGE;
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
	return n <= LONG_ANSWER || head == NULL || head->header_size + n <= pool_size(r) / 2;
}

/* By hand then, and closed. */
static enum MHD_Result send_apart(struct request *r)
{
	assert(r->reply->kind == REPLY_EMPTY);
	move(r, ANSWERED);
	(void)answer_by_hand(r);
	return MHD_NO;
}

static enum MHD_Result queue(struct request *r)
{
	if (r->reply->kind == REPLY_EMPTY && !fits_pool(r))
		return send_apart(r);
	return queue_native(r);
}

/* An answer is there before the body is. Closing on a client that is still sending would cost it
 * the answer (the kernel resets the connection), so the body is read and thrown away: a short one
 * to its end, of a long one what comes in a short while. */
static enum MHD_Result answer_early(struct request *r, bool body_begun)
{
	if (r->body_length == 0) {
		move(r, AT_DONE); /* queued in the final call, which keeps the connection */
		return MHD_YES;
	}
	if (!body_begun && expects_continue(r))
		return queue(r); /* it waits for our word and sends nothing */
	if (r->body_length != HTTP_LENGTH_UNKNOWN && r->body_length - r->body_seen <= DISCARD_MAX) {
		move(r, DISCARDING);
		return MHD_YES;
	}
	move(r, LINGERING);
	return answer_by_hand(r) ? MHD_YES : MHD_NO;
}

static enum MHD_Result refuse(struct request *r, int status, const char *detail)
{
	return request_reply(r, problem_reply(status, NULL, detail)) == HTTP_GO
		       ? answer_early(r, false)
		       : MHD_NO;
}

/* ---- a request's way ---- */

static enum MHD_Result show_guard(void *cls, enum MHD_ValueKind kind, const char *name,
				  size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	guard_header(cls, name, name_len, value == NULL ? "" : value, value_len);
	return MHD_YES;
}

static int head_status(struct request *r, const char *version)
{
	const union MHD_ConnectionInfo *size =
		MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct guard g = { 0 };

	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, show_guard, &g);
	return guard_verdict(&g, version, size == NULL ? 0 : size->header_size,
			     server_settings(request_server(r))->http_header_max);
}

/* Of a head that the guard has let pass. */
static uint64_t body_length(struct request *r)
{
	size_t n;
	const char *v;
	char digits[24] = { 0 };

	if (request_header(r, "Transfer-Encoding", &n, NULL) != NULL)
		return HTTP_LENGTH_UNKNOWN;
	v = request_header(r, "Content-Length", &n, NULL);
	if (v == NULL || n >= sizeof(digits))
		return 0;
	memcpy(digits, v, n);
	return strtoull(digits, NULL, 10);
}

static enum MHD_Result refuse_method(struct request *r)
{
	char allow[ROUTE_ALLOW_SIZE];
	struct reply *reply = problem_reply(405, NULL, "This resource does not know that method.");

	route_allow(allow, r->route.allow);
	if (reply != NULL)
		reply_header(reply, "Allow", allow);
	return request_reply(r, reply) == HTTP_GO ? answer_early(r, false) : MHD_NO;
}

/* tus 1.0.0, "X-HTTP-Method-Override": if it is there, it is the method. Where no tus client has
 * business it is left alone. */
static enum http_method asked_method(struct request *r, const char *method)
{
	size_t n;
	const char *v = request_header(r, "X-HTTP-Method-Override", &n, NULL);
	char name[16] = { 0 };

	if (v == NULL || !route_is_upload(r->target))
		return route_method(method);
	if (n >= sizeof(name))
		return HTTP_OTHER;
	memcpy(name, v, n);
	return route_method(name);
}

/* Which virtual host it is for: once, at its head. False: one that nobody knows. */
static bool choose_host(struct request *r)
{
	const struct settings *host;
	const char *authority;
	size_t n = 0;

	if (r->settings->host_count == 0 || request_from_admin(r))
		return true;
	authority = route_authority(r->target, &n);
	if (authority == NULL)
		authority = request_header(r, "Host", &n, NULL);
	host = hosts_find(r->settings, authority != NULL ? authority : "", n);
	if (host != NULL)
		r->settings = host;
	return host != NULL;
}

/* RFC 9110 section 15.5.20 */
static enum MHD_Result refuse_host(struct request *r)
{
	struct reply *reply =
		problem_reply(421, "unknown-host", "This server does not go by that name.");

	return request_reply(r, reply) == HTTP_GO ? answer_early(r, false) : MHD_NO;
}

static enum MHD_Result first_look(struct request *r, const char *method, const char *version)
{
	size_t n;
	bool twice;
	int status;

	r->http11 = strcmp(version, "HTTP/1.1") == 0;
	/* until the head is known to be sound, the body's end is not known either */
	r->body_length = HTTP_LENGTH_UNKNOWN;
	status = head_status(r, version);
	if (status != 0) {
		/* queued in the first call: MHD closes, and nothing behind it is taken for a
		 * request */
		return request_reply(r, problem_reply(status, NULL, NULL)) == HTTP_GO ? queue(r)
										      : MHD_NO;
	}
	r->body_length = body_length(r);
	if (request_header(r, "Expect", &n, NULL) != NULL && r->http11 && !expects_continue(r))
		return refuse(r, 417, "The only expectation met here is 100-continue.");
	if (request_header(r, "X-HTTP-Method-Override", &n, &twice) != NULL && twice)
		return refuse(r, 400, "X-HTTP-Method-Override stands twice.");
	r->head_only = strcmp(method, "HEAD") == 0;
	r->method = asked_method(r, method);
	r->route =
		route_find(r->method, r->target, request_from_admin(r), r->settings->http_metrics);
	if (!choose_host(r) && !r->route.any_host)
		return refuse_host(r);
	if (r->method == HTTP_OTHER)
		return refuse(r, 501, "No resource here knows that method.");
	if (r->route.handler == NULL && r->route.allow != 0)
		return refuse_method(r);
	if (r->route.handler == NULL)
		return refuse(r, 404, NULL);
	r->handler = r->route.handler;
	if (r->handler->choose != NULL)
		r->handler = r->handler->choose(r);
	return MHD_YES;
}

/* B5: an end that arrives together with the last data is not seen in edge-triggered mode. */
static bool end_is_near(struct request *r)
{
	char c;

	return r->side->pool != TLS && recv(fd_of(r), &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static enum MHD_Result at_head(struct request *r)
{
	enum http_next next;

	if (r->body_length != 0 && r->handler->body == NULL)
		return refuse(r, 400, "This request takes no body.");
	next = r->handler->head(r);
	if (next == HTTP_WAIT)
		return MHD_YES;
	if (next == HTTP_CUT)
		return MHD_NO;
	if (r->reply != NULL)
		return answer_early(r, false);
	if (r->body_length == 0) {
		move(r, AT_DONE);
		return MHD_YES;
	}
	move(r, AT_BODY);
	pace_start(&r->pace, clock_mono_ms());
	/* B5: an end that came with the head; the body may be here already, so time tells */
	if (end_is_near(r))
		set_timeout(r, 1);
	return MHD_YES;
}

static bool client_left(struct request *r)
{
	if (!end_is_near(r))
		return false;
	if (r->body_length != HTTP_LENGTH_UNKNOWN)
		return r->body_seen < r->body_length;
	/* The last chunk may be on its way through the parser: if not, time out soon. */
	set_timeout(r, 1);
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
		metric_add(METRIC_BYTES_RECEIVED, *size - left);
		*size = left;
		if (next == HTTP_CUT || (next == HTTP_GO && request_interrupted(r)))
			return MHD_NO;
		if (next == HTTP_WAIT)
			return MHD_YES;
		if (r->reply != NULL && answer_early(r, true) != MHD_YES)
			return MHD_NO;
		return client_left(r) ? MHD_NO : MHD_YES;
	}
	r->body_seen += *size;
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
		move(r, AT_DONE);
	if (r->reply == NULL) {
		next = r->handler->done(r);
		r->done_waited = next == HTTP_WAIT;
		if (next == HTTP_WAIT)
			return MHD_YES;
		if (next == HTTP_CUT || r->reply == NULL)
			return MHD_NO;
	}
	return queue(r);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mc, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **req)
{
	struct request *r = *req;

	(void)cls;
	(void)url;
	if (r == NULL || atomic_load(&r->side->loop->http->phase) == CUTTING)
		return MHD_NO;
	if (r->stopped_ns != 0)
		r->stood_ns += clock_mono_ns() - r->stopped_ns;
	r->stopped_ns = 0;
	if (!r->counted) {
		r->counted = true;
		r->mc = mc;
		if (first_look(r, method, version) != MHD_YES)
			return MHD_NO;
		return r->handler != NULL ? at_head(r) : MHD_YES;
	}
	if (r->state == AT_HEAD)
		return at_head(r); /* repeated after a wait */
	return *size != 0 ? at_body(r, data, size) : at_end(r);
}

static struct conn *conn_of(struct MHD_Connection *mc)
{
	return MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The body of its answer has been sent whole, as far as can be known here. */
static bool sent_body(const struct request *r)
{
	return r->reply != NULL && !r->head_only && r->reply->status != 304 &&
	       (r->sent || r->state == LINGERING);
}

static void count_request(struct request *r)
{
	const int status = r->reply != NULL ? r->reply->status : METRIC_CUT;
	const bool address =
		r->side->pool != OPERATOR && server_settings(request_server(r))->log_access_address;

	metric_request(r->method, r->route.number, status);
	if (!logs_want_access())
		return;
	access_log(&(struct access){
		.client = !address ? NULL
				   : MHD_get_connection_info(r->mc,
							     MHD_CONNECTION_INFO_CLIENT_ADDRESS)
					     ->client_addr,
		.method = r->method,
		.route = r->route.number,
		.http11 = r->http11,
		.status = status,
		.bytes = sent_body(r) ? r->reply->size : ACCESS_NONE,
		.began_ns = r->began_ns,
	});
}

/* Lets go of a request, however it ended. */
static void request_free(struct request *r)
{
	if (r->ctx != NULL && r->handler->gone != NULL)
		r->handler->gone(r);
	if (r->counted)
		count_request(r);
	reply_unref(r->reply);
	free(r);
}

/* Of a head that it refuses itself, MHD may tell the target and not the end: then the next request,
 * or the end of the connection, tells. */
static void forget_request(struct conn *c)
{
	struct request *r = c->request;

	c->request = NULL;
	c->fresh = true;
	if (r != NULL)
		request_free(r);
}

/* The first that is heard of a request: its target, before MHD decodes it. */
static void *on_target(void *cls, const char *uri, struct MHD_Connection *mc)
{
	size_t n = strlen(uri);
	struct conn *c = conn_of(mc);
	struct request *r;

	if (c == NULL || c->stranger)
		return NULL;
	forget_request(c);
	r = calloc(1, sizeof(*r) + n + 1);
	if (r == NULL)
		return NULL;
	r->side = cls;
	r->mc = mc;
	r->settings = server_settings(request_server(r));
	r->began_ns = r->side->loop->turn_ns; /* asking the clock each time would be felt */
	memcpy(r->target, uri, n + 1);
	c->request = r;
	return r;
}

static size_t keep_escapes(void *cls, struct MHD_Connection *mc, char *s)
{
	(void)cls;
	(void)mc;
	return strlen(s);
}

/* B5 again: a client that sent all of its upload and closed its direction is taken for gone when
 * its request is resumed, although the upload is durable. The socket is still open here. */
static void answer_late(struct request *r)
{
	/* asked once and woken since: it has its answer, and does not wait again */
	if (!r->done_waited || r->reply != NULL || r->handler->done(r) != HTTP_GO ||
	    r->reply == NULL || r->reply->kind != REPLY_TEXT)
		return;
	(void)answer_by_hand(r);
}

static void on_completed(void *cls, struct MHD_Connection *mc, void **req,
			 enum MHD_RequestTerminationCode how)
{
	struct request *r = *req;

	(void)cls;
	*req = NULL;
	if (r == NULL)
		return;
	r->over = true;
	if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		answer_late(r);
	else
		r->sent = true;
	if (r->sent && sent_body(r))
		metric_add(METRIC_BYTES_SENT, r->reply->size);
	forget_request(conn_of(mc));
}

/* The socket's mode keeps others out already, unless somebody has changed it. */
static void check_operator(struct conn *c)
{
	if (listen_peer_is_operator(c->fd))
		return;
	c->stranger = true;
	metric_add(METRIC_STRANGERS, 1);
	log_warn("event=admin_refused");
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void on_connection(void *cls, struct MHD_Connection *mc, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct side *side = cls;
	struct loop *l = side->loop;
	struct conn *c = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = calloc(1, sizeof(*c));
		if (side->pool == OPERATOR)
			atomic_fetch_add(&l->conn_count, 1);
		if (c == NULL)
			return; /* its requests are cut */
		c->fd = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		DL_APPEND(l->conns, c);
		*socket_context = c;
		if (side->pool == OPERATOR)
			check_operator(c);
		return;
	}
	if (side->pool != OPERATOR)
		acceptor_left(l->http->acceptor,
			      MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
				      ->client_addr);
	atomic_fetch_sub(&l->conn_count, 1);
	l->closed++;
	if (c != NULL) {
		forget_request(c);
		DL_DELETE(l->conns, c);
	}
	free(c);
	*socket_context = NULL;
}

/* Without its arguments: there may be a token among them. */
static void on_library_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)ap;
	log_debug("event=transport text=\"%.*s\"", (int)strcspn(fmt, "\r\n"), fmt);
}

/* ---- loops ---- */

/* MHD has closed the socket if it does not take the connection, and may have told of the end or
 * not. */
static void hand_to_library(struct loop *l, const struct arrival *a)
{
	const size_t closed = l->closed;

	if (MHD_add_connection(l->sides[a->pool].daemon, a->fd, (const struct sockaddr *)&a->sa,
			       a->sa_len) == MHD_YES ||
	    l->closed != closed)
		return;
	acceptor_left(l->http->acceptor, (const struct sockaddr *)&a->sa);
	atomic_fetch_sub(&l->conn_count, 1);
}

static void adopt(struct loop *l)
{
	struct arrival *a, *next;

	pthread_mutex_lock(&l->lock);
	a = l->arrivals;
	l->arrivals = NULL;
	pthread_mutex_unlock(&l->lock);
	for (; a != NULL; a = next) {
		next = a->next;
		hand_to_library(l, a);
		free(a);
	}
}

/* While draining, connections between two requests are shown the door; when cutting, all are. */
static void dismiss(struct loop *l, int phase)
{
	struct conn *c;

	DL_FOREACH (l->conns, c)
		if (phase == CUTTING || c->request == NULL)
			(void)shutdown(c->fd, phase == CUTTING ? SHUT_RDWR : SHUT_RD);
}

/* When the loop must look again although nothing happens, in ms; marks the daemons that have work
 * left over from the last turn. */
static int turn_timeout(struct loop *l, bool due[static POOLS])
{
	MHD_UNSIGNED_LONG_LONG t;
	int ms = 1000;

	for (int i = 0; i < POOLS; i++) {
		due[i] = false;
		if (l->sides[i].daemon == NULL ||
		    MHD_get_timeout(l->sides[i].daemon, &t) != MHD_YES)
			continue;
		due[i] = t == 0;
		if (t < (unsigned)ms)
			ms = (int)t;
	}
	return ms;
}

/* B5 once more: an end that came with a request's last bytes raises no event after the answer. So
 * a connection is looked at once when it has become idle; from then on events tell. */
static void look_for_leavers(struct loop *l)
{
	struct conn *c;
	char x;

	DL_FOREACH (l->conns, c) {
		if (c->request != NULL || !c->fresh)
			continue;
		c->fresh = false;
		if (recv(c->fd, &x, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			(void)shutdown(c->fd, SHUT_RDWR);
	}
}

/* A request that brings its body too slowly is answered, and what it brought stays. Time in which
 * it waited for us does not count. */
static void check_pace(struct request *r, const struct settings *s, int64_t now_ms)
{
	if (r->state != AT_BODY || r->reply != NULL)
		return;
	if (atomic_load(&r->waiting)) {
		r->pace = (struct pace){ now_ms, r->body_seen };
		return;
	}
	if (!pace_too_slow(&r->pace, r->body_seen, s->upload_min_rate, s->upload_min_rate_grace,
			   now_ms))
		return;
	r->reply = problem_reply(408, "too-slow",
				 "The body came too slowly; what has come may have been kept.");
	move(r, LINGERING);
	if (r->reply == NULL || !answer_by_hand(r))
		(void)shutdown(fd_of(r), SHUT_RDWR);
}

static void look_for_slow(struct loop *l, int64_t now_ms)
{
	const struct settings *s = server_settings(l->http->server);
	struct conn *c;

	if (s->upload_min_rate == 0)
		return;
	DL_FOREACH (l->conns, c)
		if (c->request != NULL)
			check_pace(c->request, s, now_ms);
}

/* What no event tells of; once a second. */
static void look_around(struct loop *l, int64_t now_ms)
{
	if (now_ms < l->look_ms)
		return;
	l->look_ms = now_ms + 1000;
	look_for_leavers(l);
	look_for_slow(l, now_ms);
}

static bool turn_stop(struct loop *l)
{
	int phase = atomic_load(&l->http->phase);

	if (phase == RUNNING)
		return false;
	dismiss(l, phase);
	if (phase == DRAINING)
		return atomic_load(&l->conn_count) == 0;
	/* B7: a daemon stopped while a connection is suspended aborts the process. Whoever made a
	 * request wait wakes it in the end; one more turn takes it out of its suspension. */
	if (atomic_load(&l->waiting) != 0)
		l->quiet_turns = 0;
	else if (l->quiet_turns++ == 2)
		return true;
	kick(l);
	return false;
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;
	struct pollfd p[POOLS + 1];
	bool due[POOLS];
	uint64_t x;

	(void)pthread_setname_np(pthread_self(), "loop");
	for (int i = 0; i < POOLS; i++)
		p[i] = (struct pollfd){
			.fd = l->sides[i].daemon == NULL
				      ? -1
				      : MHD_get_daemon_info(l->sides[i].daemon,
							    MHD_DAEMON_INFO_EPOLL_FD)
						->epoll_fd,
			.events = POLLIN,
		};
	p[POOLS] = (struct pollfd){ .fd = l->wake_fd, .events = POLLIN };
	do {
		int ms = turn_timeout(l, due);
		int events = poll(p, POOLS + 1, ms);
		/* after a silence, or a wake-up, all are looked at: time is up for some connection,
		 * or one is to be resumed */
		bool all = events <= 0 || p[POOLS].revents != 0;

		l->turn_ns = clock_mono_ns();
		if (p[POOLS].revents != 0) {
			(void)!read(l->wake_fd, &x, sizeof(x));
			/* before looking at what the kicks were for */
			atomic_store(&l->kicked, false);
		}
		adopt(l);
		/* B1: MHD_run() asks epoll with timeout 0, so a full batch of events stalls nobody
		 */
		for (int i = 0; i < POOLS; i++)
			if (l->sides[i].daemon != NULL && (all || due[i] || p[i].revents != 0))
				(void)MHD_run(l->sides[i].daemon);
		look_around(l, l->turn_ns / 1000000);
	} while (!turn_stop(l));
	return NULL;
}

static bool start_daemon(struct loop *l, enum pool pool, size_t memory, const struct settings *set,
			 int listen_fd)
{
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
			       (listen_fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0u) |
			       (pool == TLS ? MHD_USE_TLS : 0u);
	struct side *side = &l->sides[pool];
	struct MHD_OptionItem extra[2] = { { MHD_OPTION_END, 0, NULL },
					   { MHD_OPTION_END, 0, NULL } };

	if (listen_fd >= 0)
		extra[0] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL };
	else if (pool == TLS)
		extra[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
						    (void *)(uintptr_t)tls_retrieve };
	*side = (struct side){ .loop = l, .pool = pool };
	side->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, side, MHD_OPTION_EXTERNAL_LOGGER, on_library_log,
		NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
		MHD_OPTION_CONNECTION_MEMORY_INCREMENT, memory, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)set->http_timeout, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)set->http_connections, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
		NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, side, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, side, MHD_OPTION_NOTIFY_CONNECTION, on_connection, side,
		MHD_OPTION_ARRAY, extra, MHD_OPTION_END);
	return side->daemon != NULL;
}

static bool start_loop(struct http *h, struct loop *l, const struct settings *set, bool tls,
		       int admin_fd)
{
	l->http = h;
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&l->lock, NULL);
	if (l->wake_fd < 0 || !start_daemon(l, SMALL, POOL_SMALL, set, -1) ||
	    !start_daemon(l, LARGE, POOL_LARGE, set, -1) ||
	    (tls && !start_daemon(l, TLS, POOL_LARGE, set, -1)) ||
	    (admin_fd >= 0 && !start_daemon(l, OPERATOR, POOL_SMALL, set, dup(admin_fd))))
		return false;
	l->running = pthread_create(&l->thread, NULL, loop_main, l) == 0;
	return l->running;
}

/* From the acceptor's thread: the loop with the fewest connections gets it. */
static void give(void *ctx, const struct accepted *in)
{
	struct http *h = ctx;
	struct loop *best = &h->loops[0];
	struct arrival *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		acceptor_left(h->acceptor, (const struct sockaddr *)&in->sa);
		(void)close(in->fd);
		return;
	}
	for (size_t i = 1; i < h->loop_count; i++)
		if (atomic_load(&h->loops[i].conn_count) < atomic_load(&best->conn_count))
			best = &h->loops[i];
	*a = (struct arrival){ .fd = in->fd, .sa = in->sa, .sa_len = in->sa_len };
	a->pool = in->tls ? TLS : in->uploads ? LARGE : SMALL;
	atomic_fetch_add(&best->conn_count, 1);
	pthread_mutex_lock(&best->lock);
	LL_PREPEND(best->arrivals, a);
	pthread_mutex_unlock(&best->lock);
	kick(best);
}

enum err_code http_start(struct http **out, struct server *server, const struct settings *settings,
			 struct listener *listeners, size_t listener_count, int admin_fd,
			 struct err *e)
{
	struct http *h = calloc(1, sizeof(*h));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	bool tls = false;
	enum err_code rc;

	if (h == NULL)
		return err_set(e, ERR_NOMEM, "transport");
	h->server = server;
	reply_native_free = native_free;
	h->admin_fd = admin_fd;
	h->loop_count =
		settings->http_loops != 0 ? settings->http_loops : (size_t)(cores > 0 ? cores : 1);
	h->loops = calloc(h->loop_count, sizeof(*h->loops));
	for (size_t i = 0; i < listener_count; i++)
		tls = tls || listeners[i].tls;
	for (size_t i = 0; h->loops != NULL && i < h->loop_count; i++) {
		if (!start_loop(h, &h->loops[i], settings, tls, i == 0 ? admin_fd : -1)) {
			rc = err_set(e, ERR_IO, "event loop %zu does not start", i);
			goto out;
		}
	}
	rc = h->loops == NULL ? err_set(e, ERR_NOMEM, "event loops") : ERR_OK;
	if (rc == ERR_OK)
		rc = acceptor_start(&h->acceptor, listeners, listener_count, settings, give, h, e);
	if (rc != ERR_OK)
		goto out;
	*out = h;
	h = NULL;
out:
	if (h != NULL) {
		static const int at_once = 1;

		http_stop(h, 0, &at_once);
		http_free(h);
	}
	return rc;
}

size_t http_connections(const struct http *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->loop_count; i++)
		n += atomic_load(&h->loops[i].conn_count);
	return n;
}

static void enter_phase(struct http *h, int phase)
{
	atomic_store(&h->phase, phase);
	for (size_t i = 0; i < h->loop_count; i++)
		if (h->loops[i].running)
			kick(&h->loops[i]);
}

/* What is still connected ends here, while those who hear of it are still there. */
static void stop_daemons(struct loop *l)
{
	for (int k = 0; k < POOLS; k++) {
		if (l->sides[k].daemon != NULL)
			MHD_stop_daemon(l->sides[k].daemon);
		l->sides[k].daemon = NULL;
	}
}

void http_stop(struct http *h, int64_t grace_ms, const volatile int *hurry)
{
	const int64_t until = clock_mono_ms() + grace_ms;

	/* B2, B8: the listening sockets are the acceptor's, MHD never sees them */
	acceptor_stop(h->acceptor);
	enter_phase(h, DRAINING);
	while (http_connections(h) > 0 && clock_mono_ms() < until && !*hurry)
		(void)usleep(10 * 1000);
	enter_phase(h, CUTTING);
	for (size_t i = 0; i < h->loop_count; i++)
		if (h->loops[i].running)
			(void)pthread_join(h->loops[i].thread, NULL);
	for (size_t i = 0; i < h->loop_count; i++)
		stop_daemons(&h->loops[i]);
}

static void drop_arrivals(struct loop *l)
{
	struct arrival *a, *next;

	for (a = l->arrivals; a != NULL; a = next) {
		next = a->next;
		(void)close(a->fd);
		free(a);
	}
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; h->loops != NULL && i < h->loop_count; i++) {
		struct loop *l = &h->loops[i];

		if (l->http == NULL)
			continue; /* never started */
		drop_arrivals(l);
		if (l->wake_fd >= 0)
			(void)close(l->wake_fd);
		pthread_mutex_destroy(&l->lock);
	}
	acceptor_free(h->acceptor);
	free(h->loops);
	free(h);
}
