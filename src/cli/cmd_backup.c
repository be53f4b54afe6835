#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/num.h"
#include "cli/backup.h"
#include "cli/command.h"
#include "cli/generations.h"
#include "cli/json.h"
#include "cli/operator.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/words.h"

#define KEEP_MAX 100000

static const struct option_row options[] = {
	{ "keep", "N", "then remove all but the newest N", 0 },
	OPTIONS_OPERATOR,
	OPTIONS_COMMON,
};

struct backing_up {
	const struct options *o;
	struct generations all;
	char name[GENERATION_SIZE];
	struct backup_tally tally;
	size_t removed; /* so many of all.names */
	int64_t began_ms, now_s;
};

/* A signal is heeded once there is an answer: else nobody would know the snapshot's name. */
static const struct question ask_snapshot = { "POST", "/admin/backup", OPERATOR_AS_LONG, true };

/* ---- the server's part --------------------------------------------------------------------- */

static bool give_back(const struct options *o, const char *snapshot, struct trouble *t)
{
	char target[160];
	const struct question q = { "DELETE", target, OPERATOR_AS_LONG, true };

	(void)snprintf(target, sizeof(target), "/admin/backup/%.100s", snapshot);
	return operator_ask(o, &q, NULL, t);
}

/* However it ends, the snapshot goes: while it is there, what is dropped takes up room still. */
static void end_snapshot(const struct options *o, const char *snapshot)
{
	struct trouble t = { 0 };

	if (!give_back(o, snapshot, &t))
		say("the snapshot %.60s stays in the server's folder until it starts again: %s",
		    snapshot, t.text);
}

/* The server makes one snapshot at a time. That of a backup into the same folder, which was killed,
 * nobody else waits for: the folder is locked. */
static void end_abandoned(const struct backing_up *b)
{
	struct trouble t = { 0 };

	if (b->all.abandoned[0] != '\0')
		(void)give_back(b->o, b->all.abandoned, &t); /* it may be gone already */
}

/* ---- ours ---------------------------------------------------------------------------------- */

static bool fill(struct backing_up *b, int from, const char *snapshot, struct trouble *t)
{
	int to = -1, before;
	bool ok;

	if (!generations_begin(&b->all, b->now_s, b->name, &to, t))
		return false;
	before = generations_newest(&b->all);
	ok = generations_note(to, snapshot, t) &&
	     backup_fill(from, before, to, b->now_s, &b->tally, t) &&
	     generations_complete(&b->all, b->name, t);
	if (before >= 0)
		(void)close(before);
	(void)close(to);
	return ok;
}

static bool take(struct backing_up *b, const json_t *snapshot, struct trouble *t)
{
	const char *path = operator_text(snapshot, NULL, "path");
	const char *data_dir = operator_text(snapshot, NULL, "data_dir");
	struct err e = { 0 };
	int from = -1;
	bool ok;

	if (path[0] != '/')
		return trouble_local(t, ERR_IO, "the server does not say where its snapshot is");
	if (generations_are_below(&b->all, data_dir))
		return trouble_local(t, ERR_IO,
				     "%.200s is within the server's data directory: a backup is "
				     "kept elsewhere",
				     b->all.path);
	if (files_open_dir(&from, AT_FDCWD, path, false, &e) != ERR_OK)
		return trouble_err(t, &e, "the server's snapshot");
	ok = fill(b, from, operator_text(snapshot, NULL, "snapshot"), t);
	(void)close(from);
	return ok;
}

static bool make(struct backing_up *b, struct trouble *t)
{
	json_t *snapshot = NULL;
	bool ok;

	end_abandoned(b);
	if (!operator_ask(b->o, &ask_snapshot, &snapshot, t))
		return false;
	ok = take(b, snapshot, t);
	end_snapshot(b->o, operator_text(snapshot, NULL, "snapshot"));
	json_decref(snapshot);
	return ok;
}

/* ---- what is said of it -------------------------------------------------------------------- */

static json_t *count_of(uint64_t files, uint64_t bytes)
{
	json_t *o = json_object();

	json_add(o, "files", json_integer((json_int_t)files));
	json_add(o, "bytes", json_integer((json_int_t)bytes));
	return o;
}

static bool print_json(const struct backing_up *b, double seconds, struct trouble *t)
{
	const struct backup_tally *y = &b->tally;
	json_t *o = json_object(), *removed = json_array();

	json_add(o, "backup", json_string(b->name));
	json_add(o, "files", json_integer((json_int_t)y->files));
	json_add(o, "bytes", json_integer((json_int_t)y->bytes));
	json_add(o, "copied", count_of(y->copied_files, y->copied_bytes));
	json_add(o, "linked", count_of(y->files - y->copied_files, y->bytes - y->copied_bytes));
	json_add(o, "seconds", json_real(seconds));
	for (size_t i = 0; i < b->removed; i++)
		(void)json_array_append_new(removed, json_string(b->all.names[i]));
	json_add(o, "removed", removed);
	return json_print(o, t);
}

static bool print_text(const struct backing_up *b, double seconds, struct trouble *t)
{
	const struct backup_tally *y = &b->tally;
	char line[256], all[WORDS_SIZE], copied[WORDS_SIZE], linked[WORDS_SIZE];
	bool ok;

	(void)snprintf(line, sizeof(line),
		       "%s: %s in %" PRIu64 " files, %s copied, %s linked, in %.1f s", b->name,
		       words_bytes(all, y->bytes), y->files, words_bytes(copied, y->copied_bytes),
		       words_bytes(linked, y->bytes - y->copied_bytes), seconds);
	ok = output_line(line, t);
	for (size_t i = 0; ok && i < b->removed; i++) {
		(void)snprintf(line, sizeof(line), "%s: removed", b->all.names[i]);
		ok = output_line(line, t);
	}
	return ok;
}

static bool print(const struct backing_up *b, const struct settings *set, struct trouble *t)
{
	const double seconds = (double)(clock_mono_ms() - b->began_ms) / 1000;

	if (set->json)
		return print_json(b, seconds, t);
	return set->quiet || print_text(b, seconds, t);
}

/* ---- interface ----------------------------------------------------------------------------- */

static bool backup(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct backing_up b = { .o = o, .began_ms = clock_mono_ms(), .now_s = clock_now_s() };
	const char *given = options_get(o, "keep");
	uint64_t keep = 0; /* all */
	bool ok;

	if (!command_takes(o, 1, 1, t))
		return false;
	if (given != NULL && (!num_u64(given, strlen(given), KEEP_MAX, &keep) || keep == 0))
		return trouble_usage(t, "--keep: is a number, at least 1");
	ok = generations_open(&b.all, o->args[0], t) && make(&b, t) &&
	     (keep == 0 || generations_prune(&b.all, (size_t)keep, &b.removed, t)) &&
	     print(&b, set, t);
	generations_close(&b.all);
	return ok;
}

const struct command command_backup = {
	"backup", "DIR", "Copies all that the server keeps, while it runs", options, backup,
};
