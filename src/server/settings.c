#include "server/settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "server/listen.h"

#define KB (UINT64_C(1) << 10)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define TB (UINT64_C(1) << 40)
#define MIN UINT64_C(60)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

#define DEFAULT_LISTEN "127.0.0.1:8080"

/* ---- the table --------------------------------------------------------------------------- */

enum type { SIZE, SECONDS, COUNT, STRING, BOOL, LISTEN, LISTEN_TLS };

struct setting {
	const char *name; /* "upload.max": block and name in it */
	enum type type;
	size_t offset;     /* of its field in struct settings; not for listeners */
	const char *unset; /* the default, as an operator would write it; NULL: none */
	uint64_t min, max; /* of numbers */
	bool live;         /* taken up on SIGHUP; the others need a restart */
	bool (*fits)(const char *value); /* of strings; NULL: anything does */
	const char *range;               /* of strings, in words */
	const char *example;             /* where there is no default */
	const char *help;                /* sentences */
};

static bool fits_level(const char *v)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (strcmp(v, levels[i]) == 0)
			return true;
	return false;
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

static const struct setting table[] = {
	{ "listen", LISTEN, 0, DEFAULT_LISTEN,
	  .help = "Where clients connect by plain HTTP. May be repeated." },
	{ "listen_tls", LISTEN_TLS, 0, NULL, .example = "0.0.0.0:8443",
	  .help = "Where clients connect by HTTPS. May be repeated; needs a certificate and key in "
		  "the tls block." },
	{ "data_dir", STRING, AT(data_dir), "/var/lib/restante", .fits = fits_something,
	  .range = "a path", .help = "The folder of the store, the keys and the admin socket." },
	{ "log_level", STRING, AT(log_level), "info", .fits = fits_level,
	  .range = "debug, info, warn or error",
	  .help = "The least important lines that are still logged." },

	{ "http.loops", COUNT, AT(http_loops), "0", 0, 256,
	  .help = "Threads that serve connections. 0: one a core." },
	{ "http.header_max", SIZE, AT(http_header_max), "8kb", 2 * KB, 16 * KB,
	  .help = "The longest head of a request; a longer one is answered with 431." },
	{ "http.timeout", SECONDS, AT(http_timeout), "60s", 1, HOUR,
	  .help = "A connection without any progress for this long is closed." },
	{ "http.connections", COUNT, AT(http_connections), "16384", 1, 1000000,
	  .help = "Connections at once, in all." },
	{ "http.connections_per_address", COUNT, AT(http_connections_per_address), "4096", 0,
	  1000000, .help = "Connections at once from one client address. 0: no limit." },
	{ "http.stop_grace", SECONDS, AT(http_stop_grace), "30s", 0, HOUR, .live = true,
	  .help = "How long a stopping server waits for what still runs." },
	{ "http.cors_origin", STRING, AT(http_cors_origin), "*", .live = true, .fits = fits_origin,
	  .range = "\"*\", one origin such as https://app.example, or \"\"",
	  .help = "Whose pages may use the server from a browser. \"\": nobody's." },
	{ "http.metrics", BOOL, AT(http_metrics), "false", .live = true,
	  .help = "Whether /metrics is answered on the public listeners too." },

	{ "tls.certificate", STRING, AT(tls_certificate), NULL, .live = true, .range = "a path",
	  .example = "/etc/restante/fullchain.pem",
	  .help = "PEM file of the certificate, and behind it the chain." },
	{ "tls.key", STRING, AT(tls_key), NULL, .live = true, .range = "a path",
	  .example = "/etc/restante/privkey.pem", .help = "PEM file of the certificate's key." },

	{ "upload.max", SIZE, AT(upload_max), "2gb", 1, 16 * TB, .live = true,
	  .help = "The largest upload." },
	{ "upload.memory", SIZE, AT(upload_memory), "64mb", MB, TB,
	  .help = "Memory for bytes on their way to the store, of all uploads together." },
	{ "upload.min_free", SIZE, AT(upload_min_free), "256mb", 0, 1024 * TB, .live = true,
	  .help = "With less than this free on the disk, uploads are refused with 507." },
	{ "upload.workers", COUNT, AT(upload_workers), "16", 1, 256,
	  .help = "Threads that hash and write." },
	{ "upload.ttl_photo", SECONDS, AT(upload_ttl_photo), "30d", 1, 3650 * DAY, .live = true,
	  .help = "How long a photo is kept if the upload does not say." },
	{ "upload.ttl_video", SECONDS, AT(upload_ttl_video), "30d", 1, 3650 * DAY, .live = true,
	  .help = "How long a video is kept if the upload does not say." },
	{ "upload.ttl_voice", SECONDS, AT(upload_ttl_voice), "30d", 1, 3650 * DAY, .live = true,
	  .help = "How long a voice note is kept if the upload does not say." },
	{ "upload.ttl_file", SECONDS, AT(upload_ttl_file), "30d", 1, 3650 * DAY, .live = true,
	  .help = "How long any other file is kept if the upload does not say." },
	{ "upload.ttl_max", SECONDS, AT(upload_ttl_max), "90d", 1, 3650 * DAY, .live = true,
	  .help = "The longest that anything is kept; no token lives longer." },

	{ "fetch.cache", SIZE, AT(fetch_cache), "128mb", 0, TB,
	  .help = "Memory for pieces of uploads that were lately written or read." },
	{ "fetch.memory", SIZE, AT(fetch_memory), "64mb", MB, TB,
	  .help = "Memory beside the cache, for answers on their way." },
	{ "fetch.workers", COUNT, AT(fetch_workers), "4", 1, 256,
	  .help = "Threads that read from the store." },
	{ "fetch.records", COUNT, AT(fetch_records), "100000", 1, 100000000,
	  .help = "Upload records kept in memory." },

	{ "store.engine", STRING, AT(store_engine), "rocksdb", .fits = fits_something,
	  .range = "rocksdb or memory",
	  .help = "What keeps the bytes. memory forgets them all when "
		  "the server stops." },
	{ "store.segment_threshold", SIZE, AT(store_segment_threshold), "4mb", 64 * KB, TB,
	  .help = "Uploads expected to be at least this long are laid down in files of their "
		  "own." },
	{ "store.segment_size", SIZE, AT(store_segment_size), "64mb", MB, GB,
	  .help = "The size of such a file." },
	{ "store.write_buffer", SIZE, AT(store_write_buffer), "32mb", MB, 4 * GB,
	  .help = "Memory in which the engine gathers small writes." },

	{ "admin.socket", STRING, AT(admin_socket), NULL, .range = "a path",
	  .example = "/run/restante/admin.sock",
	  .help = "Unix domain socket for the operator. Unset: admin.sock in data_dir." },

	{ "expiry.interval", SECONDS, AT(expiry_interval), "60s", 0, DAY, .live = true,
	  .help = "Time between two sweeps that give back the room of what has expired. 0: none. "
		  "Nothing is served after its time in any case." },
};

