#include "server/dialect/tus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/answer.h"
#include "server/dialect/fields.h"
#include "server/dialect/work.h"
#include "server/fetch.h"
#include "server/finals.h"
#include "server/manage.h"
#include "server/own_fields.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/concat.h"

#define BODY_TYPE "application/offset+octet-stream"

/* A request of this dialect, whichever. */
struct tus {
	struct work w;
	struct upload_id *parts; /* of a final that is created */
	bool body_taken; /* and of no use: another request with the same grant was quicker */
	bool made;       /* a worker has been told to make it */
	enum err_code rc;
	struct job job;
	uint64_t offset;
	bool length_given;
	uint64_t length;
};

/* ---- what all requests have ---- */

static struct reply *check_version(struct request *req)
{
	struct bytes v = { NULL, 0 };
	struct reply *r;

	if (field_text(req, "Tus-Resumable", &v) == FIELD_GOOD && v.len == strlen(TUS_VERSION) &&
	    memcmp(v.data, TUS_VERSION, v.len) == 0)
		return NULL;
	r = problem_reply(412, NULL,
			  "This resource speaks tus 1.0.0 (Tus-Resumable: 1.0.0) and resumable "
			  "uploads of the IETF (Upload-Complete).");
	if (r == NULL)
		return NULL;
	reply_header(r, "Tus-Version", TUS_VERSION);
	if (!field_there(req, "Tus-Resumable")) /* else the transport says it */
		reply_header(r, "Tus-Resumable", TUS_VERSION);
	return r;
}

static struct tus *tus_new(struct request *req)
{
	struct tus *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->w.req = req;
	request_set_ctx(req, t);
	return t;
}

static void gone(struct request *req)
{
	struct tus *t = request_ctx(req);

	work_fini(&t->w);
	free(t->parts);
	free(t);
}

/* A part is not to be fetched on its own. */
static void add_tokens(struct reply *r, struct tus *t, const struct upload *u, enum role role)
{
	if (role != ROLE_PARTIAL)
		answer_add_tokens(r, t->w.req, u);
}

static struct reply *read_length(struct tus *t)
{
	bool too_large = false;
	enum field f = field_number(t->w.req, "Upload-Length",
				    request_settings(t->w.req)->upload_max, &t->length, &too_large);

	if (f == FIELD_BAD)
		return too_large ? problem_of(ERR_TOOBIG)
				 : problem_reply(400, NULL, "Upload-Length is not a number.");
	t->length_given = f == FIELD_GOOD;
	return NULL;
}

/* ---- bytes ---- */

static enum http_next session_next(struct tus *t, enum session_state state);

static enum http_next body(struct request *req, const uint8_t *data, size_t *n)
{
	struct tus *t = request_ctx(req);

	if (t->w.session != NULL)
		return session_next(t, session_take(t->w.session, data, n));
	*n = 0; /* it is finished: more than there may be */
	return work_answer(&t->w, problem_of(ERR_TOOBIG));
}

static enum http_next create_next(struct tus *t);

static enum http_next finish(struct tus *t)
{
	struct reply *refusal;
	enum session_state state = work_finish(&t->w, false, &refusal);

	if (state == SESSION_FAILED && refusal == NULL && work_met(&t->w)) {
		t->body_taken = true;
		return create_next(t);
	}
	return refusal != NULL ? work_answer(&t->w, refusal) : session_next(t, state);
}

/* ---- creation ---- */

static struct reply *created(struct tus *t, const struct upload *u)
{
	const enum role role = t->w.creation.details.role;
	struct reply *r = reply_new(201);

	answer_add_location(r, t->w.req, u);
	if (u->finished || role != ROLE_FINAL)
		answer_add_offset(r, u->offset);
	add_tokens(r, t, u, role);
	answer_add_state(r, u);
	return r;
}

