#include <string.h>

#include "base/clock.h"
#include "cli/card.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/output.h"
#include "restante/restante.h"

static const struct option_row ack_options[] = {
	{ "envelope", "FILE", "the token of an envelope", 0 },
	OPTIONS_SERVER,
	OPTIONS_COMMON,
};

static const struct option_row rm_options[] = { OPTIONS_SERVER, OPTIONS_COMMON };

static const struct option_row extend_options[] = {
	{ "ttl", "TIME", "how long from now: 7d, 12h", 0 },
	OPTIONS_SERVER,
	OPTIONS_COMMON,
};

/* ---- asking -------------------------------------------------------------------------------- */

typedef enum restante_code ask_fn(struct restante_client *client, const char *token, void *ctx,
				  struct restante_error *e);

static bool ask(const struct settings *set, const char *token, ask_fn *fn, void *ctx,
		struct trouble *t)
{
	struct restante_client *client = NULL;
	struct restante_error e = { 0 };
	bool ok;

	if (!settings_client(&client, set, t))
		return false;
	ok = fn(client, token, ctx, &e) == RESTANTE_OK || trouble_library(t, &e, NULL);
	settings_release(client);
	return ok;
}

/* Prints {"NAME":true}, where JSON is asked for. */
static bool confirm(const struct settings *set, const char *name, struct trouble *t)
{
	json_t *o;

	if (!set->json)
		return true;
	o = json_object();
	json_add(o, name, json_true());
	return json_print(o, t);
}

/* ---- ack ----------------------------------------------------------------------------------- */

static enum restante_code do_ack(struct restante_client *client, const char *token, void *ctx,
				 struct restante_error *e)
{
	(void)ctx;
	return restante_acknowledge(client, token, e);
}

static bool ack_token(const struct options *o, const struct settings *set, struct trouble *t)
{
	char token[RESTANTE_TOKEN_SIZE];
	bool ok = command_takes(o, 1, 1, t) && command_token(token, o->args[0], t) &&
		  ask(set, token, do_ack, NULL, t);

	explicit_bzero(token, sizeof(token));
	return ok;
}

static bool ack_envelope(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct restante_envelope *card = NULL;
	bool ok = command_takes(o, 0, 0, t) && card_read(&card, options_get(o, "envelope"), t) &&
		  ask(set, restante_envelope_text(card, RESTANTE_TEXT_TOKEN), do_ack, NULL, t);

	restante_envelope_free(card);
	return ok;
}

static bool ack(const struct options *o, const struct settings *set, struct trouble *t)
{
	bool ok =
		options_get(o, "envelope") != NULL ? ack_envelope(o, set, t) : ack_token(o, set, t);

	return ok && confirm(set, "acknowledged", t);
}

/* ---- rm ------------------------------------------------------------------------------------ */

static enum restante_code do_rm(struct restante_client *client, const char *token, void *ctx,
				struct restante_error *e)
{
	(void)ctx;
	return restante_delete(client, token, e);
}

static bool rm(const struct options *o, const struct settings *set, struct trouble *t)
{
	char token[RESTANTE_TOKEN_SIZE];
	bool ok = command_takes(o, 1, 1, t) && command_token(token, o->args[0], t) &&
		  ask(set, token, do_rm, NULL, t);

	explicit_bzero(token, sizeof(token));
	return ok && confirm(set, "deleted", t);
}

/* ---- extend -------------------------------------------------------------------------------- */

struct extension {
	uint64_t ttl_s, expires_at;
};

static enum restante_code do_extend(struct restante_client *client, const char *token, void *ctx,
				    struct restante_error *e)
{
	struct extension *x = ctx;

	return restante_extend(client, token, x->ttl_s, &x->expires_at, e);
}

static bool print_end(uint64_t expires_at, bool json, struct trouble *t)
{
	char text[CLOCK_RFC3339_SIZE];
	json_t *o;

	if (!json) {
		clock_rfc3339(text, (int64_t)expires_at);
		return output_line(text, t);
	}
	o = json_object();
	json_add(o, "expires_at", json_time(expires_at));
	return json_print(o, t);
}

static bool extend(const struct options *o, const struct settings *set, struct trouble *t)
{
	struct extension x = { .ttl_s = set->ttl_s };
	char token[RESTANTE_TOKEN_SIZE];
	bool ok;

	if (options_get(o, "ttl") == NULL)
		return trouble_usage(t, "say how long with --ttl");
	ok = command_takes(o, 1, 1, t) && command_token(token, o->args[0], t) &&
	     ask(set, token, do_extend, &x, t);
	explicit_bzero(token, sizeof(token));
	return ok && print_end(x.expires_at, set->json, t);
}

/* ---- interface ----------------------------------------------------------------------------- */

const struct command command_ack = {
	"ack",
	"TOKEN | --envelope FILE",
	"Tells the server that this recipient has it",
	ack_options,
	ack,
};

const struct command command_rm = {
	"rm", "MANAGE_TOKEN", "Deletes an upload, before its time", rm_options, rm,
};

const struct command command_extend = {
	"extend",       "MANAGE_TOKEN", "Moves the end of an upload, and prints it",
	extend_options, extend,
};