#define SETTINGS (sizeof(table) / sizeof(*table))

static bool is_listen(const struct setting *t)
{
	return t->type == LISTEN || t->type == LISTEN_TLS;
}

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* The length of the name's block, 0 if it is outside of any. */
static int block_length(const struct setting *t)
{
	const char *dot = strchr(t->name, '.');

	return dot == NULL ? 0 : (int)(dot - t->name);
}

static const char *short_name(const struct setting *t)
{
	return block_length(t) > 0 ? t->name + block_length(t) + 1 : t->name;
}

static bool same_block(const struct setting *a, const struct setting *b)
{
	return block_length(a) == block_length(b) &&
	       memcmp(a->name, b->name, (size_t)block_length(a)) == 0;
}

static bool is_block(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if ((size_t)block_length(&table[i]) == strlen(name) && name[0] != '\0' &&
		    memcmp(table[i].name, name, strlen(name)) == 0)
			return true;
	return false;
}

/* ---- values ------------------------------------------------------------------------------ */

#define AMOUNT_SIZE 32

/* A number as an operator would write it: in the largest unit that leaves no remainder. */
static const char *amount(char out[static AMOUNT_SIZE], enum type type, uint64_t v)
{
	static const struct {
		enum type type;
		uint64_t factor;
		const char *text;
	} units[] = { { SIZE, TB, "tb" },      { SIZE, GB, "gb" },    { SIZE, MB, "mb" },
		      { SIZE, KB, "kb" },      { SECONDS, DAY, "d" }, { SECONDS, HOUR, "h" },
		      { SECONDS, MIN, "min" }, { SECONDS, 1, "s" } };

	(void)snprintf(out, AMOUNT_SIZE, "%" PRIu64, v);
	for (size_t i = 0; v > 0 && i < sizeof(units) / sizeof(*units); i++)
		if (units[i].type == type && v % units[i].factor == 0) {
			(void)snprintf(out, AMOUNT_SIZE, "%" PRIu64 "%s", v / units[i].factor,
				       units[i].text);
			break;
		}
	return out;
}

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
		[SIZE] = "a size such as 64mb",
		[SECONDS] = "a time such as 30d",
		[COUNT] = "a number",
	};
	size_t n = strlen(value);
	char low[AMOUNT_SIZE], high[AMOUNT_SIZE];
	uint64_t v = 0;
	bool ok = t->type == SIZE      ? num_size(value, n, UINT64_MAX, &v)
		  : t->type == SECONDS ? num_duration(value, n, UINT64_MAX, &v)
				       : num_u64(value, n, UINT64_MAX, &v);

	if (!ok)
		return err_set(e, ERR_INVALID, "\"%.40s\" is not %s", value, kinds[t->type]);
	if (v < t->min || v > t->max)
		return err_set(e, ERR_INVALID, "\"%.40s\" is out of range: %s to %s", value,
			       amount(low, t->type, t->min), amount(high, t->type, t->max));
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
	case SIZE:
	case SECONDS:
	case COUNT:
		return put_number(field(s, t), t, value, e);
	case BOOL:
		return put_bool(field(s, t), value, e);
	case LISTEN:
	case LISTEN_TLS:
		return put_listen(s, value, t->type == LISTEN_TLS, e);
	case STRING:
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
	for (size_t i = 0; i < SETTINGS && rc == ERR_OK; i++)
		if (!is_listen(&table[i]))
			rc = put(s, &table[i], table[i].unset != NULL ? table[i].unset : "", e);
	assert(rc == ERR_OK || rc == ERR_NOMEM);
	return rc;
}