static struct reply *read_defer(struct tus *t)
{
	uint64_t one;
	enum field f = field_number(t->w.req, "Upload-Defer-Length", 1, &one, NULL);

	if (f == FIELD_BAD || (f == FIELD_GOOD && one != 1))
		return problem_reply(400, NULL, "Upload-Defer-Length can be 1 only.");
	if ((f == FIELD_GOOD) == t->length_given)
		return problem_reply(400, NULL,
				     "An upload has either Upload-Length or Upload-Defer-Length.");
	return NULL;
}

static struct reply *read_part(struct tus *t, const char *text, size_t n)
{
	const struct server *s = request_server(t->w.req);
	struct token token;

	if (token_verify(&token, text, n, TOKEN_UPLOAD, clock_now_s(), keys_find, server_keys(s)) !=
	    ERR_OK)
		return problem_reply(400, "no-such-part",
				     "A part that Upload-Concat names is not there.");
	t->parts[t->w.creation.details.part_count++] = token.upload;
	return NULL;
}

static struct reply *read_parts(struct tus *t, const struct concat *c)
{
	struct reply *refusal = NULL;

	t->parts = calloc(c->count, sizeof(*t->parts));
	if (t->parts == NULL)
		return problem_of(ERR_NOMEM);
	t->w.creation.details.parts = t->parts;
	for (size_t i = 0; refusal == NULL && i < c->count; i++)
		refusal = read_part(t, c->parts[i].text, c->parts[i].len);
	return refusal;
}

static struct reply *read_concat(struct tus *t)
{
	struct details *d = &t->w.creation.details;
	struct bytes v = { NULL, 0 };
	struct concat c;
	enum field f = field_text(t->w.req, "Upload-Concat", &v);

	if (f == FIELD_NONE)
		return NULL;
	if (f == FIELD_BAD ||
	    concat_parse(&c, "/v1/uploads/", (const char *)v.data, v.len) != ERR_OK)
		return problem_reply(400, NULL,
				     "Upload-Concat is \"partial\", or \"final;\" and the URLs of "
				     "uploads of this server.");
	d->concat = v;
	d->role = c.kind == CONCAT_FINAL ? ROLE_FINAL : ROLE_PARTIAL;
	return d->role == ROLE_FINAL ? read_parts(t, &c) : NULL;
}

/* A final gets its length and bytes from its parts. */
static struct reply *check_final(const struct tus *t)
{
	if (t->length_given || field_there(t->w.req, "Upload-Defer-Length") ||
	    request_body_length(t->w.req) != 0)
		return problem_reply(400, NULL,
				     "A final upload has no length and no bytes of its own.");
	return NULL;
}

static struct reply *check_whole(struct tus *t)
{
	const uint64_t announced = request_body_length(t->w.req);
	struct reply *refusal = read_defer(t);

	if (refusal != NULL)
		return refusal;
	if (announced != 0 && !field_has_type(t->w.req, BODY_TYPE))
		return problem_reply(415, NULL, "A body has the content type " BODY_TYPE ".");
	if (t->length_given && announced != HTTP_LENGTH_UNKNOWN && announced > t->length)
		return problem_of(ERR_TOOBIG);
	return NULL;
}

static struct reply *read_creation(struct tus *t)
{
	struct reply *refusal = creation_permit(&t->w.creation, t->w.req);

	if (refusal == NULL)
		refusal = read_length(t);
	if (refusal == NULL)
		refusal = read_concat(t);
	if (refusal == NULL)
		refusal =
			t->w.creation.details.role == ROLE_FINAL ? check_final(t) : check_whole(t);
	if (refusal == NULL)
		refusal = checks_read(&t->w.checks, t->w.req);
	if (refusal == NULL)
		refusal = creation_read(&t->w.creation, t->w.req);
	return refusal;
}

