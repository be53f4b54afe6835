#include "video/xiph.h"

#include <libavutil/mem.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define PACKETS 3
#define MAGIC 7

/* How the packets of a codec begin, how long the first one is (Vorbis I section 4.2, Theora section
 * 6), and the second one without comments: no vendor, none of them, and of Vorbis a bit behind. */
static const struct codec {
	enum AVCodecID id;
	char begin[PACKETS][MAGIC + 1];
	size_t first;
	struct bytes none;
} codecs[] = {
	{ AV_CODEC_ID_VORBIS,
	  { "\x01vorbis", "\x03vorbis", "\x05vorbis" },
	  30,
	  BYTES("\x03vorbis\0\0\0\0\0\0\0\0\x01") },
	{ AV_CODEC_ID_THEORA,
	  { "\x80theora", "\x81theora", "\x82theora" },
	  42,
	  BYTES("\x81theora\0\0\0\0\0\0\0\0") },
};

static const struct codec *find(enum AVCodecID id)
{
	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
		if (codecs[i].id == id)
			return &codecs[i];
	return NULL;
}

static bool take(struct bytes *in, size_t n, struct bytes *out)
{
	if (n > in->len)
		return false;
	*out = (struct bytes){ in->data, n };
	in->data += n;
	in->len -= n;
	return true;
}

/* A length, as bytes to be added up; the last of them is below 255. */
static bool laced(struct bytes *in, size_t *n)
{
	struct bytes one;

	*n = 0;
	do {
		if (!take(in, 1, &one))
			return false;
		*n += one.data[0];
	} while (one.data[0] == 255);
	return true;
}

/* The lengths of all but the last one in front, behind their number. */
static bool split(const struct codec *c, struct bytes in, struct bytes out[PACKETS])
{
	struct bytes count;
	size_t first, second;

	if (!take(&in, 1, &count) || count.data[0] != PACKETS - 1 || !laced(&in, &first) ||
	    !laced(&in, &second) || !take(&in, first, &out[0]) || !take(&in, second, &out[1]))
		return false;
	out[2] = in;
	for (size_t i = 0; i < PACKETS; i++)
		if (out[i].len < MAGIC || memcmp(out[i].data, c->begin[i], MAGIC) != 0)
			return false;
	return first == c->first;
}

static uint8_t *put(uint8_t *out, struct bytes packet)
{
	memcpy(out, packet.data, packet.len);
	return out + packet.len;
}

/* The first two are shorter than 255 bytes: a byte is enough for the length of each. */
int xiph_strip(AVCodecParameters *codec)
{
	const struct codec *c = find(codec->codec_id);
	struct bytes in = { codec->extradata,
			    codec->extradata_size > 0 ? (size_t)codec->extradata_size : 0 };
	struct bytes packets[PACKETS];
	uint8_t *out, *p;

	if (c == NULL)
		return 0;
	if (!split(c, in, packets))
		return AVERROR_INVALIDDATA;
	out = av_mallocz(in.len + PACKETS + c->none.len + AV_INPUT_BUFFER_PADDING_SIZE);
	if (out == NULL)
		return AVERROR(ENOMEM);
	out[0] = PACKETS - 1;
	out[1] = (uint8_t)packets[0].len;
	out[2] = (uint8_t)c->none.len;
	p = put(put(put(out + PACKETS, packets[0]), c->none), packets[2]);
	av_freep(&codec->extradata);
	codec->extradata = out;
	codec->extradata_size = (int)(p - out);
	return 0;
}
