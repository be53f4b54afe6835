/* emit - what `restante put` prints of an upload. One thread. */
#ifndef RESTANTE_CLI_EMIT_H
#define RESTANTE_CLI_EMIT_H

#include <stdbool.h>

#include "cli/trouble.h"
#include "restante/envelope.h"
#include "restante/upload.h"

/* Prints the envelope as a line; as JSON with what is the sender's own around it. Of an upload to
 * another tus server, which gives no token, what is known instead. TROUBLE_LOCAL if standard output
 * does not take it. */
bool emit_envelope(const struct restante_envelope *card, const struct restante_upload *upload,
		   bool json, struct trouble *t);

/* Prints what there is to know of a file that was sealed before. */
bool emit_sealed(const struct restante_envelope *card, const struct restante_upload *upload,
		 struct trouble *t);

/* Writes the envelope as a line to a descriptor; `name` is for the trouble. */
bool emit_to(int fd, const char *name, const struct restante_envelope *card, struct trouble *t);

/* Tells on standard error how to take the upload back, if that is a terminal: in a log the token
 * would stay. */
void emit_note(const struct restante_upload *upload);

#endif
