#include "server/finals_inside.h"

#include <stdlib.h>

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/census.h"
#include "server/metrics.h"
#include "server/retire.h"
#include "server/server.h"

/* Requests for finals that wait at once; more are answered 503. */
#define ASKED_MAX 64

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

/* ---- waiting ---- */

static void give_up(struct finals *f, const struct upload *rec)
{
	struct err e = { 0 };

	if (retire(f->server, rec, 0, &e) != ERR_OK)
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
		rc = finals_put_together(f, rec, false, &d, &out, &why, &e);
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
		finals_forget(f, w);
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
	struct part *p = finals_find_part(f, id);
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
	w = finals_find_waiting(f, id);
	if (w != NULL)
		finals_forget(f, w);
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
	w = finals_find_waiting(f, id);
	if (w != NULL)
		look_at(f, w); /* the store may have failed the last time */
	needed = finals_find_part(f, id) != NULL;
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
	w = finals_remember(f, &rec->id, d->parts, d->part_count);
	if (w != NULL)
		look_at(f, w); /* the last part may have been finished since we looked */
	pthread_mutex_unlock(&f->lock);
	if (w != NULL)
		return ERR_OK;
	upload_free(*out);
	*out = NULL;
	(void)store_drop(f->server->store, &rec->id, NULL, NULL);
	return err_set(e, ERR_NOMEM, "a final");
}

enum err_code finals_make(struct finals *f, const struct upload *rec, struct upload **out,
			  struct quota_refusal *why, struct err *e)
{
	struct details d;
	enum err_code rc = details_decode(&d, rec->meta, e);

	*out = NULL;
	if (rc == ERR_OK)
		rc = finals_put_together(f, rec, true, &d, out, why, e);
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
		w = finals_remember(f, id, d.parts, d.part_count);
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
		finals_forget(f, w);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
