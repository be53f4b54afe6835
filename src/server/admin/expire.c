/* What is due: /admin/expire drops it, or only counts it; /admin/check says whether any is left. */
#include "server/admin/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/num.h"
#include "server/admin/errand.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/sweep.h"
#include "wire/query.h"

/* For giving space back, where no time is given. */
#define GIVE_BACK_MS 10000

struct expire {
	struct errand errand;
	bool dry;
	struct sweep_budget budget;
};

/* ---- what is asked ---- */

static bool read_budget(const char *v, struct sweep_budget *out)
{
	const size_t n = strlen(v);
	uint64_t seconds;

	if (num_u64(v, n, UINT32_MAX, &out->count))
		return out->count > 0;
	if (!num_duration(v, n, UINT32_MAX, &seconds) || seconds == 0)
		return false;
	out->ms = seconds * 1000;
	return true;
}

static bool read_query(const char *text, struct expire *x)
{
	struct query q = { 0 };

	if (text != NULL && query_parse(&q, text, strlen(text)) != ERR_OK)
		return false;
	for (size_t i = 0; i < q.count; i++) {
		const char *name = q.pairs[i].name, *v = q.pairs[i].value;

		if (strcmp(name, "dry_run") == 0 && (strcmp(v, "1") == 0 || strcmp(v, "0") == 0))
			x->dry = v[0] == '1';
		else if (strcmp(name, "budget") != 0 || !read_budget(v, &x->budget))
			return false;
	}
	return true;
}

/* ---- dropping ---- */

static json_t *result_json(const struct sweep_result *r, uint64_t before, uint64_t after)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:I, s:I}", "uploads",
			 (json_int_t)r->uploads, "unfinished", (json_int_t)r->unfinished, "grants",
			 (json_int_t)r->grants, "blobs", (json_int_t)r->blobs, "bytes",
			 (json_int_t)r->bytes, "segments", (json_int_t)r->segments, "busy",
			 (json_int_t)r->busy, "more", r->more, "seconds", (double)r->ms / 1000,
			 "disk_before", (json_int_t)before, "disk_after", (json_int_t)after);
}

static uint64_t disk_of_store(const struct server *s)
{
	char dir[4096];

	(void)snprintf(dir, sizeof(dir), "%s/store", server_settings(s)->data_dir);
	return disk_use(dir).allocated;
}

static struct reply *failed(enum err_code rc)
{
	return problem_reply(rc == ERR_NOMEM ? 503 : 500, "store-failed",
			     "The store failed; what was dropped before stays dropped. The log "
			     "has more.");
}

/* Files of what was dropped that could not be removed yet. */
static uint64_t segments_left(struct server *s)
{
	struct store_overdue o;

	return store_overdue(s->store, 0, 0, &o, NULL) == ERR_OK ? o.segments : 0;
}

/* What was dropped, by the server's own sweeps too, leaves the disk now, and not by and by, as far
 * as the time allows. */
static void give_back(struct server *s, const struct sweep_budget *budget, struct sweep_result *r)
{
	const uint64_t left = segments_left(s), given = budget->ms == 0 ? GIVE_BACK_MS : budget->ms;
	const int64_t began_ms = clock_mono_ms();
	struct err err = { 0 };
	uint64_t now_left;

	if (r->ms >= given)
		return;
	if (store_give_back(s->store, given - r->ms, &err) != ERR_OK)
		log_warn("event=give_back_failed error=\"%s\"", err.why);
	now_left = segments_left(s);
	r->segments = left > now_left ? left - now_left : 0;
	r->ms += (uint64_t)(clock_mono_ms() - began_ms);
}

/* That took time, in which nobody swept: who asked for no budget finds nothing due when it is over.
 */
static enum err_code sweep_rest(struct server *s, int64_t swept_s,
				const struct sweep_budget *budget, struct sweep_result *r,
				struct err *e)
{
	const int64_t now = clock_now_s();
	struct sweep_result more;
	enum err_code rc;

	if (now == swept_s || budget->count != 0 || budget->ms != 0)
		return ERR_OK;
	rc = sweep_run(s->sweeper, now, budget, &more, e);
	r->uploads += more.uploads;
	r->unfinished += more.unfinished;
	r->grants += more.grants;
	r->blobs += more.blobs;
	r->bytes += more.bytes;
	r->ms += more.ms;
	r->busy = more.busy;
	r->more = more.more;
	return rc;
}

