#include "photo/photo.h"

#include <stdlib.h>
#include <string.h>

#include "photo/encode.h"
#include "photo/heif.h"
#include "photo/image.h"
#include "photo/load.h"
#include "photo/preview.h"
#include "photo/strip.h"

/* ---- libvips' life ---- */

/* What libvips would say on the standard error stream. A failure is told by its code; a warning
 * about a stranger's file is nobody's business. */
static void say_nothing(const char *domain, GLogLevelFlags level, const char *text, void *self)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)self;
}

enum err_code photo_start(struct err *e)
{
	(void)g_log_set_handler("VIPS", (GLogLevelFlags)(G_LOG_LEVEL_MASK & ~G_LOG_LEVEL_ERROR),
				say_nothing, NULL);
	if (heif_start_vips() != 0)
		return err_set(e, ERR_NOMEM, "libvips does not start");
	vips_block_untrusted_set(TRUE);
	vips_cache_set_max(0); /* every picture is another one */
	return ERR_OK;
}

void photo_stop(void)
{
	vips_shutdown();
}

/* ---- the plan ---- */

static const struct tier {
	uint32_t edge; /* pixels of the longest edge */
	size_t aim;    /* bytes */
	int quality;   /* to begin with */
} tiers[] = {
	[PHOTO_STANDARD] = { 1600, (size_t)1 << 20, 80 },
	[PHOTO_HIGH] = { 4096, (size_t)3 << 20, 85 },
	[PHOTO_ORIGINAL] = { UINT32_MAX, SIZE_MAX, 95 },
};

#define LOSSLESS_PIXELS_MAX (16u << 20)
#define MOVING 4                     /* an animation may have so many times the bytes */
#define ANEW_PIXELS_MAX (100000000u) /* for a picture in full size that is encoded anew */

struct plan {
	const struct photo_options *o;
	struct tier tier;
	struct source source;
	bool animated;
	struct pixels pixels;
	struct encoded kept; /* the file itself without what is no picture, where that will do */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_wanted(enum photo_format format, enum kind kind)
{
	return format == PHOTO_AUTO || (format == PHOTO_JPEG && kind == KIND_JPEG) ||
	       (format == PHOTO_WEBP && kind == KIND_WEBP);
}

/* Whether the pixels of the file may be sent as they are stored. */
static bool may_keep(const struct plan *plan)
{
	const struct source *s = &plan->source;

	return s->upright && s->plain && s->width <= plan->tier.edge &&
	       s->height <= plan->tier.edge && s->in.len <= plan->tier.aim &&
	       is_wanted(plan->o->format, s->kind);
}

/* Makes plan->kept, if it can be made. */
static enum err_code keep(struct plan *plan, struct err *e)
{
	const struct source *s = &plan->source;
	struct encoded x = { .type = kind_type(s->kind), .width = s->width, .height = s->height };

	x.data = g_try_malloc(s->in.len);
	if (x.data == NULL)
		return err_set(e, ERR_NOMEM, "not enough memory for this picture");
	x.size = strip(x.data, s->in, s->kind);
	if (x.size == 0)
		encoded_fini(&x);
	plan->kept = x;
	return ERR_OK;
}

/* The few colours of drawings and screenshots compress well without loss: a file that has less
 * than a byte a pixel is likely to be one. Of large ones the attempt takes too long. */
static bool may_be_lossless(const struct plan *plan)
{
	const struct source *s = &plan->source;
	const struct pixels *p = &plan->pixels;

	return plan->o->format != PHOTO_JPEG && p->frames == 1 && encode_takes_webp(p) &&
	       (uint64_t)p->width * p->height <= LOSSLESS_PIXELS_MAX && s->lossless &&
	       s->in.len < (uint64_t)s->width * s->height;
}

static struct encoding first_choice(const struct plan *plan)
{
	const struct pixels *p = &plan->pixels;
	struct encoding how = { .quality = plan->tier.quality };

	how.webp = plan->o->format == PHOTO_WEBP ||
		   (plan->o->format == PHOTO_AUTO &&
		    (p->bands == 4 || p->frames > 1 || plan->source.kind == KIND_WEBP));
	return how;
}

/* With neither loss nor more bytes than x has, if that can be had. */
static enum err_code try_lossless(struct encoded *x, const struct plan *plan, struct err *e)
{
	struct encoded y;
	enum err_code rc;

	if (!may_be_lossless(plan))
		return ERR_OK;
	rc = encode(&y, &plan->pixels, (struct encoding){ .webp = true, .lossless = true }, e);
	if (rc != ERR_OK)
		return rc;
	if (y.size <= x->size) {
		encoded_fini(x);
		*x = y;
	} else {
		encoded_fini(&y);
	}
	return ERR_OK;
}

/* How many bytes it may have: what the tier aims at, and, unless a format was asked for that may be
 * a worse one, what the file has. */
static size_t limit_of(const struct plan *plan)
{
	const size_t times = plan->pixels.frames > 1 ? MOVING : 1;
	const size_t aim = plan->tier.aim < SIZE_MAX / times ? plan->tier.aim * times : SIZE_MAX;

	return plan->o->format == PHOTO_AUTO ? least(aim, plan->source.in.len) : aim;
}

/* The picture encoded anew. Where the file could be kept, quality is not lowered for the sake of
 * bytes: then the file is better. */
static enum err_code encode_anew(struct encoded *out, const struct plan *plan, struct err *e)
{
	const bool may_change = plan->o->format == PHOTO_AUTO;
	struct encoding how = first_choice(plan);
	struct encoded x;
	enum err_code rc;

