/* shallow - JSON that is not nested deep. jansson reads what is nested by calling itself, and a
 * caller's thread may have a small stack. Any thread. */
#ifndef RESTANTE_WIRE_SHALLOW_H
#define RESTANTE_WIRE_SHALLOW_H

#include <stdbool.h>

#include <jansson.h>

#include "base/bytes.h"

#define SHALLOW_DEPTH_MAX 16

/* Whether text, if it is JSON, is nested no deeper than that. */
bool shallow_fits(struct bytes text);

/* The JSON in text, with no name twice in an object; NULL if it is none, or nested deeper. The
 * caller's, to be given back with json_decref(). */
json_t *shallow_read(struct bytes text);

#endif
