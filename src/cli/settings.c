#include "cli/settings.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/num.h"
#include "cli/cancel.h"
#include "cli/folders.h"
#include "cli/say.h"

#define TEN_YEARS_S (UINT64_C(3653) * 86400)
#define FIRST_WAIT_MS 500

/* ---- the table ----------------------------------------------------------------------------- */

enum type { TEXT, QUALITY, SECONDS, COUNT };

struct row {
	const char *name; /* in the file */
	const char *flag; /* NULL: none */
	const char *environment;
	enum type type;
	size_t offset;
	uint64_t max;
	const char *unset; /* the default; NULL: none */
};

#define AT(field) offsetof(struct settings, field)
static const struct row rows[] = {
	{ "server", "server", "RESTANTE_SERVER", TEXT, AT(server), 0, "http://127.0.0.1:8080" },
	{ "grant", "grant", "RESTANTE_GRANT", TEXT, AT(grant), 0, NULL },
	{ "ca_file", "ca-file", NULL, TEXT, AT(ca_file), 0, NULL },
	{ "quality", "quality", NULL, QUALITY, AT(quality), 0, "standard" },
	{ "ttl", "ttl", NULL, SECONDS, AT(ttl_s), TEN_YEARS_S, "0" },
	{ "recipients", "recipients", NULL, COUNT, AT(recipients), 1024, "0" },
	{ "parts", "parts", NULL, COUNT, AT(parts), 16, "0" },
	{ "retries", NULL, NULL, COUNT, AT(retries), 100, "8" },
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

/* ---- values -------------------------------------------------------------------------------- */

static void *field(struct settings *s, const struct row *r)
{
	return (char *)s + r->offset;
}

static bool is_quality(const char *value)
{
	return strcmp(value, "standard") == 0 || strcmp(value, "high") == 0 ||
	       strcmp(value, "original") == 0;
}

static bool put_text(char **at, const char *value, struct trouble *t)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	free(*at);
	*at = copy;
	return true;
}

/* Puts a value where it belongs; `where` is how the person gave it. The value is not quoted: it may
 * be a grant. */
static bool put(struct settings *s, const struct row *r, const char *value, const char *where,
		struct trouble *t)
{
	uint64_t *number = field(s, r);

	switch (r->type) {
	case TEXT:
		if (value[0] == '\0')
			return trouble_usage(t, "%s: is empty", where);
		return put_text(field(s, r), value, t);
	case QUALITY:
		if (!is_quality(value))
			return trouble_usage(t, "%s: is standard, high or original", where);
		return put_text(field(s, r), value, t);
	case SECONDS:
		if (!num_duration(value, strlen(value), r->max, number))
			return trouble_usage(t, "%s: is a length of time such as 7d, 12h, 30min",
					     where);
		return true;
	case COUNT:
		break;
	}
	if (!num_u64(value, strlen(value), r->max, number))
		return trouble_usage(t, "%s: is a number, at most %u", where, (unsigned)r->max);
	return true;
}

/* ---- the file ------------------------------------------------------------------------------ */

struct reading {
	struct settings *s;
	unsigned problems;
};

static enum conf_kind kind_of(void *ctx, const char *name)
{
	(void)ctx;
	return find(name) != NULL ? CONF_VALUE : CONF_UNKNOWN;
}

static void problem(void *ctx, const char *text)
{
	struct reading *r = ctx;

	r->problems++;
	say("%s", text);
}

static void value(void *ctx, const char *name, const char *value, const char *where)
{
	struct reading *r = ctx;
	const struct row *row = find(name);
	struct trouble t = { 0 };
	char at[CONF_WHERE_SIZE + 32];

	assert(row != NULL);
	(void)snprintf(at, sizeof(at), "%s: %s", where, name);
	if (!put(r->s, row, value, at, &t))
		problem(r, t.text);
}

