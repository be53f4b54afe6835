#include "server/http/inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "server/http/answer_head.h"
#include "server/pages.h"
#include "server/server.h"

/* Of one connection before the others get their turn. */
#define TURN_BYTES ((size_t)2 << 20)
/* Gathered for one call. */
#define BATCH_BYTES ((size_t)1 << 20)
#define BATCH_PIECES 16

struct sending {
	struct direct d; /* first */
	char *head;      /* of the answer, until it is sent */
	size_t head_len, head_sent;
	/* Pieces that are not sent yet: they are given back when memory is short, and read again.
	 */
	struct reply_piece pieces[BATCH_PIECES];
	size_t first, count;
	uint64_t sent;       /* of the body */
	uint64_t gathered;   /* pieces go up to here */
	uint64_t chunk_left; /* bytes still to come of the chunk begun (RFC 9112 section 7.1) */
	char frame[24];      /* what stands between two chunks, and at the end */
	size_t frame_len, frame_sent;
	int64_t progress_ms; /* when the client last took something, or was not asked to */
	bool chunked;
	bool waits;  /* its reader, for somebody: not to be asked, and the request does not end */
	bool ended;  /* nothing is to be gathered any more */
	bool last;   /* the chunk that ends all has been framed */
	bool whole;  /* all of it was sent */
	bool full;   /* the socket is */
	bool broken; /* the connection is, or has to be */
	bool half;   /* the client sends no more */
};

static struct sending *sending_of(struct direct *d)
{
	return (struct sending *)(void *)d;
}

/* ---- what is to be sent ---- */

static void drop_pieces(struct sending *s)
{
	for (size_t i = s->first; i < s->count; i++)
		chunk_unref(s->pieces[i].chunk);
	s->first = s->count = 0;
	s->gathered = s->sent;
	s->ended = false;
}

static uint64_t size_of(const struct sending *s)
{
	return s->d.request->reply->size;
}

/* How much may be gathered yet: what was announced, and not more than one piece when memory is
 * short. */
static uint64_t appetite(const struct sending *s)
{
	const uint64_t held = s->gathered - s->sent;
	uint64_t most = BATCH_BYTES;

	if (s->ended || s->count == BATCH_PIECES || held >= most)
		return 0;
	if (held > 0 && !pages_have_room(request_server(s->d.request)))
		return 0;
	most = UINT64_MAX;
	if (s->chunk_left > 0)
		most = s->chunk_left - held;
	else if (size_of(s) != REPLY_SIZE_UNKNOWN)
		most = size_of(s) - s->gathered;
	return most;
}

static void add_piece(struct sending *s, struct reply_piece *p, uint64_t most)
{
	if (p->len > most)
		p->len = (size_t)most;
	s->pieces[s->count++] = *p;
	s->gathered += p->len;
}

/* An end before all came that was announced. */
static bool is_early(const struct sending *s)
{
	return s->chunk_left > s->gathered - s->sent ||
	       (size_of(s) != REPLY_SIZE_UNKNOWN && s->gathered < size_of(s));
}

/* REPLY_PIECE: there is something to be sent. What else the reader says, but for a cut, counts
 * when that is through: then it is asked again, or waits already. */
static enum reply_read gather(struct sending *s)
{
	const struct reply *r = s->d.request->reply;
	enum reply_read said = s->waits ? REPLY_WAIT : REPLY_PIECE;
	struct reply_piece p;
	uint64_t most;

	if (s->first == s->count)
		s->first = s->count = 0;
	while (said == REPLY_PIECE && (most = appetite(s)) > 0) {
		said = r->read(r->read_ctx, s->gathered, &p);
		if (said == REPLY_PIECE)
			add_piece(s, &p, most);
	}
	s->waits = said == REPLY_WAIT;
	s->ended = s->ended || said == REPLY_END || s->gathered == r->size;
	if (said == REPLY_CUT || (said == REPLY_END && is_early(s)))
		return REPLY_CUT;
	return s->count > 0 || s->ended || s->head != NULL ? REPLY_PIECE : said;
}

