#include "server/http/inside.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <utlist.h>

#define EVENTS 64

bool direct_set_init(struct direct_set *s)
{
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return s->epoll_fd >= 0;
}

void direct_set_fini(struct direct_set *s)
{
	if (s->epoll_fd >= 0)
		(void)close(s->epoll_fd);
}

/* ---- in and out ---- */

static bool watch(struct loop *l, int fd, struct direct *d)
{
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = d,
	};

	return epoll_ctl(l->direct.epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

static void keep_peer(struct direct *d, const struct sockaddr *peer)
{
	memcpy(&d->peer, peer,
	       peer->sa_family == AF_INET6 ? sizeof(d->peer.in6) : sizeof(d->peer.in4));
}

/* Another descriptor of the same socket, since the library closes its own. */
static bool take_over(struct request *r, struct direct *d)
{
	d->fd = fcntl(request_fd(r), F_DUPFD_CLOEXEC, 0);
	if (d->fd < 0)
		return false;
	keep_peer(d, request_peer(r));
	d->conn = conn_of(r->mc);
	return true;
}

static void be_taken(struct direct *d)
{
	d->conn->taken = true;
	d->conn->mc = NULL;
	d->conn->fd = d->fd;
}

static void join(struct direct *d)
{
	DL_APPEND(d->loop->direct.all, d);
	d->loop->direct.count++;
	direct_turn_for(d);
}

bool direct_enter(struct request *r, struct direct *d, const struct direct_kind *kind, bool take)
{
	struct loop *l = r->side->loop;

	d->kind = kind;
	d->loop = l;
	d->request = r;
	d->fd = request_fd(r);
	if (take && !take_over(r, d))
		return false;
	if (!watch(l, d->fd, d)) {
		if (take)
			(void)close(d->fd);
		return false;
	}
	pthread_mutex_lock(&l->lock);
	r->direct = d; /* who cuts it from now on means this descriptor */
	pthread_mutex_unlock(&l->lock);
	if (take) {
		be_taken(d);
		r->mc = NULL;
	}
	join(d);
	return true;
}

/* The library is left with something that is no socket, and ends its connection when it reads
 * there. It has to be suspended for that: then its descriptor is in no epoll set. */
static bool leave_dead(struct conn *c, struct loop *l)
{
	bool done;

	MHD_suspend_connection(c->mc);
	done = dup3(l->wake_fd, c->fd, O_CLOEXEC) == c->fd;
	MHD_resume_connection(c->mc);
	loop_kick(l);
	return done;
}

bool direct_adopt(struct conn *c, struct direct *d, const struct direct_kind *kind)
{
	struct loop *l = c->loop;

	d->kind = kind;
	d->loop = l;
	d->conn = c;
	keep_peer(d,
		  MHD_get_connection_info(c->mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
	d->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	if (d->fd < 0)
		return false;
	if (!watch(l, d->fd, d) || !leave_dead(c, l)) {
		(void)epoll_ctl(l->direct.epoll_fd, EPOLL_CTL_DEL, d->fd, NULL);
		(void)close(d->fd);
		return false;
	}
	c->leaving = true;
	be_taken(d);
	join(d);
	return true;
}

/* Nobody wakes or cuts it any more. */
static void forget(struct direct *d)
{
	struct direct_set *s = &d->loop->direct;

	pthread_mutex_lock(&d->loop->lock);
	if (d->is_woken)
		DL_DELETE2(s->woken, d, woken_prev, woken_next);
	pthread_mutex_unlock(&d->loop->lock);
	if (d->is_due)
		DL_DELETE2(s->due, d, due_prev, due_next);
	DL_DELETE(s->all, d);
	s->count--;
}

void direct_leave(struct direct *d)
{
	(void)epoll_ctl(d->loop->direct.epoll_fd, EPOLL_CTL_DEL, d->fd, NULL);
	pthread_mutex_lock(&d->loop->lock);
	d->request->direct = NULL;
	pthread_mutex_unlock(&d->loop->lock);
	forget(d);
}

void direct_close(struct direct *d)
{
	/* until the request has gone it may be cut, and means this */
	conn_end_taken(d->conn, &d->peer.any);
	forget(d);
	(void)close(d->fd);
}

static socklen_t peer_size(const struct direct *d)
{
	return d->peer.any.sa_family == AF_INET6 ? sizeof(d->peer.in6) : sizeof(d->peer.in4);
}

void direct_return(struct direct *d)
{
	struct loop *l = d->loop;

	(void)epoll_ctl(l->direct.epoll_fd, EPOLL_CTL_DEL, d->fd, NULL);
	forget(d);
	l->returning = d->conn;
	if (MHD_add_connection(l->sides[PLAIN].daemon, d->fd, &d->peer.any, peer_size(d)) ==
		    MHD_YES ||
	    l->returning == NULL)
		return;
	/* it has closed the socket, and told nobody */
	l->returning = NULL;
	conn_end_taken(d->conn, &d->peer.any);
}

/* ---- whose turn it is ---- */

void direct_turn_for(struct direct *d)
{
	if (d->is_due)
		return;
	d->is_due = true;
	DL_APPEND2(d->loop->direct.due, d, due_prev, due_next);
}

void direct_wake(struct direct *d)
{
	if (d->is_woken)
		return;
	d->is_woken = true;
	DL_APPEND2(d->loop->direct.woken, d, woken_prev, woken_next);
}

bool direct_is_due(const struct direct_set *s)
{
	return s->due != NULL;
}

static void collect_woken(struct loop *l)
{
	struct direct *d;

	pthread_mutex_lock(&l->lock);
	while ((d = l->direct.woken) != NULL) {
		DL_DELETE2(l->direct.woken, d, woken_prev, woken_next);
		d->is_woken = false;
		direct_turn_for(d);
	}
	pthread_mutex_unlock(&l->lock);
}

static void collect_events(struct loop *l)
{
	struct epoll_event e[EVENTS];
	int n;

	do {
		n = epoll_wait(l->direct.epoll_fd, e, EVENTS, 0);
		for (int i = 0; i < n; i++) {
			struct direct *d = e[i].data.ptr;

			d->events |= e[i].events;
			direct_turn_for(d);
		}
	} while (n == EVENTS);
}

static void move(struct direct *d)
{
	const uint32_t events = d->events;

	d->events = 0;
	switch (d->kind->move(d, events)) {
	case DIRECT_AGAIN:
		direct_turn_for(d);
		break;
	case DIRECT_OVER:
		d->kind->over(d);
		break;
	case DIRECT_LATER:
		break;
	}
}

void direct_turns(struct loop *l)
{
	struct direct *d, *last;

	collect_woken(l);
	collect_events(l);
	last = l->direct.due == NULL ? NULL : l->direct.due->due_prev;
	while ((d = l->direct.due) != NULL) {
		DL_DELETE2(l->direct.due, d, due_prev, due_next);
		d->is_due = false;
		move(d);
		if (d == last)
			break;
	}
}

void direct_look(struct loop *l, int64_t now_ms)
{
	struct direct *d;

	DL_FOREACH (l->direct.all, d)
		d->kind->look(d, now_ms);
}

void direct_stop(struct loop *l)
{
	struct direct *d;

	DL_FOREACH (l->direct.all, d) {
		d->events |= EPOLLHUP;
		direct_turn_for(d);
	}
}
