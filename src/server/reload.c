#include "server/reload.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/logs.h"
#include "server/server.h"
#include "server/tls.h"

/* What a reload has replaced; whoever still uses it may, until the program ends. */
struct replaced {
	struct settings *settings;
	struct keys *keys;
	struct replaced *next;
};

struct reload {
	struct server *server;
	reload_source *source;
	void *ctx;
	bool tls;
	pthread_mutex_t lock; /* of two reloads one comes first */
	struct settings *settings;
	struct keys *keys;
	struct replaced *replaced;
};

static void settings_end(struct settings *s)
{
	settings_free(s);
	free(s);
}

enum err_code reload_new(struct reload **out, struct server *server, struct settings *first,
			 reload_source *source, void *ctx, struct err *e)
{
	struct reload *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		settings_end(first);
		return err_set(e, ERR_NOMEM, "settings in force");
	}
	*r = (struct reload){ .server = server, .source = source, .ctx = ctx, .settings = first };
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return ERR_OK;
}

void reload_begin(struct reload *r, struct keys *keys, bool tls)
{
	r->keys = keys;
	r->tls = tls;
	atomic_store(&r->server->settings, r->settings);
	atomic_store(&r->server->keys, keys);
}

void reload_free(struct reload *r)
{
	struct replaced *old;

	if (r == NULL)
		return;
	while ((old = r->replaced) != NULL) {
		r->replaced = old->next;
		settings_end(old->settings);
		keys_free(old->keys);
		free(old);
	}
	keys_free(r->keys);
	settings_end(r->settings);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void reload_report_fini(struct reload_report *r)
{
	free(r->needs_restart);
	free(r->problems);
	*r = (struct reload_report){ NULL, NULL };
}

/* ---- reading ---- */

struct listening { /* to what is wrong */
	FILE *lines;
	const char *what;
	unsigned count;
};

static void note_problem(void *to, const char *text)
{
	struct listening *l = to;

	log_error("event=reload_failed what=%s error=\"%s\"", l->what, text);
	if (l->lines != NULL)
		(void)fprintf(l->lines, "%s\n", text);
	l->count++;
}

/* A failure that nobody was told of. */
static enum err_code told(struct listening *l, enum err_code rc, const struct err *e)
{
	if (rc != ERR_OK && l->count == 0)
		note_problem(l, e->why);
	return rc;
}

static enum err_code read_settings(struct reload *r, struct settings **out, struct listening *l,
				   struct err *e)
{
	struct settings *fresh = calloc(1, sizeof(*fresh));
	enum err_code rc;

	l->what = "settings";
	if (fresh == NULL)
		return told(l, err_set(e, ERR_NOMEM, "settings"), e);
	rc = r->source(fresh, r->ctx, note_problem, l, e);
	if (rc == ERR_OK)
		*out = fresh;
	else
		free(fresh);
	return told(l, rc, e);
}

static enum err_code read_keys(struct reload *r, const struct settings *fresh, struct keys **out,
			       struct listening *l, struct err *e)
{
	l->what = "keys";
	return told(l,
		    keys_open(out, r->settings->data_dir, clock_now_s(),
			      settings_longest_ttl(fresh), e),
		    e);
}

/* These two take effect as they succeed, so they come last; the first can be taken back. */
static enum err_code read_rest(const struct reload *r, const struct settings *fresh,
			       struct listening *l, struct err *e)
{
	enum err_code rc;

	l->what = "log";
	rc = told(l, logs_reopen(fresh, e), e);
	if (rc != ERR_OK || !r->tls)
		return rc;
	l->what = "tls";
	rc = told(l, tls_load(fresh->tls_certificate, fresh->tls_key, e), e);
	if (rc != ERR_OK)
		(void)logs_reopen(r->settings, NULL);
	return rc;
}

/* ---- putting in force ---- */

/* As text they are all there is to know. */
static bool same_settings(const struct settings *a, const struct settings *b)
{
	char *text[2] = { NULL, NULL };
	size_t size[2];
	bool same;

	for (int i = 0; i < 2; i++) {
		FILE *f = open_memstream(&text[i], &size[i]);

		if (f == NULL)
			continue;
		settings_print_running(i == 0 ? a : b, f);
		(void)fclose(f);
	}
	same = text[0] != NULL && text[1] != NULL && strcmp(text[0], text[1]) == 0;
	free(text[0]);
	free(text[1]);
	return same;
}

/* What takes the place of what is in force; NULL: it stays. */
static void replace(struct reload *r, struct settings *settings, struct keys *keys)
{
	struct replaced *old;

	if (settings == NULL && keys == NULL)
		return;
	old = calloc(1, sizeof(*old));
	if (old != NULL) /* else leaked rather than pulled away from under a request */
		*old = (struct replaced){ settings != NULL ? r->settings : NULL,
					  keys != NULL ? r->keys : NULL, r->replaced };
	if (old != NULL)
		r->replaced = old;
	/* the keys first: their file knows of longer times that the settings allow */
	if (keys != NULL) {
		r->keys = keys;
		atomic_store(&r->server->keys, keys);
	}
	if (settings != NULL) {
		r->settings = settings;
		atomic_store(&r->server->settings, settings);
	}
}

/* What differs and stays as it is; NULL: nothing. The caller's to free. */
static char *fixed_changes(const struct settings *running, const struct settings *fresh)
{
	char *names = NULL;
	size_t size = 0, count = 0;
	FILE *f = open_memstream(&names, &size);

	if (f == NULL)
		return NULL;
	count = settings_fixed_changes(running, fresh, f);
	(void)fclose(f);
	if (count > 0)
		return names;
	free(names);
	return NULL;
}

static void say_fixed_changes(char *names, FILE *lines)
{
	if (names == NULL)
		return;
	log_warn("event=reload needs_restart=\"%s\"", names);
	for (char *p = names; *p != '\0'; p++)
		*p = *p == ' ' ? '\n' : *p;
	if (lines != NULL)
		(void)fprintf(lines, "%s\n", names);
}

static enum err_code reload_locked(struct reload *r, FILE *fixed, struct listening *l,
				   struct err *e)
{
	struct settings *fresh = NULL;
	struct keys *keys = NULL;
	char *names = NULL;
	enum err_code rc = read_settings(r, &fresh, l, e);

	if (rc == ERR_OK)
		names = fixed_changes(r->settings, fresh);
	if (rc == ERR_OK)
		rc = told(l, settings_keep_fixed(fresh, r->settings, e), e);
	if (rc == ERR_OK)
		rc = read_keys(r, fresh, &keys, l, e);
	if (rc == ERR_OK)
		rc = read_rest(r, fresh, l, e);
	if (rc == ERR_OK) {
		say_fixed_changes(names, fixed);
		/* what is as it was is not kept beside itself until the end */
		if (same_settings(fresh, r->settings)) {
			settings_end(fresh);
			fresh = NULL;
		}
		if (keys_same(keys, r->keys)) {
			keys_free(keys);
			keys = NULL;
		}
		replace(r, fresh, keys);
		free(names);
		return ERR_OK;
	}
	free(names);
	keys_free(keys);
	if (fresh != NULL)
		settings_end(fresh);
	return rc;
}

enum err_code reload_all(struct reload *r, struct reload_report *out, struct err *e)
{
	size_t fixed_size, problems_size;
	FILE *fixed, *problems;
	struct listening l;
	enum err_code rc;

	*out = (struct reload_report){ NULL, NULL };
	fixed = open_memstream(&out->needs_restart, &fixed_size);
	problems = open_memstream(&out->problems, &problems_size);
	l = (struct listening){ problems, "", 0 };
	(void)sd_notify(0, "RELOADING=1");
	pthread_mutex_lock(&r->lock);
	rc = reload_locked(r, fixed, &l, e);
	pthread_mutex_unlock(&r->lock);
	(void)sd_notify(0, "READY=1");
	if (rc == ERR_OK)
		log_info("event=reloaded");
	if (fixed != NULL)
		(void)fclose(fixed);
	if (problems != NULL)
		(void)fclose(problems);
	return rc;
}

enum err_code reload_keys(struct reload *r, struct err *e)
{
	struct keys *fresh;
	enum err_code rc;

	pthread_mutex_lock(&r->lock);
	rc = keys_open(&fresh, r->settings->data_dir, clock_now_s(),
		       settings_longest_ttl(r->settings), e);
	if (rc == ERR_OK)
		replace(r, NULL, fresh);
	else
		log_error("event=reload_failed what=keys error=\"%s\"", e->why);
	pthread_mutex_unlock(&r->lock);
	return rc;
}
