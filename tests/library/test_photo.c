/* Photos, made by other people's programs: what of them is sent, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/library/pictures.h"

/* ---- metadata ---- */

static void check_nothing_planted(const char *name)
{
	static const struct photo_options webp = { .tier = PHOTO_STANDARD, .format = PHOTO_WEBP };
	static const struct photo_options *const ways[] = { &standard, &stripped, &webp };

	for (size_t i = 0; i < 3; i++) {
		struct sent s = send_picture(name, ways[i]);
		const struct bytes preview = { s.photo.preview.image, s.photo.preview.image_size };

		if (count_in(s.out, "PLANTED") + count_in(s.out, "Exif") + count_in(s.out, "GPS") >
		    0)
			fail_msg("%s: its metadata is still there", name);
		keep("sent", s.out);
		keep("sent", preview);
		sent_fini(&s);
	}
}

/* exiftool's view of all that was sent: besides what the file system knows, only what a format
 * needs to show the picture. */
static void nothing_but_the_picture_is_sent(void **state)
{
	struct bytes full = picture("planted.jpg");

	(void)state;
	assert_true(count_in(full, "PLANTED") >= 10);
	forget(full);
	for_pictures("planted", check_nothing_planted);
	for_pictures("oriented-6", check_nothing_planted);
	for_pictures("oriented.", check_nothing_planted);
	for_pictures("p3.", check_nothing_planted);
	check_nothing_planted("moving.gif");
	check_nothing_planted("srgb.jpg");
	assert_int_equal(
		shell("! exiftool -q -G1 -s -all --System:all --ExifTool:all %s/out/sent-* | "
		      "grep -vE '^======== |\\[Composite\\] +(ImageSize|Megapixels|Duration) |"
		      "\\[File\\] +(FileType|FileTypeExtension|MIMEType|ImageWidth|ImageHeight|"
		      "EncodingProcess|BitsPerSample|ColorComponents|YCbCrSubSampling) |"
		      "\\[JFIF\\] +(JFIFVersion|ResolutionUnit|XResolution|YResolution) |"
		      "\\[RIFF\\] "
		      "+(VP8Version|ImageWidth|ImageHeight|HorizontalScale|VerticalScale|"
		      "AlphaIsUsed|WebP_Flags|BackgroundColor|AnimationLoopCount|FrameCount|"
		      "Duration) |"
		      "\\[PNG\\] +(ImageWidth|ImageHeight|BitDepth|ColorType|Compression|Filter|"
		      "Interlace|Palette|Transparency) |"
		      "\\[GIF\\] +(GIFVersion|ImageWidth|ImageHeight|HasColorMap|"
		      "ColorResolutionDepth|BitsPerPixel|BackgroundColor|AnimationIterations|"
		      "FrameCount|"
		      "Duration) ' >&2",
		      folder),
		0);
}

static void strip_one(const char *name)
{
	struct sent s = send_picture(name, &stripped);

	assert_non_null(s.photo.data);
	assert_true(s.photo.size < s.in.len);
	keep("with", s.in);
	keep("without", s.out);
	sent_fini(&s);
}

static void an_upright_original_loses_its_metadata_and_no_pixel(void **state)
{
	struct bytes with, without;

	(void)state;
	strip_one("planted.png");
	strip_one("planted.webp");
	strip_one("planted.gif");
	strip_one("moving.gif");
	strip_one("planted.jpg");
	with = pixels_of("with", "");
	without = pixels_of("without", "");
	assert_int_equal(with.len, without.len);
	assert_memory_equal(with.data, without.data, with.len);
	forget(with);
	forget(without);
}

static void check_untouched(const char *name)
{
	struct photo photo;
	struct bytes in = picture(name);

	if (photo_prepare(&photo, in, &original, NULL) == ERR_OK) {
		assert_null(photo.data);
		assert_int_equal(photo.size, in.len);
		assert_true(photo.preview.image_size > 0);
		photo_fini(&photo);
	}
	forget(in);
}

static void an_original_is_sent_as_it_is(void **state)
{
	(void)state;
	for_pictures("", check_untouched);
}

/* ---- size ---- */

