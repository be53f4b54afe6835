/* photo - makes a picture ready to be sent: oriented, without metadata, in sRGB, scaled to a tier,
 * encoded anew, with a preview. The one folder that knows libvips; only loaders that libvips holds
 * to be safe with untrusted input are used.
 *
 * photo_start() once in the program's life, before other threads; then any thread. libvips uses as
 * many threads of its own as there are processors. Nothing is printed, but for what dav1d and
 * libde265 say themselves of some broken AVIF and HEIC files. What is taken, and what it costs:
 * doc/photos.md */
#ifndef RESTANTE_PHOTO_PHOTO_H
#define RESTANTE_PHOTO_PHOTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define PHOTO_PREVIEW_MAX 4096
#define PHOTO_THUMBHASH_MAX 25

enum photo_tier {
	PHOTO_STANDARD, /* longest edge 1600 pixels, aims at 1 MiB */
	PHOTO_HIGH,     /* 4096 pixels, 3 MiB */
	PHOTO_ORIGINAL, /* the bytes as they are */
};

/* AUTO never makes a file larger than it was; a format that is asked for may. JPEG: transparency is
 * laid over white, and of an animation the first frame is sent. */
enum photo_format { PHOTO_AUTO, PHOTO_JPEG, PHOTO_WEBP };

struct photo_options {
	enum photo_tier tier;
	enum photo_format format; /* AUTO: JPEG; WebP where there is transparency or animation, of
				   * drawings, and of WebP */
	bool strip;               /* of PHOTO_ORIGINAL: metadata is removed all the same */
	uint64_t max_pixels;      /* no more than so many; 0: as many as can be held in memory */
};

/* A small picture of a picture. */
struct photo_preview {
	uint8_t image[PHOTO_PREVIEW_MAX]; /* JPEG, or WebP with transparency */
	size_t image_size;
	const char *image_type; /* "image/jpeg" */
	uint8_t thumbhash[PHOTO_THUMBHASH_MAX];
	size_t thumbhash_size;
};

struct photo {
	uint8_t *data; /* what to send; NULL: the input's own bytes, unchanged. photo_fini() frees
			  it */
	size_t size;
	const char *type;       /* "image/jpeg", a static string, also of unchanged ones */
	uint32_t width, height; /* as displayed */
	struct photo_preview preview;
};

/* Starts libvips. Fails with ERR_NOMEM. photo_stop() ends it. */
enum err_code photo_start(struct err *e);
void photo_stop(void);

/* Prepares the picture in `in` (borrowed for the call; may be a mapped file). ERR_INVALID (no
 * picture we take, or broken; e->why is a sentence for a person), ERR_TOOBIG (more pixels than we
 * take), ERR_NOMEM. On ERR_OK *out is the caller's. */
enum err_code photo_prepare(struct photo *out, struct bytes in, const struct photo_options *o,
			    struct err *e);
void photo_fini(struct photo *p);

/* A preview of pixels: RGB or RGBA of 8 bits, sRGB, rows without gaps, channels 3 or 4. */
enum err_code photo_preview_of(struct photo_preview *out, const uint8_t *pixels, uint32_t width,
			       uint32_t height, unsigned channels, struct err *e);

#endif
