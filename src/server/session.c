#include "server/session.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <utlist.h>

#include "base/log.h"
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

enum command { GO_ON, FINISH, BREAK_OFF };

/* A worker's turn at a session: at most one of a kind at a time. */
struct turn {
	struct session *session;
	struct job job;
	bool active;
};

struct session {
	struct server *server;
	struct request *req;
	struct upload rec;  /* what the upload is to be */
	uint64_t announced; /* bytes, or HTTP_LENGTH_UNKNOWN */
	uint64_t max;
	bool apart; /* hashed and stored by different workers */
	bool digest_expected;
	struct digest expected;

	/* the loop's */
	struct piece *filling;
	uint64_t received;

	/* between all, under lock */
	pthread_mutex_t lock;
	struct piece *queue; /* to be hashed, stored, or both */
	unsigned in_flight;
	struct turn storing, hashing;
	bool waiting;
	enum command command;
	enum session_state state;
	enum err_code error;
	struct piece *kept;
	unsigned kept_count;
	bool keep;

	struct digester digester; /* of whose turn it is to hash */
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
	uint64_t expect = s->announced == HTTP_LENGTH_UNKNOWN ? 0 : s->announced;

	if (s->writer != NULL)
		return ERR_OK;
	return store_create(s->server->store, &s->rec, expect, &s->writer, e);
}

static enum err_code stage(struct session *s, struct piece *p, struct err *e)
{
	enum err_code rc = room_on_disk(s, e);

	if (rc == ERR_OK)
		rc = open_writer(s, e);
	return rc == ERR_OK ? writer_stage(s->writer, piece_bytes(p), e) : rc;
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
	if (store_lookup(s->server->store, &s->rec.id, &copy, &e) != ERR_OK)
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

static enum err_code finish(struct session *s, struct piece *tail, struct err *e)
{
	const uint64_t epoch = media_epoch(s->server->media, &s->rec.id);
	struct digest d;
	struct commit c = { .digest = &d, .expires_s = s->rec.expires_s };
	enum err_code rc = room_on_disk(s, e);

	if (rc != ERR_OK)
		return rc;
	if (tail != NULL) {
		c.tail = piece_bytes(tail);
		digest_update(&s->digester, c.tail);
	}
	c.length = digest_count(&s->digester);
	digest_final(&s->digester, &d);
	if (s->digest_expected && !digest_equal(&d, &s->expected))
		return err_set(e, ERR_DIGEST, "not the digest announced");
	rc = open_writer(s, e);
	if (rc == ERR_OK)
		rc = writer_commit(s->writer, &c, &s->done, e);
	if (rc == ERR_OK)
		publish(s, tail, epoch);
	return rc;
}

static void session_free(struct session *s)
{
	piece_free_all(s->queue, s->server);
	piece_free(s->filling, s->server);
	forget_kept(s);
	writer_close(s->writer);
	upload_free(s->done);
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
	log_warn("event=upload_failed code=%d error=\"%s\"", (int)code, e->why);
}

static bool given_up(const struct session *s)
{
	return s->state == SESSION_FAILED || s->command == BREAK_OFF;
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

/* Under lock, which is given up while a piece is hashed or stored. */
static void hash_next(struct session *s, struct piece *p)
{
	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		digest_update(&s->digester, piece_bytes(p));
		pthread_mutex_lock(&s->lock);
	}
	p->hashed = true;
	let_go_if_done(s, p);
}

static void store_next(struct session *s, struct piece *p)
{
	enum err_code rc = ERR_OK;
	struct err e = { 0 };

	if (!given_up(s)) {
		pthread_mutex_unlock(&s->lock);
		if (!s->apart)
			digest_update(&s->digester, piece_bytes(p));
		rc = stage(s, p, &e);
		pthread_mutex_lock(&s->lock);
	}
	p->stored = true;
	p->hashed = p->hashed || !s->apart;
	if (rc != ERR_OK) {
		fail(s, rc, &e);
		if (s->command == GO_ON)
			wake_if_waiting(s);
	}
	let_go_if_done(s, p);
}

/* Under lock, which is given up meanwhile. */
static void carry_out_finish(struct session *s)
{
	enum err_code rc;
	struct err e = { 0 };

	if (s->state != SESSION_FAILED) {
		pthread_mutex_unlock(&s->lock);
		rc = finish(s, s->filling, &e);
		/* what is not counted is given back before the client hears of it */
		if (rc != ERR_OK) {
			writer_close(s->writer);
			s->writer = NULL;
		}
		forget_kept(s);
		pthread_mutex_lock(&s->lock);
		s->state = SESSION_FINISHED;
		if (rc != ERR_OK)
			fail(s, rc, &e);
	}
	s->command = GO_ON;
	wake_if_waiting(s);
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
	return ((struct turn *)((char *)job - offsetof(struct turn, job)))->session;
}

/* Whoever ends the last turn with nothing left sees to what comes then; that is the storing side's
 * to do, so the hashing side calls it in. */
static void hash_turn(struct job *job)
{
	struct session *s = session_of(job);
	struct piece *p;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		LL_SEARCH_SCALAR(s->queue, p, hashed, false);
		if (p == NULL)
			break;
		hash_next(s, p);
	}
	s->hashing.active = false;
	if (s->queue == NULL && s->command != GO_ON)
		take_turn(s, &s->storing, store_turn);
	pthread_mutex_unlock(&s->lock);
}

