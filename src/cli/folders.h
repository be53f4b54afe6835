/* folders - where settings and state of the command lie (XDG Base Directory Specification 0.8). */
#ifndef RESTANTE_CLI_FOLDERS_H
#define RESTANTE_CLI_FOLDERS_H

#include "cli/trouble.h"

/* $XDG_CONFIG_HOME/restante/restante.conf, or below ~/.config; malloc'd. NULL if there is no home
 * (or no memory). */
char *folders_config(void);

/* $XDG_STATE_HOME/restante, or below ~/.local/state; malloc'd, made if it is not there, mode 0700.
 * NULL: *t says why. */
char *folders_state(struct trouble *t);

/* A file in the folder that has no name and goes with its descriptor, which is the caller's; mode
 * 0600. -1: *t says why. */
int folders_temporary(const char *folder, struct trouble *t);

#endif
