#include "server/owner.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code failed(struct err *e)
{
	return err_set(e, ERR_IO, "become the owner of the folder: %s", strerror(errno));
}

enum err_code owner_become(struct owner *o, int dir, struct err *e)
{
	struct stat st;

	if (fstat(dir, &st) != 0)
		return failed(e);
	*o = (struct owner){ geteuid() == 0 && st.st_uid != 0, st.st_uid, st.st_gid };
	if (o->other && setgroups(0, NULL) != 0)
		return failed(e);
	return owner_return(o, e);
}

enum err_code owner_leave(const struct owner *o, struct err *e)
{
	return !o->other || (seteuid(0) == 0 && setegid(0) == 0) ? ERR_OK : failed(e);
}

enum err_code owner_return(const struct owner *o, struct err *e)
{
	return !o->other || (setegid(o->group) == 0 && seteuid(o->user) == 0) ? ERR_OK : failed(e);
}

enum err_code owner_stay(const struct owner *o, struct err *e)
{
	if (!o->other)
		return ERR_OK;
	return seteuid(0) == 0 && setresgid(o->group, o->group, o->group) == 0 &&
			       setresuid(o->user, o->user, o->user) == 0
		       ? ERR_OK
		       : failed(e);
}
