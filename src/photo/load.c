#include "photo/load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "photo/heif.h"
#include "photo/image.h"
#include "photo/jpeg.h"
#include "photo/strip.h"

#define BROKEN "the picture is broken or cut short"

/* ---- opening: each loader reads the header and no more ---- */

struct want {
	int shrink;   /* of JPEG: 1, 2, 4, 8 */
	double scale; /* of WebP */
	bool animated;
};

/* Strict: a file that ends too early is an error, not a picture with a grey half. */
#define STRICT "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR

static VipsImage *open_file(const struct source *s, const struct want *w)
{
	void *data = (void *)(uintptr_t)s->in.data; /* libvips does not write to it */
	const size_t len = s->in.len;
	const int pages = w->animated ? -1 : 1;
	VipsImage *im = NULL;

	switch (s->kind) {
	case KIND_JPEG:
		(void)vips_jpegload_buffer(data, len, &im, "shrink", w->shrink, STRICT, NULL);
		break;
	case KIND_PNG:
		(void)vips_pngload_buffer(data, len, &im, STRICT, NULL);
		break;
	case KIND_WEBP:
		(void)vips_webpload_buffer(data, len, &im, "n", pages, "scale", w->scale, STRICT,
					   NULL);
		break;
	case KIND_GIF:
		(void)vips_gifload_buffer(data, len, &im, "n", pages, STRICT, NULL);
		break;
	case KIND_TIFF:
		(void)vips_tiffload_buffer(data, len, &im, STRICT, NULL);
		break;
	case KIND_HEIC:
	case KIND_AVIF:
	case KIND_HEIF:
		(void)vips_heifload_buffer(data, len, &im, STRICT, NULL);
		break;
	default:
		break;
	}
	return im;
}

/* ---- what the header says ---- */

static bool is_plain(VipsImage *im)
{
	return im->BandFmt == VIPS_FORMAT_UCHAR &&
	       (im->Type == VIPS_INTERPRETATION_B_W || im->Type == VIPS_INTERPRETATION_sRGB) &&
	       image_is_srgb(im);
}

/* Floats, complex numbers, Lab and the many bands of a satellite are no photos. */
static bool is_taken(VipsImage *im)
{
	if (im->Coding != VIPS_CODING_NONE ||
	    (im->BandFmt != VIPS_FORMAT_UCHAR && im->BandFmt != VIPS_FORMAT_USHORT))
		return false;
	switch (im->Type) {
	case VIPS_INTERPRETATION_B_W:
	case VIPS_INTERPRETATION_GREY16:
		return im->Bands == 1 || im->Bands == 2;
	case VIPS_INTERPRETATION_sRGB:
	case VIPS_INTERPRETATION_RGB16:
		return im->Bands == 3 || im->Bands == 4;
	case VIPS_INTERPRETATION_CMYK:
		return im->Bands == 4 || im->Bands == 5;
	default:
		return false;
	}
}

/* Animations are of formats that are played everywhere. */
static bool may_move(enum kind kind)
{
	return kind == KIND_GIF || kind == KIND_WEBP;
}

static bool is_lossless(const struct source *s)
{
	if (s->kind == KIND_WEBP)
		return s->in.len > 15 && memcmp(s->in.data + 12, "VP8L", 4) == 0;
	return s->kind == KIND_PNG || s->kind == KIND_GIF || s->kind == KIND_TIFF;
}

static void read_header(struct source *s, VipsImage *im)
{
	const bool turned = vips_image_get_orientation_swap(im);
	const int pages = vips_image_get_n_pages(im);

	s->frames = pages > 1 ? (unsigned)pages : 1;
	s->upright = vips_image_get_orientation(im) == 1;
	s->width = (uint32_t)(turned ? im->Ysize : im->Xsize);
	s->height = (uint32_t)(turned ? im->Xsize : im->Ysize);
	s->plain = is_plain(im);
	s->lossless = is_lossless(s);
}

/* ---- limits ---- */

/* How many bytes the decoder holds for each pixel, at worst, where it does not go row by row:
 * measured, see doc/photos.md. */
enum { HELD_WEBP_LOSSY = 2, HELD_WEBP = 5, HELD_GIF = 8, HELD_HEIF = 13 };

struct held {
	uint64_t bytes;
	const char *manner; /* what is special about the file */
};

static bool is_simple_webp(struct bytes in)
{
	return in.len > 15 && memcmp(in.data + 12, "VP8 ", 4) == 0;
}

static struct held held_by(const struct source *s, VipsImage *im, const struct jpeg_facts *jpeg)
{
	const uint64_t pixels = (uint64_t)s->width * s->height;
	const uint64_t whole =
		pixels * (uint64_t)im->Bands * (im->BandFmt == VIPS_FORMAT_UCHAR ? 1 : 2);

