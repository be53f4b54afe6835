/* What is due: expire, check. Their exit codes are for cron. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/operator.h"
#include "cli/output.h"
#include "cli/words.h"

#define COUNT_MAX UINT32_MAX

static const struct option_row expire_options[] = {
	{ "dry-run", NULL, "only count", 0 },
	{ "budget", "N|TIME", "at most so many uploads, or so long: 10000, 30s", 0 },
	OPTIONS_OPERATOR,
	OPTIONS_COMMON,
};

static const struct option_row check_options[] = {
	{ "older", "TIME", "leave out what is due for no longer than that: 5min", 0 },
	OPTIONS_OPERATOR,
	OPTIONS_COMMON,
};

/* ---- expire -------------------------------------------------------------------------------- */

/* "budget=N" or "budget=Ns"; empty if there is none. */
static bool read_budget(char *out, size_t size, const char *given, struct trouble *t)
{
	uint64_t n;

	out[0] = '\0';
	if (given == NULL)
		return true;
	if (num_u64(given, strlen(given), COUNT_MAX, &n) && n > 0)
		(void)snprintf(out, size, "budget=%" PRIu64, n);
	else if (num_duration(given, strlen(given), COUNT_MAX, &n) && n > 0)
		(void)snprintf(out, size, "budget=%" PRIu64 "s", n);
	else
		return trouble_usage(t, "--budget: is a number of uploads, or a length of time "
					"such as 30s");
	return true;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static bool print_expired(const json_t *a, bool dry, struct trouble *t)
{
	const uint64_t uploads = operator_number(a, NULL, "uploads");
	const uint64_t unfinished = operator_number(a, NULL, "unfinished");
	const uint64_t grants = operator_number(a, NULL, "grants");
	const uint64_t blobs = operator_number(a, NULL, "blobs");
	const uint64_t segments = operator_number(a, NULL, "segments");
	char line[512], bytes[WORDS_SIZE], before[WORDS_SIZE], after[WORDS_SIZE];

	(void)words_bytes(bytes, operator_number(a, NULL, "bytes"));
	(void)snprintf(line, sizeof(line),
		       "%s %" PRIu64 " upload%s and %" PRIu64 " unfinished, %" PRIu64
		       " grant%s and tombstones, %" PRIu64 " blob%s, %s, %" PRIu64
		       " segment%s in %.3f s",
		       dry ? "due:" : "dropped", uploads, plural(uploads), unfinished, grants,
		       plural(grants), blobs, plural(blobs), bytes, segments, plural(segments),
		       json_number_value(json_object_get(a, "seconds")));
	if (!output_line(line, t))
		return false;
	(void)snprintf(line, sizeof(line), "on disk %s before, %s after",
		       words_bytes(before, operator_number(a, NULL, "disk_before")),
		       words_bytes(after, operator_number(a, NULL, "disk_after")));
	if (!dry && !output_line(line, t))
		return false;
	(void)snprintf(line, sizeof(line), "%" PRIu64 " busy: due, but worked on at the moment",
		       operator_number(a, NULL, "busy"));
	if (operator_number(a, NULL, "busy") > 0 && !output_line(line, t))
		return false;
	return !operator_flag(a, "more") || output_line("there is more to do", t);
}

static bool print_sweep(json_t *a, const struct settings *set, bool dry, struct trouble *t)
{
	if (set->json)
		return json_print(json_incref(a), t);
	return set->quiet || print_expired(a, dry, t);
}

static bool expire(const struct options *o, const struct settings *set, struct trouble *t)
{
	const bool dry = options_get(o, "dry-run") != NULL;
	char budget[48], target[96];
	const struct question q = { "POST", target, OPERATOR_AS_LONG, false };
	json_t *a = NULL;
	bool ok;

	if (!command_takes(o, 0, 0, t) ||
	    !read_budget(budget, sizeof(budget), options_get(o, "budget"), t))
		return false;
	(void)snprintf(target, sizeof(target), "/admin/expire%s%s%s%s",
		       dry || budget[0] != '\0' ? "?" : "", dry ? "dry_run=1" : "",
		       dry && budget[0] != '\0' ? "&" : "", budget);
	if (!operator_ask(o, &q, &a, t))
		return false;
	ok = print_sweep(a, set, dry, t);
	if (ok && operator_flag(a, "more"))
		ok = trouble_outcome(t, OUTCOME_MORE);
	json_decref(a);
	return ok;
}

/* ---- check --------------------------------------------------------------------------------- */

static bool print_overdue(const json_t *a, struct trouble *t)
{
	const uint64_t overdue = operator_number(a, NULL, "overdue");
	const uint64_t unfinished = operator_number(a, NULL, "unfinished");
	const uint64_t grants = operator_number(a, NULL, "grants");
	const uint64_t segments = operator_number(a, NULL, "segments");
	char line[256], since[WORDS_SIZE];

	if (overdue + unfinished + grants + segments == 0)
		return output_line("nothing is overdue", t);
	(void)snprintf(line, sizeof(line), "overdue: %" PRIu64 " segment%s whose uploads are gone",
		       segments, plural(segments));
	if (segments > 0 && !output_line(line, t))
		return false;
	if (overdue + unfinished + grants == 0)
		return true;
	(void)words_seconds(since, operator_number(a, NULL, "oldest_s"));
	(void)snprintf(line, sizeof(line),
		       "overdue: %" PRIu64 " upload%s and %" PRIu64 " unfinished, %" PRIu64
		       " grant%s and tombstones, the oldest for %s",
		       overdue, plural(overdue), unfinished, grants, plural(grants), since);
	return output_line(line, t);
}

static bool read_older(uint64_t *out, const char *given, struct trouble *t)
{
	*out = 0;
	if (given != NULL && !num_duration(given, strlen(given), COUNT_MAX, out))
		return trouble_usage(t, "--older: is a length of time such as 5min");
	return true;
}

static bool check(const struct options *o, const struct settings *set, struct trouble *t)
{
	char target[64];
	const struct question q = { "POST", target, OPERATOR_AS_LONG, false };
	json_t *a = NULL;
	uint64_t older;
	bool ok, found;

	if (!command_takes(o, 0, 0, t) || !read_older(&older, options_get(o, "older"), t))
		return false;
	(void)snprintf(target, sizeof(target), "/admin/check");
	if (older > 0)
		(void)snprintf(target, sizeof(target), "/admin/check?older=%" PRIu64 "s", older);
	if (!operator_ask(o, &q, &a, t))
		return false;
	found = operator_number(a, NULL, "overdue") + operator_number(a, NULL, "unfinished") +
			operator_number(a, NULL, "grants") + operator_number(a, NULL, "segments") >
		0;
	if (set->json)
		ok = json_print(json_incref(a), t);
	else
		ok = set->quiet || print_overdue(a, t);
	json_decref(a);
	return ok && found ? trouble_outcome(t, OUTCOME_OVERDUE) : ok;
}

/* ---- interface ----------------------------------------------------------------------------- */

const struct command command_expire = {
	"expire", "", "Has the server drop what is due, now", expire_options, expire,
};

const struct command command_check = {
	"check", "", "Tells whether anything is there past its time", check_options, check,
};
