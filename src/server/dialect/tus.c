#include "server/dialect/tus_inside.h"

#include <stdlib.h>
#include <string.h>

#include "server/answer.h"
#include "server/dialect/fields.h"
#include "server/own_fields.h"
#include "server/problem.h"
#include "server/server.h"

struct reply *tus_check_version(struct request *req)
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

struct tus *tus_begin(struct request *req, enum http_next *next)
{
	struct reply *refusal = tus_check_version(req);
	struct tus *t;

	*next = HTTP_CUT;
	if (refusal != NULL) {
		*next = request_reply(req, refusal);
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->w.req = req;
	request_set_ctx(req, t);
	return t;
}

void tus_gone(struct request *req)
{
	struct tus *t = request_ctx(req);

	work_fini(&t->w);
	free(t->parts);
	free(t);
}

struct reply *tus_read_length(struct tus *t)
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

/* ---- what is answered ---- */

void tus_add_tokens(struct reply *r, struct tus *t, const struct upload *u, enum role role)
{
	if (role != ROLE_PARTIAL)
		answer_add_tokens(r, t->w.req, u);
}

struct reply *tus_created(struct tus *t, const struct upload *u)
{
	const enum role role = t->w.creation.details.role;
	struct reply *r = reply_new(201);

	answer_add_location(r, t->w.req, u);
	if (u->finished || role != ROLE_FINAL)
		answer_add_offset(r, u->offset);
	tus_add_tokens(r, t, u, role);
	answer_add_state(r, u);
	return r;
}

struct reply *tus_patched(struct tus *t, const struct upload *u)
{
	struct reply *r = reply_new(204);

	answer_add_offset(r, u->offset);
	if (u->finished)
		tus_add_tokens(r, t, u, t->w.target.details.role);
	answer_add_state(r, u);
	return r;
}

/* ---- bytes ---- */

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
		return work_answer(&t->w,
				   t->w.target.rec == NULL ? tus_created(t, u) : tus_patched(t, u));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
}

enum http_next tus_body(struct request *req, const uint8_t *data, size_t *n)
{
	struct tus *t = request_ctx(req);

	if (t->w.session != NULL)
		return session_next(t, session_take(t->w.session, data, n));
	*n = 0; /* it is finished: more than there may be */
	return work_answer(&t->w, problem_of(ERR_TOOBIG));
}

enum http_next tus_room(struct request *req, size_t there, struct iovec *out)
{
	struct tus *t = request_ctx(req);

	return session_next(t, session_room(t->w.session, there, out));
}

void tus_came(struct request *req, size_t n)
{
	struct tus *t = request_ctx(req);

	session_came(t->w.session, n);
}

enum http_next tus_finish(struct tus *t)
{
	struct reply *refusal;
	enum session_state state = work_finish(&t->w, false, &refusal);

	if (state == SESSION_FAILED && refusal == NULL && work_met(&t->w)) {
		t->body_taken = true;
		return tus_create_next(t);
	}
	return refusal != NULL ? work_answer(&t->w, refusal) : session_next(t, state);
}
