#include "server/dialect/rufh.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/answer.h"
#include "server/dialect/fields.h"
#include "server/dialect/work.h"
#include "server/fetch.h"
#include "server/manage.h"
#include "server/problem.h"
#include "server/server.h"

#define BODY_TYPE "application/partial-upload"
#define INCONSISTENT_LENGTH \
	"https://iana.org/assignments/http-problem-types#inconsistent-upload-length"

/* Interop versions, and what they brought. */
#define OLDEST 3 /* with Upload-Incomplete */
#define PROGRESS 5
#define MEDIA_TYPE 6
#define STRICT 7 /* Upload-Complete has to be said */
#define NEWEST 9
/* Some clients give up after five interim answers. */
#define PROGRESS_MAX 3

struct rufh {
	struct work w;
	uint64_t version; /* 0: none that is known */
	bool complete_given, complete;
	bool length_given;
	uint64_t length; /* as far as this request tells, or UPLOAD_LENGTH_UNKNOWN */
	uint64_t offset;
	bool condemned;  /* the upload has become invalid, and a worker has dropped it */
	bool body_taken; /* and of no use: another request with the same grant was quicker */
	bool stored;     /* a worker has been told to make it */
	unsigned progress_told;
	uint64_t told; /* the last offset in an interim answer */
	enum err_code rc;
	struct job job;
};

/* ---- what all requests have ---- */

static struct rufh *rufh_new(struct request *req)
{
	struct rufh *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->w.req = req;
	if (!field_sf_unsigned(req, "Upload-Draft-Interop-Version", &x->version) ||
	    x->version < OLDEST || x->version > NEWEST)
		x->version = 0;
	request_set_ctx(req, x);
	return x;
}

static void gone(struct request *req)
{
	struct rufh *x = request_ctx(req);

	work_fini(&x->w);
	free(x);
}

static void read_complete(struct rufh *x)
{
	bool incomplete;

	if (field_sf_boolean(x->w.req, "Upload-Complete", &x->complete)) {
		x->complete_given = true;
	} else if (field_sf_boolean(x->w.req, "Upload-Incomplete", &incomplete)) {
		x->complete_given = true;
		x->complete = !incomplete;
	}
}

static void add_complete(struct reply *r, const struct rufh *x, bool complete)
{
	if (r == NULL)
		return;
	if (x->version == OLDEST)
		reply_header(r, "Upload-Incomplete", complete ? "?0" : "?1");
	else
		reply_header(r, "Upload-Complete", complete ? "?1" : "?0");
}

#define LIMIT_SIZE 96

static void write_limit(const struct rufh *x, const struct upload *u, char out[static LIMIT_SIZE])
{
	const struct settings *set = request_settings(x->w.req);
	const int64_t left = u->expires_s - clock_now_s();

	(void)snprintf(out, LIMIT_SIZE, "max-size=%" PRIu64 ", min-size=0, %s=%" PRId64,
		       set->upload_max, x->version == MEDIA_TYPE ? "expires" : "max-age",
		       left > 0 ? left : 0);
}

static void add_limit(struct reply *r, const struct rufh *x, const struct upload *u)
{
	char limit[LIMIT_SIZE];

	write_limit(x, u, limit);
	if (r != NULL)
		reply_header(r, "Upload-Limit", limit);
}

static struct reply *inconsistent(struct rufh *x)
{
	struct reply *r = problem_reply(400, INCONSISTENT_LENGTH,
					"The length is not the one that was announced.");

	add_complete(r, x, false);
	return r;
}

/* More than was announced is not more than the server takes. */
static struct reply *problem_here(struct rufh *x, enum err_code rc)
{
	const uint64_t max = request_settings(x->w.req)->upload_max;
	struct reply *r;

	if (rc == ERR_TOOBIG && x->length_given && x->length <= max)
		return inconsistent(x);
	r = work_problem(&x->w, rc);
	if (r != NULL && rc == ERR_TOOBIG)
		reply_headerf(r, "Upload-Limit", "max-size=%" PRIu64 ", min-size=0", max);
	return r;
}

/* Any other refusal comes from the upload protocol, not from what the upload was for. */
static enum http_next refuse(struct rufh *x, struct reply *r)
{
	add_complete(r, x, false);
	return work_answer(&x->w, r);
}

