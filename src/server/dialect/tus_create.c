#include "server/dialect/tus_inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/dialect/fields.h"
#include "server/finals.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/concat.h"

/* ---- what is asked for ---- */

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
		refusal = tus_read_length(t);
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

/* ---- making it ---- */

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
		return tus_create_next(t);
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
	return work_answer(&t->w, tus_created(t, t->w.made));
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
									: tus_created(t, u);
}

enum http_next tus_create_next(struct tus *t)
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
	enum http_next next;

	if (t != NULL)
		return t->made ? final_made(t) : tus_create_next(t);
	t = tus_begin(req, &next);
	if (t == NULL)
		return next;
	refusal = read_creation(t);
	return refusal != NULL ? work_answer(&t->w, refusal) : tus_create_next(t);
}

static enum http_next create_done(struct request *req)
{
	struct tus *t = request_ctx(req);

	return t->body_taken ? tus_create_next(t) : tus_finish(t);
}

const struct handler tus_create_handler = {
	.head = create_head,
	.body = tus_body,
	.room = tus_room,
	.came = tus_came,
	.done = create_done,
	.gone = tus_gone,
};
