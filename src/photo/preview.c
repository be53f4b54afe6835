#include "photo/preview.h"

#include <string.h>

#include "photo/encode.h"
#include "photo/image.h"
#include "photo/thumbhash.h"

_Static_assert(PREVIEW_EDGE <= THUMBHASH_EDGE, "the hash is made of the preview's pixels");
_Static_assert(PHOTO_THUMBHASH_MAX == THUMBHASH_MAX, "a hash fits");

/* The first frame of p, which it borrows. */
static struct pixels first_of(const struct pixels *p)
{
	struct pixels one = *p;

	one.frames = 1;
	one.delays_ms = NULL;
	return one;
}

static uint32_t scaled(uint32_t edge, uint32_t longest)
{
	const uint32_t n = longest <= PREVIEW_EDGE
				   ? edge
				   : (uint32_t)((double)edge * PREVIEW_EDGE / longest + 0.5);

	return n > 0 ? n : 1;
}

static int scale_down(struct pixels *small, const struct pixels *p)
{
	const uint32_t longest = p->width > p->height ? p->width : p->height;
	VipsImage *im;
	int rc;

	if (image_of(&im, p) != 0)
		return -1;
	rc = image_scale(&im, scaled(p->width, longest), scaled(p->height, longest), 1);
	if (rc == 0)
		rc = image_to_pixels(im, small);
	g_object_unref(im);
	return rc;
}

static size_t hash_of(uint8_t *hash, const struct pixels *p)
{
	uint8_t rgba[PREVIEW_EDGE * PREVIEW_EDGE * 4], *to = rgba;
	const uint8_t *from = p->data;
	const size_t count = (size_t)p->width * p->height;

	for (size_t i = 0; i < count; i++, from += p->bands, to += 4) {
		to[0] = from[0];
		to[1] = from[p->bands > 2 ? 1 : 0];
		to[2] = from[p->bands > 2 ? 2 : 0];
		to[3] = p->bands == 4 ? from[3] : 255;
	}
	return thumbhash_encode(hash, rgba, p->width, p->height);
}

enum err_code preview_make(struct photo_preview *out, const struct pixels *p, struct err *e)
{
	const struct encoding how = { .webp = p->bands == 4, .quality = 70 };
	const struct pixels one = first_of(p);
	struct pixels small = { 0 };
	struct encoded x;
	enum err_code rc;

	if (scale_down(&small, &one) != 0)
		return image_failed(e, ERR_NOMEM, "not enough memory for a preview");
	rc = encode_to_fit(&x, &small, how, false, PHOTO_PREVIEW_MAX, e);
	if (rc == ERR_OK && x.size <= PHOTO_PREVIEW_MAX) {
		memcpy(out->image, x.data, x.size);
		out->image_size = x.size;
		out->image_type = x.type;
		out->thumbhash_size = hash_of(out->thumbhash, &small);
	}
	if (rc == ERR_OK)
		encoded_fini(&x);
	pixels_fini(&small);
	return rc;
}

enum err_code photo_preview_of(struct photo_preview *out, const uint8_t *pixels, uint32_t width,
			       uint32_t height, unsigned channels, struct err *e)
{
	const struct pixels p = { .data = (uint8_t *)(uintptr_t)pixels,
				  .width = width,
				  .height = height,
				  .bands = channels,
				  .frames = 1 };
	enum err_code rc;

	if (width == 0 || height == 0 || width > INT32_MAX / 4 || height > INT32_MAX / 4 ||
	    (channels != 3 && channels != 4))
		return err_set(e, ERR_INVALID, "no pixels to make a preview of");
	rc = preview_make(out, &p, e);
	vips_thread_shutdown(); /* what libvips keeps for this thread */
	return rc;
}
