/* creation - a new upload as a resumable dialect asks for it: its record, before it is in the
 * store. Loop thread. */
#ifndef RESTANTE_SERVER_DIALECT_CREATION_H
#define RESTANTE_SERVER_DIALECT_CREATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/details.h"
#include "server/http.h"
#include "server/params.h"
#include "storage/store.h"

struct creation {
	struct upload rec;
	struct params params;
	struct details details; /* as they are in rec.meta; views into the request */
	uint8_t *meta;
	bool counted; /* in the census */
};

/* Reads parameters, Repr-Digest and Upload-Metadata of the request. The answer if they are not well
 * formed, else NULL. */
struct reply *creation_read(struct creation *c, struct request *r);

/* Makes the record, whose details.role, concat and parts the caller has set, and counts it. The
 * answer if that cannot be, else NULL. */
struct reply *creation_make(struct creation *c, struct request *r, uint64_t length);

/* What of it is not needed any more; `stays` says whether there is an upload now. */
void creation_fini(struct creation *c, const struct request *r, bool stays);

#endif
