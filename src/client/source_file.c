/* What can be read again at any place: files and memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/source_kind.h"

/* File systems tell times by a clock of a few milliseconds: what was written within this time may
 * be written again without a new time. */
#define SETTLED_NS 20000000

struct held {
	struct source base;
	int fd; /* -1: memory */
	const uint8_t *data;
	char name[96]; /* of the file, for sentences */
};

/* ---- files ---- */

static int64_t in_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool identify(int fd, struct source_id *id, bool *regular)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	*regular = S_ISREG(st.st_mode);
	*id = (struct source_id){
		.dev = (uint64_t)st.st_dev,
		.ino = (uint64_t)st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime_ns = in_ns(st.st_mtim),
		.ctime_ns = in_ns(st.st_ctim),
	};
	return true;
}

/* Waits until a change would show. A file that is being written all the time is not waited for: it
 * will be found to have changed. */
static bool settle(int fd, struct source_id *id)
{
	struct timespec now, rest = { 0, 0 };
	bool regular;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		int64_t age;

		if (!identify(fd, id, &regular))
			return false;
		clock_gettime(CLOCK_REALTIME, &now);
		age = in_ns(now) - id->ctime_ns;
		if (age < 0 || age > SETTLED_NS)
			break;
		rest.tv_nsec = (long)(SETTLED_NS - age);
		(void)nanosleep(&rest, NULL);
	}
	return identify(fd, id, &regular);
}

static enum restante_code changed(const struct held *h, struct restante_error *e)
{
	return fail(e, RESTANTE_CHANGED, "%s changed while it was being sent",
		    h->fd >= 0 ? h->name : "the memory");
}

static enum restante_code held_check(const struct source *s, struct restante_error *e)
{
	const struct held *h = (const struct held *)s;
	struct source_id now;
	bool regular;

	if (h->fd < 0)
		return RESTANTE_OK;
	if (!identify(h->fd, &now, &regular))
		return fail(e, RESTANTE_IO, "%s: %s", h->name, strerror(errno));
	return source_id_equal(&now, &s->id) ? RESTANTE_OK : changed(h, e);
}

/* Reads all of n bytes, and looks behind that whether they are still those of the file that was
 * opened: bytes of another state must never be sealed. */
