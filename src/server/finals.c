#include "server/finals.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/census.h"
#include "server/details.h"
#include "server/meter.h"
#include "server/metrics.h"
#include "server/retire.h"
#include "server/server.h"

/* Requests for finals that wait at once; more are answered 503. */
#define ASKED_MAX 64

/* That a final waits for a part; in the list of that part. */
struct need {
	struct waiting *of;
	struct part *part;
	struct need *prev, *next;
};

struct part {
	struct upload_id id;
	struct need *needs;
	UT_hash_handle hh;
};

/* A final that waits. */
struct waiting {
	struct finals *finals;
	struct upload_id id;
	struct job job;
	bool looked_at; /* by a worker, now or soon; then nobody else frees it */
	bool again;     /* something has happened meanwhile */
	bool failed;    /* the store did, the last time */
	bool over;
	UT_hash_handle hh;
	size_t count;
	struct need needs[];
};

struct finals {
	struct server *server;
	struct workers *joiner; /* one thread, so that hashing holds up nobody else's work */
	atomic_bool stopping;
	atomic_uint asked; /* finals that requests wait for */
	pthread_mutex_t lock;
	struct waiting *waiting;
	struct part *parts;
};

enum err_code finals_new(struct finals **out, struct server *server, struct err *e)
{
	struct finals *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return err_set(e, ERR_NOMEM, "finals");
	f->server = server;
	pthread_mutex_init(&f->lock, NULL);
	if (workers_new(&f->joiner, 1, "joiner", e) != ERR_OK) {
		finals_free(f);
		return err_set(e, ERR_NOMEM, "finals");
	}
	*out = f;
	return ERR_OK;
}

void finals_stop(struct finals *f)
{
	atomic_store(&f->stopping, true);
}

bool finals_submit(struct finals *f, struct job *job)
{
	if (atomic_fetch_add(&f->asked, 1) >= ASKED_MAX) {
		atomic_fetch_sub(&f->asked, 1);
		return false;
	}
	workers_submit(f->joiner, job);
	return true;
}

/* ---- who waits for whom; under lock ---- */

static struct waiting *find_waiting(struct finals *f, const struct upload_id *id)
{
	struct waiting *w;

	HASH_FIND(hh, f->waiting, id, sizeof(*id), w);
	return w;
}

static struct part *find_part(struct finals *f, const struct upload_id *id)
{
	struct part *p;

	HASH_FIND(hh, f->parts, id, sizeof(*id), p);
	return p;
}

static struct part *part_of(struct finals *f, const struct upload_id *id)
{
	struct part *p = find_part(f, id);

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

static void forget(struct finals *f, struct waiting *w)
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

static struct waiting *remember(struct finals *f, const struct upload_id *id,
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
	forget(f, w);
	return NULL;
}

/* ---- putting one together ---- */

static enum err_code hash_upload(struct finals *f, const struct upload *u, struct digester *d,
				 struct err *e)
{
	for (size_t i = 0; i < u->extent_count; i++) {
		const struct extent *x = &u->extents[i];

		for (uint64_t at = x->start; at < x->start + x->length;) {
			struct chunk *c = NULL;
			enum err_code rc;

			if (atomic_load(&f->stopping))
				return err_set(e, ERR_IO, "the server stops");
			rc = store_read(f->server->store, x, at, &c, e);
			if (rc != ERR_OK)
				return rc;
			digest_update(d, (struct bytes){ c->data, c->len });
			at += c->len;
			chunk_unref(c);
		}
	}
	return ERR_OK;
}

/* What the parts are together: whether all are finished, and if so how long they are, and their
 * digest. */
struct sum_of_parts {
	bool finished;
	uint64_t length;
	struct digest digest;
};

static enum err_code look_at_part(struct finals *f, const struct upload_id *id, struct upload **out,
				  struct err *e)
{
	struct details d;
	enum err_code rc = store_lookup(f->server->store, id, out, e);