static void make_final(struct job *job)
{
	struct tus *t = JOB_OWNER(job, struct tus, job);
	struct err e = { 0 };

	t->rc = finals_make(request_server(t->w.req)->finals, &t->w.creation.rec, &t->w.made,
			    &t->w.refusal, &e);
	if (t->rc != ERR_OK)
		log_warn("event=concatenation_failed error=\"%s\"", e.why);
	request_wake(t->w.req);
}

static enum http_next final_made(struct tus *t)
{
	t->made = false;
	if (creation_again(&t->w.creation, t->rc))
		return create_next(t);
	if (t->rc == ERR_NOTFOUND)
		return work_answer(&t->w, problem_reply(400, "no-such-part",
							"A part that Upload-Concat names is "
							"not there."));
	if (t->rc == ERR_INVALID)
		return work_answer(&t->w, problem_reply(400, NULL,
							"What Upload-Concat names is not a "
							"partial upload."));
	if (t->rc != ERR_OK)
		return work_answer(&t->w, work_problem(&t->w, t->rc));
	return work_answer(&t->w, created(t, t->w.made));
}

static enum http_next begin_final(struct tus *t)
{
	t->made = true;
	t->job.run = make_final;
	request_wait(t->w.req);
	if (!finals_submit(request_server(t->w.req)->finals, &t->job)) {
		t->rc = ERR_BUSY;
		request_wake(t->w.req);
	}
	return HTTP_WAIT;
}

static enum http_next begin_creation(struct tus *t)
{
	const struct creation *c = &t->w.creation;
	const struct session_plan plan = {
		.rec = &c->rec,
		.fresh = true,
		.all_or_none = checks_any(&t->w.checks),
		.ends_at_length = true,
		.digest_expected = c->details.digest_given,
		.expected = c->details.digest,
		.length = c->rec.length,
		.ttl_s = c->details.ttl_s,
		.host = c->details.host,
		.max = c->details.max,
		.announced = request_body_length(t->w.req),
		.sums = checks_sums(&t->w.checks),
	};
	/* the whole's digest is the creation's, and need not be there with this request's bytes */
	enum err_code rc = session_begin(&t->w.session, t->w.req, &plan, &t->w.refusal, NULL);

	t->w.checks.whole_given = false;
	return rc == ERR_OK ? HTTP_GO : work_answer(&t->w, work_problem(&t->w, rc));
}

/* What the same grant has made before, as far as it is by now. */
static struct reply *created_before(struct tus *t)
{
	const struct upload *u = t->w.creation.admission.there;

	return t->w.creation.details.role == ROLE_FINAL && !u->finished ? problem_of(ERR_EXISTS)
									: created(t, u);
}

static enum http_next create_next(struct tus *t)
{
	struct creation *c = &t->w.creation;
	struct reply *refusal;

	if (creation_make(c, t->length_given ? t->length : UPLOAD_LENGTH_UNKNOWN, &refusal) ==
	    HTTP_WAIT)
		return HTTP_WAIT;
	if (refusal == NULL && c->admission.there != NULL)
		refusal = created_before(t);
	if (refusal == NULL && t->body_taken)
		refusal = problem_of(ERR_IO); /* what was there is gone again */
	if (refusal != NULL)
		return work_answer(&t->w, refusal);
	return c->details.role == ROLE_FINAL ? begin_final(t) : begin_creation(t);
}

static enum http_next create_head(struct request *req)
{
	struct tus *t = request_ctx(req);
	struct reply *refusal;

	if (t != NULL)
		return t->made ? final_made(t) : create_next(t);
	refusal = check_version(req);
	if (refusal != NULL)
		return request_reply(req, refusal);
	t = tus_new(req);
	if (t == NULL)
		return HTTP_CUT;
	refusal = read_creation(t);
	return refusal != NULL ? work_answer(&t->w, refusal) : create_next(t);
}

static enum http_next create_done(struct request *req)
{
	struct tus *t = request_ctx(req);

