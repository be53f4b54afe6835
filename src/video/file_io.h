/* file_io - ffmpeg's libraries on open files: positions of the descriptors are neither used nor
 * changed, and nothing else is ever opened. */
#ifndef RESTANTE_VIDEO_FILE_IO_H
#define RESTANTE_VIDEO_FILE_IO_H

#include <libavformat/avformat.h>

#include "base/err.h"

/* A file for them. error is the first one it gave (errno, 0: none). */
struct file_io {
	int fd; /* borrowed */
	int error;
	AVIOContext *pb;
};

/* Makes f of fd and gives it to c, to read from or to write to. Whatever else c wants to open is
 * refused, but the file it writes, for reading. -> 0, or AVERROR(ENOMEM). */
int file_io_input(struct file_io *f, int fd, AVFormatContext *c);
int file_io_output(struct file_io *f, int fd, AVFormatContext *c);

/* Ends f, when the context that had it is gone or will not use it again; one of zeroes is fine.
 * What was not flushed is lost. */
void file_io_close(struct file_io *f);

/* The error for a failure of theirs: ERR_IO if the file was at fault, ERR_NOMEM, else ERR_INVALID
 * with `sentence`. */
enum err_code file_io_failed(const struct file_io *f, int averror, const char *sentence,
			     struct err *e);

#endif
