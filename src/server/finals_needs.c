#include "server/finals_inside.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

struct waiting *finals_find_waiting(struct finals *f, const struct upload_id *id)
{
	struct waiting *w;

	HASH_FIND(hh, f->waiting, id, sizeof(*id), w);
	return w;
}

struct part *finals_find_part(struct finals *f, const struct upload_id *id)
{
	struct part *p;

	HASH_FIND(hh, f->parts, id, sizeof(*id), p);
	return p;
}

static struct part *part_of(struct finals *f, const struct upload_id *id)
{
	struct part *p = finals_find_part(f, id);

	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	p->id = *id;
	HASH_ADD(hh, f->parts, id, sizeof(p->id), p);
	if (p->hh.tbl == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

void finals_forget(struct finals *f, struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct part *p = w->needs[i].part;

		if (p == NULL)
			continue;
		DL_DELETE(p->needs, &w->needs[i]);
		if (p->needs != NULL)
			continue;
		HASH_DEL(f->parts, p);
		free(p);
	}
	w->count = 0;
	if (w->hh.tbl != NULL)
		HASH_DEL(f->waiting, w);
	w->hh.tbl = NULL;
	w->over = true;
	if (!w->looked_at)
		free(w);
}

/* The same part may come several times; it is waited for once. */
static bool is_new(const struct upload_id *parts, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (memcmp(&parts[k], &parts[i], sizeof(parts[i])) == 0)
			return false;
	return true;
}

static bool add_need(struct finals *f, struct waiting *w, const struct upload_id *part)
{
	struct need *n = &w->needs[w->count++];

	n->of = w;
	n->part = part_of(f, part);
	if (n->part != NULL)
		DL_APPEND(n->part->needs, n);
	return n->part != NULL;
}

struct waiting *finals_remember(struct finals *f, const struct upload_id *id,
				const struct upload_id *parts, size_t count)
{
	struct waiting *w = calloc(1, sizeof(*w) + count * sizeof(w->needs[0]));
	bool made;

	if (w == NULL)
		return NULL;
	w->finals = f;
	w->id = *id;
	HASH_ADD(hh, f->waiting, id, sizeof(w->id), w);
	made = w->hh.tbl != NULL;
	for (size_t i = 0; made && i < count; i++)
		made = !is_new(parts, i) || add_need(f, w, &parts[i]);
	if (made)
		return w;
	finals_forget(f, w);
	return NULL;
}
