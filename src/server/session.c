#include "server/session.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/census.h"
#include "server/claims.h"
#include "server/finals.h"
#include "server/meter.h"
#include "server/metrics.h"
#include "server/pages.h"
#include "server/piece.h"
#include "server/server.h"

/* Pieces on their way to the store at once; a waiting client goes on when half of them are done,
 * since stopping and going on again costs more than a piece. */
#define IN_FLIGHT_MAX 4u
#define IN_FLIGHT_LOW 2u
/* A short upload's pieces stay at hand until it is durable, then they go to the cache. */
#define KEEP_MAX 16u
/* A long upload is hashed by one worker while another stores it; for a short one that is not worth
 * the change of threads. */
#define APART_MIN ((uint64_t)2 << 20)
/* What a crash of the server may cost a request under way, at most: so many bytes, or what came in
 * so long a time, unless that is hardly anything. A mark costs a synced write. */
#define MARK_BYTES ((uint64_t)64 << 20)
#define MARK_MS 10000
#define MARK_WORTH ((uint64_t)64 << 10)

enum command { GO_ON, FINISH, BREAK_OFF };

/* A worker's turn at a session: at most one of a kind at a time. */
struct turn {
	struct session *session;
	struct job job;
	bool active;
};

struct session {
	struct server *server;
	const struct settings *settings; /* of the request's host */
	struct request *req;
	struct session_plan plan; /* its rec is ours */
	struct session_close close;
	uint64_t end;   /* of the upload, as far as is known: nothing is taken beyond */
	uint64_t limit; /* nor beyond this */
	bool apart;     /* hashed and stored by different workers */

	/* the loop's */
	struct piece *filling;
	struct meter meter; /* ... but for what is stored */
	struct quota_refusal refusal;
	uint64_t received; /* upload offset of what comes next */
	uint64_t marked;   /* ... up to which it is durable, or soon will be */
	int64_t marked_ms;

	/* between all, under lock */
	pthread_mutex_t lock;
	struct piece *queue; /* to be hashed, stored, or both */
	unsigned in_flight;
	struct turn storing, hashing;
	bool waiting;
	enum command command;
	enum session_state state;
	enum err_code error;
	uint64_t durable;
	struct piece *kept;
	unsigned kept_count;
	bool keep;

	struct digester digester; /* of whose turn it is to hash; the next as well */
	struct sums *sums;        /* NULL: none asked for */
	struct writer *writer;    /* of whose turn it is to store */
	struct upload *done;
};

/* ---- the worker's side ---- */

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

static void close_writer(struct session *s)
{
	writer_close(s->writer);
	s->writer = NULL;
}

static void hash(struct session *s, struct bytes data)
{
	digest_update(&s->digester, data);
	if (s->sums != NULL)
		sums_update(s->sums, data);
}

static enum err_code stage(struct session *s, struct piece *p, struct err *e)
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

/* What has been staged counts from now on, and the upload stays open. */
static enum err_code commit_open(struct session *s, struct bytes tail, const struct midstate *m,
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
	meter_stored(&s->meter, length);
	census_leave(s->server->census, &s->plan.rec->id);
	finals_finished(s->server->finals, &s->plan.rec->id);
	publish(s, tail, epoch);
	return rc;
}

/* Makes everything that has come durable, the last piece too. */
static enum err_code commit_all(struct session *s, struct piece *tail, struct err *e)
{
	struct bytes rest = tail == NULL ? (struct bytes){ NULL, 0 } : piece_bytes(tail);
	struct midstate m;
	enum err_code rc = room_on_disk(s, e);

	hash(s, rest);
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
	return commit_open(s, rest, &m, &s->done, e);
}

static void session_free(struct session *s)
{
	piece_free_all(s->queue, s->server);
	piece_free(s->filling, s->server);
	forget_kept(s);
	writer_close(s->writer);
	meter_end(&s->meter);
	upload_free(s->done);
	upload_free((struct upload *)s->plan.rec);
	free(s->sums);
	claim_release(s->plan.claim);
	pthread_mutex_destroy(&s->lock);
	free(s);
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
	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		hash(s, piece_bytes(p));
		if (p->mark)
			digest_save(&s->digester, &p->midstate);
		pthread_mutex_lock(&s->lock);
	}
	p->hashed = true;
	let_go_if_done(s, p);
}

