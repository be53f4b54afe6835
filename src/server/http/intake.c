#include "server/http/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/rest.h"
#include "server/metrics.h"

/* So much has to be still to come: a shorter rest is through the library's buffer before the change
 * has paid. */
#define WORTH ((uint64_t)32 << 10)
/* What one connection may bring before the others get their turn. */
#define TURN_BYTES ((uint64_t)1 << 20)

struct intake {
	struct rest rest; /* first: once its request is over */
	size_t there;     /* so much is known to be in the socket */
	bool ended;       /* its client sends no more */
	bool late;        /* nothing has come for too long */
	bool stay;        /* for the next request */
	int64_t heard_ms; /* when something came, or was not waited for */
};

static struct intake *intake_of(struct direct *d)
{
	return (struct intake *)(void *)d;
}

/* ---- bytes ---- */

enum step {
	MORE,  /* in this turn */
	EMPTY, /* when something comes */
	WAITS, /* when the handler wakes it */
	END,
};

static uint64_t left_of(const struct request *r)
{
	return r->body_length - r->body_seen;
}

static size_t at_most(const struct request *r, size_t n)
{
	return left_of(r) < n ? (size_t)left_of(r) : n;
}

static size_t unread(const struct intake *x)
{
	int n = 0;

	return ioctl(x->rest.d.fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* Bytes into out, maybe none. A short count has emptied the socket, unless an end was told of. Of
 * what comes in full, more may be there. */
static size_t receive(struct intake *x, const struct iovec *out, enum step *step)
{
	struct request *r = x->rest.d.request;
	ssize_t n = recv(x->rest.d.fd, out->iov_base, out->iov_len, MSG_DONTWAIT);

	x->there = 0;
	*step = n < 0 && errno == EAGAIN ? EMPTY : END;
	if (n <= 0)
		return 0;
	if ((size_t)n == out->iov_len && left_of(r) > (uint64_t)n)
		x->there = unread(x);
	*step = x->there > 0 || x->ended ? MORE : EMPTY;
	x->heard_ms = x->rest.d.loop->turn_ns / 1000000;
	x->rest.d.conn->heard += (size_t)n;
	r->body_seen += (size_t)n;
	metric_add(METRIC_BYTES_RECEIVED, (uint64_t)n);
	return (size_t)n;
}

static enum step take_some(struct intake *x)
{
	struct request *r = x->rest.d.request;
	struct iovec out = { 0 };
	enum http_next next = r->handler->room(r, at_most(r, x->there), &out);
	enum step step;

	if (next == HTTP_WAIT)
		return WAITS;
	if (next == HTTP_CUT)
		return END;
	if (r->reply != NULL)
		return respond_early(r, true) == MHD_YES ? MORE : END;
	out.iov_len = at_most(r, out.iov_len);
	r->handler->came(r, receive(x, &out, &step));
	return step;
}

/* Answered, or about to be: what still comes is of no use. */
static enum step throw_away(struct intake *x)
{
	static _Thread_local char waste[64 << 10];
	struct request *r = x->rest.d.request;
	const struct iovec out = { waste, at_most(r, sizeof(waste)) };
	enum step step;
	size_t n = receive(x, &out, &step);

	if (r->state == LINGERING && linger_over(&r->linger, n, clock_mono_ms()))
		return END;
	return step;
}

static enum step bring_in(struct intake *x)
{
	struct request *r = x->rest.d.request;
	const uint64_t until = r->body_seen + TURN_BYTES;
	enum step step = MORE;

	while (step == MORE && r->body_seen < until && left_of(r) > 0)
		step = r->state == AT_BODY ? take_some(x) : throw_away(x);
	return step;
}

/* ---- what follows ---- */

static enum direct_next answer(struct intake *x)
{
	struct request *r = x->rest.d.request;

	way_move(r, ANSWERED);
	x->stay = !x->ended;
	r->sent = respond_taken(r, &x->stay);
	x->stay = x->stay && r->sent;
	return DIRECT_OVER;
}

static enum direct_next finish(struct intake *x)
{
	struct request *r = x->rest.d.request;

	if (r->state == LINGERING)
		return DIRECT_OVER; /* answered long ago */
	if (r->state == AT_BODY)
		way_move(r, AT_DONE);
	if (r->reply == NULL) {
		enum http_next next = r->handler->done(r);

		r->done_waited = next == HTTP_WAIT;
		if (next == HTTP_WAIT)
			return DIRECT_LATER;
	}
	return r->reply != NULL ? answer(x) : DIRECT_OVER;
}

static enum direct_next go_on(struct intake *x)
{
	struct request *r = x->rest.d.request;
	enum step step = left_of(r) > 0 ? bring_in(x) : MORE;

	if (step == WAITS)
		return DIRECT_LATER;
	/* what had come when it was interrupted is taken */
	if (step == END || (r->state == AT_BODY && request_interrupted(r)))
		return DIRECT_OVER;
	if (left_of(r) == 0)
		return finish(x);
	return step == MORE ? DIRECT_AGAIN : DIRECT_LATER;
}

/* ---- its kind ---- */

static bool cutting(const struct intake *x)
{
	return atomic_load(&x->rest.d.loop->http->phase) == CUTTING;
}

static enum direct_next move(struct direct *d, uint32_t events)
{
	struct intake *x = intake_of(d);
	struct request *r = d->request;

	x->ended = x->ended || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	if (request_stand(r) == WAITING)
		return DIRECT_LATER;
	way_go_on(r);
	if (!x->late && !atomic_load(&d->cut) && !cutting(x))
		return go_on(x);
	r->over = true;
	/* what is durable by now is answered */
	return cutting(x) && r->done_waited ? finish(x) : DIRECT_OVER;
}

static void look(struct direct *d, int64_t now_ms)
{
	struct intake *x = intake_of(d);
	const struct request *r = d->request;

	if (request_stand(d->request) == WAITING)
		x->heard_ms = now_ms;
	x->late = now_ms - x->heard_ms > (int64_t)r->settings->http_timeout * 1000 ||
		  (r->state == LINGERING && now_ms > r->linger.until_ms);
	if (x->late)
		direct_turn_for(d);
}

static void over(struct direct *d)
{
	struct intake *x = intake_of(d);

	d->request->over = true;
	if (!x->stay) {
		direct_close(d);
		free(x);
		return;
	}
	conn_end_request(d->conn);
	rest_begin(&x->rest);
}

static const struct direct_kind intake = { .move = move, .look = look, .over = over };

/* Who is told that will send. */
static void invite(struct request *r)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	(void)send(request_fd(r), text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void intake_expect(struct request *r)
{
	if (r->handler->room != NULL && r->side->pool == PLAIN &&
	    r->body_length != HTTP_LENGTH_UNKNOWN && r->body_length >= WORTH)
		kept_make(r);
}

bool intake_begin(struct request *r)
{
	struct intake *x;

	if (r->kept == NULL || r->handler->room == NULL || r->state != AT_BODY ||
	    left_of(r) < WORTH)
		return false;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return false;
	x->heard_ms = r->side->loop->turn_ns / 1000000;
	if (!direct_enter(r, &x->rest.d, &intake, true)) {
		free(x);
		return false;
	}
	x->there = unread(x);
	if (r->body_seen == 0 && request_expects_continue(r))
		invite(r);
	return true;
}
