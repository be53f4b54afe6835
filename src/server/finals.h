/* finals - uploads put together from others (tus 1.0.0, "Concatenation"): hashed by a worker, and
 * not copied. One whose parts are not all finished yet waits for them, also across a restart. */
#ifndef RESTANTE_SERVER_FINALS_H
#define RESTANTE_SERVER_FINALS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/quota.h"
#include "server/workers.h"
#include "storage/store.h"

struct finals;
struct server;

/* server is borrowed; its store and census are used. Has a thread of its own. */
enum err_code finals_new(struct finals **out, struct server *server, struct err *e);
void finals_free(struct finals *f); /* before the store is closed; NULL is fine */

/* From here on none is put together any more: ERR_IO. What waits goes on after the next start. Any
 * thread. */
void finals_stop(struct finals *f);

/* Runs a job that calls finals_make() once, in the thread for that. False: too many do. */
bool finals_submit(struct finals *f, struct job *job);

/* Counts the unfinished uploads of the store in the census, and goes on with the finals among them.
 * Before the first request. */
enum err_code finals_load(struct finals *f, struct err *e);

/* Makes a final of which `rec` says what it is to be, unfinished; its details name the parts. *out
 * is the record: finished, or waiting for parts. For such a job. ERR_NOTFOUND: a part is not there.
 * ERR_INVALID: one is not a partial upload. ERR_TOOBIG, ERR_DIGEST, ERR_FULL, ERR_IO.
 * ERR_LIMIT: its bucket may not have that much more, *why. One that waits is given up for that. */
enum err_code finals_make(struct finals *f, const struct upload *rec, struct upload **out,
			  struct quota_refusal *why, struct err *e);

/* An upload has been finished; whatever waits for it is looked at by a worker. Any thread. */
void finals_finished(struct finals *f, const struct upload_id *id);

/* An upload is gone: it waits no more, and what waits for it goes too. Any thread. */
void finals_gone(struct finals *f, const struct upload_id *id);

/* Looks again at those for which the store failed the last time. Any thread. */
void finals_retry(struct finals *f);

/* Whether an upload that is due has to stay: because it waits, or something that waits needs it and
 * it is finished. Any thread. */
bool finals_need(struct finals *f, const struct upload_id *id);

#endif
