#include "server/settings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "server/listen.h"
#include "server/settings_table.h"
#include "server/settings_value.h"

static enum err_code put_defaults(struct settings *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < SETTINGS_COUNT && rc == ERR_OK; i++)
		rc = settings_value_default(s, &settings_table[i], e);
	assert(rc == ERR_OK || rc == ERR_NOMEM);
	return rc;
}

/* ---- loading ------------------------------------------------------------------------------ */

struct load {
	struct settings s;
	void (*complain)(void *ctx, const char *text);
	void *ctx;
	struct err *e;
	size_t problems;
	bool nomem;
	char where[SETTINGS_COUNT][CONF_WHERE_SIZE]; /* where a setting was set; "" if it was not */
};

/* Control characters must not reach a terminal or a log. */
static void clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 32 || *text == 127)
			*text = '?';
}

static void report(struct load *l, char *text)
{
	clean(text);
	if (l->problems++ == 0)
		(void)err_set(l->e, ERR_INVALID, "%s", text);
	if (l->complain != NULL)
		l->complain(l->ctx, text);
}

static void complain_of(struct load *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain_of(struct load *l, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(l, text);
}

static enum conf_kind kind(void *ctx, const char *name)
{
	const struct setting *t = settings_table_find(name);

	(void)ctx;
	if (t != NULL)
		return settings_table_is_list(t) ? CONF_LIST : CONF_VALUE;
	return settings_table_has_block(name) ? CONF_BLOCK : CONF_UNKNOWN;
}

/* Of the listener that was added last. */
static void note_place(struct load *l, const char *where)
{
	struct settings_listen *last = &l->s.listen[l->s.listen_count - 1];

	last->where = strdup(where);
	l->nomem |= last->where == NULL;
}

static void take(void *ctx, const char *name, const char *value, const char *where)
{
	struct load *l = ctx;
	const struct setting *t = settings_table_find(name);
	struct err e = { .code = ERR_OK };
	char *before;

	assert(t != NULL);
	before = l->where[t - settings_table];
	if (before[0] != '\0' && !settings_table_is_list(t))
		complain_of(l, "%s: %s: set already, at %s", where, name, before);
	else if (settings_value_read(&l->s, t, value, &e) == ERR_INVALID)
		complain_of(l, "%s: %s: %s", where, name, e.why);
	else if (e.code == ERR_NOMEM)
		l->nomem = true;
	else if (t->type == SETTING_LISTEN || t->type == SETTING_LISTEN_TLS)
		note_place(l, where);
	if (before[0] == '\0')
		(void)snprintf(before, sizeof(l->where[0]), "%s", where);
}

static void take_problem(void *ctx, const char *text)
{
	complain_of(ctx, "%s", text);
}

/* ---- what no setting can tell by itself --------------------------------------------------- */

static const char *where_set(const struct load *l, const char *name)
{
	const struct setting *t = settings_table_find(name);

	assert(t != NULL);
	return l->where[t - settings_table];
}

static void check_ttl(struct load *l, const char *name, uint64_t ttl)
{
	const char *where = where_set(l, name);
	char a[SETTINGS_AMOUNT_SIZE], b[SETTINGS_AMOUNT_SIZE];

	if (where[0] == '\0')
		where = where_set(l, "upload.ttl_max");
	if (ttl > l->s.upload_ttl_max)
		complain_of(l, "%s: %s: %s is more than upload.ttl_max, %s", where, name,
			    settings_table_amount(a, SETTING_SECONDS, ttl),
			    settings_table_amount(b, SETTING_SECONDS, l->s.upload_ttl_max));
}

static bool has_tls_listener(const struct settings *s)
{
	for (size_t i = 0; i < s->listen_count; i++)
		if (s->listen[i].tls)
			return true;
	return false;
}

static void check_tls(struct load *l)
{
	bool certificate = l->s.tls_certificate[0] != '\0', key = l->s.tls_key[0] != '\0';

	if (certificate && !key)
		complain_of(l, "%s: tls.certificate: tls.key is missing",
			    where_set(l, "tls.certificate"));
	if (key && !certificate)
		complain_of(l, "%s: tls.key: tls.certificate is missing", where_set(l, "tls.key"));
	if (has_tls_listener(&l->s) && !certificate && !key)
		complain_of(l, "%s: listen_tls: tls.certificate and tls.key are missing",
			    where_set(l, "listen_tls"));
}

static void check_auth(struct load *l)
{
	if (strcmp(l->s.auth, "grants") == 0 && l->s.grant_key_count == 0)
		complain_of(l, "%s: auth: grants, and there is no grants.key to check them with",
			    where_set(l, "auth"));
}

static void check_together(struct load *l)
{
	check_auth(l);
	check_tls(l);
	check_ttl(l, "upload.ttl_photo", l->s.upload_ttl_photo);
	check_ttl(l, "upload.ttl_video", l->s.upload_ttl_video);
	check_ttl(l, "upload.ttl_voice", l->s.upload_ttl_voice);
	check_ttl(l, "upload.ttl_file", l->s.upload_ttl_file);
}

/* Defaults, the file or the text if there is one, and what must fit together. */
static enum err_code load(struct settings *out, struct load *l, const char *path, const char *text,
			  size_t n)
{
	const struct conf_user user = { l, kind, take, take_problem };
	enum err_code rc = put_defaults(&l->s, l->e);

	if (rc == ERR_OK && path != NULL)
		rc = conf_read_file(path, &user, l->e);
	else if (rc == ERR_OK && n > 0)
		rc = conf_read_text("settings", text, n, &user, l->e);
	if (rc == ERR_OK && l->s.listen_count == 0 && !l->nomem)
		rc = settings_value_read(&l->s, &settings_table[0], settings_table[0].unset, l->e);
	if (rc == ERR_OK)
		check_together(l);
	if (rc == ERR_OK && l->nomem)
		rc = err_set(l->e, ERR_NOMEM, "settings");
	else if (rc == ERR_OK && l->problems > 0)
		rc = ERR_INVALID; /* l->e is about the first of them */
	if (rc != ERR_OK)
		goto out;
	*out = l->s;
	memset(&l->s, 0, sizeof(l->s)); /* the caller's now */
out:
	settings_free(&l->s);
	return rc;
}

enum err_code settings_load(struct settings *out, const char *path,
			    void (*complain)(void *ctx, const char *text), void *ctx, struct err *e)
{
	struct load l = { .complain = complain, .ctx = ctx, .e = e };

	return load(out, &l, path, NULL, 0);
}

enum err_code settings_parse(struct settings *out, const char *text, size_t n,
			     void (*complain)(void *ctx, const char *text), void *ctx,
			     struct err *e)
{
	struct load l = { .complain = complain, .ctx = ctx, .e = e };

	return load(out, &l, NULL, text, n);
}

/* ---- flags, and the end ------------------------------------------------------------------- */

enum err_code settings_add_listen(struct settings *s, const char *address, bool *replaced,
				  struct err *e)
{
	enum err_code rc = listen_check(address, e);

	if (rc == ERR_OK && !*replaced) {
		settings_value_drop(s, settings_table_find("listen"));
		settings_value_drop(s, settings_table_find("listen_tls"));
		*replaced = true;
	}
	return rc == ERR_OK ? settings_value_read(s, settings_table_find("listen"), address, e)
			    : rc;
}

enum err_code settings_set_data_dir(struct settings *s, const char *dir, struct err *e)
{
	if (dir[0] == '\0')
		return err_set(e, ERR_INVALID, "the data directory has no name");
	return settings_value_read(s, settings_table_find("data_dir"), dir, e);
}

void settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		settings_value_drop(s, &settings_table[i]);
	memset(s, 0, sizeof(*s));
}

