#include "server/retire.h"

#include "server/census.h"
#include "server/finals.h"
#include "server/live.h"
#include "server/media.h"
#include "server/quota.h"
#include "server/running.h"
#include "server/server.h"

void retire_gone(struct server *s, const struct upload_id *id, const struct dropped *gone)
{
	media_forget(s->media, id);
	running_cut(s->running, id);
	live_cut(s->live, id);
	quota_leave(s->quota, &gone->bucket, 1, gone->weight);
	census_leave(s->census, id);
	finals_gone(s->finals, id);
}

/* The store has been told to drop it. */
static enum err_code tell(struct server *s, const struct upload *u, const struct dropped *gone,
			  enum err_code rc)
{
	if (rc == ERR_OK)
		retire_gone(s, &u->id, gone);
	else
		media_forget(s->media, &u->id); /* whatever became of it, it is not as it was */
	quota_drop_end(s->quota, &u->bucket);
	return rc;
}

enum err_code retire(struct server *s, const struct upload *u, int64_t remember_until_s,
		     struct err *e)
{
	struct dropped gone;
	enum err_code rc;

	quota_drop_begin(s->quota, &u->bucket);
	if (remember_until_s > 0)
		rc = store_terminate(s->store, &u->id, remember_until_s, &gone, e);
	else
		rc = store_drop(s->store, &u->id, &gone, e);
	return tell(s, u, &gone, rc);
}

enum err_code retire_expired(struct server *s, const struct upload *u, int64_t now_s,
			     struct dropped *out, struct err *e)
{
	quota_drop_begin(s->quota, &u->bucket);
	return tell(s, u, out, store_expire(s->store, &u->id, now_s, out, e));
}
