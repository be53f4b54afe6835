#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "photo/image.h"

#define NEAR 2 /* of 255: what the eye, and a JPEG, cannot tell */

static unsigned colours(const VipsImage *im)
{
	return (unsigned)im->Bands - (vips_image_hasalpha((VipsImage *)im) ? 1u : 0u);
}

/* A profile that is for pictures of this kind: libvips would put a grey one to RGB. The space of
 * colours stands at byte 16 of a profile (ICC.1, 7.2). */
static bool has_profile(VipsImage *im)
{
	static const char *const space[] = { NULL, "GRAY", NULL, "RGB ", "CMYK" };
	const void *profile;
	size_t len;

	if (!vips_image_get_typeof(im, VIPS_META_ICC_NAME) ||
	    vips_image_get_blob(im, VIPS_META_ICC_NAME, &profile, &len) != 0)
		return false;
	if (colours(im) > 4 || space[colours(im)] == NULL || len < 128)
		return false;
	return memcmp((const uint8_t *)profile + 16, space[colours(im)], 4) == 0;
}

/* By the profile, or by `name` where there is none of use. */
static int by_profile(VipsImage **im, const char *name)
{
	VipsImage *out;

	if (vips_icc_transform(*im, &out, "srgb", "embedded", name == NULL, "input_profile", name,
			       "intent", VIPS_INTENT_RELATIVE, "black_point_compensation", TRUE,
			       NULL) != 0)
		return -1;
	return image_become(im, out);
}

static int by_convention(VipsImage **im)
{
	VipsImage *out;

	if ((*im)->Type == VIPS_INTERPRETATION_CMYK)
		return by_profile(im, "cmyk");
	if (vips_colourspace(*im, &out,
			     colours(*im) < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
			     NULL) != 0)
		return -1;
	return image_become(im, out);
}

static int first_bands(VipsImage **im, unsigned from, unsigned count)
{
	VipsImage *out;

	if (vips_extract_band(*im, &out, (int)from, "n", (int)count, NULL) != 0)
		return -1;
	return image_become(im, out);
}

/* The colours of *im, which has no alpha. Grey stays of one band. */
static int convert(VipsImage **im)
{
	const bool grey = (*im)->Bands == 1;

	if (!has_profile(*im) || by_profile(im, NULL) != 0) {
		vips_error_clear(); /* a profile that cannot be used is none */
		if (by_convention(im) != 0)
			return -1;
	}
	return grey && (*im)->Bands == 3 ? first_bands(im, 1, 1) : 0;
}

/* The last band, of 8 bits. */
static int alpha_of(VipsImage *im, VipsImage **alpha)
{
	VipsImage *shifted, *out;

	g_object_ref(im);
	if (first_bands(&im, (unsigned)im->Bands - 1, 1) != 0)
		goto failed;
	if (im->BandFmt == VIPS_FORMAT_USHORT) {
		if (vips_rshift_const1(im, &shifted, 8, NULL) != 0)
			goto failed;
		(void)image_become(&im, shifted);
	}
	if (vips_cast_uchar(im, &out, NULL) != 0)
		goto failed;
	g_object_unref(im);
	*alpha = out;
	return 0;
failed:
	g_object_unref(im);
	return -1;
}

static int join(VipsImage **im, VipsImage *alpha)
{
	VipsImage *rgb, *out;

	if (vips_colourspace(*im, &rgb, VIPS_INTERPRETATION_sRGB, NULL) != 0)
		return -1;
	(void)image_become(im, rgb);
	return vips_bandjoin2(*im, alpha, &out, NULL) != 0 ? -1 : image_become(im, out);
}

static int with_alpha(VipsImage **im, VipsImage *alpha)
{
	double least = 0;

	if (first_bands(im, 0, colours(*im)) != 0 || convert(im) != 0)
		return -1;
	if (vips_min(alpha, &least, NULL) != 0)
		return -1;
	return least < 255 ? join(im, alpha) : 0;
}

int image_to_srgb(VipsImage **im)
{
	VipsImage *alpha;
	int rc;

	if (!vips_image_hasalpha(*im))
		return convert(im);
	if (alpha_of(*im, &alpha) != 0)
		return -1;
	rc = with_alpha(im, alpha);
	g_object_unref(alpha);
	return rc;
}

/* Every combination of a few values in each band. */
static void fill_samples(uint8_t *to, unsigned bands)
{
	static const uint8_t values[] = { 0, 32, 96, 160, 255 };
	const unsigned n = sizeof(values);

	for (unsigned i = 0; i < n * n * n; i++) {
		unsigned rest = i;

		for (unsigned b = 0; b < bands; b++, rest /= n)
			*to++ = values[rest % n];
	}
}

static bool all_near(const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (abs(a[i] - b[i]) > NEAR)
			return false;
	return true;
}

/* Asks the profile itself, not its name: what would it do to these colours? */
bool image_is_srgb(VipsImage *im)
{
	uint8_t samples[125 * 3];
	struct pixels p = { .data = samples, .width = 125, .height = 1, .frames = 1 }, after;
	const void *profile;
	size_t len;
	VipsImage *test;
	bool same;

	if (!has_profile(im))
		return colours(im) < 4;
	p.bands = colours(im);
	if (p.bands == 4)
		return false;
	fill_samples(samples, p.bands);
	if (vips_image_get_blob(im, VIPS_META_ICC_NAME, &profile, &len) != 0 ||
	    image_of(&test, &p) != 0)
		return false;
	vips_image_set_blob_copy(test, VIPS_META_ICC_NAME, profile, len);
	same = convert(&test) == 0 && image_to_pixels(test, &after) == 0;
	if (same) {
		same = after.bands == p.bands &&
		       all_near(samples, after.data, (size_t)p.width * p.bands);
		pixels_fini(&after);
	}
	g_object_unref(test);
	return same;
}
