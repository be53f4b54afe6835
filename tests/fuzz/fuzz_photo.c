/* fuzz_photo - the input as a picture of a stranger, prepared as a photo; and as each of the
 * formats that we take apart ourselves. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vips/vips.h>

#include "photo/jpeg.h"
#include "photo/photo.h"
#include "photo/strip.h"

#define PIXELS_MAX (64 * 64) /* more of them take longer and find no more */

#define SMALLEST 256 /* bytes; there are files that no WebP is as small as */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What these lose of a broken AVIF or HEIC, some bytes a file, is theirs. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libdav1d\nleak:libaom\nleak:libde265\nleak:libheif\n";
}

static void start(void)
{
	static bool started;

	if (started)
		return;
	assert(photo_start(NULL) == ERR_OK);
	vips_concurrency_set(1);
	started = true;
}

/* What is stripped can be stripped again, and nothing is left to take away. */
static void check_strip(struct bytes in, enum kind kind)
{
	uint8_t *once = malloc(in.len), *twice;
	const size_t n = strip(once, in, kind);

	assert(n <= in.len);
	twice = malloc(n > 0 ? n : 1);
	if (n > 0) {
		assert(strip(twice, (struct bytes){ once, n }, kind) == n);
		assert(memcmp(once, twice, n) == 0);
	}
	free(once);
	free(twice);
}

static void check_jpeg(struct bytes in)
{
	const struct jpeg_facts f = jpeg_inspect(in);
	struct jpeg_walk w = jpeg_begin(in);
	struct jpeg_segment s;
	unsigned scans = 0;

	while (jpeg_next(&w, &s)) {
		assert(s.body.len <= in.len && s.entropy.len <= in.len);
		scans += s.marker == JPEG_SOS && s.body.len > 0;
	}
	assert(f.scans == scans);
}

static void check_parts(struct bytes in)
{
	check_strip(in, KIND_PNG);
	check_strip(in, KIND_WEBP);
	check_strip(in, KIND_GIF);
	if (in.len < 3)
		return;
	check_strip(in, KIND_JPEG);
	check_jpeg(in);
}

static void check_photo(const struct photo *p, struct bytes in, const struct photo_options *o)
{
	const struct photo_options look = { .tier = PHOTO_ORIGINAL };
	const struct bytes out = { p->data != NULL ? p->data : in.data, p->size };
	struct photo again;

	assert(p->width > 0 && p->height > 0 && p->size > 0);
	assert(p->data != NULL || p->size == in.len);
	assert(o->format != PHOTO_AUTO || p->size <= in.len || in.len < SMALLEST);
	assert(p->preview.image_size > 0 && p->preview.image_size <= PHOTO_PREVIEW_MAX);
	assert(p->preview.thumbhash_size >= 5 && p->preview.thumbhash_size <= PHOTO_THUMBHASH_MAX);
	/* what is sent is a picture, as large as was said */
	assert(photo_prepare(&again, out, &look, NULL) == ERR_OK);
	assert(again.data == NULL && again.width == p->width && again.height == p->height);
	photo_fini(&again);
}

/* The last byte says what is wanted of it. */
static void check_prepare(struct bytes in)
{
	static const struct photo_options wishes[] = {
		{ PHOTO_STANDARD, PHOTO_AUTO, false, PIXELS_MAX },
		{ PHOTO_ORIGINAL, PHOTO_AUTO, true, PIXELS_MAX },
		{ PHOTO_HIGH, PHOTO_WEBP, false, PIXELS_MAX },
		{ PHOTO_STANDARD, PHOTO_JPEG, false, PIXELS_MAX },
	};
	const struct photo_options *o = &wishes[in.len > 0 ? in.data[in.len - 1] % 4 : 0];
	struct photo p = { 0 };
	struct err e = { ERR_OK, "" };
	enum err_code rc = photo_prepare(&p, in, o, &e);

	assert(rc == ERR_OK || rc == ERR_INVALID || rc == ERR_TOOBIG);
	assert(rc == e.code && (rc == ERR_OK) == (e.why[0] == '\0'));
	assert(rc == ERR_OK || (p.data == NULL && p.size == 0));
	if (rc == ERR_OK)
		check_photo(&p, in, o);
	photo_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes in = { data, size };

	start();
	check_parts(in);
	check_prepare(in);
	return 0;
}
