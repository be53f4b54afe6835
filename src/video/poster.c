#include "video/poster.h"

#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <stdlib.h>

#include "video/shape.h"

/* A decoder that has given no picture by then will give none. */
#define PACKETS_MAX 128

#define SIDE_MAX 256
/* Pictures as large as this have the colours of HD (BT.709) if they do not say. */
#define HD_HEIGHT 720
/* Rows are given room to be written beyond their end. */
#define ALIGN 64

void poster_begin(struct poster *p, AVFormatContext *in, AVStream *stream)
{
	const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
	AVDictionary *options = NULL;

	*p = (struct poster){ .in = in, .stream = stream, .frame = av_frame_alloc() };
	p->decoder = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
	if (p->frame == NULL || p->decoder == NULL)
		return;
	(void)av_dict_set(&options, "codec_whitelist", POSTER_DECODERS, 0);
	(void)av_dict_set(&options, "max_pixels", POSTER_PIXELS_MAX, 0);
	(void)av_dict_set(&options, "threads", "1", 0);
	if (avcodec_parameters_to_context(p->decoder, stream->codecpar) < 0 ||
	    avcodec_open2(p->decoder, codec, &options) < 0)
		avcodec_free_context(&p->decoder);
	av_dict_free(&options);
}

void poster_packet(struct poster *p, const AVPacket *packet)
{
	if (p->decoder == NULL || p->frame == NULL || p->have || p->fed++ == PACKETS_MAX)
		return;
	/* what it cannot decode, it passes over */
	(void)avcodec_send_packet(p->decoder, packet);
	p->have = avcodec_receive_frame(p->decoder, p->frame) == 0;
	if (p->have || p->fed == PACKETS_MAX)
		avcodec_free_context(&p->decoder);
}

static int colours_of(const AVFrame *f)
{
	if (f->colorspace != AVCOL_SPC_UNSPECIFIED)
		return (int)f->colorspace;
	return f->height >= HD_HEIGHT ? SWS_CS_ITU709 : SWS_CS_ITU601;
}

/* Scales the frame to the size of s, as stored, into RGB. */
static bool scale(const AVFrame *f, const struct shape *s, uint8_t *to[4], int stride[4])
{
	bool full = f->color_range == AVCOL_RANGE_JPEG;
	struct SwsContext *sws = NULL;
	bool scaled = false;

	if (sws_isSupportedInput((enum AVPixelFormat)f->format))
		sws = sws_getContext(f->width, f->height, (enum AVPixelFormat)f->format,
				     (int)s->width, (int)s->height, AV_PIX_FMT_RGB24,
				     SWS_AREA | SWS_ACCURATE_RND, NULL, NULL, NULL);
	if (sws != NULL) {
		(void)sws_setColorspaceDetails(sws, sws_getCoefficients(colours_of(f)), full,
					       sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
					       1 << 16);
		scaled = sws_scale(sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height,
				   to, stride) == (int)s->height;
	}
	sws_freeContext(sws);
	return scaled;
}

void poster_write(struct poster *p, struct video *out)
{
	AVFrame *f = p->frame;
	uint8_t *stored[4] = { NULL };
	struct shape s;
	int stride[4];

	if (!p->have || f->width <= 0 || f->height <= 0)
		return;
	s = shape_of(p->stream, f->width, f->height,
		     av_guess_sample_aspect_ratio(p->in, p->stream, f));
	shape_fit(&s, SIDE_MAX);
	out->frame = malloc((size_t)s.width * s.height * 3);
	if (out->frame != NULL &&
	    av_image_alloc(stored, stride, FFALIGN((int)s.width, ALIGN), (int)s.height,
			   AV_PIX_FMT_RGB24, ALIGN) >= 0 &&
	    scale(f, &s, stored, stride)) {
		out->frame_width = shape_width(&s);
		out->frame_height = shape_height(&s);
		shape_display(&s, out->frame, stored[0], (size_t)stride[0]);
	} else {
		free(out->frame);
		out->frame = NULL;
	}
	av_freep(&stored[0]);
}

void poster_fini(struct poster *p)
{
	avcodec_free_context(&p->decoder);
	av_frame_free(&p->frame);
}
