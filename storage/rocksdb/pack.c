#include "storage/rocksdb/pack.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SUFFIX ".pack"
#define OPEN_MAX_IDLE 256 /* files kept open that nobody uses */
#define SLACK (1u << 20)  /* more blocks than that beyond its end: it was never sealed */

struct pack {
	uint64_t number;
	int fd;             /* -1: not open. By the lock of all, like what follows */
	uint64_t end;       /* bytes that are given out */
	uint64_t allocated; /* set aside on the disk, at least */
	unsigned refs;      /* who has it in use */
	unsigned unpointed; /* appends that no pointer tells of yet */
	bool sealed;        /* nothing more is appended */
	bool removed;       /* from the folder */
	bool looked_at;     /* being collected: sealed when that began, */
	bool counted, going;
	bool kept;      /* not all of it can be read: what is alive stays where it is */
	uint64_t alive; /* bytes found so */
	pthread_mutex_t sync_lock;
	pthread_cond_t sync_ended;
	uint64_t written, synced; /* appends that are in the file; that are durable */
	bool syncing;
	bool named; /* its name is durable: whoever syncs sees to it */
	int broken; /* errno of a sync that failed: nobody knows what the disk has */
};

struct packs {
	int dir;
	uint64_t size, step;
	pack_number_fn *number;
	void *ctx;
	pthread_mutex_t lock; /* may be held while a disk works */
	pthread_cond_t pointed;
	/* Held as well by who changes the list below or any fd, and never while a disk works: by it
	 * alone packs_read_now() looks, and copies what it finds. */
	pthread_rwlock_t table;
	struct pack **v; /* by number */
	size_t count, room;
	struct pack *current; /* NULL: the next append makes one */
	size_t idle_open, hand;
	atomic_uint_fast64_t bytes;
};

static enum err_code failed(struct err *e, const char *what, int error)
{
	return err_set(e, error == ENOSPC || error == EDQUOT ? ERR_FULL : ERR_IO, "%s a pack: %s",
		       what, strerror(error));
}

#define NAME_SIZE 32
static void name_of(char out[static NAME_SIZE], uint64_t number)
{
	(void)snprintf(out, NAME_SIZE, "%06" PRIu64 SUFFIX, number);
}

static bool number_of(const char *name, uint64_t *out)
{
	char again[NAME_SIZE];

	*out = strtoull(name, NULL, 10);
	name_of(again, *out);
	return strcmp(name, again) == 0;
}

/* ---- the list; the lock is held ---- */

