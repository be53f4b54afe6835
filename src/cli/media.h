/* media - what a file is, by looking into its beginning with libmagic. One thread. */
#ifndef RESTANTE_CLI_MEDIA_H
#define RESTANTE_CLI_MEDIA_H

#include <stdbool.h>

#include "base/bytes.h"

enum media { MEDIA_AUTO, MEDIA_PHOTO, MEDIA_VIDEO, MEDIA_VOICE, MEDIA_FILE };

#define MEDIA_TYPE_SIZE 128 /* a media type and its NUL */
#define MEDIA_UNKNOWN_TYPE "application/octet-stream"

struct media_guess {
	enum media kind; /* not MEDIA_AUTO */
	char type[MEDIA_TYPE_SIZE];
	bool only_sound; /* a file of a kind that holds videos as a rule */
};

/* "photo"; MEDIA_AUTO is "auto". */
const char *media_name(enum media kind);

/* False if there is no kind of that name. */
bool media_read(const char *name, enum media *out);

/* Guesses by the first bytes. Pictures that cli/prepare.h can prepare are photos, Ogg Opus is
 * voice, video is video, unless it is Matroska or WebM with sound only; everything else is a file.
 */
void media_guess(struct media_guess *out, struct bytes head);

#endif
