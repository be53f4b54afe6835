#include "storage/rocksdb/pack_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLACK (1u << 20) /* more blocks than that beyond its end: it was never sealed */

/* ---- copying ---- */

static bool all_pointed(const struct packs *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->v[i]->sealed && s->v[i]->unpointed > 0)
			return false;
	return true;
}

/* The lock is held. */
static enum err_code link_all(const struct packs *s, int dir, struct err *e)
{
	for (size_t i = 0; i < s->count; i++) {
		char name[PACK_NAME_SIZE];

		pack_name(name, s->v[i]->number);
		if (s->v[i]->sealed && linkat(s->dir, name, dir, name, 0) != 0)
			return pack_failed(e, "link", errno);
	}
	return ERR_OK;
}

enum err_code packs_link(struct packs *s, const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err_code rc;

	if (fd < 0)
		return pack_failed(e, "copy", errno);
	pthread_mutex_lock(&s->lock);
	pack_seal(s);
	while (!all_pointed(s))
		pthread_cond_wait(&s->pointed, &s->lock);
	rc = link_all(s, fd, e);
	pthread_mutex_unlock(&s->lock);
	if (rc == ERR_OK && fsync(fd) != 0)
		rc = pack_failed(e, "copy", errno);
	(void)close(fd);
	return rc;
}

uint64_t packs_bytes(struct packs *s)
{
	return atomic_load(&s->bytes);
}

/* ---- opening ---- */

/* One that is there: whoever wrote it has ended, so it is sealed now if it was not. */
static enum err_code take_over(struct packs *s, const char *name, uint64_t number, struct err *e)
{
	struct stat st;
	struct pack *p;
	int fd;

	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return pack_failed(e, "look at", errno);
	if (!S_ISREG(st.st_mode) || st.st_size > UINT32_MAX)
		return err_set(e, ERR_DAMAGED, "%.40s is no pack", name);
	if (st.st_size == 0) {
		(void)unlinkat(s->dir, name, 0);
		return ERR_OK;
	}
	if ((uint64_t)st.st_blocks * 512 > (uint64_t)st.st_size + SLACK) {
		fd = openat(s->dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0) {
			pack_give_rest_back(fd, (uint64_t)st.st_size);
			(void)close(fd);
		}
	}
	p = pack_add(s, number);
	if (p == NULL)
		return err_set(e, ERR_NOMEM, "a pack");
	p->end = (uint64_t)st.st_size;
	p->sealed = p->named = true;
	atomic_fetch_add(&s->bytes, p->end);
	return ERR_OK;
}

static enum err_code take_over_all(struct packs *s, DIR *d, struct err *e)
{
	enum err_code rc = ERR_OK;
	const struct dirent *f;
	uint64_t number;

	while (rc == ERR_OK && (f = readdir(d)) != NULL)
		if (pack_number(f->d_name, &number))
			rc = take_over(s, f->d_name, number, e);
	return rc;
}

/* Who changes the list need not wait until no loop happens to read: all the others wait for him. */
static void init_table(pthread_rwlock_t *table)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(table, &a);
	pthread_rwlockattr_destroy(&a);
}

enum err_code packs_open(struct packs **out, const char *dir, uint64_t size, uint64_t step,
			 pack_number_fn *number, void *ctx, struct err *e)
{
	struct packs *s = calloc(1, sizeof(*s));
	DIR *d = opendir(dir);
	enum err_code rc;

	if (s == NULL || d == NULL) {
		rc = s == NULL ? err_set(e, ERR_NOMEM, "packs") : pack_failed(e, "look for", errno);
		free(s);
		if (d != NULL)
			(void)closedir(d);
		return rc;
	}
	s->size = size < UINT32_MAX ? size : UINT32_MAX;
	s->step = step;
	s->number = number;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->pointed, NULL);
	init_table(&s->table);
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = s->dir >= 0 ? take_over_all(s, d, e) : pack_failed(e, "look for", errno);
	(void)closedir(d);
	if (rc == ERR_OK)
		*out = s;
	else
		packs_close(s);
	return rc;
}

void packs_close(struct packs *s)
{
	if (s == NULL)
		return;
	pack_seal(s);
	for (size_t i = 0; i < s->count; i++)
		pack_free(s->v[i]);
	if (s->dir >= 0)
		(void)close(s->dir);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->pointed);
	pthread_rwlock_destroy(&s->table);
	free(s->v);
	free(s);
}