static size_t place_in_list(const struct packs *s, uint64_t number)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->v[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct pack *find(const struct packs *s, uint64_t number)
{
	size_t i = place_in_list(s, number);

	return i < s->count && s->v[i]->number == number ? s->v[i] : NULL;
}

static bool make_room(struct packs *s)
{
	const size_t room = s->room > 0 ? 2 * s->room : 16;
	struct pack **v;

	if (s->count < s->room)
		return true;
	v = realloc(s->v, room * sizeof(struct pack *));
	if (v == NULL)
		return false;
	s->v = v;
	s->room = room;
	return true;
}

static bool enlist(struct packs *s, struct pack *p)
{
	const size_t at = place_in_list(s, p->number);
	bool done;

	pthread_rwlock_wrlock(&s->table);
	done = make_room(s);
	if (done) {
		memmove(&s->v[at + 1], &s->v[at], (s->count - at) * sizeof(struct pack *));
		s->v[at] = p;
		s->count++;
	}
	pthread_rwlock_unlock(&s->table);
	return done;
}

static void strike(struct packs *s, size_t i)
{
	pthread_rwlock_wrlock(&s->table);
	memmove(&s->v[i], &s->v[i + 1], (s->count - i - 1) * sizeof(struct pack *));
	s->count--;
	pthread_rwlock_unlock(&s->table);
}

static void set_fd(struct packs *s, struct pack *p, int fd)
{
	pthread_rwlock_wrlock(&s->table);
	p->fd = fd;
	pthread_rwlock_unlock(&s->table);
}

static struct pack *add(struct packs *s, uint64_t number)
{
	struct pack *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->number = number;
	p->fd = -1;
	if (!enlist(s, p)) {
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->sync_lock, NULL);
	pthread_cond_init(&p->sync_ended, NULL);
	return p;
}

static void pack_free(struct pack *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	pthread_mutex_destroy(&p->sync_lock);
	pthread_cond_destroy(&p->sync_ended);
	free(p);
}

/* Its file goes with the last who has it open. */
static void remove_at(struct packs *s, size_t i)
{
	struct pack *p = s->v[i];
	char name[NAME_SIZE];

	name_of(name, p->number);
	(void)unlinkat(s->dir, name, 0);
	atomic_fetch_sub(&s->bytes, p->end);
	strike(s, i);
	p->removed = true;
	if (p->refs > 0)
		return;
	if (p->fd >= 0)
		s->idle_open--;
	pack_free(p);
}

static void close_some_idle(struct packs *s)
{
	for (size_t n = 0; n < s->count && s->idle_open > OPEN_MAX_IDLE; n++) {
		struct pack *p = s->v[s->hand++ % s->count];
		const int fd = p->fd;

		if (p->refs > 0 || fd < 0)
			continue;
		set_fd(s, p, -1);
		(void)close(fd);
		s->idle_open--;
	}
}

static void use(struct packs *s, struct pack *p)
{
	if (p->refs++ == 0 && p->fd >= 0)
		s->idle_open--;
}

static void leave(struct packs *s, struct pack *p)
{
	if (--p->refs > 0)
		return;
	if (p->removed) {
		pack_free(p);
		return;
	}
	if (p->fd < 0)
		return;
	s->idle_open++;
	close_some_idle(s);
}

/* ---- sealing; the lock is held ---- */

/* What was set aside beyond its end. If that fails, the next opening does it. */
static void give_rest_back(int fd, uint64_t end)
{
	int rc = ftruncate(fd, (off_t)end);

	(void)rc;
}

/* It keeps its length from here on. */
static void seal(struct packs *s)
{
	struct pack *p = s->current;

	if (p == NULL)
		return;
	give_rest_back(p->fd, p->end);
	p->sealed = true;
	s->current = NULL;
	if (p->end == 0)
		remove_at(s, place_in_list(s, p->number));
	leave(s, p);
}

/* ---- appending ---- */

static enum err_code make(struct packs *s, struct err *e)
{
	char name[NAME_SIZE];
	struct pack *p;
	uint64_t number;
	enum err_code rc;
	int fd;

	/* a snapshot may have packs that are newer than its records, which know no such number */
	do {
		rc = s->number(s->ctx, &number, e);
		if (rc != ERR_OK)
			return rc;
		name_of(name, number);
		fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		return failed(e, "make", errno);
	p = add(s, number);
	if (p == NULL) {
		(void)close(fd);
		(void)unlinkat(s->dir, name, 0);
		return err_set(e, ERR_NOMEM, "a pack");
	}
	set_fd(s, p, fd);
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
	return failed(e, "extend", error);
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
		seal(s);
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
	use(s, s->current);
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
		leave(s, p);
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
		return failed(e, "write", error);
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
	return error != 0 ? failed(e, "sync", error) : ERR_OK;
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
	leave(s, h->pack);
	pthread_mutex_unlock(&s->lock);
	*h = (struct pack_hold){ .pack = NULL };
}

/* ---- reading ---- */

/* The lock is held. */
static enum err_code open_to_read(struct packs *s, struct pack *p, struct err *e)
{
	char name[NAME_SIZE];

	if (p->fd >= 0)
		return ERR_OK;
	name_of(name, p->number);
	set_fd(s, p, openat(s->dir, name, O_RDONLY | O_CLOEXEC));
	return p->fd >= 0 ? ERR_OK : failed(e, "open", errno);
}

static enum err_code take_to_read(struct packs *s, uint64_t number, struct pack **out,
				  struct err *e)
{
	struct pack *p = find(s, number);
	enum err_code rc;

	if (p == NULL)
		return err_set(e, ERR_NOTFOUND, "no such pack");
	use(s, p);
	rc = open_to_read(s, p, e);
	if (rc == ERR_OK)
		*out = p;
	else
		leave(s, p);
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
			return failed(e, "read", errno);
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
	leave(s, p);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static bool copy_now(const struct packs *s, const struct pack_place *at, uint8_t *out)
{
	const struct pack *p = find(s, at->pack);
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

/* ---- collecting ---- */

void packs_count_begin(struct packs *s)
{
	pthread_mutex_lock(&s->lock);
	seal(s);
	for (size_t i = 0; i < s->count; i++) {
		struct pack *p = s->v[i];

		p->looked_at = p->sealed;
		p->counted = p->sealed && p->unpointed == 0;
		p->going = false;
		p->alive = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

void packs_count(struct packs *s, const struct pack_place *alive)
{
	struct pack *p;

	pthread_mutex_lock(&s->lock);
	p = find(s, alive->pack);
	if (p != NULL)
		p->alive += alive->length;
	pthread_mutex_unlock(&s->lock);
}

void packs_count_end(struct packs *s, uint64_t most, struct packs_counted *out)
{
	*out = (struct packs_counted){ 0 };
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++) {
		struct pack *p = s->v[i];

		if (!p->looked_at)
			continue;
		p->alive = p->alive < p->end ? p->alive : p->end;
		out->garbage += p->end - p->alive;
		p->going = p->counted && p->alive < p->end / 2 && p->alive <= most - out->to_move &&
			   (!p->kept || p->alive == 0);
		out->going += p->going;
		out->dead += p->going && p->alive == 0;
		out->to_move += p->going ? p->alive : 0;
	}
	pthread_mutex_unlock(&s->lock);
}

bool packs_is_going(struct packs *s, uint64_t number)
{
	const struct pack *p;
	bool going;

	pthread_mutex_lock(&s->lock);
	p = find(s, number);
	going = p != NULL && p->going;
	pthread_mutex_unlock(&s->lock);
	return going;
}

void packs_spare(struct packs *s, uint64_t number)
{
	struct pack *p;

	pthread_mutex_lock(&s->lock);
	p = find(s, number);
	if (p != NULL) {
		p->going = false;
		p->kept = true;
	}
	pthread_mutex_unlock(&s->lock);
}

uint64_t packs_remove_going(struct packs *s, bool only_dead)
{
	uint64_t garbage = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->count; i-- > 0;)
		if (i < s->count && s->v[i]->going && (s->v[i]->alive == 0 || !only_dead)) {
			garbage += s->v[i]->end - s->v[i]->alive;
			remove_at(s, i);
			/* each takes a while: others get on meanwhile, and add at the end */
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
	pthread_mutex_unlock(&s->lock);
	return garbage;
}

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
		char name[NAME_SIZE];

		name_of(name, s->v[i]->number);
		if (s->v[i]->sealed && linkat(s->dir, name, dir, name, 0) != 0)
			return failed(e, "link", errno);
	}
	return ERR_OK;
}

enum err_code packs_link(struct packs *s, const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err_code rc;

	if (fd < 0)
		return failed(e, "copy", errno);
	pthread_mutex_lock(&s->lock);
	seal(s);
	while (!all_pointed(s))
		pthread_cond_wait(&s->pointed, &s->lock);
	rc = link_all(s, fd, e);
	pthread_mutex_unlock(&s->lock);
	if (rc == ERR_OK && fsync(fd) != 0)
		rc = failed(e, "copy", errno);
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
		return failed(e, "look at", errno);
	if (!S_ISREG(st.st_mode) || st.st_size > UINT32_MAX)
		return err_set(e, ERR_DAMAGED, "%.40s is no pack", name);
	if (st.st_size == 0) {
		(void)unlinkat(s->dir, name, 0);
		return ERR_OK;
	}
	if ((uint64_t)st.st_blocks * 512 > (uint64_t)st.st_size + SLACK) {
		fd = openat(s->dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0) {
			give_rest_back(fd, (uint64_t)st.st_size);
			(void)close(fd);
		}
	}
	p = add(s, number);
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
		if (number_of(f->d_name, &number))
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
		rc = s == NULL ? err_set(e, ERR_NOMEM, "packs") : failed(e, "look for", errno);
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
	rc = s->dir >= 0 ? take_over_all(s, d, e) : failed(e, "look for", errno);
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
	seal(s);
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
