/* strip - takes out of a voice note what a recorder or somebody wrote into it: title, artist,
 * place, name of the program, pictures. Any thread. */
#ifndef RESTANTE_VOICE_STRIP_H
#define RESTANTE_VOICE_STRIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* Writes the Ogg Opus in `in`, borrowed, anew with an empty comment header in each link of a chain:
 * *out, never larger than `in`, is the caller's to free(). Packets of sound and their times are
 * copied, numbers and sums of pages made right; streams beside the sound stay behind. Whether it
 * can be played is for voice_measure() to say, of what was written. ERR_INVALID (no Ogg Opus, or
 * broken; e->why is a sentence for a person), ERR_NOMEM. */
enum err_code voice_strip(struct bytes in, uint8_t **out, size_t *size, struct err *e);

#endif