static void stage_next(struct session *s, struct piece *p)
{
	enum err_code rc = ERR_OK;
	struct err e = { 0 };

	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		rc = stage(s, p, &e);
		pthread_mutex_lock(&s->lock);
	}
	p->staged = true;
	if (rc != ERR_OK)
		fail(s, rc, &e);
}

static void commit_mark(struct session *s, const struct piece *p)
{
	enum err_code rc;
	struct err e = { 0 };

	if (given_up(s))
		return;
	pthread_mutex_unlock(&s->lock);
	rc = commit_open(s, (struct bytes){ NULL, 0 }, &p->midstate, NULL, &e);
	pthread_mutex_lock(&s->lock);
	if (rc == ERR_OK)
		s->durable = writer_durable(s->writer);
	else
		fail(s, rc, &e);
}

/* False: it has to be hashed before it can go on. */
static bool store_next(struct session *s, struct piece *p)
{
	if (!s->apart && !p->hashed)
		hash_next(s, p);
	if (!p->staged)
		stage_next(s, p);
	if (p->mark && !p->hashed)
		return false;
	if (p->mark)
		commit_mark(s, p);
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
		rc = commit_all(s, s->filling, &e);
		/* what is not counted is given back before the client hears of it; and whoever
		 * comes next may write */
		close_writer(s);
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
	if (commit_all(s, s->filling, &e) != ERR_OK)
		log_warn("event=upload_not_kept error=\"%s\"", e.why);
	close_writer(s);
	pthread_mutex_lock(&s->lock);
}

static void store_turn(struct job *job);
static void hash_turn(struct job *job);

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
	bool mark = false;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		LL_SEARCH_SCALAR(s->queue, p, hashed, false);
		if (p == NULL)
			break;
		mark = mark || p->mark;
		hash_next(s, p);
	}
	s->hashing.active = false;
	if (mark || (s->queue == NULL && s->command != GO_ON))
		take_turn(s, &s->storing, store_turn);
	pthread_mutex_unlock(&s->lock);
}

static void store_turn(struct job *job)
{
	struct session *s = session_of(job);
	struct piece *p;
	bool over, quiet;

	pthread_mutex_lock(&s->lock);
	do
		LL_SEARCH_SCALAR(s->queue, p, stored, false);
	while (p != NULL && store_next(s, p));
	quiet = s->queue == NULL && !s->hashing.active;
	if (quiet && s->command == FINISH)
		carry_out_finish(s);
	over = quiet && s->command == BREAK_OFF;
	if (over)
		carry_out_break(s);
	s->storing.active = over;
	pthread_mutex_unlock(&s->lock);
	if (over)
		session_free(s);
}

/* ---- the loop's side ---- */

static bool take_up_digest(struct session *s)
{
	digest_init(&s->digester);
	if (s->plan.rec->offset == 0)
		return true;
	return digest_resume(&s->digester, &s->plan.rec->midstate) &&
	       digest_count(&s->digester) == s->plan.rec->offset;
}

static bool make_sums(struct session *s)
{
	if (s->plan.sums == 0)
		return true;
	s->sums = malloc(sizeof(*s->sums));
	if (s->sums != NULL)
		sums_init(s->sums, s->plan.sums);
	return s->sums != NULL;
}

/* Bytes the upload may have. */
static uint64_t most(const struct session_plan *p, const struct settings *set)
{
	uint64_t max = set->upload_max;

	return p->max != 0 && p->max < max ? p->max : max;
}

static enum err_code check_room(const struct session_plan *p, const struct server *server,
				const struct settings *set, struct err *e)
{
	const uint64_t need = p->announced == HTTP_LENGTH_UNKNOWN ? 0 : p->announced;
	uint64_t limit = p->length == UPLOAD_LENGTH_UNKNOWN ? most(p, set) : p->length;

	if (p->length != UPLOAD_LENGTH_UNKNOWN && p->length > most(p, set))
		return err_set(e, ERR_TOOBIG, "announced more than it may have");
	if (p->rec->offset > limit || need > limit - p->rec->offset)
		return err_set(e, ERR_TOOBIG, "announced more than there is room for");
	if (atomic_load(&server->disk_free) < set->upload_min_free + need)
		return err_set(e, ERR_FULL, "less than upload.min_free would be left");
	return ERR_OK;
}

