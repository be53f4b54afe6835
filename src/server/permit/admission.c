#include "server/admission.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/problem.h"
#include "server/server.h"

/* The upload that this grant has made, if it has made one. */
static enum err_code look_up(struct admission *a, struct err *e)
{
	enum err_code rc;

	if (!a->permit.once)
		return ERR_NOTFOUND;
	rc = store_lookup(request_server(a->req)->store, &a->permit.id, &a->there, e);
	if (rc == ERR_OK && a->there->expires_s <= clock_now_s())
		rc = ERR_DELETED;
	return rc;
}

static void look(struct job *job)
{
	struct admission *a = JOB_OWNER(job, struct admission, job);
	struct quota *q = request_server(a->req)->quota;
	struct err e = { 0 };

	a->rc = look_up(a, &e);
	if (a->rc == ERR_NOTFOUND)
		a->rc = quota_load(q, &a->permit.bucket, &e);
	if (a->rc != ERR_OK && a->rc != ERR_DELETED)
		log_warn("event=admission_failed error=\"%s\"", e.why);
	request_wake(a->req);
}

static enum http_next hand_over(struct admission *a)
{
	a->looking = true;
	upload_free(a->there);
	a->there = NULL;
	a->job.run = look;
	request_wait(a->req);
	workers_submit(request_server(a->req)->readers, &a->job);
	return HTTP_WAIT;
}

static struct reply *refusal_of(enum err_code rc)
{
	if (rc == ERR_DELETED)
		return problem_reply(403, "grant-spent",
				     "This grant has been used, and what it made is gone.");
	return problem_of(rc);
}

/* ERR_BUSY: the bucket is not in memory (any more). */
static enum err_code charge(struct admission *a, uint64_t weight, struct reply **refusal)
{
	const int64_t now_ms = clock_mono_ms();
	struct quota_refusal why;
	enum err_code rc = quota_enter(request_server(a->req)->quota, &a->permit.bucket,
				       request_settings(a->req), weight, now_ms, &why);

	if (rc == ERR_OK) {
		a->charged_ms = now_ms;
		a->charged = true;
		a->weight = weight;
	} else if (rc != ERR_BUSY) {
		*refusal = rc == ERR_LIMIT ? problem_quota(&why) : problem_of(rc);
	}
	return rc;
}

enum http_next admission_pass(struct admission *a, uint64_t weight, struct reply **refusal)
{
	*refusal = NULL;
	if (a->charged)
		return HTTP_GO;
	if (a->permit.once && !a->looking)
		return hand_over(a);
	if (a->looking && a->rc != ERR_OK) {
		*refusal = refusal_of(a->rc);
		return HTTP_GO;
	}
	if (a->there != NULL || charge(a, weight, refusal) != ERR_BUSY)
		return HTTP_GO;
	return hand_over(a);
}

bool admission_again(struct admission *a)
{
	if (!a->permit.once || a->asked_again || request_over(a->req))
		return false;
	a->asked_again = true;
	admission_fini(a, false);
	a->looking = false;
	return true;
}

void admission_fini(struct admission *a, bool stays)
{
	struct quota *q = request_server(a->req)->quota;

	if (a->charged && stays)
		quota_let_go(q, &a->permit.bucket);
	else if (a->charged)
		quota_undo(q, &a->permit.bucket, request_settings(a->req), a->weight, a->charged_ms,
			   clock_mono_ms());
	a->charged = false;
	upload_free(a->there);
	a->there = NULL;
}
