/* pieces - bytes as they were stored, one list for each run of them. Each list by one thread at a
 * time. */
#ifndef RESTANTE_STORAGE_MEMORY_PIECES_H
#define RESTANTE_STORAGE_MEMORY_PIECES_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* A stored piece; it never changes, and knows where in its run it begins. */
struct piece {
	uint64_t start;
	size_t len;
	uint8_t *data;
};

struct pieces {
	struct piece *v;
	size_t count, room;
};

/* Makes room for more. False without memory. */
bool pieces_reserve(struct pieces *p, size_t more);

/* Adds a copy of data at the end. ERR_NOMEM. */
enum err_code pieces_add(struct pieces *p, uint64_t start, struct bytes data, struct err *e);

/* Moves all of `from` behind `to`, which has room. */
void pieces_move(struct pieces *to, struct pieces *from);

/* The piece that covers `at`; there is one. */
const struct piece *pieces_find(const struct pieces *p, uint64_t at);
void pieces_fini(struct pieces *p);

#endif
