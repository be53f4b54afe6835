/* cursor - walks over a header field's value: what the readers in this folder share. */
#ifndef RESTANTE_WIRE_CURSOR_H
#define RESTANTE_WIRE_CURSOR_H

#include <stdbool.h>

struct cursor {
	const char *p, *end;
};

/* Optional white space (RFC 9110 section 5.6.3). */
static inline void cursor_skip_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

/* Steps over one character if it is this one. */
static inline bool cursor_take(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* Empty elements of a list are passed over (RFC 9110 section 5.6.1.2). */
static inline void cursor_skip_empty(struct cursor *c)
{
	do
		cursor_skip_space(c);
	while (cursor_take(c, ','));
}

#endif
