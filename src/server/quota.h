/* quota - what the uploads of a bucket come to, and its limits: bytes and uploads alive, and those
 * of the last minute. A bucket is what grants count against; its zero id means none: everything
 * here takes it and limits nothing.
 *
 * A bucket's sums are in memory, loaded from the store when they are first needed and forgotten
 * when they have not been for long. They are what the store has, and beside it what is about to be
 * stored: charged before, and given back by whoever charged it if it does not come to that. So they
 * are exact, also across a restart, if everyone keeps to two rules:
 *
 * - What is charged and not stored yet is held: quota_enter() holds the bucket until
 *   quota_let_go(), and who is to grow an upload holds it by quota_hold().
 * - What is dropped from the store is given back between quota_drop_begin() and quota_drop_end(),
 *   in which the store's drop lies too, so that no load counts it twice or not at all.
 *
 * Times are of clock_mono_ms(). Any thread; only quota_load() waits for a disk, and for drops
 * quota_drop_begin() may wait for such a load. */
#ifndef RESTANTE_SERVER_QUOTA_H
#define RESTANTE_SERVER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/settings.h"
#include "storage/store.h"

struct quota;

/* Of what there would be too much. */
struct quota_refusal {
	const char *limit; /* "bytes", "uploads", "bytes-per-minute", "uploads-per-minute" */
	int status;        /* 507 for what is alive, 429 for the last minute's */
	unsigned retry_after_s;
};

/* Where sums are loaded from: tells of every stored upload of a bucket, as store_bucket() does. */
typedef enum err_code quota_source(void *ctx, const struct bucket_id *b, store_each *each,
				   void *each_ctx, struct err *e);

/* Over a store, which is borrowed; or over any other source, for tests. ERR_NOMEM. */
enum err_code quota_new(struct quota **out, struct store *store, struct err *e);
enum err_code quota_new_over(struct quota **out, quota_source *source, void *ctx, struct err *e);
void quota_free(struct quota *q); /* NULL is fine */

/* Whether the bucket's sums are in memory; they may go again if nobody holds them. */
bool quota_loaded(struct quota *q, const struct bucket_id *b);

/* Sees to it that they are. For workers. ERR_NOMEM, and what the store says. */
enum err_code quota_load(struct quota *q, const struct bucket_id *b, struct err *e);

/* Charges one more upload of that weight, and holds the bucket: until it is stored, or has been
 * given back. ERR_LIMIT: *why. ERR_BUSY: not loaded (any more). ERR_NOMEM. */
enum err_code quota_enter(struct quota *q, const struct bucket_id *b, const struct settings *limits,
			  uint64_t weight, int64_t now_ms, struct quota_refusal *why);

/* An upload that was charged at then_ms has come to nothing: gives back, the attempt too, and lets
 * go. */
void quota_undo(struct quota *q, const struct bucket_id *b, const struct settings *limits,
		uint64_t weight, int64_t then_ms, int64_t now_ms);

/* Holds a bucket that is loaded; false if it is not. For workers: loads it before, if need be. Then
 * lets it go. */
bool quota_hold(struct quota *q, const struct bucket_id *b);
enum err_code quota_load_and_hold(struct quota *q, const struct bucket_id *b, struct err *e);
void quota_let_go(struct quota *q, const struct bucket_id *b);

/* Charges that many more bytes of an upload that is there, for which the bucket is held. The same
 * errors. */
enum err_code quota_grow(struct quota *q, const struct bucket_id *b, const struct settings *limits,
			 uint64_t bytes, struct quota_refusal *why);

/* Gives back. Nothing happens if the bucket is not in memory: what is loaded later knows. */
void quota_leave(struct quota *q, const struct bucket_id *b, uint64_t uploads, uint64_t bytes);

/* Around a drop from the store and its quota_leave(). Short: loads wait for it. Not nested. */
void quota_drop_begin(struct quota *q, const struct bucket_id *b);
void quota_drop_end(struct quota *q, const struct bucket_id *b);

/* Whether the bucket has sent less than it may in a minute: asked before a body is taken. What is
 * announced of that counts from then on, so that many which begin together do not get past the
 * limit; 0 if nobody knows. The same errors. */
enum err_code quota_may_send(struct quota *q, const struct bucket_id *b,
			     const struct settings *limits, uint64_t announced, int64_t now_ms,
			     struct quota_refusal *why);

/* Of what was announced at then_ms so much did not come. */
void quota_not_sent(struct quota *q, const struct bucket_id *b, const struct settings *limits,
		    uint64_t bytes, int64_t then_ms, int64_t now_ms);

/* Bytes have come that were not announced. */
void quota_sent(struct quota *q, const struct bucket_id *b, uint64_t bytes, int64_t now_ms);

/* What is charged now; false if it is not in memory. For tests. */
bool quota_sums(struct quota *q, const struct bucket_id *b, uint64_t *uploads, uint64_t *bytes);

#endif
