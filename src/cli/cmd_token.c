#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/card.h"
#include "cli/command.h"
#include "cli/emit.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/words.h"
#include "restante/token.h"

#define RECIPIENT_MAX 1024

static const struct option_row show_options[] = { OPTIONS_COMMON };

static const struct option_row narrow_options[] = {
	{ "recipient", "N", "acknowledges for recipient N only, 1 to 1024", 0 },
	{ "not-after", "TIME", "ends then: 2026-12-21T10:00:00Z, or 7d from now", 0 },
	{ "envelope", "FILE", "narrow the token of an envelope, and print the envelope", 0 },
	OPTIONS_COMMON,
};

static bool library(enum restante_code rc, const struct restante_error *e, struct trouble *t)
{
	return rc == RESTANTE_OK || trouble_library(t, e, NULL);
}

/* ---- show ---------------------------------------------------------------------------------- */

static const char *type_name(enum restante_token_type type)
{
	switch (type) {
	case RESTANTE_TOKEN_FETCH:
		return "fetch";
	case RESTANTE_TOKEN_MANAGE:
		return "manage";
	case RESTANTE_TOKEN_UPLOAD:
		return "upload";
	}
	return "unknown";
}

static bool show_json(const struct restante_token_info *info, struct trouble *t)
{
	json_t *o = json_object(), *recipients = json_array();

	json_add(o, "type", json_string(type_name(info->type)));
	json_add(o, "key_id", json_integer(info->key_id));
	json_add(o, "not_after", json_time(info->not_after));
	json_add(o, "narrowed", json_integer(info->caveat_count));
	for (unsigned i = 0; i < info->recipient_count; i++)
		(void)json_array_append_new(recipients, json_integer(info->recipients[i]));
	json_add(o, "recipients", recipients);
	return json_print(o, t);
}

static bool show_table(const struct restante_token_info *info, struct trouble *t)
{
	char text[1024], when[CLOCK_RFC3339_SIZE];
	size_t n;

	clock_rfc3339(when, (int64_t)info->not_after);
	(void)snprintf(text, sizeof(text), "%-10s %s\n%-10s %u\n%-10s %s%s\n%-10s %u time%s",
		       "type", type_name(info->type), "key id", info->key_id, "not after", when,
		       (int64_t)info->not_after < clock_now_s() ? " (it is over)" : "", "narrowed",
		       info->caveat_count, info->caveat_count == 1 ? "" : "s");
	for (unsigned i = 0; i < info->recipient_count; i++) {
		n = strlen(text);
		(void)snprintf(text + n, sizeof(text) - n, "\n%-10s %u", "recipient",
			       info->recipients[i]);
	}
	return output_line(text, t);
}

static bool show(const struct options *o, const struct settings *set, struct trouble *t)
{
	char token[RESTANTE_TOKEN_SIZE];
	struct restante_token_info info;
	struct restante_error e = { 0 };
	bool ok = command_takes(o, 1, 1, t) && command_token(token, o->args[0], t) &&
		  library(restante_token_read(&info, token, &e), &e, t);

	explicit_bzero(token, sizeof(token));
	return ok && (set->json ? show_json(&info, t) : show_table(&info, t));
}

/* ---- narrow -------------------------------------------------------------------------------- */

static bool narrow_recipient(char token[static RESTANTE_TOKEN_SIZE], const char *value,
			     struct trouble *t)
{
	char wider[RESTANTE_TOKEN_SIZE];
	struct restante_error e = { 0 };
	uint64_t n;

	if (value == NULL)
		return true;
	if (!num_u64(value, strlen(value), RECIPIENT_MAX, &n) || n == 0)
		return trouble_usage(t, "--recipient: is a number from 1 to 1024");
	memcpy(wider, token, sizeof(wider));
	return library(restante_token_recipient(token, wider, (uint16_t)n, &e), &e, t);
}

static bool narrow_time(char token[static RESTANTE_TOKEN_SIZE], const char *value,
			struct trouble *t)
{
	char wider[RESTANTE_TOKEN_SIZE];
	struct restante_error e = { 0 };
	uint64_t when;

	if (value == NULL)
		return true;
	if (!words_time(value, clock_now_s(), &when))
		return trouble_usage(t, "--not-after: is a time such as 2026-12-21T10:00:00Z, or a "
					"length from now such as 7d");
	memcpy(wider, token, sizeof(wider));
	return library(restante_token_not_after(token, wider, when, &e), &e, t);
}

static bool narrow_token(char token[static RESTANTE_TOKEN_SIZE], const struct options *o,
			 struct trouble *t)
{
	return narrow_recipient(token, options_get(o, "recipient"), t) &&
	       narrow_time(token, options_get(o, "not-after"), t);
}

static bool narrow_plain(const struct options *o, bool json, struct trouble *t)
{
	char token[RESTANTE_TOKEN_SIZE] = "";
	json_t *object;

	if (!command_takes(o, 1, 1, t) || !command_token(token, o->args[0], t) ||
	    !narrow_token(token, o, t))
		return false;
	if (!json)
		return output_line(token, t);
	object = json_object();
	json_add(object, "token", json_string(token));
	return json_print(object, t);
}

static bool narrow_envelope(const struct options *o, struct trouble *t)
{
	char token[RESTANTE_TOKEN_SIZE] = "";
	struct restante_envelope *card = NULL;
	bool ok;

	if (!command_takes(o, 0, 0, t) || !card_read(&card, options_get(o, "envelope"), t))
		return false;
	/* an envelope's token is one, or it would not have been read */
	(void)snprintf(token, sizeof(token), "%s",
		       restante_envelope_text(card, RESTANTE_TEXT_TOKEN));
	ok = narrow_token(token, o, t) && card_text(card, RESTANTE_TEXT_TOKEN, token, t) &&
	     emit_to(STDOUT_FILENO, "standard output", card, t);
	restante_envelope_free(card);
	return ok;
}

static bool narrow(const struct options *o, const struct settings *set, struct trouble *t)
{
	if (options_get(o, "recipient") == NULL && options_get(o, "not-after") == NULL)
		return trouble_usage(t, "say how: --recipient N, --not-after TIME, or both");
	return options_get(o, "envelope") != NULL ? narrow_envelope(o, t)
						  : narrow_plain(o, set->json, t);
}

/* ---- interface ----------------------------------------------------------------------------- */

const struct command command_token_show = {
	"token show", "TOKEN", "Shows what is written in a token; - is standard input",
	show_options, show,
};

const struct command command_token_narrow = {
	"token narrow",
	"TOKEN | --envelope FILE",
	"Makes a token that may do less, without asking anybody",
	narrow_options,
	narrow,
};
