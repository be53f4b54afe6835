/* restante - the command line: see doc/restante.1. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/cancel.h"
#include "cli/command.h"
#include "cli/say.h"
#include "restante/restante.h"

/* ---- exit codes ---------------------------------------------------------------------------- */

enum exit_code {
	DONE = 0,
	FAILED = 1,
	USAGE = 2,
	NETWORK = 3,
	GONE = 4,
	DENIED = 5,
	NOT_AUTHENTIC = 6,
	BUSY = 7,
	UNUSABLE = 8,
	MORE = 2,        /* of expire, whose wrong usage is EX_USAGE, 64 */
	OVERDUE = 3,     /* of check, which asks no network */
	SIGNALLED = 128, /* and the signal's number */
};

static int of_library(enum restante_code code)
{
	switch (code) {
	case RESTANTE_NETWORK:
		return NETWORK;
	case RESTANTE_GONE:
		return GONE;
	case RESTANTE_DENIED:
		return DENIED;
	case RESTANTE_TAMPERED:
	case RESTANTE_KEY:
		return NOT_AUTHENTIC;
	case RESTANTE_LIMIT:
		return BUSY;
	case RESTANTE_INVALID:
	case RESTANTE_TOOBIG:
	case RESTANTE_CHANGED:
		return UNUSABLE;
	case RESTANTE_CANCELLED:
		return cancel_signal() != 0 ? SIGNALLED + cancel_signal() : FAILED;
	default:
		return FAILED;
	}
}

static int exit_code(const struct trouble *t, const struct command *c)
{
	switch (t->from) {
	case TROUBLE_NONE:
		return DONE;
	case TROUBLE_USAGE:
		return c == &command_expire ? EX_USAGE : USAGE;
	case TROUBLE_OUTCOME:
		return t->outcome == OUTCOME_MORE ? MORE : OVERDUE;
	case TROUBLE_LIBRARY:
		return of_library(t->library);
	case TROUBLE_LOCAL:
		break;
	}
	return t->local == ERR_INVALID || t->local == ERR_TOOBIG ? UNUSABLE : FAILED;
}

/* ---- commands ------------------------------------------------------------------------------ */

static const struct command *const commands[] = {
	&command_put,
	&command_get,
	&command_envelope_show,
	&command_token_show,
	&command_token_narrow,
	&command_ack,
	&command_rm,
	&command_extend,
	&command_keygen,
	&command_grant,
	&command_status,
	&command_stats,
	&command_running_config,
	&command_reload,
	&command_stop,
	&command_keys_rotate,
	&command_expire,
	&command_check,
	&command_backup,
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void print_help(void)
{
	(void)printf("usage: restante COMMAND ...\n"
		     "\n"
		     "Sends photos, voice notes, videos and files sealed, and opens them again;\n"
		     "and tells the server on this machine what to do.\n"
		     "\n");
	for (size_t i = 0; i < COMMANDS; i++)
		(void)printf("  %-14s  %s\n", commands[i]->name, commands[i]->summary);
	(void)printf(
		"\n"
		"  --version       print the version\n"
		"  --help          print this; with a command, its options\n"
		"\n"
		"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 network (try again), 4 gone,\n"
		"5 not permitted, 6 not authentic, 7 no room or too much, 8 input not usable.\n"
		"Of expire: 2 more to do, 64 wrong usage; of check: 3 something is overdue.\n"
		"restante(1) has the rest.\n");
}

static void print_command_help(const struct command *c)
{
	(void)printf("usage: restante %s%s%s [OPTION]...\n\n%s.\n\n", c->name,
		     c->arguments[0] != '\0' ? " " : "", c->arguments, c->summary);
	options_print(stdout, c->options);
}

/* How many words of argv are the command's name; 0: they are none. */
static int names(const struct command *c, int argc, char **argv)
{
	char two[64];

	if (argc > 1 && strcmp(argv[1], c->name) == 0)
		return 1;
	if (argc < 3)
		return 0;
	(void)snprintf(two, sizeof(two), "%.30s %.30s", argv[1], argv[2]);
	return strcmp(two, c->name) == 0 ? 2 : 0;
}

static bool run(const struct command *c, int argc, char **argv, struct trouble *t)
{
	struct options o;
	struct settings s = { 0 };
	bool ok;

	if (!options_read(&o, c->options, argc, argv, t))
		return false;
	if (options_get(&o, "help") != NULL) {
		print_command_help(c);
		return true;
	}
	ok = settings_load(&s, &o, t) && c->run(&o, &s, t);
	settings_free(&s);
	return ok;
}

/* The command that argv names, and how many words it takes; NULL: none of ours. */
static const struct command *find(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		*words = names(commands[i], argc, argv);
		if (*words > 0)
			return commands[i];
	}
	return NULL;
}

static bool dispatch(int argc, char **argv, struct trouble *t)
{
	int words;
	const struct command *c = find(argc, argv, &words);

	if (c != NULL)
		return run(c, argc - words, argv + words, t);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		(void)printf("restante %s\n", restante_version());
	else if (argc > 1 && strcmp(argv[1], "--help") == 0)
		print_help();
	else if (argc > 1)
		return trouble_usage(t, "there is no command \"%.60s\"", argv[1]);
	else
		return trouble_usage(t, "a command is missing");
	return true;
}

/* ---- the process --------------------------------------------------------------------------- */

/* Files that are opened later must not take the place of a standard stream. */
static bool streams_are_open(struct trouble *t)
{
	bool can_write = fcntl(STDOUT_FILENO, F_GETFD) >= 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return trouble_errno(t, "/dev/null");
	}
	return can_write || trouble_local(t, ERR_IO, "standard output is closed");
}

static bool help_was_written(struct trouble *t)
{
	return fflush(stdout) == 0 || trouble_errno(t, "standard output");
}

int main(int argc, char **argv)
{
	struct trouble t = { 0 };
	bool ok = streams_are_open(&t);
	int words;

	cancel_catch();
	ok = ok && dispatch(argc, argv, &t) && help_was_written(&t);
	if (!ok)
		trouble_tell(&t);
	return ok ? DONE : exit_code(&t, find(argc, argv, &words));
}