static void check_not_larger(const char *name)
{
	static const struct photo_options *const ways[] = { &standard, &high, &stripped };
	struct bytes in = picture(name);

	for (size_t i = 0; i < 3; i++) {
		struct photo photo;

		if (photo_prepare(&photo, in, ways[i], NULL) != ERR_OK)
			continue;
		if (photo.size > in.len)
			fail_msg("%s: %zu bytes became %zu", name, in.len, photo.size);
		photo_fini(&photo);
	}
	forget(in);
}

static void no_picture_grows(void **state)
{
	(void)state;
	for_pictures("", check_not_larger);
}

static void send_tier(const char *name, const struct photo_options *o, uint32_t width,
		      uint32_t height, size_t aim)
{
	struct sent s = send_picture(name, o);

	assert_int_equal(s.photo.width, width);
	assert_int_equal(s.photo.height, height);
	assert_true(s.photo.size <= aim);
	keep("tier", s.out);
	sent_fini(&s);
}

static void a_tier_has_its_edge_and_its_bytes(void **state)
{
	(void)state;
	send_tier("large.jpg", &standard, 1600, 1067, (size_t)1 << 20);
	send_tier("large.jpg", &high, 1800, 1200, (size_t)3 << 20);
	send_tier("tall.jpg", &standard, 107, 1600, (size_t)1 << 20);
	send_tier("thin.png", &standard, 1600, 1, (size_t)1 << 20);
	send_tier("thin.png", &high, 4096, 3, (size_t)3 << 20);
	send_tier("plain.jpg", &standard, 320, 240, (size_t)1 << 20);
	send_tier("tiny.png", &standard, 1, 1, 101);
	assert_string_equal(sizes_of("tier"),
			    "1600x1067 1800x1200 107x1600 1600x1 4096x3 320x240 1x1 ");
}

static void what_we_made_is_not_encoded_again(void **state)
{
	struct sent s = send_picture("plain.jpg", &standard);
	struct photo again;

	(void)state;
	assert_int_equal(photo_prepare(&again, s.out, &standard, NULL), ERR_OK);
	assert_null(again.data);
	assert_string_equal(again.type, "image/jpeg");
	photo_fini(&again);
	sent_fini(&s);
}

/* xorshift64 (Marsaglia). */
static void fill_noise(uint8_t *to, size_t n)
{
	uint64_t x = UINT64_C(88172645463325252);

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (uint8_t)x;
	}
}

static void noise_fits_too(void **state)
{
	const size_t size = 1600 * 1600 * 3 + 17;
	struct bytes jpeg;
	struct photo photo;
	char path[256];
	uint8_t *ppm;

	(void)state;
	if (!have_tools())
		skip();
	ppm = malloc(size);
	memcpy(ppm, "P6\n1600 1600\n255\n", 17);
	fill_noise(ppm + 17, size - 17);
	write_file("noise.ppm", (struct bytes){ ppm, size });
	free(ppm);
	assert_int_equal(
		shell("convert %s/out/noise.ppm -quality 60 %s/out/noise.jpg", folder, folder), 0);
	snprintf(path, sizeof(path), "%s/out/noise.jpg", folder);
	jpeg = read_path(path);
	assert_true(jpeg.len > (size_t)1 << 20);
	assert_int_equal(photo_prepare(&photo, jpeg, &standard, NULL), ERR_OK);
	assert_in_range(photo.size, 1 << 19, 1 << 20);
	photo_fini(&photo);
	forget(jpeg);
}

/* ---- orientation and colours ---- */

/* The mean difference of two pictures' values, in hundredths. */
static unsigned difference(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)abs(a[i] - b[i]);
	return (unsigned)(sum * 100 / n);
}

static void send_oriented(const char *name)
{
	struct sent s = send_picture(name, &original);

	assert_int_equal(s.photo.width, 304);
	assert_int_equal(s.photo.height, 208);
	sent_fini(&s);
	s = send_picture(name, &standard);
	assert_int_equal(s.photo.width, 304);
	assert_int_equal(s.photo.height, 208);
	keep("oriented", s.out);
	sent_fini(&s);
}

