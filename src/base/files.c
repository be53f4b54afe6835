#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)8 << 20)
#define BUFFER ((size_t)64 << 10)
#define DEPTH_MAX 16

static enum err_code failed(const char *what, const char *name, struct err *e)
{
	enum err_code code = errno == ENOENT                      ? ERR_NOTFOUND
			     : errno == EEXIST                    ? ERR_EXISTS
			     : errno == ENOSPC || errno == EDQUOT ? ERR_FULL
								  : ERR_IO;

	return err_set(e, code, "%s %.80s: %s", what, name, strerror(errno));
}

/* ---- copying ------------------------------------------------------------------------------- */

/* Where the kernel cannot copy from the one to the other. */
static ssize_t copy_by_hand(int from, int to)
{
	char buffer[BUFFER];
	ssize_t n = read(from, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < n;) {
		ssize_t k = write(to, buffer + at, (size_t)(n - at));

		if (k < 0 && errno != EINTR)
			return -1;
		at += k > 0 ? k : 0;
	}
	return n;
}

static ssize_t copy_piece(int from, int to, bool *by_hand)
{
	ssize_t n = -1;

	if (!*by_hand) {
		n = copy_file_range(from, NULL, to, NULL, PIECE, 0);
		/* of some file systems in the kernel it says 0 although there is more */
		*by_hand = n == 0 || (n < 0 && (errno == EXDEV || errno == ENOSYS ||
						errno == EINVAL || errno == EOPNOTSUPP));
	}
	return *by_hand ? copy_by_hand(from, to) : n;
}

static enum err_code copy_bytes(int from, int to, const char *name, files_go_on_fn *go_on,
				struct err *e)
{
	bool by_hand = false;

	for (;;) {
		ssize_t n = copy_piece(from, to, &by_hand);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed("copy", name, e);
		if (n == 0)
			return ERR_OK;
		if (go_on != NULL && !go_on())
			return err_set(e, ERR_BUSY, "broken off");
	}
}

static enum err_code copy_whole(int from, int to, const struct stat *st, const char *name,
				files_go_on_fn *go_on, struct err *e)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	struct stat copy;
	enum err_code rc = copy_bytes(from, to, name, go_on, e);

	if (rc != ERR_OK)
		return rc;
	if (futimens(to, times) != 0 || fsync(to) != 0 || fstat(to, &copy) != 0)
		return failed("write", name, e);
	if (copy.st_size != st->st_size)
		return err_set(e, ERR_IO, "%.80s: it changed while it was copied", name);
	return ERR_OK;
}

enum err_code files_open(int *out, int dir, const char *name, struct err *e)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(e, ERR_INVALID, "%.80s is no regular file", name);
	if (fd < 0)
		return failed("open", name, e);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return err_set(e, ERR_INVALID, "%.80s is no regular file", name);
	}
	*out = fd;
	return ERR_OK;
}

enum err_code files_copy_open(int from, int to_dir, const char *name, uint64_t *size,
			      files_go_on_fn *go_on, struct err *e)
{
	struct stat st;
	enum err_code rc;
	int to;

	if (fstat(from, &st) != 0)
		return failed("look at", name, e);
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return failed("create", name, e);
	rc = copy_whole(from, to, &st, name, go_on, e);
	(void)close(to);
	if (rc == ERR_OK)
		*size = (uint64_t)st.st_size;
	else
		(void)unlinkat(to_dir, name, 0);
	return rc;
}

enum err_code files_copy(int from_dir, int to_dir, const char *name, uint64_t *size,
			 files_go_on_fn *go_on, struct err *e)
{
	int from = -1;
	enum err_code rc = files_open(&from, from_dir, name, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_copy_open(from, to_dir, name, size, go_on, e);
	(void)close(from);
	return rc;
}

/* ---- folders ------------------------------------------------------------------------------- */

enum err_code files_open_dir(int *out, int dir, const char *name, bool make, struct err *e)
{
	/* what is given as a path by a person may lead over a link; what is found in a folder not
	 */
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (dir == AT_FDCWD ? 0 : O_NOFOLLOW);
	int fd;

	if (make && mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
		return failed("make", name, e);
	fd = openat(dir, name, flags);
	if (fd < 0)
		return failed("open", name, e);
	*out = fd;
	return ERR_OK;
}

enum err_code files_list(DIR **out, int dir, struct err *e)
{
	/* of its own, so that its place in the list is its own */
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

	if (list == NULL) {
		(void)failed("list", "a folder", e);
		if (fd >= 0)
			(void)close(fd);
		return ERR_IO;
	}
	*out = list;
	return ERR_OK;
}

enum err_code files_next(const char **name, DIR *list, struct err *e)
{
	const struct dirent *d;

	do {
		errno = 0; /* NULL is an end, or a failure */
		d = readdir(list);
	} while (d != NULL && (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0));
	if (d == NULL && errno != 0)
		return err_set(e, ERR_IO, "list a folder: %s", strerror(errno));
	*name = d != NULL ? d->d_name : NULL;
	return ERR_OK;
}

void backup_note_store(const char *name, bool *current, bool *manifest)
{
	if (strcmp(name, "CURRENT") == 0)
		*current = true;
	else if (strncmp(name, "MANIFEST-", 9) == 0)
		*manifest = true;
}

enum err_code files_sync_dir(int dir, struct err *e)
{
	return fsync(dir) == 0 ? ERR_OK : failed("sync", "the folder", e);
}

static enum err_code empty(int fd, unsigned depth, struct err *e);

static enum err_code remove_at(int dir, const char *name, unsigned depth, struct err *e)
{
	enum err_code rc;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return ERR_OK;
	if (errno != EISDIR && errno != EPERM)
		return failed("remove", name, e);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || depth == DEPTH_MAX) {
		rc = failed("remove", name, e);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	rc = empty(fd, depth, e);
	(void)close(fd);
	if (rc == ERR_OK && unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = failed("remove", name, e);
	return rc;
}

static enum err_code empty(int fd, unsigned depth, struct err *e)
{
	DIR *list = NULL;
	const char *name = NULL;
	enum err_code rc = files_list(&list, fd, e);

	if (rc != ERR_OK)
		return rc;
	while ((rc = files_next(&name, list, e)) == ERR_OK && name != NULL) {
		rc = remove_at(fd, name, depth + 1, e);
		if (rc != ERR_OK)
			break;
	}
	(void)closedir(list);
	return rc;
}

enum err_code files_remove(int dir, const char *name, struct err *e)
{
	return remove_at(dir, name, 0, e);
}
