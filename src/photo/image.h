/* image - steps of a libvips pipeline. Each takes *im and puts what it made of it in its place:
 * the old image is released, but stays alive as long as the new one draws from it. On failure
 * *im stays what it was, and it is still the caller's. Returns like libvips does: 0 or -1.
 *
 * Whoever includes this knows libvips; nobody outside of this folder does. */
#ifndef RESTANTE_PHOTO_IMAGE_H
#define RESTANTE_PHOTO_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <vips/vips.h>

#include "base/err.h"
#include "photo/pixels.h"

/* Puts next in the place of *im; always 0. */
int image_become(VipsImage **im, VipsImage *next);

/* Scales to width × height of each frame; `frames` lie below each other. */
int image_scale(VipsImage **im, uint32_t width, uint32_t height, unsigned frames);

/* Renders what the pipeline makes into memory, all of it. */
int image_render(VipsImage **im);

/* To sRGB of 8 bits: 1 band of grey, 3, or 4 with alpha; alpha that hides nothing is dropped. *im
 * is in memory, or is read twice. */
int image_to_srgb(VipsImage **im);

/* Whether an embedded profile, if there is one, says the same of colours as sRGB does. */
bool image_is_srgb(VipsImage *im);

/* Of pixels, borrowed: they outlive *im. */
int image_of(VipsImage **im, const struct pixels *p);

/* Hands the pixels of *im, which has what image_to_srgb() leaves, to *p as one frame. */
int image_to_pixels(VipsImage *im, struct pixels *p);

/* After a step failed: ERR_NOMEM if that was it, else `otherwise` with the sentence. */
enum err_code image_failed(struct err *e, enum err_code otherwise, const char *sentence);

#endif