	if (rc == ERR_OK)
		rc = details_decode(&d, (*out)->meta, e);
	if (rc == ERR_OK && d.role != ROLE_PARTIAL)
		rc = err_set(e, ERR_INVALID, "a part is not a partial upload");
	return rc == ERR_DELETED ? ERR_NOTFOUND : rc;
}

/* Of the host that it was made under, as they are by now; the server's, if that is none any more.
 */
static const struct settings *limits_of(struct finals *f, const struct details *d)
{
	const struct settings *all = server_settings(f->server);
	const struct settings *limits = settings_of_host(all, d->host);

	return limits != NULL ? limits : all;
}

/* fresh: parts whose time is over are not taken; a final that has waited keeps them. */
static enum err_code look_at_parts(struct finals *f, const struct details *d, bool fresh,
				   struct sum_of_parts *out, struct err *e)
{
	const int64_t alive_at = fresh ? clock_now_s() : 0;
	const uint64_t any = limits_of(f, d)->upload_max;
	const uint64_t max = d->max != 0 && d->max < any ? d->max : any;
	enum err_code rc = ERR_OK;

	*out = (struct sum_of_parts){ .finished = true };
	for (size_t i = 0; rc == ERR_OK && i < d->part_count; i++) {
		struct upload *u = NULL;

		rc = look_at_part(f, &d->parts[i], &u, e);
		if (rc == ERR_OK && u->expires_s <= alive_at)
			rc = err_set(e, ERR_NOTFOUND, "the time of a part is over");
		if (rc == ERR_OK) {
			out->finished = out->finished && u->finished;
			out->length += u->offset;
		}
		if (rc == ERR_OK && out->length > max)
			rc = err_set(e, ERR_TOOBIG, "the parts are more than it may have");
		upload_free(u);
	}
	return rc;
}

static enum err_code hash_parts(struct finals *f, const struct details *d, struct digest *out,
				struct err *e)
{
	struct digester digester;
	enum err_code rc = ERR_OK;

	digest_init(&digester);
	for (size_t i = 0; rc == ERR_OK && i < d->part_count; i++) {
		struct upload *u = NULL;

		rc = look_at_part(f, &d->parts[i], &u, e);
		if (rc == ERR_OK)
			rc = hash_upload(f, u, &digester, e);
		upload_free(u);
	}
	digest_final(&digester, out);
	return rc;
}

/* All parts are finished. A fresh one takes nobody's place. */
static enum err_code join(struct finals *f, const struct upload *rec, bool fresh,
			  const struct details *d, struct sum_of_parts *sum, struct upload **out,
			  struct err *e)
{
	enum err_code (*make)(struct store *, const struct upload *, const struct upload_id *,
			      size_t, const struct digest *, uint64_t, struct upload **,
			      struct err *) = fresh ? store_concat : store_complete;
	struct upload whole = *rec;
	enum err_code rc = hash_parts(f, d, &sum->digest, e);

	if (rc == ERR_OK && d->digest_given && !digest_equal(&sum->digest, &d->digest))
		rc = err_set(e, ERR_DIGEST, "not the digest announced");
	if (rc != ERR_OK)
		return rc;
	whole.expires_s = clock_now_s() + (int64_t)d->ttl_s;
	rc = make(f->server->store, &whole, d->parts, d->part_count, &sum->digest, sum->length, out,
		  e);
	if (rc == ERR_OK) {
		census_leave(f->server->census, &rec->id);
		metric_add(METRIC_UPLOADS, 1);
	}
	return rc;
}

/* It weighs as much as its parts together, beside them. */
static enum err_code charge_and_join(struct finals *f, const struct upload *rec, bool fresh,
				     const struct details *d, struct sum_of_parts *sum,
				     struct upload **out, struct quota_refusal *why, struct err *e)
{
	struct quota *q = f->server->quota;
	struct meter m;
	enum err_code rc = quota_load_and_hold(q, &rec->bucket, e);

	if (rc != ERR_OK)
		return rc;
	rc = meter_begin(&m, q, rec, sum->length, 0, limits_of(f, d), clock_mono_ms(), why);
	if (rc != ERR_OK)
		(void)err_set(e, rc, "the bucket has as much as it may");
	else
		rc = join(f, rec, fresh, d, sum, out, e);
	if (rc == ERR_OK)
		meter_stored(&m, sum->length);
	meter_end(&m);
	quota_let_go(q, &rec->bucket);
	return rc;
}

/* rec: of the final as long as it waits, or is to; fresh: it is not in the store yet. *out is left
 * alone while parts are missing. */
static enum err_code put_together(struct finals *f, const struct upload *rec, bool fresh,
				  const struct details *d, struct upload **out,
				  struct quota_refusal *why, struct err *e)
{
	struct sum_of_parts sum;
	enum err_code rc = look_at_parts(f, d, fresh, &sum, e);

