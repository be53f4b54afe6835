#include "server/session_inside.h"

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/pages.h"
#include "server/server.h"

/* A short upload's pieces stay at hand until it is durable, then they go to the cache. */
#define KEEP_MAX 16u

static void forget_kept(struct session *s)
{
	piece_free_all(s->kept, s->server);
	s->kept = NULL;
	s->keep = false;
}

static void keep_or_free(struct session *s, struct piece *p)
{
	/* what is kept is charged: not at the cost of those who need room to go on */
	if (s->keep && (s->kept_count == KEEP_MAX || p->chunk->len != CHUNK_MAX ||
			atomic_load(&s->server->upload_memory) >
				server_settings(s->server)->upload_memory / 2))
		forget_kept(s);
	if (!s->keep) {
		piece_free(p, s->server);
		return;
	}
	s->kept_count++;
	LL_PREPEND(s->kept, p);
}

/* Under lock. */
static void wake_if_waiting(struct session *s)
{
	if (!s->waiting)
		return;
	s->waiting = false;
	request_wake(s->req);
}

static void fail(struct session *s, enum err_code code, const struct err *e)
{
	s->state = SESSION_FAILED;
	s->error = code;
	if (code == ERR_DIGEST || code == ERR_SUM)
		metric_add(METRIC_CHECKSUM_FAILED, 1);
	if (code == ERR_IO || code == ERR_FULL || code == ERR_NOMEM || code == ERR_DAMAGED)
		log_warn("event=upload_failed error=\"%s\"", e->why);
	else /* its client's doing, who must not fill the log with it */
		log_debug("event=upload_refused error=\"%s\"", e->why);
	if (s->command == GO_ON)
		wake_if_waiting(s);
}

/* What has come is of no use any more. */
static bool given_up(const struct session *s)
{
	return s->state == SESSION_FAILED ||
	       (s->command == BREAK_OFF && (s->plan.all_or_none || s->plan.claim == NULL));
}

/* Under lock. */
static void let_go_if_done(struct session *s, struct piece *p)
{
	if (!p->hashed || !p->stored)
		return;
	LL_DELETE(s->queue, p);
	s->in_flight--;
	keep_or_free(s, p);
	if (s->command == GO_ON && s->in_flight <= IN_FLIGHT_LOW)
		wake_if_waiting(s);
}

/* Under lock, which is given up while a piece is hashed or stored; like the next three. */
static void hash_next(struct session *s, struct piece *p)
{
	p->hashing = true;
	p->saves = p->mark || s->followed;
	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		session_hash(s, piece_bytes(p));
		if (p->saves)
			digest_save(&s->digester, &p->midstate);
		pthread_mutex_lock(&s->lock);
	}
	p->hashed = true;
	s->mark_hashed = s->mark_hashed || p->mark; /* perhaps one since it was begun */
	let_go_if_done(s, p);
}

static void stage_next(struct session *s, struct piece *p)
{
	const bool followed = s->followed;
	enum err_code rc = ERR_OK;
	struct err e = { 0 };

	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		rc = session_stage(s, p, &e);
		if (rc == ERR_OK && followed)
			live_offer(s->live, p->offset, p->chunk, pages_have_room(s->server));
		pthread_mutex_lock(&s->lock);
	}
	p->staged = true;
	if (rc != ERR_OK)
		fail(s, rc, &e);
}

static void commit_mark(struct session *s, const struct midstate *m)
{
	enum err_code rc;
	struct err e = { 0 };

	if (given_up(s))
		return;
	pthread_mutex_unlock(&s->lock);
	rc = session_commit_open(s, (struct bytes){ NULL, 0 }, m, NULL, &e);
	if (rc == ERR_OK)
		live_advance(s->live, writer_durable(s->writer), clock_mono_ms());
	pthread_mutex_lock(&s->lock);
	if (rc == ERR_OK)
		s->durable = writer_durable(s->writer);
	else
		fail(s, rc, &e);
}

/* Whether what comes may be made durable before its request ends. With the last byte that is the
 * end's to do. */
static bool may_mark(const struct session *s, uint64_t end)
{
	return !s->plan.all_or_none && s->plan.claim != NULL && end != s->plan.length;
}

/* Those who follow are to have it: with the last one in the queue, so that the disk is asked as
 * often as it answers, and no more often. */
static bool is_to_be_shown(const struct session *s, const struct piece *p)
{
	return s->followed && p->next == NULL && (!p->hashing || p->saves) &&
	       may_mark(s, p->offset + p->chunk->len);
}

/* False: it has to be hashed before it can go on. */
static bool store_next(struct session *s, struct piece *p)
{
	if (is_to_be_shown(s, p))
		p->mark = true;
	if (!s->apart && !p->hashed)
		hash_next(s, p);
	if (!p->staged)
		stage_next(s, p);
	if (p->mark && !p->hashed) {
		session_turn_to_hash(s); /* which nobody may have asked for yet */
		return false;
	}
	if (p->mark)
		commit_mark(s, &p->midstate);
	p->stored = true;
	let_go_if_done(s, p);
	return true;
}

