/* work - what a request on the upload resource holds, whichever dialect it speaks: the upload it is
 * about or creates, the session of its bytes, and what those are to have. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_WORK_H
#define RESTANTE_SERVER_DIALECT_WORK_H

#include "server/dialect/checks.h"
#include "server/dialect/creation.h"
#include "server/session.h"
#include "server/target.h"

/* Zeroes but for req to begin with. */
struct work {
	struct request *req;
	struct creation creation; /* of a new upload */
	struct upload *made;      /* its record, if it is in the store without a session; owned */
	struct target target;     /* an upload that is there */
	struct checks checks;
	struct session *session;
	struct quota_refusal refusal; /* of session_begin(), or of a final */
};

/* Answers. The upload is let go before: the client may take its time. */
enum http_next work_answer(struct work *w, struct reply *r);

/* The problem that a failure of the session, of its beginning, or of a final is. */
struct reply *work_problem(const struct work *w, enum err_code rc);

/* The body is there: reads the trailer section and finishes the session, and with `complete` the
 * upload; *refusal is the answer if the trailer does not do, and then nothing else counts. */
enum session_state work_finish(struct work *w, bool complete, struct reply **refusal);

/* After SESSION_FAILED: whether it failed because another request with the same grant was quicker.
 * Then the session is over, and creation_make() finds what that one has made. */
bool work_met(struct work *w);

void work_fini(struct work *w);

#endif
