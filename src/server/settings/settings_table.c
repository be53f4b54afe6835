#include "server/settings/settings_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/settings.h"

#define KB (UINT64_C(1) << 10)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define TB (UINT64_C(1) << 40)
#define MIN UINT64_C(60)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

static bool fits_level(const char *v)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (strcmp(v, levels[i]) == 0)
			return true;
	return false;
}

static bool fits_unknown(const char *v)
{
	return strcmp(v, "first") == 0 || strcmp(v, "refuse") == 0;
}

static bool fits_auth(const char *v)
{
	return strcmp(v, "auto") == 0 || strcmp(v, "open") == 0 || strcmp(v, "grants") == 0;
}

/* "*", nothing, or scheme://host[:port] (RFC 6454 section 6.2). */
static bool fits_origin(const char *v)
{
	const char *host = strncmp(v, "https://", 8) == 0  ? v + 8
			   : strncmp(v, "http://", 7) == 0 ? v + 7
							   : "";

	if (v[0] == '\0' || strcmp(v, "*") == 0)
		return true;
	return host[0] != '\0' && host[strcspn(host, "/ \t,\"'<>\\")] == '\0';
}

static bool fits_something(const char *v)
{
	return v[0] != '\0';
}

#define AT(field) offsetof(struct settings, field)

