#include "server/session_inside.h"

#include <utlist.h>

#include "base/clock.h"
#include "server/census.h"
#include "server/finals.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/pages.h"
#include "server/running.h"
#include "server/server.h"

static enum err_code room_on_disk(struct session *s, struct err *e)
{
	if (atomic_load(&s->server->disk_free) < server_settings(s->server)->upload_min_free)
		return err_set(e, ERR_FULL, "less than upload.min_free left");
	return ERR_OK;
}

static enum err_code open_writer(struct session *s, struct err *e)
{
	const struct upload *rec = s->plan.rec;
	uint64_t expect = s->plan.announced == HTTP_LENGTH_UNKNOWN ? 0 : s->plan.announced;

	if (s->writer != NULL)
		return ERR_OK;
	if (s->plan.fresh)
		return store_create(s->server->store, rec, expect, &s->writer, e);
	return store_append(s->server->store, &rec->id, rec->offset, expect, &s->writer, e);
}

void session_close_writer(struct session *s)
{
	writer_close(s->writer);
	s->writer = NULL;
}

void session_hash(struct session *s, struct bytes data)
{
	digest_update(&s->digester, data);
	if (s->sums != NULL)
		sums_update(s->sums, data);
}

enum err_code session_stage(struct session *s, struct piece *p, struct err *e)
{
	enum err_code rc = room_on_disk(s, e);

	if (rc == ERR_OK)
		rc = open_writer(s, e);
	return rc == ERR_OK ? writer_stage(s->writer, piece_bytes(p), e) : rc;
}

static int64_t end_of_unfinished(const struct session *s)
{
	return clock_now_s() + (int64_t)s->settings->upload_ttl_unfinished;
}

static enum err_code timed_commit(struct session *s, const struct commit *c, struct upload **rec,
				  struct err *e)
{
	const int64_t began = clock_mono_ns();
	enum err_code rc = writer_commit(s->writer, c, rec, e);

	if (rc == ERR_OK)
		metric_observe(HISTOGRAM_COMMIT, clock_mono_ns() - began);
	return rc;
}

enum err_code session_commit_open(struct session *s, struct bytes tail, const struct midstate *m,
				  struct upload **rec, struct err *e)
{
	const struct commit c = { .tail = tail,
				  .midstate = m,
				  .length = s->plan.length,
				  .expires_s = end_of_unfinished(s) };
	enum err_code rc = timed_commit(s, &c, rec, e);

	if (rc == ERR_OK)
		meter_stored(&s->meter, s->plan.length == UPLOAD_LENGTH_UNKNOWN
						? writer_durable(s->writer)
						: s->plan.length);
	return rc;
}

/* For those who follow. */
static void offer_tail(struct session *s, const struct piece *tail)
{
	if (s->live != NULL && tail != NULL)
		live_offer(s->live, tail->offset, tail->chunk, pages_have_room(s->server));
}

static void publish(struct session *s, struct piece *tail, uint64_t epoch)
{
	struct media *m;
	struct piece *p;
	struct upload *copy = NULL;
	struct err e;

	/* the table keeps one record, the session answers from another */
	if (store_lookup(s->server->store, &s->plan.rec->id, &copy, &e) != ERR_OK)
		return;
	m = media_put(s->server->media, copy, epoch);
	if (m == NULL)
		return;
	/* the first recipient is to find the bytes in memory */
	if (s->keep) {
		LL_FOREACH (s->kept, p)
			page_keep(s->server, m, p->offset, p->chunk);
		if (tail != NULL)
			page_keep(s->server, m, tail->offset, tail->chunk);
	}
	media_unref(m);
}

static enum err_code check_sums(struct session *s, struct err *e)
{
	for (size_t i = 0; i < s->close.sum_count; i++)
		if (!sums_match(s->sums, &s->close.sums[i].claim))
			return err_set(e, s->close.sums[i].otherwise, "not the %s announced",
				       sum_name(s->close.sums[i].claim.sum));
	return ERR_OK;
}

static enum err_code check_digest(const struct session *s, const struct digest *d, struct err *e)
{
	if ((s->plan.digest_expected && !digest_equal(d, &s->plan.expected)) ||
	    (s->close.digest_expected && !digest_equal(d, &s->close.expected)))
		return err_set(e, ERR_DIGEST, "not the digest announced");
	return ERR_OK;
}

/* The upload is whole with this: it gets its digest, and the life of a finished one. */
static enum err_code commit_whole(struct session *s, struct piece *tail, struct bytes rest,
				  struct err *e)
{
	const uint64_t epoch = media_epoch(s->server->media, &s->plan.rec->id);
	const uint64_t length = digest_count(&s->digester);
	struct digest d;
	const struct commit c = { .tail = rest,
				  .digest = &d,
				  .length = length,
				  .expires_s = clock_now_s() + (int64_t)s->plan.ttl_s };
	enum err_code rc;

	if (s->plan.length != UPLOAD_LENGTH_UNKNOWN && s->plan.length != length)
		return err_set(e, ERR_LENGTH, "not the length announced");
	digest_final(&s->digester, &d);
	rc = check_digest(s, &d, e);
	if (rc == ERR_OK)
		rc = timed_commit(s, &c, &s->done, e);
	if (rc != ERR_OK)
		return rc;
	offer_tail(s, tail);
	if (s->live != NULL) {
		live_finish(s->server->live, &s->plan.rec->id, length);
		running_finished(s->server->running, &s->plan.rec->id, c.expires_s);
	}
	meter_stored(&s->meter, length);
	census_leave(s->server->census, &s->plan.rec->id);
	finals_finished(s->server->finals, &s->plan.rec->id);
	publish(s, tail, epoch);
	return rc;
}

enum err_code session_commit_all(struct session *s, struct piece *tail, struct err *e)
{
	struct bytes rest = { NULL, 0 };
	struct midstate m;
	enum err_code rc = room_on_disk(s, e);

	if (tail != NULL && tail->chunk->len == 0) /* room was made, and nothing came */
		tail = NULL;
	if (tail != NULL)
		rest = piece_bytes(tail);
	session_hash(s, rest);
	if (rc == ERR_OK)
		rc = check_sums(s, e);
	if (rc == ERR_OK)
		rc = open_writer(s, e);
	if (rc != ERR_OK)
		return rc;
	if (s->close.complete ||
	    (s->plan.ends_at_length && digest_count(&s->digester) == s->plan.length))
		return commit_whole(s, tail, rest, e);
	digest_save(&s->digester, &m);
	rc = session_commit_open(s, rest, &m, &s->done, e);
	if (rc != ERR_OK)
		return rc;
	offer_tail(s, tail);
	live_advance(s->live, s->done->offset, clock_mono_ms());
	return ERR_OK;
}
