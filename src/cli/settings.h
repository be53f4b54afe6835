/* settings - what holds for more than one command: from the flags, else from the environment, else
 * from the settings file, else the defaults. restante(1) has the names. */
#ifndef RESTANTE_CLI_SETTINGS_H
#define RESTANTE_CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "cli/trouble.h"
#include "restante/client.h"

struct settings {
	char *server;        /* address */
	char *grant;         /* NULL: none */
	char *ca_file;       /* NULL: the system's */
	char *quality;       /* "standard", "high" or "original" */
	uint64_t ttl_s;      /* 0: the server's default */
	uint64_t recipients; /* 0: none counted */
	uint64_t parts;      /* 0: the library decides */
	uint64_t retries;
	bool quiet, json;
};

/* Fills *s from all four. TROUBLE_USAGE: a value that does not do, or a settings file with
 * problems, which were told already. settings_free() ends it, whatever came of it. */
bool settings_load(struct settings *s, const struct options *o, struct trouble *t);
void settings_free(struct settings *s);

/* A client of the server, with all that is set, whom SIGINT and SIGTERM end (cli/cancel.h). The
 * caller's: settings_release() ends it. */
bool settings_client(struct restante_client **out, const struct settings *s, struct trouble *t);
void settings_release(struct restante_client *client);

#endif
