#include "tests/lib/client.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	(void)fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	abort();
}

struct client *client_open_from(int port, const char *address)
{
	struct sockaddr_in me = { .sin_family = AF_INET };
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { .tv_sec = 10 };
	const int one = 1;
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		die("calloc");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	if (address != NULL && (inet_pton(AF_INET, address, &me.sin_addr) != 1 ||
				bind(c->fd, (struct sockaddr *)&me, sizeof(me)) != 0))
		die("bind");
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		die("connect");
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return c;
}

struct client *client_open(int port)
{
	return client_open_from(port, NULL);
}

void client_close(struct client *c)
{
	if (c == NULL)
		return;
	(void)close(c->fd);
	free(c->buf);
	free(c);
}

void client_reset(struct client *c)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	client_close(c);
}

bool client_send(struct client *c, const void *data, size_t n)
{
	const uint8_t *p = data;
	ssize_t k;

	while (n > 0) {
		k = send(c->fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

bool client_sendf(struct client *c, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;
	bool ok;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("vasprintf");
	ok = client_send(c, text, (size_t)n);
	free(text);
	return ok;
}

void client_half_close(struct client *c)
{
	(void)shutdown(c->fd, SHUT_WR);
}

/* Reads some more; false at the end, on an error, and after 10 s of silence. */
static bool more(struct client *c)
{
	ssize_t k;

	if (c->cap - c->len < 65536) {
		c->cap = c->cap * 2 + 65536;
		c->buf = realloc(c->buf, c->cap);
		if (c->buf == NULL)
			die("realloc");
	}
	do
		k = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	while (k < 0 && errno == EINTR);
	if (k <= 0)
		return false;
	c->len += (size_t)k;
	return true;
}

static void take(struct client *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->len - n);
	c->len -= n;
}

/* Moves n received bytes behind the body; false if they do not come. */
static bool to_body(struct client *c, struct answer *a, size_t n)
{
	bool all;
	size_t k;

	while (c->len < n && more(c))
		;
	all = c->len >= n;
	k = all ? n : c->len;
	a->body = realloc(a->body, a->body_len + k + 1);
	if (a->body == NULL)
		die("realloc");
	if (k > 0)
		memcpy(a->body + a->body_len, c->buf, k);
	a->body_len += k;
	a->body[a->body_len] = '\0';
	if (k > 0)
		take(c, k);
	return all;
}

/* A line with its CRLF taken away; false if none comes. */
static bool line(struct client *c, char *out, size_t size)
{
	uint8_t *end;
	size_t n;

	while (c->len == 0 || (end = memmem(c->buf, c->len, "\r\n", 2)) == NULL)
		if (!more(c))
			return false;
	n = (size_t)(end - c->buf);
	(void)snprintf(out, size, "%.*s", (int)n, (const char *)c->buf);
	take(c, n + 2);
	return true;
}

static void chunked_body(struct client *c, struct answer *a)
{
	char text[256];
	size_t n;

	for (;;) {
		if (!line(c, text, sizeof(text)))
			return;
		n = strtoul(text, NULL, 16);
		if (n == 0)
			break;
		if (!to_body(c, a, n) || !line(c, text, sizeof(text)))
			return;
	}
	do
		if (!line(c, text, sizeof(text)))
			return;
	while (text[0] != '\0');
	a->whole = true;
}

static bool read_head(struct client *c, struct answer *a)
{
	uint8_t *end;
	size_t n;

	while (c->len == 0 || (end = memmem(c->buf, c->len, "\r\n\r\n", 4)) == NULL)
		if (!more(c))
			return false;
	n = (size_t)(end - c->buf) + 4;
	free(a->head);
	a->head = strndup((const char *)c->buf, n);
	take(c, n);
	a->status = a->head != NULL && strlen(a->head) > 12 ? atoi(a->head + 9) : 0;
	return true;
}

void client_answer(struct client *c, bool head_only, struct answer *a, int *interim)
{
	char value[64];

	*a = (struct answer){ 0 };
	if (interim != NULL)
		*interim = 0;
	for (;;) {
		if (!read_head(c, a)) {
			a->status = 0;
			(void)to_body(c, a, 0);
			return;
		}
		if (a->status >= 200)
			break;
		if (interim != NULL)
			++*interim;
	}
	(void)to_body(c, a, 0);
	if (head_only || a->status == 204 || a->status == 304)
		a->whole = true;
	else if (answer_field(a, "Transfer-Encoding", value, sizeof(value)))
		chunked_body(c, a);
	else if (answer_field(a, "Content-Length", value, sizeof(value)))
		a->whole = to_body(c, a, strtoul(value, NULL, 10));
	else {
		while (more(c))
			;
		a->whole = to_body(c, a, c->len);
	}
}

int client_peek(struct client *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint8_t waste[4096];
	ssize_t k;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	k = recv(c->fd, waste, sizeof(waste), MSG_PEEK);
	return k <= 0 ? -1 : (int)k;
}

bool client_closed_within(struct client *c, int ms)
{
	return c->len == 0 && client_peek(c, ms) == -1;
}

void answer_free(struct answer *a)
{
	free(a->head);
	free(a->body);
	*a = (struct answer){ 0 };
}

bool answer_field(const struct answer *a, const char *name, char *out, size_t size)
{
	const size_t n = strlen(name);
	const char *p = a->head;

	out[0] = '\0';
	while (p != NULL && (p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		p += n + 1;
		p += strspn(p, " ");
		(void)snprintf(out, size, "%.*s", (int)strcspn(p, "\r\n"), p);
		return true;
	}
	return false;
}

bool answer_json(const struct answer *a, const char *name, char *out, size_t size)
{
	char key[64];
	const char *p;

	(void)snprintf(key, sizeof(key), "\"%s\":", name);
	out[0] = '\0';
	p = a->body == NULL ? NULL : strstr((const char *)a->body, key);
	if (p == NULL)
		return false;
	p += strlen(key);
	p += strspn(p, " ");
	if (*p == '"')
		(void)snprintf(out, size, "%.*s", (int)strcspn(p + 1, "\""), p + 1);
	else
		(void)snprintf(out, size, "%.*s", (int)strcspn(p, ",}"), p);
	return true;
}

void http_request(int port, const char *method, const char *target, const char *fields,
		  const void *body, size_t n, struct answer *a)
{
	struct client *c = client_open(port);

	(void)client_sendf(c, "%s %s HTTP/1.1\r\nHost: t\r\n%s", method, target, fields);
	if (body != NULL)
		(void)client_sendf(c, "Content-Length: %zu\r\n", n);
	(void)client_sendf(c, "\r\n");
	if (body != NULL)
		(void)client_send(c, body, n);
	client_answer(c, strcmp(method, "HEAD") == 0, a, NULL);
	client_close(c);
}

void http_get(int port, const char *target, const char *fields, struct answer *a)
{
	http_request(port, "GET", target, fields, NULL, 0, a);
}

int http_put(int port, const char *query, const void *body, size_t n, char *token)
{
	char target[600];
	struct answer a;
	int status;

	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	http_request(port, "PUT", target, "", body == NULL ? "" : body, n, &a);
	status = a.status;
	if (token != NULL)
		(void)answer_json(&a, "token", token, 52);
	answer_free(&a);
	return status;
}

void fill_random(uint8_t *out, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 0x1234567u;

	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
		}
		out[i] = (uint8_t)(x >> (i % 8 * 8));
	}
}

bool client_chunk(struct client *c, const void *data, size_t n)
{
	return client_sendf(c, "%zx\r\n", n) && client_send(c, data, n) &&
	       client_send(c, "\r\n", 2);
}

void client_nap(int ms)
{
	(void)poll(NULL, 0, ms);
}

int open_sockets(pid_t pid)
{
	char path[320], target[16];
	struct dirent *entry;
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
		n += readlink(path, target, sizeof(target)) > 7 &&
		     memcmp(target, "socket:", 7) == 0;
	}
	if (d == NULL)
		return 1;
	(void)closedir(d);
	return n;
}

