#include "cli/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/folders.h"

#define LOCK "lock"

/* The lock goes last: until then nobody else takes the place. */
static const char *const suffixes[] = { "draft",  "draft.new",  "upload", "upload.new",
					"sealed", "sealed.new", LOCK };
#define SUFFIXES (sizeof(suffixes) / sizeof(*suffixes))

/* ---- names --------------------------------------------------------------------------------- */

/* Each part with its length in front, so that no two lists of parts look alike. */
void state_id_add(struct digester *d, const void *part, size_t size)
{
	uint8_t length[8];

	bytes_put_u64(length, size);
	digest_update(d, (struct bytes){ length, sizeof(length) });
	digest_update(d, (struct bytes){ part, size });
}

void state_id_end(struct digester *d, char out[static STATE_ID_SIZE])
{
	struct digest sum;

	digest_final(d, &sum);
	hex_encode(out, sum.b, sizeof(sum.b));
}

static char *path_of(const char *folder, const char *id, const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s.%s", folder, id, suffix) < 0 ? NULL : path;
}

char *state_path(const struct state *s, const char *suffix)
{
	return path_of(s->folder, s->id, suffix);
}

/* ---- locks --------------------------------------------------------------------------------- */

/* Whether the descriptor is still what the path leads to: who had it may have removed it. */
static bool same_file(int fd, const char *path)
{
	struct stat mine, theirs;

	return fstat(fd, &mine) == 0 && stat(path, &theirs) == 0 && mine.st_dev == theirs.st_dev &&
	       mine.st_ino == theirs.st_ino;
}

/* A locked descriptor; -1: errno, EWOULDBLOCK if another has it. Tried again only if the file was
 * removed meanwhile. */
static int lock(const char *path)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			int cause = errno;

			(void)close(fd);
			errno = cause;
			return -1;
		}
		if (same_file(fd, path)) {
			(void)futimens(fd, NULL); /* its time is that of the latest attempt */
			return fd;
		}
		(void)close(fd);
	}
}

static void remove_all(const char *folder, const char *id)
{
	for (size_t i = 0; i < SUFFIXES; i++) {
		char *path = path_of(folder, id, suffixes[i]);

		if (path != NULL)
			(void)unlink(path);
		free(path);
	}
}

/* ---- leftovers ----------------------------------------------------------------------------- */

static bool is_lock(const char *name)
{
	return strspn(name, "0123456789abcdef") == STATE_ID_SIZE - 1 &&
	       strcmp(name + STATE_ID_SIZE - 1, "." LOCK) == 0;
}

static bool is_old(int folder, const char *name, int64_t now)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtime < now - STATE_KEEP_S;
}

static void sweep_one(const char *folder, const char *name)
{
	char id[STATE_ID_SIZE] = "";
	char *path;
	int fd;

	memcpy(id, name, sizeof(id) - 1);
	path = path_of(folder, id, LOCK);
	fd = path != NULL ? lock(path) : -1; /* not if somebody works on it */
	if (fd >= 0) {
		remove_all(folder, id);
		(void)close(fd);
	}
	free(path);
}

static void sweep(const char *folder, int64_t now)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (is_lock(entry->d_name) && is_old(dirfd(dir), entry->d_name, now))
			sweep_one(folder, entry->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* ---- interface ----------------------------------------------------------------------------- */

static bool is_there(const struct state *s, const char *suffix)
{
	char *path = state_path(s, suffix);
	bool there = path != NULL && access(path, F_OK) == 0;

	free(path);
	return there;
}

static bool has_something(const struct state *s)
{
	return is_there(s, "upload") || is_there(s, "draft");
}

bool state_open(struct state *s, const char *id, int64_t now, struct trouble *t)
{
	char *path;

	*s = (struct state){ .lock = -1 };
	(void)snprintf(s->id, sizeof(s->id), "%s", id);
	s->folder = folders_state(t);
	if (s->folder == NULL)
		return false;
	sweep(s->folder, now);
	path = state_path(s, LOCK);
	if (path == NULL)
		return trouble_local(t, ERR_NOMEM, "out of memory");
	s->lock = lock(path);
	if (s->lock < 0 && errno == EWOULDBLOCK)
		(void)trouble_local(t, ERR_BUSY,
				    "another restante is sending this file in the "
				    "same way just now");
	else if (s->lock < 0)
		(void)trouble_errno(t, path);
	free(path);
	s->keep = s->lock >= 0 && has_something(s);
	return s->lock >= 0;
}

void state_close(struct state *s)
{
	if (s->lock >= 0) {
		if (!s->keep || !has_something(s)) /* a lock alone is nothing to come back to */
			remove_all(s->folder, s->id);
		(void)close(s->lock);
	}
	free(s->folder);
	*s = (struct state){ .lock = -1 };
}
