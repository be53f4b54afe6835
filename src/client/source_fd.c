/* What can be read once: pipes, sockets, terminals. It is sealed as it comes, into a window of
 * chunks in which it stays until the server has it. A chunk is sealed when it is known whether it
 * is the last one: when a byte behind it, or the end, has come.
 *
 *       first          made
 *         |  the window  |  plain: not sealed yet
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/source_kind.h"

/* What is read at once: more would keep the network waiting. */
#define FILL_MAX (16 * PAYLOAD_CHUNK)

struct piped {
	struct source base;
	int fd;
	bool padded;
	bool over;        /* the pipe has come to its end */
	int failed;       /* errno of read(); 0: none */
	uint64_t taken;   /* bytes that came */
	uint64_t zeroes;  /* of padding, which are still to come */
	uint64_t next;    /* the chunk to be sealed next */
	uint64_t oldest;  /* the first chunk that is not released as a whole */
	uint64_t room;    /* chunks that the window may hold */
	uint8_t *window;  /* chunk i is slot i % SOURCE_WINDOW_CHUNKS */
	size_t last_size; /* sealed size of the last chunk; 0: not sealed yet */
	size_t have;      /* bytes in plain */
	uint8_t plain[PAYLOAD_CHUNK + 1];
};

static uint8_t *slot(const struct piped *p, uint64_t index)
{
	return p->window + index % SOURCE_WINDOW_CHUNKS * PAYLOAD_SEALED_CHUNK;
}

static bool full(const struct piped *p)
{
	return p->next - p->oldest >= p->room;
}

/* ---- sealing ---- */

/* Behind the end of the pipe, padding comes as if it had been read. */
static void pad(struct piped *p)
{
	const size_t room = sizeof(p->plain) - p->have;
	const size_t n = p->zeroes < room ? (size_t)p->zeroes : room;

	memset(p->plain + p->have, 0, n);
	p->have += n;
	p->zeroes -= n;
}

static void seal_one(struct piped *p, bool last)
{
	const size_t n = p->have < PAYLOAD_CHUNK ? p->have : PAYLOAD_CHUNK;

	payload_seal(&p->base.payload, p->next, last, (struct bytes){ p->plain, n },
		     slot(p, p->next));
	p->next++;
	p->base.made += n + PAYLOAD_TAG;
	if (last)
		p->last_size = n + PAYLOAD_TAG;
	memmove(p->plain, p->plain + n, p->have - n);
	p->have -= n;
}

static void seal_what_can_be(struct piped *p)
{
	while (p->last_size == 0 && !full(p)) {
		if (p->over)
			pad(p);
		if (p->have > PAYLOAD_CHUNK)
			seal_one(p, false);
		else if (p->over)
			seal_one(p, true);
		else
			break;
	}
}

/* ---- filling ---- */

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static enum restante_code end_pipe(struct piped *p, struct restante_error *e)
{
	p->over = true;
	if (source_end_at(&p->base, p->taken, p->padded, e) != RESTANTE_OK)
		return RESTANTE_TOOBIG;
	p->zeroes = p->base.padded - p->base.content;
	return RESTANTE_OK;
}

static enum restante_code read_some(struct piped *p, size_t *n, struct restante_error *e)
{
	const ssize_t got = read(p->fd, p->plain + p->have, sizeof(p->plain) - p->have);

	*n = got > 0 ? (size_t)got : 0;
	if (got < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
		p->failed = errno;
	if (p->failed != 0)
		return fail(e, RESTANTE_IO, "reading the input: %s", strerror(p->failed));
	p->have += *n;
	p->taken += *n;
	return got == 0 ? end_pipe(p, e) : RESTANTE_OK;
}

static enum restante_code piped_fill(struct source *s, struct restante_error *e)
{
	struct piped *p = (struct piped *)s;
	enum restante_code rc = RESTANTE_OK;
	size_t n = 0, sum;

	if (p->failed != 0)
		return fail(e, RESTANTE_IO, "reading the input: %s", strerror(p->failed));
	for (sum = 0; rc == RESTANTE_OK && sum < FILL_MAX && !p->over && !full(p); sum += n) {
		if (!readable(p->fd))
			break;
		rc = read_some(p, &n, e);
		seal_what_can_be(p);
	}
	return rc;
}

static int piped_fd(const struct source *s)
{
	const struct piped *p = (const struct piped *)s;

	return p->over || full(p) ? -1 : p->fd;
}

/* ---- giving and forgetting ---- */

static size_t sealed_size(const struct piped *p, uint64_t index)
{
	return p->last_size != 0 && index == p->next - 1 ? p->last_size : PAYLOAD_SEALED_CHUNK;
}

static enum source_next piped_read(struct source *s, struct reader *r, uint64_t offset,
				   uint8_t *out, size_t cap, size_t *n, struct restante_error *e)
{
	const struct piped *p = (const struct piped *)s;
	const uint8_t *from;
	size_t left;

	(void)r;
	if (offset < s->first) {
		(void)fail(e, RESTANTE_GONE, "what the server has lost is not kept any more");
		return SOURCE_FAILED;
	}
	if (offset < RESTANTE_HEAD_SIZE) {
		from = s->head + offset;
		left = RESTANTE_HEAD_SIZE - (size_t)offset;
	} else {
		const uint64_t index = (offset - RESTANTE_HEAD_SIZE) / PAYLOAD_SEALED_CHUNK;
		const size_t within = (size_t)(offset - source_chunk_at(index));

		from = slot(p, index) + within;
		left = sealed_size(p, index) - within;
	}
	*n = left < cap ? left : cap;
	memcpy(out, from, *n);
	return SOURCE_SOME;
}

static void piped_release(struct source *s, uint64_t offset)
{
	struct piped *p = (struct piped *)s;

	if (offset <= s->first || offset > s->made)
		return;
	s->first = offset;
	while (p->oldest < p->next &&
	       source_chunk_at(p->oldest) + sealed_size(p, p->oldest) <= offset)
		p->oldest++;
	seal_what_can_be(p);
}

static void piped_close(struct source *s)
{
	free(((struct piped *)s)->window);
}

static const struct source_kind piped = {
	.read = piped_read,
	.fd = piped_fd,
	.fill = piped_fill,
	.release = piped_release,
	.close = piped_close,
};

enum restante_code source_of_fd(struct source **out, int fd, bool padded, struct restante_error *e)
{
	struct source *s = NULL;
	struct piped *p;
	enum restante_code rc = source_make(&s, &piped, sizeof(struct piped), true, e);

	if (rc != RESTANTE_OK)
		return rc;
	p = (struct piped *)s;
	p->fd = fd;
	p->padded = padded;
	p->room = SOURCE_WINDOW_CHUNKS;
	s->made = RESTANTE_HEAD_SIZE;
	/* what is not used of it costs nothing */
	p->window = malloc((size_t)SOURCE_WINDOW_CHUNKS * PAYLOAD_SEALED_CHUNK);
	if (p->window == NULL) {
		source_free(s);
		return fail_plain(e, RESTANTE_NOMEM);
	}
	*out = s;
	return RESTANTE_OK;
}

void source_narrow(struct source *s, unsigned chunks)
{
	((struct piped *)s)->room = chunks;
}