static bool read_file(struct settings *s, const char *path, struct trouble *t)
{
	struct reading r = { .s = s };
	const struct conf_user user = {
		.ctx = &r, .kind = kind_of, .value = value, .problem = problem
	};
	struct err e = { 0 };

	if (conf_read_file(path, &user, &e) != ERR_OK)
		return e.code == ERR_NOMEM ? trouble_err(t, &e, NULL)
					   : trouble_usage(t, "%s", e.why);
	if (r.problems > 0)
		return trouble_usage(t, "the settings in %.200s are not right", path);
	return true;
}

/* The one of the flag has to be there, the usual one not. */
static bool load_file(struct settings *s, const char *given, struct trouble *t)
{
	char *usual = NULL;
	bool ok = true;

	if (given != NULL)
		return read_file(s, given, t);
	usual = folders_config();
	if (usual != NULL && access(usual, F_OK) == 0)
		ok = read_file(s, usual, t);
	free(usual);
	return ok;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static bool load_defaults(struct settings *s, struct trouble *t)
{
	bool ok = true;

	*s = (struct settings){ 0 };
	for (size_t i = 0; ok && i < ROWS; i++) {
		if (rows[i].unset != NULL)
			ok = put(s, &rows[i], rows[i].unset, rows[i].name, t);
	}
	return ok;
}

static bool load_environment(struct settings *s, struct trouble *t)
{
	bool ok = true;

	for (size_t i = 0; ok && i < ROWS; i++) {
		const char *name = rows[i].environment;
		const char *given = name != NULL ? getenv(name) : NULL;

		if (given != NULL && given[0] != '\0')
			ok = put(s, &rows[i], given, name, t);
	}
	return ok;
}

static bool load_flags(struct settings *s, const struct options *o, struct trouble *t)
{
	bool ok = true;

	for (size_t i = 0; ok && i < ROWS; i++) {
		const char *flag = rows[i].flag, *given;
		char where[32];

		if (flag == NULL || !options_knows(o, flag))
			continue;
		given = options_get(o, flag);
		(void)snprintf(where, sizeof(where), "--%s", flag);
		if (given != NULL)
			ok = put(s, &rows[i], given, where, t);
	}
	return ok;
}

bool settings_load(struct settings *s, const struct options *o, struct trouble *t)
{
	bool online = options_knows(o, "server"); /* else nothing of the file is of use */

	if (!load_defaults(s, t))
		return false;
	s->quiet = options_get(o, "quiet") != NULL;
	s->json = options_get(o, "json") != NULL;
	return !online || (load_file(s, options_get(o, "config"), t) && load_environment(s, t) &&
			   load_flags(s, o, t));
}

void settings_free(struct settings *s)
{
	if (s->grant != NULL)
		explicit_bzero(s->grant, strlen(s->grant));
	free(s->server);
	free(s->grant);
	free(s->ca_file);
	free(s->quality);
	*s = (struct settings){ 0 };
}

/* ---- a client ------------------------------------------------------------------------------ */

/* What the library says about a setting is about how the command was called. */
static bool wrong(struct trouble *t, const struct restante_error *e)
{
	if (e->code == RESTANTE_INVALID || e->code == RESTANTE_UNTRUSTED)
		return trouble_usage(t, "%s", e->detail);
	return trouble_library(t, e, NULL);
}

bool settings_client(struct restante_client **out, const struct settings *s, struct trouble *t)
{
	struct restante_client *client = NULL;
	struct restante_error e = { 0 };

	if (restante_client_new(&client, s->server, &e) != RESTANTE_OK)
		return wrong(t, &e);
	if (restante_client_set_grant(client, s->grant, &e) != RESTANTE_OK) {
		restante_client_free(client);
		return wrong(t, &e);
	}
	if (restante_client_set_ca_file(client, s->ca_file, &e) != RESTANTE_OK) {
		restante_client_free(client);
		return wrong(t, &e);
	}
	restante_client_set_retries(client, (unsigned)s->retries, FIRST_WAIT_MS);
	cancel_watch(client);
	*out = client;
	return true;
}

void settings_release(struct restante_client *client)
{
	cancel_watch(NULL);
	restante_client_free(client);
}
