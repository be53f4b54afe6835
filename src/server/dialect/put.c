#include "server/dialect/put.h"

#include "base/clock.h"
#include "server/finished.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/session.h"

static enum http_next head(struct request *req)
{
	struct server *server = request_server(req);
	struct session *s;
	struct params p;
	const char *complaint, *field;
	bool twice;
	size_t n = 0;
	enum err_code rc;
	struct err e;

	field = request_header(req, "Repr-Digest", &n, &twice);
	if (field != NULL && twice)
		return request_reply(req, problem_reply(400, NULL, "Repr-Digest stands twice."));
	if (params_parse(&p, request_query(req), server_settings(server), &complaint) != ERR_OK ||
	    params_add_digest(&p, field, n, &complaint) != ERR_OK)
		return request_reply(req, problem_reply(400, NULL, complaint));
	/* RFC 9110 section 14.5: a partial PUT is not understood here, and must not be taken for
	 * a whole one */
	if (request_header(req, "Content-Range", &n, NULL) != NULL)
		return request_reply(
			req, problem_reply(400, NULL, "Content-Range is for resumable uploads."));
	rc = session_begin(&s, req, &p, request_body_length(req), clock_now_s(), &e);
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
	case SESSION_FINISHED:
		return request_reply(req, finished_reply(server, session_upload(s)));
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
	struct session *s = request_ctx(req);

	return next(req, s, session_finish(s));
}

static void gone(struct request *req)
{
	session_end(request_ctx(req));
}

const struct handler put_handler = { .head = head, .body = body, .done = done, .gone = gone };
