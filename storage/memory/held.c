#include "storage/memory/held.h"

#include <stdlib.h>

struct run *run_new(struct memory *m)
{
	struct run *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->locator = ++m->next_locator;
	HASH_ADD(hh, m->runs, locator, sizeof(r->locator), r);
	if (r->hh.tbl == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

struct run *run_find(struct memory *m, uint64_t locator)
{
	struct run *r;

	HASH_FIND(hh, m->runs, &locator, sizeof(locator), r);
	return r;
}

void run_free(struct memory *m, struct run *r)
{
	if (r == NULL)
		return;
	HASH_DEL(m->runs, r);
	pieces_fini(&r->pieces);
	free(r);
}

/* ---- blobs ---- */

static void blob_free_parts(struct held_blob *b)
{
	free(b->extents);
	free(b->leaves);
	free(b);
}

struct held_blob *blob_new(struct memory *m, const struct digest *d, size_t extents, size_t leaves)
{
	struct held_blob *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->digest = *d;
	b->extents = calloc(extents + 1, sizeof(*b->extents));
	b->leaves = calloc(leaves + 1, sizeof(struct held_blob *));
	if (b->extents != NULL && b->leaves != NULL)
		HASH_ADD(hh, m->blobs, digest, sizeof(b->digest), b);
	if (b->hh.tbl == NULL) {
		blob_free_parts(b);
		return NULL;
	}
	return b;
}

struct held_blob *blob_find(struct memory *m, const struct digest *d)
{
	struct held_blob *b;

	HASH_FIND(hh, m->blobs, d, sizeof(*d), b);
	return b;
}

void blob_free(struct memory *m, struct held_blob *b)
{
	run_free(m, b->run);
	HASH_DEL(m->blobs, b);
	blob_free_parts(b);
}

/* A leaf is never composed itself: this calls itself once. */
void blob_settle(struct memory *m, struct held_blob *b)
{
	if (b->holders > 0 || b->needers > 0)
		return;
	for (size_t i = 0; i < b->leaf_count; i++) {
		b->leaves[i]->needers--;
		blob_settle(m, b->leaves[i]);
	}
	blob_free(m, b);
}

/* ---- uploads ---- */

struct held_upload *upload_new(struct memory *m, const struct upload_id *id)
{
	struct held_upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->id = *id;
	HASH_ADD(hh, m->uploads, id, sizeof(u->id), u);
	if (u->hh.tbl == NULL) {
		free(u);
		return NULL;
	}
	return u;
}

struct held_upload *upload_find(struct memory *m, const struct upload_id *id)
{
	struct held_upload *u;

	HASH_FIND(hh, m->uploads, id, sizeof(*id), u);
	return u;
}

enum err_code upload_there(const struct held_upload *u, struct err *e)
{
	if (u == NULL)
		return err_set(e, ERR_NOTFOUND, "no such upload");
	if (u->terminated)
		return err_set(e, ERR_DELETED, "it was terminated");
	return ERR_OK;
}

void upload_strip(struct memory *m, struct held_upload *u)
{
	struct held_blob *b;

	if (u->rec != NULL && u->rec->finished) {
		b = blob_find(m, &u->rec->digest);
		b->holders--;
		blob_settle(m, b);
	}
	run_free(m, u->run);
	u->run = NULL;
}

void held_upload_free(struct memory *m, struct held_upload *u)
{
	upload_strip(m, u);
	HASH_DEL(m->uploads, u);
	upload_free(u->rec);
	free(u);
}
