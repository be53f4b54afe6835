#include "server/piece.h"

#include <stdlib.h>

#include "server/server.h"

/* A client that stalls after a few KB holds a few KB; up to the last but one of these it costs the
 * budget nothing. */
static const size_t caps[] = { (size_t)1 << 10, (size_t)4 << 10, (size_t)32 << 10, CHUNK_MAX };
#define CAPS (sizeof(caps) / sizeof(caps[0]))
#define FREE_CAP ((size_t)32 << 10)

/* What a piece may have at most: up to the store's grid, and to the end of what was announced. */
static size_t goal(uint64_t offset, uint64_t announced)
{
	const uint64_t line = CHUNK_MAX - offset % CHUNK_MAX;

	return (size_t)(announced - offset < line ? announced - offset : line);
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

/* The first size larger than `cap` that holds `want` bytes, as far as the goal and the budget go;
 * `cap` if there is none. */
static size_t next_cap(struct piece *p, size_t cap, size_t want, size_t most, struct server *server)
{
	size_t i = 0;

	while (i < CAPS - 1 && (caps[i] <= cap || caps[i] < want))
		i++;
	if (caps[i] < most)
		most = caps[i];
	if (most > FREE_CAP && !charge(p, most, server))
		most = FREE_CAP;
	return most > cap ? most : cap;
}

struct piece *piece_new(uint64_t offset, uint64_t announced, size_t there, struct server *server)
{
	struct piece *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->offset = offset;
	p->chunk = chunk_new(next_cap(p, 0, there, goal(offset, announced), server));
	if (p->chunk == NULL) {
		piece_free(p, server);
		return NULL;
	}
	return p;
}

bool piece_has_room(struct piece *p, uint64_t announced, size_t there, struct server *server)
{
	const size_t len = p->chunk->len, cap = p->chunk->cap;
	size_t next;

	if (len < cap)
		return true;
	next = next_cap(p, cap, len + there, goal(p->offset, announced), server);
	return next > cap && chunk_grow(p->chunk, next);
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
