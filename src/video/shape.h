/* shape - how a video's picture is displayed: turned, mirrored, and with square pixels. */
#ifndef RESTANTE_VIDEO_SHAPE_H
#define RESTANTE_VIDEO_SHAPE_H

#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stdint.h>

struct shape {
	uint32_t width, height; /* of the stored picture, its pixels made square */
	bool turned;            /* rows are displayed as columns */
	bool mirrored, upended; /* then: right to left, bottom to top */
};

/* The shape of stream s, whose pictures have width x height pixels of the given ratio. */
struct shape shape_of(const AVStream *s, int width, int height, AVRational pixel);

/* Width and height as displayed. */
uint32_t shape_width(const struct shape *s);
uint32_t shape_height(const struct shape *s);

/* Makes it smaller, if need be, so that neither side is longer than max pixels, nor 0. */
void shape_fit(struct shape *s, uint32_t max);

/* Copies an RGB picture of 8 bits, stored as s says, its rows stride bytes apart, to out as it is
 * displayed: rows without gaps. */
void shape_display(const struct shape *s, uint8_t *out, const uint8_t *stored, size_t stride);

#endif
