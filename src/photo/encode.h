/* encode - the way out: JPEG and WebP from pixels, with nothing in the file but the picture. */
#ifndef RESTANTE_PHOTO_ENCODE_H
#define RESTANTE_PHOTO_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "photo/pixels.h"

struct encoding {
	bool webp; /* else JPEG, which has neither alpha (laid over white) nor frames (the first) */
	bool lossless; /* of WebP */
	int quality;   /* 1 to 100, of what is not lossless */
};

struct encoded {
	uint8_t *data; /* encoded_fini() frees it; or g_free() */
	size_t size;
	const char *type; /* a static string */
	uint32_t width, height;
};

/* Whether WebP, which has 16383 pixels along an edge, can hold it. */
bool encode_takes_webp(const struct pixels *p);

/* Fails with ERR_NOMEM, ERR_TOOBIG (an edge that the format does not have). */
enum err_code encode(struct encoded *out, const struct pixels *p, struct encoding how,
		     struct err *e);

/* The same, so that it has no more than `limit` bytes: with lower quality first, then, if
 * `may_change`, as WebP, then with fewer pixels. A few attempts. What cannot be met in the end, by
 * one pixel, is exceeded. */
enum err_code encode_to_fit(struct encoded *out, const struct pixels *p, struct encoding how,
			    bool may_change, size_t limit, struct err *e);

void encoded_fini(struct encoded *x);

#endif
