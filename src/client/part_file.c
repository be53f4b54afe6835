#include "client/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "base/digest.h"
#include "base/text.h"
#include "client/fail.h"

#define MARK_BYTES 4
#define SUFFIX ".part"
#define MODE_NEW 0666
#define OPEN_TRIES 5

struct part_file {
	int dir, fd;
	char *target;            /* its name in dir */
	char name[NAME_MAX + 1]; /* the part's */
	uint64_t size;
	bool settled; /* nothing to tidy up: it has its name, or it was never ours */
};

/* ---- failures -------------------------------------------------------------------------------- */

static enum restante_code fail_io(const struct part_file *p, const char *what,
				  struct restante_error *e)
{
	const int error = errno;

	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return fail(
			e, RESTANTE_IO,
			"no room to write %.120s: what has come is kept; make room and try again",
			p->target);
	return fail(e, RESTANTE_IO, "cannot %s %.120s: %s", what, p->target, strerror(error));
}

/* ---- names ----------------------------------------------------------------------------------- */

/* What key and token are of is not to be seen in the name: their digest's first bytes. */
static void draw_mark(char out[static HEX_LEN(MARK_BYTES) + 1],
		      const uint8_t key[static RESTANTE_KEY_SIZE], const char *token)
{
	struct digester d;
	struct digest sum;

	digest_init(&d);
	digest_update(&d, (struct bytes){ key, RESTANTE_KEY_SIZE });
	digest_update(&d, (struct bytes){ (const uint8_t *)token, strlen(token) });
	digest_final(&d, &sum);
	hex_encode(out, sum.b, MARK_BYTES);
	sodium_memzero(&sum, sizeof(sum));
}

/* A long name is cut so that the part's fits. */
static void name_part(struct part_file *p, const uint8_t key[static RESTANTE_KEY_SIZE],
		      const char *token)
{
	char mark[HEX_LEN(MARK_BYTES) + 1];
	const int room = NAME_MAX - (int)(sizeof("..") - 1 + sizeof(mark) - 1 + sizeof(SUFFIX) - 1);

	draw_mark(mark, key, token);
	(void)snprintf(p->name, sizeof(p->name), ".%.*s.%s" SUFFIX, room, p->target, mark);
}

static enum restante_code open_folder(struct part_file *p, const char *path,
				      struct restante_error *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);

	p->target = strdup(name);
	if (p->target == NULL || folder == NULL) {
		free(folder);
		return fail_plain(e, RESTANTE_NOMEM);
	}
	p->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (p->dir < 0)
		return fail_io(p, "open the folder of", e);
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fail(e, RESTANTE_IO, "that is a folder, and a file's name is needed");
	return RESTANTE_OK;
}

/* Only plain files are replaced: not what stands for a terminal, a disk or a pipe. */
static enum restante_code check_target(const struct part_file *p, struct restante_error *e)
{
	struct stat st;

	if (fstatat(p->dir, p->target, &st, 0) == 0 && !S_ISREG(st.st_mode))
		return fail(e, RESTANTE_IO, "%.120s is no plain file", p->target);
	return RESTANTE_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whoever had the lock before may just have given the file its name, or removed it. */
static bool is_still_there(const struct part_file *p, const struct stat *open_one)
{
	struct stat st;

	return fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       is_same_file(&st, open_one);
}

/* In a folder that others write to as well, somebody may have put something there. */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink == 1;
}

static bool is_from_before_start(const struct stat *st)
{
	struct timespec now, up;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
		return false;
	return st->st_mtim.tv_sec < now.tv_sec - up.tv_sec;
}

/* Opens and locks it; *again if that has to be repeated. */
static enum restante_code open_once(struct part_file *p, bool *again, struct restante_error *e)
{
	struct stat st;

