#include "storage/engine.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct store {
	const struct engine *engine;
	void *self;
	atomic_uint_fast64_t stages, commits, concats, reuses, lookups, reads, drops, failures;
	atomic_uint_fast64_t bytes_staged, bytes_read, deduplicated;
};

struct writer {
	struct store *store;
	void *inner;           /* the engine's writer */
	uint64_t durable, end; /* upload offsets: committed, staged */
	bool failed, finished;
};

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Counts what an operator wants to hear of: not that something is absent, there already or
 * too much. */
static enum err_code counted(struct store *s, enum err_code rc)
{
	if (rc != ERR_OK && rc != ERR_NOTFOUND && rc != ERR_DELETED && rc != ERR_EXISTS &&
	    rc != ERR_OFFSET && rc != ERR_TOOBIG)
		count(&s->failures, 1);
	return rc;
}

static bool within_grid(uint64_t at, size_t len)
{
	return len <= CHUNK_MAX - at % CHUNK_MAX;
}

static const struct engine *find_engine(const char *name)
{
	for (size_t i = 0; engines[i] != NULL; i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}

enum err_code store_open(struct store **out, const char *engine, const struct store_options *opt,
			 struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	enum err_code rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "store");
	s->engine = find_engine(engine);
	if (s->engine == NULL) {
		rc = err_set(e, ERR_NOTFOUND, "no storage engine is named %s", engine);
		goto out;
	}
	rc = s->engine->open(&s->self, opt, e);
	if (rc != ERR_OK)
		goto out;
	*out = s;
	s = NULL;
out:
	free(s);
	return rc;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	s->engine->close(s->self);
	free(s);
}

/* ---- writing ---- */

static enum err_code start_writer(struct store *s, const struct upload *rec, bool fresh,
				  uint64_t expect, struct writer **out, struct err *e)
{
	struct writer *w = calloc(1, sizeof(*w));
	enum err_code rc;

	if (w == NULL)
		return err_set(e, ERR_NOMEM, "writer");
	rc = s->engine->write_open(s->self, rec, fresh, expect, &w->inner, e);
	if (rc != ERR_OK)
		goto out;
	w->store = s;
	w->durable = w->end = rec->offset;
	*out = w;
	w = NULL;
out:
	free(w);
	return rc;
}

static enum err_code check_meta(const struct upload *rec, struct err *e)
{
	if (rec->meta.len > STORE_META_MAX)
		return err_set(e, ERR_TOOBIG, "metadata of %zu bytes", rec->meta.len);
	return ERR_OK;
}

enum err_code store_create(struct store *s, const struct upload *rec, uint64_t expect,
			   struct writer **out, struct err *e)
{
	struct upload fresh = *rec;
	enum err_code rc = check_meta(rec, e);

	assert(rec->offset == 0 && !rec->finished && rec->expires_s >= 0);
	if (rc != ERR_OK)
		return rc;
	fresh.extent_count = 0;
	fresh.extents = NULL;
	return counted(s, start_writer(s, &fresh, true, expect, out, e));
}

static enum err_code check_appendable(const struct upload *rec, uint64_t offset, struct err *e)
{
	if (rec->finished)
		return err_set(e, ERR_EXISTS, "append to a finished upload");
	if (rec->offset != offset)
		return err_set(e, ERR_OFFSET, "append at %llu, durable are %llu",
			       (unsigned long long)offset, (unsigned long long)rec->offset);
	return ERR_OK;
}

enum err_code store_append(struct store *s, const struct upload_id *id, uint64_t offset,
			   uint64_t expect, struct writer **out, struct err *e)
{
	struct upload *rec = NULL;
	enum err_code rc;

	rc = store_lookup(s, id, &rec, e);
	if (rc != ERR_OK)
		return rc;
	rc = check_appendable(rec, offset, e);
	if (rc == ERR_OK)
		rc = counted(s, start_writer(s, rec, false, expect, out, e));
	upload_free(rec);
	return rc;
}

enum err_code writer_stage(struct writer *w, struct bytes data, struct err *e)
{
	struct store *s = w->store;
	enum err_code rc;

