#include "server/dialect/rufh_inside.h"

#include "server/dialect/fields.h"
#include "server/problem.h"
#include "server/server.h"

#define BODY_TYPE "application/partial-upload"

static struct reply *read_append(struct rufh *x)
{
	rufh_read_complete(x);
	if ((x->version == 0 || x->version >= MEDIA_TYPE) && !field_has_type(x->w.req, BODY_TYPE))
		return problem_reply(415, NULL, "PATCH has the content type " BODY_TYPE ".");
	if (!x->complete_given && (x->version == 0 || x->version >= STRICT))
		return problem_reply(400, NULL, "Upload-Complete is neither ?1 nor ?0.");
	if (!x->complete_given)
		x->complete = x->version == OLDEST;
	if (!field_sf_unsigned(x->w.req, "Upload-Offset", &x->offset))
		return problem_reply(400, NULL, "Upload-Offset is not a number.");
	return checks_read(&x->w.checks, x->w.req);
}

static bool too_much(const struct rufh *x)
{
	const struct upload *u = x->w.target.rec;
	const uint64_t announced = request_body_length(x->w.req);

	return u->length != UPLOAD_LENGTH_UNKNOWN && announced != HTTP_LENGTH_UNKNOWN &&
	       announced > u->length - u->offset;
}

/* What this request tells of the length, and what was told before, have to agree. */
static struct reply *settle_length(struct rufh *x)
{
	const struct upload *u = x->w.target.rec;
	struct reply *refusal = rufh_read_length(x, u->offset);

	if (refusal != NULL)
		return refusal;
	if (!x->length_given)
		x->length = u->length;
	else if (u->length != UPLOAD_LENGTH_UNKNOWN && u->length != x->length)
		return rufh_inconsistent(x);
	x->length_given = x->length != UPLOAD_LENGTH_UNKNOWN;
	if (x->length_given && x->length < u->offset)
		return rufh_inconsistent(x);
	/* the last request of some clients says so by Upload-Length alone */
	if (!x->complete_given && field_there(x->w.req, "Upload-Length") &&
	    request_body_length(x->w.req) == x->length - u->offset)
		x->complete = true;
	return NULL;
}

static enum http_next append_found(struct rufh *x)
{
	const struct upload *u = x->w.target.rec;
	struct reply *refusal;

	if (x->w.target.details.role == ROLE_FINAL && !u->finished)
		return rufh_refuse(
			x,
			problem_reply(403, NULL, "A final upload gets its bytes from its parts."));
	if (x->offset != u->offset)
		return rufh_refuse(x, problem_offset(u->offset, x->offset));
	if (u->finished && request_body_length(x->w.req) == 0)
		return work_answer(&x->w, rufh_completed(x, u));
	if (u->finished && request_body_length(x->w.req) != HTTP_LENGTH_UNKNOWN)
		return rufh_refuse(x, rufh_inconsistent(x));
	if (u->finished) {
		target_let_go(&x->w.target);
		return HTTP_GO; /* the body may be empty too */
	}
	if (too_much(x))
		return rufh_condemn(x);
	refusal = settle_length(x);
	return refusal != NULL ? work_answer(&x->w, refusal) : rufh_begin_session(x, u, false);
}

static enum http_next append_next(struct rufh *x)
{
	enum http_next next;

	if (x->condemned)
		return work_answer(&x->w, rufh_inconsistent(x));
	next = target_find(&x->w.target);
	if (next != HTTP_GO)
		return next;
	return x->w.target.rc == ERR_OK ? append_found(x)
					: rufh_refuse(x, target_problem(x->w.target.rc));
}

static enum http_next append_head(struct request *req)
{
	struct rufh *x = request_ctx(req);
	struct reply *refusal;
	enum err_code rc;

	if (x != NULL)
		return append_next(x);
	x = rufh_new(req);
	if (x == NULL)
		return HTTP_CUT;
	refusal = read_append(x);
	if (refusal != NULL)
		return rufh_refuse(x, refusal);
	rc = target_check(&x->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? append_next(x) : rufh_refuse(x, target_problem(rc));
}

const struct handler rufh_append_handler = {
	.head = append_head,
	.body = rufh_body,
	.room = rufh_room,
	.came = rufh_came,
	.done = rufh_done,
	.gone = rufh_gone,
};
