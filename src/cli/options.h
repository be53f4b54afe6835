/* options - the flags of a command: one table from which they are read and the help is printed;
 * doc/restante.1 and the completion are checked against that help. */
#ifndef RESTANTE_CLI_OPTIONS_H
#define RESTANTE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/trouble.h"

#define OPTIONS_MAX 28

/* A table ends with a row without a name. */
struct option_row {
	const char *name;     /* without the hyphens */
	const char *argument; /* what it takes; NULL: nothing */
	const char *help;     /* one line */
	char letter;          /* a short form, or 0 */
};

/* Rows that every command has, and those of the ones that talk to a server. */
#define OPTIONS_COMMON                                                                             \
	{ "json", NULL, "print JSON", 0 }, { "quiet", NULL, "print no progress and no notes", 0 }, \
		{ "help", NULL, "print this", 0 },                                                 \
	{                                                                                          \
		NULL, NULL, NULL, 0                                                                \
	}
#define OPTIONS_SERVER                                                                      \
	{ "server", "URL", "https://..., or http://... on this machine", 0 },               \
		{ "grant", "TOKEN", "the permission to create uploads", 0 },                \
		{ "ca-file", "FILE", "certificates to trust instead of the system's", 0 },  \
	{                                                                                   \
		"config", "FILE", "settings instead of ~/.config/restante/restante.conf", 0 \
	}

struct options {
	const struct option_row *rows;
	const char *given[OPTIONS_MAX]; /* by row: NULL if not given, "" if it takes no value */
	char **args;                    /* what is no option; ends with NULL */
	int arg_count;
};

/* Reads argv[1..argc), reordering it; argv is borrowed. Given twice, the last one counts.
 * TROUBLE_USAGE. */
bool options_read(struct options *o, const struct option_row *rows, int argc, char **argv,
		  struct trouble *t);

/* The value of a flag of the table, "" if it takes none; NULL: not given. */
const char *options_get(const struct options *o, const char *name);

/* Whether the table has a flag of that name. */
bool options_knows(const struct options *o, const char *name);

/* Prints the rows, a line each. */
void options_print(FILE *out, const struct option_row *rows);

#endif
