#include "server/settings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/num.h"
#include "server/listen.h"
#include "server/settings_table.h"

/* ---- values ------------------------------------------------------------------------------ */

static void *field(const struct settings *s, const struct setting *t)
{
	return (char *)(uintptr_t)s + t->offset;
}

static enum err_code put_string(char **at, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return err_set(e, ERR_NOMEM, "settings");
	free(*at);
	*at = copy;
	return ERR_OK;
}

static enum err_code put_number(uint64_t *at, const struct setting *t, const char *value,
				struct err *e)
{
	static const char *const kinds[] = {
		[SETTING_SIZE] = "a size such as 64mb",
		[SETTING_SECONDS] = "a time such as 30d",
		[SETTING_COUNT] = "a number",
	};
	size_t n = strlen(value);
	char low[SETTINGS_AMOUNT_SIZE], high[SETTINGS_AMOUNT_SIZE];
	uint64_t v = 0;
	bool ok = t->type == SETTING_SIZE      ? num_size(value, n, UINT64_MAX, &v)
		  : t->type == SETTING_SECONDS ? num_duration(value, n, UINT64_MAX, &v)
					       : num_u64(value, n, UINT64_MAX, &v);

	if (!ok)
		return err_set(e, ERR_INVALID, "\"%.40s\" is not %s", value, kinds[t->type]);
	if (v < t->min || v > t->max)
		return err_set(e, ERR_INVALID, "\"%.40s\" is out of range: %s to %s", value,
			       settings_table_amount(low, t->type, t->min),
			       settings_table_amount(high, t->type, t->max));
	*at = v;
	return ERR_OK;
}

static enum err_code put_bool(bool *at, const char *value, struct err *e)
{
	static const struct {
		const char *text;
		bool is;
	} words[] = { { "true", true },   { "yes", true }, { "on", true },
		      { "false", false }, { "no", false }, { "off", false } };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(value, words[i].text) == 0) {
			*at = words[i].is;
			return ERR_OK;
		}
	return err_set(e, ERR_INVALID, "\"%.40s\" is neither true nor false", value);
}

static enum err_code put_listen(struct settings *s, const char *address, bool tls, struct err *e)
{
	struct settings_listen *l = &s->listen[s->listen_count];
	enum err_code rc = listen_check(address, e);

	if (rc != ERR_OK)
		return rc;
	if (s->listen_count == SETTINGS_LISTEN_MAX)
		return err_set(e, ERR_INVALID, "more than %d listeners", SETTINGS_LISTEN_MAX);
	rc = put_string(&l->address, address, e);
	if (rc == ERR_OK) {
		l->tls = tls;
		s->listen_count++;
	}
	return rc;
}

/* Reads a value into its field. ERR_INVALID: why says what is wrong with it, without its name. */
static enum err_code put(struct settings *s, const struct setting *t, const char *value,
			 struct err *e)
{
	switch (t->type) {
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		return put_number(field(s, t), t, value, e);
	case SETTING_BOOL:
		return put_bool(field(s, t), value, e);
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		return put_listen(s, value, t->type == SETTING_LISTEN_TLS, e);
	case SETTING_STRING:
		break;
	}
	if (t->fits != NULL && !t->fits(value))
		return err_set(e, ERR_INVALID, "\"%.40s\" does not do: %s", value, t->range);
	return put_string(field(s, t), value, e);
}

static enum err_code put_defaults(struct settings *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < SETTINGS_COUNT && rc == ERR_OK; i++)
		if (!settings_table_is_listen(&settings_table[i]))
			rc = put(s, &settings_table[i],
				 settings_table[i].unset != NULL ? settings_table[i].unset : "", e);
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
		return settings_table_is_listen(t) ? CONF_LIST : CONF_VALUE;
	return settings_table_has_block(name) ? CONF_BLOCK : CONF_UNKNOWN;
}

static void take(void *ctx, const char *name, const char *value, const char *where)
{
	struct load *l = ctx;
	const struct setting *t = settings_table_find(name);
	struct err e = { .code = ERR_OK };
	char *before;

	assert(t != NULL);
	before = l->where[t - settings_table];
	if (before[0] != '\0' && !settings_table_is_listen(t))
		complain_of(l, "%s: %s: set already, at %s", where, name, before);
	else if (put(&l->s, t, value, &e) == ERR_INVALID)
		complain_of(l, "%s: %s: %s", where, name, e.why);
	else if (e.code == ERR_NOMEM)
		l->nomem = true;
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

static void check_together(struct load *l)
{
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
		rc = put_listen(&l->s, settings_table_find("listen")->unset, false, l->e);
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

static void drop_listeners(struct settings *s)
{
	while (s->listen_count > 0) {
		struct settings_listen *l = &s->listen[--s->listen_count];

		free(l->address);
		l->address = NULL;
	}
}

enum err_code settings_add_listen(struct settings *s, const char *address, bool *replaced,
				  struct err *e)
{
	enum err_code rc = listen_check(address, e);

	if (rc == ERR_OK && !*replaced) {
		drop_listeners(s);
		*replaced = true;
	}
	return rc == ERR_OK ? put_listen(s, address, false, e) : rc;
}

enum err_code settings_set_data_dir(struct settings *s, const char *dir, struct err *e)
{
	if (dir[0] == '\0')
		return err_set(e, ERR_INVALID, "the data directory has no name");
	return put_string(&s->data_dir, dir, e);
}

void settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	drop_listeners(s);
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (settings_table[i].type == SETTING_STRING)
			free(*(char **)field(s, &settings_table[i]));
	memset(s, 0, sizeof(*s));
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* The i-th listener of a kind, NULL behind the last. */
static const char *listener_at(const struct settings *s, bool tls, size_t i)
{
	for (size_t k = 0; k < s->listen_count; k++)
		if (s->listen[k].tls == tls && i-- == 0)
			return s->listen[k].address;
	return NULL;
}

static bool same_listeners(const struct settings *a, const struct settings *b, bool tls)
{
	for (size_t i = 0;; i++) {
		const char *x = listener_at(a, tls, i), *y = listener_at(b, tls, i);

		if (x == NULL || y == NULL)
			return x == y;
		if (strcmp(x, y) != 0)
			return false;
	}
}

static bool same_value(const struct settings *a, const struct settings *b, const struct setting *t)
{
	switch (t->type) {
	case SETTING_LISTEN:
	case SETTING_LISTEN_TLS:
		return same_listeners(a, b, t->type == SETTING_LISTEN_TLS);
	case SETTING_STRING:
		return strcmp(*(char **)field(a, t), *(char **)field(b, t)) == 0;
	case SETTING_BOOL:
		return *(bool *)field(a, t) == *(bool *)field(b, t);
	case SETTING_SIZE:
	case SETTING_SECONDS:
	case SETTING_COUNT:
		break;
	}
	return *(uint64_t *)field(a, t) == *(uint64_t *)field(b, t);
}

size_t settings_fixed_changes(const struct settings *running, const struct settings *wanted,
			      FILE *out)
{
	size_t count = 0;

	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		if (settings_table[i].live || same_value(running, wanted, &settings_table[i]))
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

		if (t->live)
			continue;
		if (t->type == SETTING_STRING)
			(void)put_string(field(wanted, t), *(char **)field(running, t), NULL);
		else if (t->type == SETTING_BOOL)
			*(bool *)field(wanted, t) = *(bool *)field(running, t);
		else if (t->type != SETTING_LISTEN && t->type != SETTING_LISTEN_TLS)
			*(uint64_t *)field(wanted, t) = *(uint64_t *)field(running, t);
	}
}
