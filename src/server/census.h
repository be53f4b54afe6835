/* census - counts the unfinished uploads, in all and by client address, and keeps their limits.
 * Knows addresses only while it runs, and tells them nobody: what was there at the start is counted
 * in all only. Any thread. */
#ifndef RESTANTE_SERVER_CENSUS_H
#define RESTANTE_SERVER_CENSUS_H

#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "server/address.h"

struct census;

enum err_code census_new(struct census **out, struct err *e);
void census_free(struct census *c); /* NULL is fine */

/* Counts one that begins: once, as long as one of those who have entered it means to make it, or
 * has made it; who comes later is always let in. max and max_per_address (0: no limit) are looked
 * at: ERR_BUSY, there are too many in all; ERR_LIMIT, too many of this address. ERR_NOMEM. */
enum err_code census_enter(struct census *c, const struct upload_id *id, const struct address *from,
			   uint64_t max, uint64_t max_per_address, struct err *e);

/* Nothing came of it, for one who entered it. */
void census_undo(struct census *c, const struct upload_id *id);

/* Counts one that was there at the start, whatever the limits. */
enum err_code census_add(struct census *c, const struct upload_id *id, struct err *e);

/* It is finished, or gone, for everyone. Fine if it is not counted. */
void census_leave(struct census *c, const struct upload_id *id);

uint64_t census_count(const struct census *c);

#endif
