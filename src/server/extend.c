#include "server/extend.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "server/answer.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/target.h"
#include "wire/query.h"

struct extension {
	struct target target;
	uint64_t ttl_s;
	struct job job;
	bool told; /* a worker has been */
	int64_t expires_s;
	enum err_code rc;
};

/* Never earlier than it was, nor later than its tokens last, its grant allowed, or the server keeps
 * anything. */
static int64_t new_end(const struct extension *x)
{
	const struct settings *set = request_settings(x->target.req);
	const int64_t was = x->target.rec->expires_s;
	uint64_t ttl = x->ttl_s < set->upload_ttl_max ? x->ttl_s : set->upload_ttl_max;
	const uint64_t granted = x->target.details.ttl_max_s;
	int64_t end = clock_now_s() + (int64_t)ttl;

	if (granted != 0 && end > x->target.rec->created_s + (int64_t)granted)
		end = x->target.rec->created_s + (int64_t)granted;
	if (end > x->target.not_after)
		end = x->target.not_after;
	return end > was ? end : was;
}

static void extend(struct job *job)
{
	struct extension *x = JOB_OWNER(job, struct extension, job);
	struct server *s = request_server(x->target.req);
	struct err e = { 0 };

	x->expires_s = new_end(x);
	x->rc = store_extend(s->store, &x->target.id, x->expires_s, &e);
	media_forget(s->media, &x->target.id);
	if (x->rc != ERR_OK && x->rc != ERR_NOTFOUND && x->rc != ERR_DELETED)
		log_warn("event=extend_failed error=\"%s\"", e.why);
	request_wake(x->target.req);
}

static enum http_next hand_over(struct extension *x)
{
	x->told = true;
	x->job.run = extend;
	request_wait(x->target.req);
	workers_submit(request_server(x->target.req)->writers, &x->job);
	return HTTP_WAIT;
}

static enum http_next next(struct extension *x)
{
	struct request *req = x->target.req;
	enum http_next step;
	enum err_code rc;

	if (x->told) {
		target_fini(&x->target); /* whatever its client does with the answer */
		return request_reply(req, x->rc == ERR_OK ? answer_end(x->expires_s)
							  : problem_of(x->rc));
	}
	step = target_find(&x->target);
	if (step != HTTP_GO)
		return step;
	rc = x->target.rc;
	if (rc == ERR_EXPIRED)
		rc = ERR_NOTFOUND;
	if (rc != ERR_OK)
		return request_reply(req, problem_of(rc));
	if (!x->target.rec->finished)
		return request_reply(req, problem_reply(409, NULL, "It has not arrived yet."));
	return hand_over(x);
}

static bool read_ttl(const char *text, uint64_t *ttl_s)
{
	struct query q = { 0 };
	const char *v = NULL;

	if (text == NULL || query_parse(&q, text, strlen(text)) != ERR_OK || q.count != 1)
		return false;
	v = query_get(&q, "ttl");
	return v != NULL && num_duration(v, strlen(v), UINT32_MAX, ttl_s) && *ttl_s > 0;
}

static enum http_next start(struct request *req)
{
	struct target t = { .req = NULL };
	enum err_code rc = target_check(&t, req, TOKEN_MANAGE);
	struct extension *x;
	uint64_t ttl_s;

	if (rc != ERR_OK)
		return request_reply(req, problem_not_found());
	if (!read_ttl(request_query(req), &ttl_s))
		return request_reply(
			req, problem_reply(400, NULL, "ttl is a time such as 3600, 12h or 7d."));
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	x->target = t;
	x->ttl_s = ttl_s;
	request_set_ctx(req, x);
	return next(x);
}

static enum http_next head(struct request *req)
{
	struct extension *x = request_ctx(req);

	return x == NULL ? start(req) : next(x);
}

static void gone(struct request *req)
{
	struct extension *x = request_ctx(req);

	target_fini(&x->target);
	free(x);
}

const struct handler extend_handler = { .head = head, .gone = gone };
