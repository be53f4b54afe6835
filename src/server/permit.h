/* permit - whether a request may create an upload, and what of it is settled by whoever allowed
 * that: a grant (DESIGN, "Tokens and grants"), in `Authorization: Bearer` (RFC 6750 section 2.1).
 * No I/O; loop thread. */
#ifndef RESTANTE_SERVER_PERMIT_H
#define RESTANTE_SERVER_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "server/details.h"
#include "server/http.h"
#include "server/params.h"
#include "storage/store.h"

struct permit {
	bool given;     /* by a grant; else uploads are open to whoever can connect */
	uint64_t max;   /* bytes; 0: as many as any */
	uint64_t ttl_s; /* at most; 0: as long as any */
	bool kind_given, recipients_given, digest_given; /* then they are what they are here */
	enum kind kind;
	uint16_t recipients;
	struct digest digest;
	bool reuse;              /* a blob that is there may be referred to */
	struct bucket_id bucket; /* all zero: none */
	bool once;               /* for one upload, and this is its id */
	struct upload_id id;
	int64_t spent_until_s; /* how long that has to be remembered; 0: not at all */
};

/* Reads and checks the grant of the request, where one is needed. The answer if there is none that
 * does, else NULL. */
struct reply *permit_read(struct permit *out, const struct request *r);

/* Puts into the parameters what the permit settles. The answer if the client has said otherwise,
 * else NULL. */
struct reply *permit_settle(const struct permit *p, struct params *params,
			    const struct settings *set);

/* Gives a record that is to be created its id, its bucket, and the time it is remembered; and its
 * details their bounds. */
void permit_mark(const struct permit *p, struct upload *rec, struct details *d);

#endif