	switch (s->kind) {
	case KIND_JPEG:
		return (struct held){ jpeg->multiscan ? jpeg->coefficients : 0, "progressive " };
	case KIND_PNG:
		return (struct held){ vips_image_get_typeof(im, "interlaced") ? whole : 0,
				      "interlaced " };
	case KIND_WEBP:
		return (struct held){
			pixels * (is_simple_webp(s->in) ? HELD_WEBP_LOSSY : HELD_WEBP), ""
		};
	case KIND_GIF:
		return (struct held){ pixels * HELD_GIF, "" };
	case KIND_TIFF:
		return (struct held){ whole, "" };
	default:
		return (struct held){ pixels * HELD_HEIF, "" };
	}
}

static enum err_code too_many(struct err *e, const struct source *s, const char *manner,
			      uint64_t most)
{
	return err_set(e, ERR_TOOBIG,
		       "the picture has %u × %u pixels; of %s%s files up to %u megapixels are "
		       "taken",
		       s->width, s->height, manner, kind_name(s->kind), (unsigned)(most / 1000000));
}

static enum err_code check_still(const struct source *s, VipsImage *im, uint64_t max_pixels,
				 struct err *e)
{
	const uint64_t pixels = (uint64_t)s->width * s->height;
	struct jpeg_facts jpeg = { 0 };
	struct held held;

	if (pixels > max_pixels)
		return too_many(e, s, "", max_pixels);
	if (s->kind == KIND_JPEG)
		jpeg = jpeg_inspect(s->in);
	if (jpeg.scans > LOAD_SCANS_MAX)
		return err_set(e, ERR_INVALID,
			       "the JPEG file consists of %u scans; no more than %u are taken",
			       jpeg.scans, LOAD_SCANS_MAX);
	held = held_by(s, im, &jpeg);
	if (held.bytes > LOAD_HELD_MAX)
		return too_many(e, s, held.manner, pixels * LOAD_HELD_MAX / held.bytes);
	return ERR_OK;
}

static enum err_code check_animation(const struct source *s, uint64_t max_pixels, struct err *e)
{
	const uint64_t most =
		max_pixels < LOAD_FRAMES_PIXELS_MAX ? max_pixels : LOAD_FRAMES_PIXELS_MAX;

	if (s->frames > LOAD_FRAMES_MAX)
		return err_set(e, ERR_TOOBIG,
			       "the animation has %u frames; no more than %u are taken", s->frames,
			       LOAD_FRAMES_MAX);
	if ((uint64_t)s->width * s->height * s->frames > most)
		return err_set(e, ERR_TOOBIG,
			       "the animation has %u frames of %u × %u pixels; no more than %u "
			       "megapixels in all are taken",
			       s->frames, s->width, s->height, (unsigned)(most / 1000000));
	return ERR_OK;
}

/* DNG and others keep a thumbnail first, and the photo in a SubIFD (TIFF/EP). */
static bool has_pictures_inside(VipsImage *im)
{
	int count = 0;

	return vips_image_get_typeof(im, VIPS_META_N_SUBIFDS) != 0 &&
	       vips_image_get_int(im, VIPS_META_N_SUBIFDS, &count) == 0 && count > 0;
}

static enum err_code check_header(struct source *s, VipsImage *im, uint64_t max_pixels,
				  struct err *e)
{
	enum err_code rc;

	if (!is_taken(im))
		return err_set(e, ERR_INVALID,
			       "the %s file has colours of a kind that photos do not have",
			       kind_name(s->kind));
	if (s->kind == KIND_TIFF && has_pictures_inside(im))
		return err_set(
			e, ERR_INVALID,
			"the TIFF file has pictures within pictures, as raw photos have, and the "
			"first may be a small one: send it as a file");
	if (s->kind == KIND_GIF && !gif_is_whole(s->in))
		return err_set(e, ERR_INVALID, BROKEN);
	rc = check_still(s, im, max_pixels, e);
	if (rc != ERR_OK || s->frames == 1)
		return rc;
	if (may_move(s->kind))
		return check_animation(s, max_pixels, e);
	if (s->kind == KIND_TIFF)
		return err_set(e, ERR_INVALID,
			       "the TIFF file has %u pages, and a photo has one: send it as a file",
			       s->frames);
	s->frames = 1; /* of several in a HEIF file the one that it names as the main one */
	return ERR_OK;
}

static enum err_code check_file(struct source *s, struct err *e)
{
	const char *refused = kind_refused(s->in);

	if (s->in.len == 0)
		return err_set(e, ERR_INVALID, "the file is empty");
	if (s->in.len > LOAD_BYTES_MAX)
		return err_set(e, ERR_TOOBIG,
			       "the file has %zu MiB, and of a picture no more than %zu are taken",
			       s->in.len >> 20, LOAD_BYTES_MAX >> 20);
	if (s->kind != KIND_NONE)
		return ERR_OK;
	if (refused != NULL)
		return err_set(e, ERR_INVALID,
			       "this is %s; photos are JPEG, PNG, WebP, GIF, HEIC, AVIF or TIFF: "
			       "send it as a file",
			       refused);
	return err_set(e, ERR_INVALID,
		       "this is no JPEG, PNG, WebP, GIF, HEIC, AVIF or TIFF picture");
}

