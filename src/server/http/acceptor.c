#include "server/http/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/log.h"
#include "server/address.h"
#include "server/metrics.h"

/* What a client too many is told; it is closed right behind. */
#define REFUSAL_BODY                                                                  \
	"{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503," \
	"\"detail\":\"Too many connections.\"}\n"
_Static_assert(sizeof(REFUSAL_BODY) - 1 == 99, "Content-Length below");
static const char REFUSAL[] = "HTTP/1.1 503 Service Unavailable\r\n"
			      "Content-Type: application/problem+json\r\n"
			      "Retry-After: 5\r\n"
			      "Connection: close\r\n"
			      "Content-Length: 99\r\n"
			      "\r\n" REFUSAL_BODY;

/* Bytes of an answer that a slow reader makes the kernel hold beyond what is on its way. */
#define UNSENT_MAX (256 << 10)

struct count {
	struct address address;
	size_t open;
	UT_hash_handle hh;
};

struct acceptor {
	const struct listener *listeners;
	size_t listener_count;
	size_t max, max_per_address;
	acceptor_give *give;
	void *ctx;
	int wake_fd;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* counts and total */
	struct count *counts;
	size_t total;
};

/* True when there is room; it is then taken. */
static bool enter(struct acceptor *a, const struct sockaddr *sa)
{
	struct address key = address_of(sa);
	struct count *c;
	bool room = false;

	pthread_mutex_lock(&a->lock);
	HASH_FIND(hh, a->counts, &key, sizeof(key), c);
	if (a->total >= a->max ||
	    (c != NULL && a->max_per_address != 0 && c->open >= a->max_per_address))
		goto out;
	if (c == NULL) {
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			goto out;
		c->address = key;
		HASH_ADD(hh, a->counts, address, sizeof(key), c);
		if (c->hh.tbl == NULL) {
			free(c);
			goto out;
		}
	}
	c->open++;
	a->total++;
	room = true;
out:
	pthread_mutex_unlock(&a->lock);
	return room;
}

void acceptor_left(struct acceptor *a, const struct sockaddr *sa)
{
	struct address key = address_of(sa);
	struct count *c;

	pthread_mutex_lock(&a->lock);
	HASH_FIND(hh, a->counts, &key, sizeof(key), c);
	if (c != NULL) {
		a->total--;
		if (--c->open == 0) {
			HASH_DEL(a->counts, c);
			free(c);
		}
	}
	pthread_mutex_unlock(&a->lock);
}

/* Reads what the client has sent so far, so that closing does not reset the connection under the
 * answer. */
static void turn_away(int fd, bool tls)
{
	char waste[4096];

	if (!tls) {
		(void)send(fd, REFUSAL, sizeof(REFUSAL) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)shutdown(fd, SHUT_WR);
		for (int i = 0; i < 16 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0; i++)
			;
	}
	(void)close(fd);
}

static void welcome(struct acceptor *a, const struct listener *l, struct accepted *in)
{
	const int one = 1, unsent = UNSENT_MAX;

	in->tls = l->tls;
	if (!enter(a, (struct sockaddr *)&in->sa)) {
		metric_add(METRIC_CONNECTIONS_REFUSED, 1);
		turn_away(in->fd, l->tls);
		return;
	}
	metric_add(METRIC_CONNECTIONS, 1);
	(void)setsockopt(in->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(in->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	a->give(a->ctx, in);
}

static void accept_some(struct acceptor *a, const struct listener *l)
{
	/* a bound, so that one busy listener does not starve the others */
	for (int i = 0; i < 64; i++) {
		struct accepted in = { .sa_len = sizeof(in.sa) };

		in.fd = accept4(l->fd, (struct sockaddr *)&in.sa, &in.sa_len,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (in.fd >= 0) {
			welcome(a, l, &in);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("event=accept error=\"%s\"", strerror(errno));
			(void)usleep(50 * 1000); /* else poll would return at once, for ever */
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void *acceptor_main(void *arg)
{
	struct acceptor *a = arg;
	struct pollfd p[SETTINGS_LISTEN_MAX + 1];
	const size_t n = a->listener_count;

	(void)pthread_setname_np(pthread_self(), "acceptor");
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = a->listeners[i].fd, .events = POLLIN };
	p[n] = (struct pollfd){ .fd = a->wake_fd, .events = POLLIN };
	for (;;) {
		(void)poll(p, n + 1, -1);
		if (p[n].revents != 0)
			return NULL;
		for (size_t i = 0; i < n; i++)
			if (p[i].revents != 0)
				accept_some(a, &a->listeners[i]);
	}
}

enum err_code acceptor_start(struct acceptor **out, const struct listener *listeners, size_t count,
			     const struct settings *settings, acceptor_give *give, void *ctx,
			     struct err *e)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return err_set(e, ERR_NOMEM, "acceptor");
	a->listeners = listeners;
	a->listener_count = count;
	a->max = settings->http_connections;
	a->max_per_address = settings->http_connections_per_address;
	a->give = give;
	a->ctx = ctx;
	pthread_mutex_init(&a->lock, NULL);
	a->wake_fd = eventfd(0, EFD_CLOEXEC);
	/* visible to the loops before the first connection is */
	*out = a;
	a->started = a->wake_fd >= 0 && pthread_create(&a->thread, NULL, acceptor_main, a) == 0;
	if (a->started)
		return ERR_OK;
	*out = NULL;
	acceptor_free(a);
	return err_set(e, ERR_IO, "acceptor does not start");
}

void acceptor_stop(struct acceptor *a)
{
	uint64_t one = 1;

	if (a == NULL || !a->started)
		return;
	a->started = false;
	(void)!write(a->wake_fd, &one, sizeof(one));
	(void)pthread_join(a->thread, NULL);
	/* Whoever connects now is refused and goes elsewhere, rather than waiting in the backlog
	 * for nobody; an inherited socket's clients wait for whoever has it next. */
	for (size_t i = 0; i < a->listener_count; i++)
		if (!a->listeners[i].inherited)
			(void)shutdown(a->listeners[i].fd, SHUT_RDWR);
}

void acceptor_free(struct acceptor *a)
{
	struct count *c, *next;

	if (a == NULL)
		return;
	acceptor_stop(a);
	HASH_ITER (hh, a->counts, c, next) {
		HASH_DEL(a->counts, c);
		free(c);
	}
	if (a->wake_fd >= 0)
		(void)close(a->wake_fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
