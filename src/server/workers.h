/* workers - threads for everything that may wait for a disk. Any thread may submit. */
#ifndef RESTANTE_SERVER_WORKERS_H
#define RESTANTE_SERVER_WORKERS_H

#include <stddef.h>

#include "base/err.h"

struct workers;

/* A piece of work, a part of what it works on; run in some worker's thread. After run() is called
 * the job belongs to it again: it may be freed or submitted anew. */
struct job {
	void (*run)(struct job *job);
	struct job *next;
};

/* What a job is a part of. */
#define JOB_OWNER(job, type, member) ((type *)(void *)((char *)(job)-offsetof(type, member)))

/* name is shown by ps and perf, at most 15 characters. ERR_NOMEM. */
enum err_code workers_new(struct workers **out, size_t count, const char *name, struct err *e);

/* Queues a job, first come first served. Never waits. */
void workers_submit(struct workers *w, struct job *job);

/* Runs what is queued, then ends the threads. NULL is fine. */
void workers_free(struct workers *w);

#endif