/* One chunk for all that was gathered, once the one before is through. */
static void frame(struct sending *s)
{
	const uint64_t held = s->gathered - s->sent;
	const char *before = s->sent > 0 ? "\r\n" : "";
	int n;

	if (!s->chunked || s->chunk_left > 0 || s->frame_len > 0 || s->last)
		return;
	if (held == 0 && !s->ended)
		return;
	s->last = held == 0;
	if (s->last)
		n = snprintf(s->frame, sizeof(s->frame), "%s0\r\n\r\n", before);
	else
		n = snprintf(s->frame, sizeof(s->frame), "%s%" PRIx64 "\r\n", before, held);
	s->frame_len = (size_t)n;
	s->frame_sent = 0;
	s->chunk_left = held;
}

/* ---- sending it ---- */

/* Of n bytes sent, those of a text are taken off. */
static size_t take_off(size_t n, size_t *done, size_t len)
{
	const size_t k = len - *done < n ? len - *done : n;

	*done += k;
	return n - k;
}

/* n bytes of what was offered have gone. */
static void advance(struct sending *s, size_t n)
{
	if (s->head != NULL) {
		n = take_off(n, &s->head_sent, s->head_len);
		if (s->head_sent == s->head_len) {
			free(s->head);
			s->head = NULL;
		}
	}
	if (s->frame_len > 0) {
		n = take_off(n, &s->frame_sent, s->frame_len);
		if (s->frame_sent == s->frame_len)
			s->frame_len = 0;
	}
	s->sent += n;
	if (s->chunk_left > 0)
		s->chunk_left -= n;
	while (n > 0) {
		struct reply_piece *p = &s->pieces[s->first];
		const size_t k = p->len < n ? p->len : n;

		p->data += k;
		p->len -= k;
		n -= k;
		if (p->len == 0) {
			chunk_unref(p->chunk);
			s->first++;
		}
	}
}

static size_t offer(struct sending *s, struct iovec v[static BATCH_PIECES + 2])
{
	size_t n = 0;

	if (s->head != NULL)
		v[n++] = (struct iovec){ s->head + s->head_sent, s->head_len - s->head_sent };
	if (s->frame_len > 0)
		v[n++] = (struct iovec){ s->frame + s->frame_sent, s->frame_len - s->frame_sent };
	for (size_t i = s->first; i < s->count; i++)
		v[n++] = (struct iovec){ (void *)(uintptr_t)s->pieces[i].data, s->pieces[i].len };
	return n;
}

/* Bytes sent; 0: the socket is full; -1: the connection is broken. */
static ssize_t send_some(struct sending *s)
{
	struct iovec v[BATCH_PIECES + 2];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = offer(s, v) };
	ssize_t n;

	do
		n = sendmsg(s->d.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return -1;
	if (n < 0) {
		s->full = true;
		return 0;
	}
	advance(s, (size_t)n);
	return n;
}

static bool is_through(const struct sending *s)
{
	return s->ended && s->sent == s->gathered && s->head == NULL && s->frame_len == 0 &&
	       (s->last || !s->chunked);
}

/* ---- the end ---- */

