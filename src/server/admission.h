/* admission - what a new upload has to pass before a byte of it is taken: its permit (permit.h),
 * that its grant has not been used yet, and the quota of its bucket. Loop thread. */
#ifndef RESTANTE_SERVER_ADMISSION_H
#define RESTANTE_SERVER_ADMISSION_H

#include "base/err.h"
#include "server/http.h"
#include "server/permit.h"
#include "server/quota.h"
#include "server/workers.h"
#include "storage/store.h"

/* Zeroes but for req and permit to begin with. */
struct admission {
	struct request *req;
	struct permit permit;
	struct upload *there; /* what the same grant has made before; owned */
	struct job job;
	bool looking; /* a worker has been told to, and then: */
	enum err_code rc;
	bool asked_again;
	bool charged; /* in the bucket: the upload, and these bytes */
	uint64_t weight;
	int64_t charged_ms; /* when */
};

/* Goes on, at first and after each wait: HTTP_WAIT, or HTTP_GO when it is known. *refusal is the
 * answer then if it may not be, else NULL, and either `there` is the upload, or a new one, of
 * `weight` bytes as far as is known, is counted in its bucket. */
enum http_next admission_pass(struct admission *a, uint64_t weight, struct reply **refusal);

/* The store says that there is an upload of that id by now, or was: to be asked for it once more.
 * False: it was asked already, or the grant is for many, or the request cannot wait any more. */
bool admission_again(struct admission *a);

/* `stays` says whether there is an upload now, which the bucket goes on to count. */
void admission_fini(struct admission *a, bool stays);

#endif
