#include "server/retire.h"

#include "base/clock.h"
#include "server/census.h"
#include "server/finals.h"
#include "server/media.h"
#include "server/quota.h"
#include "server/running.h"
#include "server/server.h"

void retire_gone(struct server *s, const struct upload *u)
{
	media_forget(s->media, &u->id);
	running_cut(s->running, &u->id);
	quota_leave(s->quota, &u->bucket, 1, upload_weight(u));
	census_leave(s->census, &u->id);
	finals_gone(s->finals, &u->id);
}

static enum err_code drop(struct server *s, const struct upload *u, int64_t remember_until_s,
			  enum retire_how how, struct retired *out, struct err *e)
{
	struct retired gone = { 0 };
	enum err_code rc;

	if (how == RETIRE_EXPIRED)
		rc = store_expire(s->store, &u->id, remember_until_s, &gone.freed, &gone.blob_gone,
				  e);
	else if (remember_until_s > 0)
		rc = store_terminate(s->store, &u->id, remember_until_s, e);
	else
		rc = store_drop(s->store, &u->id, e);
	if (rc == ERR_OK)
		retire_gone(s, u);
	else
		media_forget(s->media, &u->id); /* whatever became of it, it is not as it was */
	if (rc == ERR_OK && out != NULL)
		*out = gone;
	return rc;
}

/* Since it was looked up. */
static bool may_have_grown(const struct upload *u)
{
	return bucket_given(&u->bucket) && !u->finished && u->length == UPLOAD_LENGTH_UNKNOWN;
}

enum err_code retire(struct server *s, const struct upload *u, int64_t remember_until_s,
		     enum retire_how how, struct retired *out, struct err *e)
{
	struct upload *grown = NULL;
	enum err_code rc;

	if (remember_until_s < u->spent_until_s && u->spent_until_s > clock_now_s())
		remember_until_s = u->spent_until_s;
	quota_drop_begin(s->quota, &u->bucket);
	/* it is given back as it weighs now */
	if (may_have_grown(u) && store_lookup(s->store, &u->id, &grown, NULL) == ERR_OK)
		rc = drop(s, grown, remember_until_s, how, out, e);
	else
		rc = drop(s, u, remember_until_s, how, out, e);
	quota_drop_end(s->quota, &u->bucket);
	upload_free(grown);
	return rc;
}
