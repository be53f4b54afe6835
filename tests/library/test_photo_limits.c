/* Photos that are none, that are broken, or that are too large; and what the others may cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "photo/strip.h"
#include "tests/library/pictures.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static enum err_code try_picture(const char *name, const struct photo_options *o, struct err *e)
{
	struct bytes in = picture(name);
	struct photo photo = { 0 };
	enum err_code rc = photo_prepare(&photo, in, o, e);

	photo_fini(&photo);
	forget(in);
	return rc;
}

static void check_refused(const char *name, enum err_code code, const char *reason)
{
	static const struct photo_options *const ways[] = { &standard, &original, &stripped };

	for (size_t i = 0; i < 3; i++) {
		struct err e = { ERR_OK, "" };

		assert_int_equal(try_picture(name, ways[i], &e), code);
		if (strstr(e.why, reason) == NULL)
			fail_msg("%s: %s", name, e.why);
		assert_true(strlen(e.why) < sizeof(e.why) - 1); /* not cut short itself */
	}
}

static void check_cut(const char *name)
{
	check_refused(name, ERR_INVALID, "broken or cut short");
}

static void half_a_picture_is_refused(void **state)
{
	(void)state;
	for_pictures("cut-", check_cut);
}

static void what_is_no_photo_is_refused_by_its_name(void **state)
{
	(void)state;
	check_refused("empty", ERR_INVALID, "the file is empty");
	check_refused("text", ERR_INVALID, "this is no JPEG");
	check_refused("drawing.svg", ERR_INVALID, "an SVG drawing");
	check_refused("document.pdf", ERR_INVALID, "a PDF document");
	check_refused("pages.tif", ERR_INVALID, "2 pages");
	check_refused("raw.tif", ERR_INVALID, "raw photos");
}

static void bombs_are_refused_by_their_header(void **state)
{
	struct timespec before, after;

	(void)state;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	check_refused("bomb.png", ERR_TOOBIG, "60000 × 60000 pixels");
	check_refused("bomb-interlaced.png", ERR_TOOBIG, "20000 × 20000 pixels");
	check_refused("bomb.gif", ERR_TOOBIG, "65535 × 65535 pixels");
	check_refused("huge-edge.jpg", ERR_TOOBIG, "65500 × 65500 pixels");
	check_refused("huge-progressive.jpg", ERR_TOOBIG, "of progressive JPEG files up to");
	check_refused("many-scans.jpg", ERR_INVALID, "200 scans");
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_in_range(after.tv_sec - before.tv_sec, 0, 1);
}

static void the_caller_may_allow_fewer_pixels(void **state)
{
	struct photo_options few = { .tier = PHOTO_STANDARD, .max_pixels = 320 * 240 };
	struct err e;

	(void)state;
	assert_int_equal(try_picture("plain.jpg", &few, &e), ERR_OK);
	few.max_pixels--;
	assert_int_equal(try_picture("plain.jpg", &few, &e), ERR_TOOBIG);
	few.max_pixels = 120 * 90;
	assert_int_equal(try_picture("moving.gif", &few, &e), ERR_TOOBIG);
	few.max_pixels = 120 * 90 * 3;
	assert_int_equal(try_picture("moving.gif", &few, &e), ERR_OK);
}

/* Nothing of what libraries think of a file reaches the streams. */
static void check_quiet(const char *name)
{
	struct err e;

	(void)try_picture(name, &standard, &e);
}

static void no_library_says_a_word(void **state)
{
	char path[256];
	struct bytes said;
	int kept, file;

	(void)state;
	if (!have_tools())
		skip();
	snprintf(path, sizeof(path), "%s/said", folder);
	file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	kept = dup(STDERR_FILENO);
	assert_true(file >= 0 && kept >= 0);
	fflush(stderr);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	for_pictures("cut-", check_quiet);
	for_pictures("planted", check_quiet);
	for_pictures("bomb", check_quiet);
	fflush(stderr);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
	close(file);
	said = read_path(path);
	assert_int_equal(said.len, 0);
	forget(said);
}

