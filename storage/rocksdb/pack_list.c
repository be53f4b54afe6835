#include "storage/rocksdb/pack_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".pack"
#define OPEN_MAX_IDLE 256 /* files kept open that nobody uses */

enum err_code pack_failed(struct err *e, const char *what, int error)
{
	return err_set(e, error == ENOSPC || error == EDQUOT ? ERR_FULL : ERR_IO, "%s a pack: %s",
		       what, strerror(error));
}

void pack_name(char out[static PACK_NAME_SIZE], uint64_t number)
{
	(void)snprintf(out, PACK_NAME_SIZE, "%06" PRIu64 SUFFIX, number);
}

bool pack_number(const char *name, uint64_t *out)
{
	char again[PACK_NAME_SIZE];

	*out = strtoull(name, NULL, 10);
	pack_name(again, *out);
	return strcmp(name, again) == 0;
}

size_t pack_place_in_list(const struct packs *s, uint64_t number)
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

struct pack *pack_find(const struct packs *s, uint64_t number)
{
	size_t i = pack_place_in_list(s, number);

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
	const size_t at = pack_place_in_list(s, p->number);
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

void pack_set_fd(struct packs *s, struct pack *p, int fd)
{
	pthread_rwlock_wrlock(&s->table);
	p->fd = fd;
	pthread_rwlock_unlock(&s->table);
}

struct pack *pack_add(struct packs *s, uint64_t number)
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

void pack_free(struct pack *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	pthread_mutex_destroy(&p->sync_lock);
	pthread_cond_destroy(&p->sync_ended);
	free(p);
}

void pack_remove_at(struct packs *s, size_t i)
{
	struct pack *p = s->v[i];
	char name[PACK_NAME_SIZE];

	pack_name(name, p->number);
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
		pack_set_fd(s, p, -1);
		(void)close(fd);
		s->idle_open--;
	}
}

void pack_use(struct packs *s, struct pack *p)
{
	if (p->refs++ == 0 && p->fd >= 0)
		s->idle_open--;
}

void pack_leave(struct packs *s, struct pack *p)
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
