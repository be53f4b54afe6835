/* backup - fills a generation from a snapshot: what the generation before has already, and what
 * the store never changes again, is linked; the rest is copied. base/files.h says what comes of it.
 * One thread. */
#ifndef RESTANTE_CLI_BACKUP_H
#define RESTANTE_CLI_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/trouble.h"

struct backup_tally {
	uint64_t files, bytes;               /* of all */
	uint64_t copied_files, copied_bytes; /* of which these were copied */
};

/* from: the folder of the snapshot, whose own list says what is to be taken; before: the newest
 * generation, -1 for none; to: an empty folder. Everything in `to` is durable then, its list too.
 * Given up on SIGINT and SIGTERM. */
bool backup_fill(int from, int before, int to, int64_t now, struct backup_tally *tally,
		 struct trouble *t);

#endif
