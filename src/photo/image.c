#include "photo/image.h"

#include <stdlib.h>
#include <string.h>

int image_become(VipsImage **im, VipsImage *next)
{
	g_object_unref(*im);
	*im = next;
	return 0;
}

/* Resizing mixes neighbours: what is transparent must not lend them its colour. */
static int premultiplied(VipsImage **im)
{
	VipsImage *out;

	return vips_premultiply(*im, &out, NULL) != 0 ? -1 : image_become(im, out);
}

static int unpremultiplied(VipsImage **im, VipsBandFormat format)
{
	VipsImage *out;

	if (vips_unpremultiply(*im, &out, NULL) != 0)
		return -1;
	(void)image_become(im, out);
	return vips_cast(*im, &out, format, NULL) != 0 ? -1 : image_become(im, out);
}

/* A cheap filter for the whole number in a great step down, so that at least a half is left to the
 * good one. vips_resize() does the same, six times slower: it asks for lines more than once. */
static int coarsely(VipsImage **im, double across, double down)
{
	const int x = across < 1 ? (int)(0.5 / across) : 1, y = down < 1 ? (int)(0.5 / down) : 1;
	VipsImage *out;

	if (x < 2 && y < 2)
		return 0;
	if (vips_shrink(*im, &out, x > 1 ? x : 1, y > 1 ? y : 1, NULL) != 0)
		return -1;
	return image_become(im, out);
}

static int finely(VipsImage **im, double across, double down)
{
	VipsImage *out;

	if (vips_resize(*im, &out, across, "vscale", down, NULL) != 0)
		return -1;
	return image_become(im, out);
}

int image_scale(VipsImage **im, uint32_t width, uint32_t height, unsigned frames)
{
	const VipsBandFormat format = (*im)->BandFmt;
	const bool alpha = vips_image_hasalpha(*im);
	const double rows = (double)height * frames;

	if ((uint32_t)(*im)->Xsize == width && (uint32_t)(*im)->Ysize == height * frames)
		return 0;
	if (alpha && premultiplied(im) != 0)
		return -1;
	if ((frames == 1 && coarsely(im, width / (double)(*im)->Xsize, rows / (*im)->Ysize) != 0) ||
	    finely(im, width / (double)(*im)->Xsize, rows / (*im)->Ysize) != 0)
		return -1;
	return alpha ? unpremultiplied(im, format) : 0;
}

int image_render(VipsImage **im)
{
	VipsImage *out = vips_image_copy_memory(*im);

	return out == NULL ? -1 : image_become(im, out);
}

int image_of(VipsImage **im, const struct pixels *p)
{
	const size_t size = (size_t)p->width * p->height * p->frames * p->bands;
	VipsImage *raw = vips_image_new_from_memory(p->data, size, (int)p->width,
						    (int)(p->height * p->frames), (int)p->bands,
						    VIPS_FORMAT_UCHAR);
	VipsImage *out;

	if (raw == NULL)
		return -1;
	if (vips_copy(raw, &out, "interpretation",
		      p->bands == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
		      NULL) != 0) {
		g_object_unref(raw);
		return -1;
	}
	g_object_unref(raw);
	*im = out;
	return 0;
}

int image_to_pixels(VipsImage *im, struct pixels *p)
{
	size_t size;
	uint8_t *data = vips_image_write_to_memory(im, &size);

	if (data == NULL)
		return -1;
	*p = (struct pixels){ .data = data,
			      .width = (uint32_t)im->Xsize,
			      .height = (uint32_t)im->Ysize,
			      .bands = (unsigned)im->Bands,
			      .frames = 1 };
	return 0;
}

void pixels_fini(struct pixels *p)
{
	g_free(p->data);
	free(p->delays_ms);
	*p = (struct pixels){ 0 };
}

/* The texts are libvips' own, shared by all threads, and too technical for people. */
enum err_code image_failed(struct err *e, enum err_code otherwise, const char *sentence)
{
	char *said = vips_error_buffer_copy(); /* and clears it */
	const bool memory = said != NULL && strstr(said, "out of memory") != NULL;

	g_free(said);
	if (memory)
		return err_set(e, ERR_NOMEM, "not enough memory for this picture");
	return err_set(e, otherwise, "%s", sentence);
}
