#include "tests/lib/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* More of what the wire has: false when nothing comes before then, or it is over. */
static bool fill(struct follow *f, int64_t until_ms)
{
	const int64_t left = until_ms - clock_mono_ms();
	struct pollfd p = { .fd = f->fd, .events = POLLIN };
	ssize_t n;

	if (f->wire != LIVES)
		return false;
	if (f->from == f->to)
		f->from = f->to = 0;
	if (f->to == sizeof(f->raw)) {
		memmove(f->raw, f->raw + f->from, f->to - f->from);
		f->to -= f->from;
		f->from = 0;
	}
	if (poll(&p, 1, left < 0 ? 0 : (int)left) <= 0)
		return false;
	n = recv(f->fd, f->raw + f->to, sizeof(f->raw) - f->to, 0);
	if (n <= 0) {
		f->wire = n == 0 ? CLOSED : RESET;
		return false;
	}
	f->to += (size_t)n;
	return true;
}

/* ---- the head ---- */

static void read_head(struct follow *f)
{
	const int64_t until = clock_mono_ms() + 5000;
	const uint8_t *end;
	char value[64];

	while ((end = memmem(f->raw, f->to, "\r\n\r\n", 4)) == NULL)
		if (!fill(f, until))
			return;
	f->head.head = strndup((const char *)f->raw, (size_t)(end - f->raw) + 2);
	f->from = (size_t)(end - f->raw) + 4;
	if (f->head.head != NULL && strlen(f->head.head) > 12)
		f->head.status = atoi(f->head.head + 9);
	f->chunked = answer_field(&f->head, "Transfer-Encoding", value, sizeof(value));
	f->length = answer_field(&f->head, "Content-Length", value, sizeof(value))
			    ? strtoull(value, NULL, 10)
			    : FOLLOW_UNKNOWN;
}

struct follow *follow_as(int port, const char *version, const char *target, const char *fields)
{
	struct client *c = client_open(port);
	struct follow *f = calloc(1, sizeof(*f));

	if (f == NULL ||
	    !client_sendf(c, "GET %s %s\r\nHost: t\r\n%s\r\n", target, version, fields))
		abort();
	f->fd = dup(c->fd);
	client_close(c);
	f->length = FOLLOW_UNKNOWN;
	read_head(f);
	return f;
}

struct follow *follow(int port, const char *token, const char *fields)
{
	char target[256] = "/v1/media/";

	return follow_as(port, "HTTP/1.1", strcat(target, token), fields);
}

void follow_close(struct follow *f)
{
	if (f == NULL)
		return;
	answer_free(&f->head);
	(void)close(f->fd);
	free(f);
}

/* ---- the body ---- */

/* The head of the next chunk, if all of it is there. */
static bool open_chunk(struct follow *f)
{
	uint8_t *p = f->raw + f->from;
	const size_t skip = f->begun ? 2 : 0; /* the line end of the one before */
	const uint8_t *end;

	if (f->to - f->from < skip + 3)
		return false;
	end = memmem(p + skip, f->to - f->from - skip, "\r\n", 2);
	if (end == NULL)
		return false;
	f->left = strtoull((char *)p + skip, NULL, 16);
	f->begun = true;
	f->last = f->left == 0;
	f->from += (size_t)(end - p) + 2;
	return true;
}

/* Body bytes that are here. */
static size_t here(struct follow *f)
{
	uint64_t n;

	if (f->last || f->at == f->length)
		return 0;
	if (f->chunked && f->left == 0 && (!open_chunk(f) || f->last))
		return 0;
	n = f->to - f->from;
	if (f->chunked && n > f->left)
		n = f->left;
	if (f->length != FOLLOW_UNKNOWN && n > f->length - f->at)
		n = f->length - f->at;
	return (size_t)n;
}

static bool is_over(const struct follow *f)
{
	return f->last || f->at == f->length;
}

/* Waits for some: 0, if none comes before then. */
static size_t await(struct follow *f, int64_t until_ms)
{
	size_t n;

	while ((n = here(f)) == 0 && !is_over(f))
		if (!fill(f, until_ms))
			return 0;
	return n;
}

size_t follow_take(struct follow *f, void *out, size_t n, int ms)
{
	const int64_t until = clock_mono_ms() + ms;
	size_t done = 0, k;

	while (done < n && (k = await(f, until)) > 0) {
		if (k > n - done)
			k = n - done;
		memcpy((uint8_t *)out + done, f->raw + f->from, k);
		f->from += k;
		f->at += k;
		if (f->chunked)
			f->left -= k;
		done += k;
	}
	return done;
}

enum follow_end follow_end(struct follow *f, int ms)
{
	if (await(f, clock_mono_ms() + ms) > 0)
		return FOLLOW_MORE;
	if (is_over(f))
		return FOLLOW_WHOLE;
	if (f->wire == LIVES)
		return FOLLOW_OPEN;
	/* an answer that neither says how long it is nor is chunked ends with its connection */
	return f->wire == CLOSED && !f->chunked && f->length == FOLLOW_UNKNOWN &&
			       f->head.status != 0
		       ? FOLLOW_WHOLE
		       : FOLLOW_CUT;
}

bool follow_gets(struct follow *f, const void *p, size_t n, int ms)
{
	uint8_t *got = malloc(n + 1);
	const bool same = got != NULL && follow_take(f, got, n, ms) == n && memcmp(got, p, n) == 0;

	free(got);
	return same;
}
