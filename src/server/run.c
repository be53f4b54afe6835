#include "server/run.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/admin/admin.h"
#include "server/census.h"
#include "server/claims.h"
#include "server/finals.h"
#include "server/http.h"
#include "server/keeper.h"
#include "server/live.h"
#include "server/logs.h"
#include "server/quota.h"
#include "server/reload.h"
#include "server/restore.h"
#include "server/running.h"
#include "server/sandbox.h"
#include "server/server.h"
#include "server/sweep.h"
#include "server/tls.h"

struct running {
	struct server server;
	const struct settings *settings; /* the first */
	struct listener listeners[SETTINGS_LISTEN_MAX];
	size_t listener_count;
	int admin_fd;
	char admin_path[4096];
	struct keeper *keeper;
	const char *config; /* the file that the source reads */
	reload_source *source;
	void *source_ctx;
	struct sandbox sandbox;
};

static volatile int hurry;

/* Not one that we have sent ourselves: whoever asks the admin socket twice is not in more of a
 * hurry than who asks once. */
static void on_second_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code != SI_TKILL)
		hurry = 1;
}

enum err_code run_make_data_dir(const char *dir, struct err *e)
{
	char path[4096];
	size_t n = strlen(dir);

	if (n == 0 || n >= sizeof(path))
		return err_set(e, ERR_INVALID, "data_dir is empty or too long");
	memcpy(path, dir, n + 1);
	for (char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;

		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return err_set(e, ERR_IO, "mkdir %s: %s", path, strerror(errno));
		*p = c;
		if (c == '\0')
			return ERR_OK;
	}
}

void run_store_options(const struct settings *set, char *dir, size_t dir_size,
		       struct store_options *out)
{
	(void)snprintf(dir, dir_size, "%s/store", set->data_dir);
	*out = (struct store_options){
		.dir = dir,
		.segment_threshold = set->store_segment_threshold,
		.segment_size = set->store_segment_size,
		.write_buffer = set->store_write_buffer,
		.faults = getenv("RESTANTE_FAULTS"), /* heard by the engine for tests only */
	};
}

/* ---- opening ---- */

/* Pages of 256 KiB come and go all the time: kept by the allocator, they cost no page faults. Few
 * arenas, so that what one thread frees serves the others. */
static void set_up_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 8 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 32 << 20);
	(void)mallopt(M_ARENA_MAX, 2);
}

/* Every connection is a file, and so is a part of the store. */
static void raise_file_limit(const struct settings *set)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < set->http_connections + 2048)
		log_warn("event=file_limit files=%llu connections=%llu",
			 (unsigned long long)r.rlim_cur, (unsigned long long)set->http_connections);
}

static enum err_code open_listeners(struct running *r, struct err *e)
{
	const struct settings *set = r->settings;
	enum err_code rc =
		listen_inherited(r->listeners, SETTINGS_LISTEN_MAX, &r->listener_count, e);

	if (rc != ERR_OK || r->listener_count > 0)
		return rc;
	for (size_t i = 0; rc == ERR_OK && i < set->listen_count; i++) {
		rc = listen_tcp(&r->listeners[i], set->listen[i].address, set->listen[i].tls, e);
		if (rc == ERR_OK)
			r->listener_count++;
	}
	return rc;
}

/* Without grants anyone who can connect can upload: so only this machine may. Asked again of
 * settings that are to be taken up while it runs. */
static enum err_code check_listeners(const struct running *r, const struct settings *set,
				     struct err *e)
{
	const struct settings *open = settings_first_open(set);

	for (size_t i = 0; open != NULL && i < r->listener_count; i++)
		if (!listen_is_loopback(&r->listeners[i]))
			return err_set(e, ERR_INVALID,
				       "%s is open to other machines, and uploads%s%.60s need no "
				       "grant: set grants.key, or listen on 127.0.0.1",
				       r->listeners[i].url, open != set ? " to server " : "",
				       open != set ? open->name : "");
	return ERR_OK;
}

/* For reloads: what is taken up must be safe on the listeners that there are. */
static enum err_code read_settings(struct settings *out, void *ctx,
				   void (*complain)(void *to, const char *text), void *to,
				   struct err *e)
{
	struct running *r = ctx;
	enum err_code rc = r->source(out, r->source_ctx, complain, to, e);

	if (rc != ERR_OK)
		return rc;
	rc = check_listeners(r, out, e);
	if (rc == ERR_OK)
		return ERR_OK;
	complain(to, e->why);
	settings_free(out);
	return rc;
}

