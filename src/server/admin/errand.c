#include "server/admin/errand.h"

#include <stdlib.h>
#include <string.h>

#include "server/server.h"

static void run(struct job *job)
{
	struct errand *x = JOB_OWNER(job, struct errand, job);

	x->reply = x->work(x);
	request_wake(x->req);
}

enum http_next errand_start(struct errand *x, struct request *req, errand_work *work,
			    void (*submit)(struct server *s, struct job *job))
{
	x->req = req;
	x->server = request_server(req);
	x->work = work;
	x->job.run = run;
	request_set_ctx(req, x);
	request_wait(req);
	submit(x->server, &x->job);
	return HTTP_WAIT;
}

void errand_to_operator(struct server *s, struct job *job)
{
	workers_submit(s->operator, job);
}

enum http_next errand_head(struct request *req, errand_work *work)
{
	struct errand *x;

	if (request_ctx(req) != NULL)
		return errand_answer(req);
	x = calloc(1, sizeof(*x));
	return x == NULL ? HTTP_CUT : errand_start(x, req, work, errand_to_operator);
}

enum http_next errand_answer(struct request *req)
{
	struct errand *x = request_ctx(req);
	struct reply *reply = x->reply;

	x->reply = NULL;
	return request_reply(req, reply);
}

void errand_gone(struct request *req)
{
	struct errand *x = request_ctx(req);

	reply_unref(x->reply);
	free(x);
}

struct reply *errand_json(int status, json_t *j)
{
	struct reply *r = reply_new(status);
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));

	json_decref(j);
	if (r == NULL || text == NULL) {
		reply_unref(r);
		free(text);
		return NULL;
	}
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/json");
	reply_header(r, "Cache-Control", "no-store");
	return r;
}
