#include "storage/rocksdb/pack_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* The lock is held. */
static enum err_code open_to_read(struct packs *s, struct pack *p, struct err *e)
{
	char name[PACK_NAME_SIZE];

	if (p->fd >= 0)
		return ERR_OK;
	pack_name(name, p->number);
	pack_set_fd(s, p, openat(s->dir, name, O_RDONLY | O_CLOEXEC));
	return p->fd >= 0 ? ERR_OK : pack_failed(e, "open", errno);
}

static enum err_code take_to_read(struct packs *s, uint64_t number, struct pack **out,
				  struct err *e)
{
	struct pack *p = pack_find(s, number);
	enum err_code rc;

	if (p == NULL)
		return err_set(e, ERR_NOTFOUND, "no such pack");
	pack_use(s, p);
	rc = open_to_read(s, p, e);
	if (rc == ERR_OK)
		*out = p;
	else
		pack_leave(s, p);
	return rc;
}

static enum err_code read_all(int fd, const struct pack_place *at, uint8_t *out, struct err *e)
{
	uint32_t done = 0;

	while (done < at->length) {
		ssize_t n = pread(fd, out + done, at->length - done, (off_t)at->at + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pack_failed(e, "read", errno);
		if (n == 0)
			return err_set(e, ERR_DAMAGED, "a pack is shorter than it was");
		done += (uint32_t)n;
	}
	return ERR_OK;
}

enum err_code packs_read(struct packs *s, const struct pack_place *at, uint8_t *out, struct err *e)
{
	struct pack *p = NULL;
	enum err_code rc;

	pthread_mutex_lock(&s->lock);
	rc = take_to_read(s, at->pack, &p, e);
	pthread_mutex_unlock(&s->lock);
	if (rc != ERR_OK)
		return rc;
	rc = read_all(p->fd, at, out, e);
	pthread_mutex_lock(&s->lock);
	pack_leave(s, p);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static bool copy_now(const struct packs *s, const struct pack_place *at, uint8_t *out)
{
	const struct pack *p = pack_find(s, at->pack);
	struct iovec v = { out, at->length };

	return p != NULL && p->fd >= 0 &&
	       preadv2(p->fd, &v, 1, (off_t)at->at, RWF_NOWAIT) == (ssize_t)at->length;
}

bool packs_read_now(struct packs *s, const struct pack_place *at, uint8_t *out)
{
	bool done;

	if (pthread_rwlock_tryrdlock(&s->table) != 0)
		return false;
	done = copy_now(s, at, out);
	pthread_rwlock_unlock(&s->table);
	return done;
}
