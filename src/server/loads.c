#include "server/loads.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include <utlist.h>

/* Few at a time, and looked at before and after a read only: a list will do. */
struct loads {
	pthread_mutex_t lock;
	struct load *all;
	struct workers *workers;
};

static bool same(struct cache_key a, struct cache_key b)
{
	return a.locator == b.locator && a.offset == b.offset;
}

enum err_code loads_new(struct loads **out, struct workers *workers, struct err *e)
{
	struct loads *ls = calloc(1, sizeof(*ls));

	if (ls == NULL)
		return err_set(e, ERR_NOMEM, "loads");
	pthread_mutex_init(&ls->lock, NULL);
	ls->workers = workers;
	*out = ls;
	return ERR_OK;
}

void loads_free(struct loads *ls)
{
	if (ls == NULL)
		return;
	assert(ls->all == NULL);
	pthread_mutex_destroy(&ls->lock);
	free(ls);
}

static struct load *find(struct loads *ls, struct cache_key key)
{
	struct load *l;

	DL_FOREACH (ls->all, l)
		if (same(l->key, key))
			return l;
	return NULL;
}

static void wait_for(struct load *l, struct load_wait *w)
{
	assert(!w->come);
	w->key = l->key;
	LL_PREPEND(l->waiting, w);
}

bool loads_begin(struct loads *ls, struct load *l, struct cache_key key, struct load_wait *w)
{
	struct load *other;

	*l = (struct load){ .key = key };
	pthread_mutex_lock(&ls->lock);
	other = find(ls, key);
	if (other == NULL)
		DL_APPEND(ls->all, l);
	else if (w != NULL)
		wait_for(other, w);
	pthread_mutex_unlock(&ls->lock);
	return other == NULL;
}

bool loads_wanted(struct loads *ls, const struct load *l)
{
	bool wanted;

	pthread_mutex_lock(&ls->lock);
	wanted = l->waiting != NULL;
	pthread_mutex_unlock(&ls->lock);
	return wanted;
}

/* Since it is not in the list any more, nobody joins those who wait. */
static void hand_out(struct loads *ls, struct load *l, enum err_code rc, struct chunk *chunk)
{
	struct load_wait *w, *next;

	LL_FOREACH_SAFE (l->waiting, w, next) {
		w->rc = rc;
		w->chunk = rc == ERR_OK ? chunk_ref(chunk) : NULL;
		w->come = true;
		workers_submit(ls->workers, w->job);
	}
}

void loads_end(struct loads *ls, struct load *l, enum err_code rc, struct chunk *chunk)
{
	pthread_mutex_lock(&ls->lock);
	DL_DELETE(ls->all, l);
	pthread_mutex_unlock(&ls->lock);
	hand_out(ls, l, rc, chunk);
}

bool load_wait_take(struct load_wait *w, struct cache_key key, enum err_code *rc,
		    struct chunk **chunk)
{
	if (!w->come || w->rc == ERR_BUSY || !same(w->key, key)) {
		load_wait_drop(w);
		return false;
	}
	*rc = w->rc;
	*chunk = w->chunk;
	w->chunk = NULL;
	w->come = false;
	return true;
}

void load_wait_drop(struct load_wait *w)
{
	chunk_unref(w->chunk);
	w->chunk = NULL;
	w->come = false;
}