	return t->body_taken ? create_next(t) : finish(t);
}

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
	add_tokens(r, t, g->rec, g->details.role);
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

		gone(req);
		return request_become(req, &fetch_upload_handler);
	}
	return work_answer(&t->w, state_of(t));
}

static enum http_next look_head(struct request *req)
{
	struct tus *t = request_ctx(req);
	struct reply *refusal;
	enum err_code rc;

	if (t != NULL)
		return look_next(t);
	refusal = check_version(req);
	if (refusal != NULL)
		return request_reply(req, refusal);
	t = tus_new(req);
	if (t == NULL)
		return HTTP_CUT;
	rc = target_check(&t->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? look_next(t) : work_answer(&t->w, target_problem(rc));
}

/* ---- PATCH ---- */

static struct reply *read_patch(struct tus *t)
{
	struct reply *refusal;

	if (!field_has_type(t->w.req, BODY_TYPE))
		return problem_reply(415, NULL, "PATCH has the content type " BODY_TYPE ".");
	if (field_number(t->w.req, "Upload-Offset", INT64_MAX, &t->offset, NULL) != FIELD_GOOD)
		return problem_reply(400, NULL, "PATCH has a number as Upload-Offset.");
	refusal = checks_read(&t->w.checks, t->w.req);
	return refusal != NULL ? refusal : read_length(t);
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

static struct reply *patched(struct tus *t, const struct upload *u)
{
	struct reply *r = reply_new(204);

	answer_add_offset(r, u->offset);
	if (u->finished)
		add_tokens(r, t, u, t->w.target.details.role);
	answer_add_state(r, u);
	return r;
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
		return work_answer(&t->w, patched(t, t->w.target.rec));
	if (request_body_length(t->w.req) != HTTP_LENGTH_UNKNOWN)
		return work_answer(&t->w, problem_of(ERR_TOOBIG));
	target_let_go(&t->w.target);
	return HTTP_GO;
}

static enum http_next patch_head(struct request *req)
{
	struct tus *t = request_ctx(req);
	struct reply *refusal;
	enum err_code rc;

	if (t != NULL)
		return patch_next(t);
	refusal = check_version(req);
	if (refusal != NULL)
		return request_reply(req, refusal);
	t = tus_new(req);
	if (t == NULL)
		return HTTP_CUT;
	refusal = read_patch(t);
	if (refusal != NULL)
		return work_answer(&t->w, refusal);
	rc = target_check(&t->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? patch_next(t) : work_answer(&t->w, target_problem(rc));
}

static enum http_next patch_done(struct request *req)
{
	struct tus *t = request_ctx(req);

	return t->w.session != NULL ? finish(t) : work_answer(&t->w, patched(t, t->w.target.rec));
}

static enum http_next session_next(struct tus *t, enum session_state state)
{
	const struct upload *u;

	switch (state) {
	case SESSION_WAITS:
		return HTTP_WAIT;
	case SESSION_FAILED:
		return work_answer(&t->w, work_problem(&t->w, session_error(t->w.session)));
	case SESSION_DONE:
		u = session_upload(t->w.session);
		return work_answer(&t->w, t->w.target.rec == NULL ? created(t, u) : patched(t, u));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
}

/* ---- DELETE ---- */

static enum http_next delete_head(struct request *req)
{
	struct reply *refusal = request_ctx(req) == NULL ? check_version(req) : NULL;

	return refusal != NULL ? request_reply(req, refusal)
			       : manage_delete_upload_handler.head(req);
}

static void delete_gone(struct request *req)
{
	manage_delete_upload_handler.gone(req);
}

const struct handler tus_create_handler = {
	.head = create_head, .body = body, .done = create_done, .gone = gone
};
const struct handler tus_head_handler = { .head = look_head, .gone = gone };
const struct handler tus_patch_handler = {
	.head = patch_head, .body = body, .done = patch_done, .gone = gone
};
const struct handler tus_delete_handler = { .head = delete_head, .gone = delete_gone };
