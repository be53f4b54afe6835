#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cancel.h"
#include "cli/output.h"
#include "cli/words.h"

#define GROW_FROM (UINT64_C(1) << 16)

/* Opening a pipe waits for who writes into it. */
static int open_patiently(const char *path)
{
	int fd;

	do
		fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR && cancel_signal() == 0);
	return fd;
}

/* Files of /proc and the like say that they are empty, and are not. */
static bool only_says_empty(const struct input *in)
{
	char byte;

	return in->st.st_size == 0 && pread(in->fd, &byte, 1, 0) == 1;
}

static bool open_path(struct input *in, const char *path, struct trouble *t)
{
	in->path = path;
	in->shown = strcmp(path, "-") == 0 ? "standard input" : path;
	in->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open_patiently(path);
	if (in->fd < 0 && errno == EINTR)
		return cancel_not(t);
	if (in->fd < 0 || fstat(in->fd, &in->st) != 0)
		return trouble_errno(t, in->shown);
	if (S_ISDIR(in->st.st_mode))
		return trouble_local(t, ERR_INVALID, "%.200s: is a folder", in->shown);
	in->stream = in->fd == STDIN_FILENO || !S_ISREG(in->st.st_mode) || only_says_empty(in);
	return true;
}

bool input_open(struct input *in, const char *path, struct trouble *t)
{
	*in = (struct input){ .fd = -1 };
	return open_path(in, path, t);
}

void input_close(struct input *in)
{
	if (in->fd > STDIN_FILENO)
		(void)close(in->fd);
	free(in->head);
	*in = (struct input){ .fd = -1 };
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Fills data as far as there is something, from `offset` of a file, or the next of a stream. */
static bool fill(struct input *in, uint8_t *data, size_t size, uint64_t offset, size_t *got,
		 struct trouble *t)
{
	size_t n = 0;
	ssize_t k = 1;

	while (n < size && k != 0) {
		k = in->stream ? read(in->fd, data + n, size - n)
			       : pread(in->fd, data + n, size - n, (off_t)(offset + n));
		if (k < 0 && errno != EINTR)
			return trouble_errno(t, in->shown);
		if (!cancel_not(t))
			return false;
		n += k > 0 ? (size_t)k : 0;
	}
	*got = n;
	return true;
}

static bool first_piece(struct input *in, struct trouble *t)
{
	ssize_t k;

	do
		k = read(in->fd, in->head, INPUT_HEAD);
	while (k < 0 && errno == EINTR && cancel_signal() == 0);
	if (k < 0)
		return cancel_not(t) && trouble_errno(t, in->shown);
	in->head_size = (size_t)k;
	in->ended = k == 0;
	return true;
}

bool input_peek(struct input *in, bool at_once, struct trouble *t)
{
	in->head = malloc(INPUT_HEAD);
	if (in->head == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	if (in->stream && at_once)
		return first_piece(in, t);
	if (!fill(in, in->head, INPUT_HEAD, 0, &in->head_size, t))
		return false;
	in->ended = in->head_size < INPUT_HEAD;
	return true;
}

static bool changed(const struct input *in, struct trouble *t)
{
	return trouble_local(t, ERR_INVALID, "%.200s: changed while it was read", in->shown);
}

static bool too_big(const struct input *in, uint64_t max, struct trouble *t)
{
	char limit[WORDS_SIZE];

	return trouble_local(t, ERR_TOOBIG, "%.200s: is larger than %s", in->shown,
			     words_bytes(limit, max));
}

/* One byte more than there should be is asked for: a file that grows is noticed. */
static bool whole_file(struct input *in, size_t max, uint8_t **data, size_t *size,
		       struct trouble *t)
{
	size_t wanted = (size_t)in->st.st_size;

	if (in->st.st_size < 0 || (uint64_t)in->st.st_size > max)
		return too_big(in, max, t);
	*data = malloc(wanted + 1);
	if (*data == NULL)
		return trouble_local(t, ERR_NOMEM, "%.200s: out of memory", in->shown);
	if (!fill(in, *data, wanted + 1, 0, size, t))
		return false;
	return *size == wanted || changed(in, t);
}

static bool whole_stream(struct input *in, size_t max, uint8_t **data, size_t *size,
			 struct trouble *t)
{
	size_t room = GROW_FROM, got = 0;

	if (in->head_size > max)
		return too_big(in, max, t);
	*size = 0;
	do {
		uint8_t *more;

		room = room * 2 > max ? max + 1 : room * 2;
		more = realloc(*data, room);
		if (more == NULL)
			return trouble_local(t, ERR_NOMEM, "%.200s: out of memory", in->shown);
		*data = more;
		if (*size == 0 && in->head_size > 0) {
			memcpy(more, in->head, in->head_size);
			*size = in->head_size;
		}
		if (!fill(in, more + *size, room - *size, 0, &got, t))
			return false;
		*size += got;
	} while (*size == room && room <= max);
	return *size <= max || too_big(in, max, t);
}

bool input_whole(struct input *in, size_t max, uint8_t **data, size_t *size, struct trouble *t)
{
	uint8_t *all = NULL;
	bool ok = in->stream ? whole_stream(in, max, &all, size, t)
			     : whole_file(in, max, &all, size, t);

	if (ok)
		*data = all;
	else
		free(all);
	return ok;
}

bool input_copy(struct input *in, int to, const char *name, uint64_t max, struct trouble *t)
{
	uint8_t piece[INPUT_HEAD];
	uint64_t left = max;
	size_t n = in->head_size;

	if (n > 0 && (n > max || !output_bytes(to, name, in->head, n, t)))
		return n > max ? too_big(in, max, t) : false;
	left -= n;
	do {
		if (!fill(in, piece, sizeof(piece), 0, &n, t))
			return false;
		if (n > left)
			return too_big(in, max, t);
		left -= n;
		if (!output_bytes(to, name, piece, n, t))
			return false;
	} while (n == sizeof(piece));
	return true;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool input_unchanged(const struct input *in, struct trouble *t)
{
	struct stat now;

	if (in->stream)
		return true;
	if (fstat(in->fd, &now) != 0)
		return trouble_errno(t, in->shown);
	return (now.st_size == in->st.st_size && same_time(&now.st_mtim, &in->st.st_mtim) &&
		same_time(&now.st_ctim, &in->st.st_ctim)) ||
	       changed(in, t);
}

/* ---- texts --------------------------------------------------------------------------------- */

static bool read_text(struct input *in, char *out, size_t max, struct trouble *t)
{
	size_t n = 0;

	in->stream = true; /* read in order, also files that are none */
	if (!fill(in, (uint8_t *)out, max + 1, 0, &n, t))
		return false;
	while (n > 0 && strchr(" \t\r\n", out[n - 1]) != NULL && out[n - 1] != '\0')
		n--;
	if (n > max)
		return too_big(in, max, t);
	if (memchr(out, '\0', n) != NULL)
		return trouble_local(t, ERR_INVALID, "%.200s: is no text", in->shown);
	out[n] = '\0';
	return true;
}

bool input_text(const char *path, char *out, size_t max, struct trouble *t)
{
	struct input in;
	bool ok = input_open(&in, path, t) && read_text(&in, out, max, t);

	input_close(&in);
	return ok;
}