	assert(!w->failed && !w->finished);
	assert(data.len > 0 && within_grid(w->end, data.len));
	count(&s->stages, 1);
	rc = counted(s, s->engine->stage(s->self, w->inner, data, e));
	w->failed = rc != ERR_OK;
	if (rc != ERR_OK)
		return rc;
	w->end += data.len;
	count(&s->bytes_staged, data.len);
	return rc;
}

enum err_code writer_commit(struct writer *w, const struct commit *c, struct upload **rec,
			    struct err *e)
{
	struct store *s = w->store;
	bool deduplicated = false;
	enum err_code rc;

	assert(!w->failed && !w->finished && within_grid(w->end, c->tail.len));
	assert(c->digest != NULL || c->midstate != NULL);
	assert(c->expires_s >= 0);
	count(&s->commits, 1);
	rc = counted(s, s->engine->commit(s->self, w->inner, c, &deduplicated, rec, e));
	w->failed = rc != ERR_OK;
	if (rc != ERR_OK)
		return rc;
	w->end += c->tail.len;
	w->durable = w->end;
	w->finished = c->digest != NULL;
	count(&s->bytes_staged, c->tail.len);
	count(&s->deduplicated, deduplicated);
	return rc;
}

uint64_t writer_durable(const struct writer *w)
{
	return w->durable;
}

void writer_close(struct writer *w)
{
	if (w == NULL)
		return;
	w->store->engine->write_close(w->store->self, w->inner);
	free(w);
}

static enum err_code concat(struct store *s, const struct upload *rec, bool fresh,
			    const struct upload_id *parts, size_t part_count,
			    const struct digest *digest, uint64_t length, struct upload **out,
			    struct err *e)
{
	struct upload final = *rec;
	bool deduplicated = false;
	enum err_code rc = check_meta(rec, e);

	assert(rec->offset == 0 && !rec->finished && rec->expires_s >= 0);
	if (rc == ERR_OK && part_count > STORE_PARTS_MAX)
		rc = err_set(e, ERR_TOOBIG, "a concatenation of %zu parts", part_count);
	if (rc != ERR_OK)
		return rc;
	final.finished = true;
	final.digest = *digest;
	final.offset = final.length = length;
	final.extent_count = 0;
	final.extents = NULL;
	count(&s->concats, 1);
	rc = counted(s, s->engine->concat(s->self, &final, fresh, parts, part_count, &deduplicated,
					  out, e));
	count(&s->deduplicated, rc == ERR_OK && deduplicated);
	return rc;
}

enum err_code store_concat(struct store *s, const struct upload *rec, const struct upload_id *parts,
			   size_t part_count, const struct digest *digest, uint64_t length,
			   struct upload **out, struct err *e)
{
	return concat(s, rec, true, parts, part_count, digest, length, out, e);
}

enum err_code store_complete(struct store *s, const struct upload *rec,
			     const struct upload_id *parts, size_t part_count,
			     const struct digest *digest, uint64_t length, struct upload **out,
			     struct err *e)
{
	return concat(s, rec, false, parts, part_count, digest, length, out, e);
}

static bool same_beginning(const struct upload *a, const struct upload *b)
{
	return a->created_s == b->created_s && a->meta.len == b->meta.len &&
	       (a->meta.len == 0 || memcmp(a->meta.data, b->meta.data, a->meta.len) == 0) &&
	       memcmp(&a->bucket, &b->bucket, sizeof(a->bucket)) == 0;
}

enum err_code check_final(const struct upload *there, const struct upload *rec, bool fresh,
			  struct err *e)
{
	if (there == NULL)
		return fresh ? ERR_OK : err_set(e, ERR_NOTFOUND, "the upload is not there");
	if (fresh || there->finished || there->offset > 0 || !same_beginning(there, rec))
		return err_set(e, ERR_EXISTS, "an upload of that id is there");
	return ERR_OK;
}

enum err_code store_reuse(struct store *s, const struct upload *rec, const struct digest *digest,
			  struct upload **out, struct err *e)
{
	struct upload final = *rec;
	enum err_code rc = check_meta(rec, e);

