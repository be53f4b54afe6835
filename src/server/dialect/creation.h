/* creation - a new upload as a resumable dialect asks for it: its record, before it is in the
 * store. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_CREATION_H
#define RESTANTE_SERVER_DIALECT_CREATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/admission.h"
#include "server/details.h"
#include "server/http.h"
#include "server/params.h"
#include "storage/store.h"

struct creation {
	struct admission admission; /* its `there`: no new one is to be made */
	struct upload rec;
	struct params params;
	struct details details; /* as they are in rec.meta; views into the request */
	uint8_t *meta;
	bool counted; /* in the census */
};

/* Whether the request may create an upload at all. The answer if not, else NULL. */
struct reply *creation_permit(struct creation *c, struct request *r);

/* Then reads parameters, Repr-Digest and Upload-Metadata of the request. The answer if they are not
 * well formed, or not what was permitted, else NULL. */
struct reply *creation_read(struct creation *c, struct request *r);

/* Then has it admitted, and makes the record, whose details.role, concat and parts the caller has
 * set. HTTP_WAIT: to be called again, all the same, after the wait. HTTP_GO: *refusal is the answer
 * if it cannot be, else NULL. */
enum http_next creation_make(struct creation *c, uint64_t length, struct reply **refusal);

/* The store had an upload of that id at last: creation_make() is to be called again, and finds it.
 * False: that is a failure like any other. */
bool creation_again(struct creation *c, enum err_code rc);

/* What of it is not needed any more; `stays` says whether there is an upload now. */
void creation_fini(struct creation *c, const struct request *r, bool stays);

#endif
