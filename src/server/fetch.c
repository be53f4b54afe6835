#include "server/fetch_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "server/server.h"
#include "server/tokens.h"

struct fetch *fetch_of_job(struct job *job)
{
	return JOB_OWNER(job, struct fetch, job);
}

void fetch_hand_to_reader(struct fetch *f, void (*run)(struct job *))
{
	request_wait(f->req);
	f->job.run = run;
	workers_submit(f->server->readers, &f->job);
}

/* ---- which upload ---- */

/* The path's token, or that of `Authorization: Bearer` (RFC 6750 section 2.1). */
static const char *token_text_of(struct request *req, size_t *n)
{
	const char *v = request_param(req, n);

	if (v != NULL)
		return v;
	v = request_header(req, "Authorization", n, NULL);
	if (v == NULL || *n < 7 || strncasecmp(v, "Bearer ", 7) != 0)
		return NULL;
	*n -= 7;
	return v + 7;
}

static bool verified(struct request *req, enum token_type type, int64_t now, struct upload_id *id)
{
	size_t n = 0;
	const char *text = token_text_of(req, &n);

	return text != NULL &&
	       tokens_verify(id, text, n, type, now, server_keys(request_server(req)));
}

/* Most uploads are fetched once: a short one's bytes are read on the errand that finds its record,
 * so that loop and readers wait for each other once. */
static bool is_read_ahead(struct fetch *f)
{
	const struct upload *u = f->media->upload;

	return f->plain && !f->live && u->extent_count == 1 && u->offset <= CHUNK_MAX &&
	       pages_have_room(f->server) && !page_cached(f->server, f->media, 0, &f->body.page);
}

static void read_ahead(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };
	enum err_code rc = page_load(f->server, f->media, 0, &f->wait, &f->body.page, &e);

	if (rc == ERR_BUSY)
		return;
	if (rc != ERR_OK)
		log_warn("event=fetch_failed call=read error=\"%s\"", e.why);
	f->rc = rc;
	request_wake(f->req);
}

static void look_up(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct upload *u;
	struct err e = { 0 };

	f->rc = store_lookup(f->server->store, &f->id, &u, &e);
	if (f->rc == ERR_OK && !u->finished && f->by_upload) {
		upload_free(u);
		f->rc = ERR_NOTFOUND;
	} else if (f->rc == ERR_OK && !u->finished)
		f->rc = fetch_live_found(f, u, &e);
	else if (f->rc == ERR_OK)
		f->media = media_put(f->server->media, u, f->epoch);
	if (f->rc != ERR_OK && f->rc != ERR_NOTFOUND && f->rc != ERR_DELETED)
		log_warn("event=fetch_failed call=lookup error=\"%s\"", e.why);
	if (f->media == NULL || !is_read_ahead(f)) {
		request_wake(f->req);
		return;
	}
	f->job.run = read_ahead;
	read_ahead(job);
}

bool fetch_alive(const struct media *m, int64_t now_s)
{
	return m->upload->finished && now_s < m->upload->expires_s;
}

/* ---- the way of a request ---- */

/* What is known without waiting; NULL: a reader is to look it up, and to say what is wrong. */
static struct media *known(struct server *s, const struct upload_id *id)
{
	struct media *m = media_get(s->media, id);
	const uint64_t epoch = m == NULL ? media_epoch(s->media, id) : 0;
	struct upload *u = NULL;
	struct err e;

	if (m != NULL || store_lookup_now(s->store, id, &u, &e) != ERR_OK)
		return m;
	if (u->finished)
		return media_put(s->media, u, epoch);
	upload_free(u);
	return NULL;
}

/* Whether it asks for all of it, whatever it is. */
static bool plain(struct request *req)
{
	static const char *const fields[] = { "Range", "If-Match", "If-None-Match" };
	size_t n;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (request_header(req, fields[i], &n, NULL) != NULL)
			return false;
	return request_method(req) == HTTP_GET;
}

/* The short way: this minute's answer is there already. */
static struct reply *ready_reply(struct request *req, const struct media *m, int64_t now_s)
{
	const struct upload *u = m->upload;

	if (u->extent_count != 1 || !plain(req) || !pages_have_room(request_server(req)))
		return NULL;
	return cache_reply(request_server(req)->cache,
			   (struct cache_key){ u->extents[0].locator, u->extents[0].start },
			   u->expires_s, now_s);
}

static struct fetch *fetch_new(struct request *req, const struct upload_id *id, int64_t now_s)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->req = req;
	f->server = request_server(req);
	f->wait.job = &f->job;
	f->id = *id;
	f->now_s = now_s;
	request_set_ctx(req, f);
	return f;
}

static enum http_next start(struct request *req, enum token_type type)
{
	struct server *s = request_server(req);
	const int64_t now = clock_now_s();
	struct upload_id id;
	struct media *m;
	struct reply *r;
	struct fetch *f;

	if (!verified(req, type, now, &id))
		return request_reply(req, problem_not_found());
	m = known(s, &id);
	if (m != NULL && !fetch_alive(m, now)) {
		media_unref(m);
		return request_reply(req, problem_not_found());
	}
	r = m == NULL || type == TOKEN_UPLOAD ? NULL : ready_reply(req, m, now);
	if (r != NULL) {
		metric_add(METRIC_CACHE_HITS, 1);
		media_unref(m);
		return request_reply(req, r);
	}
	f = fetch_new(req, &id, now);
	if (f == NULL) {
		media_unref(m);
		return HTTP_CUT;
	}
	f->by_upload = type == TOKEN_UPLOAD;
	f->media = m;
	if (m != NULL)
		return fetch_decide(f);
	f->epoch = media_epoch(s->media, &id);
	f->plain = plain(req);
	f->step = LOOKED_UP;
	fetch_hand_to_reader(f, look_up);
	return HTTP_WAIT;
}

static enum http_next looked_up(struct fetch *f)
{
	if (f->rc != ERR_OK)
		return request_reply(f->req, problem_of(f->rc));
	if (f->media == NULL)
		return HTTP_CUT;
	f->now_s = clock_now_s();
	if (f->live && f->now_s < f->end_s)
		return fetch_live_decide(f);
	if (!fetch_alive(f->media, f->now_s))
		return request_reply(f->req, problem_not_found());
	return fetch_decide(f);
}

static enum http_next head_of(struct request *req, enum token_type type)
{
	struct fetch *f = request_ctx(req);

	if (f == NULL)
		return start(req, type);
	if (f->step == CONFIRMED)
		return fetch_confirmed(f);
	return f->step == LOOKED_UP ? looked_up(f) : fetch_loaded(f);
}

static enum http_next head(struct request *req)
{
	return head_of(req, TOKEN_FETCH);
}

static enum http_next head_upload(struct request *req)
{
	return head_of(req, TOKEN_UPLOAD);
}

static void gone(struct request *req)
{
	struct fetch *f = request_ctx(req);

	live_leave(f->follower);
	running_leave(f->running);
	ahead_free(f->ahead);
	load_wait_drop(&f->wait);
	body_fini(&f->body);
	reply_unref(f->reply);
	media_unref(f->media);
	free(f);
}

const struct handler fetch_handler = { .head = head, .gone = gone, .fetches = true };
const struct handler fetch_upload_handler = { .head = head_upload, .gone = gone, .fetches = true };
