/* meter - what a request charges its upload's bucket for while bytes come: more than the store has
 * of it, as long as they are on their way; what of that is not kept is given back. And how much it
 * brings in a minute. The creation of an upload, and what it weighs then, are its creator's to
 * charge. All zero: a meter that was not begun, and may be ended.
 *
 * meter_stored() is for the thread that commits, beside the request's loop; all else for one thread
 * at a time. */
#ifndef RESTANTE_SERVER_METER_H
#define RESTANTE_SERVER_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/quota.h"
#include "storage/store.h"

struct meter {
	struct quota *quota; /* NULL: not begun, or there is no bucket */
	struct bucket_id bucket;
	const struct settings *limits;
	bool grows;       /* its length is not known: it weighs what has come */
	uint64_t charged; /* what the upload weighs in memory's sums */
	uint64_t stored;  /* ... and in the store */
	uint64_t to_come; /* of what was announced, and counts in its minute: not here yet */
	int64_t began_ms; /* when that was counted */
};

/* rec: the upload as it is stored, or created; length: from now on, or UPLOAD_LENGTH_UNKNOWN;
 * announced: bytes the request brings, 0 for none, UINT64_MAX if nobody knows. Its bucket is held
 * by somebody. ERR_LIMIT: *why. ERR_BUSY, ERR_NOMEM. */
enum err_code meter_begin(struct meter *m, struct quota *q, const struct upload *rec,
			  uint64_t length, uint64_t announced, const struct settings *limits,
			  int64_t now_ms, struct quota_refusal *why);

/* Bytes up to this offset of the upload are about to be taken. ERR_LIMIT: *why. */
enum err_code meter_reach(struct meter *m, uint64_t offset, struct quota_refusal *why);

/* So many more have been. */
void meter_count(struct meter *m, uint64_t bytes);

/* The store has the upload now, and it weighs that much there. */
void meter_stored(struct meter *m, uint64_t weight);

/* Gives back what is charged and not stored, announced and not sent: nothing more comes. Again is
 * fine. */
void meter_settle(struct meter *m);

/* The same, and lets go of the bucket. */
void meter_end(struct meter *m);

#endif