/* ---- memory ---- */

/* What a process of its own needs for it, at the peak: this program, started with the name. */
static long peak_kib(const char *name)
{
	char command[512], self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	long kib = -1;
	FILE *f;

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(command, sizeof(command), "'%s' %s/in/%s", self, folder, name);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "VmHWM: %ld", &kib), 1);
	assert_int_equal(pclose(f), 0);
	return kib;
}

static int say_peak(const char *path)
{
	struct bytes in = read_path(path);
	struct photo photo;
	char line[256];
	FILE *f;

	if (photo_start(NULL) != ERR_OK || photo_prepare(&photo, in, &standard, NULL) != ERR_OK)
		return 1;
	photo_fini(&photo);
	forget(in);
	f = fopen("/proc/self/status", "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			fputs(line, stdout);
	if (f != NULL)
		fclose(f);
	photo_stop();
	return 0;
}

static void a_photo_of_200_megapixels_needs_no_memory_for_them(void **state)
{
	(void)state;
	if (!have_tools() || SANITIZED)
		skip();
	assert_in_range(peak_kib("huge.jpg"), 1, 160 * 1024); /* as pixels it has 600 MB */
	assert_in_range(peak_kib("huge.png"), 1, 160 * 1024); /* 150 MB */
}

/* ---- threads ---- */

static const char *const mixed[] = { "plain.jpg", "alpha.png", "cut-plain.jpg", "moving.gif",
				     "p3.jpg" };
static struct bytes mixed_files[5];

static void *prepare_many(void *wrong)
{
	for (size_t i = 0; i < 15; i++) {
		struct photo photo = { 0 };
		const bool good =
			photo_prepare(&photo, mixed_files[i % 5], &standard, NULL) == ERR_OK;

		*(unsigned *)wrong += good == (i % 5 == 2);
		photo_fini(&photo);
	}
	return NULL;
}

static void any_thread_prepares(void **state)
{
	pthread_t threads[4];
	unsigned wrong[4] = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		mixed_files[i] = picture(mixed[i]);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, prepare_many, &wrong[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(wrong[i], 0);
	}
	for (size_t i = 0; i < 5; i++)
		forget(mixed_files[i]);
}

/* ---- stripping ---- */

/* In memory of just their size, so that a sanitizer sees the first byte read or written behind. */
static void check_strip(struct bytes whole, size_t n, enum kind kind)
{
	uint8_t *in = malloc(n), *out = malloc(n);
	size_t kept;

	memcpy(in, whole.data, n);
	kept = strip(out, (struct bytes){ in, n }, kind);
	assert_true(kept <= n);
	free(in);
	free(out);
}

static void stripping_reads_no_byte_behind_the_file(void **state)
{
	static const char *const names[] = { "tiny.jpg",      "tiny.png",   "tiny.gif",
					     "tiny.webp",     "moving.gif", "moving.webp",
					     "many-scans.jpg" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes whole = picture(names[i]);
		const enum kind kind = kind_of(whole);

		assert_int_not_equal(kind, KIND_NONE);
		for (size_t n = 3; n <= whole.len; n++)
			check_strip(whole, n, kind);
		forget(whole);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_picture_is_refused),
		cmocka_unit_test(what_is_no_photo_is_refused_by_its_name),
		cmocka_unit_test(bombs_are_refused_by_their_header),
		cmocka_unit_test(the_caller_may_allow_fewer_pixels),
		cmocka_unit_test(no_library_says_a_word),
		cmocka_unit_test(a_photo_of_200_megapixels_needs_no_memory_for_them),
		cmocka_unit_test(any_thread_prepares),
		cmocka_unit_test(stripping_reads_no_byte_behind_the_file),
	};

	if (argc == 2)
		return say_peak(argv[1]);
	return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
