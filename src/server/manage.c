#include "server/manage.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/problem.h"
#include "server/retire.h"
#include "server/server.h"
#include "server/target.h"

struct removal {
	struct target target;
	struct reply *(*refusal)(enum err_code rc);
	struct job job;
	bool told; /* a worker has been told to drop it */
	enum err_code rc;
};

enum err_code manage_terminate(const struct request *req, const struct upload *u)
{
	const int64_t until = clock_now_s() + (int64_t)request_settings(req)->upload_ttl_unfinished;
	struct err e = { 0 };
	enum err_code rc = retire(request_server(req), u, until, &e);

	if (rc == ERR_DELETED || rc == ERR_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc != ERR_OK)
		log_warn("event=delete_failed error=\"%s\"", e.why);
	return rc;
}

static void drop(struct job *job)
{
	struct removal *x = JOB_OWNER(job, struct removal, job);

	x->rc = manage_terminate(x->target.req, x->target.rec);
	request_wake(x->target.req);
}

static enum http_next hand_over(struct removal *x)
{
	x->told = true;
	x->job.run = drop;
	request_wait(x->target.req);
	workers_submit(request_server(x->target.req)->writers, &x->job);
	return HTTP_WAIT;
}

static enum http_next next(struct removal *x)
{
	struct request *req = x->target.req;
	enum http_next step;

	if (x->told) {
		target_fini(&x->target); /* whatever its client does with the answer */
		return request_reply(req, x->rc == ERR_OK ? reply_new(204) : problem_of(x->rc));
	}
	step = target_find(&x->target);
	if (step != HTTP_GO)
		return step;
	if (x->target.rc != ERR_OK)
		return request_reply(req, x->refusal(x->target.rc));
	return hand_over(x);
}

/* On the fetch path there is one answer to whatever is not there. */
static struct reply *not_found(enum err_code rc)
{
	return problem_of(rc == ERR_EXPIRED ? ERR_NOTFOUND : rc);
}

static enum http_next start(struct request *req, enum token_type type)
{
	struct reply *(*refusal)(enum err_code) = type == TOKEN_UPLOAD ? target_problem : not_found;
	struct target t = { .req = NULL };
	enum err_code rc = target_check(&t, req, type);
	struct removal *x;

	if (rc != ERR_OK)
		return request_reply(req, refusal(rc));
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	x->target = t;
	x->refusal = refusal;
	request_set_ctx(req, x);
	return next(x);
}

static enum http_next head(struct request *req)
{
	struct removal *x = request_ctx(req);

	return x == NULL ? start(req, TOKEN_MANAGE) : next(x);
}

static enum http_next head_upload(struct request *req)
{
	struct removal *x = request_ctx(req);

	return x == NULL ? start(req, TOKEN_UPLOAD) : next(x);
}

static void gone(struct request *req)
{
	struct removal *x = request_ctx(req);

	target_fini(&x->target);
	free(x);
}

const struct handler manage_delete_handler = { .head = head, .gone = gone };
const struct handler manage_delete_upload_handler = { .head = head_upload, .gone = gone };
