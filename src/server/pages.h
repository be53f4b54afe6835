/* pages - the content of a finished upload, a page at a time: from the cache, or from the store.
 * A page is what lies between two lines of the store's grid. */
#ifndef RESTANTE_SERVER_PAGES_H
#define RESTANTE_SERVER_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/loads.h"
#include "server/media.h"

struct server;

struct page {
	struct chunk *chunk;
	uint64_t start; /* offset in the content of the chunk's first byte */
};

/* The page that holds byte `offset`, if it is in memory; the caller's reference. Never waits. */
bool page_cached(struct server *s, const struct media *m, uint64_t offset, struct page *out);

/* The same from the store, and into the cache. For workers: waits for a disk. ERR_BUSY: somebody is
 * reading it already, and the job of w runs again when that is done, for a second call with the
 * same w: nothing that the job works on may be touched until then. With NULL it is read all the
 * same. ERR_NOTFOUND: dropped meanwhile. ERR_DAMAGED, ERR_IO, ERR_NOMEM. */
enum err_code page_load(struct server *s, const struct media *m, uint64_t offset,
			struct load_wait *w, struct page *out, struct err *e);

/* The same, if the store gives it without waiting and nobody is at it; else false, and page_load()
 * is to try, and to say what is wrong. */
bool page_now(struct server *s, const struct media *m, uint64_t offset, struct page *out);

/* Puts bytes that begin at `offset` of the content into the cache, if they are a whole page. */
void page_keep(struct server *s, const struct media *m, uint64_t offset, struct chunk *c);

/* Whether chunks in memory leave room for an answer to hold more of them. */
bool pages_have_room(const struct server *s);

#endif
