/* grant_inside - what reading a grant and writing one share; for grant*.c alone. */
#ifndef RESTANTE_WIRE_GRANT_INSIDE_H
#define RESTANTE_WIRE_GRANT_INSIDE_H

#include "base/bytes.h"
#include "wire/grant.h"

/* Reads a payload into *g, all but kid. ERR_INVALID, and which claim in *e. */
enum err_code grant_read_claims(struct grant *g, struct bytes payload, struct err *e);

/* Reads a footer's kid. ERR_INVALID. */
enum err_code grant_read_kid(char kid[static GRANT_NAME_MAX + 1], struct bytes footer);

#endif