/* ---- who may ------------------------------------------------------------------------------- */

const uint8_t *settings_grant_key(const struct settings *s, const char *kid)
{
	for (size_t i = 0; i < s->grant_key_count; i++)
		if (strcmp(s->grant_keys[i].kid, kid) == 0)
			return s->grant_keys[i].key;
	return NULL;
}

bool settings_open(const struct settings *s)
{
	if (strcmp(s->auth, "auto") == 0)
		return s->grant_key_count == 0;
	return strcmp(s->auth, "open") == 0;
}

enum err_code settings_check_access(const struct settings *s,
				    void (*complain)(void *ctx, const char *text), void *ctx,
				    struct err *e)
{
	struct load l = { .complain = complain, .ctx = ctx, .e = e };

	for (size_t i = 0; settings_open(s) && i < s->listen_count; i++) {
		const struct settings_listen *at = &s->listen[i];

		if (!listen_check_loopback(at->address))
			complain_of(&l,
				    "%s: %s is open to other machines, and uploads need no grant: "
				    "set grants.key, or listen on 127.0.0.1 or [::1]",
				    at->where != NULL ? at->where : "--listen", at->address);
	}
	return l.problems > 0 ? ERR_INVALID : ERR_OK;
}

/* ---- comparing ---------------------------------------------------------------------------- */

size_t settings_fixed_changes(const struct settings *running, const struct settings *wanted,
			      FILE *out)
{
	size_t count = 0;

	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		if (settings_table[i].live ||
		    settings_value_same(running, wanted, &settings_table[i]))
			continue;
		(void)fprintf(out, "%s%s", count > 0 ? " " : "", settings_table[i].name);
		count++;
	}
	return count;
}

void settings_keep_fixed(struct settings *wanted, const struct settings *running)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *t = &settings_table[i];

		if (!t->live && !settings_table_is_list(t))
			(void)settings_value_copy(wanted, running, t, NULL);
	}
}