/* ---- loading: what is known while files are read ----------------------------------------- */

struct load {
	struct settings s;
	void (*complain)(void *ctx, const char *text);
	void *ctx;
	struct err *e;
	size_t problems;
	bool nomem;
	bool includes;             /* may .include read files? */
	char where[SETTINGS][128]; /* "FILE:3", where a setting was set; "" if it was not */
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

/* A problem of no single line. */
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

static const char *where_set(const struct load *l, const char *name)
{
	const struct setting *t = find_setting(name);

	assert(t != NULL);
	return l->where[t - table];
}

static void check_ttl(struct load *l, const char *name, uint64_t ttl)
{
	const char *where = where_set(l, name);
	char a[AMOUNT_SIZE], b[AMOUNT_SIZE];

	if (where[0] == '\0')
		where = where_set(l, "upload.ttl_max");
	if (ttl > l->s.upload_ttl_max)
		complain_of(l, "%s: %s: %s is more than upload.ttl_max, %s", where, name,
			    amount(a, SECONDS, ttl), amount(b, SECONDS, l->s.upload_ttl_max));
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

/* What no setting can tell by itself. */
static void check_together(struct load *l)
{
	check_tls(l);
	check_ttl(l, "upload.ttl_photo", l->s.upload_ttl_photo);
	check_ttl(l, "upload.ttl_video", l->s.upload_ttl_video);
	check_ttl(l, "upload.ttl_voice", l->s.upload_ttl_voice);
	check_ttl(l, "upload.ttl_file", l->s.upload_ttl_file);
}

/* ---- the reader: names, values and blocks ------------------------------------------------- *
 *
 *   file      = { statement | ";" | "," }
 *   statement = name [ "=" | ":" ] ( value | list ) | name [ "=" | ":" ] "{" file "}"
 *             | ".include" string
 *   list      = "[" [ value { "," value } ] "]"
 *   value     = string | anything up to ";" "," "{" "}" or the end of the line
 *
 * A statement ends with ";", ",", the end of its line or of its block. Comments are from "#" to the
 * end of the line, or between slash-stars, which nest. */

#define VALUE_MAX 1023 /* characters of a value */
#define NESTING_MAX 8  /* blocks in blocks, files in files */
#define FILE_MAX (1 << 20)

struct word {
	char text[VALUE_MAX + 1];
	size_t n;
	unsigned line;
};

struct reader {
	struct load *load;
	const char *file;
	const char *p, *end;
	unsigned line;
	unsigned nesting; /* of blocks */
	unsigned files;   /* of includes */
	unsigned ignored; /* inside so many blocks that nobody knows */
};

static void read_file(struct load *l, const char *path, unsigned files, const struct reader *from);

/* A problem on a line of the file being read. */
static void complain(struct reader *r, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void complain(struct reader *r, unsigned line, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n = snprintf(text, sizeof(text), "%.200s:%u: ", r->file, line);

	assert(n > 0 && (size_t)n < sizeof(text));
	va_start(ap, fmt);
	(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	report(r->load, text);
}

static bool at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

static bool at_any(const struct reader *r, const char *set)
{
	return r->p < r->end && *r->p != '\0' && strchr(set, *r->p) != NULL;
}

static bool at_pair(const struct reader *r, const char *pair)
{
	return r->end - r->p >= 2 && memcmp(r->p, pair, 2) == 0;
}

static void step(struct reader *r)
{
	if (*r->p == '\n')
		r->line++;
	r->p++;
}

static void skip_until(struct reader *r, const char *set)
{
	while (r->p < r->end && !at_any(r, set))
		step(r);
}

static void skip_long_comment(struct reader *r)
{
	unsigned depth = 0, line = r->line;

	do {
		bool open = at_pair(r, "/*"), close = at_pair(r, "*/");

		depth += open;
		depth -= close;
		if (open || close)
			step(r);
		step(r);
	} while (depth > 0 && r->p < r->end);
	if (depth > 0)
		complain(r, line, "comment is never closed");
}

/* Skips comments and characters of the set. */
static void skip(struct reader *r, const char *set)
{
	for (;;) {
		if (at(r, '#'))
			skip_until(r, "\n");
		else if (at_pair(r, "/*"))
			skip_long_comment(r);
		else if (at_any(r, set))
			step(r);
		else
			return;
	}
}

#define BLANK " \t\r"
#define SPACE " \t\r\n"

static bool word_add(struct word *w, char c)
{
	if (w->n == VALUE_MAX)
		return false;
	w->text[w->n++] = c;
	w->text[w->n] = '\0';
	return true;
}

static void word_start(struct word *w, const struct reader *r)
{
	w->n = 0;
	w->text[0] = '\0';
	w->line = r->line;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 32 && c != '\t') || c == 127;
}

/* A string in quotes; \" and \\ are the only escapes. */
static bool read_string(struct reader *r, struct word *w)
{
	const char *wrong = NULL;

	word_start(w, r);
	for (step(r); wrong == NULL && !at(r, '"'); step(r)) {
		if (at(r, '\\') && (at_pair(r, "\\\"") || at_pair(r, "\\\\")))
			step(r);
		else if (at(r, '\\'))
			wrong = "only \\\" and \\\\ may follow a backslash";
		if (r->p == r->end || at(r, '\n'))
			wrong = "string is not closed on its line";
		else if (is_control(*r->p))
			wrong = "control character in a string";
		else if (!word_add(w, *r->p))
			wrong = "string is too long";
		if (wrong != NULL)
			break;
	}
	if (wrong == NULL) {
		step(r);
		return true;
	}
	complain(r, w->line, "%s", wrong);
	skip_until(r, "\n");
	return false;
}

/* Does a comment begin here, and not in the middle of a word? */
static bool at_comment(const struct reader *r, const struct word *w)
{
	bool apart = w->n == 0 || strchr(BLANK, w->text[w->n - 1]) != NULL;

	return apart && (at(r, '#') || at_pair(r, "/*"));
}

static bool read_bare(struct reader *r, struct word *w, const char *stop)
{
	const char *wrong = NULL;

	word_start(w, r);
	for (; r->p < r->end && !at_any(r, stop) && !at_comment(r, w); step(r)) {
		if (*r->p == '\r')
			continue;
		if (is_control(*r->p))
			wrong = "control character in a value";
		else if (!word_add(w, *r->p) && wrong == NULL)
			wrong = "value is too long";
	}
	while (w->n > 0 && strchr(BLANK, w->text[w->n - 1]) != NULL)
		w->text[--w->n] = '\0';
	if (wrong != NULL)
		complain(r, w->line, "%s", wrong);
	return wrong == NULL;
}

static bool read_name(struct reader *r, struct word *w)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";

	if (at(r, '"'))
		return read_string(r, w);
	word_start(w, r);
	for (; at_any(r, letters); step(r))
		(void)word_add(w, *r->p); /* no setting is as long as that */
	if (w->n > 0)
		return true;
	complain(r, r->line, "\"%c\" where the name of a setting should be", *r->p);
	step(r);
	skip_until(r, "\n;}");
	return false;
}

/* "upload" and "max" make "upload.max". */
static void full_name(char out[static 80], const char *block, const char *name)
{
	(void)snprintf(out, 80, "%.38s%s%.38s", block, block[0] == '\0' ? "" : ".", name);
}

static void take(struct reader *r, const char *name, const struct word *value)
{
	struct load *l = r->load;
	const struct setting *t = find_setting(name);
	char *where = t != NULL ? l->where[t - table] : NULL;
	struct err e = { .code = ERR_OK };

	if (t == NULL && is_block(name))
		complain(r, value->line, "%s is a block: write %s { ... }", name, name);
	else if (t == NULL)
		complain(r, value->line, "unknown setting %s", name);
	else if (where[0] != '\0' && !is_listen(t))
		complain(r, value->line, "%s: set already, at %s", name, where);
	else if (put(&l->s, t, value->text, &e) == ERR_INVALID)
		complain(r, value->line, "%s: %s", name, e.why);
	else if (e.code == ERR_NOMEM)
		l->nomem = true;
	if (where != NULL && where[0] == '\0')
		(void)snprintf(where, sizeof(l->where[0]), "%.100s:%u", r->file, value->line);
}

/* The value behind a name, up to where the statement ends. A second thing in braces behind it
 * (`server "name" { ... }`) is left for the caller. */
static bool read_value(struct reader *r, const char *name, struct word *w, const char *stop)
{
	bool quoted = at(r, '"');

	if (quoted ? !read_string(r, w) : !read_bare(r, w, stop))
		return false;
	skip(r, BLANK);
	if (!quoted && w->n == 0 && !at(r, '{')) {
		complain(r, w->line, "%s: value is missing", name);
		return false;
	}
	if (r->p < r->end && !at_any(r, stop)) {
		complain(r, r->line, "%s: \"%c\" behind the value", name, *r->p);
		skip_until(r, "\n;}");
		return false;
	}
	return true;
}

/* Only listeners take a list; of another the values are read past. */
static void read_list(struct reader *r, const char *name)
{
	const struct setting *t = find_setting(name);
	struct word w;
	unsigned line = r->line;
	bool wanted = r->ignored == 0 && (t == NULL || is_listen(t));

	if (r->ignored == 0 && !wanted)
		complain(r, line, "%s: takes one value, not a list", name);
	step(r);
	for (skip(r, SPACE ","); r->p < r->end && !at(r, ']'); skip(r, SPACE ",")) {
		if (at_any(r, "[{}")) {
			complain(r, r->line, "%s: \"%c\" in a list", name, *r->p);
			step(r);
		} else if (read_value(r, name, &w, "\n;,{}[]") && wanted) {
			take(r, name, &w);
		}
		if (at(r, ';'))
			step(r);
	}
	if (r->p == r->end) {
		complain(r, line, "%s: list is never closed", name);
		return;
	}
	step(r);
	skip(r, BLANK);
	if (r->p < r->end && !at_any(r, "\n;,}")) {
		complain(r, r->line,
			 "%s: \"%c\" behind a list; does a value that begins with \"[\" "
			 "lack quotes?",
			 name, *r->p);
		skip_until(r, "\n;}");
	}
}

static void read_include(struct reader *r)
{
	struct word w;

	if (!read_value(r, ".include", &w, "\n;,}"))
		return;
	if (r->nesting > 0)
		complain(r, w.line, ".include: not inside a block");
	else if (!r->load->includes)
		complain(r, w.line, ".include: only in a file");
	else if (r->files == NESTING_MAX)
		complain(r, w.line, ".include: files within files within files");
	else
		read_file(r->load, w.text, r->files + 1, r);
}

static void read_block(struct reader *r, const char *block, unsigned line);

/* A block where `name` stands in `outer`; what is in one that nobody knows is read past. */
static void enter_block(struct reader *r, const char *outer, const char *name, bool titled)
{
	char full[80];
	unsigned line = r->line;
	bool known = outer[0] == '\0' && is_block(name) && !titled;

	full_name(full, outer, name);
	if (!known && r->ignored == 0)
		complain(r, line,
			 find_setting(full) != NULL ? "%s: takes a value, not a block"
						    : "unknown block %s",
			 full);
	if (r->nesting == NESTING_MAX) {
		complain(r, line, "blocks within blocks within blocks");
		r->p = r->end;
		return;
	}
	r->ignored += !known;
	r->nesting++;
	step(r);
	read_block(r, name, line);
	r->nesting--;
	r->ignored -= !known;
}

/* Skips to "{" if that is what comes next, be it on another line. */
static void skip_to_brace(struct reader *r)
{
	struct reader ahead = *r;

	while (at_any(&ahead, SPACE))
		step(&ahead);
	if (at(r, '\n') && at(&ahead, '{'))
		*r = ahead;
}

static void read_statement(struct reader *r, const char *block)
{
	struct word name, value;
	char full[80];

	if (!read_name(r, &name))
		return;
	full_name(full, block, name.text);
	skip(r, BLANK);
	skip_to_brace(r);
	if (strcmp(name.text, ".include") == 0) {
		read_include(r);
		return;
	}
	if (at_any(r, "=:")) {
		step(r);
		skip(r, BLANK);
	}
	if (at(r, '{')) {
		enter_block(r, block, name.text, false);
	} else if (at(r, '[')) {
		read_list(r, full);
	} else if (read_value(r, full, &value, "\n;,{}")) {
		if (at(r, '{'))
			enter_block(r, block, name.text, true);
		else if (r->ignored == 0)
			take(r, full, &value);
	}
}

/* Statements up to the end of the block, or of the file. */
static void read_block(struct reader *r, const char *block, unsigned line)
{
	for (skip(r, SPACE ";,"); r->p < r->end; skip(r, SPACE ";,")) {
		if (!at(r, '}')) {
			read_statement(r, block);
			continue;
		}
		step(r);
		if (r->nesting > 0)
			return;
		complain(r, r->line, "\"}\" without a block");
	}
	if (r->nesting > 0)
		complain(r, line, "block %.40s is never closed", block);
}

static void read_text(struct load *l, const char *file, const char *text, size_t n, unsigned files)
{
	struct reader r = {
		.load = l, .file = file, .p = text, .end = text + n, .line = 1, .files = files
	};

	read_block(&r, "", 1);
}

/* ---- files -------------------------------------------------------------------------------- */

/* Reads a whole file; the caller frees *out. */
static enum err_code slurp(const char *path, char **out, size_t *n, struct err *e)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	enum err_code rc = ERR_OK;

	if (f == NULL)
		return err_set(e, ERR_IO, "%.100s: %s", path, strerror(errno));
	text = malloc(FILE_MAX + 1);
	if (text == NULL) {
		rc = err_set(e, ERR_NOMEM, "settings");
		goto out;
	}
	*n = fread(text, 1, FILE_MAX + 1, f);
	if (ferror(f))
		rc = err_set(e, ERR_IO, "%.100s: %s", path, strerror(errno));
	else if (*n > FILE_MAX)
		rc = err_set(e, ERR_IO, "%.100s: larger than 1 MB", path);
	if (rc != ERR_OK)
		goto out;
	*out = text;
	text = NULL;
out:
	free(text);
	(void)fclose(f);
	return rc;
}

/* An included file: a relative path starts at the folder of the file that includes it. */
static void read_file(struct load *l, const char *path, unsigned files, const struct reader *from)
{
	const char *slash = strrchr(from->file, '/');
	int folder = path[0] == '/' || slash == NULL ? 0 : (int)(slash - from->file) + 1;
	char *full = NULL, *text = NULL;
	size_t n = 0;
	struct err e;

	if (asprintf(&full, "%.*s%s", folder, from->file, path) < 0) {
		l->nomem = true;
		return;
	}
	if (slurp(full, &text, &n, &e) == ERR_OK)
		read_text(l, full, text, n, files);
	else
		complain_of(l, "%.200s:%u: .include: %s", from->file, from->line, e.why);
	free(text);
	free(full);
}

/* Defaults, the text, and what must fit together. */
static enum err_code load_text(struct settings *out, struct load *l, const char *file,
			       const char *text, size_t n)
{
	enum err_code rc = put_defaults(&l->s, l->e);

	if (rc != ERR_OK)
		goto out;
	read_text(l, file, text, n, 0);
	if (l->s.listen_count == 0 && put_listen(&l->s, DEFAULT_LISTEN, false, NULL) != ERR_OK)
		l->nomem = true;
	check_together(l);
	if (l->nomem)
		rc = err_set(l->e, ERR_NOMEM, "settings");
	else if (l->problems > 0)
		rc = ERR_INVALID; /* the failure is about the first of them */
	if (rc != ERR_OK)
		goto out;
	*out = l->s;
	memset(&l->s, 0, sizeof(l->s)); /* the caller's now */
out:
	settings_free(&l->s);
	return rc;
}

enum err_code settings_load(struct settings *out, const char *path,
			    void (*complain_to)(void *ctx, const char *text), void *ctx,
			    struct err *e)
{
	struct load l = { .complain = complain_to, .ctx = ctx, .e = e, .includes = true };
	char *text = NULL;
	size_t n = 0;
	enum err_code rc = path != NULL ? slurp(path, &text, &n, e) : ERR_OK;

