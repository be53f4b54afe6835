#include "server/fetch_inside.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/range.h"

/* ---- which upload; for readers ---- */

/* f->media becomes this record, whatever it was: it is nobody else's. Takes it over. */
static enum err_code become(struct fetch *f, struct upload *u, struct err *e)
{
	struct media *m = media_of(u);

	if (m == NULL)
		return err_set(e, ERR_NOMEM, "a record");
	media_unref(f->media);
	f->media = f->body.media = m;
	return ERR_OK;
}

/* Whoever finishes or drops it from here on tells us; it may have happened just before. */
static enum err_code join(struct fetch *f, struct upload **u, struct err *e)
{
	f->follower = live_join(f->server->live, &f->id, f->req, clock_mono_ms());
	upload_free(*u);
	*u = NULL;
	if (f->follower == NULL)
		return err_set(e, ERR_NOMEM, "a follower");
	return store_lookup(f->server->store, &f->id, u, e);
}

static enum err_code renew(struct fetch *f, struct err *e)
{
	struct upload *u = NULL;
	enum err_code rc = store_lookup(f->server->store, &f->id, &u, e);

	if (rc != ERR_OK)
		return rc;
	if (clock_now_s() >= u->expires_s) {
		upload_free(u);
		return err_set(e, ERR_NOTFOUND, "its time is over");
	}
	f->end_s = u->expires_s;
	return become(f, u, e);
}

/* Whoever finishes it tells first that, and then until when it is there. */
static enum err_code follow(struct fetch *f, struct err *e)
{
	const uint64_t durable = f->media->upload->offset, length = f->media->upload->length;
	enum err_code rc;

	/* so that it is cut also while its client takes nothing */
	f->running = running_enter(f->server->running, &f->id, f->end_s, f->req);
	if (f->running == NULL)
		return err_set(e, ERR_NOMEM, "a follower");
	if (live_learn(f->follower, durable, length))
		return ERR_OK;
	rc = renew(f, e);
	if (rc == ERR_OK)
		running_finished(f->server->running, &f->id, f->end_s);
	return rc;
}

enum err_code fetch_live_found(struct fetch *f, struct upload *u, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (request_method(f->req) == HTTP_GET)
		rc = join(f, &u, e);
	if (rc != ERR_OK || u->finished) {
		live_leave(f->follower);
		f->follower = NULL;
		if (rc == ERR_OK)
			f->media = media_put(f->server->media, u, f->epoch);
		return rc;
	}
	f->live = true;
	f->end_s = u->expires_s;
	rc = become(f, u, e);
	return rc == ERR_OK && f->follower != NULL ? follow(f, e) : rc;
}

/* ---- what lies behind what is at hand ---- */

static enum err_code load_page(struct fetch *f, struct err *e)
{
	chunk_unref(f->body.page.chunk); /* of another place, which nobody came back to */
	f->body.page.chunk = NULL;
	return page_load(f->server, f->media, f->missing, &f->wait, &f->body.page, e);
}

#define TRIES 3

/* When it was finished its bytes may have become those of another: then what we know of where they
 * lie is not so any more, and that may be so just after we looked. */
static enum err_code load(struct fetch *f, struct err *e)
{
	bool known = f->missing < f->media->upload->offset;
	enum err_code rc = ERR_OK;

	for (; f->tries < TRIES; f->tries++) {
		if (!known)
			rc = renew(f, e);
		if (rc == ERR_OK && f->missing >= f->media->upload->offset)
			rc = err_set(e, ERR_IO, "the record has less than was durable");
		if (rc != ERR_OK)
			return rc;
		rc = load_page(f, e);
		if (rc != ERR_NOTFOUND)
			return rc;
		known = false;
	}
	return rc;
}

