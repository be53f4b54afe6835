#include "photo/encode.h"

#include "photo/image.h"
#include "photo/strip.h"

#define JPEG_EDGE 65500
#define WEBP_EDGE 16383

/* A progressive JPEG is some hundredths smaller and takes twice the time to encode. In the sizes
 * that are sent over the air that is a good bargain; of large ones it costs too much time, and the
 * recipient too much memory. */
#define PROGRESSIVE_PIXELS_MAX (4u << 20)

void encoded_fini(struct encoded *x)
{
	g_free(x->data);
	*x = (struct encoded){ 0 };
}

bool encode_takes_webp(const struct pixels *p)
{
	return p->width <= WEBP_EDGE && p->height <= WEBP_EDGE;
}

/* Laid over white, as most programs show it. */
static int flattened(VipsImage **im)
{
	VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);
	VipsImage *out;
	const int rc = vips_flatten(*im, &out, "background", white, NULL);

	vips_area_unref(VIPS_AREA(white));
	return rc != 0 ? -1 : image_become(im, out);
}

static int first_frame(VipsImage **im, const struct pixels *p)
{
	VipsImage *out;

	if (vips_crop(*im, &out, 0, 0, (int)p->width, (int)p->height, NULL) != 0)
		return -1;
	return image_become(im, out);
}

static int to_jpeg(VipsImage **im, const struct pixels *p, int quality, struct encoded *x)
{
	const bool progressive = (uint64_t)p->width * p->height <= PROGRESSIVE_PIXELS_MAX;

	if (p->frames > 1 && first_frame(im, p) != 0)
		return -1;
	if (p->bands == 4 && flattened(im) != 0)
		return -1;
	x->type = "image/jpeg";
	return vips_jpegsave_buffer(*im, (void **)&x->data, &x->size, "Q", quality, "strip", TRUE,
				    "optimize_coding", TRUE, "interlace", progressive, NULL);
}

static void set_frames(VipsImage *im, const struct pixels *p)
{
	vips_image_set_int(im, VIPS_META_PAGE_HEIGHT, (int)p->height);
	vips_image_set_int(im, "loop", p->loop);
	vips_image_set_array_int(im, "delay", p->delays_ms, (int)p->frames);
}

static int to_webp(VipsImage **im, const struct pixels *p, struct encoding how, struct encoded *x)
{
	const bool moves = p->frames > 1;

	if (moves)
		set_frames(*im, p);
	x->type = "image/webp";
	return vips_webpsave_buffer(*im, (void **)&x->data, &x->size, "Q",
				    how.lossless ? 75 : how.quality, "lossless", how.lossless,
				    "mixed", moves, "effort", moves ? 2 : 4, "strip", TRUE, NULL);
}

/* Whatever an encoder adds on its own is taken out again: libvips 8.14 writes an EXIF block into a
 * WebP file although it is told not to. */
static enum err_code sift(struct encoded *x, bool webp, struct err *e)
{
	const struct bytes whole = { x->data, x->size };
	uint8_t *clean = g_try_malloc(x->size);

	if (clean == NULL)
		return err_set(e, ERR_NOMEM, "not enough memory for this picture");
	x->size = webp ? strip_webp(clean, whole) : strip_jpeg(clean, whole);
	g_free(x->data);
	x->data = clean;
	if (x->size == 0)
		return err_set(e, ERR_INVALID, "the picture was encoded in a way we do not know");
	return ERR_OK;
}

enum err_code encode(struct encoded *out, const struct pixels *p, struct encoding how,
		     struct err *e)
{
	const uint32_t most = how.webp ? WEBP_EDGE : JPEG_EDGE;
	struct encoded x = { .width = p->width, .height = p->height };
	enum err_code rc;
	VipsImage *im;
	int failed;

	if (p->width > most || p->height > most)
		return err_set(e, ERR_TOOBIG,
			       "the picture has %u × %u pixels, and a %s file at most %u along an "
			       "edge",
			       p->width, p->height, how.webp ? "WebP" : "JPEG", most);
	if (image_of(&im, p) != 0)
		return image_failed(e, ERR_NOMEM, "not enough memory for this picture");
	failed = how.webp ? to_webp(&im, p, how, &x) : to_jpeg(&im, p, how.quality, &x);
	g_object_unref(im);
	rc = failed == 0 ? sift(&x, how.webp, e)
			 : image_failed(e, ERR_NOMEM, "not enough memory to encode this picture");
	if (rc == ERR_OK)
		*out = x;
	else
		encoded_fini(&x);
	return rc;
}
