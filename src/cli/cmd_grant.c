#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/words.h"
#include "restante/grant.h"

#define LIFE_S 3600 /* unless it is said */

static const struct option_row options[] = {
	{ "key", "FILE", "the secret key, as keygen has written it", 0 },
	{ "kid", "KID", "what the server calls the key, if not its k4.pid", 0 },
	{ "audience", "NAME", "the server's name; else the host of its address", 0 },
	{ "expires", "TIME", "ends then: 2026-12-21T10:00:00Z, or 5min from now; 1h", 0 },
	{ "not-before", "TIME", "begins then", 0 },
	{ "max", "SIZE", "the largest upload: 50mb", 0 },
	{ "ttl", "TIME", "how long an upload is kept at most: 7d", 0 },
	{ "recipients", "N", "how many will acknowledge: exactly so many", 0 },
	{ "kind", "KIND", "photo, video, voice or file", 0 },
	{ "sha256", "HEX", "of what is uploaded", 0 },
	{ "bucket", "NAME", "what quotas count it against", 0 },
	{ "jti", "ID", "for one upload only; the same ID again meets that one", 0 },
	{ "once", NULL, "for one upload only, with a random id", 0 },
	{ "reuse", NULL, "may use a blob that is there already", 0 },
	{ "server", "URL", "https://..., or http://... on this machine", 0 },
	{ "config", "FILE", "settings instead of ~/.config/restante/restante.conf", 0 },
	OPTIONS_COMMON,
};

static bool library(enum restante_code rc, const struct restante_error *e, struct trouble *t)
{
	if (rc == RESTANTE_INVALID || rc == RESTANTE_UNTRUSTED) /* it was on the command line */
		return trouble_usage(t, "%s", e->detail);
	return rc == RESTANTE_OK || trouble_library(t, e, NULL);
}

/* ---- what it says -------------------------------------------------------------------------- */

static bool put_text(struct restante_grant *g, enum restante_grant_text field, const char *value,
		     struct trouble *t)
{
	struct restante_error e = { 0 };

	return value == NULL || library(restante_grant_set_text(g, field, value, &e), &e, t);
}

static bool put_number(struct restante_grant *g, enum restante_grant_number field, uint64_t value,
		       struct trouble *t)
{
	struct restante_error e = { 0 };

	return library(restante_grant_set_number(g, field, value, &e), &e, t);
}

static bool put_max(struct restante_grant *g, const char *value, struct trouble *t)
{
	uint64_t max;

	if (value == NULL)
		return true;
	if (!num_size(value, strlen(value), INT64_MAX, &max))
		return trouble_usage(t, "--max: is a size such as 50mb");
	return put_number(g, RESTANTE_GRANT_MAX, max, t);
}

/* *when is as it was if there is no value. */
static bool read_time(const char *flag, const char *value, uint64_t *when, struct trouble *t)
{
	return value == NULL || words_time(value, clock_now_s(), when) ||
	       trouble_usage(t,
			     "--%s: is a time such as 2026-12-21T10:00:00Z, or a length from now "
			     "such as 5min",
			     flag);
}

static bool put_not_before(struct restante_grant *g, const char *value, struct trouble *t)
{
	uint64_t when = 0;

	return read_time("not-before", value, &when, t) &&
	       (value == NULL || put_number(g, RESTANTE_GRANT_NOT_BEFORE, when, t));
}

static bool put_once(struct restante_grant *g, const struct options *o, struct trouble *t)
{
	struct restante_error e = { 0 };

	if (options_get(o, "once") == NULL)
		return true;
	if (options_get(o, "jti") != NULL)
		return trouble_usage(t, "--jti and --once: the id is either given or random");
	return library(restante_grant_set_once(g, &e), &e, t);
}

/* The settings have read what stands behind --ttl and --recipients, but cannot tell their own from
 * the grant's. */
static bool put_all(struct restante_grant *g, const struct options *o, const struct settings *set,
		    struct trouble *t)
{
	return put_text(g, RESTANTE_GRANT_KID, options_get(o, "kid"), t) &&
	       put_text(g, RESTANTE_GRANT_ID, options_get(o, "jti"), t) &&
	       put_text(g, RESTANTE_GRANT_KIND, options_get(o, "kind"), t) &&
	       put_text(g, RESTANTE_GRANT_SHA256, options_get(o, "sha256"), t) &&
	       put_text(g, RESTANTE_GRANT_BUCKET, options_get(o, "bucket"), t) &&
	       put_max(g, options_get(o, "max"), t) &&
	       (options_get(o, "ttl") == NULL ||
		put_number(g, RESTANTE_GRANT_TTL, set->ttl_s, t)) &&
	       (options_get(o, "recipients") == NULL ||
		put_number(g, RESTANTE_GRANT_RECIPIENTS, set->recipients, t)) &&
	       put_not_before(g, options_get(o, "not-before"), t) && put_once(g, o, t) &&
	       put_number(g, RESTANTE_GRANT_REUSE, options_get(o, "reuse") != NULL, t);
}

/* ---- whose, for whom ----------------------------------------------------------------------- */

static bool read_key(char secret[static RESTANTE_GRANT_SECRET_SIZE], const char *path,
		     struct trouble *t)
{
	struct restante_error e = { 0 };

	if (path == NULL)
		return trouble_usage(t, "--key FILE is missing");
	if (!input_text(path, secret, RESTANTE_GRANT_SECRET_SIZE - 1, t))
		return false;
	return restante_grant_public(NULL, NULL, secret, &e) == RESTANTE_OK ||
	       trouble_library(t, &e, path);
}

static bool start(struct restante_grant **out, const struct options *o, const struct settings *set,
		  struct trouble *t)
{
	const char *given = options_get(o, "audience");
	char usual[RESTANTE_GRANT_NAME_MAX + 1] = "";
	uint64_t until = (uint64_t)clock_now_s() + LIFE_S;
	struct restante_error e = { 0 };

	if (given == NULL && !library(restante_grant_audience(usual, set->server, &e), &e, t))
		return false;
	return read_time("expires", options_get(o, "expires"), &until, t) &&
	       library(restante_grant_new(out, given != NULL ? given : usual, until, &e), &e, t);
}

/* ---- the command --------------------------------------------------------------------------- */

static bool print(const char *token, bool json, struct trouble *t)
{
	json_t *o;

	if (!json)
		return output_line(token, t);
	o = json_object();
	json_add(o, "grant", json_text(token));
	return json_print(o, t);
}

static bool grant(const struct options *o, const struct settings *set, struct trouble *t)
{
	char secret[RESTANTE_GRANT_SECRET_SIZE], token[RESTANTE_GRANT_SIZE];
	struct restante_grant *g = NULL;
	struct restante_error e = { 0 };
	bool ok = command_takes(o, 0, 0, t) && read_key(secret, options_get(o, "key"), t) &&
		  start(&g, o, set, t) && put_all(g, o, set, t) &&
		  library(restante_grant_sign(token, g, secret, &e), &e, t) &&
		  print(token, set->json, t);

	restante_grant_free(g);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(token, sizeof(token));
	return ok;
}

const struct command command_grant = {
	"grant", "--key FILE", "Prints a permission to upload, signed with a key of keygen",
	options, grant,
};
