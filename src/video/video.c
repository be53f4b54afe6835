/* video - looks at a video and writes it anew, packet by packet, in one pass: each packet goes to
 * the poster, as long as it needs any, and to the new file. */
#include "video/video.h"

#include <libavutil/log.h>
#include <stdlib.h>

#include "video/container.h"
#include "video/file_io.h"
#include "video/poster.h"
#include "video/remux.h"
#include "video/shape.h"
#include "video/times.h"

/* No single block of memory that a hostile file asks for is larger; indexes of whole days are
 * smaller, and so is a picture of POSTER_PIXELS_MAX. */
#define BLOCK_MAX ((size_t)512 << 20)

/* Packets may be compressed in the file, or lack what all of them begin with. */
#define SLACK ((uint64_t)1 << 20)

struct job {
	struct file_io file;
	AVFormatContext *in;
	AVStream *stream; /* the picture */
	AVPacket *packet;
	struct poster poster;
	struct remux remux;
	int64_t end;    /* of what was seen, from the start, in microseconds */
	uint64_t bytes; /* of packets */
};

static enum err_code damaged(const struct job *j, int why, struct err *e)
{
	return file_io_failed(&j->file, why, "the video is damaged: it cannot be read to its end",
			      e);
}

/* ---- opening ---- */

static int open_container(struct job *j, const struct container *kind, int fd)
{
	AVDictionary *options = NULL;
	int rc;

	j->in = avformat_alloc_context();
	if (j->in == NULL)
		return AVERROR(ENOMEM);
	rc = file_io_input(&j->file, fd, j->in);
	if (rc < 0)
		return rc;
	j->in->max_streams = REMUX_STREAMS_MAX;
	(void)av_dict_set(&options, "format_whitelist", kind->reads, 0);
	(void)av_dict_set(&options, "codec_whitelist", POSTER_DECODERS, 0);
	rc = avformat_open_input(&j->in, NULL, av_find_input_format(kind->reads), &options);
	av_dict_free(&options);
	return rc;
}

/* Has the library look at the first packets, with the same bounds as the poster. */
static int look_inside(AVFormatContext *in)
{
	AVDictionary *options[REMUX_STREAMS_MAX] = { NULL };
	unsigned n = in->nb_streams;
	int rc;

	for (unsigned i = 0; i < n; i++) {
		(void)av_dict_set(&options[i], "max_pixels", POSTER_PIXELS_MAX, 0);
		(void)av_dict_set(&options[i], "threads", "1", 0);
	}
	rc = avformat_find_stream_info(in, options);
	for (unsigned i = 0; i < n; i++)
		av_dict_free(&options[i]);
	return rc;
}

static enum err_code open_input(struct job *j, const struct container *kind, int fd, struct err *e)
{
	int rc = open_container(j, kind, fd);

	if (rc < 0 || j->in->nb_streams > REMUX_STREAMS_MAX)
		return file_io_failed(&j->file, rc,
				      "the video is damaged: its index makes no sense", e);
	rc = look_inside(j->in);
	return rc < 0 || !time_is(j->in->start_time) ? damaged(j, rc, e) : ERR_OK;
}

/* Finds the picture: the first one that is kept. */
static enum err_code find_picture(struct job *j, struct err *e)
{
	for (unsigned i = 0; i < j->in->nb_streams && j->stream == NULL; i++)
		if (j->in->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
		    remux_keeps(&j->remux, (int)i))
			j->stream = j->in->streams[i];
	if (j->stream == NULL)
		return err_set(e, ERR_INVALID, "there is no picture in it: it is not a video");
	if (j->stream->codecpar->width <= 0 || j->stream->codecpar->height <= 0)
		return err_set(e, ERR_INVALID, "the video is damaged: its picture has no size");
	return ERR_OK;
}

/* ---- packets ---- */

