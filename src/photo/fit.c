#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "photo/encode.h"
#include "photo/image.h"

/* The steps down, and how many bytes a photo has at each of them, compared to quality 80: between
 * what was measured of a picture with little noise and of one with much. Below the last one it is
 * better to have fewer pixels. */
static const struct {
	int quality;
	double size;
} steps[] = { { 95, 3.2 },  { 90, 2.1 },  { 85, 1.2 }, { 80, 1.0 },
	      { 70, 0.78 }, { 60, 0.64 }, { 45, 0.51 } };

#define STEPS (sizeof(steps) / sizeof(steps[0]))
#define ATTEMPTS 24
#define MARGIN 0.97

static double size_at(int quality)
{
	for (size_t i = 0; i < STEPS; i++)
		if (quality >= steps[i].quality)
			return steps[i].size;
	return steps[STEPS - 1].size;
}

/* The best quality below `quality` that promises to be `ratio` times the size; the lowest if none
 * does. */
static int lower(int quality, double ratio)
{
	const double wanted = size_at(quality) * ratio * MARGIN;

	for (size_t i = 0; i < STEPS; i++)
		if (steps[i].quality < quality && steps[i].size <= wanted)
			return steps[i].quality;
	return steps[STEPS - 1].quality;
}

static uint32_t scaled(uint32_t edge, double by)
{
	return edge * by < 1 ? 1 : (uint32_t)(edge * by);
}

static enum err_code no_memory(struct err *e)
{
	return image_failed(e, ERR_NOMEM, "not enough memory for this picture");
}

/* An animation's times, for a smaller copy of it. */
static enum err_code copy_timing(struct pixels *to, const struct pixels *from, struct err *e)
{
	to->frames = from->frames;
	to->height /= from->frames;
	to->loop = from->loop;
	if (from->delays_ms == NULL)
		return ERR_OK;
	to->delays_ms = calloc(from->frames, sizeof(*to->delays_ms));
	if (to->delays_ms == NULL)
		return no_memory(e);
	memcpy(to->delays_ms, from->delays_ms, from->frames * sizeof(*to->delays_ms));
	return ERR_OK;
}

/* *p becomes a copy of `of` (which may be *p itself) with edges `by` times as long. */
static enum err_code shrink(struct pixels *p, const struct pixels *of, double by, struct err *e)
{
	struct pixels q = { 0 };
	enum err_code rc;
	VipsImage *im;
	int failed;

	if (image_of(&im, of) != 0)
		return no_memory(e);
	failed = image_scale(&im, scaled(of->width, by), scaled(of->height, by), of->frames);
	if (failed == 0)
		failed = image_to_pixels(im, &q);
	g_object_unref(im);
	rc = failed != 0 ? no_memory(e) : copy_timing(&q, of, e);
	if (rc != ERR_OK) {
		pixels_fini(&q);
		return rc;
	}
	pixels_fini(p);
	*p = q;
	return ERR_OK;
}

/* One step down from an attempt that came out 1 / ratio times too large. *now is what to encode
 * next; it is the caller's picture until there is a smaller one in *own. */
static enum err_code step_down(struct encoding *how, const struct pixels **now, struct pixels *own,
			       bool may_change, double ratio, struct err *e)
{
	const double by = sqrt(ratio * MARGIN);
	enum err_code rc;

	if (!how->lossless && how->quality > steps[STEPS - 1].quality) {
		how->quality = lower(how->quality, ratio);
		return ERR_OK;
	}
	if (may_change && !how->webp && encode_takes_webp(*now)) {
		*how = (struct encoding){ .webp = true, .quality = 70 };
		return ERR_OK;
	}
	rc = shrink(own, *now, by < 0.8 ? by : 0.8, e);
	if (rc == ERR_OK)
		*now = own;
	return rc;
}

enum err_code encode_to_fit(struct encoded *out, const struct pixels *p, struct encoding how,
			    bool may_change, size_t limit, struct err *e)
{
	const struct pixels *now = p;
	struct pixels own = { 0 };
	struct encoded x = { 0 };
	enum err_code rc = encode(&x, now, how, e);

	for (unsigned i = 0; rc == ERR_OK && x.size > limit && i < ATTEMPTS; i++) {
		const double ratio = (double)limit / (double)x.size;

		encoded_fini(&x);
		rc = step_down(&how, &now, &own, may_change, ratio, e);
		if (rc == ERR_OK)
			rc = encode(&x, now, how, e);
	}
	pixels_fini(&own);
	if (rc == ERR_OK)
		*out = x;
	return rc;
}