/* Whether closing resets the connection: also if the server is killed. */
static void set_reset(int fd, int on)
{
	const struct linger l = { .l_onoff = on, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Bytes of the client that nobody has read make the kernel reset the connection when it is closed,
 * and the end of the answer may be lost in that (RFC 9112 section 9.6): they are read. */
static enum direct_next listen_on(struct sending *s)
{
	char waste[4096];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(s->d.fd, waste, sizeof(waste), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return DIRECT_LATER;
		if (n <= 0)
			return DIRECT_OVER;
	}
	return DIRECT_AGAIN;
}

static enum direct_next finish(struct sending *s)
{
	char c;

	s->whole = true;
	if (s->d.by_reset)
		set_reset(s->d.fd, 0);
	(void)shutdown(s->d.fd, SHUT_WR);
	return recv(s->d.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ? DIRECT_AGAIN : DIRECT_OVER;
}

/* ---- turns ---- */

/* Who is waited for comes first; his wake brings the next turn. */
static enum direct_next break_off(struct sending *s)
{
	s->broken = true;
	return s->waits ? DIRECT_LATER : DIRECT_OVER;
}

static enum direct_next send_turn(struct sending *s)
{
	size_t turn = 0;
	ssize_t n;

	s->progress_ms = s->d.loop->turn_ns / 1000000;
	while (turn < TURN_BYTES) {
		switch (gather(s)) {
		case REPLY_PIECE:
			break;
		case REPLY_IDLE:
			request_idle(s->d.request);
			return s->half ? DIRECT_OVER : DIRECT_LATER;
		case REPLY_CUT:
			return DIRECT_OVER;
		case REPLY_WAIT:
		case REPLY_END:
			return DIRECT_LATER;
		}
		frame(s);
		n = is_through(s) ? 0 : send_some(s);
		if (n < 0)
			return break_off(s);
		if (is_through(s))
			return finish(s);
		if (s->full)
			return DIRECT_LATER;
		turn += (size_t)n;
	}
	return DIRECT_AGAIN;
}

static enum direct_next move(struct direct *d, uint32_t events)
{
	struct sending *s = sending_of(d);
	const enum stand stand = request_stand(d->request);

	if ((events & (EPOLLERR | EPOLLHUP)) != 0 || atomic_load(&d->cut))
		s->broken = true;
	if ((events & EPOLLRDHUP) != 0)
		s->half = true;
	if ((events & EPOLLOUT) != 0)
		s->full = false;
	s->waits = stand == WAITING;
	if (s->broken || (stand == IDLE && s->half))
		return break_off(s);
	if (s->whole)
		return listen_on(s);
	return stand == IDLE || s->full ? DIRECT_LATER : send_turn(s);
}

static void rest(struct sending *s)
{
	const struct reply *r = s->d.request->reply;

	drop_pieces(s);
	if (r->rest != NULL)
		r->rest(r->read_ctx);
}

/* A client that takes nothing for so long has gone. */
static void look(struct direct *d, int64_t now_ms)
{
	struct sending *s = sending_of(d);
	const int64_t most_s =
		s->whole ? LINGER_SECONDS : (int64_t)d->request->settings->http_timeout;

	if (request_stand(d->request) != MOVING) {
		s->progress_ms = now_ms;
		return;
	}
	if (now_ms - s->progress_ms > most_s * 1000) {
		s->broken = true;
		direct_turn_for(d);
	}
	if (s->full && now_ms - s->progress_ms >= 1000 &&
	    !pages_have_room(request_server(d->request)))
		rest(s);
}

static void over(struct direct *d)
{
	struct sending *s = sending_of(d);

	d->request->sent = s->whole;
	d->request->streamed = s->sent;
	direct_close(d);
	drop_pieces(s);
	free(s->head);
	free(s);
}

static const struct direct_kind sending = { .move = move, .look = look, .over = over };

bool direct_sends(struct request *r)
{
	/* an end without a length, told by the connection's: nothing is heard behind it anyway, and
	 * the library cannot tell a cut from it */
	const bool ends_all = r->reply->size == REPLY_SIZE_UNKNOWN && !r->http11;

	return r->reply->kind == REPLY_STREAM && r->reply->read != NULL && !r->head_only &&
	       r->side->pool == PLAIN && (ends_all || conn_is_quiet(r));
}

enum MHD_Result direct_send(struct request *r, const struct own_field *own, size_t own_count)
{
	struct sending *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return MHD_NO;
	s->chunked = r->reply->size == REPLY_SIZE_UNKNOWN && r->http11;
	s->d.by_reset = r->reply->size == REPLY_SIZE_UNKNOWN && !r->http11;
	s->progress_ms = r->side->loop->turn_ns / 1000000;
	s->head = answer_head_text(&(struct answer_head){ .reply = r->reply,
							  .own = own,
							  .own_count = own_count,
							  .close = true,
							  .chunked = s->chunked },
				   &s->head_len);
	if (s->head != NULL && direct_enter(r, &s->d, &sending, true)) {
		if (s->d.by_reset)
			set_reset(s->d.fd, 1);
		return MHD_NO;
	}
	free(s->head);
	free(s);
	return MHD_NO;
}
