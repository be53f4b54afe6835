/* spool - what was prepared, sealed on the disk, so that a put that was killed goes on without
 * preparing it again, with the very same bytes. In the place of a struct state. One thread. */
#ifndef RESTANTE_CLI_SPOOL_H
#define RESTANTE_CLI_SPOOL_H

#include "cli/prepare.h"
#include "cli/state.h"
#include "cli/trouble.h"
#include "restante/envelope.h"

#define SPOOL_SEALED "sealed" /* suffixes, for state_path() */
#define SPOOL_UPLOAD "upload"

/* Gives the envelope of what lies there, with all but token and expiry; the caller's. False, and
 * nothing else, if nothing does, or not all of it. */
bool spool_find(struct restante_envelope **card, const struct state *s);

/* Seals the content with a fresh key, padded, and puts it there. Fills key, size, sealed_size and
 * sha256 into the card. TROUBLE_LOCAL, TROUBLE_LIBRARY. */
bool spool_make(const struct state *s, const struct content *c, struct restante_envelope *card,
		struct trouble *t);

#endif
