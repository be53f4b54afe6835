#include "video/remux.h"

#include <string.h>

#include "video/times.h"
#include "video/xiph.h"

/* ---- which streams, into what ---- */

/* Cover pictures and thumbnails are metadata, wherever they are. */
static bool is_picture_of_it(const AVStream *s)
{
	return (s->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_STILL_IMAGE |
				  AV_DISPOSITION_TIMED_THUMBNAILS)) != 0;
}

/* Drones write where they are into subtitles. */
static bool is_flight_log(const AVStream *s)
{
	const AVDictionaryEntry *name = av_dict_get(s->metadata, "handler_name", NULL, 0);

	return name != NULL && strstr(name->value, "DJI") != NULL;
}

static bool is_wanted(const AVStream *s)
{
	switch (s->codecpar->codec_type) {
	case AVMEDIA_TYPE_VIDEO:
		return !is_picture_of_it(s);
	case AVMEDIA_TYPE_AUDIO:
		return true;
	case AVMEDIA_TYPE_SUBTITLE:
		return !is_flight_log(s);
	default:
		return false;
	}
}

static bool can_hold(const AVOutputFormat *f, const AVStream *s)
{
	return s->codecpar->codec_id != AV_CODEC_ID_NONE &&
	       avformat_query_codec(f, s->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 1;
}

static bool has_known(const AVFormatContext *in, enum AVMediaType type)
{
	for (unsigned i = 0; i < in->nb_streams; i++)
		if (in->streams[i]->codecpar->codec_type == type &&
		    in->streams[i]->codecpar->codec_id != AV_CODEC_ID_NONE &&
		    is_wanted(in->streams[i]))
			return true;
	return false;
}

/* Whether a container of this kind has room for all that is to be seen and heard. A stream of a
 * codec that is not known here may stay behind only if there is another one of its type. */
static bool has_room(const struct container *kind, const AVFormatContext *in)
{
	const AVOutputFormat *f = av_guess_format(kind->writes, NULL, NULL);

	for (unsigned i = 0; f != NULL && i < in->nb_streams; i++) {
		const AVStream *s = in->streams[i];
		enum AVMediaType type = s->codecpar->codec_type;

		if (!is_wanted(s) || type == AVMEDIA_TYPE_SUBTITLE || can_hold(f, s))
			continue;
		if (s->codecpar->codec_id != AV_CODEC_ID_NONE || !has_known(in, type))
			return false;
	}
	return f != NULL;
}

/* ---- streams ---- */

/* What is needed to show and hear it right; the rest of what is known of a stream stays behind. */
static const enum AVPacketSideDataType sides[] = {
	AV_PKT_DATA_DISPLAYMATRIX,       AV_PKT_DATA_STEREO3D,
	AV_PKT_DATA_SPHERICAL,           AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
	AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_DOVI_CONF,
	AV_PKT_DATA_CPB_PROPERTIES,      AV_PKT_DATA_AUDIO_SERVICE_TYPE,
};
static const char *const tags[] = { "language", "alpha_mode", "stereo_mode" };

static int copy_sides(AVStream *to, const AVStream *from)
{
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		size_t size = 0;
		const uint8_t *side = av_stream_get_side_data(from, sides[i], &size);
		uint8_t *copy = side != NULL ? av_stream_new_side_data(to, sides[i], size) : NULL;

		if (side != NULL && copy == NULL)
			return AVERROR(ENOMEM);
		if (side != NULL)
			memcpy(copy, side, size);
	}
	return 0;
}

static int copy_tags(AVStream *to, const AVStream *from)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		const AVDictionaryEntry *tag = av_dict_get(from->metadata, tags[i], NULL, 0);
		int rc = tag != NULL ? av_dict_set(&to->metadata, tags[i], tag->value, 0) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The code by which a container names a codec: as it was, unless it means another codec here, or
 * another code is the only one. (There are several of HEVC, and players that know one of them.) */
static uint32_t codec_code(const AVOutputFormat *f, const AVCodecParameters *codec)
{
	unsigned other;

	if (f->codec_tag == NULL ||
	    av_codec_get_id(f->codec_tag, codec->codec_tag) == codec->codec_id ||
	    !av_codec_get_tag2(f->codec_tag, codec->codec_id, &other))
		return codec->codec_tag;
	return 0;
}

static int add_stream(struct remux *r, unsigned i)
{
	const AVStream *from = r->in->streams[i];
	AVStream *to = avformat_new_stream(r->out, NULL);
	int rc;

	if (to == NULL)
		return AVERROR(ENOMEM);
	rc = avcodec_parameters_copy(to->codecpar, from->codecpar);
	if (rc >= 0)
		rc = xiph_strip(to->codecpar);
	if (rc < 0)
		return rc;
	to->codecpar->codec_tag = codec_code(r->out->oformat, from->codecpar);
	to->time_base = from->time_base;
	to->avg_frame_rate = from->avg_frame_rate;
	to->r_frame_rate = from->r_frame_rate;
	/* where file and pictures disagree on the shape of pixels, the file is right */
	if (from->sample_aspect_ratio.num > 0)
		to->codecpar->sample_aspect_ratio = from->sample_aspect_ratio;
	to->sample_aspect_ratio = to->codecpar->sample_aspect_ratio;
	to->disposition = from->disposition;
	r->streams[i].to = to;
	r->streams[i].last_dts = AV_NOPTS_VALUE;
	rc = copy_sides(to, from);
	return rc < 0 ? rc : copy_tags(to, from);
}

/* ---- */

static enum err_code failed(const struct remux *r, int why, struct err *e)
{
	return file_io_failed(&r->file, why, "the video makes no sense to the writer", e);
}

