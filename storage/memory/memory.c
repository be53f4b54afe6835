/* Everything in memory under one lock: keeps the interface honest and unit tests quick. What it
 * forgets on closing, a crash would have taken too. */
#include "storage/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* A stored piece; it never changes, and knows where in its run it begins. */
struct piece {
	uint64_t start;
	size_t len;
	uint8_t *data;
};

struct pieces {
	struct piece *v;
	size_t count, room;
};

/* The bytes of one upload, later of one blob; its locator is its name. */
struct run {
	uint64_t locator;
	uint64_t length;
	struct pieces pieces;
	UT_hash_handle hh;
};

struct held_blob {
	struct digest digest;
	uint64_t size, holders;
	struct run *run; /* NULL: no bytes */
	UT_hash_handle hh;
};

struct held_upload {
	struct upload_id id;
	struct upload *rec;
	struct run *run; /* of an unfinished one; NULL: no bytes yet */
	UT_hash_handle hh;
};

struct memory {
	pthread_mutex_t lock;
	uint64_t next_locator;
	struct run *runs;
	struct held_blob *blobs;
	struct held_upload *uploads;
};

struct memory_writer {
	struct upload *rec; /* of a fresh upload as it is to be, else as it is */
	bool fresh;
	uint64_t end;
	struct pieces staged; /* behind rec->offset */
};

/* ---- pieces ---- */

static void pieces_fini(struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->v[i].data);
	free(p->v);
	*p = (struct pieces){ 0 };
}

static bool pieces_reserve(struct pieces *p, size_t more)
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

static enum err_code pieces_add(struct pieces *p, uint64_t start, struct bytes data, struct err *e)
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

/* Moves all of `from` behind `to`, which has room. */
static void pieces_move(struct pieces *to, struct pieces *from)
{
	for (size_t i = 0; i < from->count; i++)
		to->v[to->count++] = from->v[i];
	from->count = 0;
}

/* The piece that covers `at`; there is one. */
static const struct piece *pieces_find(const struct pieces *p, uint64_t at)
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

/* ---- runs, blobs, uploads ---- */

static struct run *run_new(struct memory *m)
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

static void run_free(struct memory *m, struct run *r)
{
	if (r == NULL)
		return;
	HASH_DEL(m->runs, r);
	pieces_fini(&r->pieces);
	free(r);
}

static struct held_blob *find_blob(struct memory *m, const struct digest *d)
{
	struct held_blob *b;

	HASH_FIND(hh, m->blobs, d, sizeof(*d), b);
	return b;
}

static struct held_upload *find_upload(struct memory *m, const struct upload_id *id)
{
	struct held_upload *u;

	HASH_FIND(hh, m->uploads, id, sizeof(*id), u);
	return u;
}

static struct held_blob *blob_new(struct memory *m, const struct digest *d)
{
	struct held_blob *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->digest = *d;
	HASH_ADD(hh, m->blobs, digest, sizeof(b->digest), b);
	if (b->hh.tbl == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

static void blob_release(struct memory *m, struct held_blob *b)
{
	if (--b->holders > 0)
		return;
	run_free(m, b->run);
	HASH_DEL(m->blobs, b);
	free(b);
}

static struct held_upload *upload_new(struct memory *m, const struct upload_id *id)
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

static void held_upload_free(struct memory *m, struct held_upload *u)
{
	if (u->rec != NULL && u->rec->finished)
		blob_release(m, find_blob(m, &u->rec->digest));
	run_free(m, u->run);
	HASH_DEL(m->uploads, u);
	upload_free(u->rec);
	free(u);
}

/* ---- opening ---- */

static enum err_code memory_open(void **self, const struct store_options *opt, struct err *e)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)opt;
	if (m == NULL)
		return err_set(e, ERR_NOMEM, "the engine");
	pthread_mutex_init(&m->lock, NULL);
	*self = m;
	return ERR_OK;
}

