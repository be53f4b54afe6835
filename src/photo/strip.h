/* strip - a copy of a picture file with nothing but what its pixels need: every tag, comment,
 * profile, thumbnail and appendix is left out, and the pixels stay the same bit for bit.
 *
 * Each writes to `to`, which has room for as many bytes as `in` has, and returns how many it
 * wrote: never more than in.len. 0: the file is not put together as its format says, or has parts
 * that we do not know to be harmless. Nothing is decoded. Any thread. */
#ifndef RESTANTE_PHOTO_STRIP_H
#define RESTANTE_PHOTO_STRIP_H

#include <stdbool.h>

#include "base/bytes.h"
#include "photo/kind.h"

/* The one for the kind; 0 of kinds that have none: TIFF and the HEIF family. */
size_t strip(uint8_t *to, struct bytes in, enum kind kind);

size_t strip_jpeg(uint8_t *to, struct bytes in);
size_t strip_png(uint8_t *to, struct bytes in);
size_t strip_webp(uint8_t *to, struct bytes in);
size_t strip_gif(uint8_t *to, struct bytes in);

/* Whether a GIF goes on to its end: its decoder shows half a one without a word. */
bool gif_is_whole(struct bytes in);

#endif
