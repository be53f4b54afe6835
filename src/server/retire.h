/* retire - the one place where an upload goes, for whatever reason: its time is over, its creator
 * deletes it, or what it waits for is gone. The store drops it; then all who know of it in memory
 * hear of that. For threads that may wait for a disk. */
#ifndef RESTANTE_SERVER_RETIRE_H
#define RESTANTE_SERVER_RETIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "storage/store.h"

struct server;

enum retire_how {
	RETIRE_DURABLE, /* gone when this returns */
	RETIRE_EXPIRED, /* its time is over: should a crash bring it back, it is due again */
};

/* What came of it; told of RETIRE_EXPIRED only. */
struct retired {
	uint64_t freed; /* bytes of its blob that nobody needs any more */
	bool blob_gone;
};

/* Drops an upload of which u is the record, looked up a moment ago. Until remember_until_s (0: not
 * at all), and in any case as long as its id is spent, the store knows that it was deleted. *out
 * (unless NULL) is written on success only. ERR_NOTFOUND, ERR_DELETED: somebody else has dropped it
 * meanwhile. ERR_IO, ERR_FULL. */
enum err_code retire(struct server *s, const struct upload *u, int64_t remember_until_s,
		     enum retire_how how, struct retired *out, struct err *e);

/* Tells those in memory of one that the store has just dropped by itself, when the last of its
 * recipients had it. Once for each upload, and between quota_drop_begin() and quota_drop_end(). */
void retire_gone(struct server *s, const struct upload *u);

#endif
