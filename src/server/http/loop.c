#include "server/http/inside.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/clock.h"
#include "server/http/rest.h"
#include "server/server.h"

/* At a connection between two requests, one a second; then it is parked. */
#define LOOKS 2

struct arrival {
	int fd;
	enum pool pool;
	socklen_t sa_len;
	struct sockaddr_storage sa;
	struct arrival *next;
};

void loop_kick(struct loop *l)
{
	uint64_t one = 1;

	if (!atomic_exchange(&l->kicked, true))
		(void)!write(l->wake_fd, &one, sizeof(one));
}

bool loop_give(struct loop *l, const struct accepted *in)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return false;
	*a = (struct arrival){ .fd = in->fd, .sa = in->sa, .sa_len = in->sa_len };
	a->pool = in->tls ? TLS : PLAIN;
	atomic_fetch_add(&l->conn_count, 1);
	pthread_mutex_lock(&l->lock);
	LL_PREPEND(l->arrivals, a);
	pthread_mutex_unlock(&l->lock);
	loop_kick(l);
	return true;
}

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

/* While draining, connections between two requests are shown the door, but for the operator's: on
 * each of those a question may be about to come. When cutting, all are. */
static void dismiss(struct loop *l, int phase)
{
	struct conn *c;

	DL_FOREACH (l->conns, c) {
		if (c->taken && c->request != NULL)
			continue;
		if (phase == CUTTING || (c->request == NULL && !c->asks))
			(void)shutdown(c->fd, phase == CUTTING ? SHUT_RDWR : SHUT_RD);
		if (phase == CUTTING && c->request != NULL && request_stand(c->request) == IDLE)
			request_wake(c->request);
	}
	if (phase == CUTTING)
		direct_stop(l);
}

/* When the loop must look again although nothing happens, in ms; marks the daemons that have work
 * left over from the last turn. */
static int turn_timeout(struct loop *l, bool due[static POOLS])
{
	MHD_UNSIGNED_LONG_LONG t;
	int ms = direct_is_due(&l->direct) ? 0 : 1000;

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
		if (c->request != NULL || c->looks == LOOKS)
			continue;
		c->looks++;
		if (recv(c->fd, &x, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			(void)shutdown(c->fd, SHUT_RDWR);
		else if (c->looks == LOOKS && c->mc != NULL && conn_is_idle(c))
			rest_park(c);
	}
}

/* No event tells of the leaving of one that the library has suspended. */
static void look_for_idle_leavers(struct loop *l)
{
	struct conn *c;

	DL_FOREACH (l->conns, c) {
		struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

		if (c->taken || c->request == NULL || request_stand(c->request) != IDLE ||
		    poll(&p, 1, 0) <= 0)
			continue;
		c->request->left = true;
		request_wake(c->request);
	}
}

static void look_for_slow(struct loop *l, int64_t now_ms)
{
	const struct settings *s = server_settings(l->http->server);
	struct conn *c;

	if (s->upload_min_rate == 0)
		return;
	DL_FOREACH (l->conns, c)
		if (c->request != NULL)
			way_check_pace(c->request, s, now_ms);
}

/* What no event tells of; once a second. */
static void look_around(struct loop *l, int64_t now_ms)
{
	if (now_ms < l->look_ms)
		return;
	l->look_ms = now_ms + 1000;
	look_for_leavers(l);
	look_for_idle_leavers(l);
	direct_look(l, now_ms);
	look_for_slow(l, now_ms);
}

static bool turn_stop(struct loop *l)
{
	int phase = atomic_load(&l->http->phase);

	if (phase == RUNNING)
		return false;
	dismiss(l, phase);
	if (phase == DRAINING) /* the operator is answered to the end */
		return l->sides[OPERATOR].daemon == NULL && atomic_load(&l->conn_count) == 0;
	/* B7: a daemon stopped while a connection is suspended aborts the process. Whoever made a
	 * request wait wakes it in the end; one more turn takes it out of its suspension. */
	if (atomic_load(&l->waiting) != 0 || l->direct.count != 0)
		l->quiet_turns = 0;
	else if (l->quiet_turns++ == 2)
		return true;
	loop_kick(l);
	return false;
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;
	struct pollfd p[POOLS + 2];
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
	p[POOLS + 1] = (struct pollfd){ .fd = l->direct.epoll_fd, .events = POLLIN };
	do {
		int ms = turn_timeout(l, due);
		int events = poll(p, POOLS + 2, ms);
		/* after a silence, or a wake-up, all are looked at: time is up for some connection,
		 * or one is to be resumed */
		bool all = (events <= 0 && ms > 0) || p[POOLS].revents != 0;

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
		if (p[POOLS].revents != 0 || p[POOLS + 1].revents != 0 || direct_is_due(&l->direct))
			direct_turns(l);
		look_around(l, l->turn_ns / 1000000);
	} while (!turn_stop(l));
	return NULL;
}

bool loop_start(struct http *h, struct loop *l, const struct settings *set, bool tls, int admin_fd)
{
	l->http = h;
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&l->lock, NULL);
	if (!direct_set_init(&l->direct) || l->wake_fd < 0 || !daemons_start(l, set, tls, admin_fd))
		return false;
	l->running = pthread_create(&l->thread, NULL, loop_main, l) == 0;
	return l->running;
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

void loop_fini(struct loop *l)
{
	drop_arrivals(l);
	if (l->wake_fd >= 0)
		(void)close(l->wake_fd);
	direct_set_fini(&l->direct);
	pthread_mutex_destroy(&l->lock);
}
