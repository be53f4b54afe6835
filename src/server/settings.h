/* settings - everything an operator can set, from one table: name, unit, default, range, help.
 * conf/restante.conf, the settings section of restante.conf(5) and --help are printed from it.
 *
 * The files have nginx-like blocks (restante.conf(5) has the rules) and are read strictly: a name
 * that nobody knows, a value that does not fit, or a setting given twice is an error with its line.
 *
 * Loaded by main before other threads start, and again on SIGHUP; a struct settings is then only
 * read. */
#ifndef RESTANTE_SERVER_SETTINGS_H
#define RESTANTE_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"

#define SETTINGS_LISTEN_MAX 16
#define SETTINGS_GRANT_KEYS_MAX 64
#define SETTINGS_KID_MAX 128
#define SETTINGS_HOSTS_MAX 64
#define SETTINGS_ALIASES_MAX 64

struct settings_listen {
	char *address; /* "127.0.0.1:8080", "[::1]:8080"; port 0 lets the system choose */
	char *where;   /* "FILE:3" that it stands at; NULL: a flag, or the default */
	bool tls;
};

struct settings_grant_key {
	char kid[SETTINGS_KID_MAX + 1];
	uint8_t key[32]; /* Ed25519 */
};

struct settings;

struct settings_name {
	const char *name;            /* "media.example.org", "*.example.org" */
	const struct settings *host; /* whose it is */
};

/* Sizes are in bytes, times in seconds, strings are owned and never NULL ("" if unset). */
struct settings {
	struct settings_listen listen[SETTINGS_LISTEN_MAX];
	size_t listen_count;
	char **files; /* that these settings were read from; owned, as they are */
	size_t file_count;
	char *data_dir;
	bool sandbox; /* keep the process from what it does not need */

	char *name; /* what grants call this server, "aud"; of a host the name of its block */
	char *auth; /* auto, open, grants */

	char **alias; /* of a host only: its other names; owned, as they are */
	size_t alias_count;

	/* Virtual hosts, in the order of the file; owned. Each is settings of its own, in which
	 * what its block does not say, or cannot, is what is said here; it has no hosts. If there
	 * are any, every request is for one of them (hosts.h). */
	struct settings *hosts;
	size_t host_count;
	struct settings_name *names; /* of all hosts, sorted; owned */
	size_t name_count;
	char *unknown_host; /* first, refuse */

	char *log_level;         /* debug, info, warn, error */
	char *log_file;          /* "": standard error */
	char *log_access;        /* a file, "-" for where the rest goes, or "" for none */
	bool log_access_address; /* clients' addresses in it */

	uint64_t http_loops;                   /* 0: one a core */
	uint64_t http_header_max;              /* bytes of a request's head */
	uint64_t http_timeout;                 /* a connection without any progress is closed */
	uint64_t http_connections;             /* at once, in all */
	uint64_t http_connections_per_address; /* 0: no limit */
	uint64_t http_stop_grace;              /* how long SIGTERM waits for what runs */
	char *http_cors_origin;                /* "*", one origin, or "" for none */
	bool http_metrics;                     /* /metrics on public listeners too */

	struct settings_grant_key *grant_keys; /* owned; no two of one id */
	size_t grant_key_count;
	bool grants_reuse_across_hosts; /* of content that came in under another */
	uint64_t grants_life_max;       /* seconds from now to a grant's exp, at most */
	uint64_t grants_leeway; /* seconds that the clocks of who mints and who checks may differ */

	char *tls_certificate; /* PEM files */
	char *tls_key;

	uint64_t upload_max;      /* bytes of one upload */
	uint64_t upload_memory;   /* for bytes on their way to the store */
	uint64_t upload_min_free; /* below this much free disk uploads are refused with 507 */
	uint64_t upload_workers;  /* threads that hash and write */
	uint64_t upload_ttl_photo, upload_ttl_video, upload_ttl_voice, upload_ttl_file;
	uint64_t upload_ttl_max;          /* the longest retention; tokens are bounded by it */
	uint64_t upload_ttl_unfinished;   /* since the last byte */
	uint64_t upload_open;             /* unfinished uploads at once, in all */
	uint64_t upload_open_per_address; /* 0: no limit */
	uint64_t upload_min_rate;         /* bytes a second of a request's body; 0: any */
	uint64_t upload_min_rate_grace;   /* seconds over which it is measured */

