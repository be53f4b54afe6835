#include "server/dialect/rufh_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "server/answer.h"
#include "server/claims.h"
#include "server/dialect/fields.h"
#include "server/problem.h"
#include "server/server.h"

static struct reply *read_creation(struct rufh *x)
{
	struct reply *refusal;

	rufh_read_complete(x);
	refusal = creation_permit(&x->w.creation, x->w.req);
	if (refusal != NULL)
		return refusal;
	if (!x->complete_given)
		return problem_reply(400, NULL, "Upload-Complete is neither ?1 nor ?0.");
	if (field_there(x->w.req, "Upload-Concat"))
		return problem_reply(400, NULL, "Upload-Concat belongs to tus 1.0.0.");
	refusal = rufh_read_length(x, 0);
	if (refusal == NULL && x->length_given &&
	    x->length > request_settings(x->w.req)->upload_max)
		refusal = rufh_problem(x, ERR_TOOBIG);
	if (refusal == NULL)
		refusal = checks_read(&x->w.checks, x->w.req);
	if (refusal == NULL)
		refusal = creation_read(&x->w.creation, x->w.req);
	return refusal;
}

/* The interim answer is a promise: the upload has to be there first. */
static void store_creation(struct job *job)
{
	struct rufh *x = JOB_OWNER(job, struct rufh, job);
	struct digester none;
	struct midstate m;
	const struct commit c = { .midstate = &m,
				  .length = x->w.creation.rec.length,
				  .expires_s = x->w.creation.rec.expires_s };
	struct writer *w = NULL;
	struct err e = { 0 };

	digest_init(&none);
	digest_save(&none, &m);
	x->rc = store_create(request_server(x->w.req)->store, &x->w.creation.rec, 0, &w, &e);
	if (x->rc == ERR_OK)
		x->rc = writer_commit(w, &c, &x->w.made, &e);
	writer_close(w);
	if (x->rc != ERR_OK && x->rc != ERR_EXISTS && x->rc != ERR_DELETED)
		log_warn("event=upload_failed call=create error=\"%s\"", e.why);
	request_wake(x->w.req);
}

/* Had before it is there, so that nobody else works on it meanwhile; only with a grant for one
 * upload does anybody else know of it. */
static enum http_next begin_storing(struct rufh *x)
{
	struct claim **claim = &x->w.target.claim;

	if (*claim == NULL &&
	    !claim_take(request_server(x->w.req)->claims, &x->w.creation.rec.id, x->w.req, claim))
		return HTTP_WAIT;
	if (*claim == NULL)
		return HTTP_CUT;
	x->stored = true;
	x->job.run = store_creation;
	request_wait(x->w.req);
	workers_submit(request_server(x->w.req)->writers, &x->job);
	return HTTP_WAIT;
}

static enum http_next tell_location(struct rufh *x)
{
	char location[ANSWER_LOCATION_SIZE], limit[RUFH_LIMIT_SIZE], fields[640];
	struct answer_tokens tokens;

	answer_location(location, x->w.req, x->w.made);
	answer_mint(&tokens, x->w.req, x->w.made);
	rufh_write_limit(x, x->w.made, limit);
	(void)snprintf(fields, sizeof(fields),
		       "Upload-Draft-Interop-Version: %" PRIu64
		       "\r\nLocation: %s\r\nUpload-Limit: %s\r\nMedia-Token: %s"
		       "\r\nMedia-Manage-Token: %s\r\n",
		       x->version, location, limit, tokens.fetch, tokens.manage);
	return request_interim(x->w.req, fields);
}

static enum http_next stored(struct rufh *x)
{
	x->stored = false;
	if (creation_again(&x->w.creation, x->rc)) {
		target_let_go(&x->w.target);
		return rufh_create_next(x);
	}
	if (x->rc != ERR_OK)
		return rufh_refuse(x, problem_of(x->rc));
	if (tell_location(x) == HTTP_CUT)
		return HTTP_CUT;
	return rufh_begin_session(x, x->w.made, false);
}

/* What the same grant has made before, as far as it is by now. */
static struct reply *created_before(struct rufh *x)
{
	const struct upload *u = x->w.creation.admission.there;

	return u->finished && x->complete ? rufh_completed(x, u) : rufh_created(x, u);
}

enum http_next rufh_create_next(struct rufh *x)
{
	struct creation *c = &x->w.creation;
	struct reply *refusal;

	if (creation_make(c, x->length, &refusal) == HTTP_WAIT)
		return HTTP_WAIT;
	if (refusal == NULL && c->admission.there != NULL)
		return work_answer(&x->w, created_before(x));
	if (refusal == NULL && x->body_taken)
		refusal = problem_of(ERR_IO); /* what was there is gone again */
	if (refusal != NULL)
		return rufh_refuse(x, refusal);
	if (x->version != 0 && request_body_length(x->w.req) != 0)
		return begin_storing(x);
	return rufh_begin_session(x, &c->rec, true);
}

static enum http_next create_head(struct request *req)
{
	struct rufh *x = request_ctx(req);
	struct reply *refusal;

	if (x != NULL)
		return x->stored || x->w.made != NULL ? stored(x) : rufh_create_next(x);
	x = rufh_new(req);
	if (x == NULL)
		return HTTP_CUT;
	refusal = read_creation(x);
	/* the whole's digest is the creation's */
	x->w.checks.whole_given = false;
	return refusal != NULL ? rufh_refuse(x, refusal) : rufh_create_next(x);
}

const struct handler rufh_create_handler = {
	.head = create_head,
	.body = rufh_body,
	.room = rufh_room,
	.came = rufh_came,
	.done = rufh_done,
	.gone = rufh_gone,
};
