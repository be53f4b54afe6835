/* owner - of root's doing nothing in a folder is done as root: its owner, or who has taken over the
 * owner's account, may put links there at any moment. Of the process, so one thread only. All fail
 * with ERR_IO, and do nothing where this is not root, or the folder is root's. */
#ifndef RESTANTE_SERVER_OWNER_H
#define RESTANTE_SERVER_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct owner {
	bool other; /* than we are, and we are root */
	uid_t user;
	gid_t group;
};

/* Becomes the owner of an open folder, for the time being. */
enum err_code owner_become(struct owner *o, int dir, struct err *e);

/* Becomes root again, for something else, and after that the owner again. */
enum err_code owner_leave(const struct owner *o, struct err *e);
enum err_code owner_return(const struct owner *o, struct err *e);

/* Stays the owner, with threads that come and all, for good. */
enum err_code owner_stay(const struct owner *o, struct err *e);

#endif