static bool is_encrypted(const AVPacket *p)
{
	return av_packet_get_side_data(p, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL;
}

/* Indexes may point to the same bytes more than once, and some with reason; but no small file
 * becomes a huge one. */
static bool multiplies(struct job *j, const AVPacket *p)
{
	int64_t size = avio_size(j->file.pb);

	j->bytes += (uint64_t)p->size;
	return size < 0 || j->bytes > 4 * (uint64_t)size + SLACK;
}

/* How long the video is was measured, not read: recordings of browsers do not say. -> false if its
 * times make no sense. */
static bool measure(struct job *j, const AVPacket *p)
{
	AVRational base = j->in->streams[p->stream_index]->time_base;
	int64_t start = j->in->start_time, end;

	if (!time_is(p->pts) || !time_is(p->dts) || !time_fits(p->duration))
		return false;
	if (p->pts == AV_NOPTS_VALUE || (p->flags & AV_PKT_FLAG_DISCARD) != 0)
		return true;
	end = p->pts + p->duration;
	if (!time_convert(&end, base, AV_TIME_BASE_Q))
		return false;
	if (start != AV_NOPTS_VALUE)
		end -= start;
	if (end > j->end)
		j->end = end;
	return true;
}

static enum err_code pass_on(struct job *j, struct err *e)
{
	AVPacket *p = j->packet;

	if (is_encrypted(p))
		return err_set(e, ERR_INVALID,
			       "the video is encrypted (copy protection): nobody could watch it");
	if ((p->flags & AV_PKT_FLAG_CORRUPT) != 0 || multiplies(j, p) || !measure(j, p))
		return damaged(j, AVERROR_INVALIDDATA, e);
	if (p->stream_index == j->stream->index)
		poster_packet(&j->poster, p);
	return remux_packet(&j->remux, p, e);
}

static enum err_code pass_all(struct job *j, struct err *e)
{
	enum err_code rc = ERR_OK;
	int got;

	while (rc == ERR_OK && (got = av_read_frame(j->in, j->packet)) >= 0) {
		/* streams may turn up late */
		if (j->packet->stream_index < REMUX_STREAMS_MAX &&
		    remux_keeps(&j->remux, j->packet->stream_index))
			rc = pass_on(j, e);
		av_packet_unref(j->packet);
	}
	if (rc != ERR_OK)
		return rc;
	if (got != AVERROR_EOF || j->file.error != 0)
		return damaged(j, got, e);
	poster_packet(&j->poster, NULL);
	return remux_end(&j->remux, e);
}

/* ---- */

static void tell(const struct job *j, struct video *out)
{
	const AVCodecParameters *codec = j->stream->codecpar;
	AVRational pixel = av_guess_sample_aspect_ratio(j->in, j->stream, NULL);
	struct shape s = shape_of(j->stream, codec->width, codec->height, pixel);

	*out = (struct video){ .width = shape_width(&s),
			       .height = shape_height(&s),
			       .duration_ms = (uint64_t)(j->end + 500) / 1000,
			       .type = j->remux.kind->type,
			       .rewritten = true };
}

static enum err_code prepare(struct job *j, const struct container *kind, int in_fd, int out_fd,
			     struct err *e)
{
	enum err_code rc = open_input(j, kind, in_fd, e);

	if (rc == ERR_OK)
		rc = remux_begin(&j->remux, j->in, kind, out_fd, e);
	if (rc == ERR_OK)
		rc = find_picture(j, e);
	if (rc != ERR_OK)
		return rc;
	poster_begin(&j->poster, j->in, j->stream);
	return pass_all(j, e);
}

enum err_code video_prepare(struct video *out, int in_fd, int out_fd, struct err *e)
{
	const struct container *kind;
	enum err_code rc = container_of(&kind, in_fd, e);
	struct job j = { .packet = NULL };

	if (rc != ERR_OK)
		return rc;
	av_log_set_level(AV_LOG_QUIET);
	av_max_alloc(BLOCK_MAX);
	j.packet = av_packet_alloc();
	rc = j.packet != NULL ? prepare(&j, kind, in_fd, out_fd, e)
			      : err_set(e, ERR_NOMEM, "opening a video");
	if (rc == ERR_OK) {
		tell(&j, out);
		poster_write(&j.poster, out);
	}
	poster_fini(&j.poster);
	remux_fini(&j.remux);
	av_packet_free(&j.packet);
	avformat_close_input(&j.in);
	file_io_close(&j.file);
	return rc;
}

void video_fini(struct video *v)
{
	free(v->frame);
	v->frame = NULL;
}

bool video_supported(void)
{
	return true;
}
