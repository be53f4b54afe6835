/* video - what a player wants to know of a video, and a file in which it can seek before all of it
 * is there. Through ffmpeg's libraries where restante is built with them (video.c and what it
 * calls), else (none.c) videos are sent as they are. This is the one folder that includes them. Any
 * thread; the first call silences the libraries' log, and bounds what they allocate at a time, for
 * the whole process. doc/media.md tells what is done and what is not. */
#ifndef RESTANTE_VIDEO_VIDEO_H
#define RESTANTE_VIDEO_VIDEO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct video {
	uint32_t width, height; /* as displayed: turned, and with square pixels */
	uint64_t duration_ms;
	const char *type; /* of what was written: "video/mp4", "video/quicktime", "video/3gpp",
			   * "video/webm", "video/x-matroska"; static */
	uint8_t *frame;   /* poster: RGB of 8 bits, rows without gaps, at most 256 pixels long and
			   * wide, turned as displayed; NULL if none could be had. video_fini() frees
			   * it */
	uint32_t frame_width, frame_height;
	bool rewritten; /* the bytes to send are in out_fd; so they are on every ERR_OK */
};

/* Whether restante is built with ffmpeg's libraries. */
bool video_supported(void);

/* Looks at the video in the regular file in_fd and writes to out_fd (regular, empty, for reading
 * and writing) the same pictures, sound and subtitles, not encoded anew, with the index in front
 * and without metadata (place, time, maker, titles). Both are used from their start, their
 * positions stay. ERR_INVALID (no video that is taken, broken, or one that cannot be written anew;
 * e->why is a sentence for a person), ERR_IO, ERR_NOMEM; ERR_FORMAT if !video_supported(). On
 * ERR_OK *out is the caller's; else what is in out_fd is worth nothing. */
enum err_code video_prepare(struct video *out, int in_fd, int out_fd, struct err *e);
void video_fini(struct video *v);

#endif