static const struct settings *limits_of(const struct session_plan *p, const struct request *req)
{
	const struct settings *set =
		p->host.len == 0 ? NULL
				 : settings_of_host(server_settings(request_server(req)), p->host);

	return set == NULL ? request_settings(req) : set;
}

enum err_code session_begin(struct session **out, struct request *req, const struct session_plan *p,
			    struct quota_refusal *why, struct err *e)
{
	struct server *server = request_server(req);
	const struct settings *set = limits_of(p, req);
	enum err_code rc = check_room(p, server, set, e);
	struct session *s;

	if (rc != ERR_OK)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(e, ERR_NOMEM, "session");
	s->server = server;
	s->settings = set;
	s->req = req;
	s->plan = *p;
	s->plan.claim = NULL; /* the caller's until nothing can fail */
	s->plan.host = (struct bytes){ NULL, 0 };
	s->limit = p->length == UPLOAD_LENGTH_UNKNOWN ? most(p, set) : p->length;
	s->end = p->announced == HTTP_LENGTH_UNKNOWN ? UINT64_MAX : p->rec->offset + p->announced;
	s->apart = p->announced >= APART_MIN; /* an unknown one too */
	s->keep = true;
	s->received = s->marked = s->durable = p->rec->offset;
	s->marked_ms = clock_mono_ms();
	pthread_mutex_init(&s->lock, NULL);
	s->plan.rec = upload_clone(p->rec);
	if (s->plan.rec == NULL || !make_sums(s)) {
		session_free(s);
		return err_set(e, ERR_NOMEM, "session");
	}
	if (!take_up_digest(s)) {
		session_free(s);
		return err_set(e, ERR_DAMAGED, "the midstate is not one of the offset");
	}
	rc = meter_begin(&s->meter, server->quota, p->rec, p->length, p->announced, set,
			 clock_mono_ms(), why);
	if (rc != ERR_OK) {
		session_free(s);
		return err_set(e, rc, "the bucket has as much as it may");
	}
	if (p->claim != NULL && !claim_let_interrupt(p->claim)) {
		session_free(s);
		return err_set(e, ERR_OFFSET, "a newer request waits");
	}
	s->plan.claim = p->claim;
	*out = s;
	return ERR_OK;
}

/* Whether enough has come since the last time that a crash should not take it. */
static bool mark_is_due(const struct session *s)
{
	const uint64_t since = s->received - s->marked;

	if (s->plan.all_or_none || s->plan.claim == NULL || s->received == s->plan.length)
		return false;
	return since >= MARK_BYTES ||
	       (since >= MARK_WORTH && clock_mono_ms() - s->marked_ms >= MARK_MS);
}

/* Hands the filled piece over; with too many on their way the request has to wait. */
static enum session_state hand_over(struct session *s)
{
	enum session_state state;

	pthread_mutex_lock(&s->lock);
	state = s->state;
	if (state == SESSION_GOES_ON && s->in_flight >= IN_FLIGHT_MAX) {
		s->waiting = true;
		request_wait(s->req);
		state = SESSION_WAITS;
	} else if (state == SESSION_GOES_ON) {
		s->filling->mark = mark_is_due(s);
		if (s->filling->mark) {
			s->marked = s->received;
			s->marked_ms = clock_mono_ms();
		}
		LL_APPEND(s->queue, s->filling);
		s->filling = NULL;
		s->in_flight++;
		take_turn(s, &s->storing, store_turn);
		if (s->apart)
			take_turn(s, &s->hashing, hash_turn);
	}
	pthread_mutex_unlock(&s->lock);
	return state;
}

static enum session_state give_up(struct session *s, enum err_code why)
{
	pthread_mutex_lock(&s->lock);
	s->state = SESSION_FAILED;
	s->error = why;
	pthread_mutex_unlock(&s->lock);
	return SESSION_FAILED;
}