int http_place(int port, const char *query, const void *body, size_t n, struct placed *p)
{
	char target[600], size[32];
	struct answer a;
	int status;

	*p = (struct placed){ 0 };
	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	http_request(port, "PUT", target, "", n == 0 ? "" : body, n, &a);
	status = a.status;
	if (status == 201) {
		(void)answer_json(&a, "token", p->token, sizeof(p->token));
		(void)answer_json(&a, "manage_token", p->manage, sizeof(p->manage));
		(void)answer_json(&a, "sha256", p->sha256, sizeof(p->sha256));
		(void)answer_json(&a, "expires_at", p->expires_at, sizeof(p->expires_at));
		(void)answer_json(&a, "size", size, sizeof(size));
		(void)answer_field(&a, "Location", p->upload, sizeof(p->upload));
		p->size = strtoull(size, NULL, 10);
	}
	answer_free(&a);
	return status;
}

bool http_has(int port, const char *token, const void *body, size_t n)
{
	char target[200];
	struct answer a;
	bool same;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_get(port, target, "", &a);
	same = a.status == 200 && a.whole && a.body_len == n &&
	       (n == 0 || memcmp(a.body, body, n) == 0);
	answer_free(&a);
	return same;
}

int http_status(int port, const char *method, const char *prefix, const char *rest)
{
	char target[600];
	struct answer a;
	int status;

	(void)snprintf(target, sizeof(target), "%s%s", prefix, rest);
	http_request(port, method, target, "", NULL, 0, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

/* ---- multipart/byteranges ---- */

static bool skip_text(const uint8_t **p, const uint8_t *end, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

/* The fields of one part, up to the bytes. */
static bool part_head(const uint8_t **p, const uint8_t *end, struct part *out)
{
	unsigned long long first, last, of;
	bool ranged = false;
	char field[256];
	const uint8_t *eol;

	*out = (struct part){ 0 };
	while ((eol = memmem(*p, (size_t)(end - *p), "\r\n", 2)) != NULL) {
		(void)snprintf(field, sizeof(field), "%.*s", (int)(eol - *p), (const char *)*p);
		*p = eol + 2;
		if (field[0] == '\0')
			break;
		if (strncasecmp(field, "Content-Type: ", 14) == 0)
			(void)snprintf(out->type, sizeof(out->type), "%.63s", field + 14);
		if (strncasecmp(field, "Content-Range: ", 15) == 0 &&
		    sscanf(field + 15, "bytes %llu-%llu/%llu", &first, &last, &of) == 3) {
			out->first = first;
			out->last = last;
			out->of = of;
			ranged = first <= last && last < of;
		}
	}
	out->data = *p;
	if (!ranged || (uint64_t)(end - *p) < out->last - out->first + 1)
		return false;
	*p += out->last - out->first + 1;
	return true;
}

int answer_parts(const struct answer *a, struct part *parts, int max)
{
	const uint8_t *p = a->body, *end = p + a->body_len;
	char type[200], between[128];
	int n = 0;

	if (!answer_field(a, "Content-Type", type, sizeof(type)) ||
	    strncmp(type, "multipart/byteranges; boundary=", 31) != 0)
		return -1;
	(void)snprintf(between, sizeof(between), "\r\n--%.100s", type + 31);
	/* the first delimiter may lack the line end before it */
	if (!skip_text(&p, end, between) && !skip_text(&p, end, between + 2))
		return -1;
	while (skip_text(&p, end, "\r\n"))
		if (n == max || !part_head(&p, end, &parts[n++]) || !skip_text(&p, end, between))
			return -1;
	return skip_text(&p, end, "--\r\n") && p == end ? n : -1;
}