static void note_failure(struct fetch *f, enum err_code rc, const struct err *e)
{
	f->rc = rc;
	if (f->rc == ERR_OK)
		return;
	metric_add(METRIC_LIVE_CUT, 1);
	if (f->rc != ERR_NOTFOUND && f->rc != ERR_DELETED)
		log_warn("event=fetch_failed call=follow error=\"%s\"", e->why);
}

static void load_behind(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };
	enum err_code rc = load(f, &e);

	if (rc == ERR_BUSY)
		return;
	note_failure(f, rc, &e);
	request_wake(f->req);
}

static void look_again(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };

	note_failure(f, renew(f, &e), &e);
	request_wake(f->req);
}

/* ---- following ---- */

static enum reply_read hand_over(struct fetch *f, void (*run)(struct job *))
{
	fetch_hand_to_reader(f, run);
	return REPLY_WAIT;
}

static enum reply_read from_behind(struct fetch *f, uint64_t at, uint64_t max,
				   struct reply_piece *out)
{
	if (at < f->media->upload->offset && body_bytes(&f->body, at, max, out))
		return REPLY_PIECE;
	f->missing = at;
	f->tries = 0;
	return hand_over(f, load_behind);
}

/* live_next() comes before all else: what has been asked of it is void then, and the request may
 * wait for somebody else. */
static enum reply_read read_content(struct fetch *f, uint64_t at, uint64_t max,
				    struct reply_piece *out)
{
	const enum live_next next = live_next(f->follower, at, &max, out);

	switch (next) {
	case LIVE_WAIT:
		return REPLY_IDLE;
	case LIVE_END:
		return REPLY_END;
	case LIVE_CUT:
		return REPLY_CUT;
	case LIVE_HERE:
	case LIVE_BEHIND:
		break;
	}
	if (clock_now_s() >= f->end_s) { /* which every commit moves */
		if (next == LIVE_HERE)
			chunk_unref(out->chunk);
		return hand_over(f, look_again);
	}
	return next == LIVE_BEHIND ? from_behind(f, at, max, out) : REPLY_PIECE;
}

static enum reply_read read_live(void *ctx, uint64_t pos, struct reply_piece *out)
{
	struct fetch *f = ctx;
	uint64_t at, end;

	if (f->rc != ERR_OK)
		return REPLY_CUT;
	if (pos >= f->body.size)
		return REPLY_END;
	if (body_content(&f->body, pos, &at, &end))
		return read_content(f, at, end - at, out);
	return body_piece(&f->body, pos, out) ? REPLY_PIECE : REPLY_CUT;
}

/* ---- answers ---- */

static struct reply *reply_live(int status)
{
	struct reply *r = reply_new(status);

	if (r == NULL)
		return NULL;
	reply_header(r, "Cache-Control", "no-store");
	if (status == 304)
		return r;
	reply_header(r, "Accept-Ranges", "bytes");
	reply_header(r, "X-Accel-Buffering", "no"); /* nginx is to pass on what has come */
	reply_header(r, "X-Content-Type-Options", "nosniff");
	reply_header(r, "Content-Disposition", "attachment");
	reply_header(r, "Cross-Origin-Resource-Policy", "cross-origin");
	return r;
}

/* Its Content-Length is that of the answer which it stands for, or none (RFC 9110 section 8.6). */
static enum http_next send_not_modified(struct fetch *f)
{
	const uint64_t length = f->media->upload->length;
	struct reply *r = reply_live(304);

	if (r == NULL)
		return HTTP_CUT;
	r->kind = REPLY_STREAM;
	r->size = length == UPLOAD_LENGTH_UNKNOWN ? REPLY_SIZE_UNKNOWN : length;
	return request_reply(f->req, r);
}

/* The reader of f->body, which is `size` bytes of an answer. */
static enum http_next send_size(struct fetch *f, uint64_t size)
{
	struct reply *r = f->reply;

	f->reply = NULL;
	if (request_method(f->req) == HTTP_HEAD) {
		r->kind = REPLY_STREAM;
		r->size = size;
	} else if (size > 0) {
		metric_add(METRIC_LIVE, 1);
		reply_stream(r, size, read_live, f);
	}
	return request_reply(f->req, r);
}

