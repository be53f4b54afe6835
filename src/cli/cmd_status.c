/* How the server is: status, stats, running-config. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/operator.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/words.h"

#define LINE_SIZE 512

static const struct option_row options[] = { OPTIONS_OPERATOR, OPTIONS_COMMON };

static const struct question ask_status = { "GET", "/admin/status", OPERATOR_USUAL_MS, false };
static const struct question ask_stats = { "GET", "/admin/stats", OPERATOR_USUAL_MS, false };
static const struct question ask_config = { "GET", "/admin/running-config", OPERATOR_USUAL_MS,
					    false };

/* ---- status -------------------------------------------------------------------------------- */

/* A row of the table; the title only in the first of several. */
static bool row(struct trouble *t, const char *title, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static bool row(struct trouble *t, const char *title, const char *fmt, ...)
{
	char text[LINE_SIZE], clean[LINE_SIZE], line[LINE_SIZE + 16];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_clean(clean, sizeof(clean), text);
	(void)snprintf(line, sizeof(line), "%-12s %s", title, clean);
	return output_line(line, t);
}

static bool row_uptime(const json_t *a, struct trouble *t)
{
	const uint64_t s = operator_number(a, NULL, "uptime_s");

	return row(t, "Uptime", "%" PRIu64 " Days, %" PRIu64 " Hours, %" PRIu64 " Minutes",
		   s / 86400, s / 3600 % 24, s / 60 % 60);
}

static bool rows_listeners(const json_t *a, struct trouble *t)
{
	const json_t *one;
	size_t i;
	bool ok = true;

	json_array_foreach(json_object_get(a, "listeners"), i, one)
	{
		ok = ok && row(t, i == 0 ? "Listeners" : "", "%s", operator_text(one, NULL, "url"));
	}
	return ok;
}

static bool rows_hosts(const json_t *a, struct trouble *t)
{
	const json_t *one;
	size_t i;
	bool ok = true;

	json_array_foreach(json_object_get(a, "hosts"), i, one)
	{
		const char *name = json_string_value(one);

		if (name != NULL && name[0] != '\0')
			ok = ok && row(t, i == 0 ? "Hosts" : "", "%s", name);
	}
	return ok;
}

static bool row_bytes(const json_t *a, struct trouble *t)
{
	char alive[WORDS_SIZE], on_disk[WORDS_SIZE], left[WORDS_SIZE];

	return row(t, "Bytes", "%s alive, %s on disk, %s free",
		   words_bytes(alive, operator_number(a, "bytes", "alive")),
		   words_bytes(on_disk, operator_number(a, "bytes", "on_disk")),
		   words_bytes(left, operator_number(a, "bytes", "free")));
}

static bool row_cache(const json_t *a, struct trouble *t)
{
	const uint64_t hits = operator_number(a, "cache", "hits");
	const uint64_t asked = hits + operator_number(a, "cache", "misses");
	char size[WORDS_SIZE];

	(void)words_bytes(size, operator_number(a, "cache", "bytes"));
	if (asked == 0)
		return row(t, "Cache", "%s, not asked yet", size);
	return row(t, "Cache", "%s, %.1f %% of %" PRIu64 " reads hit", size,
		   100.0 * (double)hits / (double)asked, asked);
}

static bool row_sweeps(const json_t *a, struct trouble *t)
{
	const uint64_t count = operator_number(a, "sweeps", "count");
	const json_t *sweeps = json_object_get(a, "sweeps");

	if (count == 0)
		return row(t, "Sweeps", "none yet");
	return row(t, "Sweeps",
		   "%" PRIu64 ", the last one %.40s dropped %" PRIu64 " in %.3f s; %" PRIu64
		   " uploads expired",
		   count, operator_text(a, "sweeps", "last_at"),
		   operator_number(a, "sweeps", "last_dropped"),
		   json_number_value(json_object_get(sweeps, "last_seconds")),
		   operator_number(a, "sweeps", "expired"));
}

static bool row_requests(const json_t *a, struct trouble *t)
{
	return row(t, "Requests",
		   "2xx %" PRIu64 ", 3xx %" PRIu64 ", 4xx %" PRIu64 ", 5xx %" PRIu64
		   ", cut %" PRIu64,
		   operator_number(a, "requests", "2xx"), operator_number(a, "requests", "3xx"),
		   operator_number(a, "requests", "4xx"), operator_number(a, "requests", "5xx"),
		   operator_number(a, "requests", "cut"));
}

static bool row_traffic(const json_t *a, struct trouble *t)
{
	char in[WORDS_SIZE], out[WORDS_SIZE];

	return row(t, "Traffic", "%s received, %s sent",
		   words_bytes(in, operator_number(a, NULL, "bytes_received")),
		   words_bytes(out, operator_number(a, NULL, "bytes_sent")));
}

static bool table(const json_t *a, struct trouble *t)
{
	return row(t, "Server", "restanted %.40s, process %" PRIu64 ", since %.40s, %s",
		   operator_text(a, NULL, "version"), operator_number(a, NULL, "pid"),
		   operator_text(a, NULL, "started_at"),
		   operator_flag(a, "ready") ? "ready" : "not ready") &&
	       row_uptime(a, t) && rows_listeners(a, t) && rows_hosts(a, t) &&
	       row(t, "Connections", "%" PRIu64, operator_number(a, NULL, "connections")) &&
	       row(t, "Uploads", "%" PRIu64 " open, %" PRIu64 " alive",
		   operator_number(a, "uploads", "open"), operator_number(a, "uploads", "alive")) &&
	       row_bytes(a, t) && row_cache(a, t) && row_sweeps(a, t) && row_requests(a, t) &&
	       row_traffic(a, t);
}

static bool status(const struct options *o, const struct settings *set, struct trouble *t)
{
	json_t *a = NULL;
	bool ok;

	if (!command_takes(o, 0, 0, t) || !operator_ask(o, &ask_status, &a, t))
		return false;
	if (set->json)
		return json_print(a, t);
	ok = table(a, t);
	json_decref(a);
	return ok;
}

/* ---- stats --------------------------------------------------------------------------------- */

static bool print_stat(const char *name, const json_t *value, struct trouble *t)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY);
	char *line = NULL;
	bool ok = text != NULL && asprintf(&line, "%s %s", name, text) >= 0;

	free(text);
	if (!ok)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	ok = output_line(line, t);
	free(line);
	return ok;
}

