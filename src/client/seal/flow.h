/* flow - what one call of a sealer or opener has left to read, and room to write. What cannot be
 * used yet is held in a buffer of theirs; what can be is used where it lies. */
#ifndef RESTANTE_CLIENT_SEAL_FLOW_H
#define RESTANTE_CLIENT_SEAL_FLOW_H

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

struct flow {
	struct bytes in;
	bool last; /* behind in there is nothing */
	uint8_t *out;
	size_t room;
};

/* The next n bytes of the input, which has them. */
static inline struct bytes flow_take(struct flow *f, size_t n)
{
	struct bytes taken = { f->in.data, n };

	f->in.len -= n;
	if (f->in.len > 0) /* an empty input may have no address */
		f->in.data += n;
	return taken;
}

/* Takes what still goes into buffer[*held..cap). */
static inline void flow_hold(struct flow *f, uint8_t *buffer, size_t *held, size_t cap)
{
	size_t n = f->in.len < cap - *held ? f->in.len : cap - *held;

	if (n > 0)
		memcpy(buffer + *held, flow_take(f, n).data, n);
	*held += n;
}

static inline void flow_gave(struct flow *f, size_t n)
{
	f->out += n;
	f->room -= n;
}

#endif
