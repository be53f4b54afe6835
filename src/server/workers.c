#include "server/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	bool ending;
	size_t resting;   /* threads without work */
	bool waking;      /* one of them was woken and has not come yet */
	const char *name; /* of the threads, which they take by themselves: no other may */
	size_t count;
	pthread_t threads[];
};

/* Under the lock: whether one more thread is to be woken. Each that comes wakes the next, if there
 * is still a job for it: many are done before another thread could have come for them. */
static bool wants_more(struct workers *w)
{
	if (w->first == NULL || w->waking || w->resting == 0)
		return false;
	w->waking = true;
	return true;
}

static void rest(struct workers *w)
{
	while (w->first == NULL && !w->ending) {
		w->resting++;
		pthread_cond_wait(&w->more, &w->lock);
		w->resting--;
		w->waking = false;
	}
}

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct job *job;
	bool more;

	(void)pthread_setname_np(pthread_self(), w->name);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		rest(w);
		job = w->first;
		if (job == NULL)
			break;
		w->first = job->next;
		if (w->first == NULL)
			w->last = &w->first;
		more = wants_more(w);
		pthread_mutex_unlock(&w->lock);
		if (more)
			pthread_cond_signal(&w->more);
		job->run(job);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

enum err_code workers_new(struct workers **out, size_t count, const char *name, struct err *e)
{
	struct workers *w = calloc(1, sizeof(*w) + count * sizeof(w->threads[0]));

	if (w == NULL)
		return err_set(e, ERR_NOMEM, "workers");
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	w->last = &w->first;
	w->name = name;
	for (; w->count < count; w->count++) {
		if (pthread_create(&w->threads[w->count], NULL, worker_main, w) != 0) {
			workers_free(w);
			return err_set(e, ERR_NOMEM, "worker threads");
		}
	}
	*out = w;
	return ERR_OK;
}

void workers_submit(struct workers *w, struct job *job)
{
	bool more;

	job->next = NULL;
	pthread_mutex_lock(&w->lock);
	*w->last = job;
	w->last = &job->next;
	more = wants_more(w);
	pthread_mutex_unlock(&w->lock);
	if (more)
		pthread_cond_signal(&w->more);
}

void workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_broadcast(&w->more);
	for (size_t i = 0; i < w->count; i++)
		(void)pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
