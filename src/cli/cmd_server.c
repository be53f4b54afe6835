/* What is done to a running server: reload, stop, keys rotate. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/cancel.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/operator.h"
#include "cli/output.h"
#include "cli/say.h"

#define WAIT_MAX_S 86400
#define LOOK_MS 100

static const struct option_row options[] = { OPTIONS_OPERATOR, OPTIONS_COMMON };

static const struct option_row stop_options[] = {
	{ "wait", "TIME", "until it has ended, at most so long: 90s", 0 },
	OPTIONS_OPERATOR,
	OPTIONS_COMMON,
};

static const struct question ask_reload = { "POST", "/admin/reload", OPERATOR_USUAL_MS, false };
static const struct question ask_stop = { "POST", "/admin/stop", OPERATOR_USUAL_MS, false };
static const struct question ask_rotate = { "POST", "/admin/keys/rotate", OPERATOR_USUAL_MS,
					    false };

/* ---- reload -------------------------------------------------------------------------------- */

static bool print_restart(const json_t *names, struct trouble *t)
{
	const json_t *one;
	size_t i;
	bool ok = true;

	json_array_foreach(names, i, one)
	{
		char line[256], clean[256];

		(void)snprintf(line, sizeof(line), "%.200s needs a restart",
			       json_string_value(one) != NULL ? json_string_value(one) : "");
		say_clean(clean, sizeof(clean), line);
		ok = ok && output_line(clean, t);
	}
	return ok;
}

static bool reload(const struct options *o, const struct settings *set, struct trouble *t)
{
	json_t *a = NULL;
	bool ok;

	if (!command_takes(o, 0, 0, t) || !operator_ask(o, &ask_reload, &a, t))
		return false;
	if (set->json)
		return json_print(a, t);
	ok = print_restart(json_object_get(a, "needs_restart"), t);
	json_decref(a);
	return ok;
}

/* ---- stop ---------------------------------------------------------------------------------- */

/* The process behind the socket, as a descriptor that is readable once it has ended; -1: not to be
 * had, as from within another namespace of processes. */
static int open_process(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t n = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), process = -1;

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path)) {
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid > 0)
		process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	(void)close(fd);
	return process;
}

/* Whether it has ended: the process, or, if that cannot be seen, its socket. */
static bool has_ended(int process, const char *path, int wait_ms)
{
	struct pollfd p = { .fd = process, .events = POLLIN };
	struct stat st;

	(void)poll(&p, 1, wait_ms); /* of -1 it only waits */
	return process >= 0 ? p.revents != 0 : lstat(path, &st) != 0 && errno == ENOENT;
}

static bool await_end(int process, const char *path, uint64_t patience_s, struct trouble *t)
{
	const int64_t until = clock_mono_ms() + (int64_t)patience_s * 1000;

	while (!has_ended(process, path, LOOK_MS)) {
		if (!cancel_not(t))
			return false;
		if (clock_mono_ms() >= until)
			return trouble_local(t, ERR_IO,
					     "the server was told to stop and still runs");
	}
	return true;
}

static bool stop_and_wait(const struct options *o, json_t **a, uint64_t patience_s,
			  struct trouble *t)
{
	const char *path = operator_socket(o);
	int process = open_process(path);
	bool ok = operator_ask(o, &ask_stop, a, t) && await_end(process, path, patience_s, t);

	if (process >= 0)
		(void)close(process);
	return ok;
}

static bool stop(const struct options *o, const struct settings *set, struct trouble *t)
{
	const char *wait = options_get(o, "wait");
	json_t *a = NULL;
	uint64_t patience_s = 0;
	bool ok;

	if (!command_takes(o, 0, 0, t))
		return false;
	if (wait != NULL && !num_duration(wait, strlen(wait), WAIT_MAX_S, &patience_s))
		return trouble_usage(t, "--wait: is a length of time such as 90s, at most a day");
	ok = wait != NULL ? stop_and_wait(o, &a, patience_s, t) : operator_ask(o, &ask_stop, &a, t);
	if (ok && set->json)
		return json_print(a, t);
	json_decref(a);
	return ok;
}

/* ---- keys rotate --------------------------------------------------------------------------- */

static bool rotate(const struct options *o, const struct settings *set, struct trouble *t)
{
	json_t *a = NULL;
	char line[64];
	bool ok;

	if (!command_takes(o, 0, 0, t) || !operator_ask(o, &ask_rotate, &a, t))
		return false;
	if (set->json)
		return json_print(a, t);
	(void)snprintf(line, sizeof(line), "%" PRIu64, operator_number(a, NULL, "key"));
	ok = output_line(line, t);
	json_decref(a);
	return ok;
}

/* ---- interface ----------------------------------------------------------------------------- */

const struct command command_reload = {
	"reload", "", "Has the server read settings, keys and certificate again", options, reload,
};

const struct command command_stop = {
	"stop", "", "Has the server finish what runs, and end", stop_options, stop,
};

const struct command command_keys_rotate = {
	"keys rotate", "",     "Has the server make a new token key, and prints its number",
	options,       rotate,
};