static void every_orientation_comes_out_upright(void **state)
{
	const size_t one = 304 * 208 * 4;
	struct bytes first = picture("oriented-1.jpg"), all;

	(void)state;
	keep("oriented", first);
	for_pictures("oriented", send_oriented);
	all = pixels_of("oriented", "");
	assert_int_equal(all.len, one * 12);
	for (size_t i = 1; i < 12; i++)
		assert_in_range(difference(all.data, all.data + i * one, one), 0, 300);
	forget(all);
	forget(first);
}

/* What 200, 100, 50 of each space is in sRGB, by the primaries and curves that make-corpus has. */
static const struct {
	const char *name;
	int rgb[3];
} colours[] = {
	{ "p3.jpg", { 215, 93, 31 } },    { "p3.png", { 215, 93, 31 } },
	{ "p3.tif", { 215, 93, 31 } },    { "adobe.jpg", { 227, 100, 42 } },
	{ "srgb.jpg", { 200, 100, 50 } }, { "deep.png", { 200, 100, 50 } },
};
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

static void wide_colours_become_srgb(void **state)
{
	struct bytes px;

	(void)state;
	for (size_t i = 0; i < COLOURS * 2; i++) {
		struct sent s = send_picture(colours[i / 2].name, i % 2 ? &stripped : &standard);

		keep("colour", s.out);
		sent_fini(&s);
	}
	px = pixels_of("colour", "-crop 1x1+40+30 +repage");
	assert_int_equal(px.len, COLOURS * 2 * 4);
	for (size_t i = 0; i < px.len; i++) {
		const int wanted = i % 4 < 3 ? colours[i / 8].rgb[i % 4] : 255;

		if (abs(px.data[i] - wanted) > 3)
			fail_msg("%s: %d instead of %d", colours[i / 8].name, px.data[i], wanted);
	}
	forget(px);
}

static void print_and_grey_come_out_as_they_look(void **state)
{
	static const char *const names[] = { "cmyk.jpg", "cmyk.tif", "grey.jpg", "grey.png" };
	const size_t one = 320 * 240 * 4;
	struct bytes like = picture("plain.jpg"), grey = picture("grey.png"), px;

	(void)state;
	keep("inks", like);
	keep("inks", grey);
	for (size_t i = 0; i < 4; i++) {
		struct sent s = send_picture(names[i], &standard);

		keep("inks", s.out);
		sent_fini(&s);
	}
	px = pixels_of("inks", "");
	assert_int_equal(px.len, one * 6);
	/* nobody agrees on what inks look like */
	assert_in_range(difference(px.data, px.data + 2 * one, one), 0, 2500);
	assert_in_range(difference(px.data, px.data + 3 * one, one), 0, 2500);
	assert_in_range(difference(px.data + one, px.data + 4 * one, one), 0, 300);
	assert_in_range(difference(px.data + one, px.data + 5 * one, one), 0, 300);
	forget(px);
	forget(like);
	forget(grey);
}

/* ---- formats ---- */

static void check_type(const char *name, enum photo_format format, const char *type)
{
	const struct photo_options o = { .tier = PHOTO_STANDARD, .format = format };
	struct sent s = send_picture(name, &o);

	assert_string_equal(s.photo.type, type);
	sent_fini(&s);
}

static void photos_become_jpeg_and_drawings_webp(void **state)
{
	(void)state;
	check_type("plain.jpg", PHOTO_AUTO, "image/jpeg");
	check_type("base.png", PHOTO_AUTO, "image/jpeg");
	check_type("opaque.png", PHOTO_AUTO, "image/jpeg");
	check_type("planted.tif", PHOTO_AUTO, "image/jpeg");
	check_type("drawing.png", PHOTO_AUTO, "image/webp");
	check_type("alpha.png", PHOTO_AUTO, "image/webp");
	check_type("planted.webp", PHOTO_AUTO, "image/webp");
	check_type("alpha.png", PHOTO_JPEG, "image/jpeg");
	check_type("moving.gif", PHOTO_JPEG, "image/jpeg");
	check_type("plain.jpg", PHOTO_WEBP, "image/webp");
	if (have_picture("planted.heic"))
		check_type("planted.heic", PHOTO_AUTO, "image/jpeg");
	if (have_picture("planted.avif"))
		check_type("planted.avif", PHOTO_AUTO, "image/jpeg");
}

