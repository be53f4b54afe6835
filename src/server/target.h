/* target - the upload that a request on the upload resource is about: its token is checked, older
 * requests on it are ended, its record is looked up. Loop thread. */
#ifndef RESTANTE_SERVER_TARGET_H
#define RESTANTE_SERVER_TARGET_H

#include "base/err.h"
#include "server/claims.h"
#include "server/details.h"
#include "server/http.h"
#include "server/workers.h"
#include "storage/store.h"
#include "wire/token.h"

struct target {
	struct request *req;
	struct upload_id id;
	uint32_t not_after;  /* of the token */
	struct claim *claim; /* held from the first step to target_fini() */
	/* What was found. ERR_NOTFOUND: no upload of this server, or deleted by its owner.
	 * ERR_EXPIRED: its time was over, and it may be gone. */
	enum err_code rc;
	struct upload *rec;     /* ERR_OK only, like the next */
	struct details details; /* views into rec */
	bool bucket_held;       /* for a PATCH of an unfinished one */
	struct job job;
	bool looking;
};

/* Checks the token in the path, without any I/O. ERR_NOTFOUND, ERR_EXPIRED. */
enum err_code target_check(struct target *t, struct request *req, enum token_type type);

/* Goes on after target_check() said ERR_OK, and again after every wait: HTTP_WAIT, or HTTP_GO when
 * it is known what there is; HTTP_CUT without memory. */
enum http_next target_find(struct target *t);

/* Lets others have it, while what was found stays. */
void target_let_go(struct target *t);

/* The problem that a failed target is: 404, 410, or of the store. */
struct reply *target_problem(enum err_code rc);

void target_fini(struct target *t);

#endif
