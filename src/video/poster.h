/* poster - a small picture of a video's first frame. Fed with packets while they pass by. */
#ifndef RESTANTE_VIDEO_POSTER_H
#define RESTANTE_VIDEO_POSTER_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdbool.h>

#include "video/video.h"

/* The decoders that are ever opened: of what phones, cameras and screens record. */
#define POSTER_DECODERS                                                                \
	"h264,hevc,libdav1d,vp8,vp9,mpeg4,h263,mpeg2video,mjpeg,prores,dnxhd,rawvideo" \
	",aac,opus,libopus,vorbis,mp3,mp3float,flac,alac,ac3,eac3,amrnb,amrwb"
/* Larger pictures (8K is 33 million pixels) are not decoded. */
#define POSTER_PIXELS_MAX "37748736"

struct poster {
	AVFormatContext *in; /* borrowed */
	AVStream *stream;
	AVCodecContext *decoder; /* NULL: there will be no picture */
	AVFrame *frame;
	bool have; /* frame is the picture */
	unsigned fed;
};

/* Begins for a stream of in, both of which outlive it. One that cannot be decoded has no poster;
 * nothing else comes of it. */
void poster_begin(struct poster *p, AVFormatContext *in, AVStream *stream);

/* Looks at the stream's next packet, borrowed; NULL: there are no more. */
void poster_packet(struct poster *p, const AVPacket *packet);

/* Writes frame, frame_width and frame_height of out, if there is a picture. */
void poster_write(struct poster *p, struct video *out);

/* Ends it; one of zeroes is fine. */
void poster_fini(struct poster *p);

#endif
