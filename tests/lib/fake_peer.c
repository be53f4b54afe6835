#include "tests/lib/fake_peer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define IDLE_MS 20000 /* nobody waits longer, whatever went wrong */

void fake_die(const char *what)
{
	(void)fprintf(stderr, "fake: %s: %s\n", what, strerror(errno));
	abort();
}

int fake_peer_wait(const struct fake_peer *p, int fd, int ms)
{
	struct pollfd fds[2] = { { .fd = p->stop, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };

	(void)poll(fds, 2, ms);
	return fds[0].revents != 0 ? -1 : fds[1].revents != 0;
}

/* ---- taking requests apart ---- */

/* More of what was sent; false at its end. */
static bool receive(struct fake_peer *p)
{
	ssize_t n;

	if (p->in_cap - p->in_len < 65536) {
		p->in_cap = p->in_cap * 2 + 131072;
		p->in = realloc(p->in, p->in_cap);
		if (p->in == NULL)
			fake_die("memory");
	}
	if (fake_peer_wait(p, p->fd, IDLE_MS) != 1)
		return false;
	n = recv(p->fd, p->in + p->in_len, p->in_cap - p->in_len, 0);
	if (n > 0)
		p->in_len += (size_t)n;
	return n > 0;
}

static void take(struct fake_peer *p, size_t n)
{
	memmove(p->in, p->in + n, p->in_len - n);
	p->in_len -= n;
}

/* The first line that ends so, without its end, copied to out; false: none comes. */
static bool take_until(struct fake_peer *p, const char *mark, char *out, size_t size)
{
	const size_t m = strlen(mark);
	uint8_t *at;
	size_t n;

	while (p->in_len < m || (at = memmem(p->in, p->in_len, mark, m)) == NULL)
		if (p->in_len > 65536 || !receive(p))
			return false;
	n = (size_t)(at - p->in);
	if (n >= size)
		return false;
	memcpy(out, p->in, n);
	out[n] = '\0';
	take(p, n + m);
	return true;
}

bool fake_field(const struct fake_request *r, const char *name, char *out, size_t size)
{
	const size_t n = strlen(name);

	out[0] = '\0';
	for (const char *p = r->fields; *p != '\0'; p = strstr(p, "\r\n") + 2)
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1 + strspn(p + n + 1, " ");
			(void)snprintf(out, size, "%.*s", (int)strcspn(p, "\r"), p);
			return true;
		}
	return false;
}

bool fake_peer_head(struct fake_request *r)
{
	struct fake_peer *p = r->peer;
	char head[sizeof(r->fields)], value[64];
	char *line_end;

	if (!take_until(p, "\r\n\r\n", head, sizeof(head) - 2))
		return false;
	(void)strcat(head, "\r\n");
	line_end = strstr(head, "\r\n");
	if (sscanf(head, "%15s %2047s", r->method, r->target) != 2)
		return false;
	(void)snprintf(r->fields, sizeof(r->fields), "%s", line_end + 2);
	p->framing = NO_BODY;
	p->left = 0;
	if (fake_field(r, "Transfer-Encoding", value, sizeof(value)))
		p->framing = BY_CHUNKS;
	else if (fake_field(r, "Content-Length", value, sizeof(value))) {
		p->framing = BY_LENGTH;
		p->left = strtoull(value, NULL, 10);
	}
	r->body_whole = p->framing != BY_CHUNKS && p->left == 0;
	return true;
}

/* The size of the next chunk; false: the body has ended, in one way or another. */
static bool next_chunk(struct fake_request *r)
{
	char line[64];

	if (!take_until(r->peer, "\r\n", line, sizeof(line)))
		return false;
	r->peer->left = strtoull(line, NULL, 16);
	if (r->peer->left == 0)
		r->body_whole = take_until(r->peer, "\r\n", line, sizeof(line));
	return r->peer->left > 0;
}

static void keep(struct fake_request *r, size_t n)
{
	r->body = realloc(r->body, r->body_len + n + 1);
	if (r->body == NULL)
		fake_die("memory");
	memcpy(r->body + r->body_len, r->peer->in, n);
	r->body_len += n;
	r->body[r->body_len] = '\0';
	take(r->peer, n);
	r->peer->left -= n;
}

static bool read_some(struct fake_request *r, size_t max)
{
	struct fake_peer *p = r->peer;
	char end[4];
	size_t n;

	if (p->framing == BY_CHUNKS && p->left == 0 && !next_chunk(r))
		return false;
	if (p->in_len == 0 && !receive(p))
		return false;
	n = p->in_len < p->left ? p->in_len : (size_t)p->left;
	keep(r, n < max ? n : max);
	if (p->left > 0)
		return true;
	if (p->framing == BY_LENGTH)
		r->body_whole = true;
	return p->framing == BY_LENGTH || take_until(p, "\r\n", end, sizeof(end));
}

struct bytes fake_read(struct fake_request *r, size_t max)
{
	while (!r->body_whole && r->body_len < max && read_some(r, max - r->body_len))
		;
	return (struct bytes){ r->body, r->body_len };
}

struct bytes fake_body(struct fake_request *r)
{
	return fake_read(r, SIZE_MAX);
}

/* ---- answering ---- */

void fake_send(struct fake_request *r, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		struct pollfd fds[2] = { { .fd = r->peer->stop, .events = POLLIN },
					 { .fd = r->peer->fd, .events = POLLOUT } };
		ssize_t k;

		if (poll(fds, 2, IDLE_MS) <= 0 || fds[0].revents != 0)
			return;
		k = send(r->peer->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k < 0 && errno != EAGAIN)
			return;
		p += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
}

void fake_printf(struct fake_request *r, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		fake_die("memory");
	fake_send(r, text, (size_t)n);
	free(text);
}

void fake_answer_bytes(struct fake_request *r, int status, const char *fields, const void *body,
		       size_t n)
{
	const bool bare = status < 200 || status == 204 || status == 304;
	char length[64] = "";

	if (!bare)
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", n);
	fake_printf(r, "HTTP/1.1 %d %s\r\n%s%s\r\n", status, "Fake", fields, length);
	if (!bare && strcmp(r->method, "HEAD") != 0)
		fake_send(r, body, n);
}

void fake_answer(struct fake_request *r, int status, const char *fields, const char *body)
{
	fake_answer_bytes(r, status, fields, body, body == NULL ? 0 : strlen(body));
}

void fake_nap(struct fake_request *r, int ms)
{
	(void)fake_peer_wait(r->peer, -1, ms);
}

void fake_close(struct fake_request *r)
{
	r->peer->close = true;
}

void fake_reset(struct fake_request *r)
{
	r->peer->reset = true;
}

void fake_hang(struct fake_request *r)
{
	struct pollfd p[2] = { { .fd = r->peer->stop, .events = POLLIN },
			       { .fd = r->peer->fd, .events = POLLRDHUP } };

	(void)poll(p, 2, IDLE_MS);
	r->peer->close = true;
}