	*again = false;
	p->fd = openat(p->dir, p->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		       0600);
	if (p->fd < 0 && errno == ELOOP)
		return fail(e, RESTANTE_IO, "something is in the way at %.120s", p->name);
	if (p->fd < 0 || fstat(p->fd, &st) != 0)
		return fail_io(p, "begin", e);
	if (flock(p->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? fail(e, RESTANTE_MISUSE,
						   "another process is fetching %.120s", p->target)
					    : fail_io(p, "lock the part of", e);
	if (!is_still_there(p, &st)) {
		(void)close(p->fd);
		p->fd = -1;
		*again = true;
		return RESTANTE_OK;
	}
	/* as it is under the lock */
	if (fstat(p->fd, &st) != 0 || !is_ours(&st))
		return fail(e, RESTANTE_IO, "something is in the way at %.120s", p->name);
	p->size = is_from_before_start(&st) ? 0 : (uint64_t)st.st_size;
	return fchmod(p->fd, 0600) == 0 ? RESTANTE_OK : fail_io(p, "begin", e);
}

static enum restante_code open_part(struct part_file *p, struct restante_error *e)
{
	enum restante_code rc;
	bool again = true;

	for (int i = 0; i < OPEN_TRIES && again; i++) {
		rc = open_once(p, &again, e);
		if (rc != RESTANTE_OK)
			return rc;
	}
	if (again)
		return fail(e, RESTANTE_MISUSE, "another process is fetching %.120s", p->target);
	return part_cut(p, p->size, e);
}

enum restante_code part_open(struct part_file **out, const char *path,
			     const uint8_t key[static RESTANTE_KEY_SIZE], const char *token,
			     struct restante_error *e)
{
	struct part_file *p = calloc(1, sizeof(*p));
	enum restante_code rc;

	if (p == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	p->dir = p->fd = -1;
	rc = open_folder(p, path, e);
	if (rc == RESTANTE_OK)
		rc = check_target(p, e);
	if (rc != RESTANTE_OK)
		goto out;
	name_part(p, key, token);
	rc = open_part(p, e);
	if (rc != RESTANTE_OK)
		goto out;
	*out = p;
	p = NULL;
out:
	if (p != NULL)
		p->settled = true;
	part_close(p, true);
	return rc;
}

void part_close(struct part_file *p, bool keep)
{
	if (p == NULL)
		return;
	if (!p->settled && p->fd >= 0 && (!keep || p->size == 0))
		(void)unlinkat(p->dir, p->name, 0);
	if (p->fd >= 0)
		(void)close(p->fd);
	if (p->dir >= 0)
		(void)close(p->dir);
	free(p->target);
	free(p);
}

/* ---- writing --------------------------------------------------------------------------------- */

uint64_t part_have(const struct part_file *p)
{
	return p->size;
}

enum restante_code part_cut(struct part_file *p, uint64_t size, struct restante_error *e)
{
	if (ftruncate(p->fd, (off_t)size) != 0)
		return fail_io(p, "write", e);
	p->size = size;
	return RESTANTE_OK;
}

enum restante_code part_write(struct part_file *p, struct bytes data, struct restante_error *e)
{
	while (data.len > 0) {
		const ssize_t n = pwrite(p->fd, data.data, data.len, (off_t)p->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_io(p, "write", e);
		p->size += (uint64_t)n;
		data.data += n;
		data.len -= (size_t)n;
	}
	return RESTANTE_OK;
}

/* The mode of new files. umask() could only be asked by changing it, for all threads. */
static mode_t new_mode(void)
{
	char line[128];
	unsigned mask = 077;
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Umask:", 6) == 0)
			mask = (unsigned)strtoul(line + 6, NULL, 8);
	if (f != NULL)
		(void)fclose(f);
	return MODE_NEW & ~mask;
}

enum restante_code part_finish(struct part_file *p, struct restante_error *e)
{
	if (fchmod(p->fd, new_mode()) != 0 || fsync(p->fd) != 0)
		return fail_io(p, "write", e);
	if (renameat(p->dir, p->name, p->dir, p->target) != 0)
		return fail_io(p, "rename the part to", e);
	p->settled = true;
	/* not every file system knows how */
	return fsync(p->dir) == 0 || errno == EINVAL ? RESTANTE_OK : fail_io(p, "keep", e);
}
