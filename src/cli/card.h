/* card - filling envelopes, with troubles instead of the library's errors. One thread. */
#ifndef RESTANTE_CLI_CARD_H
#define RESTANTE_CLI_CARD_H

#include <stdbool.h>

#include "cli/trouble.h"
#include "restante/envelope.h"

/* As restante_envelope_new() and the setters. */
bool card_new(struct restante_envelope **out, struct trouble *t);
bool card_text(struct restante_envelope *card, enum restante_text field, const char *value,
	       struct trouble *t);
bool card_number(struct restante_envelope *card, enum restante_number field, uint64_t value,
		 struct trouble *t);
bool card_blob(struct restante_envelope *card, enum restante_blob field, const void *value,
	       size_t size, struct trouble *t);

/* Copies a field of one to another, if it is there. */
bool card_copy_text(struct restante_envelope *to, const struct restante_envelope *from,
		    enum restante_text field, struct trouble *t);
bool card_copy_number(struct restante_envelope *to, const struct restante_envelope *from,
		      enum restante_number field, struct trouble *t);
bool card_copy_blob(struct restante_envelope *to, const struct restante_envelope *from,
		    enum restante_blob field, struct trouble *t);

/* Reads an envelope from a file or "-". TROUBLE_LIBRARY with RESTANTE_INVALID if it is none. */
bool card_read(struct restante_envelope **out, const char *path, struct trouble *t);

#endif