/* Upload-Length, and what Content-Length tells of a last request: `offset` is where it begins. */
static struct reply *read_length(struct rufh *x, uint64_t offset)
{
	const uint64_t announced = request_body_length(x->w.req);

	x->length = UPLOAD_LENGTH_UNKNOWN;
	x->length_given = field_sf_unsigned(x->w.req, "Upload-Length", &x->length);
	if (!x->complete || announced == HTTP_LENGTH_UNKNOWN)
		return NULL;
	if (x->length_given && x->length != offset + announced)
		return inconsistent(x);
	x->length_given = true;
	x->length = offset + announced;
	return NULL;
}

/* ---- bytes ---- */

static enum http_next session_next(struct rufh *x, enum session_state state);

/* How far it is safe by now, said a few times at most. */
static enum http_next tell_progress(struct rufh *x)
{
	uint64_t durable;
	char fields[128];

	if (x->version < PROGRESS || x->progress_told == PROGRESS_MAX)
		return HTTP_GO;
	durable = session_durable(x->w.session);
	if (durable <= x->told)
		return HTTP_GO;
	x->told = durable;
	x->progress_told++;
	(void)snprintf(fields, sizeof(fields),
		       "Upload-Draft-Interop-Version: %" PRIu64 "\r\nUpload-Offset: %" PRIu64
		       "\r\n",
		       x->version, durable);
	return request_interim(x->w.req, fields);
}

static enum http_next condemn(struct rufh *x);

static enum http_next body(struct request *req, const uint8_t *data, size_t *n)
{
	struct rufh *x = request_ctx(req);
	enum session_state state;

	if (x->condemned) {
		*n = 0;
		return work_answer(&x->w, inconsistent(x));
	}
	if (x->w.session == NULL) {
		*n = 0; /* it is finished: more than there may be */
		return refuse(x, inconsistent(x));
	}
	state = session_take(x->w.session, data, n);
	if (state == SESSION_GOES_ON && tell_progress(x) == HTTP_CUT)
		return HTTP_CUT;
	if (state == SESSION_FAILED && session_error(x->w.session) == ERR_TOOBIG &&
	    x->length_given && (x->w.target.rec != NULL || x->w.made != NULL)) {
		enum http_next next = condemn(x);

		*n = next == HTTP_WAIT; /* one left: so this is asked again when it is done */
		return next;
	}
	return session_next(x, state);
}

static struct reply *completed(struct rufh *x, const struct upload *u);

static enum http_next create_next(struct rufh *x);

static enum http_next finish(struct rufh *x)
{
	struct reply *refusal;
	enum session_state state = work_finish(&x->w, x->complete, &refusal);

	if (state == SESSION_FAILED && refusal == NULL && work_met(&x->w)) {
		x->body_taken = true;
		return create_next(x);
	}
	return refusal != NULL ? refuse(x, refusal) : session_next(x, state);
}

static enum http_next done(struct request *req)
{
	struct rufh *x = request_ctx(req);

	if (x->condemned)
		return work_answer(&x->w, inconsistent(x));
	if (x->body_taken)
		return create_next(x);
	return x->w.session != NULL ? finish(x) : work_answer(&x->w, completed(x, x->w.target.rec));
}

/* ---- creation ---- */

/* The final answer, here and wherever it is asked for again. */
static struct reply *completed(struct rufh *x, const struct upload *u)
{
	struct reply *r;

	if (x->w.target.details.role == ROLE_PARTIAL) { /* not to be fetched on its own */
		r = reply_new(204);
		answer_add_state(r, u);
	} else {
		r = answer_finished(x->w.req, u);
	}
	add_complete(r, x, true);
	answer_add_offset(r, u->offset);
	return r;
}

static struct reply *created(struct rufh *x, const struct upload *u)
{
	struct reply *r = reply_new(201);

	answer_add_location(r, x->w.req, u);
	add_complete(r, x, false);
	answer_add_offset(r, u->offset);
	add_limit(r, x, u);
	answer_add_tokens(r, x->w.req, u);
	answer_add_state(r, u);
	return r;
}

static struct reply *read_creation(struct rufh *x)
{
	struct reply *refusal;

