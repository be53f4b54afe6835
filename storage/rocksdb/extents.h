/* extents - what a blob is made of, being gathered: the runs of bytes, and of a composed blob the
 * leaves these belong to. Any thread, each list by one at a time. */
#ifndef RESTANTE_STORAGE_ROCKSDB_EXTENTS_H
#define RESTANTE_STORAGE_ROCKSDB_EXTENTS_H

#include "storage/store.h"

/* What extent.place says. Bits. */
#define PLACE_SEGMENT 1u  /* else rows */
#define PLACE_UNEVEN 2u   /* some piece starts neither with the extent nor on the grid */
#define PLACE_BORROWED 4u /* the bytes belong to a leaf: they are not this blob's to release */
#define PLACE_ALL (PLACE_SEGMENT | PLACE_UNEVEN | PLACE_BORROWED)

/* Extents being gathered. Zeroes are an empty list. */
struct extents {
	struct extent *v;
	size_t count, room;
};

/* Adds a piece at the end, to the last extent where it continues that one. False without memory. */
bool extents_add(struct extents *x, uint64_t locator, uint64_t start, uint64_t length,
		 uint32_t place);

/* Adds extents at the end, each as it is but for the bits of place that are set besides. False
 * without memory. */
bool extents_append(struct extents *x, const struct extent *v, size_t count, uint32_t place);
void extents_fini(struct extents *x);

/* Whether they are those of a composed blob: all are, or none. */
bool extents_borrowed(const struct extent *v, size_t count);

/* Where the bytes that count end in a locator: 0 if none do. */
uint64_t extents_end(const struct extent *v, size_t count, uint64_t locator);

/* The blobs whose bytes a composed one uses, each once; of others none. Zeroes are an empty list.
 */
struct leaves {
	struct digest *v;
	size_t count, room;
};

/* Adds digests, which may be there already: leaves_settle() then sorts them and drops what comes
 * twice. False without memory. */
bool leaves_add(struct leaves *l, const struct digest *v, size_t count);
void leaves_settle(struct leaves *l);
void leaves_fini(struct leaves *l);

#endif
