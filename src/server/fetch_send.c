#include "server/fetch_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/problem.h"
#include "server/server.h"

#define REUSE_SECONDS 60
/* Shorter answers are the kernel's at once, and nothing is left to be cut. */
#define LONG_ANSWER ((uint64_t)256 << 10)

int64_t fetch_end_of_reuse(int64_t now_s)
{
	return (now_s / REUSE_SECONDS + 1) * REUSE_SECONDS;
}

/* A reply to a whole, short fetch answers the next ones too. One that was put together begins where
 * its first part does, and would be taken for that. */
static void keep_for_reuse(struct fetch *f)
{
	const struct upload *u = f->media->upload;

	if (f->whole && u->extent_count == 1 && f->reply->chunk_count == 1)
		cache_attach(f->server->cache,
			     (struct cache_key){ u->extents[0].locator, u->extents[0].start },
			     f->reply, u->expires_s, fetch_end_of_reuse(f->now_s));
}

static enum http_next send_reply(struct fetch *f)
{
	struct reply *r = f->reply;

	f->reply = NULL;
	return request_reply(f->req, r);
}

/* ---- piece by piece, as it goes ---- */

/* For readers: whether it is still there, and until when. */
static void look_again(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct upload *u = NULL;
	struct err e = { 0 };

	f->rc = store_lookup(f->server->store, &f->id, &u, &e);
	if (f->rc == ERR_OK && clock_now_s() >= u->expires_s)
		f->rc = ERR_NOTFOUND;
	if (f->rc == ERR_OK)
		f->end_s = u->expires_s;
	else if (f->rc != ERR_NOTFOUND && f->rc != ERR_DELETED)
		log_warn("event=fetch_failed call=lookup error=\"%s\"", e.why);
	upload_free(u);
	request_wake(f->req);
}

/* From memory, or from what a reader has loaded ahead of the socket. */
static enum reply_read next_piece(struct fetch *f, uint64_t pos, struct reply_piece *out)
{
	uint64_t offset, end;
	const bool content = body_content(&f->body, pos, &offset, &end);

	if (content && f->ahead != NULL)
		(void)ahead_take(f->ahead, offset, &f->body.page);
	if (body_piece(&f->body, pos, out))
		return REPLY_PIECE;
	if (f->ahead == NULL)
		f->ahead = ahead_new(f->server, f->media);
	if (f->ahead == NULL || ahead_trouble(f->ahead) != ERR_OK)
		return REPLY_CUT;
	ahead_want(f->ahead, f->req, offset, end);
	return REPLY_WAIT;
}

static enum reply_read read_piece(void *ctx, uint64_t pos, struct reply_piece *out)
{
	struct fetch *f = ctx;

	if (f->rc != ERR_OK)
		return REPLY_CUT;
	if (clock_now_s() >= f->end_s) { /* which may have been moved */
		fetch_hand_to_reader(f, look_again);
		return REPLY_WAIT;
	}
	return next_piece(f, pos, out);
}

static void rest(void *ctx)
{
	struct fetch *f = ctx;

	if (f->ahead != NULL)
		ahead_drop(f->ahead);
}

static enum http_next send_in_pieces(struct fetch *f)
{
	f->step = STREAMING;
	reply_stream(f->reply, f->body.size, read_piece, f);
	f->reply->rest = rest;
	return send_reply(f);
}

/* ---- short ones at once ---- */

static void load_short(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };
	enum err_code rc = body_load(&f->body, f->reply, &f->wait, &e);

	if (rc == ERR_BUSY)
		return;
	if (rc != ERR_OK && rc != ERR_TOOBIG)
		log_warn("event=fetch_failed call=read error=\"%s\"", e.why);
	f->rc = rc;
	request_wake(f->req);
}

enum http_next fetch_loaded(struct fetch *f)
{
	if (f->rc == ERR_TOOBIG) {
		f->rc = ERR_OK;
		return send_in_pieces(f);
	}
	if (f->rc != ERR_OK)
		return request_reply(f->req, problem_of(f->rc));
	if (!fetch_alive(f->media, clock_now_s())) /* reading may have taken a while */
		return request_reply(f->req, problem_not_found());
	keep_for_reuse(f);
	return send_reply(f);
}

static enum http_next send_content(struct fetch *f)
{
	if (!body_is_short(&f->body))
		return send_in_pieces(f);
	if (body_attach(&f->body, f->reply)) {
		keep_for_reuse(f);
		return send_reply(f);
	}
	f->step = LOADED;
	fetch_hand_to_reader(f, load_short);
	return HTTP_WAIT;
}

/* ---- long ones may be cut ---- */

/* From here on it is cut when the upload goes. If it went before, its record is forgotten. */
static enum http_next send_long(struct fetch *f)
{
	struct media *m;

	f->running = running_enter(f->server->running, &f->id, f->end_s, f->req);
	if (f->running == NULL)
		return HTTP_CUT;
	m = media_get(f->server->media, &f->id);
	if (m == NULL) {
		f->step = CONFIRMED;
		fetch_hand_to_reader(f, look_again);
		return HTTP_WAIT;
	}
	media_unref(m);
	return send_content(f);
}

enum http_next fetch_confirmed(struct fetch *f)
{
	if (f->rc == ERR_OK)
		return send_content(f);
	running_leave(f->running);
	f->running = NULL;
	return request_reply(f->req, problem_of(f->rc));
}

enum http_next fetch_send_body(struct fetch *f)
{
	f->end_s = f->media->upload->expires_s;
	if (f->body.size == 0 || request_method(f->req) == HTTP_HEAD) {
		f->reply->kind = f->body.size == 0 ? REPLY_EMPTY : REPLY_STREAM;
		f->reply->size = f->body.size;
		return send_reply(f);
	}
	return f->body.size > LONG_ANSWER ? send_long(f) : send_content(f);
}