static bool has_failed(struct session *s)
{
	bool failed;

	pthread_mutex_lock(&s->lock);
	failed = s->state == SESSION_FAILED;
	pthread_mutex_unlock(&s->lock);
	return failed;
}

static enum session_state take(struct session *s, const uint8_t *data, size_t *n)
{
	enum session_state state;
	struct chunk *c;
	size_t k;

	while (*n > 0) {
		if (s->filling == NULL && (s->filling = piece_new(s->received)) == NULL) {
			*n = 0;
			return give_up(s, ERR_NOMEM);
		}
		c = s->filling->chunk;
		if (c->len > 0 &&
		    ((c->len == c->cap && !piece_grow(s->filling, s->end, s->server)) ||
		     (s->received - s->marked < MARK_BYTES && mark_is_due(s)))) {
			state = hand_over(s);
			if (state == SESSION_FAILED)
				*n = 0;
			if (state != SESSION_GOES_ON)
				return state;
			continue;
		}
		k = c->cap - c->len < *n ? c->cap - c->len : *n;
		memcpy(c->data + c->len, data, k);
		c->len += k;
		s->received += k;
		data += k;
		*n -= k;
	}
	return SESSION_GOES_ON;
}

enum session_state session_take(struct session *s, const uint8_t *data, size_t *n)
{
	const uint64_t before = s->received;
	enum session_state state;
	enum err_code rc;

	if (has_failed(s)) {
		*n = 0;
		return SESSION_FAILED;
	}
	rc = *n > s->limit - before ? ERR_TOOBIG : meter_reach(&s->meter, before + *n, &s->refusal);
	if (rc != ERR_OK) {
		*n = 0;
		return give_up(s, rc);
	}
	state = take(s, data, n);
	meter_count(&s->meter, s->received - before);
	return state;
}

enum session_state session_finish(struct session *s, const struct session_close *c)
{
	enum session_state state;

	/* all of it is here: no reason to end it */
	if (s->plan.claim != NULL)
		claim_hold_on(s->plan.claim);
	pthread_mutex_lock(&s->lock);
	state = s->state;
	if (state == SESSION_GOES_ON) {
		s->close = *c;
		s->command = FINISH;
		s->waiting = true;
		request_wait(s->req);
		take_turn(s, &s->storing, store_turn);
		state = SESSION_WAITS;
	}
	pthread_mutex_unlock(&s->lock);
	return state;
}

void session_refuse(struct session *s)
{
	(void)give_up(s, ERR_INVALID);
}

enum err_code session_error(struct session *s)
{
	enum err_code code;

	pthread_mutex_lock(&s->lock);
	code = s->error;
	pthread_mutex_unlock(&s->lock);
	return code;
}

const struct quota_refusal *session_refusal(const struct session *s)
{
	return &s->refusal;
}

uint64_t session_durable(struct session *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->durable;
	pthread_mutex_unlock(&s->lock);
	return n;
}

const struct upload *session_upload(const struct session *s)
{
	return s->done;
}

static void count_end(const struct session *s)
{
	if (s->state == SESSION_DONE && s->done->finished)
		metric_add(METRIC_UPLOADS, 1);
	else if (s->state == SESSION_FAILED || (s->state != SESSION_DONE && s->plan.all_or_none))
		metric_add(METRIC_UPLOADS_FAILED, 1);
}

void session_end(struct session *s)
{
	struct claim *claim = NULL;

	if (s == NULL)
		return;
	/* from here on there is no request to be interrupted */
	if (s->plan.claim != NULL)
		claim_hold_on(s->plan.claim);
	pthread_mutex_lock(&s->lock);
	assert(!s->waiting);
	count_end(s);
	if (s->state == SESSION_DONE) {
		claim = s->plan.claim;
		s->plan.claim = NULL;
	}
	s->command = BREAK_OFF;
	/* a worker frees it: giving bytes back may wait for the disk */
	take_turn(s, &s->storing, store_turn);
	pthread_mutex_unlock(&s->lock);
	claim_release(claim); /* its bytes are safe, the next one need not wait */
}
