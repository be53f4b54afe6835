#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/card.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/sink.h"
#include "cli/words.h"
#include "restante/restante.h"

#define WAIT_USUAL_S 60
#define WAIT_MAX_S 86400
#define PIECE_SIZE ((size_t)1 << 20)   /* of a range: what is asked for at once */
#define SEALED_MAX (UINT64_C(1) << 40) /* of a token: nothing announces how large it is */

static const struct option_row options[] = {
	{ "output", "FILE", "where to write; - is standard output", 'o' },
	{ "live", NULL, "follow what is still being recorded", 0 },
	{ "wait", "TIME", "with --live: give up after so long without anything new (60s)", 0 },
	{ "range", "A-B", "bytes A to B only, both included, from 0; A- is to the end", 0 },
	{ "sealed", NULL, "fetch what a TOKEN stands for, without opening it", 0 },
	OPTIONS_SERVER,
	OPTIONS_COMMON,
};

struct get {
	const struct options *o;
	const struct settings *set;
	struct restante_client *client;
	struct restante_envelope *card;
	struct restante_fetch *fetch;
	struct progress progress;
	const char *path; /* where to write; "-" is standard output */
	char name[SINK_NAME_SIZE];
	uint64_t wait_s, first, last; /* the range, if there is one */
	struct trouble *t;
};

/* ---- options ------------------------------------------------------------------------------- */

static bool read_options(struct get *g)
{
	const char *wait = options_get(g->o, "wait"), *range = options_get(g->o, "range");
	bool live = options_get(g->o, "live") != NULL;
	bool sealed = options_get(g->o, "sealed") != NULL;

	g->wait_s = WAIT_USUAL_S;
	if (wait != NULL && !live)
		return trouble_usage(g->t, "--wait goes with --live");
	if (wait != NULL && !num_duration(wait, strlen(wait), WAIT_MAX_S, &g->wait_s))
		return trouble_usage(g->t, "--wait: is a length of time such as 60s, at most 1d");
	if (range != NULL && !words_range(range, &g->first, &g->last))
		return trouble_usage(g->t, "--range: is two numbers such as 0-99, or 100-");
	if ((range != NULL) + live + sealed > 1)
		return trouble_usage(g->t, "--range, --live and --sealed do not go together");
	return true;
}

/* A name that the sender has chosen, in this folder, if nothing of that name is there yet. */
static bool name_is_free(struct get *g)
{
	const char *name =
		g->card == NULL ? NULL : restante_envelope_text(g->card, RESTANTE_TEXT_NAME);
	struct stat st;

	return name != NULL && sink_safe_name(g->name, name) && lstat(g->name, &st) != 0;
}

/* The name that the envelope has is that of the whole, not of a range. */
static bool choose_path(struct get *g)
{
	g->path = options_get(g->o, "output");
	if (g->path == NULL && isatty(STDOUT_FILENO) == 0 && !g->set->json)
		g->path = "-"; /* redirected on purpose */
	else if (g->path == NULL && options_get(g->o, "range") == NULL && name_is_free(g))
		g->path = g->name;
	if (g->path == NULL)
		return trouble_usage(g->t, "say with -o where to write; -o - is the terminal");
	if (g->path[0] == '\0')
		return trouble_usage(g->t, "-o: is empty");
	if (strcmp(g->path, "-") == 0 && g->set->json)
		return trouble_usage(g->t, "--json and the bytes cannot both go to standard "
					   "output: use -o FILE");
	return true;
}

static void start_progress(struct get *g)
{
	bool on_terminal = strcmp(g->path, "-") == 0 && isatty(STDOUT_FILENO) == 1;

	progress_start(&g->progress, !g->set->quiet && !on_terminal);
}

/* ---- fetching ------------------------------------------------------------------------------ */

