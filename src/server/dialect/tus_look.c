#include "server/dialect/tus_inside.h"

#include <inttypes.h>

#include "server/answer.h"
#include "server/fetch.h"
#include "server/manage.h"
#include "server/problem.h"

/* ---- HEAD ---- */

static void add_length(struct reply *r, const struct target *t)
{
	if (t->rec->length != UPLOAD_LENGTH_UNKNOWN)
		reply_headerf(r, "Upload-Length", "%" PRIu64, t->rec->length);
	else if (t->details.role != ROLE_FINAL)
		reply_header(r, "Upload-Defer-Length", "1");
}

static struct reply *state_of(struct tus *t)
{
	const struct target *g = &t->w.target;
	struct reply *r = reply_new(200);

	if (r == NULL)
		return NULL;
	if (g->details.role != ROLE_FINAL || g->rec->finished)
		answer_add_offset(r, g->rec->offset);
	add_length(r, g);
	answer_add_sent(r, "Upload-Metadata", g->details.metadata);
	answer_add_sent(r, "Upload-Concat", g->details.concat);
	tus_add_tokens(r, t, g->rec, g->details.role);
	answer_add_state(r, g->rec);
	return r;
}

static enum http_next look_next(struct tus *t)
{
	enum http_next next = target_find(&t->w.target);

	if (next != HTTP_GO)
		return next;
	if (t->w.target.rc != ERR_OK)
		return work_answer(&t->w, target_problem(t->w.target.rc));
	if (t->w.target.rec->finished && request_method(t->w.req) == HTTP_GET) {
		struct request *req = t->w.req;

		tus_gone(req);
		return request_become(req, &fetch_upload_handler);
	}
	return work_answer(&t->w, state_of(t));
}

static enum http_next look_head(struct request *req)
{
	struct tus *t = request_ctx(req);
	enum http_next next;
	enum err_code rc;

	if (t != NULL)
		return look_next(t);
	t = tus_begin(req, &next);
	if (t == NULL)
		return next;
	rc = target_check(&t->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? look_next(t) : work_answer(&t->w, target_problem(rc));
}

/* ---- DELETE ---- */

static enum http_next delete_head(struct request *req)
{
	struct reply *refusal = request_ctx(req) == NULL ? tus_check_version(req) : NULL;

	return refusal != NULL ? request_reply(req, refusal)
			       : manage_delete_upload_handler.head(req);
}

static void delete_gone(struct request *req)
{
	manage_delete_upload_handler.gone(req);
}

const struct handler tus_head_handler = { .head = look_head, .gone = tus_gone };
const struct handler tus_delete_handler = { .head = delete_head, .gone = delete_gone };
