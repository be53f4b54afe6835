#include "server/census.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* An address, as long as it has uploads. */
struct origin {
	struct address address;
	uint64_t uploads;
	UT_hash_handle hh;
};

struct resident {
	struct upload_id id;
	struct origin *origin; /* NULL: it was there at the start */
	uint64_t entered;      /* how often: requests that are to make it, and the one that did */
	UT_hash_handle hh;
};

struct census {
	pthread_mutex_t lock;
	struct resident *residents;
	struct origin *origins;
	atomic_uint_fast64_t count; /* changed under lock, read without */
};

enum err_code census_new(struct census **out, struct err *e)
{
	struct census *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "census");
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return ERR_OK;
}

static struct origin *find_origin(struct census *c, const struct address *address)
{
	struct origin *o;

	HASH_FIND(hh, c->origins, address, sizeof(*address), o);
	return o;
}

static struct origin *origin_new(struct census *c, const struct address *address)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->address = *address;
	HASH_ADD(hh, c->origins, address, sizeof(o->address), o);
	if (o->hh.tbl == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

static void origin_free_if_unused(struct census *c, struct origin *o)
{
	if (o == NULL || o->uploads > 0)
		return;
	HASH_DEL(c->origins, o);
	free(o);
}

static struct resident *find_resident(struct census *c, const struct upload_id *id)
{
	struct resident *r;

	HASH_FIND(hh, c->residents, id, sizeof(*id), r);
	return r;
}

/* False without memory. */
static bool settle(struct census *c, const struct upload_id *id, struct origin *origin)
{
	struct resident *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return false;
	r->id = *id;
	HASH_ADD(hh, c->residents, id, sizeof(r->id), r);
	if (r->hh.tbl == NULL) {
		free(r);
		return false;
	}
	r->origin = origin;
	r->entered = 1;
	if (origin != NULL)
		origin->uploads++;
	atomic_fetch_add(&c->count, 1);
	return true;
}

static void unsettle(struct census *c, struct resident *r)
{
	struct origin *o = r->origin;

	HASH_DEL(c->residents, r);
	free(r);
	atomic_fetch_sub(&c->count, 1);
	if (o != NULL)
		o->uploads--;
	origin_free_if_unused(c, o);
}

void census_free(struct census *c)
{
	struct resident *r, *next;

	if (c == NULL)
		return;
	HASH_ITER (hh, c->residents, r, next)
		unsettle(c, r);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Under lock. */
static enum err_code enter(struct census *c, const struct upload_id *id, const struct address *from,
			   uint64_t max, uint64_t max_per_address, struct err *e)
{
	struct origin *o = find_origin(c, from);

	if (max != 0 && atomic_load(&c->count) >= max)
		return err_set(e, ERR_BUSY, "%" PRIu64 " uploads are unfinished", max);
	if (max_per_address != 0 && o != NULL && o->uploads >= max_per_address)
		return err_set(e, ERR_LIMIT, "%" PRIu64 " uploads of one address are unfinished",
			       max_per_address);
	if (o == NULL)
		o = origin_new(c, from);
	if (o != NULL && settle(c, id, o))
		return ERR_OK;
	origin_free_if_unused(c, o);
	return err_set(e, ERR_NOMEM, "census");
}

enum err_code census_enter(struct census *c, const struct upload_id *id, const struct address *from,
			   uint64_t max, uint64_t max_per_address, struct err *e)
{
	enum err_code rc = ERR_OK;
	struct resident *r;

	pthread_mutex_lock(&c->lock);
	r = find_resident(c, id);
	if (r != NULL)
		r->entered++;
	else
		rc = enter(c, id, from, max, max_per_address, e);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

enum err_code census_add(struct census *c, const struct upload_id *id, struct err *e)
{
	bool there;

	pthread_mutex_lock(&c->lock);
	there = find_resident(c, id) != NULL || settle(c, id, NULL);
	pthread_mutex_unlock(&c->lock);
	return there ? ERR_OK : err_set(e, ERR_NOMEM, "census");
}

void census_undo(struct census *c, const struct upload_id *id)
{
	struct resident *r;

	pthread_mutex_lock(&c->lock);
	r = find_resident(c, id);
	if (r != NULL && --r->entered == 0)
		unsettle(c, r);
	pthread_mutex_unlock(&c->lock);
}

void census_leave(struct census *c, const struct upload_id *id)
{
	struct resident *r;

	pthread_mutex_lock(&c->lock);
	r = find_resident(c, id);
	if (r != NULL)
		unsettle(c, r);
	pthread_mutex_unlock(&c->lock);
}

uint64_t census_count(const struct census *c)
{
	return atomic_load(&c->count);
}