static enum restante_code file_read(const struct held *h, uint64_t at, uint8_t *out, size_t n,
				    struct restante_error *e)
{
	while (n > 0) {
		const ssize_t got = pread(h->fd, out, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(e, RESTANTE_IO, "%s: %s", h->name, strerror(errno));
		if (got == 0)
			return changed(h, e);
		out += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return held_check(&h->base, e);
}

/* ---- sealed on demand ---- */

/* The plaintext of a chunk, padding included: *out is in memory that is the caller's, or in r. */
static enum restante_code plain_chunk(const struct held *h, struct reader *r, uint64_t index,
				      struct bytes *out, struct restante_error *e)
{
	const size_t size = payload_chunk_size(h->base.padded, index);
	const uint64_t at = index * PAYLOAD_CHUNK;
	const uint64_t left = at < h->base.content ? h->base.content - at : 0;
	const size_t real = left < size ? (size_t)left : size;

	*out = (struct bytes){ r->plain, size };
	memset(r->plain + real, 0, size - real);
	if (real == 0)
		return RESTANTE_OK;
	if (h->fd >= 0)
		return file_read(h, at, r->plain, real, e);
	if (real == size)
		out->data = h->data + at;
	else
		memcpy(r->plain, h->data + at, real);
	return RESTANTE_OK;
}

/* Stores through a mapping need not change the times of a file. So what was sealed is compared with
 * what was given out as the same chunk before: two plaintexts have two seals. */
static enum restante_code same_as_given(struct held *h, uint64_t index, const uint8_t *seal,
					struct restante_error *e)
{
	static const uint8_t none[PAYLOAD_TAG];
	uint8_t *given;

	if (h->base.seals_given == NULL) /* pages that are not written to cost nothing */
		h->base.seals_given = calloc(payload_chunks(h->base.padded), PAYLOAD_TAG);
	if (h->base.seals_given == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	given = h->base.seals_given + index * PAYLOAD_TAG;
	if (memcmp(given, none, PAYLOAD_TAG) == 0)
		memcpy(given, seal, PAYLOAD_TAG);
	return memcmp(given, seal, PAYLOAD_TAG) == 0 ? RESTANTE_OK : changed(h, e);
}

static enum restante_code seal_chunk(struct held *h, struct reader *r, uint64_t index, uint8_t *out,
				     struct restante_error *e)
{
	const bool last = index == payload_chunks(h->base.padded) - 1;
	struct bytes plain;
	enum restante_code rc = plain_chunk(h, r, index, &plain, e);

	if (rc != RESTANTE_OK)
		return rc;
	payload_seal(&h->base.payload, index, last, plain, out);
	rc = same_as_given(h, index, out + plain.len, e);
	if (rc != RESTANTE_OK)
		sodium_memzero(out, plain.len + PAYLOAD_TAG);
	return rc;
}

static size_t copy(uint8_t *out, size_t cap, const uint8_t *from, size_t n)
{
	n = n < cap ? n : cap;
	memcpy(out, from, n);
	return n;
}

static enum source_next sealed_read(struct source *s, struct reader *r, uint64_t offset,
				    uint8_t *out, size_t cap, size_t *n, struct restante_error *e)
{
	struct held *h = (struct held *)s;
	uint64_t index;
	size_t within, size;

	if (offset < RESTANTE_HEAD_SIZE) {
		*n = copy(out, cap, s->head + offset, RESTANTE_HEAD_SIZE - (size_t)offset);
		return SOURCE_SOME;
	}
	index = (offset - RESTANTE_HEAD_SIZE) / PAYLOAD_SEALED_CHUNK;
	within = (size_t)(offset - source_chunk_at(index));
	size = source_chunk_size(s, index);
	if (within == 0 && cap >= size) {
		*n = size;
		return seal_chunk(h, r, index, out, e) == RESTANTE_OK ? SOURCE_SOME : SOURCE_FAILED;
	}
	if (r->chunk != index) {
		r->chunk = UINT64_MAX;
		if (seal_chunk(h, r, index, r->sealed, e) != RESTANTE_OK)
			return SOURCE_FAILED;
		r->chunk = index;
	}
	*n = copy(out, cap, r->sealed + within, size - within);
	return SOURCE_SOME;
}

/* ---- sent as it is ---- */

static enum source_next plain_read(struct source *s, struct reader *r, uint64_t offset,
				   uint8_t *out, size_t cap, size_t *n, struct restante_error *e)
{
	const uint64_t left = s->sealed - offset;

	(void)r;
	*n = left < cap ? (size_t)left : cap;
	return file_read((struct held *)s, offset, out, *n, e) == RESTANTE_OK ? SOURCE_SOME
									      : SOURCE_FAILED;
}

/* ---- making ---- */

static void held_close(struct source *s)
{
	struct held *h = (struct held *)s;

	if (h->fd >= 0)
		(void)close(h->fd);
}

static const struct source_kind sealing = {
	.read = sealed_read,
	.check = held_check,
	.close = held_close,
};

static const struct source_kind as_it_is = {
	.read = plain_read,
	.check = held_check,
	.close = held_close,
};

/* Not to hang on a pipe that is called like a file, it is opened as if it were one. */
static enum restante_code open_regular(struct held *h, const char *path, struct restante_error *e)
{
	bool regular = false;

	h->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (h->fd < 0 || !identify(h->fd, &h->base.id, &regular))
		return fail(e, RESTANTE_IO, "%s: %s", h->name, strerror(errno));
	if (!regular)
		return fail(e, RESTANTE_INVALID, "%s is no regular file", h->name);
	if (h->base.seals && !settle(h->fd, &h->base.id))
		return fail(e, RESTANTE_IO, "%s: %s", h->name, strerror(errno));
	h->base.of_file = true;
	(void)posix_fadvise(h->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return RESTANTE_OK;
}

static void set_name(struct held *h, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : path;

	strncpy(h->name, name, sizeof(h->name) - 1);
}

static enum restante_code of_path(struct source **out, const char *path, bool seals,
				  struct restante_error *e)
{
	struct source *s = NULL;
	struct held *h;
	enum restante_code rc;

	rc = source_make(&s, seals ? &sealing : &as_it_is, sizeof(struct held), seals, e);
	if (rc != RESTANTE_OK)
		return rc;
	h = (struct held *)s;
	set_name(h, path);
	rc = open_regular(h, path, e);
	if (rc == RESTANTE_OK)
		rc = source_end_at(s, s->id.size, seals, e);
	if (rc != RESTANTE_OK)
		source_free(s);
	else
		*out = s;
	return rc;
}

enum restante_code source_of_file(struct source **out, const char *path, struct restante_error *e)
{
	return of_path(out, path, true, e);
}

enum restante_code source_of_sealed_file(struct source **out, const char *path,
					 struct restante_error *e)
{
	return of_path(out, path, false, e);
}

enum restante_code source_of_memory(struct source **out, const void *data, size_t size,
				    struct restante_error *e)
{
	struct source *s = NULL;
	enum restante_code rc = source_make(&s, &sealing, sizeof(struct held), true, e);

	if (rc != RESTANTE_OK)
		return rc;
	((struct held *)s)->fd = -1;
	((struct held *)s)->data = data;
	rc = source_end_at(s, size, true, e);
	if (rc != RESTANTE_OK)
		source_free(s);
	else
		*out = s;
	return rc;
}
