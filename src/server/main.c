/* restanted - the command line: see doc/restanted.8. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "restante/version.h"
#include "server/keys.h"
#include "server/restore.h"
#include "server/run.h"
#include "server/sandbox.h"
#include "server/settings.h"
#include "storage/scrub.h"
#include "storage/store.h"

enum exit_code { DONE = 0, FAILED = 1, USAGE = 2, DAMAGED = 3 };

enum action {
	RUN,
	CHECK_CONFIG,
	SCRUB,
	ROTATE_KEYS,
	RESTORE,
	PRINT_CONF,
	PRINT_MDOC,
	VERSION,
	HELP
};

struct command {
	enum action action;
	const char *config, *data_dir, *backup;
	const char *listen[SETTINGS_LISTEN_MAX];
	size_t listen_count;
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "data-dir", required_argument, NULL, 'd' },
	{ "listen", required_argument, NULL, 'l' },
	{ "check-config", no_argument, NULL, CHECK_CONFIG + 256 },
	{ "scrub", no_argument, NULL, SCRUB + 256 },
	{ "rotate-keys", no_argument, NULL, ROTATE_KEYS + 256 },
	{ "restore", required_argument, NULL, RESTORE + 256 },
	{ "print-conf", no_argument, NULL, PRINT_CONF + 256 },
	{ "print-mdoc", no_argument, NULL, PRINT_MDOC + 256 },
	{ "version", no_argument, NULL, VERSION + 256 },
	{ "help", no_argument, NULL, HELP + 256 },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	(void)printf(
		"usage: restanted [--config FILE] [--data-dir DIR] [--listen ADDRESS:PORT]...\n"
		"       restanted --check-config | --scrub | --rotate-keys | --restore DIR |\n"
		"                 --print-conf | --print-mdoc | --version | --help\n"
		"\n"
		"Keeps sealed media for chats until it is fetched or expires.\n"
		"\n"
		"  --config FILE          settings; without it the defaults below hold\n"
		"  --data-dir DIR         where keys and store live\n"
		"  --listen ADDRESS:PORT  instead of the file's listeners; port 0 picks one\n"
		"  --check-config         say what is wrong with the settings, and stop\n"
		"  --scrub                re-hash every blob, list what is damaged\n"
		"  --rotate-keys          add a token key; SIGHUP makes a server use it\n"
		"  --restore DIR          a backup into a data directory that is empty\n"
		"  --print-conf           a config file with every setting\n"
		"  --print-mdoc           the same for the manual page\n"
		"  --version              print the version\n"
		"  --help                 this\n"
		"\n"
		"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage found.\n"
		"\n"
		"Settings and their defaults (restante.conf(5)):\n");
	settings_print_help(stdout);
}

static bool read_command(struct command *c, int argc, char **argv)
{
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'c')
			c->config = optarg;
		else if (o == 'd')
			c->data_dir = optarg;
		else if (o == 'l' && c->listen_count < SETTINGS_LISTEN_MAX)
			c->listen[c->listen_count++] = optarg;
		else if (o >= 256 && c->action == RUN)
			c->action = (enum action)(o - 256);
		else
			return false;
		if (o == RESTORE + 256)
			c->backup = optarg;
	}
	return optind == argc;
}

/* ctx: a bool, whether there was one. */
static void complain(void *ctx, const char *text)
{
	*(bool *)ctx = true;
	(void)fprintf(stderr, "restanted: %s\n", text);
}

/* The file's settings, with the flags over them. */
static enum err_code load(struct settings *out, void *ctx, void (*say)(void *to, const char *text),
			  void *to, struct err *e)
{
	const struct command *c = ctx;
	bool replaced = false;
	enum err_code rc = settings_load(out, c->config, say, to, e);

	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; rc == ERR_OK && i < c->listen_count; i++)
		rc = settings_add_listen(out, c->listen[i], &replaced, e);
	if (rc == ERR_OK && c->data_dir != NULL)
		rc = settings_set_data_dir(out, c->data_dir, e);
	if (rc != ERR_OK)
		settings_free(out);
	return rc;
}

static int failure(const struct err *e)
{
	return e->code == ERR_INVALID ? USAGE : FAILED;
}

static int failed(const struct err *e)
{
	(void)fprintf(stderr, "restanted: %s\n", e->why);
	return failure(e);
}

