/* prepare - makes of a file what is sent of it, and fills in what its envelope tells: photos are
 * scaled and cleaned, voice notes measured, videos looked into and made seekable. One thread. */
#ifndef RESTANTE_CLI_PREPARE_H
#define RESTANTE_CLI_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/input.h"
#include "cli/media.h"
#include "cli/trouble.h"
#include "photo/photo.h"
#include "restante/envelope.h"

#define PREPARE_PHOTO_MAX ((size_t)256 << 20)
#define PREPARE_VOICE_MAX ((size_t)256 << 20)
#define PREPARE_VIDEO_STREAM_MAX (UINT64_C(2) << 30) /* of a video that is piped */
#define PREPARE_VOICE_STREAM_MAX ((size_t)64 << 20)  /* bytes of a voice note that is piped */

/* What is to be made of it. */
struct recipe {
	enum media kind;  /* not MEDIA_AUTO */
	const char *type; /* media type of a file or video; borrowed */
	const char *name; /* for the envelope; NULL: none */
	struct photo_options photo;
	bool quiet;
};

/* What is to be sent. prepare_fini() ends it, whatever came of it. */
struct content {
	enum { CONTENT_AS_IS, CONTENT_MEMORY, CONTENT_FD } from; /* AS_IS: the input itself */
	struct bytes memory;
	int fd; /* a regular file, from its start */
	/* who owns the memory */
	uint8_t *whole;
	struct photo photo;
};

/* Prepares a file or a stream, of which photos and voice notes are read whole, and videos copied to
 * a file first; others are sent as they come. `folder` is where temporary files may be made, which
 * only videos need. What cannot be prepared is ERR_INVALID or ERR_TOOBIG. */
bool prepare(struct content *out, struct restante_envelope *card, struct input *in,
	     const struct recipe *r, const char *folder, struct trouble *t);
void prepare_fini(struct content *c);

/* Kind, type and name, as far as they are known without looking into it. */
bool prepare_label(struct restante_envelope *card, const struct recipe *r, struct trouble *t);

/* Duration and waveform of a voice note. ERR_INVALID and others as prepare(). */
bool prepare_voice(struct restante_envelope *card, struct bytes recording, struct err *e,
		   struct trouble *t);

/* Ends what preparing photos started. */
void prepare_stop(void);

#endif
