#include "video/shape.h"

#include <stdlib.h>
#include <string.h>

/* Wider than any format for delivery, so that a strange ratio cannot make a picture absurd. */
#define SIDE_MAX 65535

/* The side of n pixels of which each is num/den long; as it is if that makes no sense. */
static uint32_t squared(int n, AVRational pixel)
{
	int64_t side = n;

	if (pixel.num > 0 && pixel.den > 0)
		side = av_rescale(n, pixel.num, pixel.den);
	return (uint32_t)(side > 0 && side <= SIDE_MAX ? side : n);
}

/* The matrix (ISO/IEC 14496-12 section 6.2.2) takes (x, y) to (a x + c y, b x + d y). Turns that
 * are not by a right angle are taken for the nearest that is. */
static void orient(struct shape *s, const int32_t *matrix)
{
	int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];

	s->turned = llabs(b) > llabs(a);
	s->mirrored = (s->turned ? c : a) < 0;
	s->upended = (s->turned ? b : d) < 0;
}

struct shape shape_of(const AVStream *s, int width, int height, AVRational pixel)
{
	struct shape shape = { squared(width, pixel), (uint32_t)height, false, false, false };
	size_t size = 0;
	const uint8_t *side = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);
	int32_t matrix[9];

	if (side != NULL && size >= sizeof(matrix)) {
		memcpy(matrix, side, sizeof(matrix));
		orient(&shape, matrix);
	}
	return shape;
}

uint32_t shape_width(const struct shape *s)
{
	return s->turned ? s->height : s->width;
}

uint32_t shape_height(const struct shape *s)
{
	return s->turned ? s->width : s->height;
}

void shape_fit(struct shape *s, uint32_t max)
{
	uint64_t longest = s->width > s->height ? s->width : s->height;

	if (longest <= max)
		return;
	s->width = (uint32_t)((s->width * (uint64_t)max + longest / 2) / longest);
	s->height = (uint32_t)((s->height * (uint64_t)max + longest / 2) / longest);
	if (s->width == 0)
		s->width = 1;
	if (s->height == 0)
		s->height = 1;
}

void shape_display(const struct shape *s, uint8_t *out, const uint8_t *stored, size_t stride)
{
	uint32_t width = shape_width(s), height = shape_height(s);

	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint32_t column = s->mirrored ? width - 1 - x : x;
			uint32_t row = s->upended ? height - 1 - y : y;
			size_t from = s->turned ? column * stride + 3 * (size_t)row
						: row * stride + 3 * (size_t)column;

			memcpy(out, stored + from, 3);
			out += 3;
		}
	}
}