static enum http_next send_whole(struct fetch *f)
{
	const uint64_t length = f->media->upload->length;
	const bool known = length != UPLOAD_LENGTH_UNKNOWN;

	f->reply = reply_live(200);
	if (f->reply == NULL)
		return HTTP_CUT;
	reply_header(f->reply, "Content-Type", "application/octet-stream");
	if (!known)
		body_range(&f->body, f->server, f->media, (struct range){ 0, UINT64_MAX - 1 });
	else if (length > 0)
		body_range(&f->body, f->server, f->media, (struct range){ 0, length - 1 });
	return send_size(f, known ? length : REPLY_SIZE_UNKNOWN);
}

/* One range, of which the last byte may not have come, or may never. */
static enum http_next send_range(struct fetch *f, struct range r, const char *of, bool open)
{
	f->reply = reply_live(206);
	if (f->reply == NULL)
		return HTTP_CUT;
	reply_header(f->reply, "Content-Type", "application/octet-stream");
	reply_headerf(f->reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%s", r.first,
		      r.last, of);
	body_range(&f->body, f->server, f->media, r);
	return send_size(f, open ? REPLY_SIZE_UNKNOWN : f->body.size);
}

static enum http_next send_ranges(struct fetch *f, const struct range *r, size_t count)
{
	const uint64_t length = f->media->upload->length;
	char text[24];

	if (count == 1) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, length);
		return send_range(f, r[0], text, false);
	}
	f->reply = reply_live(206);
	if (f->reply == NULL || !fetch_add_ranges(f, r, count, length))
		return HTTP_CUT;
	return send_size(f, f->body.size);
}

static enum http_next refuse_range(struct fetch *f)
{
	const uint64_t length = f->media->upload->length;
	struct reply *r = problem_reply(416, NULL, NULL);

	/* there is no way to say that there is no end yet (RFC 9110 section 14.4) */
	if (r != NULL && length != UPLOAD_LENGTH_UNKNOWN)
		reply_headerf(r, "Content-Range", "bytes */%" PRIu64, length);
	return request_reply(f->req, r);
}

static enum http_next send_of_known_length(struct fetch *f, const char *v, size_t n)
{
	struct range ranges[RANGE_MAX];
	size_t count = 0;

	switch (range_parse(ranges, &count, v, n, f->media->upload->length)) {
	case RANGE_UNSATISFIABLE:
		return refuse_range(f);
	case RANGE_SOME:
		return send_ranges(f, ranges, count);
	case RANGE_NONE:
		break;
	}
	return send_whole(f);
}

static enum http_next send_of_unknown_length(struct fetch *f, const char *v, size_t n)
{
	struct range r;
	bool open;

	switch (range_parse_growing(&r, &open, v, n, f->media->upload->offset)) {
	case RANGE_UNSATISFIABLE:
		return refuse_range(f);
	case RANGE_SOME:
		return send_range(f, r, "*", open);
	case RANGE_NONE:
		break;
	}
	return send_whole(f);
}

/* Its digest is not known, so it has no entity tag that a list could name, and none of our making
 * is behind an If-Range. */
enum http_next fetch_live_decide(struct fetch *f)
{
	const int status = fetch_condition(f, NULL);
	const char *v;
	size_t n;

	if (status == 412)
		return request_reply(f->req, problem_reply(412, NULL, NULL));
	if (status == 304)
		return send_not_modified(f);
	v = request_method(f->req) == HTTP_GET ? request_header(f->req, "Range", &n, NULL) : NULL;
	if (v == NULL || !fetch_if_range_holds(f, NULL))
		return send_whole(f);
	return f->media->upload->length == UPLOAD_LENGTH_UNKNOWN ? send_of_unknown_length(f, v, n)
								 : send_of_known_length(f, v, n);
}
