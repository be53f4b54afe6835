#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/crash/campaign.h"

struct client *connect_to(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const struct timeval limit = { .tv_sec = 20 };
	const int one = 1;
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		fail("no memory");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fail("socket: %s", strerror(errno));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return c;
	client_close(c);
	return NULL;
}

bool have_client(struct worker *w)
{
	if (w->client == NULL)
		w->client = connect_to(w->c->server.port);
	return w->client != NULL;
}

void drop_client(struct worker *w)
{
	client_close(w->client);
	w->client = NULL;
}

void fields_add(struct fields *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(f->text + f->n, sizeof(f->text) - f->n, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n + 2 >= sizeof(f->text) - f->n)
		fail("too many fields");
	f->n += (size_t)n;
	memcpy(f->text + f->n, "\r\n", 3);
	f->n += 2;
}

static bool send_chunked(struct worker *w, const struct load *l)
{
	for (size_t at = 0, k; at < l->n; at += k) {
		size_t now;

		k = 1 + below(&w->random, 300 << 10);
		if (k > l->n - at)
			k = l->n - at;
		now = l->sent - at < k ? l->sent - at : k;
		if (!client_sendf(w->client, "%zx\r\n", k) ||
		    !client_send(w->client, l->p + at, now))
			return false;
		if (now < k || (at + now == l->sent && l->sent < l->n))
			return true; /* broken off */
		if (!client_send(w->client, "\r\n", 2))
			return false;
	}
	return client_sendf(w->client, "0\r\n%s\r\n", l->trailer != NULL ? l->trailer : "");
}

bool ask(struct worker *w, const char *method, const char *target, const struct fields *f,
	 const struct load *l)
{
	char length[64] = "";

	if (!have_client(w))
		return false;
	if (l != NULL && l->chunked)
		(void)snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
	else if (l != NULL)
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", l->n);
	if (!client_sendf(w->client, "%s %s HTTP/1.1\r\nHost: t\r\n%s%s\r\n", method, target,
			  length, f != NULL ? f->text : ""))
		return false;
	if (l == NULL)
		return true;
	return l->chunked ? send_chunked(w, l) : client_send(w->client, l->p, l->sent);
}

bool whole_answer(struct worker *w, bool head_only, struct answer *a)
{
	char connection[32];
	bool whole;

	client_answer(w->client, head_only, a, NULL);
	whole = a->status != 0 && a->whole;
	if (!whole)
		answer_free(a);
	if (!whole || (answer_field(a, "Connection", connection, sizeof(connection)) &&
		       strcasecmp(connection, "close") == 0))
		drop_client(w);
	return whole;
}

bool exchange(struct worker *w, const char *method, const char *target, const struct fields *f,
	      const struct load *l, struct answer *a)
{
	const bool sent = ask(w, method, target, f, l);

	if (w->client == NULL)
		return false;
	if (!sent && atomic_load(&w->c->killing)) {
		drop_client(w);
		return false;
	}
	return whole_answer(w, strcmp(method, "HEAD") == 0, a);
}