static bool has_tls(const struct running *r)
{
	for (size_t i = 0; i < r->listener_count; i++)
		if (r->listeners[i].tls)
			return true;
	return false;
}

static enum err_code open_tls(const struct running *r, struct err *e)
{
	return has_tls(r) ? tls_load(r->settings->tls_certificate, r->settings->tls_key, e)
			  : ERR_OK;
}

static enum err_code open_keys(const struct running *r, struct err *e)
{
	struct keys *keys;
	enum err_code rc = keys_open(&keys, r->settings->data_dir, clock_now_s(),
				     settings_longest_ttl(r->settings), e);

	if (rc == ERR_OK)
		reload_begin(r->server.reload, keys, has_tls(r));
	return rc;
}

static enum err_code open_admin(struct running *r, struct err *e)
{
	const char *path = r->settings->admin_socket;

	if (path[0] != '\0')
		(void)snprintf(r->admin_path, sizeof(r->admin_path), "%s", path);
	else
		(void)snprintf(r->admin_path, sizeof(r->admin_path), "%s/admin.sock",
			       r->settings->data_dir);
	return listen_unix(&r->admin_fd, r->admin_path, e);
}

static enum err_code open_store(struct running *r, struct err *e)
{
	char dir[4096];
	struct store_options opt;

	run_store_options(r->settings, dir, sizeof(dir), &opt);
	return store_open(&r->server.store, r->settings->store_engine, &opt, e);
}

/* What cannot be had from inside the sandbox. All else is opened there, so that what a reload could
 * not reach is found at the start; and so are all threads. */
static enum err_code open_outside(struct running *r, struct err *e)
{
	enum err_code rc = run_make_data_dir(r->settings->data_dir, e);

	if (rc == ERR_OK)
		rc = restore_none_open(r->settings->data_dir, e);
	if (rc == ERR_OK)
		rc = open_listeners(r, e);
	if (rc == ERR_OK)
		rc = check_listeners(r, r->settings, e);
	if (rc == ERR_OK)
		sandbox_files(&r->sandbox, r->settings, r->config);
	return rc;
}

static enum err_code open_all(struct running *r, struct err *e)
{
	struct server *s = &r->server;
	const struct settings *set = r->settings;
	struct http *http = NULL;
	enum err_code rc = open_tls(r, e);

	if (rc == ERR_OK)
		rc = open_keys(r, e);
	if (rc == ERR_OK)
		rc = open_store(r, e); /* its lock keeps a second server away from the rest */
	if (rc == ERR_OK)
		admin_backup_clean(set->data_dir);
	if (rc == ERR_OK)
		rc = open_admin(r, e);
	if (rc == ERR_OK)
		rc = cache_new(&s->cache, set->fetch_cache, e);
	if (rc == ERR_OK)
		rc = media_table_new(&s->media, set->fetch_records, e);
	if (rc == ERR_OK)
		rc = claims_new(&s->claims, e);
	if (rc == ERR_OK)
		rc = census_new(&s->census, e);
	if (rc == ERR_OK)
		rc = quota_new(&s->quota, s->store, e);
	if (rc == ERR_OK)
		rc = running_new(&s->running, e);
	if (rc == ERR_OK)
		rc = live_new(&s->live, e);
	if (rc == ERR_OK)
		rc = finals_new(&s->finals, s, e);
	if (rc == ERR_OK)
		rc = workers_new(&s->writers, set->upload_workers, "writer", e);
	if (rc == ERR_OK)
		rc = workers_new(&s->readers, set->fetch_workers, "reader", e);
	if (rc == ERR_OK)
		rc = loads_new(&s->loads, s->readers, e);
	if (rc == ERR_OK)
		rc = workers_new(&s->operator, 1, "operator", e);
	if (rc == ERR_OK)
		rc = sweeper_new(&s->sweeper, s, e);
	if (rc != ERR_OK)
		return rc;
	s->listeners = r->listeners;
	s->listener_count = r->listener_count;
	s->main_thread = pthread_self();
	s->started_s = clock_now_s();
	atomic_store(&s->swept_s, s->started_s);
	rc = finals_load(s->finals, e);
	if (rc == ERR_OK)
		rc = keeper_start(&r->keeper, s, e);
	if (rc == ERR_OK)
		sandbox_calls(&r->sandbox); /* before anyone is listened to */
	if (rc == ERR_OK)
		rc = http_start(&http, s, set, r->listeners, r->listener_count, r->admin_fd, e);
	atomic_store(&s->http, http);
	return rc;
}

