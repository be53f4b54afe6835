#include "server/dialect/put.h"

#include <stdlib.h>

#include "base/clock.h"
#include "server/admission.h"
#include "server/answer.h"
#include "server/details.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/session.h"

struct put {
	struct request *req;
	struct admission admission;
	struct params params;
	struct session *session; /* NULL until it is admitted */
	struct quota_refusal refusal;
	bool met; /* the grant's upload was found to be there at the end */
};

static enum err_code begin(struct put *x, const struct upload *rec)
{
	const struct session_plan plan = {
		.rec = rec,
		.fresh = true,
		.all_or_none = true,
		.digest_expected = x->params.digest_given,
		.expected = x->params.digest,
		.length = rec->length,
		.ttl_s = x->params.ttl_s,
		.max = x->admission.permit.max,
		.announced = request_body_length(x->req),
	};

	return session_begin(&x->session, x->req, &plan, &x->refusal, NULL);
}

/* What the record of a plain upload keeps beyond what the store understands: nothing at all, unless
 * a grant bounds its life. */
static enum err_code begin_new(struct put *x)
{
	const uint64_t announced = request_body_length(x->req);
	const int64_t now = clock_now_s();
	struct upload rec = {
		.length = announced == HTTP_LENGTH_UNKNOWN ? UPLOAD_LENGTH_UNKNOWN : announced,
		.created_s = now,
		.expires_s = now + (int64_t)x->params.ttl_s,
		.kind = (uint8_t)x->params.kind,
		.recipients = x->params.recipients,
	};
	struct details d = { .role = ROLE_WHOLE, .ttl_s = x->params.ttl_s };
	uint8_t *meta = NULL;
	bool too_long = false;
	enum err_code rc;

	permit_mark(&x->admission.permit, &rec, &d);
	if (d.ttl_max_s != 0) {
		meta = details_encode(&d, &rec.meta.len, &too_long);
		if (meta == NULL)
			return ERR_NOMEM;
		rec.meta.data = meta;
	}
	rc = begin(x, &rec);
	free(meta);
	return rc;
}

/* What the grant has made before: whole, since a lost answer is asked for again; or begun in
 * another dialect. */
static struct reply *answer_there(struct put *x)
{
	const struct upload *u = x->admission.there;

	if (u->finished)
		return answer_finished(x->req, u);
	return problem_reply(409, "grant-in-use", "This grant has begun a resumable upload.");
}

/* What it was charged for is given back before its client hears of it. */
static enum http_next fail(struct put *x, enum err_code rc)
{
	const struct quota_refusal *why =
		x->session != NULL ? session_refusal(x->session) : &x->refusal;
	struct reply *r = rc == ERR_LIMIT ? problem_quota(why) : problem_of(rc);

	admission_fini(&x->admission, false);
	session_end(x->session);
	x->session = NULL;
	return request_reply(x->req, r);
}

static enum http_next admit(struct put *x)
{
	const uint64_t announced = request_body_length(x->req);
	struct reply *refusal;
	enum err_code rc;

	if (admission_pass(&x->admission, announced == HTTP_LENGTH_UNKNOWN ? 0 : announced,
			   &refusal) == HTTP_WAIT)
		return HTTP_WAIT;
	if (refusal == NULL && x->admission.there != NULL)
		refusal = answer_there(x);
	if (refusal != NULL)
		return request_reply(x->req, refusal);
	if (x->met) /* and gone again */
		return request_reply(x->req, problem_of(ERR_IO));
	rc = begin_new(x);
	return rc == ERR_OK ? HTTP_GO : fail(x, rc);
}

static struct reply *read(struct put *x)
{
	const struct settings *set = request_settings(x->req);
	const char *complaint, *field;
	struct reply *refusal = permit_read(&x->admission.permit, x->req);
	bool twice;
	size_t n = 0;

	if (refusal != NULL)
		return refusal;
	field = request_header(x->req, "Repr-Digest", &n, &twice);
	if (field != NULL && twice)
		return problem_reply(400, NULL, "Repr-Digest stands twice.");
	if (params_parse(&x->params, request_query(x->req), set, &complaint) != ERR_OK ||
	    params_add_digest(&x->params, field, n, &complaint) != ERR_OK)
		return problem_reply(400, NULL, complaint);
	/* RFC 9110 section 14.5: a partial PUT is not understood here, and must not be taken for
	 * a whole one */
	if (request_header(x->req, "Content-Range", &n, NULL) != NULL)
		return problem_reply(400, NULL, "Content-Range is for resumable uploads.");
	return permit_settle(&x->admission.permit, &x->params, set);
}

static enum http_next head(struct request *req)
{
	struct put *x = request_ctx(req);
	struct reply *refusal;

	if (x != NULL)
		return admit(x);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	x->req = x->admission.req = req;
	request_set_ctx(req, x);
	refusal = read(x);
	return refusal != NULL ? request_reply(req, refusal) : admit(x);
}

static enum http_next next(struct put *x, enum session_state state)
{
	switch (state) {
	case SESSION_WAITS:
		return HTTP_WAIT;
	case SESSION_FAILED:
		return fail(x, session_error(x->session));
	case SESSION_DONE:
		return request_reply(x->req, answer_finished(x->req, session_upload(x->session)));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
}

static enum http_next body(struct request *req, const uint8_t *data, size_t *n)
{
	struct put *x = request_ctx(req);

	return next(x, session_take(x->session, data, n));
}

static enum http_next room(struct request *req, size_t there, struct iovec *out)
{
	struct put *x = request_ctx(req);

	return next(x, session_room(x->session, there, out));
}

static void came(struct request *req, size_t n)
{
	struct put *x = request_ctx(req);

	session_came(x->session, n);
}

static enum http_next done(struct request *req)
{
	const struct session_close all = { .complete = true };
	struct put *x = request_ctx(req);
	enum session_state state;

	if (x->met)
		return admit(x);
	state = session_finish(x->session, &all);
	/* another request with this grant was quicker: its upload is the answer to both */
	if (state == SESSION_FAILED &&
	    (session_error(x->session) == ERR_EXISTS || session_error(x->session) == ERR_DELETED))
		x->met = admission_again(&x->admission);
	return x->met ? admit(x) : next(x, state);
}

static void gone(struct request *req)
{
	struct put *x = request_ctx(req);

	admission_fini(&x->admission, x->session != NULL && session_upload(x->session) != NULL);
	session_end(x->session);
	free(x);
}

const struct handler put_handler = {
	.head = head, .body = body, .room = room, .came = came, .done = done, .gone = gone
};
