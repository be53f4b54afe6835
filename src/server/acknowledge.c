#include "server/acknowledge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/problem.h"
#include "server/quota.h"
#include "server/retire.h"
#include "server/server.h"
#include "wire/token.h"

struct saying {
	struct request *req;
	struct token token;
	struct job job;
	enum err_code rc;
};

/* For whom a token speaks, for one and no more: who has none of the numbers is only known where
 * there is one recipient. 0: for nobody. */
static uint16_t recipient_of(const struct token *t, const struct upload *u)
{
	if (t->recipient_count == 0)
		return u->recipients == 1;
	for (uint8_t i = 1; i < t->recipient_count; i++)
		if (t->recipients[i] != t->recipients[0])
			return 0;
	return t->recipients[0];
}

static enum err_code note(const struct request *req, const struct upload *u, uint16_t recipient,
			  struct err *e)
{
	struct server *s = request_server(req);
	const int64_t until = clock_now_s() + (int64_t)request_settings(req)->upload_ttl_unfinished;
	struct dropped gone;
	uint16_t left = 0;
	enum err_code rc;

	quota_drop_begin(s->quota, &u->bucket);
	rc = store_acknowledge(s->store, &u->id, recipient, until, &left, &gone, e);
	if (rc == ERR_OK && left == 0)
		retire_gone(s, &u->id, &gone);
	quota_drop_end(s->quota, &u->bucket);
	return rc;
}

/* ERR_OFFSET: it has not arrived yet. */
static enum err_code acknowledge(const struct request *req, const struct token *t, struct err *e)
{
	struct upload *u = NULL;
	enum err_code rc = store_lookup(request_server(req)->store, &t->upload, &u, e);

	if (rc != ERR_OK)
		return rc;
	if (clock_now_s() >= u->expires_s)
		rc = ERR_EXPIRED;
	else if (!u->finished)
		rc = ERR_OFFSET;
	else if (u->recipients > 0)
		rc = note(req, u, recipient_of(t, u), e);
	upload_free(u);
	return rc;
}

static void run(struct job *job)
{
	struct saying *x = JOB_OWNER(job, struct saying, job);
	struct err e = { 0 };

	x->rc = acknowledge(x->req, &x->token, &e);
	if (x->rc == ERR_IO || x->rc == ERR_FULL || x->rc == ERR_DAMAGED)
		log_warn("event=acknowledge_failed error=\"%s\"", e.why);
	request_wake(x->req);
}

static struct reply *answer(enum err_code rc)
{
	switch (rc) {
	case ERR_OK:
	case ERR_DELETED: /* by the last one's say, which may be this one's, its answer lost */
		return reply_new(204);
	case ERR_OFFSET:
		return problem_reply(409, NULL, "It has not arrived yet.");
	case ERR_INVALID:
		return problem_reply(403, "not-a-recipient",
				     "This token does not speak for one of the recipients.");
	default:
		return problem_of(rc);
	}
}

static enum http_next start(struct request *req)
{
	const struct server *s = request_server(req);
	struct token t;
	struct saying *x;
	size_t n;
	const char *text = request_param(req, &n);

	if (token_verify(&t, text, n, TOKEN_FETCH, clock_now_s(), keys_find, server_keys(s)) !=
	    ERR_OK)
		return request_reply(req, problem_not_found());
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	x->req = req;
	x->token = t;
	x->job.run = run;
	request_set_ctx(req, x);
	request_wait(req);
	workers_submit(s->writers, &x->job);
	return HTTP_WAIT;
}

static enum http_next head(struct request *req)
{
	struct saying *x = request_ctx(req);

	return x == NULL ? start(req) : request_reply(req, answer(x->rc));
}

static void gone(struct request *req)
{
	free(request_ctx(req));
}

const struct handler acknowledge_handler = { .head = head, .gone = gone };
