#include <string.h>

#include "photo/jpeg.h"
#include "photo/strip.h"

enum verdict { KEEP, DROP, UNKNOWN };

/* What the decoder needs, what no decoder needs, and what we had better not touch: hierarchical
 * files, markers that are reserved, a second SOI. */
static enum verdict judge(uint8_t marker)
{
	if (marker >= JPEG_SOF0 && marker <= JPEG_SOF15 && marker != JPEG_JPG)
		return KEEP;
	if (marker == JPEG_SOS || marker == JPEG_DQT || marker == JPEG_DNL || marker == JPEG_DRI)
		return KEEP;
	if ((marker >= JPEG_APP0 && marker <= JPEG_APP15) || marker == JPEG_COM)
		return DROP;
	return UNKNOWN;
}

static uint8_t *put(uint8_t *to, struct bytes b)
{
	if (b.len > 0)
		memcpy(to, b.data, b.len);
	return to + b.len;
}

static uint8_t *put_segment(uint8_t *to, uint8_t marker, struct bytes body)
{
	*to++ = 0xff;
	*to++ = marker;
	bytes_put_u16(to, (uint16_t)(body.len + 2));
	return put(to + 2, body);
}

static int begins(struct bytes body, struct bytes with, size_t at_least)
{
	return body.len >= at_least && memcmp(body.data, with.data, with.len) == 0;
}

/* Two application segments say how the components are to be read as colours. Of JFIF only that it
 * is there, in its shortest form: it may have a thumbnail. Of Adobe's the twelve bytes it has. */
static uint8_t *put_application(uint8_t *to, const struct jpeg_segment *s)
{
	static const struct bytes jfif = BYTES("JFIF\0\1\1\0\0\1\0\1\0\0");

	if (s->marker == JPEG_APP0 && begins(s->body, BYTES("JFIF\0"), jfif.len))
		return put_segment(to, JPEG_APP0, jfif);
	if (s->marker == JPEG_APP14 && begins(s->body, BYTES("Adobe"), 12))
		return put_segment(to, JPEG_APP14, (struct bytes){ s->body.data, 12 });
	return to;
}

size_t strip_jpeg(uint8_t *to, struct bytes in)
{
	struct jpeg_walk w = jpeg_begin(in);
	struct jpeg_segment s;
	uint8_t *at = put(to, BYTES("\xff\xd8"));

	while (jpeg_next(&w, &s)) {
		if (s.marker == JPEG_EOI)
			return (size_t)(put(at, BYTES("\xff\xd9")) - to);
		switch (judge(s.marker)) {
		case KEEP:
			at = put(put_segment(at, s.marker, s.body), s.entropy);
			break;
		case DROP:
			at = put_application(at, &s);
			break;
		case UNKNOWN:
			return 0;
		}
	}
	return 0;
}