	read_complete(x);
	refusal = creation_permit(&x->w.creation, x->w.req);
	if (refusal != NULL)
		return refusal;
	if (!x->complete_given)
		return problem_reply(400, NULL, "Upload-Complete is neither ?1 nor ?0.");
	if (field_there(x->w.req, "Upload-Concat"))
		return problem_reply(400, NULL, "Upload-Concat belongs to tus 1.0.0.");
	refusal = read_length(x, 0);
	if (refusal == NULL && x->length_given &&
	    x->length > request_settings(x->w.req)->upload_max)
		refusal = problem_here(x, ERR_TOOBIG);
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

static enum http_next begin_session(struct rufh *x, const struct upload *rec, bool fresh)
{
	const struct details *d =
		fresh || x->w.made != NULL ? &x->w.creation.details : &x->w.target.details;
	const struct session_plan plan = {
		.rec = rec,
		.fresh = fresh,
		.all_or_none = checks_any(&x->w.checks),
		/* tus-js-client sends nothing more for an empty file */
		.ends_at_length = x->length == 0,
		.digest_expected = d->digest_given,
		.expected = d->digest,
		.length = x->length,
		.ttl_s = d->ttl_s,
		.host = d->host,
		.max = d->max,
		.announced = request_body_length(x->w.req),
		.sums = checks_sums(&x->w.checks),
		.claim = x->w.target.claim,
	};
	struct err e = { 0 };
	enum err_code rc = session_begin(&x->w.session, x->w.req, &plan, &x->w.refusal, &e);

	if (rc != ERR_OK)
		return rc == ERR_OFFSET ? HTTP_CUT : refuse(x, problem_here(x, rc));
	x->w.target.claim = NULL; /* the session's */
	x->told = rec->offset;
	return HTTP_GO;
}

static enum http_next tell_location(struct rufh *x)
{
	char location[ANSWER_LOCATION_SIZE], limit[LIMIT_SIZE], fields[640];
	struct answer_tokens tokens;

	answer_location(location, x->w.req, x->w.made);
	answer_mint(&tokens, x->w.req, x->w.made);
	write_limit(x, x->w.made, limit);
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
		return create_next(x);
	}
	if (x->rc != ERR_OK)
		return refuse(x, problem_of(x->rc));
	if (tell_location(x) == HTTP_CUT)
		return HTTP_CUT;
	return begin_session(x, x->w.made, false);
}

/* What the same grant has made before, as far as it is by now. */
static struct reply *created_before(struct rufh *x)
{
	const struct upload *u = x->w.creation.admission.there;

	return u->finished && x->complete ? completed(x, u) : created(x, u);
}

static enum http_next create_next(struct rufh *x)
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
		return refuse(x, refusal);
	if (x->version != 0 && request_body_length(x->w.req) != 0)
		return begin_storing(x);
	return begin_session(x, &c->rec, true);
}

static enum http_next create_head(struct request *req)
{
	struct rufh *x = request_ctx(req);
	struct reply *refusal;

	if (x != NULL)
		return x->stored || x->w.made != NULL ? stored(x) : create_next(x);
	x = rufh_new(req);
	if (x == NULL)
		return HTTP_CUT;
	refusal = read_creation(x);
	/* the whole's digest is the creation's */
	x->w.checks.whole_given = false;
	return refusal != NULL ? refuse(x, refusal) : create_next(x);
}

/* ---- offset retrieval ---- */

static struct reply *state_of(struct rufh *x)
{
	const struct upload *u = x->w.target.rec;
	const struct details *d = &x->w.target.details;
	struct reply *r = reply_new(204);

	if (r == NULL)
		return NULL;
	add_complete(r, x, u->finished);
	if (u->finished || d->role != ROLE_FINAL)
		answer_add_offset(r, u->offset);
	if (u->length != UPLOAD_LENGTH_UNKNOWN)
		reply_headerf(r, "Upload-Length", "%" PRIu64, u->length);
	else if (d->role != ROLE_FINAL)
		reply_header(r, "Upload-Defer-Length", "1"); /* tus-js-client asks for it */
	answer_add_sent(r, "Upload-Metadata", d->metadata);
	add_limit(r, x, u);
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
		gone(req);
		return request_become(req, &fetch_upload_handler);
	}
	return work_answer(&x->w, state_of(x));
}

