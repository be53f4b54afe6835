#include "video/file_io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE 65536

/* What an AVIOContext has as its opaque: several may be on one file. */
struct cursor {
	struct file_io *file;
	int64_t at;
};

static int noted(struct file_io *f)
{
	if (f->error == 0)
		f->error = errno;
	return AVERROR(errno);
}

static int read_at(void *opaque, uint8_t *buf, int size)
{
	struct cursor *c = opaque;
	ssize_t n;

	do
		n = pread(c->file->fd, buf, (size_t)size, c->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return noted(c->file);
	if (n == 0)
		return AVERROR_EOF;
	c->at += n;
	return (int)n;
}

static int write_at(void *opaque, uint8_t *buf, int size)
{
	struct cursor *c = opaque;
	int done = 0;

	while (done < size) {
		ssize_t n = pwrite(c->file->fd, buf + done, (size_t)(size - done), c->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return noted(c->file);
		done += (int)n;
		c->at += n;
	}
	return size;
}

static int64_t size_of(struct file_io *f)
{
	struct stat st;

	return fstat(f->fd, &st) == 0 ? st.st_size : noted(f);
}

static int64_t seek_to(void *opaque, int64_t offset, int whence)
{
	struct cursor *c = opaque;
	int64_t base;

	switch (whence & ~AVSEEK_FORCE) {
	case AVSEEK_SIZE:
		return size_of(c->file);
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = c->at;
		break;
	case SEEK_END:
		base = size_of(c->file);
		break;
	default:
		return AVERROR(EINVAL);
	}
	if (base < 0 || offset > INT64_MAX - base || base + offset < 0)
		return AVERROR(EINVAL);
	return c->at = base + offset;
}

static int open_cursor(AVIOContext **out, struct file_io *f, int writable)
{
	struct cursor *c = av_mallocz(sizeof(*c));
	uint8_t *buffer = av_malloc(BUFFER_SIZE);

	*out = NULL;
	if (c != NULL && buffer != NULL) {
		c->file = f;
		*out = avio_alloc_context(buffer, BUFFER_SIZE, writable, c, read_at, write_at,
					  seek_to);
	}
	if (*out != NULL)
		return 0;
	av_free(buffer);
	av_free(c);
	return AVERROR(ENOMEM);
}

static void close_cursor(AVIOContext *pb)
{
	if (pb == NULL)
		return;
	av_free(pb->opaque);
	av_free(pb->buffer);
	avio_context_free(&pb);
}

/* Files that refer to others (by address or path) do not get them. */
static int refuse(AVFormatContext *c, AVIOContext **pb, const char *url, int flags,
		  AVDictionary **options)
{
	(void)c;
	(void)url;
	(void)flags;
	(void)options;
	*pb = NULL;
	return AVERROR(EPERM);
}

/* To move the index to the front, a muxer reads back what it has written: it asks to open its own
 * output by name, and the name is empty. */
static int reopen(AVFormatContext *c, AVIOContext **pb, const char *url, int flags,
		  AVDictionary **options)
{
	struct cursor *own = c->pb->opaque;

	if (flags != AVIO_FLAG_READ || (url != NULL && url[0] != '\0'))
		return refuse(c, pb, url, flags, options);
	return open_cursor(pb, own->file, 0);
}

static int close_reopened(AVFormatContext *c, AVIOContext *pb)
{
	(void)c;
	close_cursor(pb);
	return 0;
}

int file_io_input(struct file_io *f, int fd, AVFormatContext *c)
{
	int rc;

	*f = (struct file_io){ .fd = fd };
	c->io_open = refuse;
	c->io_close2 = close_reopened;
	rc = open_cursor(&f->pb, f, 0);
	c->pb = f->pb;
	return rc;
}

int file_io_output(struct file_io *f, int fd, AVFormatContext *c)
{
	int rc;

	*f = (struct file_io){ .fd = fd };
	c->io_open = reopen;
	c->io_close2 = close_reopened;
	rc = open_cursor(&f->pb, f, 1);
	c->pb = f->pb;
	return rc;
}

void file_io_close(struct file_io *f)
{
	close_cursor(f->pb);
	f->pb = NULL;
}

enum err_code file_io_failed(const struct file_io *f, int averror, const char *sentence,
			     struct err *e)
{
	if (f->error != 0)
		return err_set(e, ERR_IO, "reading or writing the video: %s", strerror(f->error));
	if (averror == AVERROR(ENOMEM))
		return err_set(e, ERR_NOMEM, "the video asks for more memory than there is");
	return err_set(e, ERR_INVALID, "%s", sentence);
}
