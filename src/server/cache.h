/* cache - chunks in memory between fetches and the store: bounded in bytes, least recently used
 * first out. What is in it is immutable. Any thread; no call waits for a disk.
 *
 * A chunk is known by the locator its bytes lie in and where in it they begin. */
#ifndef RESTANTE_SERVER_CACHE_H
#define RESTANTE_SERVER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/reply.h"
#include "storage/chunk.h"

struct cache;

struct cache_key {
	uint64_t locator;
	uint64_t offset; /* in the locator, of the chunk's first byte */
};

struct cache_stats {
	uint64_t bytes, chunks;
};

enum err_code cache_new(struct cache **out, uint64_t capacity, struct err *e);
void cache_free(struct cache *c); /* NULL is fine */

/* The chunk, with a reference for the caller, or NULL. */
struct chunk *cache_get(struct cache *c, struct cache_key key);

/* Keeps a reference to the chunk; whatever was there under the key goes. A bulk chunk is one of a
 * blob so large that a single pass over it would drive out everything else: it passes through an
 * eighth of the cache that the others have no use of, and stays when it is asked for meanwhile, or
 * was put a short while ago as well. */
void cache_put(struct cache *c, struct cache_key key, struct chunk *chunk, bool bulk);

/* A finished answer may ride on a chunk, as long as that stays: whoever asks for the same with the
 * same tag before valid_until_s gets a reference to it, or NULL. */
struct reply *cache_reply(struct cache *c, struct cache_key key, int64_t tag, int64_t now_s);
void cache_attach(struct cache *c, struct cache_key key, struct reply *reply, int64_t tag,
		  int64_t valid_until_s);

void cache_stats(struct cache *c, struct cache_stats *out);

#endif
