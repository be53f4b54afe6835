/* running - fetches whose answer is still on its way, by upload: when that is deleted, or its time
 * is over, they are cut, so that nobody goes on getting what is gone, and nobody takes the part
 * that was sent for the whole. Only long answers are entered: short ones the kernel has at once.
 * Any thread. */
#ifndef RESTANTE_SERVER_RUNNING_H
#define RESTANTE_SERVER_RUNNING_H

#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"

struct request;
struct running_answer;
struct running_table;
struct server;

enum err_code running_new(struct running_table **out, struct err *e);
void running_free(struct running_table *t); /* none may be left; NULL is fine */

/* From here on the request may be cut, until running_leave(), which its gone() has to call. Whoever
 * enters has to look once more whether the upload is still there: it may have gone just before.
 * NULL without memory. */
struct running_answer *running_enter(struct running_table *t, const struct upload_id *id,
				     int64_t expires_s, struct request *req);
void running_leave(struct running_answer *a); /* NULL is fine */

/* Cuts what is being sent of an upload. Call it after the store has dropped it and the record in
 * memory is forgotten. */
void running_cut(struct running_table *t, const struct upload_id *id);

/* It is finished, and so its time may be over sooner than was known. */
void running_finished(struct running_table *t, const struct upload_id *id, int64_t expires_s);

/* Cuts what is being sent of uploads whose time is over at now_s, unless the store tells of another
 * end. Waits for a disk. */
void running_expire(struct server *s, int64_t now_s);

#endif
