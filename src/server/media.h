/* media - upload records in memory, so that a fetch of something asked for lately touches no
 * store. Records are immutable and counted; any thread. */
#ifndef RESTANTE_SERVER_MEDIA_H
#define RESTANTE_SERVER_MEDIA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/cache.h"
#include "storage/store.h"

struct media {
	atomic_uint refs;
	struct upload *upload; /* owned */
};

struct media_table;

/* Keeps at most about `count` records, least recently used first out. */
enum err_code media_table_new(struct media_table **out, uint64_t count, struct err *e);
void media_table_free(struct media_table *t); /* NULL is fine */

/* The record, with a reference for the caller, or NULL if it is not in memory. */
struct media *media_get(struct media_table *t, const struct upload_id *id);

/* Takes over a record and keeps it; the caller's reference, or NULL without memory (the upload is
 * then freed). One that was dropped since `epoch` was read is handed back but not kept. */
struct media *media_put(struct media_table *t, struct upload *upload, uint64_t epoch);

/* The same of a record that is not for the table; NULL as there. */
struct media *media_of(struct upload *upload);

/* To be read before a record is looked up in the store, so that a record deleted meanwhile is not
 * kept. */
uint64_t media_epoch(struct media_table *t, const struct upload_id *id);

/* Forgets a record that has changed or gone. Call it after the store did. */
void media_forget(struct media_table *t, const struct upload_id *id);

struct media *media_ref(struct media *m);
void media_unref(struct media *m); /* NULL is fine */

/* Where byte `offset` of the content lies: its extent and the offset in that extent's locator. */
const struct extent *media_locate(const struct media *m, uint64_t offset, uint64_t *at);

#endif