const struct setting settings_table[] = {
	{ "listen", SETTING_LISTEN, 0, "127.0.0.1:8080",
	  .help = "Where clients connect by plain HTTP. May be repeated." },
	{ "listen_tls", SETTING_LISTEN_TLS, 0, NULL, .example = "0.0.0.0:8443",
	  .help = "Where clients connect by HTTPS. May be repeated; needs a certificate and key in "
		  "the tls block." },
	{ "data_dir", SETTING_STRING, AT(data_dir), "/var/lib/restante", .fits = fits_something,
	  .range = "a path", .help = "The folder of the store, the keys and the admin socket." },
	{ "sandbox", SETTING_BOOL, AT(sandbox), "true",
	  .help = "Whether the server keeps itself from what it does not need: files elsewhere, "
		  "other programs, most system calls. A reload reaches certificates, logs and "
		  "included files only in the folders that were named at the start." },
	{ "name", SETTING_STRING, AT(name), "localhost", .host = true, .live = true,
	  .fits = fits_something, .range = "a name",
	  .help = "What grants call this server (their aud claim). Of a virtual host it is the "
		  "name of its block." },
	{ "auth", SETTING_STRING, AT(auth), "auto", .host = true, .live = true, .bare = true,
	  .fits = fits_auth, .range = "auto, open or grants",
	  .help = "Who may upload. grants: whoever has a grant signed by one of grants.key. open: "
		  "whoever can connect, on loopback only. auto: grants where there are keys, else "
		  "open." },
	{ "alias", SETTING_NAMES, 0, NULL, .host = true, .host_only = true, .live = true,
	  .example = "*.media.example.org",
	  .help = "Another name of a virtual host; *.example.org is every name that ends in "
		  ".example.org. May be repeated." },
	{ "unknown_host", SETTING_STRING, AT(unknown_host), "first", .live = true, .bare = true,
	  .fits = fits_unknown, .range = "first or refuse",
	  .help = "What a request for a name that no virtual host has comes to: the first of them, "
		  "or 421." },

	{ "log.level", SETTING_STRING, AT(log_level), "info", .live = true, .bare = true,
	  .fits = fits_level, .range = "debug, info, warn or error",
	  .help = "The least important lines that are still logged." },
	{ "log.file", SETTING_STRING, AT(log_file), NULL, .live = true, .range = "a path",
	  .example = "/var/log/restante/restante.log",
	  .help = "Where the log goes. Unset: standard error. Opened anew on SIGHUP." },
	{ "log.access", SETTING_STRING, AT(log_access), NULL, .live = true,
	  .range = "a path, or \"-\" for where the log goes",
	  .example = "/var/log/restante/access.log",
	  .help = "A line for each request, without client, token or name. Opened anew on "
		  "SIGHUP." },
	{ "log.access_address", SETTING_BOOL, AT(log_access_address), "false", .live = true,
	  .help = "Whether clients' addresses stand in the access log." },

	{ "http.loops", SETTING_COUNT, AT(http_loops), "0", 0, 256,
	  .help = "Threads that serve connections. 0: one a core." },
	{ "http.header_max", SETTING_SIZE, AT(http_header_max), "8kb", 2 * KB, 8 * KB,
	  .help = "The longest head of a request; a longer one is answered with 431." },
	{ "http.timeout", SETTING_SECONDS, AT(http_timeout), "60s", 1, HOUR,
	  .help = "A connection without any progress for this long is closed." },
	{ "http.connections", SETTING_COUNT, AT(http_connections), "16384", 1, 1000000,
	  .help = "Connections at once, in all." },
	{ "http.connections_per_address", SETTING_COUNT, AT(http_connections_per_address), "0", 0,
	  1000000,
	  .help = "Connections at once from one client address. 0: no limit, as behind a proxy, "
		  "where "
		  "all have one address." },
	{ "http.stop_grace", SETTING_SECONDS, AT(http_stop_grace), "30s", 0, HOUR, .live = true,
	  .help = "How long a stopping server waits for what still runs." },
	{ "http.cors_origin", SETTING_STRING, AT(http_cors_origin), "*", .host = true, .live = true,
	  .fits = fits_origin, .range = "\"*\", one origin such as https://app.example, or \"\"",
	  .help = "Whose pages may use the server from a browser. \"\": nobody's." },
	{ "http.metrics", SETTING_BOOL, AT(http_metrics), "false", .live = true,
	  .help = "Whether /metrics is answered on the public listeners too." },

	{ "grants.key", SETTING_KEYS, 0, NULL, .host = true, .live = true,
	  .example = "2026 k4.public.HZ-zlGQMDFr5cIAHM6Q3GTjgjce5puPDlg1Dr8_eoXI",
	  .help = "A public key that signs grants, as restante keygen prints it, and before it the "
		  "id that grants call it by (kid). Without one it is the key's own id (k4.pid). "
		  "May be repeated." },

	{ "grants.life_max", SETTING_SECONDS, AT(grants_life_max), "30d", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How far off a grant's end (exp) may be; one that lives longer is refused. So "
		  "long at most the server remembers that a grant for one upload was used." },
	{ "grants.reuse_across_hosts", SETTING_BOOL, AT(grants_reuse_across_hosts), "false",
	  .host = true, .live = true,
	  .help = "With several virtual hosts: whether grants with reuse may refer to content "
		  "that came in under another host, and so learn that it is there. Without, they "
		  "may refer to none." },
	{ "grants.leeway", SETTING_SECONDS, AT(grants_leeway), "30s", 0, HOUR, .host = true,
	  .live = true,
	  .help = "How far the clocks of who mints grants and of this server may differ." },

	{ "tls.certificate", SETTING_STRING, AT(tls_certificate), NULL, .live = true,
	  .range = "a path", .example = "/etc/restante/fullchain.pem",
	  .help = "PEM file of the certificate, and behind it the chain." },
	{ "tls.key", SETTING_STRING, AT(tls_key), NULL, .live = true, .range = "a path",
	  .example = "/etc/restante/privkey.pem", .help = "PEM file of the certificate's key." },

	{ "upload.max", SETTING_SIZE, AT(upload_max), "2gb", 1, 16 * TB, .host = true, .live = true,
	  .help = "The largest upload." },
	{ "upload.memory", SETTING_SIZE, AT(upload_memory), "64mb", MB, TB,
	  .help = "Memory for bytes on their way to the store, of all uploads together." },
	{ "upload.min_free", SETTING_SIZE, AT(upload_min_free), "256mb", 0, 1024 * TB, .live = true,
	  .help = "With less than this free on the disk, uploads are refused with 507." },
	{ "upload.workers", SETTING_COUNT, AT(upload_workers), "32", 1, 256,
	  .help = "Threads that hash and write." },
	{ "upload.ttl_photo", SETTING_SECONDS, AT(upload_ttl_photo), "30d", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How long a photo is kept if the upload does not say." },
	{ "upload.ttl_video", SETTING_SECONDS, AT(upload_ttl_video), "30d", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How long a video is kept if the upload does not say." },
	{ "upload.ttl_voice", SETTING_SECONDS, AT(upload_ttl_voice), "30d", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How long a voice note is kept if the upload does not say." },
	{ "upload.ttl_file", SETTING_SECONDS, AT(upload_ttl_file), "30d", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How long any other file is kept if the upload does not say." },
	{ "upload.ttl_max", SETTING_SECONDS, AT(upload_ttl_max), "90d", 1, 3650 * DAY, .host = true,
	  .live = true, .help = "The longest that anything is kept; no token lives longer." },

	{ "upload.ttl_unfinished", SETTING_SECONDS, AT(upload_ttl_unfinished), "24h", 1, 3650 * DAY,
	  .host = true, .live = true,
	  .help = "How long an unfinished upload is kept after its last byte, and how long a "
		  "deleted one is remembered." },
	{ "upload.open", SETTING_COUNT, AT(upload_open), "100000", 1, 100000000, .live = true,
	  .help = "Unfinished uploads at once, in all. One too many is answered with 503." },
	{ "upload.open_per_address", SETTING_COUNT, AT(upload_open_per_address), "0", 0, 100000000,
	  .live = true,
	  .help = "Unfinished uploads at once from one client address; one too many is answered "
		  "with 429. 0: no limit, as behind a proxy, where all have one address." },
	{ "upload.min_rate", SETTING_SIZE, AT(upload_min_rate), "100", 0, GB, .live = true,
	  .help = "Bytes a second that an upload has to bring, or its request is ended; what has "
		  "come is kept. 0: any." },
	{ "upload.min_rate_grace", SETTING_SECONDS, AT(upload_min_rate_grace), "30s", 1, HOUR,
	  .live = true, .help = "The time over which that is measured." },

	{ "quota.bytes", SETTING_SIZE, AT(quota_bytes), "0", 0, 1024 * TB, .host = true,
	  .live = true,
	  .help = "Bytes alive that the uploads of one bucket, a claim of their grants, may come "
		  "to; one too many is answered with 507. 0: no limit, here and in the next "
		  "three." },
	{ "quota.uploads", SETTING_COUNT, AT(quota_uploads), "0", 0, 100000000, .host = true,
	  .live = true, .help = "Uploads alive of one bucket." },
	{ "quota.bytes_per_minute", SETTING_SIZE, AT(quota_bytes_per_minute), "0", 0, 1024 * TB,
	  .host = true, .live = true,
	  .help = "Bytes that one bucket may send in a minute; beyond them its next request is "
		  "answered with 429." },
	{ "quota.uploads_per_minute", SETTING_COUNT, AT(quota_uploads_per_minute), "0", 0,
	  100000000, .host = true, .live = true,
	  .help = "Uploads that one bucket may begin in a minute." },

	{ "fetch.cache", SETTING_SIZE, AT(fetch_cache), "128mb", 0, TB,
	  .help = "Memory for pieces of uploads that were lately written or read." },
	{ "fetch.memory", SETTING_SIZE, AT(fetch_memory), "64mb", MB, TB,
	  .help = "Memory beside the cache, for answers on their way." },
	{ "fetch.workers", SETTING_COUNT, AT(fetch_workers), "4", 1, 256,
	  .help = "Threads that read from the store." },
	{ "fetch.records", SETTING_COUNT, AT(fetch_records), "100000", 1, 100000000,
	  .help = "Upload records kept in memory." },
	{ "fetch.live_timeout", SETTING_SECONDS, AT(fetch_live_timeout), "60s", 1, DAY,
	  .live = true,
	  .help = "Who fetches an upload that is still arriving is cut off when nothing more has "
		  "come "
		  "of it for so long." },

	{ "store.engine", SETTING_STRING, AT(store_engine), "rocksdb", .fits = fits_something,
	  .range = "rocksdb or memory",
	  .help = "What keeps the bytes. memory forgets them all when "
		  "the server stops." },
	{ "store.segment_threshold", SETTING_SIZE, AT(store_segment_threshold), "4mb", 64 * KB, TB,
	  .help = "Uploads expected to be at least this long are laid down in files of their "
		  "own." },
	{ "store.segment_size", SETTING_SIZE, AT(store_segment_size), "64mb", MB, GB,
	  .help = "The size of such a file." },
	{ "store.write_buffer", SETTING_SIZE, AT(store_write_buffer), "32mb", MB, 4 * GB,
	  .help = "Memory in which the engine gathers small writes." },

	{ "admin.socket", SETTING_STRING, AT(admin_socket), NULL, .range = "a path",
	  .example = "/run/restante/admin.sock",
	  .help = "Unix domain socket for the operator. Unset: admin.sock in data_dir." },

	{ "expiry.interval", SETTING_SECONDS, AT(expiry_interval), "60s", 0, DAY, .live = true,
	  .help = "Time between two sweeps that give back the room of what has expired. 0: none. "
		  "Nothing is served after its time in any case." },
};

_Static_assert(sizeof(settings_table) / sizeof(*settings_table) == SETTINGS_COUNT,
	       "SETTINGS_COUNT is what is in the table");

bool settings_table_is_listen(const struct setting *t)
{
	return t->type == SETTING_LISTEN || t->type == SETTING_LISTEN_TLS;
}

bool settings_table_is_list(const struct setting *t)
{
	return settings_table_is_listen(t) || t->type == SETTING_KEYS || t->type == SETTING_NAMES;
}

bool settings_table_in_host(const struct setting *t)
{
	return t->host && strcmp(t->name, "name") != 0; /* which stands in front of it */
}

const struct setting *settings_table_find(const char *name)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	return NULL;
}

int settings_table_block_length(const struct setting *t)
{
	const char *dot = strchr(t->name, '.');

	return dot == NULL ? 0 : (int)(dot - t->name);
}

bool settings_table_has_block(const char *name)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if ((size_t)settings_table_block_length(&settings_table[i]) == strlen(name) &&
		    name[0] != '\0' && memcmp(settings_table[i].name, name, strlen(name)) == 0)
			return true;
	return false;
}

const char *settings_table_amount(char out[static SETTINGS_AMOUNT_SIZE], enum setting_type type,
				  uint64_t v)
{
	static const struct {
		enum setting_type type;
		uint64_t factor;
		const char *text;
	} units[] = { { SETTING_SIZE, TB, "tb" },      { SETTING_SIZE, GB, "gb" },
		      { SETTING_SIZE, MB, "mb" },      { SETTING_SIZE, KB, "kb" },
		      { SETTING_SECONDS, DAY, "d" },   { SETTING_SECONDS, HOUR, "h" },
		      { SETTING_SECONDS, MIN, "min" }, { SETTING_SECONDS, 1, "s" } };

	(void)snprintf(out, SETTINGS_AMOUNT_SIZE, "%" PRIu64, v);
	for (size_t i = 0; v > 0 && i < sizeof(units) / sizeof(*units); i++)
		if (units[i].type == type && v % units[i].factor == 0) {
			(void)snprintf(out, SETTINGS_AMOUNT_SIZE, "%" PRIu64 "%s",
				       v / units[i].factor, units[i].text);
			break;
		}
	return out;
}
