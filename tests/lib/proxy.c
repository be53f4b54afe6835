#include "tests/lib/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PIECE 16384 /* taken at once: what is to be cut is cut within */

struct proxy {
	int listener, port;
	char url[64];
	pthread_t thread;
	_Atomic int target, connections, running, generation;
	_Atomic uint64_t cut_up, cut_down, rate, up, down;
	_Atomic bool varied, closed, ending;
};

/* One direction of a link. */
struct flow {
	int from, to;
	uint8_t held[PIECE];
	size_t begin, end;
	bool ended;    /* nothing more comes, and the other end was told */
	uint64_t left; /* until it is cut */
	_Atomic uint64_t *count;
};

struct link {
	struct proxy *proxy;
	int client, generation;
	unsigned seed;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
	abort();
}

static void nap(int64_t us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	(void)nanosleep(&t, NULL);
}

/* ---- a link ---- */

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		(void)close(fd);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void reset(int fd)
{
	const struct linger now = { 1, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

static uint64_t cut_after(uint64_t n, bool varied, unsigned *seed)
{
	if (n == 0)
		return UINT64_MAX;
	return varied ? n / 2 + (uint64_t)rand_r(seed) % (n / 2 + 1) : n;
}

/* Fills an empty flow. False: it broke. */
static bool take(struct flow *f)
{
	const size_t most = f->left < sizeof(f->held) ? (size_t)f->left : sizeof(f->held);
	const ssize_t n = recv(f->from, f->held, most, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->begin = 0;
	f->end = (size_t)n;
	if (n == 0) {
		f->ended = true;
		(void)shutdown(f->to, SHUT_WR);
	}
	return true;
}

/* Empties it as far as the other end takes it. False: it broke, or is cut. */
static bool give(struct flow *f)
{
	const ssize_t n =
		send(f->to, f->held + f->begin, f->end - f->begin, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->begin += (size_t)n;
	f->left -= f->left == UINT64_MAX ? 0 : (uint64_t)n;
	*f->count += (uint64_t)n;
	return f->left > 0;
}

static bool move(struct flow *f, const struct pollfd *from, const struct pollfd *to)
{
	if (f->begin == f->end && !f->ended && (from->revents & (POLLIN | POLLHUP | POLLERR)) != 0)
		return take(f);
	if (f->begin < f->end && (to->revents & (POLLOUT | POLLHUP | POLLERR)) != 0)
		return give(f);
	return true;
}

static void pump(const struct link *l, int server)
{
	struct proxy *p = l->proxy;
	unsigned seed = l->seed;
	struct flow up = { .from = l->client, .to = server, .count = &p->up };
	struct flow down = { .from = server, .to = l->client, .count = &p->down };
	struct pollfd fds[2] = { { .fd = l->client }, { .fd = server } };
	bool fine = true;

	up.left = cut_after(p->cut_up, p->varied, &seed);
	down.left = cut_after(p->cut_down, p->varied, &seed);
	while (fine && !(up.ended && down.ended) && !p->ending && p->generation == l->generation) {
		const uint64_t before = p->up;

		fds[0].events = (short)((up.begin == up.end && !up.ended ? POLLIN : 0) |
					(down.begin < down.end ? POLLOUT : 0));
		fds[1].events = (short)((down.begin == down.end && !down.ended ? POLLIN : 0) |
					(up.begin < up.end ? POLLOUT : 0));
		if (poll(fds, 2, 20) <= 0)
			continue;
		fine = move(&up, &fds[0], &fds[1]) && move(&down, &fds[1], &fds[0]);
		if (p->rate > 0 && p->up > before)
			nap((int64_t)((p->up - before) * 1000000 / p->rate));
	}
}

static void *serve(void *ctx)
{
	struct link *l = ctx;
	struct proxy *p = l->proxy;
	const int server = p->closed ? -1 : dial(p->target);

	if (server >= 0) {
		pump(l, server);
		(void)close(server);
	}
	reset(l->client);
	free(l);
	p->running--;
	return NULL;
}

/* ---- the proxy ---- */

static void begin_link(struct proxy *p, int fd)
{
	struct link *l = malloc(sizeof(*l));
	const int one = 1;
	pthread_attr_t detached;
	pthread_t thread;

	if (l == NULL)
		die("malloc");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*l = (struct link){ p, fd, p->generation, (unsigned)++p->connections };
	p->running++;
	(void)pthread_attr_init(&detached);
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, serve, l) != 0)
		die("pthread_create");
	(void)pthread_attr_destroy(&detached);
}

static void *accept_all(void *ctx)
{
	struct proxy *p = ctx;
	struct pollfd pfd = { .fd = p->listener, .events = POLLIN };

	while (!p->ending) {
		int fd;

		if (poll(&pfd, 1, 20) <= 0)
			continue;
		fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			begin_link(p, fd);
	}
	return NULL;
}

struct proxy *proxy_new(int to_port)
{
	struct proxy *p = calloc(1, sizeof(*p));
	struct sockaddr_in a = { .sin_family = AF_INET };
	const int held = 65536;
	socklen_t n = sizeof(a);

	if (p == NULL)
		die("calloc");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->target = to_port;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* what has left the client is to be what has passed here, or not much more */
	if (p->listener < 0 ||
	    setsockopt(p->listener, SOL_SOCKET, SO_RCVBUF, &held, sizeof(held)) != 0 ||
	    bind(p->listener, (struct sockaddr *)&a, n) != 0 || listen(p->listener, 64) != 0 ||
	    getsockname(p->listener, (struct sockaddr *)&a, &n) != 0)
		die("listen");
	p->port = ntohs(a.sin_port);
	(void)snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%d", p->port);
	if (pthread_create(&p->thread, NULL, accept_all, p) != 0)
		die("pthread_create");
	return p;
}

void proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	p->ending = true;
	(void)pthread_join(p->thread, NULL);
	while (p->running > 0)
		nap(1000);
	(void)close(p->listener);
	free(p);
}

int proxy_port(const struct proxy *p)
{
	return p->port;
}

const char *proxy_url(const struct proxy *p)
{
	return p->url;
}

void proxy_set_cut(struct proxy *p, uint64_t up, uint64_t down, bool varied)
{
	p->cut_up = up;
	p->cut_down = down;
	p->varied = varied;
}

void proxy_set_rate(struct proxy *p, uint64_t up)
{
	p->rate = up;
}

void proxy_set_down(struct proxy *p, bool down)
{
	p->closed = down;
}

void proxy_set_target(struct proxy *p, int port)
{
	p->target = port;
}

void proxy_break(struct proxy *p)
{
	p->generation++;
	while (p->running > 0)
		nap(1000);
}

int proxy_connections(const struct proxy *p)
{
	return p->connections;
}

uint64_t proxy_up(const struct proxy *p)
{
	return p->up;
}

uint64_t proxy_down(const struct proxy *p)
{
	return p->down;
}

bool proxy_reaches(const struct proxy *p, uint64_t up, int ms)
{
	const int64_t end = clock_mono_ms() + ms;

	while (p->up < up && clock_mono_ms() < end)
		nap(1000);
	return p->up >= up;
}
