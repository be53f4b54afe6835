#include "server/target.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/finals.h"
#include "server/problem.h"
#include "server/quota.h"
#include "server/server.h"

enum err_code target_check(struct target *t, struct request *req, enum token_type type)
{
	const struct server *s = request_server(req);
	struct token token;
	size_t n;
	const char *text = request_param(req, &n);
	enum err_code rc =
		token_verify(&token, text, n, type, clock_now_s(), keys_find, server_keys(s));

	if (rc != ERR_OK)
		return rc == ERR_EXPIRED ? ERR_EXPIRED : ERR_NOTFOUND;
	t->req = req;
	t->id = token.upload;
	t->not_after = token.not_after;
	return ERR_OK;
}

/* An upload whose token is ours was there once: if nothing tells of its end, its time did. */
static enum err_code meaning_of(const struct target *t, enum err_code rc)
{
	if (rc == ERR_DELETED)
		return ERR_NOTFOUND;
	if (rc == ERR_NOTFOUND)
		return ERR_EXPIRED;
	/* what waits for parts, and a part waited for, are about to get more time */
	if (rc == ERR_OK && clock_now_s() >= t->rec->expires_s &&
	    !finals_need(request_server(t->req)->finals, &t->id))
		return ERR_EXPIRED;
	return rc;
}

/* What is about to grow. */
static enum err_code hold_bucket(struct target *t, struct err *e)
{
	enum err_code rc = quota_load_and_hold(request_server(t->req)->quota, &t->rec->bucket, e);

	t->bucket_held = rc == ERR_OK;
	return rc;
}

static void look_up(struct job *job)
{
	struct target *t = JOB_OWNER(job, struct target, job);
	struct err e = { 0 };
	enum err_code rc = store_lookup(request_server(t->req)->store, &t->id, &t->rec, &e);

	if (rc == ERR_OK)
		rc = details_decode(&t->details, t->rec->meta, &e);
	if (rc == ERR_OK && request_method(t->req) == HTTP_PATCH && !t->rec->finished)
		rc = hold_bucket(t, &e);
	t->rc = meaning_of(t, rc);
	if (rc != ERR_OK && rc != ERR_NOTFOUND && rc != ERR_DELETED)
		log_warn("event=upload_failed call=lookup error=\"%s\"", e.why);
	request_wake(t->req);
}

static enum http_next look(struct target *t)
{
	t->looking = true;
	t->job.run = look_up;
	request_wait(t->req);
	workers_submit(request_server(t->req)->readers, &t->job);
	return HTTP_WAIT;
}

enum http_next target_find(struct target *t)
{
	if (t->looking)
		return HTTP_GO;
	if (t->claim != NULL)
		return look(t);
	if (!claim_take(request_server(t->req)->claims, &t->id, t->req, &t->claim))
		return HTTP_WAIT;
	return t->claim == NULL ? HTTP_CUT : look(t);
}

struct reply *target_problem(enum err_code rc)
{
	return rc == ERR_EXPIRED ? problem_reply(410, NULL, "The time of this upload is over.")
				 : problem_of(rc);
}

void target_let_go(struct target *t)
{
	claim_release(t->claim);
	t->claim = NULL;
}

void target_fini(struct target *t)
{
	if (t->bucket_held)
		quota_let_go(request_server(t->req)->quota, &t->rec->bucket);
	claim_release(t->claim);
	upload_free(t->rec);
	*t = (struct target){ .req = NULL };
}
