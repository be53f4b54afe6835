/* pictures - the corpus of make-corpus, and what becomes of it, for the suites about photos. */
#ifndef RESTANTE_TESTS_PICTURES_H
#define RESTANTE_TESTS_PICTURES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "photo/photo.h"

#define PICTURE_BYTES_MAX ((size_t)8 << 20)

static char folder[] = "/tmp/restante-photo-XXXXXX";
static const struct photo_options standard = { .tier = PHOTO_STANDARD };
static const struct photo_options high = { .tier = PHOTO_HIGH };
static const struct photo_options original = { .tier = PHOTO_ORIGINAL };
static const struct photo_options stripped = { .tier = PHOTO_ORIGINAL, .strip = true };

/* Not under ThreadSanitizer: the threads are all libvips' own, and what it and GLib do to keep them
 * apart is not instrumented. There are thousands of reports, and none is about us. */
static inline bool have_tools(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	return system("command -v convert cwebp img2webp exiftool python3 >/dev/null") == 0;
#endif
}

__attribute__((format(printf, 1, 2))) static inline int shell(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

static inline int make_pictures(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL || photo_start(NULL) != ERR_OK)
		return -1;
	if (!have_tools())
		return 0;
	return shell("mkdir %s/out && tests/library/make-corpus %s/in", folder, folder);
}

static inline int remove_pictures(void **state)
{
	(void)state;
	photo_stop();
	return shell("rm -rf %s", folder);
}

static inline bool have_picture(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/in/%s", folder, name);
	return access(path, R_OK) == 0;
}

/* The file's content, in memory of just that size; free() it. */
static inline struct bytes read_path(const char *path)
{
	uint8_t *content = malloc(PICTURE_BYTES_MAX), *fitting;
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(content, 1, PICTURE_BYTES_MAX, f);
	fclose(f);
	assert_true(n < PICTURE_BYTES_MAX);
	fitting = realloc(content, n > 0 ? n : 1);
	return (struct bytes){ fitting, n };
}

static inline struct bytes picture(const char *name)
{
	char path[256];

	if (!have_tools())
		skip();
	snprintf(path, sizeof(path), "%s/in/%s", folder, name);
	return read_path(path);
}

static inline void forget(struct bytes b)
{
	free((void *)(uintptr_t)b.data);
}

/* What to send for a picture of the corpus: it must succeed. `in` is what it was made of. */
struct sent {
	struct bytes in, out;
	struct photo photo;
};

static inline struct sent send_picture(const char *name, const struct photo_options *o)
{
	struct sent s = { .in = picture(name) };
	struct err e = { ERR_OK, "" };

	if (photo_prepare(&s.photo, s.in, o, &e) != ERR_OK)
		fail_msg("%s: %s", name, e.why);
	s.out = s.in;
	if (s.photo.data != NULL)
		s.out = (struct bytes){ s.photo.data, s.photo.size };
	assert_int_equal(s.photo.size, s.out.len);
	return s;
}

static inline void sent_fini(struct sent *s)
{
	photo_fini(&s->photo);
	forget(s->in);
}

static inline void write_file(const char *name, struct bytes b)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/out/%s", folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
	fclose(f);
}

/* Files are looked at in groups, with programs that are not ours: starting one takes longer than
 * what it does. keep() gives a group one more file. */
static inline void keep(const char *group, struct bytes b)
{
	static unsigned serial;
	char name[64];

	snprintf(name, sizeof(name), "%s-%04u", group, serial++);
	write_file(name, b);
}

/* The pixels of a group one after the other, all frames of them, as ImageMagick reads them: RGBA.
 * `how` are more options of convert's. free() them. */
static inline struct bytes pixels_of(const char *group, const char *how)
{
	char path[256];

	assert_int_equal(shell("convert -quiet %s/out/%s-* %s -depth 8 rgba:%s/out/pixels", folder,
			       group, how, folder),
			 0);
	snprintf(path, sizeof(path), "%s/out/pixels", folder);
	return read_path(path);
}

/* The sizes of a group, a line each: "320x240 320x240 ...". A static buffer. */
static inline const char *sizes_of(const char *group)
{
	static char line[1024];
	char command[256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "identify -quiet -format '%%wx%%h ' %s/out/%s-*", folder,
		 group);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(line, 1, sizeof(line) - 1, f);
	line[n] = '\0';
	assert_int_equal(pclose(f), 0);
	return line;
}

static inline size_t count_in(struct bytes b, const char *what)
{
	const size_t n = strlen(what);
	size_t found = 0;

	for (size_t i = 0; i + n <= b.len; i++)
		found += memcmp(b.data + i, what, n) == 0;
	return found;
}

/* Calls each() with the name of every file of the corpus whose name begins so; of none that is
 * huge, for they take time. */
static inline void for_pictures(const char *prefix, void (*each)(const char *name))
{
	char path[256];
	struct dirent *d;
	DIR *dir;

	if (!have_tools())
		skip();
	snprintf(path, sizeof(path), "%s/in", folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' && strncmp(d->d_name, "huge", 4) != 0 &&
		    strncmp(d->d_name, prefix, strlen(prefix)) == 0)
			each(d->d_name);
	closedir(dir);
}

#endif
