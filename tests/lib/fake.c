#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/fake_peer.h"

#define PEERS_MAX 256
#define REQUESTS_MAX 4096

struct fake {
	fake_script *script;
	void *ctx;
	int listener, stop[2]; /* a pipe: closed at its writing end when it is over */
	char url[64];
	pthread_t thread;
	pthread_mutex_t lock;
	struct fake_peer *peers[PEERS_MAX]; /* of the accepting thread, then of fake_free() */
	int peer_count;
	atomic_int number;
	struct fake_request *asked[REQUESTS_MAX]; /* whose scripts have ended */
	int ended;
};

/* ---- connections ---- */

static void remember(struct fake *f, struct fake_request *r)
{
	(void)pthread_mutex_lock(&f->lock);
	f->asked[r->number] = r;
	f->ended++;
	(void)pthread_mutex_unlock(&f->lock);
}

/* One request; false: the connection is to end. */
static bool serve(struct fake_peer *p)
{
	struct fake_request *r = calloc(1, sizeof(*r));
	bool whole;

	if (r == NULL)
		fake_die("memory");
	r->peer = p;
	r->connection = p->number;
	if (!fake_peer_head(r)) {
		free(r);
		return false;
	}
	r->number = atomic_fetch_add(&p->fake->number, 1);
	if (r->number >= REQUESTS_MAX)
		fake_die("too many requests");
	p->fake->script(r, p->fake->ctx);
	whole = r->body_whole;
	remember(p->fake, r);
	return whole && !p->close && !p->reset;
}

/* What still comes is read and thrown away, so that no RST overtakes the answer. */
static void say_good_bye(struct fake_peer *p)
{
	char rest[65536];
	const struct linger now = { .l_onoff = 1 };

	if (p->reset)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	else if (shutdown(p->fd, SHUT_WR) == 0)
		while (fake_peer_wait(p, p->fd, 2000) == 1 &&
		       recv(p->fd, rest, sizeof(rest), 0) > 0)
			;
	(void)close(p->fd);
}

static void *talk(void *arg)
{
	struct fake_peer *p = arg;

	while (serve(p))
		;
	say_good_bye(p);
	return NULL;
}

static void *listen_on(void *arg)
{
	struct fake *f = arg;
	struct pollfd fds[2] = { { .fd = f->stop[0], .events = POLLIN },
				 { .fd = f->listener, .events = POLLIN } };

	while (poll(fds, 2, -1) > 0 && fds[0].revents == 0) {
		struct fake_peer *p = calloc(1, sizeof(*p));

		if (p == NULL || f->peer_count == PEERS_MAX)
			fake_die("too many connections");
		p->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
		p->fake = f;
		p->stop = f->stop[0];
		p->number = f->peer_count;
		f->peers[f->peer_count++] = p;
		if (p->fd < 0 || pthread_create(&p->thread, NULL, talk, p) != 0)
			fake_die("accept");
	}
	return NULL;
}

/* ---- the server ---- */

struct fake *fake_new(fake_script *script, void *ctx)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);
	struct fake *f = calloc(1, sizeof(*f));

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (f == NULL || pipe(f->stop) != 0)
		fake_die("new");
	f->script = script;
	f->ctx = ctx;
	(void)pthread_mutex_init(&f->lock, NULL);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&sa, n) != 0 ||
	    listen(f->listener, 64) != 0 ||
	    getsockname(f->listener, (struct sockaddr *)&sa, &n) != 0)
		fake_die("listen");
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", ntohs(sa.sin_port));
	if (pthread_create(&f->thread, NULL, listen_on, f) != 0)
		fake_die("thread");
	return f;
}

void fake_free(struct fake *f)
{
	if (f == NULL)
		return;
	(void)close(f->stop[1]);
	(void)pthread_join(f->thread, NULL);
	for (int i = 0; i < f->peer_count; i++) {
		(void)pthread_join(f->peers[i]->thread, NULL);
		free(f->peers[i]->in);
		free(f->peers[i]);
	}
	for (int i = 0; i < REQUESTS_MAX; i++) {
		if (f->asked[i] != NULL)
			free(f->asked[i]->body);
		free(f->asked[i]);
	}
	(void)close(f->stop[0]);
	(void)close(f->listener);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

int fake_port(const struct fake *f)
{
	return atoi(strrchr(f->url, ':') + 1);
}

const char *fake_url(const struct fake *f)
{
	return f->url;
}

int fake_count(struct fake *f)
{
	return atomic_load(&f->number);
}

static int ended(struct fake *f)
{
	int n;

	(void)pthread_mutex_lock(&f->lock);
	n = f->ended;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

bool fake_reaches(struct fake *f, int want, int ms)
{
	for (; ms > 0 && ended(f) < want; ms -= 5)
		(void)poll(NULL, 0, 5);
	return ended(f) >= want;
}

static const struct fake_request *asked(struct fake *f, int number)
{
	const struct fake_request *r;

	(void)pthread_mutex_lock(&f->lock);
	r = f->asked[number];
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

const struct fake_request *fake_asked(struct fake *f, int number)
{
	for (int ms = 0; ms < 3000 && asked(f, number) == NULL; ms += 5)
		(void)poll(NULL, 0, 5);
	return asked(f, number);
}
