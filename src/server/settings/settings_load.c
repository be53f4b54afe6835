#include "server/settings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "server/hosts.h"
#include "server/listen.h"
#include "server/settings/settings_table.h"
#include "server/settings/settings_value.h"

#define SERVER_BLOCK "server"

/* What stands outside of server blocks, or in one of them. */
struct scope {
	struct settings s;
	char at[CONF_WHERE_SIZE];                    /* where the block begins; "" outside */
	char where[SETTINGS_COUNT][CONF_WHERE_SIZE]; /* where a setting was set; "" if it was not */
};

struct load {
	struct scope server;
	struct scope *hosts[SETTINGS_HOSTS_MAX]; /* owned */
	size_t host_count;
	struct scope *now; /* NULL: what comes is of no use */
	void (*complain)(void *ctx, const char *text);
	void *ctx;
	struct err *e;
	size_t problems;
	bool nomem;
};

static enum err_code put_defaults(struct settings *s, struct err *e)
{
	enum err_code rc = ERR_OK;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < SETTINGS_COUNT && rc == ERR_OK; i++)
		rc = settings_value_default(s, &settings_table[i], e);
	assert(rc == ERR_OK || rc == ERR_NOMEM);
	return rc;
}

/* ---- problems ----------------------------------------------------------------------------- */

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

/* ---- what the file says ------------------------------------------------------------------- */

static enum conf_kind kind(void *ctx, const char *name)
{
	const struct setting *t = settings_table_find(name);

	(void)ctx;
	if (t != NULL)
		return settings_table_is_list(t) ? CONF_LIST : CONF_VALUE;
	if (strcmp(name, SERVER_BLOCK) == 0)
		return CONF_NAMED;
	return settings_table_has_block(name) ? CONF_BLOCK : CONF_UNKNOWN;
}

/* Where the listener stands that was added last. */
static void note_place(struct load *l, const char *where)
{
	struct settings_listen *last = &l->now->s.listen[l->now->s.listen_count - 1];

	last->where = strdup(where);
	l->nomem |= last->where == NULL;
}

static void put(struct load *l, const struct setting *t, const char *value, const char *where)
{
	struct err e = { .code = ERR_OK };
	enum err_code rc = settings_value_read(&l->now->s, t, value, &e);

	if (rc == ERR_INVALID)
		complain_of(l, "%s: %s: %s", where, t->name, e.why);
	else if (rc == ERR_NOMEM)
		l->nomem = true;
	else if (settings_table_is_listen(t))
		note_place(l, where);
}

/* Why it may not stand here; NULL: it may. */
static const char *misplaced(const struct load *l, const struct setting *t)
{
	const bool in_host = l->now != &l->server;

	if (in_host && strcmp(t->name, "name") == 0)
		return "a server block has its name in front";
	if (in_host && !settings_table_in_host(t))
		return "not in a server block: it is the same for all of them";
	return !in_host && t->host_only ? "only in a server block" : NULL;
}

static void take(void *ctx, const char *name, const char *value, const char *where)
{
	struct load *l = ctx;
	const struct setting *t = settings_table_find(name);
	const char *wrong;
	char *before;

	assert(t != NULL);
	if (l->now == NULL)
		return;
	before = l->now->where[t - settings_table];
	wrong = misplaced(l, t);
	if (wrong != NULL)
		complain_of(l, "%s: %s: %s", where, name, wrong);
	else if (before[0] != '\0' && !settings_table_is_list(t))
		complain_of(l, "%s: %s: set already, at %s", where, name, before);
	else
		put(l, t, value, where);
	if (before[0] == '\0')
		(void)snprintf(before, CONF_WHERE_SIZE, "%s", where);
}

static void take_file(void *ctx, const char *path)
{
	struct load *l = ctx;
	struct settings *s = &l->server.s;
	char **more = reallocarray(s->files, s->file_count + 1, sizeof(*more));
	char *copy = strdup(path);

	if (more != NULL)
		s->files = more;
	if (more != NULL && copy != NULL) {
		s->files[s->file_count++] = copy;
		return;
	}
	free(copy);
	l->nomem = true;
}

static void take_problem(void *ctx, const char *text)
{
	complain_of(ctx, "%s", text);
}

/* The name in front of a block; "" if it is none, and has been complained of. */
static void take_host_name(struct load *l, const char *name)
{
	const struct setting *t = settings_table_find("name");
	const bool fits = hosts_fits(name, false);

	if (!fits)
		complain_of(l, "%s: server: \"%.40s\" is no name of a host", l->now->at, name);
	l->nomem |= settings_value_read(&l->now->s, t, fits ? name : "-", NULL) != ERR_OK;
	if (!fits && !l->nomem)
		l->now->s.name[0] = '\0';
	hosts_plain(l->now->s.name);
	(void)snprintf(l->now->where[t - settings_table], CONF_WHERE_SIZE, "%s", l->now->at);
}