static void transparency_is_kept(void **state)
{
	static const char *const names[] = { "alpha.png", "alpha.webp" };
	struct bytes before, after;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sent s = send_picture(names[i], &standard);

		assert_string_equal(s.photo.preview.image_type, "image/webp");
		keep("clear", s.in);
		keep("still", s.out);
		sent_fini(&s);
	}
	before = pixels_of("clear", "-alpha extract");
	after = pixels_of("still", "-alpha extract");
	assert_int_equal(before.len, after.len);
	assert_in_range(difference(before.data, after.data, after.len), 0, 100);
	forget(before);
	forget(after);
}

static void an_animation_still_moves(void **state)
{
	const struct photo_options webp = { .tier = PHOTO_STANDARD, .format = PHOTO_WEBP };
	static const char *const names[] = { "moving.gif", "moving.webp" };
	const size_t one = 120 * 90 * 4;
	struct bytes px;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sent s = send_picture(names[i], &webp);

		assert_int_equal(count_in(s.out, "ANMF"), 3);
		assert_int_equal(s.photo.width, 120);
		assert_int_equal(s.photo.height, 90);
		keep("moving", s.out);
		sent_fini(&s);
	}
	px = pixels_of("moving", "-coalesce");
	assert_true(px.len >= one * 3);
	for (size_t i = 0; i < px.len / one; i++) /* red, green, blue, red, ... */
		assert_true(px.data[(i + 1) * one - 4 + i % 3] > 100);
	forget(px);
}

/* ---- previews ---- */

static void every_photo_has_a_preview_that_fits(void **state)
{
	static const char *const names[] = { "large.jpg",  "tall.jpg",    "thin.png",
					     "tiny.png",   "grey.jpg",    "alpha.png",
					     "moving.gif", "drawing.png", "thin.webp" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sent s = send_picture(names[i], i % 2 ? &standard : &original);
		const struct photo_preview *p = &s.photo.preview;

		assert_in_range(p->image_size, 1, PHOTO_PREVIEW_MAX);
		assert_in_range(p->thumbhash_size, 5, PHOTO_THUMBHASH_MAX);
		keep("preview", (struct bytes){ p->image, p->image_size });
		sent_fini(&s);
	}
	assert_string_equal(sizes_of("preview"),
			    "100x67 7x100 100x1 1x1 100x75 100x75 100x75 100x80 100x1 ");
}

static void pixels_of_a_video_have_a_preview_too(void **state)
{
	static uint8_t rgba[333 * 250 * 4];
	struct photo_preview p;

	(void)state;
	if (!have_tools())
		skip();
	fill_noise(rgba, sizeof(rgba));
	assert_int_equal(photo_preview_of(&p, rgba, 333, 250, 4, NULL), ERR_OK);
	assert_string_equal(p.image_type, "image/webp");
	assert_in_range(p.image_size, 1, PHOTO_PREVIEW_MAX);
	assert_int_equal(photo_preview_of(&p, rgba, 333, 250, 3, NULL), ERR_OK);
	assert_string_equal(p.image_type, "image/jpeg");
	assert_in_range(p.image_size, 1, PHOTO_PREVIEW_MAX);
	assert_int_equal(photo_preview_of(&p, rgba, 0, 250, 3, NULL), ERR_INVALID);
	assert_int_equal(photo_preview_of(&p, rgba, 3, 250, 2, NULL), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_but_the_picture_is_sent),
		cmocka_unit_test(an_upright_original_loses_its_metadata_and_no_pixel),
		cmocka_unit_test(an_original_is_sent_as_it_is),
		cmocka_unit_test(no_picture_grows),
		cmocka_unit_test(a_tier_has_its_edge_and_its_bytes),
		cmocka_unit_test(what_we_made_is_not_encoded_again),
		cmocka_unit_test(noise_fits_too),
		cmocka_unit_test(every_orientation_comes_out_upright),
		cmocka_unit_test(wide_colours_become_srgb),
		cmocka_unit_test(print_and_grey_come_out_as_they_look),
		cmocka_unit_test(photos_become_jpeg_and_drawings_webp),
		cmocka_unit_test(transparency_is_kept),
		cmocka_unit_test(an_animation_still_moves),
		cmocka_unit_test(every_photo_has_a_preview_that_fits),
		cmocka_unit_test(pixels_of_a_video_have_a_preview_too),
	};

	return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
