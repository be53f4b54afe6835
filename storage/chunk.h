/* chunk - bytes that several holders share, freed with the last of them.
 *
 * Made and filled by one thread, then only read; references may be taken and given back by any.
 * Blank full-size buffers are kept for reuse, so that a busy server takes no page faults. */
#ifndef RESTANTE_STORAGE_CHUNK_H
#define RESTANTE_STORAGE_CHUNK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The grid of a store: no stored piece of bytes crosses a multiple of this offset, and no chunk is
 * longer. */
#define CHUNK_MAX (256u << 10)

struct chunk {
	atomic_uint refs;
	size_t len; /* bytes that count, from data */
	size_t cap; /* bytes of memory it holds */
	uint8_t *data;
	void (*release)(struct chunk *c); /* frees data that is not its own; NULL: its own */
	void *owner;                      /* for release */
};

/* A writable chunk of cap bytes (at most CHUNK_MAX) with len 0 and one reference; NULL without
 * memory. */
struct chunk *chunk_new(size_t cap);

/* Moves a chunk nobody else holds to a larger cap, its bytes kept; false (and c as it was) without
 * memory. */
bool chunk_grow(struct chunk *c, size_t cap);

/* A chunk around memory of someone else's; release(chunk) gives that back (chunk itself is freed
 * here). NULL without memory, and then data stays the caller's. */
struct chunk *chunk_wrap(const uint8_t *data, size_t len, void (*release)(struct chunk *),
			 void *owner);

struct chunk *chunk_ref(struct chunk *c); /* returns c */
void chunk_unref(struct chunk *c);        /* NULL is fine */

/* Bytes that all chunks alive hold together, reusable blanks not counted. */
size_t chunk_memory(void);

#endif