static void begin_host(void *ctx, const char *block, const char *name, const char *where)
{
	struct load *l = ctx;

	(void)block;
	l->now = NULL;
	if (l->host_count == SETTINGS_HOSTS_MAX) {
		complain_of(l, "%s: server: more than %d", where, SETTINGS_HOSTS_MAX);
		return;
	}
	l->now = calloc(1, sizeof(*l->now));
	if (l->now == NULL || put_defaults(&l->now->s, NULL) != ERR_OK) {
		l->nomem = true;
		if (l->now != NULL)
			settings_free(&l->now->s);
		free(l->now);
		l->now = NULL;
		return;
	}
	l->hosts[l->host_count++] = l->now;
	(void)snprintf(l->now->at, sizeof(l->now->at), "%s", where);
	take_host_name(l, name);
}

static void end_host(void *ctx)
{
	struct load *l = ctx;

	l->now = &l->server;
}

/* ---- what is not said in a host ------------------------------------------------------------ */

/* What its block says nothing of is as it is outside, wherever in the file that stands. */
static enum err_code inherit(struct scope *host, const struct settings *from, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < SETTINGS_COUNT; i++)
		if (host->where[i][0] == '\0')
			rc = settings_value_copy(&host->s, from, &settings_table[i], e);
	return rc;
}

/* The server's settings get theirs. */
static enum err_code hand_over_hosts(struct load *l)
{
	struct settings *s = &l->server.s;
	enum err_code rc = ERR_OK;

	if (l->host_count == 0)
		return ERR_OK;
	s->hosts = calloc(l->host_count, sizeof(*s->hosts));
	if (s->hosts == NULL)
		return err_set(l->e, ERR_NOMEM, "settings");
	for (; rc == ERR_OK && s->host_count < l->host_count; s->host_count++) {
		struct scope *host = l->hosts[s->host_count];

		rc = inherit(host, s, l->e);
		s->hosts[s->host_count] = host->s;
		memset(&host->s, 0, sizeof(host->s));
	}
	return rc;
}

/* ---- what no setting can tell by itself ---------------------------------------------------- */

/* One of those that requests are for, and where it says what. */
struct checked {
	struct load *l;
	const struct settings *s;
	const struct scope *scope;
};

static const char *where_in(const struct scope *scope, const char *name)
{
	const struct setting *t = settings_table_find(name);

	assert(t != NULL);
	return scope->where[t - settings_table];
}

/* There, or where it has it from. */
static const char *where_set(const struct checked *c, const char *name)
{
	const char *where = where_in(c->scope, name);

	return where[0] != '\0' ? where : where_in(&c->l->server, name);
}

static void check_ttl(const struct checked *c, const char *name, uint64_t ttl)
{
	const char *where = where_in(c->scope, name);
	char a[SETTINGS_AMOUNT_SIZE], b[SETTINGS_AMOUNT_SIZE];

	if (where[0] == '\0')
		where = where_in(c->scope, "upload.ttl_max");
	/* a host that says neither: the server has been complained of */
	if (ttl > c->s->upload_ttl_max && where[0] != '\0')
		complain_of(c->l, "%s: %s: %s is more than upload.ttl_max, %s", where, name,
			    settings_table_amount(a, SETTING_SECONDS, ttl),
			    settings_table_amount(b, SETTING_SECONDS, c->s->upload_ttl_max));
}

static void check_ttls(const struct checked *c)
{
	check_ttl(c, "upload.ttl_photo", c->s->upload_ttl_photo);
	check_ttl(c, "upload.ttl_video", c->s->upload_ttl_video);
	check_ttl(c, "upload.ttl_voice", c->s->upload_ttl_voice);
	check_ttl(c, "upload.ttl_file", c->s->upload_ttl_file);
}

static void check_auth(const struct checked *c)
{
	if (strcmp(c->s->auth, "grants") == 0 && c->s->grant_key_count == 0)
		complain_of(c->l, "%s: auth: grants, and there is no grants.key%s%s",
			    where_set(c, "auth"), c->scope->at[0] != '\0' ? " for server " : "",
			    c->scope->at[0] != '\0' ? c->s->name : "");
}

static bool has_tls_listener(const struct settings *s)
{
	for (size_t i = 0; i < s->listen_count; i++)
		if (s->listen[i].tls)
			return true;
	return false;
}

