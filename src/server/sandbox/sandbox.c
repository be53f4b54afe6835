#include "server/sandbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/log.h"
#include "server/sandbox/landlock.h"
#include "server/sandbox/syscalls.h"
#include "server/settings.h"

/* Sanitizers look into the process from outside, read its program file when they have something to
 * say, and make calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(RESTANTE_SANITIZED)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* What libraries read while they run: the number of CPUs, of blocks in a page of a disk, an id for
 * a store; what describes the process itself. */
static const char *const system_files[] = {
	"/proc/self",
	"/proc/sys/kernel/random",
	"/sys/devices/system/cpu",
	"/etc/localtime",
};

static const char *notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path != NULL ? path : "";
}

/* Either may be a link to another disk; a rule is for where it leads. */
static void allow_data(struct landlock *l, const char *data_dir)
{
	char store[PATH_MAX];

	landlock_allow(l, data_dir, LANDLOCK_ALL);
	if (snprintf(store, sizeof(store), "%s/store", data_dir) < (int)sizeof(store))
		landlock_allow(l, store, LANDLOCK_ALL);
}

static void allow_own(struct landlock *l, const struct settings *set, const char *config)
{
	allow_data(l, set->data_dir);
	landlock_allow_around(l, set->admin_socket, LANDLOCK_SOCKET);
	landlock_allow_around(l, set->log_file, LANDLOCK_APPEND);
	if (strcmp(set->log_access, "-") != 0)
		landlock_allow_around(l, set->log_access, LANDLOCK_APPEND);
	landlock_allow_around(l, config != NULL ? config : "", LANDLOCK_READ);
	for (size_t i = 0; config != NULL && i < set->file_count; i++)
		landlock_allow_around(l, set->files[i], LANDLOCK_READ);
	landlock_allow_around(l, set->tls_certificate, LANDLOCK_READ);
	landlock_allow_around(l, set->tls_key, LANDLOCK_READ);
}

void sandbox_files(struct sandbox *s, const struct settings *set, const char *config)
{
	struct landlock l;

	*s = (struct sandbox){ .on = set->sandbox };
	if (!s->on)
		return;
	tzset(); /* reads the time zone's file */
	s->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	s->undumpable = !SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
	landlock_begin(&l, notify_socket()[0] == '@');
	allow_own(&l, set, config);
	for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]); i++)
		landlock_allow(&l, system_files[i], LANDLOCK_READ);
	if (SANITIZED)
		landlock_allow(&l, "/", LANDLOCK_READ);
	(void)landlock_enforce(&l);
	s->landlock = l.abi;
}

static const char *yes(bool is)
{
	return is ? "yes" : "no";
}

void sandbox_calls(struct sandbox *s)
{
	struct err e = { 0 };
	char abi[16] = "no";

	if (!s->on) {
		log_warn("event=sandbox off");
		return;
	}
	s->seccomp = syscalls_restrict(notify_socket()[0] != '\0', SANITIZED, &e) == ERR_OK &&
		     !SANITIZED;
	if (e.code != ERR_OK)
		log_warn("event=sandbox_failed error=\"%s\"", e.why);
	if (s->landlock > 0)
		(void)snprintf(abi, sizeof(abi), "%d", s->landlock);
	log_write(s->seccomp && s->landlock > 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		  "event=sandbox no_new_privs=%s undumpable=%s landlock=%s seccomp=%s",
		  yes(s->no_new_privs), yes(s->undumpable), abi, yes(s->seccomp));
}