	if (plan->kept.data != NULL)
		rc = encode(&x, &plan->pixels, how, e);
	else
		rc = encode_to_fit(&x, &plan->pixels, how, may_change, limit_of(plan), e);
	if (rc != ERR_OK)
		return rc;
	rc = try_lossless(&x, plan, e);
	if (rc == ERR_OK)
		*out = x;
	else
		encoded_fini(&x);
	return rc;
}

/* Encoding anew loses a little; it is not worth it for less than an eighth of the bytes. */
static bool is_kept_better(const struct encoded *kept, const struct encoded *anew)
{
	return kept->data != NULL && anew->size > kept->size - kept->size / 8;
}

/* ---- carrying it out ---- */

static void hand_over(struct photo *out, struct encoded *x)
{
	out->data = x->data;
	out->size = x->size;
	out->type = x->type;
	out->width = x->width;
	out->height = x->height;
	*x = (struct encoded){ 0 };
}

/* The file as it is. */
static void hand_back(struct photo *out, const struct source *s)
{
	out->data = NULL;
	out->size = s->in.len;
	out->type = kind_type(s->kind);
	out->width = s->width;
	out->height = s->height;
}

static enum err_code read_pixels(struct plan *plan, uint32_t edge, struct err *e)
{
	return source_read(&plan->pixels, &plan->source, edge, plan->animated, e);
}

/* Only looked at, for the preview. */
static enum err_code as_it_is(struct photo *out, struct plan *plan, struct err *e)
{
	const enum err_code rc = read_pixels(plan, PREVIEW_EDGE, e);

	if (rc == ERR_OK)
		hand_back(out, &plan->source);
	return rc;
}

static void without_metadata(struct photo *out, struct plan *plan)
{
	if (plan->kept.size == plan->source.in.len)
		hand_back(out, &plan->source);
	else
		hand_over(out, &plan->kept);
}

/* An original of which the pixels can stay. */
static enum err_code stripped(struct photo *out, struct plan *plan, struct err *e)
{
	const enum err_code rc = read_pixels(plan, PREVIEW_EDGE, e);

	if (rc == ERR_OK)
		without_metadata(out, plan);
	return rc;
}

static enum err_code check_anew(const struct plan *plan, struct err *e)
{
	const struct source *s = &plan->source;

	if (plan->o->tier != PHOTO_ORIGINAL || (uint64_t)s->width * s->height <= ANEW_PIXELS_MAX)
		return ERR_OK;
	return err_set(e, ERR_TOOBIG,
		       "to rid a picture of %u × %u pixels of its metadata it must be encoded "
		       "anew; in full size that is done up to %u megapixels",
		       s->width, s->height, ANEW_PIXELS_MAX / 1000000);
}

static enum err_code made_anew(struct photo *out, struct plan *plan, struct err *e)
{
	struct encoded anew;
	enum err_code rc = check_anew(plan, e);

	if (rc == ERR_OK)
		rc = read_pixels(plan, plan->tier.edge, e);
	if (rc == ERR_OK)
		rc = encode_anew(&anew, plan, e);
	if (rc != ERR_OK)
		return rc;
	if (is_kept_better(&plan->kept, &anew))
		without_metadata(out, plan);
	else
		hand_over(out, &anew);
	encoded_fini(&anew);
	return ERR_OK;
}

static enum err_code carry_out(struct photo *out, struct plan *plan, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (plan->o->tier == PHOTO_ORIGINAL && !plan->o->strip)
		return as_it_is(out, plan, e);
	if (may_keep(plan))
		rc = keep(plan, e);
	if (rc != ERR_OK)
		return rc;
	if (plan->o->tier == PHOTO_ORIGINAL && plan->kept.data != NULL)
		return stripped(out, plan, e);
	plan->animated = plan->source.frames > 1 && plan->o->format != PHOTO_JPEG;
	return made_anew(out, plan, e);
}

enum err_code photo_prepare(struct photo *out, struct bytes in, const struct photo_options *o,
			    struct err *e)
{
	struct plan plan = { .o = o, .tier = tiers[o->tier] };
	struct photo photo = { 0 };
	enum err_code rc = source_open(&plan.source, in, o->max_pixels, e);

	if (rc == ERR_OK)
		rc = carry_out(&photo, &plan, e);
	if (rc == ERR_OK)
		rc = preview_make(&photo.preview, &plan.pixels, e);
	pixels_fini(&plan.pixels);
	encoded_fini(&plan.kept);
	vips_thread_shutdown(); /* what libvips keeps for this thread */
	if (rc == ERR_OK)
		*out = photo;
	else
		photo_fini(&photo);
	return rc;
}

void photo_fini(struct photo *p)
{
	g_free(p->data);
	p->data = NULL;
	p->size = 0;
}