/* The envelope it is about, of several; NULL where it is not about one. */
static const char *named(const struct get *g, enum restante_code rc)
{
	const char *path = g->o->args[0];

	if (g->card == NULL || (rc != RESTANTE_GONE && rc != RESTANTE_TAMPERED &&
				rc != RESTANTE_KEY && rc != RESTANTE_INVALID))
		return NULL;
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

static bool library(struct get *g, enum restante_code rc, const struct restante_error *e)
{
	progress_clear(&g->progress);
	return rc == RESTANTE_OK || trouble_library(g->t, e, named(g, rc));
}

/* What kept the bytes from being written is the trouble, not that the fetch was given up. */
static bool written(struct get *g, enum restante_code rc, const struct restante_error *e)
{
	if (rc == RESTANTE_CANCELLED && g->t->from != TROUBLE_NONE) {
		progress_clear(&g->progress);
		return false;
	}
	return library(g, rc, e);
}

static bool new_fetch(struct get *g)
{
	struct restante_error e = { 0 };

	if (!library(g, restante_fetch_new(&g->fetch, g->client, g->card, &e), &e))
		return false;
	if (options_get(g->o, "live") != NULL)
		restante_fetch_set_live(g->fetch, (unsigned)(g->wait_s * 1000));
	restante_fetch_set_progress(g->fetch, progress_update, &g->progress);
	return true;
}

/* Piece by piece: a range may be larger than memory. */
static bool copy_range(struct get *g, struct sink *sink)
{
	uint8_t *piece = malloc(PIECE_SIZE);
	uint64_t at = g->first;
	bool ok = piece != NULL || trouble_local(g->t, ERR_NOMEM, "out of memory");

	while (ok && at <= g->last) {
		struct restante_error e = { 0 };
		uint64_t left = g->last - at;
		size_t wanted = left < PIECE_SIZE ? (size_t)left + 1 : PIECE_SIZE, got = 0;

		ok = library(g, restante_fetch_at(g->fetch, at, piece, wanted, &got, &e), &e) &&
		     sink_write(sink, piece, got);
		at += got;
		if (got < wanted)
			break;
	}
	free(piece);
	return ok;
}

static bool copy_all(struct get *g, struct sink *sink)
{
	struct restante_error e = { 0 };

	return written(g, restante_fetch_to(g->fetch, sink_write, sink, &e), &e);
}

/* The server would only say that it knows no such upload. */
static bool is_fetch_token(const char *token, struct trouble *t)
{
	struct restante_token_info info;
	struct restante_error e = { 0 };

	if (restante_token_read(&info, token, &e) != RESTANTE_OK)
		return trouble_library(t, &e, NULL);
	return info.type == RESTANTE_TOKEN_FETCH ||
	       trouble_local(t, ERR_INVALID, "a token of another kind: this needs the fetch token");
}

static bool copy_sealed(struct get *g, struct sink *sink)
{
	char token[RESTANTE_TOKEN_SIZE];
	struct restante_error e = { 0 };
	enum restante_code rc;

	if (!command_token(token, g->o->args[0], g->t) || !is_fetch_token(token, g->t))
		return false;
	rc = restante_fetch_sealed(g->client, token, SEALED_MAX, sink_write, sink, &e);
	explicit_bzero(token, sizeof(token));
	return written(g, rc, &e);
}

static bool to_sink(struct get *g, bool (*copy)(struct get *g, struct sink *sink))
{
	struct sink sink;
	bool ok = sink_open(&sink, g->path, g->t) && copy(g, &sink);

	return sink_close(&sink, ok, g->t) && ok;
}

/* The library keeps what has come, so that the same command goes on from there. */
static bool to_file(struct get *g)
{
	struct restante_error e = { 0 };

	g->t->resumable = true;
	return library(g, restante_fetch_to_file(g->fetch, g->path, &e), &e);
}

static bool fetch(struct get *g)
{
	if (g->card == NULL)
		return to_sink(g, copy_sealed);
	if (!new_fetch(g))
		return false;
	if (options_get(g->o, "range") != NULL)
		return to_sink(g, copy_range);
	return sink_is_stream(g->path) ? to_sink(g, copy_all) : to_file(g);
}

/* ---- interface ----------------------------------------------------------------------------- */

/* Where it went is to be told if the sender has chosen the name. */
static bool tell(struct get *g)
{
	struct stat st;
	json_t *o;

	if (!g->set->json) {
		if (g->path == g->name && !g->set->quiet)
			say("written to %s", g->path);
		return true;
	}
	o = json_object();
	json_add(o, "file", json_text(g->path));
	if (stat(g->path, &st) == 0 && S_ISREG(st.st_mode))
		json_add(o, "size", json_integer(st.st_size));
	return json_print(o, g->t);
}

static bool get(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct get g = { .o = o, .set = set, .t = t };
	bool ok = command_takes(o, 1, 1, t) && read_options(&g);

	if (ok && options_get(o, "sealed") == NULL)
		ok = card_read(&g.card, o->args[0], t);
	ok = ok && choose_path(&g) && settings_client(&g.client, set, t);
	if (ok) {
		start_progress(&g);
		ok = fetch(&g) && tell(&g);
	}
	restante_fetch_free(g.fetch);
	settings_release(g.client);
	restante_envelope_free(g.card);
	return ok;
}

const struct command command_get = {
	"get",   "ENVELOPE", "Fetches and opens what an envelope tells of; - is standard input",
	options, get,
};