	assert(rec->offset == 0 && !rec->finished && rec->expires_s >= 0);
	if (rc != ERR_OK)
		return rc;
	final.finished = true;
	final.digest = *digest;
	final.extent_count = 0;
	final.extents = NULL;
	count(&s->reuses, 1);
	return counted(s, s->engine->reuse(s->self, &final, out, e));
}

/* ---- records ---- */

struct upload *upload_clone(const struct upload *u)
{
	size_t extents = u->extent_count * sizeof(*u->extents);
	struct upload *c = malloc(sizeof(*c) + extents + u->meta.len);
	uint8_t *rest;

	if (c == NULL)
		return NULL;
	rest = (uint8_t *)(c + 1);
	*c = *u;
	c->extents = NULL;
	c->meta.data = NULL;
	if (extents > 0)
		c->extents = memcpy(rest, u->extents, extents);
	if (u->meta.len > 0)
		c->meta.data = memcpy(rest + extents, u->meta.data, u->meta.len);
	return c;
}

uint64_t upload_weight(const struct upload *u)
{
	return u->finished || u->length == UPLOAD_LENGTH_UNKNOWN ? u->offset : u->length;
}

bool bucket_given(const struct bucket_id *b)
{
	static const struct bucket_id none;

	return memcmp(b, &none, sizeof(none)) != 0;
}

void upload_free(struct upload *u)
{
	free(u);
}

enum err_code store_lookup(struct store *s, const struct upload_id *id, struct upload **out,
			   struct err *e)
{
	count(&s->lookups, 1);
	return counted(s, s->engine->lookup(s->self, id, out, e));
}

/* One that has to be waited for is counted then. */
enum err_code store_lookup_now(struct store *s, const struct upload_id *id, struct upload **out,
			       struct err *e)
{
	enum err_code rc = ERR_BUSY;

	if (s->engine->lookup_now != NULL)
		rc = s->engine->lookup_now(s->self, id, out, e);
	if (rc == ERR_BUSY)
		return rc;
	count(&s->lookups, 1);
	return counted(s, rc);
}

/* Counts a read, which gave so much. */
static enum err_code was_read(struct store *s, const struct extent *x, uint64_t at,
			      struct chunk *const *out, enum err_code rc)
{
	count(&s->reads, 1);
	if (rc != ERR_OK)
		return counted(s, rc);
	assert((*out)->len > 0 && (*out)->len <= x->length - (at - x->start));
	assert(within_grid(at, (*out)->len));
	count(&s->bytes_read, (*out)->len);
	return ERR_OK;
}

enum err_code store_read(struct store *s, const struct extent *x, uint64_t at, struct chunk **out,
			 struct err *e)
{
	enum err_code rc;

	assert(at >= x->start && at - x->start < x->length);
	rc = s->engine->read(s->self, x, at, out, e);
	return was_read(s, x, at, out, rc);
}

enum err_code store_read_now(struct store *s, const struct extent *x, uint64_t at,
			     struct chunk **out, struct err *e)
{
	enum err_code rc = ERR_BUSY;

	assert(at >= x->start && at - x->start < x->length);
	if (s->engine->read_now != NULL)
		rc = s->engine->read_now(s->self, x, at, out, e);
	return rc == ERR_BUSY ? rc : was_read(s, x, at, out, rc);
}

enum err_code dropping_due(const struct dropping *d, int64_t date_s, struct err *e)
{
	if (d->expired && date_s > d->due_s)
		return err_set(e, ERR_EXISTS, "it is not due");
	return ERR_OK;
}

int64_t dropping_until(const struct dropping *d, const struct upload *u)
{
	const bool spent = u->spent_until_s != 0 && !(d->expired && u->spent_until_s <= d->due_s);

	return spent && u->spent_until_s > d->remember_until_s ? u->spent_until_s
							       : d->remember_until_s;
}

static enum err_code drop(struct store *s, const struct upload_id *id, struct dropping d,
			  struct dropped *out, struct err *e)
{
	enum err_code rc;

	count(&s->drops, 1);
	rc = counted(s, s->engine->drop(s->self, id, &d, e));
	if (rc == ERR_OK && out != NULL)
		*out = d.gone;
	return rc;
}

