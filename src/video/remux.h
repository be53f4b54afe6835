/* remux - writes a video's packets, not encoded anew, into a fresh file: its index in front, only
 * picture, sound and subtitles, and of all that a file tells of itself only what is needed to play
 * it. */
#ifndef RESTANTE_VIDEO_REMUX_H
#define RESTANTE_VIDEO_REMUX_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdbool.h>

#include "base/err.h"
#include "video/container.h"
#include "video/file_io.h"

#define REMUX_STREAMS_MAX 64

struct remux {
	AVFormatContext *in, *out; /* in: borrowed */
	struct file_io file;
	const struct container *kind; /* of what is written */
	struct {
		AVStream *to;     /* NULL: not kept */
		int64_t last_dts; /* in to's time base; or AV_NOPTS_VALUE */
	} streams[REMUX_STREAMS_MAX];
};

/* Begins a file in fd (borrowed, empty) with the streams of in, at most REMUX_STREAMS_MAX: of the
 * kind of container that in has, or of one that has room for its streams. remux_fini() ends it in
 * any case. ERR_INVALID (no container for them, or they make no sense), ERR_IO, ERR_NOMEM. */
enum err_code remux_begin(struct remux *r, AVFormatContext *in, const struct container *kind,
			  int fd, struct err *e);

/* Whether packets of this stream are kept. */
bool remux_keeps(const struct remux *r, int stream);

/* Writes a packet of a stream that is kept; it is empty afterwards. */
enum err_code remux_packet(struct remux *r, AVPacket *packet, struct err *e);

/* Writes the index: the file is whole. */
enum err_code remux_end(struct remux *r, struct err *e);
void remux_fini(struct remux *r);

#endif