	if (rc == ERR_OK)
		rc = load_text(out, &l, path != NULL ? path : "", n > 0 ? text : "", n);
	free(text);
	return rc;
}

enum err_code settings_parse(struct settings *out, const char *text, size_t n,
			     void (*complain_to)(void *ctx, const char *text), void *ctx,
			     struct err *e)
{
	struct load l = { .complain = complain_to, .ctx = ctx, .e = e };

	return load_text(out, &l, "settings", n > 0 ? text : "", n);
}

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
	drop_listeners(s);
	for (size_t i = 0; i < SETTINGS; i++)
		if (table[i].type == STRING)
			free(*(char **)field(s, &table[i]));
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
	case LISTEN:
	case LISTEN_TLS:
		return same_listeners(a, b, t->type == LISTEN_TLS);
	case STRING:
		return strcmp(*(char **)field(a, t), *(char **)field(b, t)) == 0;
	case BOOL:
		return *(bool *)field(a, t) == *(bool *)field(b, t);
	case SIZE:
	case SECONDS:
	case COUNT:
		break;
	}
	return *(uint64_t *)field(a, t) == *(uint64_t *)field(b, t);
}

size_t settings_fixed_changes(const struct settings *running, const struct settings *wanted,
			      FILE *out)
{
	size_t count = 0;

	for (size_t i = 0; i < SETTINGS; i++) {
		if (table[i].live || same_value(running, wanted, &table[i]))
			continue;
		(void)fprintf(out, "%s%s", count > 0 ? " " : "", table[i].name);
		count++;
	}
	return count;
}

