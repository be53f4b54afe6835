/* foreign - files that are no Ogg Opus: what they are instead, and what makes a voice note of them.
 * Any thread. */
#ifndef RESTANTE_VOICE_FOREIGN_H
#define RESTANTE_VOICE_FOREIGN_H

#include "base/bytes.h"
#include "base/err.h"

/* ERR_INVALID, with a sentence that names the format by its first bytes, as far as it is known, and
 * the command to convert it. */
enum err_code foreign_refuse(struct bytes in, struct err *e);

#endif
