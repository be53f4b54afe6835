#include "storage/rocksdb/extents.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

/* ---- extents ---- */

static bool continues(const struct extent *last, uint64_t locator, uint64_t start, uint32_t place)
{
	return last->locator == locator && last->start + last->length == start &&
	       (last->place & PLACE_SEGMENT) == (place & PLACE_SEGMENT);
}

/* Room in *v, which has `room` of `count` taken, for more of `size` bytes each. */
static bool make_room(void **v, size_t *room, size_t count, size_t more, size_t size)
{
	size_t wanted = count + more;
	void *moved;

	if (wanted <= *room)
		return true;
	wanted = wanted > 4 ? wanted + wanted / 2 : 4;
	moved = realloc(*v, wanted * size);
	if (moved == NULL)
		return false;
	*v = moved;
	*room = wanted;
	return true;
}

static bool extents_room(struct extents *x, size_t more)
{
	void *v = x->v;
	bool made = make_room(&v, &x->room, x->count, more, sizeof(*x->v));

	x->v = v;
	return made;
}

bool extents_add(struct extents *x, uint64_t locator, uint64_t start, uint64_t length,
		 uint32_t place)
{
	struct extent *last = x->count > 0 ? &x->v[x->count - 1] : NULL;

	if (last != NULL && continues(last, locator, start, place)) {
		last->place |= place | (start % CHUNK_MAX != 0 ? PLACE_UNEVEN : 0);
		last->length += length;
		return true;
	}
	if (!extents_room(x, 1))
		return false;
	x->v[x->count++] = (struct extent){ locator, start, length, place };
	return true;
}

bool extents_append(struct extents *x, const struct extent *v, size_t count, uint32_t place)
{
	if (!extents_room(x, count))
		return false;
	for (size_t i = 0; i < count; i++) {
		x->v[x->count] = v[i];
		x->v[x->count++].place |= place;
	}
	return true;
}

void extents_fini(struct extents *x)
{
	free(x->v);
	*x = (struct extents){ 0 };
}

bool extents_borrowed(const struct extent *v, size_t count)
{
	return count > 0 && v[0].place & PLACE_BORROWED;
}

uint64_t extents_end(const struct extent *v, size_t count, uint64_t locator)
{
	for (size_t i = count; i-- > 0;)
		if (v[i].locator == locator)
			return v[i].start + v[i].length;
	return 0;
}

/* ---- leaves ---- */

bool leaves_add(struct leaves *l, const struct digest *v, size_t count)
{
	void *all = l->v;
	bool made = make_room(&all, &l->room, l->count, count, sizeof(*l->v));

	l->v = all;
	if (!made)
		return false;
	if (count > 0)
		memcpy(l->v + l->count, v, count * sizeof(*v));
	l->count += count;
	return true;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

void leaves_settle(struct leaves *l)
{
	size_t kept = 0;

	if (l->count > 0)
		qsort(l->v, l->count, sizeof(*l->v), by_bytes);
	for (size_t i = 0; i < l->count; i++)
		if (kept == 0 || !digest_equal(&l->v[kept - 1], &l->v[i]))
			l->v[kept++] = l->v[i];
	l->count = kept;
}

void leaves_fini(struct leaves *l)
{
	free(l->v);
	*l = (struct leaves){ 0 };
}