static struct reply *drop_work(struct errand *e)
{
	const struct expire *x = (const struct expire *)e;
	struct server *s = e->server;
	const uint64_t before = disk_of_store(s);
	const int64_t now = clock_now_s();
	struct sweep_result r;
	struct err err = { 0 };
	enum err_code rc = sweep_run(s->sweeper, now, &x->budget, &r, &err);

	if (rc == ERR_OK) {
		give_back(s, &x->budget, &r);
		rc = sweep_rest(s, now, &x->budget, &r, &err);
	}
	sweeper_done(s->sweeper);
	return rc != ERR_OK ? failed(rc)
			    : errand_json(200, result_json(&r, before, disk_of_store(s)));
}

static void to_sweeper(struct server *s, struct job *job)
{
	sweeper_submit(s->sweeper, job);
}

/* ---- only counting ---- */

/* How many of them are within the budget, a number; a time cannot be told beforehand. */
static struct reply *count_work(struct errand *e)
{
	const struct expire *x = (const struct expire *)e;
	const int64_t now = clock_now_s(), began_ms = clock_mono_ms();
	const uint64_t max = x->budget.count == 0 ? UINT64_MAX : x->budget.count;
	const uint64_t disk = disk_of_store(e->server);
	struct sweep_result r = { 0 };
	struct err err = { 0 };
	struct store_overdue due;
	struct store_overdue all;
	enum err_code rc = store_overdue(e->server->store, now, max, &due, &err);

	all = due;
	if (rc == ERR_OK && max != UINT64_MAX)
		rc = store_overdue(e->server->store, now, max + 1, &all, &err);
	if (rc != ERR_OK) {
		log_warn("event=check_failed error=\"%s\"", err.why);
		return failed(rc);
	}
	r.uploads = due.finished;
	r.unfinished = due.unfinished;
	r.grants = due.tombstones;
	r.bytes = due.bytes;
	r.segments = due.segments;
	r.more = all.finished + all.unfinished + all.tombstones >
		 due.finished + due.unfinished + due.tombstones;
	r.ms = (uint64_t)(clock_mono_ms() - began_ms);
	return errand_json(200, result_json(&r, disk, disk));
}

static enum http_next expire(struct request *req)
{
	struct expire *x;

	if (request_ctx(req) != NULL)
		return errand_answer(req);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	if (read_query(request_query(req), x))
		return errand_start(&x->errand, req, x->dry ? count_work : drop_work,
				    x->dry ? errand_to_operator : to_sweeper);
	free(x);
	return request_reply(req, problem_reply(400, NULL,
						"dry_run is 1 or 0; budget is a number, or a time "
						"such as 30s."));
}

/* ---- checking ---- */

struct check {
	struct errand errand;
	uint64_t older_s; /* what is due for no longer than that is left out */
};

static bool read_older(const char *text, struct check *c)
{
	struct query q = { 0 };

	if (text != NULL && query_parse(&q, text, strlen(text)) != ERR_OK)
		return false;
	for (size_t i = 0; i < q.count; i++)
		if (strcmp(q.pairs[i].name, "older") != 0 ||
		    !num_duration(q.pairs[i].value, strlen(q.pairs[i].value), UINT32_MAX,
				  &c->older_s))
			return false;
	return true;
}

static struct reply *check_work(struct errand *e)
{
	const struct check *c = (const struct check *)e;
	const int64_t now = clock_now_s();
	struct store_overdue due;
	struct err err = { 0 };
	/* in this second it may still be dropped in time */
	enum err_code rc = store_overdue(e->server->store, now - 1 - (int64_t)c->older_s,
					 UINT64_MAX, &due, &err);

	if (rc != ERR_OK) {
		log_warn("event=check_failed error=\"%s\"", err.why);
		return failed(rc);
	}
	return errand_json(
		200,
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "overdue", (json_int_t)due.finished,
			  "unfinished", (json_int_t)due.unfinished, "grants",
			  (json_int_t)due.tombstones, "segments", (json_int_t)due.segments,
			  "oldest_s", (json_int_t)(due.oldest_s == 0 ? 0 : now - due.oldest_s)));
}

static enum http_next check(struct request *req)
{
	struct check *c;

	if (request_ctx(req) != NULL)
		return errand_answer(req);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return HTTP_CUT;
	if (read_older(request_query(req), c))
		return errand_start(&c->errand, req, check_work, errand_to_operator);
	free(c);
	return request_reply(req, problem_reply(400, NULL, "older is a time such as 5min."));
}

const struct handler admin_expire_handler = { .head = expire, .gone = errand_gone };
const struct handler admin_check_handler = { .head = check, .gone = errand_gone };
