#include "server/finals_inside.h"

#include "base/clock.h"
#include "server/census.h"
#include "server/live.h"
#include "server/meter.h"
#include "server/metrics.h"
#include "server/running.h"
#include "server/server.h"

/* ---- what its parts are together ---- */

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

/* ---- putting it together ---- */

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
		live_finish(f->server->live, &rec->id, sum->length);
		running_finished(f->server->running, &rec->id, whole.expires_s);
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

enum err_code finals_put_together(struct finals *f, const struct upload *rec, bool fresh,
				  const struct details *d, struct upload **out,
				  struct quota_refusal *why, struct err *e)
{
	struct sum_of_parts sum;
	enum err_code rc = look_at_parts(f, d, fresh, &sum, e);

	if (rc != ERR_OK || !sum.finished)
		return rc;
	return charge_and_join(f, rec, fresh, d, &sum, out, why, e);
}
