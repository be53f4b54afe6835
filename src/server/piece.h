/* piece - bytes of an upload between the connection and the store: a chunk that grows with what has
 * come, and what it takes of the memory that all uploads share. One thread at a time has a piece.
 */
#ifndef RESTANTE_SERVER_PIECE_H
#define RESTANTE_SERVER_PIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "storage/chunk.h"

struct server;

struct piece {
	struct chunk *chunk;
	uint64_t offset;  /* in the upload, of its first byte */
	uint64_t charged; /* bytes of the common budget (server->upload_memory) */
	/* for the session, under its lock: */
	bool mark; /* everything up to its end is to be made durable, with its midstate */
	struct midstate midstate; /* at its end, once it is hashed; of a mark only */
	bool saves; /* a worker hashes it, or has, and leaves that midstate also without a mark */
	bool hashing, hashed, staged, stored;
	struct piece *next;
};

/* Of the size that holds `there` bytes, which are at hand: up to the store's grid, and to no more
 * than `announced` bytes of upload (UINT64_MAX: unknown), of which one is to come. NULL without
 * memory. */
struct piece *piece_new(uint64_t offset, uint64_t announced, size_t there, struct server *server);

/* Makes room in a full piece, in the same way; true if there is some. False: it is as large as it
 * may be, or memory is short and it has to go as it is. So when memory is short everyone works in
 * small pieces, and nobody waits for the slow. */
bool piece_has_room(struct piece *p, uint64_t announced, size_t there, struct server *server);

static inline struct bytes piece_bytes(const struct piece *p)
{
	return (struct bytes){ p->chunk->data, p->chunk->len };
}

void piece_free(struct piece *p, struct server *server); /* NULL is fine */
void piece_free_all(struct piece *list, struct server *server);

#endif
