#include "server/http/rest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "server/http/inside.h"
#include "server/server.h"

static struct rest *rest_of(struct direct *d)
{
	return (struct rest *)(void *)d;
}

/* The client's end and its next request may both have come before anybody looked. */
static enum direct_next move(struct direct *d, uint32_t events)
{
	struct rest *s = rest_of(d);
	ssize_t n;
	char x;

	if (d->conn->leaving)
		return DIRECT_AGAIN;
	n = s->over ? 0 : recv(d->fd, &x, 1, MSG_PEEK | MSG_DONTWAIT);
	s->asks = n > 0;
	if (n > 0 || n == 0 || (events & (EPOLLERR | EPOLLHUP)) != 0)
		return DIRECT_OVER;
	return DIRECT_LATER;
}

static void look(struct direct *d, int64_t now_ms)
{
	const struct settings *set = server_settings(d->loop->http->server);
	struct rest *s = rest_of(d);

	if (now_ms - s->since_ms <= (int64_t)set->http_timeout * 1000)
		return;
	s->over = true;
	direct_turn_for(d);
}

static void over(struct direct *d)
{
	struct rest *s = rest_of(d);

	if (s->asks)
		direct_return(d);
	else
		direct_close(d);
	free(s);
}

static const struct direct_kind resting = { .move = move, .look = look, .over = over };

void rest_begin(struct rest *s)
{
	s->d.kind = &resting;
	s->d.request = NULL;
	s->since_ms = s->d.loop->turn_ns / 1000000;
	direct_turn_for(&s->d); /* no event tells of what has come already */
}

void rest_park(struct conn *c)
{
	struct rest *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return;
	s->since_ms = c->loop->turn_ns / 1000000;
	if (!direct_adopt(c, &s->d, &resting)) {
		free(s);
		return;
	}
	atomic_fetch_add(&c->loop->http->server->parked, 1);
}