/* Until interop version 6, looking and cancelling take no field of the protocol. */
static bool has_stray_fields(const struct rufh *x)
{
	return x->version != 0 && x->version <= MEDIA_TYPE &&
	       (field_there(x->w.req, "Upload-Offset") ||
		field_there(x->w.req,
			    x->version == OLDEST ? "Upload-Incomplete" : "Upload-Complete"));
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

/* ---- appending ---- */

static struct reply *read_append(struct rufh *x)
{
	read_complete(x);
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

/* More than there may be: the resource is invalid from now on, says the draft, since -08. */
static void drop_condemned(struct job *job)
{
	struct rufh *x = JOB_OWNER(job, struct rufh, job);

	const struct upload *u = x->w.made != NULL ? x->w.made : x->w.target.rec;

	(void)manage_terminate(x->w.req, u);
	request_wake(x->w.req);
}

static enum http_next condemn(struct rufh *x)
{
	x->condemned = true;
	if (x->version != 0 && x->version <= MEDIA_TYPE)
		return work_answer(&x->w, inconsistent(x));
	x->job.run = drop_condemned;
	request_wait(x->w.req);
	workers_submit(request_server(x->w.req)->writers, &x->job);
	return HTTP_WAIT;
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
	struct reply *refusal = read_length(x, u->offset);

	if (refusal != NULL)
		return refusal;
	if (!x->length_given)
		x->length = u->length;
	else if (u->length != UPLOAD_LENGTH_UNKNOWN && u->length != x->length)
		return inconsistent(x);
	x->length_given = x->length != UPLOAD_LENGTH_UNKNOWN;
	if (x->length_given && x->length < u->offset)
		return inconsistent(x);
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
		return refuse(x, problem_reply(403, NULL,
					       "A final upload gets its bytes from its parts."));
	if (x->offset != u->offset)
		return refuse(x, problem_offset(u->offset, x->offset));
	if (u->finished && request_body_length(x->w.req) == 0)
		return work_answer(&x->w, completed(x, u));
	if (u->finished && request_body_length(x->w.req) != HTTP_LENGTH_UNKNOWN)
		return refuse(x, inconsistent(x));
	if (u->finished) {
		target_let_go(&x->w.target);
		return HTTP_GO; /* the body may be empty too */
	}
	if (too_much(x))
		return condemn(x);
	refusal = settle_length(x);
	return refusal != NULL ? work_answer(&x->w, refusal) : begin_session(x, u, false);
}

static enum http_next append_next(struct rufh *x)
{
	enum http_next next;

	if (x->condemned)
		return work_answer(&x->w, inconsistent(x));
	next = target_find(&x->w.target);
	if (next != HTTP_GO)
		return next;
	return x->w.target.rc == ERR_OK ? append_found(x)
					: refuse(x, target_problem(x->w.target.rc));
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
		return refuse(x, refusal);
	rc = target_check(&x->w.target, req, TOKEN_UPLOAD);
	return rc == ERR_OK ? append_next(x) : refuse(x, target_problem(rc));
}

static struct reply *appended(struct rufh *x, const struct upload *u)
{
	struct reply *r = reply_new(x->version != 0 && x->version <= MEDIA_TYPE ? 201 : 204);

	add_complete(r, x, false);
	answer_add_offset(r, u->offset);
	add_limit(r, x, u);
	answer_add_state(r, u);
	return r;
}

static enum http_next session_next(struct rufh *x, enum session_state state)
{
	const struct upload *u;

	switch (state) {
	case SESSION_WAITS:
		return HTTP_WAIT;
	case SESSION_FAILED:
		return refuse(x, problem_here(x, session_error(x->w.session)));
	case SESSION_DONE:
		u = session_upload(x->w.session);
		if (u->finished && x->complete)
			return work_answer(&x->w, completed(x, u));
		return work_answer(&x->w, x->w.target.rec == NULL ? created(x, u) : appended(x, u));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
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

const struct handler rufh_create_handler = {
	.head = create_head, .body = body, .done = done, .gone = gone
};
const struct handler rufh_look_handler = { .head = look_head, .gone = gone };
const struct handler rufh_append_handler = {
	.head = append_head, .body = body, .done = done, .gone = gone
};
const struct handler rufh_cancel_handler = { .head = cancel_head, .gone = cancel_gone };