static void check_tls(const struct checked *c)
{
	bool certificate = c->s->tls_certificate[0] != '\0', key = c->s->tls_key[0] != '\0';

	if (certificate && !key)
		complain_of(c->l, "%s: tls.certificate: tls.key is missing",
			    where_set(c, "tls.certificate"));
	if (key && !certificate)
		complain_of(c->l, "%s: tls.key: tls.certificate is missing",
			    where_set(c, "tls.key"));
	if (has_tls_listener(c->s) && !certificate && !key)
		complain_of(c->l, "%s: listen_tls: tls.certificate and tls.key are missing",
			    where_set(c, "listen_tls"));
}

static void say_twice(void *ctx, const char *name, const struct settings *first,
		      const struct settings *second)
{
	struct load *l = ctx;
	const struct settings *hosts = l->server.s.hosts;

	if (first == second)
		complain_of(l, "%s: server: %.100s is its name twice", l->hosts[first - hosts]->at,
			    name);
	else
		complain_of(l, "%s: server: %.100s is a name already of the one at %s",
			    l->hosts[second - hosts]->at, name, l->hosts[first - hosts]->at);
}

static void check_together(struct load *l)
{
	const struct checked server = { l, &l->server.s, &l->server };

	check_tls(&server);
	check_ttls(&server);
	if (l->host_count == 0)
		check_auth(&server);
	for (size_t i = 0; i < l->host_count; i++) {
		const struct checked host = { l, &l->server.s.hosts[i], l->hosts[i] };

		check_ttls(&host);
		check_auth(&host);
	}
}

/* ---- loading ------------------------------------------------------------------------------ */

/* The file or the text if there is one. */
static enum err_code read_all(struct load *l, const char *path, const char *text, size_t n)
{
	const struct conf_user user = {
		.ctx = l,
		.kind = kind,
		.value = take,
		.problem = take_problem,
		.file = take_file,
		.begin = begin_host,
		.end = end_host,
	};

	l->now = &l->server;
	if (path != NULL)
		return conf_read_file(path, &user, l->e);
	return n > 0 ? conf_read_text("settings", text, n, &user, l->e) : ERR_OK;
}

/* What the file left to be done. */
static enum err_code complete(struct load *l)
{
	const struct setting *listen = settings_table_find("listen");
	enum err_code rc = l->nomem ? err_set(l->e, ERR_NOMEM, "settings") : ERR_OK;

	if (rc == ERR_OK && l->server.s.listen_count == 0)
		rc = settings_value_read(&l->server.s, listen, listen->unset, l->e);
	if (rc == ERR_OK)
		hosts_plain(l->server.s.name);
	if (rc == ERR_OK)
		rc = hand_over_hosts(l);
	if (rc == ERR_OK)
		rc = hosts_index(&l->server.s, say_twice, l, l->e);
	if (rc == ERR_OK)
		check_together(l);
	return rc;
}

static void drop_hosts(struct load *l)
{
	while (l->host_count > 0) {
		struct scope *host = l->hosts[--l->host_count];

		settings_free(&host->s);
		free(host);
	}
}

static enum err_code load(struct settings *out, struct load *l, const char *path, const char *text,
			  size_t n)
{
	enum err_code rc = put_defaults(&l->server.s, l->e);

	if (rc == ERR_OK)
		rc = read_all(l, path, text, n);
	if (rc == ERR_OK)
		rc = complete(l);
	if (rc == ERR_OK && l->problems > 0)
		rc = ERR_INVALID; /* l->e is about the first of them */
	if (rc != ERR_OK)
		goto out;
	*out = l->server.s;
	memset(&l->server.s, 0, sizeof(l->server.s)); /* the caller's now */
out:
	settings_free(&l->server.s);
	drop_hosts(l);
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

enum err_code settings_check_access(const struct settings *s,
				    void (*complain)(void *ctx, const char *text), void *ctx,
				    struct err *e)
{
	struct load l = { .complain = complain, .ctx = ctx, .e = e };
	const struct settings *open = settings_first_open(s);

	for (size_t i = 0; open != NULL && i < s->listen_count; i++) {
		const struct settings_listen *at = &s->listen[i];

		if (listen_check_loopback(at->address))
			continue;
		complain_of(&l,
			    "%s: %s is open to other machines, and uploads%s%s need no grant: set "
			    "grants.key, or listen on 127.0.0.1 or [::1]",
			    at->where != NULL ? at->where : "--listen", at->address,
			    open != s ? " to server " : "", open != s ? open->name : "");
	}
	return l.problems > 0 ? ERR_INVALID : ERR_OK;
}
