#include "server/dialect/work.h"

#include "server/problem.h"

static void let_go(struct work *w)
{
	const bool made =
		w->made != NULL || (w->session != NULL && session_upload(w->session) != NULL);

	creation_fini(&w->creation, w->req, made);
	session_end(w->session);
	w->session = NULL;
	target_fini(&w->target);
}

enum http_next work_answer(struct work *w, struct reply *r)
{
	let_go(w);
	return request_reply(w->req, r);
}

struct reply *work_problem(const struct work *w, enum err_code rc)
{
	if (rc != ERR_LIMIT)
		return problem_of(rc);
	return problem_quota(w->session != NULL ? session_refusal(w->session) : &w->refusal);
}

enum session_state work_finish(struct work *w, bool complete, struct reply **refusal)
{
	struct session_close c = { .complete = complete };

	*refusal = checks_read_trailer(&w->checks, w->req);
	if (*refusal != NULL) {
		session_refuse(w->session);
		return SESSION_FAILED;
	}
	c.digest_expected = w->checks.whole_given;
	c.expected = w->checks.whole;
	c.sums = w->checks.sums;
	c.sum_count = w->checks.count;
	return session_finish(w->session, &c);
}

bool work_met(struct work *w)
{
	if (w->target.rec != NULL || !creation_again(&w->creation, session_error(w->session)))
		return false;
	session_end(w->session);
	w->session = NULL;
	return true;
}

void work_fini(struct work *w)
{
	let_go(w);
	upload_free(w->made);
	w->made = NULL;
}
