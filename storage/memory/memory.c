/* Everything in memory under one lock: keeps the interface honest and unit tests quick. What it
 * forgets on closing, a crash would have taken too. */
#include "storage/memory/held.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct memory_writer {
	struct upload *rec; /* of a fresh upload as it is to be, else as it is */
	bool fresh;
	uint64_t end;
	struct pieces staged; /* behind rec->offset */
};

/* ---- opening ---- */

static enum err_code memory_open(void **self, const struct store_options *opt, struct err *e)
{
	struct memory *m;

	if (opt->existing)
		return err_set(e, ERR_NOTFOUND, "this engine keeps nothing");
	m = calloc(1, sizeof(*m));
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
	enum err_code rc = upload_there(u, e);

	if (w->fresh && rc == ERR_NOTFOUND)
		return ERR_OK;
	if (rc != ERR_OK)
		return rc;
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
	if (p->new_blob && p->blob != NULL)
		blob_free(m, p->blob);
	if (p->new_run)
		run_free(m, p->run);
	if (p->new_upload && p->upload != NULL)
		held_upload_free(m, p->upload);
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

static struct extent whole_run(const struct run *r, uint64_t length)
{
	return (struct extent){ r != NULL ? r->locator : 0, 0, length, 0 };
}

static bool prepare_blob(struct memory *m, const struct memory_writer *w, const struct commit *c,
			 struct prepared *p)
{
	if (c->digest == NULL)
		return true;
	p->blob = blob_find(m, c->digest);
	if (p->blob != NULL)
		return true;
	p->blob = blob_new(m, c->digest, 1, 0);
	p->new_blob = true;
	if (p->blob == NULL)
		return false;
	p->blob->size = w->end;
	p->blob->extents[0] = whole_run(p->run, w->end);
	p->blob->extent_count = w->end > 0;
	return true;
}

/* The record as the commit makes it. */
static bool prepare_records(const struct memory_writer *w, const struct commit *c, bool hand_out,
			    struct prepared *p)
{
	struct upload u = *w->rec;
	struct extent own = whole_run(p->run, w->end);