	if (rc != ERR_OK || !sum.finished)
		return rc;
	return charge_and_join(f, rec, fresh, d, &sum, out, why, e);
}

/* ---- waiting ---- */

static void give_up(struct finals *f, const struct upload *rec)
{
	struct err e = { 0 };

	if (retire(f->server, rec, 0, RETIRE_DURABLE, NULL, &e) != ERR_OK)
		log_warn("event=concatenation_failed call=drop error=\"%s\"", e.why);
	census_leave(f->server->census, &rec->id);
	metric_add(METRIC_UPLOADS_FAILED, 1);
}

/* A store that fails may come round; a part that is gone or damaged does not. Nor does a bucket
 * that is full, while what waits keeps its parts in it. */
static bool is_hopeless(enum err_code rc)
{
	return rc == ERR_NOTFOUND || rc == ERR_INVALID || rc == ERR_DIGEST || rc == ERR_TOOBIG ||
	       rc == ERR_DAMAGED || rc == ERR_LIMIT;
}

/* True when it waits no more; *failed, whether it is to be tried again without anything happening.
 */
static bool try_one(struct finals *f, const struct upload_id *id, bool *failed)
{
	struct quota_refusal why;
	struct upload *rec = NULL, *out = NULL;
	struct details d;
	struct err e = { 0 };
	enum err_code rc = store_lookup(f->server->store, id, &rec, &e);
	bool done;

	if (rc == ERR_OK && !rec->finished)
		rc = details_decode(&d, rec->meta, &e);
	if (rc == ERR_OK && !rec->finished)
		rc = put_together(f, rec, false, &d, &out, &why, &e);
	done = rc == ERR_OK && (rec->finished || out != NULL);
	if (rc != ERR_OK)
		log_warn("event=concatenation_failed error=\"%s\"", e.why);
	if (is_hopeless(rc) && rec != NULL)
		give_up(f, rec);
	done = done || is_hopeless(rc) || rc == ERR_DELETED || rc == ERR_EXISTS;
	*failed = !done && rc != ERR_OK;
	upload_free(rec);
	upload_free(out);
	return done;
}

static void try_waiting(struct job *job)
{
	struct waiting *w = JOB_OWNER(job, struct waiting, job);
	struct finals *f = w->finals;
	bool failed, over = try_one(f, &w->id, &failed), again;

	pthread_mutex_lock(&f->lock);
	w->failed = failed;
	over = over || w->over;
	again = w->again && !over;
	w->again = false;
	w->looked_at = again;
	if (over && w->over)
		free(w);
	else if (over)
		forget(f, w);
	pthread_mutex_unlock(&f->lock);
	if (again)
		workers_submit(f->joiner, &w->job);
}

/* Under lock. */
static void look_at(struct finals *f, struct waiting *w)
{
	w->again = w->looked_at;
	if (w->looked_at)
		return;
	w->looked_at = true;
	w->job.run = try_waiting;
	workers_submit(f->joiner, &w->job);
}

/* Under lock. */
static void look_at_needs(struct finals *f, const struct upload_id *id)
{
	struct part *p = find_part(f, id);
	struct need *n;

	if (p != NULL)
		DL_FOREACH (p->needs, n)
			look_at(f, n->of);
}

void finals_finished(struct finals *f, const struct upload_id *id)
{
	pthread_mutex_lock(&f->lock);
	look_at_needs(f, id);
	pthread_mutex_unlock(&f->lock);
}

void finals_gone(struct finals *f, const struct upload_id *id)
{
	struct waiting *w;

	pthread_mutex_lock(&f->lock);
	w = find_waiting(f, id);
	if (w != NULL)
		forget(f, w);
	look_at_needs(f, id);
	pthread_mutex_unlock(&f->lock);
}

void finals_retry(struct finals *f)
{
	struct waiting *w, *next;

	pthread_mutex_lock(&f->lock);
	HASH_ITER (hh, f->waiting, w, next)
		if (w->failed)
			look_at(f, w);
	pthread_mutex_unlock(&f->lock);
}

static bool is_finished(struct finals *f, const struct upload_id *id)
{
	struct upload *u = NULL;
	bool finished = store_lookup(f->server->store, id, &u, NULL) == ERR_OK && u->finished;

	upload_free(u);
	return finished;
}

bool finals_need(struct finals *f, const struct upload_id *id)
{
	struct waiting *w;
	bool needed;

	pthread_mutex_lock(&f->lock);
	w = find_waiting(f, id);
	if (w != NULL)
		look_at(f, w); /* the store may have failed the last time */
	needed = find_part(f, id) != NULL;
	pthread_mutex_unlock(&f->lock);
	return w != NULL || (needed && is_finished(f, id));
}

/* ---- making ---- */

static enum err_code store_waiting(struct finals *f, const struct upload *rec, struct upload **out,
				   struct err *e)
{
	struct digester none;
	struct midstate m;
	const struct commit c = { .midstate = &m,
				  .length = UPLOAD_LENGTH_UNKNOWN,
				  .expires_s = rec->expires_s };
	struct writer *w;
	enum err_code rc = store_create(f->server->store, rec, 0, &w, e);

