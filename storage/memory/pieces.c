#include "storage/memory/pieces.h"

#include <stdlib.h>
#include <string.h>

void pieces_fini(struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->v[i].data);
	free(p->v);
	*p = (struct pieces){ 0 };
}

bool pieces_reserve(struct pieces *p, size_t more)
{
	size_t room = p->count + more;
	struct piece *v;

	if (room <= p->room)
		return true;
	room += room / 2;
	v = realloc(p->v, room * sizeof(*v));
	if (v == NULL)
		return false;
	p->v = v;
	p->room = room;
	return true;
}

enum err_code pieces_add(struct pieces *p, uint64_t start, struct bytes data, struct err *e)
{
	struct piece *added;

	if (!pieces_reserve(p, 1))
		return err_set(e, ERR_NOMEM, "a piece");
	added = &p->v[p->count];
	added->data = malloc(data.len);
	if (added->data == NULL)
		return err_set(e, ERR_NOMEM, "a piece");
	memcpy(added->data, data.data, data.len);
	added->start = start;
	added->len = data.len;
	p->count++;
	return ERR_OK;
}

void pieces_move(struct pieces *to, struct pieces *from)
{
	for (size_t i = 0; i < from->count; i++)
		to->v[to->count++] = from->v[i];
	from->count = 0;
}

const struct piece *pieces_find(const struct pieces *p, uint64_t at)
{
	size_t low = 0, high = p->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (p->v[middle].start <= at)
			low = middle;
		else
			high = middle;
	}
	return &p->v[low];
}
