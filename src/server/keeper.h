/* keeper - one thread for what is done by the clock: asks how much disk is free, and drops uploads
 * whose time has come. */
#ifndef RESTANTE_SERVER_KEEPER_H
#define RESTANTE_SERVER_KEEPER_H

#include <stdint.h>

#include "base/err.h"

struct server;
struct keeper;

/* Refreshes server->disk_free before it returns, then starts the thread. */
enum err_code keeper_start(struct keeper **out, struct server *server, struct err *e);
void keeper_stop(struct keeper *k); /* NULL is fine */

/* Drops at most max uploads due at `now`; *dropped says how many. On failure what was dropped stays
 * dropped. Any worker thread. */
enum err_code keeper_sweep(struct server *server, int64_t now, uint64_t max, uint64_t *dropped,
			   struct err *e);

#endif