	if (rc != ERR_OK)
		return rc;
	digest_init(&none);
	digest_save(&none, &m);
	rc = writer_commit(w, &c, out, e);
	writer_close(w);
	return rc;
}

static enum err_code begin_waiting(struct finals *f, const struct upload *rec,
				   const struct details *d, struct upload **out, struct err *e)
{
	struct waiting *w;
	enum err_code rc = store_waiting(f, rec, out, e);

	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(&f->lock);
	w = remember(f, &rec->id, d->parts, d->part_count);
	if (w != NULL)
		look_at(f, w); /* the last part may have been finished since we looked */
	pthread_mutex_unlock(&f->lock);
	if (w != NULL)
		return ERR_OK;
	upload_free(*out);
	*out = NULL;
	(void)store_drop(f->server->store, &rec->id, NULL);
	return err_set(e, ERR_NOMEM, "a final");
}

enum err_code finals_make(struct finals *f, const struct upload *rec, struct upload **out,
			  struct quota_refusal *why, struct err *e)
{
	struct details d;
	enum err_code rc = details_decode(&d, rec->meta, e);

	*out = NULL;
	if (rc == ERR_OK)
		rc = put_together(f, rec, true, &d, out, why, e);
	if (rc == ERR_OK && *out == NULL)
		rc = begin_waiting(f, rec, &d, out, e);
	atomic_fetch_sub(&f->asked, 1);
	return rc;
}

/* ---- starting and ending ---- */

/* One that cannot be read must not keep the server from starting: it waits for nothing then. */
static enum err_code load_one(struct finals *f, const struct upload_id *id, struct err *e)
{
	struct upload *u = NULL;
	struct details d = { .role = ROLE_WHOLE };
	struct waiting *w = NULL;
	enum err_code rc;

	rc = census_add(f->server->census, id, e);
	if (rc != ERR_OK)
		return rc;
	rc = store_lookup(f->server->store, id, &u, e);
	if (rc == ERR_OK)
		rc = details_decode(&d, u->meta, e);
	if (rc != ERR_OK)
		log_warn("event=load_failed error=\"%s\"", e->why);
	rc = ERR_OK;
	if (d.role == ROLE_FINAL) {
		pthread_mutex_lock(&f->lock);
		w = remember(f, id, d.parts, d.part_count);
		if (w != NULL)
			look_at(f, w);
		pthread_mutex_unlock(&f->lock);
		rc = w == NULL ? err_set(e, ERR_NOMEM, "a final") : ERR_OK;
	}
	upload_free(u);
	return rc;
}

enum err_code finals_load(struct finals *f, struct err *e)
{
	struct upload_id id;
	enum err_code rc = store_next_open(f->server->store, NULL, &id, e);

	while (rc == ERR_OK) {
		rc = load_one(f, &id, e);
		if (rc == ERR_OK)
			rc = store_next_open(f->server->store, &id, &id, e);
	}
	return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

void finals_free(struct finals *f)
{
	struct waiting *w, *next;

	if (f == NULL)
		return;
	atomic_store(&f->stopping, true);
	workers_free(f->joiner);
	HASH_ITER (hh, f->waiting, w, next)
		forget(f, w);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