static int open_output(struct remux *r, int fd)
{
	int rc = avformat_alloc_output_context2(&r->out, NULL, r->kind->writes, NULL);

	if (rc < 0)
		return rc;
	r->out->flags |= AVFMT_FLAG_BITEXACT; /* no name and version of the library in it */
	r->out->strict_std_compliance = FF_COMPLIANCE_UNOFFICIAL; /* HDR and 360 degrees */
	rc = file_io_output(&r->file, fd, r->out);
	for (unsigned i = 0; rc >= 0 && i < r->in->nb_streams; i++)
		if (is_wanted(r->in->streams[i]) && can_hold(r->out->oformat, r->in->streams[i]))
			rc = add_stream(r, i);
	return rc;
}

static int write_head(struct remux *r)
{
	AVDictionary *options = NULL;
	int rc;

	/* each muxer takes the one that it knows */
	(void)av_dict_set(&options, "movflags", "+faststart", 0);
	(void)av_dict_set(&options, "write_tmcd", "0", 0);
	(void)av_dict_set(&options, "cues_to_front", "1", 0);
	rc = avformat_write_header(r->out, &options);
	av_dict_free(&options);
	return rc;
}

enum err_code remux_begin(struct remux *r, AVFormatContext *in, const struct container *kind,
			  int fd, struct err *e)
{
	int rc;

	*r = (struct remux){ .in = in, .kind = kind };
	while (r->kind != NULL && !has_room(r->kind, in))
		r->kind = r->kind->roomier;
	if (r->kind == NULL)
		return err_set(e, ERR_INVALID,
			       "the video has sound or pictures of a kind that cannot be written "
			       "anew without metadata: send it as it is with --kind file");
	rc = open_output(r, fd);
	if (rc >= 0)
		rc = write_head(r);
	return rc >= 0 ? ERR_OK : failed(r, rc, e);
}

bool remux_keeps(const struct remux *r, int stream)
{
	return r->streams[stream].to != NULL;
}

/* What the sound begins with and is not played (Matroska's CodecDelay): the reader subtracts it
 * from the times, the writer expects them with it (libavformat 59), and without this, pictures
 * would be late by it. -> false if it is no time. */
static bool delay_of(const struct remux *r, int i, int64_t *delay)
{
	const AVCodecParameters *codec = r->in->streams[i]->codecpar;
	AVRational samples = { 1, codec->sample_rate };

	*delay = 0;
	if (strcmp(r->kind->reads, "matroska") != 0 || codec->initial_padding <= 0 ||
	    codec->sample_rate <= 0)
		return true;
	*delay = codec->initial_padding;
	return time_convert(delay, samples, r->in->streams[i]->time_base);
}

/* The video begins at 0, if its clock was ahead. -> false if it is no time. */
static bool start_of(const struct remux *r, int i, int64_t *start)
{
	*start = 0;
	if (r->in->start_time == AV_NOPTS_VALUE || r->in->start_time < 0)
		return true;
	*start = r->in->start_time;
	return time_convert(start, AV_TIME_BASE_Q, r->in->streams[i]->time_base);
}

static void move(AVPacket *p, int64_t by)
{
	if (p->pts != AV_NOPTS_VALUE)
		p->pts += by;
	if (p->dts != AV_NOPTS_VALUE)
		p->dts += by;
}

/* Has a packet of stream i the times that it is written with. -> false if they make no sense. */
static bool place(const struct remux *r, int i, AVPacket *p)
{
	AVRational from = r->in->streams[i]->time_base, to = r->streams[i].to->time_base;
	int64_t delay, start;

	if (!delay_of(r, i, &delay) || !start_of(r, i, &start))
		return false;
	move(p, delay - start);
	return time_convert(&p->pts, from, to) && time_convert(&p->dts, from, to) &&
	       time_convert(&p->duration, from, to);
}

/* Times of decoding must grow, by `least`; some recorders get one wrong now and then. */
static void grow(AVPacket *p, int64_t *last, int least)
{
	if (p->dts != AV_NOPTS_VALUE && *last != AV_NOPTS_VALUE && p->dts < *last + least)
		p->dts = *last + least;
	if (p->dts != AV_NOPTS_VALUE && p->pts != AV_NOPTS_VALUE && p->pts < p->dts)
		p->pts = p->dts;
	if (p->dts != AV_NOPTS_VALUE)
		*last = p->dts;
}

enum err_code remux_packet(struct remux *r, AVPacket *packet, struct err *e)
{
	int i = packet->stream_index, rc;
	AVStream *to = r->streams[i].to;

	if (!place(r, i, packet))
		return failed(r, AVERROR_INVALIDDATA, e);
	grow(packet, &r->streams[i].last_dts,
	     (r->out->oformat->flags & AVFMT_TS_NONSTRICT) != 0 ? 0 : 1);
	packet->stream_index = to->index;
	packet->pos = -1;
	/* in the order they came: what a file holds is laced already, and nothing piles up here */
	rc = av_write_frame(r->out, packet);
	av_packet_unref(packet);
	return rc >= 0 ? ERR_OK : failed(r, rc, e);
}

enum err_code remux_end(struct remux *r, struct err *e)
{
	int rc = av_write_trailer(r->out);

	avio_flush(r->file.pb);
	if (rc >= 0)
		rc = r->file.pb->error;
	return rc >= 0 ? ERR_OK : failed(r, rc, e);
}

void remux_fini(struct remux *r)
{
	avformat_free_context(r->out);
	r->out = NULL;
	file_io_close(&r->file);
}
