/* feed - passes a stream on through a pipe, with what was already taken out of it in front, and
 * keeps a copy of it if it is short. A thread of its own does it; one thread owns the handle. */
#ifndef RESTANTE_CLI_FEED_H
#define RESTANTE_CLI_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "cli/input.h"
#include "cli/trouble.h"
#include "restante/client.h"

struct feed;

/* Starts to pass on what comes out of `in` (borrowed, as is the client). Up to keep_max bytes are
 * kept (0: none). If reading fails the client is cancelled, so that a part is not taken for the
 * whole. TROUBLE_LOCAL. */
bool feed_start(struct feed **out, struct input *in, size_t keep_max,
		struct restante_client *client, struct trouble *t);

/* Where to read; ends when the stream has ended. Borrowed. */
int feed_fd(const struct feed *f);

/* Waits until it has ended, which it does at once if nobody reads any more. False with
 * TROUBLE_LOCAL if reading failed. Before feed_copy(). */
bool feed_end(struct feed *f, struct trouble *t);

/* All that was passed on, if it was not more than asked for; else data is NULL. Borrowed. */
struct bytes feed_copy(const struct feed *f);

/* Wipes and frees; NULL is fine. */
void feed_free(struct feed *f);

#endif
