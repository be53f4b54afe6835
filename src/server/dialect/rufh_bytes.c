#include "server/dialect/rufh_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/manage.h"
#include "server/server.h"

/* Some clients give up after five interim answers. */
#define PROGRESS_MAX 3

enum http_next rufh_begin_session(struct rufh *x, const struct upload *rec, bool fresh)
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
		return rc == ERR_OFFSET ? HTTP_CUT : rufh_refuse(x, rufh_problem(x, rc));
	x->w.target.claim = NULL; /* the session's */
	x->told = rec->offset;
	return HTTP_GO;
}

static void drop_condemned(struct job *job)
{
	struct rufh *x = JOB_OWNER(job, struct rufh, job);

	const struct upload *u = x->w.made != NULL ? x->w.made : x->w.target.rec;

	(void)manage_terminate(x->w.req, u);
	request_wake(x->w.req);
}

enum http_next rufh_condemn(struct rufh *x)
{
	x->condemned = true;
	if (x->version != 0 && x->version <= MEDIA_TYPE)
		return work_answer(&x->w, rufh_inconsistent(x));
	x->job.run = drop_condemned;
	request_wait(x->w.req);
	workers_submit(request_server(x->w.req)->writers, &x->job);
	return HTTP_WAIT;
}

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

static enum http_next session_next(struct rufh *x, enum session_state state)
{
	const struct upload *u;

	switch (state) {
	case SESSION_WAITS:
		return HTTP_WAIT;
	case SESSION_FAILED:
		return rufh_refuse(x, rufh_problem(x, session_error(x->w.session)));
	case SESSION_DONE:
		u = session_upload(x->w.session);
		if (u->finished && x->complete)
			return work_answer(&x->w, rufh_completed(x, u));
		return work_answer(&x->w, x->w.target.rec == NULL ? rufh_created(x, u)
								  : rufh_appended(x, u));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
}

enum http_next rufh_body(struct request *req, const uint8_t *data, size_t *n)
{
	struct rufh *x = request_ctx(req);
	enum session_state state;

	if (x->condemned) {
		*n = 0;
		return work_answer(&x->w, rufh_inconsistent(x));
	}
	if (x->w.session == NULL) {
		*n = 0; /* it is finished: more than there may be */
		return rufh_refuse(x, rufh_inconsistent(x));
	}
	state = session_take(x->w.session, data, n);
	if (state == SESSION_GOES_ON && tell_progress(x) == HTTP_CUT)
		return HTTP_CUT;
	if (state == SESSION_FAILED && session_error(x->w.session) == ERR_TOOBIG &&
	    x->length_given && (x->w.target.rec != NULL || x->w.made != NULL)) {
		enum http_next next = rufh_condemn(x);

		*n = next == HTTP_WAIT; /* one left: so this is asked again when it is done */
		return next;
	}
	return session_next(x, state);
}

enum http_next rufh_room(struct request *req, size_t there, struct iovec *out)
{
	struct rufh *x = request_ctx(req);

	if (tell_progress(x) == HTTP_CUT)
		return HTTP_CUT;
	return session_next(x, session_room(x->w.session, there, out));
}

void rufh_came(struct request *req, size_t n)
{
	struct rufh *x = request_ctx(req);

	session_came(x->w.session, n);
}

static enum http_next finish(struct rufh *x)
{
	struct reply *refusal;
	enum session_state state = work_finish(&x->w, x->complete, &refusal);

	if (state == SESSION_FAILED && refusal == NULL && work_met(&x->w)) {
		x->body_taken = true;
		return rufh_create_next(x);
	}
	return refusal != NULL ? rufh_refuse(x, refusal) : session_next(x, state);
}

enum http_next rufh_done(struct request *req)
{
	struct rufh *x = request_ctx(req);

	if (x->condemned)
		return work_answer(&x->w, rufh_inconsistent(x));
	if (x->body_taken)
		return rufh_create_next(x);
	return x->w.session != NULL ? finish(x)
				    : work_answer(&x->w, rufh_completed(x, x->w.target.rec));
}
