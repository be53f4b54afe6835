/* sf_read - the parts of structured fields by the algorithms of RFC 9651 section 4.2, whose numbers
 * stand at the functions: what the readers of whole fields in this folder are made of. Each moves
 * the cursor behind what it took; after a false the whole field is given up, so where the cursor
 * stands then does not matter. Views are into the field's text. Pure; any thread. */
#ifndef RESTANTE_WIRE_SF_READ_H
#define RESTANTE_WIRE_SF_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/cursor.h"

/* Strings, tokens, decimals, dates and display strings are read, but nobody wants them yet. */
enum sf_type { SF_INTEGER, SF_BOOLEAN, SF_BYTES, SF_OTHER };

struct sf_view {
	const char *p;
	size_t n;
};

/* The text: the digits of an integer, which may have a minus; the digit of a boolean; what stands
 * between the colons of bytes, not yet decoded. Of others it is empty. */
struct sf_item {
	enum sf_type type;
	struct sf_view text;
};

/* Steps over any number of these characters. */
void sf_read_skip(struct cursor *c, const char *chars);

/* 4.2.3.3 */
bool sf_read_key(struct cursor *c, struct sf_view *key);

/* 4.2.3.1: any value that is no list. */
bool sf_read_bare_item(struct cursor *c, struct sf_item *item);

/* 4.2.3.2: reads them, possibly none, and passes over them. */
bool sf_read_parameters(struct cursor *c);

#endif
