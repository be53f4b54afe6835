#include "cli/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

struct feed {
	struct input *in;
	struct restante_client *client;
	int out[2]; /* the pipe: [0] is read by the upload */
	pthread_t thread;
	bool running;
	int failure; /* errno of reading; written by the thread, read when it has ended */
	uint8_t *copy;
	size_t copied, room, keep_max;
	uint8_t piece[PIECE];
};

/* ---- the copy ------------------------------------------------------------------------------ */

static void drop_copy(struct feed *f)
{
	if (f->copy != NULL)
		explicit_bzero(f->copy, f->copied);
	free(f->copy);
	f->copy = NULL;
	f->copied = f->room = f->keep_max = 0;
}

/* Not realloc(): that would leave pieces of the recording behind. */
static bool make_room(struct feed *f, size_t wanted)
{
	size_t room = f->room == 0 ? PIECE * 4 : f->room;
	uint8_t *more;

	while (room < wanted)
		room *= 2;
	if (room == f->room)
		return true;
	more = malloc(room);
	if (more == NULL)
		return false;
	if (f->copy != NULL) {
		memcpy(more, f->copy, f->copied);
		explicit_bzero(f->copy, f->copied);
		free(f->copy);
	}
	f->copy = more;
	f->room = room;
	return true;
}

/* A copy that cannot be had, or would be too long, is done without. */
static void keep(struct feed *f, const uint8_t *data, size_t n)
{
	if (f->keep_max == 0)
		return;
	if (n > f->keep_max - f->copied || !make_room(f, f->copied + n)) {
		drop_copy(f);
		return;
	}
	memcpy(f->copy + f->copied, data, n);
	f->copied += n;
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* False if nobody reads any more. */
static bool pass(struct feed *f, const uint8_t *data, size_t n)
{
	keep(f, data, n);
	while (n > 0) {
		ssize_t k = write(f->out[1], data, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return false;
		data += k;
		n -= (size_t)k;
	}
	return true;
}

/* Waits until there is something to read, or nobody who would. */
static bool await(const struct feed *f)
{
	struct pollfd fds[2] = { { .fd = f->in->fd, .events = POLLIN },
				 { .fd = f->out[1], .events = 0 } };

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	return (fds[1].revents & (POLLERR | POLLHUP)) == 0;
}

static void *run(void *ctx)
{
	struct feed *f = ctx;
	struct input *in = f->in;
	/* of a file the head was read without moving on */
	bool ended = in->stream && in->ended,
	     on = pass(f, in->head, in->stream ? in->head_size : 0);
	ssize_t k = 1;

	while (on && k != 0 && !ended && await(f)) {
		k = read(in->fd, f->piece, PIECE);
		if (k < 0 && errno != EINTR && errno != EAGAIN) {
			f->failure = errno;
			restante_cancel(f->client);
			return NULL; /* the pipe stays open: it is not the end */
		}
		if (k > 0)
			on = pass(f, f->piece, (size_t)k);
	}
	(void)close(f->out[1]);
	f->out[1] = -1;
	return NULL;
}

/* ---- interface ----------------------------------------------------------------------------- */

/* Signals are for the thread that acts on them. */
static int start_thread(struct feed *f)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&f->thread, NULL, run, f);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	f->running = rc == 0;
	return rc;
}

bool feed_start(struct feed **out, struct input *in, size_t keep_max,
		struct restante_client *client, struct trouble *t)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	f->in = in;
	f->client = client;
	f->keep_max = keep_max;
	f->out[0] = f->out[1] = -1;
	if (pipe2(f->out, O_CLOEXEC) != 0 || start_thread(f) != 0) {
		feed_free(f);
		return trouble_local(t, ERR_IO, "cannot start a pipe");
	}
	*out = f;
	return true;
}

int feed_fd(const struct feed *f)
{
	return f->out[0];
}

bool feed_end(struct feed *f, struct trouble *t)
{
	if (f->out[0] >= 0)
		(void)close(f->out[0]);
	f->out[0] = -1;
	if (f->running)
		(void)pthread_join(f->thread, NULL);
	f->running = false;
	return f->failure == 0 ||
	       trouble_local(t, ERR_IO, "%.200s: %s", f->in->shown, strerror(f->failure));
}

struct bytes feed_copy(const struct feed *f)
{
	return (struct bytes){ f->copy, f->copied };
}

void feed_free(struct feed *f)
{
	struct trouble ignored;

	if (f == NULL)
		return;
	(void)feed_end(f, &ignored);
	if (f->out[1] >= 0)
		(void)close(f->out[1]);
	drop_copy(f);
	explicit_bzero(f->piece, sizeof(f->piece));
	free(f);
}
