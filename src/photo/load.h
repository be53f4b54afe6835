/* load - the way in: which files are taken, and how much of them. Only the loader of the format
 * that the first bytes name is ever asked, and everything that can be refused is refused by the
 * header, before a pixel is decoded. */
#ifndef RESTANTE_PHOTO_LOAD_H
#define RESTANTE_PHOTO_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "photo/kind.h"
#include "photo/pixels.h"

#define LOAD_BYTES_MAX ((size_t)256 << 20)
#define LOAD_PIXELS_MAX ((uint64_t)1 << 28)        /* 268 million: a 200-megapixel phone and more */
#define LOAD_FRAMES_PIXELS_MAX ((uint64_t)1 << 27) /* of an animation, all frames together */
#define LOAD_FRAMES_MAX 2000u
#define LOAD_HELD_MAX ((uint64_t)1 << 30) /* bytes that a decoder may hold at once */
#define LOAD_SCANS_MAX 100u               /* of a JPEG; each goes over the whole picture */

struct source {
	struct bytes in; /* borrowed */
	enum kind kind;
	uint32_t width, height; /* as displayed */
	unsigned frames;        /* 1: a still picture */
	bool upright;           /* the pixels are stored as they are displayed */
	bool plain;    /* 8-bit grey or RGB in sRGB: the stored colours are what is meant */
	bool lossless; /* of a format without loss */
};

/* Looks at the header of a file. max_pixels is a lower limit than our own, 0: ours. Fails with
 * ERR_INVALID, ERR_TOOBIG, ERR_NOMEM. Nothing to release. */
enum err_code source_open(struct source *s, struct bytes in, uint64_t max_pixels, struct err *e);

/* Decodes it, so that the longest edge of *out has at most `edge` pixels: upright, sRGB. Of an
 * animation the first frame, unless `animated`. The file is decoded to its end, and refused with
 * ERR_INVALID if it is broken or cut short. */
enum err_code source_read(struct pixels *out, const struct source *s, uint32_t edge, bool animated,
			  struct err *e);

#endif
