/* live - unfinished uploads that somebody fetches while they arrive. Whoever writes one tells what
 * has become durable, and its last pieces stay at hand here, shared and not copied; whoever fetches
 * it follows, and is woken when there is more.
 *
 * Only durable bytes are ever told of. Any thread, unless said otherwise; no call waits for a disk.
 * Followers are woken under a lock that live_leave() passes too. */
#ifndef RESTANTE_SERVER_LIVE_H
#define RESTANTE_SERVER_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/reply.h"

struct live; /* of one upload */
struct live_follower;
struct live_table;
struct request;

enum err_code live_new(struct live_table **out, struct err *e);
void live_free(struct live_table *t); /* nobody may be left; NULL is fine */

/* ---- for who writes an upload: one at a time ---- */

/* Begins. followed(ctx, true) is called when the first follower comes, also of those who are there
 * already, and followed(ctx, false) when the last has left: under a lock, so it must not call back.
 * NULL without memory. */
struct live *live_feed(struct live_table *t, const struct upload_id *id, uint64_t durable,
		       void (*followed)(void *ctx, bool yes), void *ctx);

/* Bytes that are staged and not durable yet: nobody sees them before live_advance(). Takes a
 * reference if anyone follows; what the chunk holds by now must not change any more. `room`: memory
 * is not short. */
void live_offer(struct live *l, uint64_t offset, struct chunk *c, bool room);

/* So many bytes of the upload are durable. NULL is fine. */
void live_advance(struct live *l, uint64_t durable, int64_t now_ms);

/* Ends, before anybody else may write: what was offered and is not durable is forgotten. NULL is
 * fine. */
void live_feed_end(struct live *l);

/* ---- for those who end it, or the wait for it ---- */

/* It is finished, durably, and has so many bytes. */
void live_finish(struct live_table *t, const struct upload_id *id, uint64_t size);

/* It is gone: followers are not to take a part for the whole. */
void live_cut(struct live_table *t, const struct upload_id *id);

/* Followers of whatever has gained nothing for so long, nor since they came, are cut. */
void live_stall(struct live_table *t, int64_t now_ms, int64_t timeout_ms);

/* Memory is short: no more than its last piece is kept at hand of any upload. */
void live_trim(struct live_table *t);

/* The server stops: what nobody writes any more is not waited for. */
void live_drain(struct live_table *t);

size_t live_followers(struct live_table *t);

/* ---- for fetches ---- */

/* From here on req is woken as live_next() says, until live_leave(), which its gone() has to call.
 * Whoever joins has to look the upload up once more, since it may have been finished or dropped
 * just before. NULL without memory. */
struct live_follower *live_join(struct live_table *t, const struct upload_id *id,
				struct request *req, int64_t now_ms);

/* What that look has shown to be durable; and the length, if the answer is to tell it, else
 * UINT64_MAX. What has that length may yet turn out to be something else than announced: so its
 * last byte is not shown before it is finished. False: it has ended meanwhile. */
bool live_learn(struct live_follower *f, uint64_t durable, uint64_t length);

enum live_next {
	LIVE_HERE,   /* out has bytes, with a reference */
	LIVE_BEHIND, /* durable, but not in memory here */
	LIVE_WAIT, /* nothing yet: one request_wake() comes when that changes, but for live_leave()
		    */
	LIVE_END,  /* there is nothing more, and what there is, is whole */
	LIVE_CUT,  /* there will be nothing more */
};

/* What follower f finds at this offset. No more than *max bytes count, and *max is what may be
 * shown of them by now. For its request's event loop. */
enum live_next live_next(struct live_follower *f, uint64_t at, uint64_t *max,
			 struct reply_piece *out);

void live_leave(struct live_follower *f); /* NULL is fine */

#endif
