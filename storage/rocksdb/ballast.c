/* ballast - room that uploads do not get, so that a full disk can be emptied: dropping writes too.
 * Below a floor no upload gets any more. Where somebody else fills the disk to the last byte,
 * RocksDB takes no write, not even a deletion, before it could write down what it has in memory;
 * for that there is a file that keeps room which nobody uses, the ballast. The first drop that
 * meets a full disk throws it off. */
#include "storage/rocksdb/rdb.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* RocksDB looks for room every 5 s, and then writes for a while. */
#define BALLAST_WAIT_MS 15000
#define BALLAST_LOOK_MS 50

/* On a disk that is smaller than so many of it there is none. */
#define BALLAST_SHARE 4

static bool is_whole(const char *path, uint64_t size)
{
	struct stat st;

	return stat(path, &st) == 0 && (uint64_t)st.st_size == size &&
	       (uint64_t)st.st_blocks * 512 >= size;
}

static bool is_above_floor(const struct rdb *r, const struct statvfs *fs)
{
	return (uint64_t)fs->f_bavail * fs->f_frsize >= 2 * r->ballast_size;
}

/* Not by writing: where room cannot be set aside, there is none. */
static enum ballast make_file(const struct rdb *r)
{
	enum ballast made = BALLAST_THROWN;
	struct statvfs fs;
	int fd = open(r->ballast, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fstatvfs(fd, &fs) != 0)
		goto out;
	if ((uint64_t)fs.f_blocks * fs.f_frsize < BALLAST_SHARE * r->ballast_size)
		made = BALLAST_NONE;
	else if (!is_above_floor(r, &fs))
		made = BALLAST_THROWN;
	else if (fallocate(fd, 0, 0, (off_t)r->ballast_size) == 0)
		made = BALLAST_KEPT;
	else if (errno != ENOSPC && errno != EDQUOT)
		made = BALLAST_NONE;
out:
	if (fd >= 0)
		(void)close(fd);
	if (made != BALLAST_KEPT)
		(void)unlink(r->ballast);
	return made;
}

/* ballast_lock is held. */
static bool is_needed(const struct rdb *r)
{
	return r->thrown_ms != 0 && clock_mono_ms() - r->thrown_ms <= BALLAST_WAIT_MS;
}

void ballast_tend(struct rdb *r)
{
	pthread_mutex_lock(&r->ballast_lock);
	if (atomic_load(&r->ballast_state) != BALLAST_KEPT && !is_needed(r))
		atomic_store(&r->ballast_state, make_file(r));
	pthread_mutex_unlock(&r->ballast_lock);
}

void ballast_open(struct rdb *r)
{
	if (is_whole(r->ballast, r->ballast_size))
		atomic_store(&r->ballast_state, BALLAST_KEPT);
	else
		ballast_tend(r);
}

bool ballast_throw(struct rdb *r)
{
	bool thrown;

	pthread_mutex_lock(&r->ballast_lock);
	thrown = atomic_load(&r->ballast_state) == BALLAST_KEPT;
	if (thrown) {
		(void)unlink(r->ballast);
		r->thrown_ms = clock_mono_ms();
		atomic_store(&r->ballast_state, BALLAST_THROWN);
	}
	pthread_mutex_unlock(&r->ballast_lock);
	return thrown;
}

bool ballast_wait(struct rdb *r)
{
	const struct timespec nap = { .tv_nsec = BALLAST_LOOK_MS * 1000000L };
	bool needed;

	pthread_mutex_lock(&r->ballast_lock);
	needed = is_needed(r);
	pthread_mutex_unlock(&r->ballast_lock);
	if (!needed || atomic_load(&r->hurry))
		return false;
	(void)nanosleep(&nap, NULL);
	return true;
}

enum err_code ballast_check(struct rdb *r, struct err *e)
{
	const enum ballast state = atomic_load_explicit(&r->ballast_state, memory_order_relaxed);
	struct statvfs fs;

	if (state == BALLAST_NONE ||
	    (state == BALLAST_KEPT && statvfs(r->dir, &fs) == 0 && is_above_floor(r, &fs)))
		return ERR_OK;
	return err_set(e, ERR_FULL, "the disk is full: what room there is is for dropping");
}
