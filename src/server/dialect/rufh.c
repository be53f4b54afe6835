#include "server/dialect/rufh_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "server/answer.h"
#include "server/dialect/fields.h"
#include "server/problem.h"
#include "server/server.h"

#define INCONSISTENT_LENGTH \
	"https://iana.org/assignments/http-problem-types#inconsistent-upload-length"

struct rufh *rufh_new(struct request *req)
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

void rufh_gone(struct request *req)
{
	struct rufh *x = request_ctx(req);

	work_fini(&x->w);
	free(x);
}

/* ---- what they say ---- */

void rufh_read_complete(struct rufh *x)
{
	bool incomplete;

	if (field_sf_boolean(x->w.req, "Upload-Complete", &x->complete)) {
		x->complete_given = true;
	} else if (field_sf_boolean(x->w.req, "Upload-Incomplete", &incomplete)) {
		x->complete_given = true;
		x->complete = !incomplete;
	}
}

struct reply *rufh_read_length(struct rufh *x, uint64_t offset)
{
	const uint64_t announced = request_body_length(x->w.req);

	x->length = UPLOAD_LENGTH_UNKNOWN;
	x->length_given = field_sf_unsigned(x->w.req, "Upload-Length", &x->length);
	if (!x->complete || announced == HTTP_LENGTH_UNKNOWN)
		return NULL;
	if (x->length_given && x->length != offset + announced)
		return rufh_inconsistent(x);
	x->length_given = true;
	x->length = offset + announced;
	return NULL;
}

/* ---- what is answered ---- */

void rufh_add_complete(struct reply *r, const struct rufh *x, bool complete)
{
	if (r == NULL)
		return;
	if (x->version == OLDEST)
		reply_header(r, "Upload-Incomplete", complete ? "?0" : "?1");
	else
		reply_header(r, "Upload-Complete", complete ? "?1" : "?0");
}

void rufh_write_limit(const struct rufh *x, const struct upload *u,
		      char out[static RUFH_LIMIT_SIZE])
{
	const struct settings *set = request_settings(x->w.req);
	const int64_t left = u->expires_s - clock_now_s();

	(void)snprintf(out, RUFH_LIMIT_SIZE, "max-size=%" PRIu64 ", min-size=0, %s=%" PRId64,
		       set->upload_max, x->version == MEDIA_TYPE ? "expires" : "max-age",
		       left > 0 ? left : 0);
}

void rufh_add_limit(struct reply *r, const struct rufh *x, const struct upload *u)
{
	char limit[RUFH_LIMIT_SIZE];

	rufh_write_limit(x, u, limit);
	if (r != NULL)
		reply_header(r, "Upload-Limit", limit);
}

struct reply *rufh_completed(struct rufh *x, const struct upload *u)
{
	struct reply *r;

	if (x->w.target.details.role == ROLE_PARTIAL) { /* not to be fetched on its own */
		r = reply_new(204);
		answer_add_state(r, u);
	} else {
		r = answer_finished(x->w.req, u);
	}
	rufh_add_complete(r, x, true);
	answer_add_offset(r, u->offset);
	return r;
}

struct reply *rufh_created(struct rufh *x, const struct upload *u)
{
	struct reply *r = reply_new(201);

	answer_add_location(r, x->w.req, u);
	rufh_add_complete(r, x, false);
	answer_add_offset(r, u->offset);
	rufh_add_limit(r, x, u);
	answer_add_tokens(r, x->w.req, u);
	answer_add_state(r, u);
	return r;
}

struct reply *rufh_appended(struct rufh *x, const struct upload *u)
{
	struct reply *r = reply_new(x->version != 0 && x->version <= MEDIA_TYPE ? 201 : 204);

	rufh_add_complete(r, x, false);
	answer_add_offset(r, u->offset);
	rufh_add_limit(r, x, u);
	answer_add_state(r, u);
	return r;
}

struct reply *rufh_inconsistent(struct rufh *x)
{
	struct reply *r = problem_reply(400, INCONSISTENT_LENGTH,
					"The length is not the one that was announced.");

	rufh_add_complete(r, x, false);
	return r;
}

struct reply *rufh_problem(struct rufh *x, enum err_code rc)
{
	const uint64_t max = request_settings(x->w.req)->upload_max;
	struct reply *r;

	if (rc == ERR_TOOBIG && x->length_given && x->length <= max)
		return rufh_inconsistent(x);
	r = work_problem(&x->w, rc);
	if (r != NULL && rc == ERR_TOOBIG)
		reply_headerf(r, "Upload-Limit", "max-size=%" PRIu64 ", min-size=0", max);
	return r;
}

enum http_next rufh_refuse(struct rufh *x, struct reply *r)
{
	rufh_add_complete(r, x, false);
	return work_answer(&x->w, r);
}