	uint64_t quota_bytes; /* of one bucket, like the next three; 0: no limit */
	uint64_t quota_uploads;
	uint64_t quota_bytes_per_minute;
	uint64_t quota_uploads_per_minute;

	uint64_t fetch_cache;        /* bytes of chunks kept in memory */
	uint64_t fetch_memory;       /* beside the cache, for answers on their way */
	uint64_t fetch_workers;      /* threads that read */
	uint64_t fetch_records;      /* upload records kept in memory, a count */
	uint64_t fetch_live_timeout; /* seconds without more of an upload that is followed */

	char *store_engine;
	uint64_t store_segment_threshold;
	uint64_t store_segment_size;
	uint64_t store_write_buffer;

	char *admin_socket; /* "": admin.sock in the data directory */

	uint64_t expiry_interval; /* seconds between sweeps; 0: none */
};

/* Fills *out with the defaults, then with the file (NULL: no file; an empty one is fine). On
 * failure ERR_INVALID (why names file, line and setting, one problem a call to `complain`, all of
 * them) or ERR_IO, and *out needs no settings_free. complain may be NULL. */
enum err_code settings_load(struct settings *out, const char *path,
			    void (*complain)(void *ctx, const char *text), void *ctx,
			    struct err *e);

/* The same from memory, for tests and fuzzing. */
enum err_code settings_parse(struct settings *out, const char *text, size_t n,
			     void (*complain)(void *ctx, const char *text), void *ctx,
			     struct err *e);

/* What flags on the command line do: replaces the listeners (the first call drops those of the
 * file) or the data directory. ERR_INVALID, ERR_NOMEM. */
enum err_code settings_add_listen(struct settings *s, const char *address, bool *replaced,
				  struct err *e);
enum err_code settings_set_data_dir(struct settings *s, const char *dir, struct err *e);

/* Writes the names of settings that differ between the two and cannot change at run time to `out`,
 * separated by spaces; the count of them. */
size_t settings_fixed_changes(const struct settings *running, const struct settings *wanted,
			      FILE *out);

/* Puts the running values of what cannot change at run time into `wanted`, listeners too, so that
 * after a reload everyone sees what is in force. ERR_NOMEM: some of them are. */
enum err_code settings_keep_fixed(struct settings *wanted, const struct settings *running,
				  struct err *e);

/* The key of that id, to check grants with; NULL: there is none. */
const uint8_t *settings_grant_key(const struct settings *s, const char *kid);

/* Whether uploads need no grant: of a host, or of a server without hosts. */
bool settings_open(const struct settings *s);

/* The first host that is so, or the server itself if it is and has no hosts; NULL: grants are
 * needed everywhere. */
const struct settings *settings_first_open(const struct settings *s);

/* Where no request tells the host: the largest of all. */
uint64_t settings_longest_ttl(const struct settings *s);        /* upload.ttl_max */
uint64_t settings_longest_unfinished(const struct settings *s); /* upload.ttl_unfinished */

/* Of the host whose block has this name; those of the server if the name is empty. NULL: there is
 * no such host (any more). */
const struct settings *settings_of_host(const struct settings *s, struct bytes name);

/* ERR_INVALID if a listener that other machines reach is open to all; each is told, with its line,
 * as settings_load() does. The server itself asks its sockets. */
enum err_code settings_check_access(const struct settings *s,
				    void (*complain)(void *ctx, const char *text), void *ctx,
				    struct err *e);

/* Print the table: as a commented config file, as mdoc for restante.conf(5), or as short lines for
 * --help. */
void settings_print_conf(FILE *f);
void settings_print_mdoc(FILE *f);
void settings_print_help(FILE *f);

/* Prints settings as a file that gives the same settings when it is read; what is as it would be
 * without a word about it is commented out, or, of a host, left out. Has no secrets: certificates'
 * keys are named only. */
void settings_print_running(const struct settings *s, FILE *f);

void settings_free(struct settings *s); /* NULL is fine */

#endif
