#include "server/session_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/clock.h"
#include "server/claims.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/server.h"

/* A long upload is hashed by one worker while another stores it; for a short one that is not worth
 * the change of threads. */
#define APART_MIN ((uint64_t)2 << 20)
/* What a crash of the server may cost a request under way, at most: so many bytes, or what came in
 * so long a time, unless that is hardly anything. A mark costs a synced write. */
#define MARK_BYTES ((uint64_t)64 << 20)
#define MARK_MS 10000
#define MARK_WORTH ((uint64_t)64 << 10)

/* ---- begin ---- */

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

void session_free(struct session *s)
{
	live_feed_end(s->live); /* may call until it returns */
	piece_free_all(s->queue, s->server);
	piece_free(s->filling, s->server);
	piece_free_all(s->kept, s->server);
	writer_close(s->writer);
	meter_end(&s->meter);
	upload_free(s->done);
	upload_free((struct upload *)s->plan.rec);
	free(s->sums);
	claim_release(s->plan.claim);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Workers are to do what is in the queue. Under lock. */
static void ask(struct session *s)
{
	if (s->unasked == 0)
		return;
	s->unasked = 0;
	session_turn_to_store(s);
	if (s->apart)
		session_turn_to_hash(s);
}

static void be_followed(void *ctx, bool yes)
{
	struct session *s = ctx;

	pthread_mutex_lock(&s->lock);
	s->followed = yes;
	ask(s);
	session_turn_to_show(s);
	pthread_mutex_unlock(&s->lock);
}

static bool let_follow(struct session *s, const struct claim *claim)
{
	if (claim == NULL)
		return true; /* nobody else knows of it */
	s->live = live_feed(s->server->live, &s->plan.rec->id, s->plan.rec->offset, be_followed, s);
	return s->live != NULL;
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
	if (s->plan.rec == NULL || !make_sums(s) || !let_follow(s, p->claim)) {
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

/* ---- take ---- */

/* Whether enough has come since the last time that a crash should not take it. */
static bool mark_is_due(const struct session *s)
{
	const uint64_t since = s->received - s->marked;

	if (s->plan.all_or_none || s->plan.claim == NULL || s->received == s->plan.length)
		return false;
	return since >= MARK_BYTES ||
	       (since >= MARK_WORTH && clock_mono_ms() - s->marked_ms >= MARK_MS);
}

void session_hand_over(struct session *s, bool mark)
{
	s->filling->mark = mark;
	if (mark) {
		s->marked = s->received;
		s->marked_ms = clock_mono_ms();
	}
	LL_APPEND(s->queue, s->filling);
	s->filling = NULL;
	s->in_flight++;
	if (++s->unasked == BATCH || mark || s->followed)
		ask(s);
}

/* Hands the filled piece over; with too many on their way the request has to wait. Under lock. */
static enum session_state hand_over(struct session *s)
{
	if (s->state == SESSION_GOES_ON && s->in_flight >= IN_FLIGHT_MAX) {
		ask(s);
		s->waiting = true;
		request_wait(s->req);
		return SESSION_WAITS;
	}
	if (s->state == SESSION_GOES_ON)
		session_hand_over(s, mark_is_due(s));
	return s->state;
}

/* Under lock. */
static enum session_state fail(struct session *s, enum err_code why)
{
	s->state = SESSION_FAILED;
	s->error = why;
	return SESSION_FAILED;
}

static enum session_state give_up(struct session *s, enum err_code why)
{
	pthread_mutex_lock(&s->lock);
	(void)fail(s, why);
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

/* A long one is made durable by its bytes as they fill pieces; one that comes slowly in time. */
static bool time_is_up(const struct session *s)
{
	return s->received - s->marked < MARK_BYTES && mark_is_due(s);
}

/* A piece with room in it; `more` bytes are at hand for it. Under lock. */
static enum session_state make_room(struct session *s, size_t more)
{
	enum session_state state = SESSION_GOES_ON;
	struct piece *p;

	while (state == SESSION_GOES_ON) {
		if (s->filling == NULL)
			s->filling = piece_new(s->received, s->end, more, s->server);
		p = s->filling;
		if (p == NULL)
			return fail(s, ERR_NOMEM);
		if (p->chunk->len == 0 ||
		    (piece_has_room(p, s->end, more, s->server) && !time_is_up(s)))
			break;
		state = hand_over(s);
	}
	return state;
}

/* Under lock. */
static enum session_state take(struct session *s, const uint8_t *data, size_t *n)
{
	enum session_state state;
	struct chunk *c;
	size_t k;

	while (*n > 0) {
		state = make_room(s, *n);
		if (state == SESSION_FAILED)
			*n = 0;
		if (state != SESSION_GOES_ON)
			return state;
		c = s->filling->chunk;
		k = c->cap - c->len < *n ? c->cap - c->len : *n;
		memcpy(c->data + c->len, data, k);
		c->len += k;
		s->received += k;
		data += k;
		*n -= k;
	}
	return SESSION_GOES_ON;
}

/* Whether n more bytes may be taken. */
static enum err_code may_take(struct session *s, size_t n)
{
	return n > s->limit - s->received ? ERR_TOOBIG
					  : meter_reach(&s->meter, s->received + n, &s->refusal);
}

enum session_state session_take(struct session *s, const uint8_t *data, size_t *n)
{
	const uint64_t before = s->received; /* changed by this thread only */
	enum session_state state;
	enum err_code rc;

	if (has_failed(s)) {
		*n = 0;
		return SESSION_FAILED;
	}
	rc = may_take(s, *n);
	if (rc != ERR_OK) {
		*n = 0;
		return give_up(s, rc);
	}
	pthread_mutex_lock(&s->lock);
	state = take(s, data, n);
	ask(s);
	session_turn_to_show(s);
	pthread_mutex_unlock(&s->lock);
	meter_count(&s->meter, s->received - before);
	return state;
}

enum session_state session_room(struct session *s, size_t there, struct iovec *out)
{
	enum session_state state;
	struct chunk *c;

	pthread_mutex_lock(&s->lock);
	state = s->state == SESSION_FAILED ? s->state : make_room(s, there);
	s->lent = state == SESSION_GOES_ON;
	if (s->lent) {
		c = s->filling->chunk;
		*out = (struct iovec){ c->data + c->len, c->cap - c->len };
	}
	pthread_mutex_unlock(&s->lock);
	return state;
}

void session_came(struct session *s, size_t n)
{
	const enum err_code rc = n == 0 ? ERR_OK : may_take(s, n);

	pthread_mutex_lock(&s->lock);
	s->lent = false;
	if (rc != ERR_OK) {
		(void)fail(s, rc);
	} else {
		s->filling->chunk->len += n;
		s->received += n;
	}
	if (s->filling->chunk->len < s->filling->chunk->cap)
		ask(s); /* no more is at hand */
	session_turn_to_show(s);
	pthread_mutex_unlock(&s->lock);
	meter_count(&s->meter, rc == ERR_OK ? n : 0);
}

/* ---- finish, or break off ---- */

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
		ask(s);
		session_turn_to_store(s);
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

/* Whoever has the claim next will feed those who follow. */
static void end_feed_if_done(struct session *s)
{
	struct live *live = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->state == SESSION_DONE) {
		live = s->live;
		s->live = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	live_feed_end(live);
}

void session_end(struct session *s)
{
	struct claim *claim = NULL;

	if (s == NULL)
		return;
	end_feed_if_done(s);
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
	ask(s);
	/* a worker frees it: giving bytes back may wait for the disk */
	session_turn_to_store(s);
	pthread_mutex_unlock(&s->lock);
	claim_release(claim); /* its bytes are safe, the next one need not wait */
}