void settings_keep_fixed(struct settings *wanted, const struct settings *running)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *t = &table[i];

		if (t->live)
			continue;
		if (t->type == STRING)
			(void)put_string(field(wanted, t), *(char **)field(running, t), NULL);
		else if (t->type == BOOL)
			*(bool *)field(wanted, t) = *(bool *)field(running, t);
		else if (t->type != LISTEN && t->type != LISTEN_TLS)
			*(uint64_t *)field(wanted, t) = *(uint64_t *)field(running, t);
	}
}

/* ---- printing ----------------------------------------------------------------------------- */

#define RANGE_SIZE 128

/* What may stand there, in words. */
static const char *range(char out[static RANGE_SIZE], const struct setting *t)
{
	static const char *const kinds[] = {
		[SIZE] = "a size", [SECONDS] = "a time", [COUNT] = "a number"
	};
	char low[AMOUNT_SIZE], high[AMOUNT_SIZE];

	switch (t->type) {
	case SIZE:
	case SECONDS:
	case COUNT:
		(void)snprintf(out, RANGE_SIZE, "%s, %s to %s", kinds[t->type],
			       amount(low, t->type, t->min), amount(high, t->type, t->max));
		break;
	case BOOL:
		(void)snprintf(out, RANGE_SIZE, "true or false");
		break;
	case LISTEN:
	case LISTEN_TLS:
		(void)snprintf(out, RANGE_SIZE, "ADDRESS:PORT");
		break;
	case STRING:
		(void)snprintf(out, RANGE_SIZE, "%s", t->range);
		break;
	}
	return out;
}