static bool stats(const struct options *o, const struct settings *set, struct trouble *t)
{
	json_t *a = NULL;
	const json_t *value;
	const char *name;
	bool ok = true;

	if (!command_takes(o, 0, 0, t) || !operator_ask(o, &ask_stats, &a, t))
		return false;
	if (set->json)
		return json_print(a, t);
	json_object_foreach(a, name, value)
	{
		ok = ok && print_stat(name, value, t);
	}
	json_decref(a);
	return ok;
}

/* ---- running-config ------------------------------------------------------------------------ */

static bool running_config(const struct options *o, const struct settings *set, struct trouble *t)
{
	char *text = NULL;
	json_t *object;
	bool ok;

	if (!command_takes(o, 0, 0, t) || !operator_ask_text(o, &ask_config, &text, t))
		return false;
	if (set->json) {
		object = json_object();
		json_add(object, "config", json_string(text));
		ok = json_print(object, t);
	} else {
		ok = output_bytes(STDOUT_FILENO, "standard output", text, strlen(text), t);
	}
	free(text);
	return ok;
}

/* ---- interface ----------------------------------------------------------------------------- */

const struct command command_status = {
	"status", "", "Shows how the server on this machine is", options, status,
};

const struct command command_stats = {
	"stats", "", "Prints every counter and gauge of the server", options, stats,
};

const struct command command_running_config = {
	"running-config", "", "Prints the settings that the server goes by", options,
	running_config,
};