static void store_turn(struct job *job)
{
	struct session *s = session_of(job);
	struct piece *p;
	bool over, quiet;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		LL_SEARCH_SCALAR(s->queue, p, stored, false);
		if (p == NULL)
			break;
		store_next(s, p);
	}
	quiet = s->queue == NULL && !s->hashing.active;
	if (quiet && s->command == FINISH)
		carry_out_finish(s);
	over = quiet && s->command == BREAK_OFF;
	s->storing.active = over;
	pthread_mutex_unlock(&s->lock);
	if (over)
		session_free(s);
}

/* ---- the loop's side ---- */

enum err_code session_begin(struct session **out, struct request *req, const struct params *p,
			    uint64_t length, int64_t now, struct err *e)
{
	struct server *server = request_server(req);
	const struct settings *set = server_settings(server);
	const uint64_t need = length == HTTP_LENGTH_UNKNOWN ? 0 : length;
	struct session *s;

	if (need > set->upload_max)
		return err_set(e, ERR_TOOBIG, "announced more than upload.max");
	if (atomic_load(&server->disk_free) < set->upload_min_free + need)
		return err_set(e, ERR_FULL, "less than upload.min_free would be left");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(e, ERR_NOMEM, "session");
	s->server = server;
	s->req = req;
	s->announced = length;
	s->apart = length >= APART_MIN; /* an unknown one too */
	s->max = set->upload_max;
	s->keep = true;
	s->digest_expected = p->digest_given;
	s->expected = p->digest;
	randombytes_buf(s->rec.id.b, sizeof(s->rec.id.b));
	s->rec.length = length == HTTP_LENGTH_UNKNOWN ? UPLOAD_LENGTH_UNKNOWN : length;
	s->rec.created_s = now;
	s->rec.expires_s = now + (int64_t)p->ttl_s;
	s->rec.kind = (uint8_t)p->kind;
	s->rec.recipients = p->recipients;
	pthread_mutex_init(&s->lock, NULL);
	digest_init(&s->digester);
	*out = s;
	return ERR_OK;
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

static enum session_state out_of_memory(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->state = SESSION_FAILED;
	s->error = ERR_NOMEM;
	pthread_mutex_unlock(&s->lock);
	return SESSION_FAILED;
}

enum session_state session_take(struct session *s, const uint8_t *data, size_t *n)
{
	enum session_state state;
	struct chunk *c;
	size_t k;

	if (s->received + *n > s->max) {
		pthread_mutex_lock(&s->lock);
		s->state = SESSION_FAILED;
		s->error = ERR_TOOBIG;
		pthread_mutex_unlock(&s->lock);
		*n = 0;
		return SESSION_FAILED;
	}
	while (*n > 0) {
		if (s->filling == NULL && (s->filling = piece_new(s->received)) == NULL) {
			*n = 0;
			return out_of_memory(s);
		}
		c = s->filling->chunk;
		if (c->len == c->cap && !piece_grow(s->filling, s->announced, s->server)) {
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

enum session_state session_finish(struct session *s)
{
	enum session_state state;

	pthread_mutex_lock(&s->lock);
	state = s->state;
	if (state == SESSION_GOES_ON) {
		s->command = FINISH;
		s->waiting = true;
		request_wait(s->req);
		take_turn(s, &s->storing, store_turn);
		state = SESSION_WAITS;
	}
	pthread_mutex_unlock(&s->lock);
	return state;
}

enum err_code session_error(struct session *s)
{
	enum err_code code;

	pthread_mutex_lock(&s->lock);
	code = s->error;
	pthread_mutex_unlock(&s->lock);
	return code;
}

const struct upload *session_upload(const struct session *s)
{
	return s->done;
}

void session_end(struct session *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	assert(!s->waiting);
	metric_add(s->state == SESSION_FINISHED ? METRIC_UPLOADS : METRIC_UPLOADS_FAILED, 1);
	s->command = BREAK_OFF;
	/* a worker frees it: giving bytes back may wait for the disk */
	take_turn(s, &s->storing, store_turn);
	pthread_mutex_unlock(&s->lock);
}
