/* command - what a command of `restante` is: a row of the table in main.c. */
#ifndef RESTANTE_CLI_COMMAND_H
#define RESTANTE_CLI_COMMAND_H

#include <stdbool.h>

#include "cli/options.h"
#include "cli/settings.h"
#include "cli/trouble.h"

struct command {
	const char *name;      /* "put", "token show" */
	const char *arguments; /* for the usage line */
	const char *summary;   /* a sentence without its full stop */
	const struct option_row *options;
	bool (*run)(const struct options *o, const struct settings *s, struct trouble *t);
};

extern const struct command command_put, command_get, command_envelope_show, command_token_show,
	command_token_narrow, command_ack, command_rm, command_extend, command_keygen,
	command_grant, command_status, command_stats, command_running_config, command_reload,
	command_stop, command_keys_rotate, command_expire, command_check, command_backup;

/* For run(): true if there are so many arguments, else TROUBLE_USAGE. */
bool command_takes(const struct options *o, int least, int most, struct trouble *t);

/* Reads a token given as an argument, or "-": it is then on standard input. out has room for
 * RESTANTE_TOKEN_SIZE; what it says is not looked at. */
bool command_token(char *out, const char *argument, struct trouble *t);

#endif
