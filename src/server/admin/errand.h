/* errand - a request of the operator that takes time. A thread of its own works on it to the end,
 * whether its client waits for the answer or not. Loop thread, but for `work`. */
#ifndef RESTANTE_SERVER_ADMIN_ERRAND_H
#define RESTANTE_SERVER_ADMIN_ERRAND_H

#include <jansson.h>

#include "server/http.h"
#include "server/reply.h"
#include "server/workers.h"

struct errand;

/* Does it, in a worker's thread: the answer, or NULL without memory. */
typedef struct reply *errand_work(struct errand *x);

/* The first member of what a handler allocates for a request. */
struct errand {
	struct request *req;
	struct server *server;
	errand_work *work;
	struct job job;
	struct reply *reply;
};

/* Sets it out, and makes it the request's context: `submit` hands the job over. From a handler's
 * head(), which returns what this does. */
enum http_next errand_start(struct errand *x, struct request *req, errand_work *work,
			    void (*submit)(struct server *s, struct job *job));

/* To the thread that the operator's errands have. */
void errand_to_operator(struct server *s, struct job *job);

/* For head() of a handler whose errands need nothing beside `work`. */
enum http_next errand_head(struct request *req, errand_work *work);

/* When head() is called again: the answer is there. */
enum http_next errand_answer(struct request *req);

/* The handler's gone(): frees all of it with free(). */
void errand_gone(struct request *req);

/* An answer. Takes j over; NULL without memory, also if that is NULL. */
struct reply *errand_json(int status, json_t *j);

#endif