enum err_code store_drop(struct store *s, const struct upload_id *id, struct dropped *out,
			 struct err *e)
{
	return drop(s, id, (struct dropping){ .remember_until_s = 0 }, out, e);
}

enum err_code store_terminate(struct store *s, const struct upload_id *id, int64_t until_s,
			      struct dropped *out, struct err *e)
{
	assert(until_s > 0);
	return drop(s, id, (struct dropping){ .remember_until_s = until_s }, out, e);
}

enum err_code store_expire(struct store *s, const struct upload_id *id, int64_t due_s,
			   struct dropped *out, struct err *e)
{
	return drop(s, id, (struct dropping){ .expired = true, .due_s = due_s }, out, e);
}

enum err_code store_extend(struct store *s, const struct upload_id *id, int64_t expires_s,
			   struct err *e)
{
	assert(expires_s >= 0);
	return counted(s, s->engine->extend(s->self, id, expires_s, e));
}

enum err_code store_acknowledge(struct store *s, const struct upload_id *id, uint16_t recipient,
				int64_t until_s, uint16_t *left, struct dropped *out, struct err *e)
{
	struct dropped gone;

	assert(until_s > 0);
	if (recipient == 0 || recipient > STORE_RECIPIENTS_MAX)
		return err_set(e, ERR_INVALID, "no recipient has number %u", recipient);
	return counted(s, s->engine->acknowledge(s->self, id, recipient, until_s, left,
						 out != NULL ? out : &gone, e));
}

enum err_code store_next_open(struct store *s, const struct upload_id *after, struct upload_id *out,
			      struct err *e)
{
	return counted(s, s->engine->next_open(s->self, after, out, e));
}

enum err_code store_bucket(struct store *s, const struct bucket_id *b, store_each *each, void *ctx,
			   struct err *e)
{
	if (!bucket_given(b))
		return ERR_OK;
	return counted(s, s->engine->bucket(s->self, b, each, ctx, e));
}

enum err_code store_due(struct store *s, int64_t now, struct upload_id *ids, size_t max, size_t *n,
			struct err *e)
{
	return counted(s, s->engine->due(s->self, now, ids, max, n, e));
}

enum err_code store_overdue(struct store *s, int64_t before_s, uint64_t max,
			    struct store_overdue *out, struct err *e)
{
	return counted(s, s->engine->overdue(s->self, before_s, max, out, e));
}

void overdue_add(struct store_overdue *o, const struct upload *u)
{
	o->bytes += u->offset;
	if (u->finished)
		o->finished++;
	else
		o->unfinished++;
}

enum err_code store_blob(struct store *s, const struct digest *d, struct blob *out, struct err *e)
{
	return counted(s, s->engine->blob(s->self, d, out, e));
}

enum err_code store_next_blob(struct store *s, const struct digest *after, struct blob *out,
			      struct err *e)
{
	return counted(s, s->engine->next_blob(s->self, after, out, e));
}

enum err_code store_snapshot(struct store *s, const char *dir, struct err *e)
{
	if (s->engine->snapshot == NULL)
		return err_set(e, ERR_INVALID, "%s makes no snapshots", s->engine->name);
	return counted(s, s->engine->snapshot(s->self, dir, e));
}

enum err_code store_give_back(struct store *s, uint64_t budget_ms, struct err *e)
{
	if (s->engine->give_back == NULL)
		return ERR_OK;
	return counted(s, s->engine->give_back(s->self, budget_ms, e));
}

void store_hurry(struct store *s)
{
	if (s->engine->hurry != NULL)
		s->engine->hurry(s->self);
}

void store_stats(struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.stages = s->stages,
		.commits = s->commits,
		.concats = s->concats,
		.reuses = s->reuses,
		.lookups = s->lookups,
		.reads = s->reads,
		.drops = s->drops,
		.failures = s->failures,
		.bytes_staged = s->bytes_staged,
		.bytes_read = s->bytes_read,
		.deduplicated = s->deduplicated,
	};
	s->engine->measure(s->self, out);
}
