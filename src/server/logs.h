/* logs - the log and the access log in their files. One thread writes; whoever has a line leaves it
 * in a buffer and never waits for a disk. A line for which there is no room, or that cannot be
 * written, is lost, and that is counted and told.
 *
 * One for the process. */
#ifndef RESTANTE_SERVER_LOGS_H
#define RESTANTE_SERVER_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/settings.h"

/* Opens what log.file and log.access name, becomes the sink of base/log.h and sets its level.
 * Before other threads; nothing where it has been done already. ERR_IO: a file cannot be opened.
 * ERR_NOMEM. */
enum err_code logs_start(const struct settings *set, struct err *e);

/* Opens the files anew, by what may be other names now, and sets the level; what cannot be opened
 * stays as it was. ERR_IO. One thread at a time. */
enum err_code logs_reopen(const struct settings *set, struct err *e);

/* Writes what is left, and gives the log back to standard error. When nobody else logs any more. */
void logs_stop(void);

/* Whether there is an access log now; a line for it, without its end. Any thread. */
bool logs_want_access(void);
void logs_access(const char *line);

/* Lines lost since the start, of both. Any thread. */
uint64_t logs_lost(void);

#endif
