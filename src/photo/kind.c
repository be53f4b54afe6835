#include "photo/kind.h"

#include <stdbool.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A file of the kind has these bytes at that place. */
struct mark {
	size_t at;
	struct bytes magic;
};

static const struct {
	struct mark mark;
	enum kind kind;
} taken[] = {
	{ { 0, BYTES("\xff\xd8\xff") }, KIND_JPEG },
	{ { 0, BYTES("\x89PNG\r\n\x1a\n") }, KIND_PNG },
	{ { 0, BYTES("GIF87a") }, KIND_GIF },
	{ { 0, BYTES("GIF89a") }, KIND_GIF },
	{ { 0, BYTES("II*\0") }, KIND_TIFF },
	{ { 0, BYTES("MM\0*") }, KIND_TIFF },
	{ { 4, BYTES("ftypavif") }, KIND_AVIF },
	{ { 4, BYTES("ftypavis") }, KIND_AVIF },
	{ { 4, BYTES("ftypheic") }, KIND_HEIC },
	{ { 4, BYTES("ftypheix") }, KIND_HEIC },
	{ { 4, BYTES("ftyphevc") }, KIND_HEIC },
	{ { 4, BYTES("ftypmif1") }, KIND_HEIF },
	{ { 4, BYTES("ftypmsf1") }, KIND_HEIF },
};

static const struct {
	struct mark mark;
	const char *what;
} refused[] = {
	{ { 0, BYTES("%PDF") }, "a PDF document" },
	{ { 0, BYTES("<svg") }, "an SVG drawing" },
	{ { 0, BYTES("<?xml") }, "an XML or SVG document" },
	{ { 0, BYTES("BM") }, "a BMP file" },
	{ { 0, BYTES("8BPS") }, "a Photoshop file" },
	{ { 0, BYTES("\xff\x0a") }, "a JPEG XL file" },
	{ { 0, BYTES("\0\0\0\x0cJXL ") }, "a JPEG XL file" },
	{ { 0, BYTES("\0\0\0\x0cjP  ") }, "a JPEG 2000 file" },
	{ { 0, BYTES("II+\0") }, "a BigTIFF file" },
	{ { 0, BYTES("MM\0+") }, "a BigTIFF file" },
	{ { 0, BYTES("\0\0\1\0") }, "an icon file" },
	{ { 4, BYTES("ftypqt") }, "a video" },
	{ { 4, BYTES("ftypisom") }, "a video" },
	{ { 4, BYTES("ftypmp4") }, "a video" },
	{ { 0, BYTES("OggS") }, "a sound or video file" },
	{ { 0, BYTES("\x1a\x45\xdf\xa3") }, "a video" },
};

static bool has(struct bytes file, const struct mark *m)
{
	return file.len >= m->at + m->magic.len &&
	       memcmp(file.data + m->at, m->magic.data, m->magic.len) == 0;
}

enum kind kind_of(struct bytes file)
{
	const struct mark riff = { 0, BYTES("RIFF") }, webp = { 8, BYTES("WEBP") };

	if (has(file, &riff) && has(file, &webp))
		return KIND_WEBP;
	for (size_t i = 0; i < COUNT(taken); i++)
		if (has(file, &taken[i].mark))
			return taken[i].kind;
	return KIND_NONE;
}

const char *kind_refused(struct bytes file)
{
	for (size_t i = 0; i < COUNT(refused); i++)
		if (has(file, &refused[i].mark))
			return refused[i].what;
	return NULL;
}

const char *kind_type(enum kind kind)
{
#define X(name, type, people) type,
	static const char *const types[KIND_COUNT] = { KIND_LIST(X) };
#undef X

	return types[kind];
}

const char *kind_name(enum kind kind)
{
#define X(name, type, people) people,
	static const char *const names[KIND_COUNT] = { KIND_LIST(X) };
#undef X

	return names[kind];
}
