/* keeper - one thread for what is done by the clock: asks how much disk is free, and says when it
 * is time to sweep, and to look for snapshots that nobody has given back. */
#ifndef RESTANTE_SERVER_KEEPER_H
#define RESTANTE_SERVER_KEEPER_H

#include "base/err.h"

struct server;
struct keeper;

/* Refreshes server->disk_free before it returns, then starts the thread. */
enum err_code keeper_start(struct keeper **out, struct server *server, struct err *e);
void keeper_stop(struct keeper *k); /* NULL is fine */

#endif
