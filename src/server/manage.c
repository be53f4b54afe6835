#include "server/manage.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/token.h"

struct removal {
	struct request *req;
	struct job job;
	struct upload_id id;
	enum err_code rc;
};

static void drop(struct job *job)
{
	struct removal *x = (struct removal *)((char *)job - offsetof(struct removal, job));
	struct server *s = request_server(x->req);
	struct err e = { 0 };

	x->rc = store_drop(s->store, &x->id, &e);
	media_forget(s->media, &x->id);
	if (x->rc != ERR_OK && x->rc != ERR_NOTFOUND)
		log_warn("event=delete_failed error=\"%s\"", e.why);
	request_wake(x->req);
}

static enum http_next start(struct request *req, enum token_type type)
{
	struct server *s = request_server(req);
	struct removal *x;
	struct token t;
	size_t n;
	const char *text = request_param(req, &n);

	if (token_verify(&t, text, n, type, clock_now_s(), keys_find, server_keys(s)) != ERR_OK)
		return request_reply(req, problem_not_found());
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	x->req = req;
	x->id = t.upload;
	x->job.run = drop;
	request_set_ctx(req, x);
	request_wait(req);
	workers_submit(s->writers, &x->job);
	return HTTP_WAIT;
}

static enum http_next finish(struct request *req, const struct removal *x)
{
	return request_reply(req, x->rc == ERR_OK ? reply_new(204) : problem_of(x->rc));
}

static enum http_next head(struct request *req)
{
	struct removal *x = request_ctx(req);

	return x == NULL ? start(req, TOKEN_MANAGE) : finish(req, x);
}

static enum http_next head_upload(struct request *req)
{
	struct removal *x = request_ctx(req);

	return x == NULL ? start(req, TOKEN_UPLOAD) : finish(req, x);
}

static void gone(struct request *req)
{
	free(request_ctx(req));
}

const struct handler manage_delete_handler = { .head = head, .gone = gone };
const struct handler manage_delete_upload_handler = { .head = head_upload, .gone = gone };
