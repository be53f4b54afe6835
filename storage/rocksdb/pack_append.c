#include "storage/rocksdb/pack_inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- sealing; the lock is held ---- */

void pack_give_rest_back(int fd, uint64_t end)
{
	int rc = ftruncate(fd, (off_t)end);

	(void)rc;
}

void pack_seal(struct packs *s)
{
	struct pack *p = s->current;

	if (p == NULL)
		return;
	pack_give_rest_back(p->fd, p->end);
	p->sealed = true;
	s->current = NULL;
	if (p->end == 0)
		pack_remove_at(s, pack_place_in_list(s, p->number));
	pack_leave(s, p);
}

/* ---- appending ---- */

static enum err_code make(struct packs *s, struct err *e)
{
	char name[PACK_NAME_SIZE];
	struct pack *p;
	uint64_t number;
	enum err_code rc;
	int fd;

	/* a snapshot may have packs that are newer than its records, which know no such number */
	do {
		rc = s->number(s->ctx, &number, e);
		if (rc != ERR_OK)
			return rc;
		pack_name(name, number);
		fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		return pack_failed(e, "make", errno);
	p = pack_add(s, number);
	if (p == NULL) {
		(void)close(fd);
		(void)unlinkat(s->dir, name, 0);
		return err_set(e, ERR_NOMEM, "a pack");
	}
	pack_set_fd(s, p, fd);
	p->refs = 1; /* as the current one */
	s->current = p;
	return ERR_OK;
}

static int set_aside_some(struct pack *p, uint64_t n)
{
	if (fallocate(p->fd, FALLOC_FL_KEEP_SIZE, (off_t)p->allocated, (off_t)n) != 0)
		return errno;
	p->allocated += n;
	return 0;
}

/* Room on the disk, so that it runs out here and not amid a write: a good deal at a time, less
 * where there is no more. Where room cannot be set aside, the write tells. */
static enum err_code set_aside(const struct packs *s, struct pack *p, uint64_t upto, struct err *e)
{
	const uint64_t least = upto - p->allocated;
	const uint64_t tries[] = { s->step, s->step / 8, least };
	int error = 0;

	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		error = set_aside_some(p, tries[i] > least ? tries[i] : least);
		if (error != ENOSPC && error != EDQUOT)
			return ERR_OK;
	}
	return pack_failed(e, "extend", error);
}

static bool is_broken(struct pack *p)
{
	bool broken;

	pthread_mutex_lock(&p->sync_lock);
	broken = p->broken != 0;
	pthread_mutex_unlock(&p->sync_lock);
	return broken;
}

/* A range of the current pack, which is the hold's on return. The lock is held. */
static enum err_code reserve(struct packs *s, uint32_t n, struct pack **out, uint64_t *at,
			     struct err *e)
{
	enum err_code rc = ERR_OK;

	if (s->current != NULL && (s->current->end + n > s->size || is_broken(s->current)))
		pack_seal(s);
	if (s->current == NULL)
		rc = make(s, e);
	if (rc == ERR_OK && s->current->end + n > s->current->allocated)
		rc = set_aside(s, s->current, s->current->end + n, e);
	if (rc != ERR_OK)
		return rc;
	*out = s->current;
	*at = s->current->end;
	s->current->end += n;
	s->current->unpointed++;
	pack_use(s, s->current);
	atomic_fetch_add(&s->bytes, n);
	return ERR_OK;
}

static int write_all(int fd, struct bytes data, uint64_t at)
{
	while (data.len > 0) {
		ssize_t n = pwrite(fd, data.data, data.len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		data.data += n;
		data.len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static void take_hold(struct packs *s, struct pack_hold *h, struct pack *p)
{
	if (h->pack == p) { /* it has one already */
		pthread_mutex_lock(&s->lock);
		pack_leave(s, p);
		pthread_mutex_unlock(&s->lock);
	}
	h->pack = p;
	h->unpointed++;
}

enum err_code packs_append(struct packs *s, struct pack_hold *h, struct bytes data,
			   struct pack_place *out, struct err *e)
{
	struct pack *p = NULL;
	uint64_t at = 0;
	enum err_code rc;
	int error;

	pthread_mutex_lock(&s->lock);
	rc = reserve(s, (uint32_t)data.len, &p, &at, e);
	pthread_mutex_unlock(&s->lock);
	if (rc != ERR_OK)
		return rc;
	if (h->pack != NULL && h->pack != p) {
		struct pack_hold other = { .pack = p, .unpointed = 1 };

		assert(h->unpointed == 0);
		rc = packs_durable(s, h, e);
		if (rc != ERR_OK) {
			packs_release(s, &other);
			return rc;
		}
		packs_release(s, h);
	}
	take_hold(s, h, p);
	error = write_all(p->fd, data, at);
	if (error != 0)
		return pack_failed(e, "write", error);
	pthread_mutex_lock(&p->sync_lock);
	h->ticket = ++p->written;
	pthread_mutex_unlock(&p->sync_lock);
	*out = (struct pack_place){ p->number, (uint32_t)at, (uint32_t)data.len };
	return ERR_OK;
}

/* ---- making durable ---- */

static int sync_file(const struct packs *s, const struct pack *p, bool named)
{
	if (fdatasync(p->fd) != 0)
		return errno;
	return named || fsync(s->dir) == 0 ? 0 : errno;
}

/* One sync for all that is written by now. sync_lock is held, and for the sync itself let go. */
static void sync_now(const struct packs *s, struct pack *p)
{
	const uint64_t upto = p->written;
	const bool named = p->named;
	int error;

	p->syncing = true;
	pthread_mutex_unlock(&p->sync_lock);
	error = sync_file(s, p, named);
	pthread_mutex_lock(&p->sync_lock);
	p->syncing = false;
	if (error != 0 && p->broken == 0)
		p->broken = error;
	if (p->broken == 0) {
		p->synced = upto;
		p->named = true;
	}
	pthread_cond_broadcast(&p->sync_ended);
}

enum err_code packs_durable(struct packs *s, struct pack_hold *h, struct err *e)
{
	struct pack *p = h->pack;
	int error;

	if (p == NULL)
		return ERR_OK;
	pthread_mutex_lock(&p->sync_lock);
	while (p->synced < h->ticket && p->broken == 0)
		if (p->syncing)
			pthread_cond_wait(&p->sync_ended, &p->sync_lock);
		else
			sync_now(s, p);
	error = p->synced < h->ticket ? p->broken : 0;
	pthread_mutex_unlock(&p->sync_lock);
	return error != 0 ? pack_failed(e, "sync", error) : ERR_OK;
}

/* The lock is held. */
static void point(struct packs *s, struct pack_hold *h)
{
	h->pack->unpointed -= h->unpointed;
	h->unpointed = 0;
	if (h->pack->unpointed == 0)
		pthread_cond_broadcast(&s->pointed);
}

void packs_pointed(struct packs *s, struct pack_hold *h)
{
	if (h->unpointed == 0)
		return;
	pthread_mutex_lock(&s->lock);
	point(s, h);
	pthread_mutex_unlock(&s->lock);
}

void packs_release(struct packs *s, struct pack_hold *h)
{
	if (h->pack == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	if (h->unpointed > 0)
		point(s, h);
	pack_leave(s, h->pack);
	pthread_mutex_unlock(&s->lock);
	*h = (struct pack_hold){ .pack = NULL };
}