/* Under lock, which is given up meanwhile. */
static void carry_out_finish(struct session *s)
{
	enum err_code rc;
	struct err e = { 0 };

	if (s->state != SESSION_FAILED) {
		pthread_mutex_unlock(&s->lock);
		rc = session_commit_all(s, s->filling, &e);
		/* what is not counted is given back before the client hears of it; and whoever
		 * comes next may write */
		session_close_writer(s);
		meter_settle(&s->meter);
		forget_kept(s);
		pthread_mutex_lock(&s->lock);
		s->state = SESSION_DONE;
		if (rc != ERR_OK)
			fail(s, rc, &e);
		else
			s->durable = s->done->offset;
	}
	s->command = GO_ON;
	wake_if_waiting(s);
}

/* The request is gone; what it brought and is not durable yet is made so, if it may be. */
static void carry_out_break(struct session *s)
{
	struct err e = { 0 };

	if (s->state != SESSION_GOES_ON || given_up(s) || s->received == s->durable)
		return;
	pthread_mutex_unlock(&s->lock);
	if (session_commit_all(s, s->filling, &e) != ERR_OK)
		log_warn("event=upload_not_kept error=\"%s\"", e.why);
	session_close_writer(s);
	pthread_mutex_lock(&s->lock);
}

/* ---- for those who follow; under lock ---- */

static bool has_filled(const struct session *s)
{
	return !s->lent && s->filling != NULL && s->filling->chunk->len > 0 &&
	       may_mark(s, s->received);
}

/* Pieces that were stored before anybody followed: hashed too, and nothing has come since. */
static bool has_behind(const struct session *s)
{
	const uint64_t end = s->filling != NULL ? s->filling->offset : s->received;

	return s->queue == NULL && end > s->durable && may_mark(s, end);
}

static bool has_to_show(const struct session *s)
{
	return s->followed && s->state == SESSION_GOES_ON && s->command == GO_ON &&
	       (has_filled(s) || has_behind(s));
}

static void show(struct session *s)
{
	struct midstate m;

	if (has_filled(s)) {
		session_hand_over(s, true); /* what is behind is marked with it */
		return;
	}
	digest_save(&s->digester, &m);
	commit_mark(s, &m);
}

/* Under lock. */
static void take_turn(struct session *s, struct turn *t, void (*run)(struct job *))
{
	if (t->active)
		return;
	t->active = true;
	t->session = s;
	t->job.run = run;
	workers_submit(s->server->writers, &t->job);
}

static struct session *session_of(struct job *job)
{
	return JOB_OWNER(job, struct turn, job)->session;
}

/* Whoever ends the last turn with nothing left sees to what comes then; that is the storing side's
 * to do, so the hashing side calls it in. It also waits for marks to be hashed. */
static void hash_turn(struct job *job)
{
	struct session *s = session_of(job);
	struct piece *p;

	pthread_mutex_lock(&s->lock);
	s->mark_hashed = false;
	for (;;) {
		LL_SEARCH_SCALAR(s->queue, p, hashed, false);
		if (p == NULL)
			break;
		hash_next(s, p);
	}
	s->hashing.active = false;
	if (s->mark_hashed || (s->queue == NULL && s->command != GO_ON))
		session_turn_to_store(s);
	session_turn_to_show(s);
	pthread_mutex_unlock(&s->lock);
}

/* Under lock. False: one has to be hashed before it can go on. */
static bool store_queue(struct session *s)
{
	struct piece *p;

	do
		LL_SEARCH_SCALAR(s->queue, p, stored, false);
	while (p != NULL && store_next(s, p));
	return p == NULL;
}

/* What has come meanwhile is shown in a turn of its own: others want the disk as well. */
static void store_turn(struct job *job)
{
	struct session *s = session_of(job);
	bool all, over, quiet;

	pthread_mutex_lock(&s->lock);
	all = store_queue(s);
	if (all && has_to_show(s)) {
		show(s);
		all = store_queue(s);
	}
	quiet = s->queue == NULL && !s->hashing.active;
	if (quiet && s->command == FINISH)
		carry_out_finish(s);
	over = quiet && s->command == BREAK_OFF;
	if (over)
		carry_out_break(s);
	s->storing.active = over;
	if (all && !over)
		session_turn_to_show(s);
	pthread_mutex_unlock(&s->lock);
	if (over)
		session_free(s);
}

void session_turn_to_store(struct session *s)
{
	take_turn(s, &s->storing, store_turn);
}

void session_turn_to_show(struct session *s)
{
	if (has_to_show(s))
		session_turn_to_store(s);
}

void session_turn_to_hash(struct session *s)
{
	take_turn(s, &s->hashing, hash_turn);
}
