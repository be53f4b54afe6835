#include "server/piece.h"

#include <stdlib.h>

#include "server/server.h"

/* A client that stalls after a few KB holds a few KB; up to the second size it costs the budget
 * nothing. */
#define FIRST_CAP ((size_t)4 << 10)
#define SECOND_CAP ((size_t)32 << 10)

static uint64_t to_next_line(uint64_t offset)
{
	return CHUNK_MAX - offset % CHUNK_MAX;
}

struct piece *piece_new(uint64_t offset)
{
	const uint64_t goal = to_next_line(offset);
	struct piece *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->offset = offset;
	p->chunk = chunk_new(goal < FIRST_CAP ? (size_t)goal : FIRST_CAP);
	if (p->chunk == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static bool charge(struct piece *p, uint64_t bytes, struct server *server)
{
	uint64_t now = atomic_fetch_add(&server->upload_memory, bytes) + bytes;

	if (now > server_settings(server)->upload_memory) {
		atomic_fetch_sub(&server->upload_memory, bytes);
		return false;
	}
	p->charged += bytes;
	return true;
}

bool piece_grow(struct piece *p, uint64_t announced, struct server *server)
{
	uint64_t goal = to_next_line(p->offset);
	size_t cap;

	if (announced - p->offset < goal)
		goal = announced - p->offset;
	cap = p->chunk->cap < SECOND_CAP ? SECOND_CAP : CHUNK_MAX;
	if (cap > goal)
		cap = (size_t)goal;
	if (cap <= p->chunk->cap || (cap > SECOND_CAP && !charge(p, cap, server)))
		return false;
	return chunk_grow(p->chunk, cap);
}

void piece_free(struct piece *p, struct server *server)
{
	if (p == NULL)
		return;
	atomic_fetch_sub(&server->upload_memory, p->charged);
	chunk_unref(p->chunk);
	free(p);
}

void piece_free_all(struct piece *list, struct server *server)
{
	struct piece *next;

	for (; list != NULL; list = next) {
		next = list->next;
		piece_free(list, server);
	}
}