	u.offset = w->end;
	u.length = c->length;
	u.expires_s = c->expires_s;
	u.finished = c->digest != NULL;
	if (u.finished)
		u.digest = *c->digest;
	else
		u.midstate = *c->midstate;
	u.extent_count = p->blob != NULL ? p->blob->extent_count : w->end > 0;
	u.extents = p->blob != NULL ? p->blob->extents : &own;
	p->rec = upload_clone(&u);
	p->mine = upload_clone(&u);
	p->handed_out = hand_out ? upload_clone(&u) : NULL;
	return p->rec != NULL && p->mine != NULL && (!hand_out || p->handed_out != NULL);
}

/* The upload holds the blob; bytes of its own are the blob's now, or given back. */
static void put_blob(struct memory *m, struct prepared *p)
{
	p->blob->holders++;
	if (p->new_blob)
		p->blob->run = p->run;
	else
		run_free(m, p->run);
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
	struct prepared p = { .upload = upload_find(m, &w->rec->id) };
	enum err_code rc = check_unchanged(w, p.upload, e);

	if (rc != ERR_OK)
		return rc;
	if (p.upload == NULL) {
		p.upload = upload_new(m, &w->rec->id);
		p.new_upload = true;
	}
	if (p.upload == NULL || !prepare_run(m, w, &p) || !prepare_blob(m, w, c, &p) ||
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
	const struct held_upload *u;
	struct upload *copy = NULL;
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	u = upload_find(m, id);
	rc = upload_there(u, e);
	if (rc == ERR_OK)
		copy = upload_clone(u->rec);
	pthread_mutex_unlock(&m->lock);
	if (rc != ERR_OK)
		return rc;
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
	const struct run *r;
	struct chunk *c = NULL;
	bool found;

	pthread_mutex_lock(&m->lock);
	r = run_find(m, x->locator);
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

/* Bytes of all runs: of blobs and of unfinished uploads. */
static uint64_t bytes_alive(const struct memory *m)
{
	uint64_t sum = 0;

	for (const struct run *r = m->runs; r != NULL; r = r->hh.next)
		sum += r->length;
	return sum;
}

static void memory_measure(void *self, struct store_stats *out)
{
	struct memory *m = self;

	pthread_mutex_lock(&m->lock);
	for (const struct held_upload *u = m->uploads; u != NULL; u = u->hh.next) {
		out->uploads_alive += !u->terminated;
		out->uploads_finished += !u->terminated && u->rec->finished;
	}
	out->bytes_alive = bytes_alive(m);
	pthread_mutex_unlock(&m->lock);
}

/* What is left of the upload becomes a tombstone. */
static enum err_code bury(struct memory *m, struct held_upload *u, int64_t until_s, struct err *e)
{
	struct upload left = { .id = u->id, .expires_s = until_s };
	struct upload *rec = upload_clone(&left);

	if (rec == NULL)
		return err_set(e, ERR_NOMEM, "a tombstone");
	upload_strip(m, u);
	upload_free(u->rec);
	u->rec = rec;
	u->terminated = true;
	return ERR_OK;
}

/* Nothing outlives the process, so nothing needs to be durable. */
static enum err_code drop_locked(struct memory *m, const struct upload_id *id, struct dropping *d,
				 struct err *e)
{
	struct held_upload *u = upload_find(m, id);
	enum err_code rc = upload_there(u, e);
	const uint64_t bytes = bytes_alive(m);
	const unsigned blobs = HASH_COUNT(m->blobs);
	int64_t until_s;

	if (rc == ERR_NOTFOUND || (rc == ERR_DELETED && !d->expired))
		return rc;
	rc = dropping_due(d, u->rec->expires_s, e);
	if (rc != ERR_OK)
		return rc;
	d->gone = (struct dropped){ .bucket = u->rec->bucket };
	if (!u->terminated)
		d->gone.weight = upload_weight(u->rec);
	until_s = u->terminated ? 0 : dropping_until(d, u->rec);
	if (until_s != 0)
		rc = bury(m, u, until_s, e);
	else
		held_upload_free(m, u);
	d->gone.freed = bytes - bytes_alive(m);
	d->gone.blob_gone = HASH_COUNT(m->blobs) < blobs;
	return rc;
}

static enum err_code memory_drop(void *self, const struct upload_id *id, struct dropping *d,
				 struct err *e)
{
	struct memory *m = self;
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	rc = drop_locked(m, id, d, e);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static enum err_code memory_extend(void *self, const struct upload_id *id, int64_t expires_s,
				   struct err *e)
{
	struct memory *m = self;
	struct held_upload *u;
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	u = upload_find(m, id);
	rc = upload_there(u, e);
	if (rc == ERR_OK)
		u->rec->expires_s = expires_s;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static enum err_code acknowledge_locked(struct memory *m, const struct upload_id *id,
					uint16_t recipient, int64_t remember_until_s,
					uint16_t *left, struct dropped *out, struct err *e)
{
	struct dropping d = { .remember_until_s = remember_until_s };
	struct held_upload *u = upload_find(m, id);
	enum err_code rc = upload_there(u, e);
	struct acks acks;
	uint16_t others;

	if (rc == ERR_OK)
		rc = acks_check(u->rec, recipient, e);
	if (rc != ERR_OK)
		return rc;
	acks = u->acks;
	acks_add(&acks, recipient);
	others = acks_left(&acks, u->rec->recipients);
	if (others == 0)
		rc = drop_locked(m, id, &d, e);
	else
		u->acks = acks;
	if (rc == ERR_OK)
		*left = others;
	if (rc == ERR_OK && others == 0)
		*out = d.gone;
	return rc;
}

static enum err_code memory_acknowledge(void *self, const struct upload_id *id, uint16_t recipient,
					int64_t remember_until_s, uint16_t *left,
					struct dropped *out, struct err *e)
{
	struct memory *m = self;
	enum err_code rc;

	pthread_mutex_lock(&m->lock);
	rc = acknowledge_locked(m, id, recipient, remember_until_s, left, out, e);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static bool is_open(const struct held_upload *u)
{
	return !u->terminated && !u->rec->finished;
}

static enum err_code memory_next_open(void *self, const struct upload_id *after,
				      struct upload_id *out, struct err *e)
{
	struct memory *m = self;
	const struct held_upload *best = NULL;

	pthread_mutex_lock(&m->lock);
	for (const struct held_upload *u = m->uploads; u != NULL; u = u->hh.next)
		if (is_open(u) && (after == NULL || memcmp(&u->id, after, sizeof(*after)) > 0) &&
		    (best == NULL || memcmp(&u->id, &best->id, sizeof(u->id)) < 0))
			best = u;
	if (best != NULL)
		*out = best->id;
	pthread_mutex_unlock(&m->lock);
	return best != NULL ? ERR_OK : err_set(e, ERR_NOTFOUND, "no more unfinished uploads");
}

static enum err_code memory_bucket(void *self, const struct bucket_id *b, store_each *each,
				   void *ctx, struct err *e)
{
	struct memory *m = self;

	(void)e;
	pthread_mutex_lock(&m->lock);
	for (const struct held_upload *u = m->uploads; u != NULL; u = u->hh.next)
		if (!u->terminated && memcmp(&u->rec->bucket, b, sizeof(*b)) == 0)
			each(ctx, upload_weight(u->rec), u->rec->created_s);
	pthread_mutex_unlock(&m->lock);
	return ERR_OK;
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

static enum err_code memory_overdue(void *self, int64_t before_s, uint64_t max,
				    struct store_overdue *out, struct err *e)
{
	struct memory *m = self;
	struct store_overdue o = { 0 };
	const struct held_upload *held;
	const struct upload *u = NULL;

	(void)e;
	pthread_mutex_lock(&m->lock);
	for (uint64_t n = 0; n < max && (u = next_due(m, u, before_s)) != NULL; n++) {
		held = upload_find(m, &u->id);
		if (n == 0)
			o.oldest_s = u->expires_s;
		if (held->terminated)
			o.tombstones++;
		else
			overdue_add(&o, u);
	}
	pthread_mutex_unlock(&m->lock);
	*out = o;
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
	out->extents = calloc(b->extent_count + 1, sizeof(*out->extents));
	if (out->extents == NULL)
		return false;
	memcpy(out->extents, b->extents, b->extent_count * sizeof(*out->extents));
	out->extent_count = b->extent_count;
	out->digest = b->digest;
	out->size = b->size;
	return true;
}

static enum err_code memory_blob(void *self, const struct digest *d, struct blob *out,
				 struct err *e)
{
	struct memory *m = self;
	const struct held_blob *b;
	bool made = false;

	pthread_mutex_lock(&m->lock);
	b = blob_find(m, d);
	if (b != NULL)
		made = describe(b, out);
	pthread_mutex_unlock(&m->lock);
	if (b == NULL)
		return err_set(e, ERR_NOTFOUND, "no such blob");
	return made ? ERR_OK : err_set(e, ERR_NOMEM, "a blob's extents");
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
	.lookup_now = memory_lookup,
	.read_now = memory_read,
	.concat = memory_concat,
	.reuse = memory_reuse,
	.drop = memory_drop,
	.extend = memory_extend,
	.acknowledge = memory_acknowledge,
	.next_open = memory_next_open,
	.bucket = memory_bucket,
	.due = memory_due,
	.overdue = memory_overdue,
	.blob = memory_blob,
	.next_blob = memory_next_blob,
	.measure = memory_measure,
};
