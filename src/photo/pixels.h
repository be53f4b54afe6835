/* pixels - a picture in memory and nothing but its pixels: upright, sRGB, 8 bits. Whatever tags and
 * profiles its file had cannot come this far. An animation's frames lie below each other. */
#ifndef RESTANTE_PHOTO_PIXELS_H
#define RESTANTE_PHOTO_PIXELS_H

#include <stddef.h>
#include <stdint.h>

struct pixels {
	uint8_t *data;          /* rows without gaps */
	uint32_t width, height; /* of one frame */
	unsigned bands;         /* 1 grey, 3 RGB, 4 RGB with alpha */
	unsigned frames;        /* 1: a still picture */
	int *delays_ms;         /* of each frame; NULL of a still picture */
	int loop;               /* how often it is played; 0 for ever */
};

/* Releases what p has and leaves it empty. */
void pixels_fini(struct pixels *p);

#endif
