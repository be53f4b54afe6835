/* heif - starts libvips without the loaders that we never use, and loads the one for HEIC and AVIF
 * when the first such picture comes. */
#ifndef RESTANTE_PHOTO_HEIF_H
#define RESTANTE_PHOTO_HEIF_H

#include <stdbool.h>

/* libvips' own start, but none of its modules is loaded: neither ImageMagick nor poppler nor
 * OpenSlide comes into the process. Before other threads. 0, or -1. */
int heif_start_vips(void);

/* Whether HEIF pictures can be loaded; loads the module for it the first time. Any thread. */
bool heif_ready(void);

#endif
