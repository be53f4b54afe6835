#include "tests/lib/rufh.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

bool rufh_ask(struct client *c, const char *method, const char *path, uint64_t n,
	      const char *fields)
{
	char length[64] = "Transfer-Encoding: chunked\r\n";

	if (n != RUFH_CHUNKED)
		(void)snprintf(length, sizeof(length), "Content-Length: %llu\r\n",
			       (unsigned long long)n);
	return client_sendf(c, "%s %s HTTP/1.1\r\nHost: t\r\n%s%s\r\n", method, path, length,
			    fields);
}

/* ---- interim answers ---- */

/* Some more bytes within ms, behind those not taken yet. */
static bool more(struct client *c, int64_t ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t k;

	if (ms < 0 || poll(&p, 1, (int)ms) <= 0)
		return false;
	if (c->cap - c->len < 65536) {
		c->cap = c->cap * 2 + 65536;
		c->buf = realloc(c->buf, c->cap);
		if (c->buf == NULL)
			abort();
	}
	k = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	if (k > 0)
		c->len += (size_t)k;
	return k > 0;
}

int rufh_interim(struct client *c, int ms, struct answer *a)
{
	const int64_t until = clock_mono_ms() + ms;
	uint8_t *end;
	size_t n;

	*a = (struct answer){ 0 };
	while (c->len == 0 || (end = memmem(c->buf, c->len, "\r\n\r\n", 4)) == NULL)
		if (!more(c, until - clock_mono_ms()))
			return 0;
	if (c->len < 12 || c->buf[9] != '1')
		return 0;
	n = (size_t)(end - c->buf) + 4;
	a->head = strndup((const char *)c->buf, n);
	a->status = atoi(a->head + 9);
	memmove(c->buf, c->buf + n, c->len - n);
	c->len -= n;
	return a->status;
}

/* ---- creation ---- */

void rufh_of(const struct answer *a, struct rufh *u)
{
	*u = (struct rufh){ 0 };
	(void)answer_field(a, "Location", u->path, sizeof(u->path));
	(void)answer_field(a, "Media-Token", u->token, sizeof(u->token));
	(void)answer_field(a, "Media-Manage-Token", u->manage, sizeof(u->manage));
}

int rufh_create(int port, const char *fields, struct rufh *u)
{
	char all[1024];
	struct answer a;
	int status;

	(void)snprintf(all, sizeof(all), RUFH_CAREFUL "%s", fields);
	http_request(port, "POST", "/v1/uploads", all, "", 0, &a);
	status = a.status;
	rufh_of(&a, u);
	answer_free(&a);
	return status;
}

/* ---- append ---- */

struct client *rufh_append_begin(int port, const char *path, uint64_t offset, bool complete,
				 uint64_t n)
{
	struct client *c = client_open(port);
	char fields[200];

	(void)snprintf(fields, sizeof(fields), RUFH_PARTIAL "Upload-Offset: %llu\r\n%s",
		       (unsigned long long)offset, complete ? RUFH_WHOLE : RUFH_CAREFUL);
	(void)rufh_ask(c, "PATCH", path, n, fields);
	return c;
}

int rufh_append(int port, const char *path, uint64_t offset, bool complete, const void *p, size_t n,
		struct answer *a)
{
	struct client *c = rufh_append_begin(port, path, offset, complete, n);
	struct answer mine;
	int status;

	(void)client_send(c, p, n);
	client_answer(c, false, &mine, NULL);
	client_close(c);
	status = mine.status;
	if (a != NULL)
		*a = mine;
	else
		answer_free(&mine);
	return status;
}

/* ---- offset retrieval ---- */

static int64_t number(const struct answer *a, const char *name)
{
	char text[32], *end;
	long long n;

	if (!answer_field(a, name, text, sizeof(text)))
		return -1;
	n = strtoll(text, &end, 10);
	return end != text && *end == '\0' ? n : -1;
}

struct rufh_state rufh_state_of(const struct answer *a)
{
	struct rufh_state s = { .status = a->status, .complete = -1 };
	char text[16];

	s.offset = number(a, "Upload-Offset");
	s.length = number(a, "Upload-Length");
	if (answer_field(a, "Upload-Complete", text, sizeof(text)))
		s.complete = strcmp(text, "?1") == 0 ? 1 : strcmp(text, "?0") == 0 ? 0 : -1;
	return s;
}

struct rufh_state rufh_state(int port, const char *path)
{
	struct rufh_state s;
	struct answer a;

	http_request(port, "HEAD", path, "", NULL, 0, &a);
	s = rufh_state_of(&a);
	answer_free(&a);
	return s;
}

int64_t rufh_offset(int port, const char *path)
{
	struct rufh_state s = rufh_state(port, path);

	return s.status / 100 == 2 ? s.offset : -1;
}

bool rufh_finishes(int port, const struct rufh *u, const void *p, size_t n)
{
	const int64_t at = rufh_offset(port, u->path);
	char token[52];
	struct answer a;
	bool same;

	if (at < 0 || (uint64_t)at > n)
		return false;
	(void)rufh_append(port, u->path, (uint64_t)at, true, (const uint8_t *)p + at,
			  n - (size_t)at, &a);
	same = a.status == 201 && answer_json(&a, "token", token, sizeof(token)) &&
	       http_has(port, token, p, n);
	answer_free(&a);
	return same;
}

/* ---- the server's side ---- */

uint64_t rufh_received(struct test_server *s)
{
	return server_metric(s, "restante_received_bytes_total");
}

bool rufh_receives(struct test_server *s, uint64_t total, int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (rufh_received(s) < total) {
		if (clock_mono_ms() > until)
			return false;
		client_nap(2);
	}
	return true;
}

bool rufh_ended_unanswered(struct client *c, int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (more(c, until - clock_mono_ms()))
		;
	if (c->len > 9 && c->buf[9] == '2')
		return false;
	return client_peek(c, 0) == -1;
}