/* Is its value written in quotes? */
static bool quoted(const struct setting *t)
{
	return is_listen(t) || (t->type == STRING && t->fits != fits_level);
}

/* Prints text as comment lines of at most about 90 columns. */
static void print_comment(FILE *f, const char *indent, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > 0 && column + n > 88) {
			(void)fputc('\n', f);
			column = 0;
		}
		column += n + 1;
		(void)fprintf(f, "%s%.*s", column == n + 1 ? indent : " ", (int)n, text);
		text += n + (text[n] == ' ');
	}
	(void)fputc('\n', f);
}

static void print_conf_setting(FILE *f, const struct setting *t)
{
	const char *indent = block_length(t) > 0 ? "\t" : "";
	const char *lead = block_length(t) > 0 ? "\t# " : "# ";
	const char *quote = quoted(t) ? "\"" : "";
	char words[RANGE_SIZE], line[2 * RANGE_SIZE];

	(void)snprintf(line, sizeof(line), "(%s;%s %s)", range(words, t),
		       t->unset == NULL ? " no default;" : "",
		       t->live ? "SIGHUP takes it up" : "needs a restart");
	print_comment(f, lead, t->help);
	print_comment(f, lead, line);
	(void)fprintf(f, "%s#%s = %s%s%s\n", indent, short_name(t), quote,
		      t->unset != NULL ? t->unset : t->example, quote);
}

