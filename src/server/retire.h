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

/* Drops an upload of which u is the record, looked up a moment ago: what it weighs by now, the
 * store tells. Gone when this returns. Until remember_until_s (0: not at all), and in any case as
 * long as its id is spent, the store knows that it was deleted. ERR_NOTFOUND, ERR_DELETED: somebody
 * else has dropped it meanwhile. ERR_IO, ERR_FULL. */
enum err_code retire(struct server *s, const struct upload *u, int64_t remember_until_s,
		     struct err *e);

/* The same for one whose time is over: should a crash bring it back, it is due again. *out is
 * written on success only. ERR_EXISTS: its time is not over at now_s. */
enum err_code retire_expired(struct server *s, const struct upload *u, int64_t now_s,
			     struct dropped *out, struct err *e);

/* Tells those in memory of one that the store has just dropped by itself, when the last of its
 * recipients had it. Once for each upload, and between quota_drop_begin() and quota_drop_end(). */
void retire_gone(struct server *s, const struct upload_id *id, const struct dropped *gone);

#endif