static void memory_close(void *self)
{
	struct memory *m = self;

	while (m->uploads != NULL)
		held_upload_free(m, m->uploads);
	assert(m->runs == NULL && m->blobs == NULL);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- writing ---- */

static void memory_write_close(void *self, void *writer)
{
	struct memory_writer *w = writer;

	(void)self;
	pieces_fini(&w->staged);
	upload_free(w->rec);
	free(w);
}

static enum err_code memory_write_open(void *self, const struct upload *rec, bool fresh,
				       uint64_t expect, void **out, struct err *e)
{
	struct memory_writer *w = calloc(1, sizeof(*w));

	(void)expect;
	if (w == NULL)
		return err_set(e, ERR_NOMEM, "a writer");
	w->fresh = fresh;
	w->end = rec->offset;
	w->rec = upload_clone(rec);
	if (w->rec == NULL) {
		memory_write_close(self, w);
		return err_set(e, ERR_NOMEM, "a writer's record");
	}
	*out = w;
	return ERR_OK;
}

static enum err_code memory_stage(void *self, void *writer, struct bytes data, struct err *e)
{
	struct memory_writer *w = writer;
	enum err_code rc = pieces_add(&w->staged, w->end, data, e);

	(void)self;
	if (rc == ERR_OK)
		w->end += data.len;
	return rc;
}

static enum err_code check_unchanged(const struct memory_writer *w, const struct held_upload *u,
				     struct err *e)
{
	if (w->fresh && u == NULL)
		return ERR_OK;
	if (u == NULL)
		return err_set(e, ERR_NOTFOUND, "dropped meanwhile");
	if (w->fresh || u->rec->finished)
		return err_set(e, ERR_EXISTS, "an upload of that id is there");
	if (u->rec->offset != w->rec->offset)
		return err_set(e, ERR_OFFSET, "somebody else has appended meanwhile");
	return ERR_OK;
}

/* What a commit is about to put in place: all of it is made before any of it is used, so that
 * running out of memory changes nothing. */
struct prepared {
	struct held_upload *upload;
	bool new_upload;
	struct run *run;
	bool new_run;
	struct held_blob *blob;
	bool new_blob;
	struct upload *rec, *mine, *handed_out;
};

static void prepared_undo(struct memory *m, struct prepared *p)
{
	upload_free(p->rec);
	upload_free(p->mine);
	upload_free(p->handed_out);
	if (p->new_blob && p->blob != NULL) {
		HASH_DEL(m->blobs, p->blob);
		free(p->blob);
	}
	if (p->new_run)
		run_free(m, p->run);
	if (p->new_upload && p->upload != NULL) {
		HASH_DEL(m->uploads, p->upload);
		free(p->upload);
	}
}

static bool prepare_run(struct memory *m, struct memory_writer *w, struct prepared *p)
{
	p->run = p->upload->run;
	if (w->end == 0)
		return true;
	if (p->run == NULL) {
		p->run = run_new(m);
		p->new_run = p->run != NULL;
	}
	return p->run != NULL && pieces_reserve(&p->run->pieces, w->staged.count);
}

static bool prepare_blob(struct memory *m, const struct commit *c, struct prepared *p)
{
	if (c->digest == NULL)
		return true;
	p->blob = find_blob(m, c->digest);
	if (p->blob == NULL) {
		p->blob = blob_new(m, c->digest);
		p->new_blob = p->blob != NULL;
	}
	return p->blob != NULL;
}

/* The record as the commit makes it. */
static bool prepare_records(const struct memory_writer *w, const struct commit *c, bool hand_out,
			    struct prepared *p)
{
	const struct run *run = p->blob != NULL && !p->new_blob ? p->blob->run : p->run;
	struct upload u = *w->rec;
	struct extent x = { run != NULL ? run->locator : 0, 0, w->end, 0 };

	u.offset = w->end;
	u.length = c->length;
	u.expires_s = c->expires_s;
	u.finished = c->digest != NULL;
	if (u.finished)
		u.digest = *c->digest;
	else
		u.midstate = *c->midstate;
	u.extent_count = w->end > 0;
	u.extents = &x;
	p->rec = upload_clone(&u);
	p->mine = upload_clone(&u);
	p->handed_out = hand_out ? upload_clone(&u) : NULL;
	return p->rec != NULL && p->mine != NULL && (!hand_out || p->handed_out != NULL);
}

/* The upload holds the blob; bytes of its own are the blob's now, or given back. */
static void put_blob(struct memory *m, struct prepared *p)
{
	p->blob->holders++;
	if (p->new_blob) {
		p->blob->size = p->rec->offset;
		p->blob->run = p->run;
	} else {
		run_free(m, p->run);
	}
	p->upload->run = NULL;
}

static void put_in_place(struct memory *m, struct memory_writer *w, struct prepared *p)
{
	if (p->run != NULL) {
		pieces_move(&p->run->pieces, &w->staged);
		p->run->length = w->end;
	}
	p->upload->run = p->run;
	if (p->blob != NULL)
		put_blob(m, p);
	upload_free(p->upload->rec);
	p->upload->rec = p->rec;
	upload_free(w->rec);
	w->rec = p->mine;
	w->fresh = false;
}

static enum err_code commit_locked(struct memory *m, struct memory_writer *w,
				   const struct commit *c, bool *deduplicated, struct upload **rec,
				   struct err *e)
{
	struct prepared p = { .upload = find_upload(m, &w->rec->id) };
	enum err_code rc = check_unchanged(w, p.upload, e);

	if (rc != ERR_OK)
		return rc;
	if (p.upload == NULL) {
		p.upload = upload_new(m, &w->rec->id);
		p.new_upload = true;
	}
	if (p.upload == NULL || !prepare_run(m, w, &p) || !prepare_blob(m, c, &p) ||
	    !prepare_records(w, c, rec != NULL, &p)) {
		prepared_undo(m, &p);
		return err_set(e, ERR_NOMEM, "a commit");
	}
	put_in_place(m, w, &p);
	*deduplicated = p.blob != NULL && !p.new_blob;
	if (rec != NULL)
		*rec = p.handed_out;
	return ERR_OK;
}

static enum err_code memory_commit(void *self, void *writer, const struct commit *c,
				   bool *deduplicated, struct upload **rec, struct err *e)
{
	struct memory *m = self;
	struct memory_writer *w = writer;
	enum err_code rc = ERR_OK;

	if (c->tail.len > 0)
		rc = memory_stage(self, w, c->tail, e);
	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(&m->lock);
	rc = commit_locked(m, w, c, deduplicated, rec, e);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* ---- the rest ---- */

static enum err_code memory_lookup(void *self, const struct upload_id *id, struct upload **out,
				   struct err *e)
{
	struct memory *m = self;
	struct held_upload *u;
	struct upload *copy = NULL;

	pthread_mutex_lock(&m->lock);
	u = find_upload(m, id);
	if (u != NULL)
		copy = upload_clone(u->rec);
	pthread_mutex_unlock(&m->lock);
	if (u == NULL)
		return err_set(e, ERR_NOTFOUND, "no such upload");
	if (copy == NULL)
		return err_set(e, ERR_NOMEM, "a record");
	*out = copy;
	return ERR_OK;
}

static struct chunk *copy_piece(const struct piece *p, uint64_t at, uint64_t end)
{
	size_t skip = (size_t)(at - p->start), len = p->len - skip;
	struct chunk *c;

	if (len > end - at)
		len = (size_t)(end - at);
	c = chunk_new(len);
	if (c == NULL)
		return NULL;
	memcpy(c->data, p->data + skip, len);
	c->len = len;
	return c;
}

static enum err_code memory_read(void *self, const struct extent *x, uint64_t at,
				 struct chunk **out, struct err *e)
{
	struct memory *m = self;
	struct run *r;
	struct chunk *c = NULL;
	bool found;

	pthread_mutex_lock(&m->lock);
	HASH_FIND(hh, m->runs, &x->locator, sizeof(x->locator), r);
	found = r != NULL && at < r->length;
	if (found)
		c = copy_piece(pieces_find(&r->pieces, at), at, x->start + x->length);
	pthread_mutex_unlock(&m->lock);
	if (!found)
		return err_set(e, ERR_NOTFOUND, "no bytes there");
	if (c == NULL)
		return err_set(e, ERR_NOMEM, "a chunk");
	*out = c;
	return ERR_OK;
}

static enum err_code memory_drop(void *self, const struct upload_id *id, struct err *e)
{
	struct memory *m = self;
	struct held_upload *u;

	pthread_mutex_lock(&m->lock);
	u = find_upload(m, id);
	if (u != NULL)
		held_upload_free(m, u);
	pthread_mutex_unlock(&m->lock);
	return u != NULL ? ERR_OK : err_set(e, ERR_NOTFOUND, "no such upload");
}

static int by_expiry(const struct upload *a, const struct upload *b)
{
	if (a->expires_s != b->expires_s)
		return a->expires_s < b->expires_s ? -1 : 1;
	return memcmp(&a->id, &b->id, sizeof(a->id));
}

/* The first upload behind `after` in order of expiry. */
static const struct upload *next_due(struct memory *m, const struct upload *after, int64_t now)
{
	const struct upload *best = NULL;

	for (const struct held_upload *u = m->uploads; u != NULL; u = u->hh.next)
		if (u->rec->expires_s <= now && (after == NULL || by_expiry(u->rec, after) > 0) &&
		    (best == NULL || by_expiry(u->rec, best) < 0))
			best = u->rec;
	return best;
}

static enum err_code memory_due(void *self, int64_t now, struct upload_id *ids, size_t max,
				size_t *count, struct err *e)
{
	struct memory *m = self;
	const struct upload *u = NULL;
	size_t n = 0;

	(void)e;
	pthread_mutex_lock(&m->lock);
	while (n < max && (u = next_due(m, u, now)) != NULL)
		ids[n++] = u->id;
	pthread_mutex_unlock(&m->lock);
	*count = n;
	return ERR_OK;
}

static struct held_blob *blob_behind(struct memory *m, const struct digest *after)
{
	struct held_blob *best = NULL;

	for (struct held_blob *b = m->blobs; b != NULL; b = b->hh.next)
		if ((after == NULL || memcmp(&b->digest, after, sizeof(*after)) > 0) &&
		    (best == NULL || memcmp(&b->digest, &best->digest, sizeof(*after)) < 0))
			best = b;
	return best;
}

static bool describe(const struct held_blob *b, struct blob *out)
{
	out->extents = malloc(sizeof(*out->extents));
	if (out->extents == NULL)
		return false;
	out->extents[0] = (struct extent){ b->run != NULL ? b->run->locator : 0, 0, b->size, 0 };
	out->extent_count = b->size > 0;
	out->digest = b->digest;
	out->size = b->size;
	return true;
}

static enum err_code memory_next_blob(void *self, const struct digest *after, struct blob *out,
				      struct err *e)
{
	struct memory *m = self;
	const struct held_blob *b;
	bool made = false;

	pthread_mutex_lock(&m->lock);
	b = blob_behind(m, after);
	if (b != NULL)
		made = describe(b, out);
	pthread_mutex_unlock(&m->lock);
	if (b == NULL)
		return err_set(e, ERR_NOTFOUND, "no more blobs");
	return made ? ERR_OK : err_set(e, ERR_NOMEM, "a blob's extents");
}

const struct engine engine_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.write_open = memory_write_open,
	.stage = memory_stage,
	.commit = memory_commit,
	.write_close = memory_write_close,
	.lookup = memory_lookup,
	.read = memory_read,
	.drop = memory_drop,
	.due = memory_due,
	.next_blob = memory_next_blob,
};
