#include "cli/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *home(void)
{
	const char *given = getenv("HOME");
	const struct passwd *user;

	if (given != NULL && given[0] == '/')
		return given;
	user = getpwuid(getuid());
	return user != NULL && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* The specification has relative paths passed over. */
static char *below(const char *variable, const char *usual, const char *rest)
{
	const char *base = getenv(variable), *under = "";
	char *path = NULL;

	if (base == NULL || base[0] != '/') {
		base = home();
		under = usual;
	}
	if (base == NULL || asprintf(&path, "%s%s%s", base, under, rest) < 0)
		return NULL;
	return path;
}

char *folders_config(void)
{
	return below("XDG_CONFIG_HOME", "/.config", "/restante/restante.conf");
}

/* Makes a folder and those above it. */
static bool make(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST && access(path, F_OK) != 0) {
			*p = '/';
			return false;
		}
		*p = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

char *folders_state(struct trouble *t)
{
	char *path = below("XDG_STATE_HOME", "/.local/state", "/restante");

	if (path == NULL) {
		(void)trouble_local(t, ERR_IO,
				    "there is no home to keep state in: set "
				    "XDG_STATE_HOME");
		return NULL;
	}
	if (!make(path)) {
		(void)trouble_local(t, ERR_IO,
				    "%.200s: %s: set XDG_STATE_HOME to a folder that "
				    "can be written to",
				    path, strerror(errno));
		free(path);
		return NULL;
	}
	return path;
}

/* Not every file system has files without a name from the beginning. */
static int made_and_removed(const char *folder)
{
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/prepared.XXXXXX", folder) < 0)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	free(path);
	return fd;
}

int folders_temporary(const char *folder, struct trouble *t)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = made_and_removed(folder);
	if (fd < 0)
		(void)trouble_errno(t, folder);
	return fd;
}