void settings_print_conf(FILE *f)
{
	(void)fputs("# restante.conf - every setting, commented out, with its default.\n"
		    "# Printed by `restanted --print-conf`; the manual is restante.conf(5).\n"
		    "# Sizes: b, kb, mb, gb, tb, powers of 1024. Times: s, min, h, d, w.\n"
		    "# `restanted --check-config --config FILE` says what is wrong with a file.\n",
		    f);
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *t = &table[i];
		bool first = i > 0 && !same_block(t - 1, t);

		(void)fputc('\n', f);
		if (first && block_length(t) > 0)
			(void)fprintf(f, "%.*s {\n", block_length(t), t->name);
		print_conf_setting(f, t);
		if (block_length(t) > 0 && (i + 1 == SETTINGS || !same_block(t, t + 1)))
			(void)fputs("}\n", f);
	}
}

static void print_mdoc_setting(FILE *f, const struct setting *t)
{
	static const char *const args[] = { [SIZE] = "size",
					    [SECONDS] = "time",
					    [COUNT] = "number",
					    [STRING] = "string",
					    [BOOL] = "bool",
					    [LISTEN] = "address:port",
					    [LISTEN_TLS] = "address:port" };
	char words[RANGE_SIZE];

	(void)fprintf(f, ".It Ic %s Ar %s\n", short_name(t), args[t->type]);
	for (const char *p = t->help; *p != '\0';) { /* a sentence a line, as mdoc wants it */
		const char *stop = strstr(p, ". ");
		int n = stop != NULL ? (int)(stop - p) + 1 : (int)strlen(p);

		(void)fprintf(f, "%.*s\n", n, p);
		p += n + (stop != NULL);
	}
	(void)fprintf(f, "Takes %s.\n", range(words, t));
	if (t->unset != NULL)
		(void)fprintf(f, "The default is\n.Ql %s .\n", t->unset);
	else
		(void)fprintf(f, "There is no default.\n");
	if (!t->live)
		(void)fprintf(f, "A change needs a restart.\n");
}

void settings_print_mdoc(FILE *f)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *t = &table[i];

		if (i == 0 || !same_block(t - 1, t)) {
			if (block_length(t) > 0)
				(void)fprintf(f, ".Ss Block %.*s\n", block_length(t), t->name);
			else
				(void)fputs(".Ss Outside of any block\n", f);
			(void)fputs(".Bl -tag -width Ds\n", f);
		}
		print_mdoc_setting(f, t);
		if (i + 1 == SETTINGS || !same_block(t, t + 1))
			(void)fputs(".El\n", f);
	}
}

void settings_print_help(FILE *f)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *help = table[i].help, *stop = strstr(help, ". ");
		int n = stop != NULL ? (int)(stop - help) + 1 : (int)strlen(help);

		(void)fprintf(f, "  %-28s  %-17s  %.*s\n", table[i].name,
			      table[i].unset != NULL ? table[i].unset : "-", n, help);
	}
}
