#include "cli/generations.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "cli/output.h"

#define PARTIAL ".partial"
#define NEW_LATEST "latest" PARTIAL
#define NOTE "interrupted"
#define TRIES 60 /* seconds that may be taken */

/* ---- names --------------------------------------------------------------------------------- */

static bool is_generation(const char *name, size_t n)
{
	static const char shape[] = "dddd-dd-ddTdd-dd-ddZ";

	if (n != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)name[i]) : name[i] != shape[i])
			return false;
	return true;
}

static bool is_partial(const char *name)
{
	const size_t n = strlen(name), end = sizeof(PARTIAL) - 1;

	return strcmp(name, NEW_LATEST) == 0 ||
	       (n > end && strcmp(name + n - end, PARTIAL) == 0 && is_generation(name, n - end));
}

/* A folder with a list: it was written last. */
static bool is_complete(int dir, const char *name)
{
	char list[GENERATION_SIZE + sizeof(BACKUP_LIST)];
	struct stat st;

	(void)snprintf(list, sizeof(list), "%.20s/" BACKUP_LIST, name);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       fstatat(dir, list, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static void name_of(char out[static GENERATION_SIZE], int64_t now)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(text, now);
	(void)snprintf(out, GENERATION_SIZE, "%s", text);
	for (char *p = out; *p != '\0'; p++)
		if (*p == ':')
			*p = '-';
}

static void partial_of(char out[static GENERATION_PARTIAL_SIZE], const char *name)
{
	(void)snprintf(out, GENERATION_PARTIAL_SIZE, "%s" PARTIAL, name);
}

/* ---- what is there ------------------------------------------------------------------------- */

static bool add(struct generations *g, const char *name, struct trouble *t)
{
	void *more = realloc(g->names, (g->count + 1) * sizeof(*g->names));

	if (more == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	g->names = more;
	(void)snprintf(g->names[g->count++], GENERATION_SIZE, "%.20s", name);
	return true;
}

static bool remove_one(const struct generations *g, const char *name, struct trouble *t)
{
	struct err e = { 0 };

	return files_remove(g->dir, name, &e) == ERR_OK || trouble_err(t, &e, g->path);
}

/* The note in an interrupted one. */
static void read_note(struct generations *g, const char *name)
{
	char path[64], text[GENERATION_NOTE_SIZE];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%.40s/" NOTE, name);
	fd = openat(g->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		(void)close(fd);
	}
	if (n <= 0)
		return;
	text[n] = '\0';
	(void)snprintf(g->abandoned, sizeof(g->abandoned), "%s", text);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool look_at(struct generations *g, const char *name, struct trouble *t)
{
	if (is_partial(name)) {
		read_note(g, name);
		return remove_one(g, name, t);
	}
	return !is_generation(name, strlen(name)) || !is_complete(g->dir, name) || add(g, name, t);
}

static bool look(struct generations *g, DIR *list, struct trouble *t)
{
	const char *name = NULL;
	struct err e = { 0 };

	do {
		if (files_next(&name, list, &e) != ERR_OK)
			return trouble_err(t, &e, g->path);
		if (name != NULL && !look_at(g, name, t))
			return false;
	} while (name != NULL);
	if (g->count > 0)
		qsort(g->names, g->count, sizeof(*g->names), by_name);
	return true;
}

static bool take_stock(struct generations *g, struct trouble *t)
{
	struct err e = { 0 };
	DIR *list = NULL;
	bool ok;

	if (files_list(&list, g->dir, &e) != ERR_OK)
		return trouble_err(t, &e, g->path);
	ok = look(g, list, t);
	(void)closedir(list);
	return ok;
}

static bool lock(const struct generations *g, struct trouble *t)
{
	if (flock(g->dir, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno == EWOULDBLOCK)
		return trouble_local(t, ERR_BUSY, "%.200s: another backup is being made there",
				     g->path);
	return trouble_errno(t, g->path);
}

bool generations_open(struct generations *g, const char *path, struct trouble *t)
{
	struct err e = { 0 };

	*g = (struct generations){ .dir = -1, .path = strdup(path) };
	if (g->path == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	g->made = mkdir(path, 0700) == 0;
	if (files_open_dir(&g->dir, AT_FDCWD, path, true, &e) != ERR_OK)
		return trouble_err(t, &e, NULL);
	return lock(g, t) && take_stock(g, t);
}

void generations_close(struct generations *g)
{
	if (g->made)
		(void)rmdir(g->path); /* only if it is still empty */
	if (g->dir >= 0)
		(void)close(g->dir);
	free(g->path);
	free(g->names);
	*g = (struct generations){ .dir = -1 };
}

bool generations_are_below(const struct generations *g, const char *folder)
{
	struct stat it, here, last = { 0 };
	int fd = openat(g->dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), up;
	bool below = false;

	if (stat(folder, &it) != 0)
		it = (struct stat){ 0 };
	while (fd >= 0 && !below && fstat(fd, &here) == 0 &&
	       (here.st_dev != last.st_dev ||
		here.st_ino != last.st_ino)) { /* the root's is itself */
		below = here.st_dev == it.st_dev && here.st_ino == it.st_ino;
		last = here;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = up;
	}
	if (fd >= 0)
		(void)close(fd);
	return below;
}

int generations_newest(const struct generations *g)
{
	if (g->count == 0)
		return -1;
	return openat(g->dir, g->names[g->count - 1],
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- a new one ----------------------------------------------------------------------------- */

bool generations_begin(const struct generations *g, int64_t now, char name[static GENERATION_SIZE],
		       int *fd, struct trouble *t)
{
	char partial[GENERATION_PARTIAL_SIZE];
	struct err e = { 0 };
	struct stat st;

	for (int i = 0; i < TRIES; i++) {
		name_of(name, now + i);
		if (fstatat(g->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		partial_of(partial, name);
		return files_open_dir(fd, g->dir, partial, true, &e) == ERR_OK ||
		       trouble_err(t, &e, g->path);
	}
	return trouble_local(t, ERR_EXISTS, "%.200s: there is a backup of this time", g->path);
}

bool generations_note(int fd, const char *note, struct trouble *t)
{
	int to = openat(fd, NOTE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (to < 0)
		return trouble_errno(t, NOTE);
	ok = output_bytes(to, NOTE, note, strlen(note), t);
	(void)close(to);
	return ok;
}

static bool point_latest(const struct generations *g, const char *name)
{
	return symlinkat(name, g->dir, NEW_LATEST) == 0 &&
	       renameat(g->dir, NEW_LATEST, g->dir, BACKUP_LATEST) == 0;
}

bool generations_complete(const struct generations *g, const char *name, struct trouble *t)
{
	char partial[GENERATION_PARTIAL_SIZE], note[GENERATION_PARTIAL_SIZE + sizeof(NOTE)];

	partial_of(partial, name);
	(void)snprintf(note, sizeof(note), "%s/" NOTE, partial);
	if (unlinkat(g->dir, note, 0) != 0 && errno != ENOENT)
		return trouble_errno(t, g->path);
	/* synced in between, since `latest` must not come before what it leads to */
	return (renameat(g->dir, partial, g->dir, name) == 0 && fsync(g->dir) == 0 &&
		point_latest(g, name) && fsync(g->dir) == 0) ||
	       trouble_errno(t, g->path);
}

/* Not complete from the first moment on, so that nobody restores what is left of it. */
static bool drop(const struct generations *g, const char *name, struct trouble *t)
{
	char partial[GENERATION_PARTIAL_SIZE];

	partial_of(partial, name);
	return (renameat(g->dir, name, g->dir, partial) == 0 || trouble_errno(t, g->path)) &&
	       remove_one(g, partial, t);
}

bool generations_prune(const struct generations *g, size_t keep, size_t *count, struct trouble *t)
{
	*count = 0;
	while (g->count - *count + 1 > keep && *count < g->count) {
		if (!drop(g, g->names[*count], t))
			return false;
		++*count;
	}
	return true;
}
