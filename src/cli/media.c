#include "cli/media.h"

#include <stdio.h>
#include <string.h>

#include <magic.h>

static const char *const names[] = {
	[MEDIA_AUTO] = "auto",   [MEDIA_PHOTO] = "photo", [MEDIA_VIDEO] = "video",
	[MEDIA_VOICE] = "voice", [MEDIA_FILE] = "file",
};

const char *media_name(enum media kind)
{
	return names[kind];
}

bool media_read(const char *name, enum media *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum media)i;
			return true;
		}
	}
	return false;
}

/* Without what looks deep into formats that we send as they are anyway. */
#define LOOK (MAGIC_MIME_TYPE | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_CDF)

/* Without its database everything is a file. */
static void ask_magic(char type[static MEDIA_TYPE_SIZE], struct bytes head)
{
	magic_t magic = magic_open(LOOK);
	const char *said = NULL;

	if (magic != NULL && magic_load(magic, NULL) == 0)
		said = magic_buffer(magic, head.data, head.len);
	/* of nothing it says "inode/x-empty" or "application/x-empty" */
	if (said == NULL || strchr(said, '/') == NULL || head.len == 0 ||
	    strlen(said) >= MEDIA_TYPE_SIZE)
		said = MEDIA_UNKNOWN_TYPE;
	(void)snprintf(type, MEDIA_TYPE_SIZE, "%s", said);
	if (magic != NULL)
		magic_close(magic);
}

/* RFC 7845 section 3: the first page holds the identification header and nothing else. */
static bool is_opus(struct bytes head)
{
	return head.len >= 36 && memcmp(head.data, "OggS", 4) == 0 && head.data[26] == 1 &&
	       memcmp(head.data + 28, "OpusHead", 8) == 0;
}

static bool is_photo(const char *type)
{
	static const char *const taken[] = {
		"image/jpeg",          "image/png",           "image/webp",         "image/gif",
		"image/heic",          "image/heif",          "image/avif",         "image/tiff",
		"image/heic-sequence", "image/heif-sequence", "image/avif-sequence"
	};

	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
		if (strcmp(type, taken[i]) == 0)
			return true;
	}
	return false;
}

/* Whether there is a Matroska CodecID element (0x86, a size of one byte) that begins so. */
static bool has_codec(struct bytes head, const char *prefix)
{
	for (size_t i = 0; i + 4 <= head.len; i++) {
		if (head.data[i] == 0x86 && (head.data[i + 1] & 0x80) != 0 &&
		    memcmp(head.data + i + 2, prefix, 2) == 0)
			return true;
	}
	return false;
}

/* libmagic calls it video all the same. */
static bool is_only_sound(const char *type, struct bytes head)
{
	return (strcmp(type, "video/webm") == 0 || strcmp(type, "video/x-matroska") == 0) &&
	       has_codec(head, "A_") && !has_codec(head, "V_");
}

static void become_sound(struct media_guess *out)
{
	bool webm = strcmp(out->type, "video/webm") == 0;

	(void)snprintf(out->type, sizeof(out->type), "%s",
		       webm ? "audio/webm" : "audio/x-matroska");
	out->only_sound = true;
}

void media_guess(struct media_guess *out, struct bytes head)
{
	*out = (struct media_guess){ .kind = MEDIA_FILE };
	ask_magic(out->type, head);
	if (is_photo(out->type))
		out->kind = MEDIA_PHOTO;
	else if (is_opus(head))
		out->kind = MEDIA_VOICE;
	else if (is_only_sound(out->type, head))
		become_sound(out);
	else if (strncmp(out->type, "video/", 6) == 0)
		out->kind = MEDIA_VIDEO;
}
