#include "server/dialect/put.h"

#include <sodium.h>

#include "base/clock.h"
#include "server/answer.h"
#include "server/params.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/session.h"

static enum err_code begin(struct session **s, struct request *req, const struct params *p)
{
	const uint64_t announced = request_body_length(req);
	const int64_t now = clock_now_s();
	struct upload rec = {
		.length = announced == HTTP_LENGTH_UNKNOWN ? UPLOAD_LENGTH_UNKNOWN : announced,
		.created_s = now,
		.expires_s = now + (int64_t)p->ttl_s,
		.kind = (uint8_t)p->kind,
		.recipients = p->recipients,
	};
	const struct session_plan plan = {
		.rec = &rec,
		.fresh = true,
		.all_or_none = true,
		.digest_expected = p->digest_given,
		.expected = p->digest,
		.length = rec.length,
		.ttl_s = p->ttl_s,
		.announced = announced,
	};

	randombytes_buf(rec.id.b, sizeof(rec.id.b));
	return session_begin(s, req, &plan, NULL);
}

static enum http_next head(struct request *req)
{
	const struct settings *set = request_settings(req);
	struct session *s;
	struct params p;
	const char *complaint, *field;
	bool twice;
	size_t n = 0;
	enum err_code rc;

	field = request_header(req, "Repr-Digest", &n, &twice);
	if (field != NULL && twice)
		return request_reply(req, problem_reply(400, NULL, "Repr-Digest stands twice."));
	if (params_parse(&p, request_query(req), set, &complaint) != ERR_OK ||
	    params_add_digest(&p, field, n, &complaint) != ERR_OK)
		return request_reply(req, problem_reply(400, NULL, complaint));
	/* RFC 9110 section 14.5: a partial PUT is not understood here, and must not be taken for
	 * a whole one */
	if (request_header(req, "Content-Range", &n, NULL) != NULL)
		return request_reply(
			req, problem_reply(400, NULL, "Content-Range is for resumable uploads."));
	rc = begin(&s, req, &p);
	if (rc != ERR_OK)
		return request_reply(req, problem_of(rc));
	request_set_ctx(req, s);
	return HTTP_GO;
}

static enum http_next next(struct request *req, struct session *s, enum session_state state)
{
	struct server *server = request_server(req);

	switch (state) {
	case SESSION_WAITS:
		return HTTP_WAIT;
	case SESSION_FAILED:
		return request_reply(req, problem_of(session_error(s)));
	case SESSION_DONE:
		return request_reply(req, answer_finished(server, session_upload(s)));
	case SESSION_GOES_ON:
		break;
	}
	return HTTP_GO;
}

static enum http_next body(struct request *req, const uint8_t *data, size_t *n)
{
	struct session *s = request_ctx(req);

	return next(req, s, session_take(s, data, n));
}

static enum http_next done(struct request *req)
{
	const struct session_close all = { .complete = true };
	struct session *s = request_ctx(req);

	return next(req, s, session_finish(s, &all));
}

static void gone(struct request *req)
{
	session_end(request_ctx(req));
}

const struct handler put_handler = { .head = head, .body = body, .done = done, .gone = gone };