/* Not for what the command line says, but for what there is. */
static int refused(const struct err *e)
{
	(void)failed(e);
	return FAILED;
}

static void report_damage(void *ctx, const struct digest *blob, const char *why)
{
	char hex[HEX_LEN(32) + 1];

	(void)ctx;
	hex_encode(hex, blob->b, sizeof(blob->b));
	(void)printf("damaged %s: %s\n", hex, why);
}

static int scrub_store(const struct settings *set)
{
	char dir[4096];
	struct store_options opt;
	struct scrub_result r = { 0 };
	struct sandbox sb;
	struct store *s;
	struct err e = { 0 };

	if (restore_none_open(set->data_dir, &e) != ERR_OK)
		return refused(&e);
	run_store_options(set, dir, sizeof(dir), &opt);
	opt.existing = true;
	if (access(dir, F_OK) != 0) { /* nor is there a folder to be confined to */
		(void)err_set(&e, ERR_NOTFOUND, "there is no store in %.100s", set->data_dir);
		return refused(&e);
	}
	sandbox_files(&sb, set, NULL);
	if (store_open(&s, set->store_engine, &opt, &e) != ERR_OK)
		return failed(&e);
	if (scrub(s, report_damage, NULL, &r, &e) != ERR_OK) {
		store_close(s);
		return failed(&e);
	}
	store_close(s);
	(void)printf("%" PRIu64 " blobs, %" PRIu64 " bytes, %" PRIu64 " damaged\n", r.blobs,
		     r.bytes, r.damaged);
	return r.damaged == 0 ? DONE : DAMAGED;
}

static int rotate_keys(const struct settings *set)
{
	struct sandbox sb;
	struct err e = { 0 };

	if (run_make_data_dir(set->data_dir, &e) != ERR_OK)
		return failed(&e);
	if (restore_none_open(set->data_dir, &e) != ERR_OK)
		return refused(&e);
	sandbox_files(&sb, set, NULL);
	if (keys_rotate(set->data_dir, clock_now_s(), settings_longest_ttl(set), &e) != ERR_OK)
		return failed(&e);
	(void)printf("a new token key is in %s/keys; send SIGHUP to a running server\n",
		     set->data_dir);
	return DONE;
}

static int restore_backup(const struct settings *set, const char *from)
{
	struct restored r;
	struct err e = { 0 };

	if (restore(set, from, &r, &e) != ERR_OK)
		return failed(&e);
	(void)printf("the backup of %s is in %s: %" PRIu64 " files, %" PRIu64
		     " bytes; --scrub reads them all\n",
		     r.made_at, set->data_dir, r.files, r.bytes);
	return DONE;
}

static int act(struct command *c)
{
	struct settings *set = calloc(1, sizeof(*set));
	struct err e = { 0 };
	bool told = false; /* what is wrong with the settings */
	int code = DONE;

	if (set == NULL)
		return FAILED;
	if (load(set, c, complain, &told, &e) != ERR_OK) {
		free(set);
		return told ? failure(&e) : failed(&e);
	}
	if (c->action == RUN)
		return run(set, c->config, load, c, &e) == ERR_OK ? DONE : failed(&e);
	if (c->action == SCRUB)
		code = scrub_store(set);
	else if (c->action == ROTATE_KEYS)
		code = rotate_keys(set);
	else if (c->action == RESTORE)
		code = restore_backup(set, c->backup);
	else if (settings_check_access(set, complain, &told, &e) == ERR_OK)
		(void)printf("the settings are fine\n");
	else
		code = failure(&e); /* and told */
	settings_free(set);
	free(set);
	return code;
}

int main(int argc, char **argv)
{
	struct command c = { .action = RUN };

	if (!read_command(&c, argc, argv)) {
		(void)fprintf(stderr, "restanted: try --help\n");
		return USAGE;
	}
	if (sodium_init() < 0)
		return FAILED;
	switch (c.action) {
	case HELP:
		print_help();
		return DONE;
	case VERSION:
		(void)printf("restanted %s\n", RESTANTE_VERSION);
		return DONE;
	case PRINT_CONF:
		settings_print_conf(stdout);
		return DONE;
	case PRINT_MDOC:
		settings_print_mdoc(stdout);
		return DONE;
	default:
		return act(&c);
	}
}
