#include "server/claims.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* uthash's own answer to a failed allocation is exit() */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "server/http.h"

/* An upload that is worked on; there as long as somebody holds it. */
struct subject {
	struct upload_id id;
	struct claim *holder;
	struct claim *waiting; /* first come, first served */
	UT_hash_handle hh;
};

/* Its request is looked at only while it waits or is interruptible: else that may be gone. */
struct claim {
	struct claims *table;
	struct subject *subject;
	struct request *req;
	bool interruptible; /* and not interrupted yet */
	struct claim *prev, *next;
};

/* Requests are told under the lock: whoever has to be told cannot go meanwhile, since its gone()
 * has to pass the lock first. So telling must not call gone() in the same thread. */
struct claims {
	pthread_mutex_t lock;
	struct subject *subjects;
};

enum err_code claims_new(struct claims **out, struct err *e)
{
	struct claims *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "claims");
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return ERR_OK;
}

void claims_free(struct claims *c)
{
	if (c == NULL)
		return;
	assert(c->subjects == NULL);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct subject *subject_new(struct claims *c, const struct upload_id *id)
{
	struct subject *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->id = *id;
	HASH_ADD(hh, c->subjects, id, sizeof(s->id), s);
	if (s->hh.tbl == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

/* NULL without memory. */
static struct subject *find_or_make(struct claims *c, const struct upload_id *id)
{
	struct subject *s;

	HASH_FIND(hh, c->subjects, id, sizeof(*id), s);
	return s != NULL ? s : subject_new(c, id);
}

static void stand_behind(struct subject *s, struct claim *x)
{
	request_wait(x->req);
	DL_APPEND(s->waiting, x);
	if (!s->holder->interruptible)
		return;
	s->holder->interruptible = false;
	request_interrupt(s->holder->req);
}

/* Under lock. False without memory. */
static bool line_up(struct claim *x, const struct upload_id *id, bool *had)
{
	struct subject *s = find_or_make(x->table, id);

	if (s == NULL)
		return false;
	x->subject = s;
	*had = s->holder == NULL;
	if (*had)
		s->holder = x;
	else
		stand_behind(s, x);
	return true;
}

bool claim_take(struct claims *c, const struct upload_id *id, struct request *req,
		struct claim **out)
{
	struct claim *x = calloc(1, sizeof(*x));
	bool had = true, there;

	*out = NULL;
	if (x == NULL)
		return true;
	x->table = c;
	x->req = req;
	pthread_mutex_lock(&c->lock);
	there = line_up(x, id, &had);
	if (there)
		*out = x; /* before anybody else can let it go */
	pthread_mutex_unlock(&c->lock);
	if (!there)
		free(x);
	return had;
}

bool claim_let_interrupt(struct claim *c)
{
	bool first;

	pthread_mutex_lock(&c->table->lock);
	assert(c->subject->holder == c);
	first = c->subject->waiting == NULL;
	c->interruptible = first;
	pthread_mutex_unlock(&c->table->lock);
	return first;
}

void claim_hold_on(struct claim *c)
{
	pthread_mutex_lock(&c->table->lock);
	c->interruptible = false;
	pthread_mutex_unlock(&c->table->lock);
}

/* The holder goes. */
static void pass_on(struct claims *c, struct subject *s)
{
	struct claim *next = s->waiting;

	s->holder = next;
	if (next == NULL) {
		HASH_DEL(c->subjects, s);
		free(s);
		return;
	}
	DL_DELETE(s->waiting, next);
	request_wake(next->req);
}

void claim_release(struct claim *c)
{
	struct claims *table;

	if (c == NULL)
		return;
	table = c->table;
	pthread_mutex_lock(&table->lock);
	/* who still waits steps out of the line */
	if (c->subject->holder == c)
		pass_on(table, c->subject);
	else
		DL_DELETE(c->subject->waiting, c);
	pthread_mutex_unlock(&table->lock);
	free(c);
}

bool claims_held(struct claims *c, const struct upload_id *id)
{
	struct subject *s;

	pthread_mutex_lock(&c->lock);
	HASH_FIND(hh, c->subjects, id, sizeof(*id), s);
	pthread_mutex_unlock(&c->lock);
	return s != NULL;
}
