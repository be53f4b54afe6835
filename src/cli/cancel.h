/* cancel - SIGINT and SIGTERM end what is being done, in good order; a second one ends the program
 * at once. Of the process: the main thread calls. */
#ifndef RESTANTE_CLI_CANCEL_H
#define RESTANTE_CLI_CANCEL_H

#include <stdbool.h>

#include "cli/trouble.h"
#include "restante/client.h"

/* Catches the two from now on, and ignores SIGPIPE: who writes is told. */
void cancel_catch(void);

/* Whom to end; NULL: nobody (before a client is freed). */
void cancel_watch(struct restante_client *client);

/* Lets the next SIGINT pass: a terminal sends it to who records as well, and what that still
 * writes is to be sent to its end. */
void cancel_pass_one(void);

/* The signal that came; 0: none. */
int cancel_signal(void);

/* For work that does not notice by itself: true if no signal came, else TROUBLE_LIBRARY with
 * RESTANTE_CANCELLED. */
bool cancel_not(struct trouble *t);

#endif
