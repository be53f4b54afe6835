#include "server/dialect/rufh_inside.h"

#include <inttypes.h>

#include "server/answer.h"
#include "server/dialect/fields.h"
#include "server/fetch.h"
#include "server/manage.h"
#include "server/problem.h"

/* Until interop version 6, looking and cancelling take no field of the protocol. */
static bool has_stray_fields(const struct rufh *x)
{
	return x->version != 0 && x->version <= MEDIA_TYPE &&
	       (field_there(x->w.req, "Upload-Offset") ||
		field_there(x->w.req,
			    x->version == OLDEST ? "Upload-Incomplete" : "Upload-Complete"));
}

/* ---- offset retrieval ---- */

static struct reply *state_of(struct rufh *x)
{
	const struct upload *u = x->w.target.rec;
	const struct details *d = &x->w.target.details;
	struct reply *r = reply_new(204);

	if (r == NULL)
		return NULL;
	rufh_add_complete(r, x, u->finished);
	if (u->finished || d->role != ROLE_FINAL)
		answer_add_offset(r, u->offset);
	if (u->length != UPLOAD_LENGTH_UNKNOWN)
		reply_headerf(r, "Upload-Length", "%" PRIu64, u->length);
	else if (d->role != ROLE_FINAL)
		reply_header(r, "Upload-Defer-Length", "1"); /* tus-js-client asks for it */
	answer_add_sent(r, "Upload-Metadata", d->metadata);
	rufh_add_limit(r, x, u);
	if (d->role != ROLE_PARTIAL)
		answer_add_tokens(r, x->w.req, u);
	answer_add_state(r, u);
	return r;
}

static enum http_next look_next(struct rufh *x)
{
	struct request *req = x->w.req;
	enum http_next next = target_find(&x->w.target);

	if (next != HTTP_GO)
		return next;
	if (x->w.target.rc != ERR_OK)
		return work_answer(&x->w, target_problem(x->w.target.rc));
	if (x->w.target.rec->finished && request_method(req) == HTTP_GET) {
		rufh_gone(req);
		return request_become(req, &fetch_upload_handler);
	}
	return work_answer(&x->w, state_of(x));
}

static enum http_next look_head(struct request *req)
{
	struct rufh *x = request_ctx(req);
	enum err_code rc;

	if (x != NULL)
		return look_next(x);
	x = rufh_new(req);
	if (x == NULL)
		return HTTP_CUT;
	if (has_stray_fields(x))
		return work_answer(&x->w, problem_reply(400, NULL,
							"This request takes no Upload-Offset "
							"and no Upload-Complete."));
	rc = target_check(&x->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? look_next(x) : work_answer(&x->w, target_problem(rc));
}

/* ---- cancelling ---- */

static enum http_next cancel_head(struct request *req)
{
	struct rufh x = { .w = { .req = req } };

	if (request_ctx(req) == NULL) {
		if (!field_sf_unsigned(req, "Upload-Draft-Interop-Version", &x.version))
			x.version = 0;
		if (has_stray_fields(&x))
			return request_reply(req, problem_reply(400, NULL,
								"This request takes no "
								"Upload-Offset and no "
								"Upload-Complete."));
	}
	return manage_delete_upload_handler.head(req);
}

static void cancel_gone(struct request *req)
{
	manage_delete_upload_handler.gone(req);
}

const struct handler rufh_look_handler = { .head = look_head, .gone = rufh_gone };
const struct handler rufh_cancel_handler = { .head = cancel_head, .gone = cancel_gone };
