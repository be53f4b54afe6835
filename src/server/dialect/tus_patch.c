#include "server/dialect/tus_inside.h"

#include "server/dialect/fields.h"
#include "server/problem.h"

static struct reply *read_patch(struct tus *t)
{
	struct reply *refusal;

	if (!field_has_type(t->w.req, BODY_TYPE))
		return problem_reply(415, NULL, "PATCH has the content type " BODY_TYPE ".");
	if (field_number(t->w.req, "Upload-Offset", INT64_MAX, &t->offset, NULL) != FIELD_GOOD)
		return problem_reply(400, NULL, "PATCH has a number as Upload-Offset.");
	refusal = checks_read(&t->w.checks, t->w.req);
	return refusal != NULL ? refusal : tus_read_length(t);
}

/* Upload-Length may come with any PATCH of an upload that has none, and never changes. */
static struct reply *settle_length(struct tus *t)
{
	const struct upload *u = t->w.target.rec;

	if (!t->length_given)
		t->length = u->length;
	else if (u->length != UPLOAD_LENGTH_UNKNOWN && u->length != t->length)
		return problem_reply(400, NULL, "The length of an upload does not change.");
	if (t->length != UPLOAD_LENGTH_UNKNOWN && t->length < u->offset)
		return problem_reply(400, NULL, "More than Upload-Length is there already.");
	return NULL;
}

static struct reply *check_patch(struct tus *t)
{
	const struct target *g = &t->w.target;

	if (g->rc != ERR_OK)
		return target_problem(g->rc);
	if (g->details.role == ROLE_FINAL)
		return problem_reply(403, NULL, "A final upload gets its bytes from its parts.");
	if (t->offset != g->rec->offset)
		return problem_offset(g->rec->offset, t->offset);
	return settle_length(t);
}

static enum http_next begin_patch(struct tus *t)
{
	const struct target *g = &t->w.target;
	const struct session_plan plan = {
		.rec = g->rec,
		.all_or_none = checks_any(&t->w.checks),
		.ends_at_length = true,
		.digest_expected = g->details.digest_given,
		.expected = g->details.digest,
		.length = t->length,
		.ttl_s = g->details.ttl_s,
		.host = g->details.host,
		.max = g->details.max,
		.announced = request_body_length(t->w.req),
		.sums = checks_sums(&t->w.checks),
		.claim = g->claim,
	};
	enum err_code rc = session_begin(&t->w.session, t->w.req, &plan, &t->w.refusal, NULL);

	if (rc != ERR_OK)
		return rc == ERR_OFFSET ? HTTP_CUT : work_answer(&t->w, work_problem(&t->w, rc));
	t->w.target.claim = NULL; /* the session's */
	return HTTP_GO;
}

static enum http_next patch_next(struct tus *t)
{
	enum http_next next = target_find(&t->w.target);
	struct reply *refusal;

	if (next != HTTP_GO)
		return next;
	refusal = check_patch(t);
	if (refusal != NULL)
		return work_answer(&t->w, refusal);
	if (!t->w.target.rec->finished)
		return begin_patch(t);
	/* the answer to the last PATCH was lost, and its client asks again: with an empty body */
	if (request_body_length(t->w.req) == 0)
		return work_answer(&t->w, tus_patched(t, t->w.target.rec));
	if (request_body_length(t->w.req) != HTTP_LENGTH_UNKNOWN)
		return work_answer(&t->w, problem_of(ERR_TOOBIG));
	target_let_go(&t->w.target);
	return HTTP_GO;
}

static enum http_next patch_head(struct request *req)
{
	struct tus *t = request_ctx(req);
	struct reply *refusal;
	enum http_next next;
	enum err_code rc;

	if (t != NULL)
		return patch_next(t);
	t = tus_begin(req, &next);
	if (t == NULL)
		return next;
	refusal = read_patch(t);
	if (refusal != NULL)
		return work_answer(&t->w, refusal);
	rc = target_check(&t->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? patch_next(t) : work_answer(&t->w, target_problem(rc));
}

static enum http_next patch_done(struct request *req)
{
	struct tus *t = request_ctx(req);

	return t->w.session != NULL ? tus_finish(t)
				    : work_answer(&t->w, tus_patched(t, t->w.target.rec));
}

const struct handler tus_patch_handler = {
	.head = patch_head,
	.body = tus_body,
	.room = tus_room,
	.came = tus_came,
	.done = patch_done,
	.gone = tus_gone,
};