/* ---- closing, in the other direction; of whatever was opened ---- */

static void close_all(struct running *r)
{
	struct server *s = &r->server;

	/* the socket's name goes while the store's lock keeps a successor from making its own */
	if (r->admin_fd >= 0) {
		(void)close(r->admin_fd);
		(void)unlink(r->admin_path);
	}
	keeper_stop(r->keeper);
	sweeper_free(s->sweeper);
	workers_free(s->operator);
	/* what broken-off requests left to do is done before its ground goes */
	workers_free(s->readers);
	workers_free(s->writers);
	finals_free(s->finals); /* has a worker of its own */
	http_free(s->http);
	loads_free(s->loads);
	cache_free(s->cache);
	media_table_free(s->media);
	claims_free(s->claims);
	census_free(s->census);
	quota_free(s->quota);
	running_free(s->running);
	live_free(s->live);
	store_close(s->store);
	for (size_t i = 0; i < r->listener_count; i++)
		listen_close(&r->listeners[i]);
	tls_unload();
	reload_free(s->reload);
}

/* ---- running ---- */

static void say_ready(const struct running *r)
{
	for (size_t i = 0; i < r->listener_count; i++)
		(void)printf("listening on %s\n", r->listeners[i].url);
	(void)fflush(stdout);
	(void)sd_notify(0, "READY=1");
	log_info("event=ready listeners=%zu", r->listener_count);
}

static void wait_for_end(struct running *r, const sigset_t *signals)
{
	struct reload_report report;
	struct err e = { 0 };
	int sig;

	for (;;) {
		if (sigwait(signals, &sig) != 0)
			continue;
		if (sig != SIGHUP)
			return;
		(void)reload_all(r->server.reload, &report, &e);
		reload_report_fini(&report);
	}
}

static void stop(struct running *r, const sigset_t *signals)
{
	struct sigaction sa = { .sa_sigaction = on_second_signal, .sa_flags = SA_SIGINFO };

	log_info("event=stopping");
	(void)sd_notify(0, "STOPPING=1");
	atomic_store(&r->server.ready, false);
	(void)signal(SIGHUP, SIG_IGN); /* too late to reload */
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	finals_stop(r->server.finals);
	sweeper_stop(r->server.sweeper);
	live_drain(r->server.live);
	http_stop(r->server.http, (int64_t)server_settings(&r->server)->http_stop_grace * 1000,
		  &hurry);
}

static void block_signals(sigset_t *signals)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file as large as it may be is an error like others */
	(void)sigemptyset(signals);
	(void)sigaddset(signals, SIGTERM);
	(void)sigaddset(signals, SIGINT);
	(void)sigaddset(signals, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* Standard error is told by main(); who has a log file looks there. It may have failed before there
 * was a log. */
static void say_failure(const struct settings *set, const struct err *e)
{
	if (set->log_file[0] == '\0' || logs_start(set, NULL) != ERR_OK)
		return;
	log_error("event=start_failed error=\"%s\"", e->why);
}

enum err_code run(struct settings *settings, const char *config, reload_source *source, void *ctx,
		  struct err *e)
{
	struct running *r = calloc(1, sizeof(*r));
	sigset_t signals;
	enum err_code rc;

	if (r == NULL) {
		settings_free(settings);
		free(settings);
		return err_set(e, ERR_NOMEM, "server");
	}
	r->settings = settings;
	r->admin_fd = -1;
	r->config = config;
	r->source = source;
	r->source_ctx = ctx;
	set_up_memory();
	block_signals(&signals);
	rc = reload_new(&r->server.reload, &r->server, settings, read_settings, r, e);
	if (rc == ERR_OK)
		rc = open_outside(r, e);
	if (rc == ERR_OK)
		rc = logs_start(settings, e); /* has the first thread */
	if (rc == ERR_OK) {
		raise_file_limit(settings);
		rc = open_all(r, e);
	}
	if (rc == ERR_OK) {
		atomic_store(&r->server.ready, true);
		say_ready(r);
		wait_for_end(r, &signals);
		stop(r, &signals);
		log_info("event=stopped");
	} else if (r->server.reload != NULL) /* else the settings are gone */
		say_failure(settings, e);
	close_all(r);
	logs_stop();
	free(r);
	return rc;
}
