/* voice - what a player wants to know of a voice note before it has it: how long it is, and how
 * loud, where. Ogg Opus (RFC 7845, RFC 6716), decoded by libopusfile. Any thread. */
#ifndef RESTANTE_VOICE_VOICE_H
#define RESTANTE_VOICE_VOICE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define VOICE_BARS 64

struct voice {
	uint64_t duration_ms;
	uint8_t bars[VOICE_BARS]; /* 0 to 100: the loudness of each 64th, the loudest being 100;
				   * all 0 if it is silent */
};

/* Measures the recording in `in`, borrowed. It is decoded once, from its beginning to its end (an
 * hour takes about three seconds), in a memory that does not depend on its length. ERR_INVALID (no
 * Ogg Opus, without sound, or broken; e->why is a sentence for a person), ERR_TOOBIG (longer than
 * 24 hours), ERR_NOMEM. */
enum err_code voice_measure(struct voice *out, struct bytes in, struct err *e);

#endif