enum err_code source_open(struct source *s, struct bytes in, uint64_t max_pixels, struct err *e)
{
	const struct want first = { .shrink = 1, .scale = 1 };
	enum err_code rc;
	VipsImage *im;

	*s = (struct source){ .in = in, .kind = kind_of(in) };
	rc = check_file(s, e);
	if (rc != ERR_OK)
		return rc;
	if (s->kind >= KIND_HEIC && s->kind <= KIND_HEIF && !heif_ready())
		return err_set(e, ERR_INVALID,
			       "%s pictures cannot be read here: libvips' part for "
			       "them (vips-heif) is not installed",
			       kind_name(s->kind));
	im = open_file(s, &first);
	if (im == NULL)
		return image_failed(e, ERR_INVALID, BROKEN);
	read_header(s, im);
	if (max_pixels == 0 || max_pixels > LOAD_PIXELS_MAX)
		max_pixels = LOAD_PIXELS_MAX;
	rc = check_header(s, im, max_pixels, e);
	g_object_unref(im);
	vips_error_clear();
	return rc;
}

/* ---- pixels ---- */

static uint32_t at_least_1(double v)
{
	return v < 1 ? 1 : (uint32_t)(v + 0.5);
}

/* The size to scale to: as displayed. */
static void fit(const struct source *s, uint32_t edge, uint32_t *width, uint32_t *height)
{
	const uint32_t longest = s->width > s->height ? s->width : s->height;
	const double by = longest > edge ? (double)edge / longest : 1;

	*width = at_least_1(s->width * by);
	*height = at_least_1(s->height * by);
}

/* A JPEG decoder makes halves, quarters and eighths at a fraction of the cost, a little coarser
 * than scaling does: the last step is left to scaling. */
static int cheap_shrink(const struct source *s, uint32_t width, uint32_t height)
{
	int shrink = 1;

	while (shrink < 8 && s->width >= width * (unsigned)shrink * 2 &&
	       s->height >= height * (unsigned)shrink * 2)
		shrink *= 2;
	return shrink;
}

/* WebP's decoder scales to any size; twice the wanted one is asked of it for the same reason. */
static double cheap_scale(const struct source *s, uint32_t width, uint32_t height)
{
	const double across = 2.0 * width / s->width, down = 2.0 * height / s->height;
	const double by = across > down ? across : down;

	return by < 1 ? by : 1;
}

/* Turns, after the pixels are few and in memory. */
static int turn(VipsImage **im)
{
	VipsImage *out;

	if (vips_autorot(*im, &out, NULL) != 0)
		return -1;
	return image_become(im, out);
}

static int process(VipsImage **im, const struct source *s, uint32_t width, uint32_t height,
		   unsigned frames)
{
	const bool turned = vips_image_get_orientation_swap(*im);

	if (image_scale(im, turned ? height : width, turned ? width : height, frames) != 0 ||
	    image_render(im) != 0 || image_to_srgb(im) != 0)
		return -1;
	/* frames below each other cannot be turned as one picture */
	return s->upright || frames > 1 ? 0 : turn(im);
}

/* The loaders name the times and the loop alike. */
static int take_timing(struct pixels *p, VipsImage *im, unsigned frames)
{
	int *delays, count;

	p->height /= frames;
	p->frames = frames;
	if (vips_image_get_typeof(im, "loop"))
		(void)vips_image_get_int(im, "loop", &p->loop);
	if (vips_image_get_array_int(im, "delay", &delays, &count) != 0 || (unsigned)count < frames)
		return -1;
	p->delays_ms = calloc(frames, sizeof(*p->delays_ms));
	if (p->delays_ms == NULL)
		return -1;
	memcpy(p->delays_ms, delays, frames * sizeof(*p->delays_ms));
	return 0;
}

enum err_code source_read(struct pixels *out, const struct source *s, uint32_t edge, bool animated,
			  struct err *e)
{
	const unsigned frames = animated ? s->frames : 1;
	struct want want = { .shrink = 1, .scale = 1, .animated = frames > 1 };
	struct pixels p = { 0 };
	uint32_t width, height;
	VipsImage *im;
	int rc;

	fit(s, edge, &width, &height);
	want.shrink = cheap_shrink(s, width, height);
	if (s->frames == 1)
		want.scale = cheap_scale(s, width, height);
	im = open_file(s, &want);
	if (im == NULL)
		return image_failed(e, ERR_INVALID, BROKEN);
	rc = process(&im, s, width, height, frames);
	if (rc == 0)
		rc = image_to_pixels(im, &p);
	if (rc == 0 && frames > 1)
		rc = take_timing(&p, im, frames);
	g_object_unref(im);
	if (rc != 0) {
		pixels_fini(&p);
		return image_failed(e, ERR_INVALID, BROKEN);
	}
	vips_error_clear();
	*out = p;
	return ERR_OK;
}
