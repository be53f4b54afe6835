#include "server/fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "server/body.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "server/running.h"
#include "server/server.h"
#include "wire/digest_header.h"
#include "wire/etag.h"
#include "wire/token.h"

/* An answer kept for reuse promises max-age to the end of its minute, so it never outlives the
 * blob by being a little old. */
#define REUSE_SECONDS 60
#define ETAG_SIZE (HEX_LEN(32) + 3)
/* Shorter answers are the kernel's at once, and nothing is left to be cut. */
#define LONG_ANSWER ((uint64_t)256 << 10)

enum step { START, LOOKED_UP, CONFIRMED, LOADED, STREAMING };

struct fetch {
	struct request *req;
	struct server *server;
	struct job job;
	enum step step;
	struct upload_id id;
	uint64_t epoch;
	struct media *media;
	int64_t now_s;
	int64_t end_s;                  /* of the upload, as far as is known */
	struct running_answer *running; /* of a long answer */
	bool by_upload; /* by the upload's own URL, which answers otherwise before and after */
	bool whole;     /* 200 with all of it: the answer may be reused */
	struct reply *reply;
	struct body body;
	uint64_t missing; /* content offset of the page a worker is to load */
	enum err_code rc;
};

static struct fetch *fetch_of_job(struct job *job)
{
	return JOB_OWNER(job, struct fetch, job);
}

static void hand_to_reader(struct fetch *f, void (*run)(struct job *))
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
	struct token t;
	size_t n = 0;
	const char *text = token_text_of(req, &n);

	if (text == NULL || token_verify(&t, text, n, type, now, keys_find,
					 server_keys(request_server(req))) != ERR_OK)
		return false;
	*id = t.upload;
	return true;
}

static void look_up(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct upload *u;
	struct err e = { 0 };

	f->rc = store_lookup(f->server->store, &f->id, &u, &e);
	if (f->rc == ERR_OK && !u->finished) {
		upload_free(u); /* it changes: not for the table */
		f->rc = ERR_NOTFOUND;
	} else if (f->rc == ERR_OK)
		f->media = media_put(f->server->media, u, f->epoch);
	else if (f->rc != ERR_NOTFOUND && f->rc != ERR_DELETED)
		log_warn("event=fetch_failed call=lookup error=\"%s\"", e.why);
	request_wake(f->req);
}

static bool alive(const struct media *m, int64_t now_s)
{
	return m->upload->finished && now_s < m->upload->expires_s;
}

/* ---- what is said of it ---- */

static void etag_of(const struct upload *u, char out[static ETAG_SIZE])
{
	out[0] = '"';
	hex_encode(out + 1, u->digest.b, sizeof(u->digest.b));
	memcpy(out + 1 + HEX_LEN(sizeof(u->digest.b)), "\"", 2);
}

static int64_t end_of_reuse(int64_t now_s)
{
	return (now_s / REUSE_SECONDS + 1) * REUSE_SECONDS;
}

static void add_headers(struct fetch *f, struct reply *r)
{
	const struct upload *u = f->media->upload;
	int64_t left = u->expires_s - end_of_reuse(f->now_s);
	char etag[ETAG_SIZE], digest[DIGEST_HEADER_SIZE];

	etag_of(u, etag);
	reply_header(r, "ETag", etag);
	if (f->by_upload)
		reply_header(r, "Cache-Control", "no-store");
	else
		reply_headerf(r, "Cache-Control",
			      "private, immutable, no-transform, max-age=%" PRId64,
			      left > 0 ? left : 0);
	if (r->status == 304)
		return;
	digest_header_format(digest, &u->digest);
	reply_header(r, "Repr-Digest", digest);
	reply_header(r, "Accept-Ranges", "bytes");
	reply_header(r, "X-Content-Type-Options", "nosniff");
	reply_header(r, "Content-Disposition", "attachment");
	reply_header(r, "Cross-Origin-Resource-Policy", "cross-origin");
}

/* ---- sending ---- */

static void load_page(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };

	f->rc = page_load(f->server, f->media, f->missing, &f->body.page, &e);
	if (f->rc != ERR_OK)
		log_warn("event=fetch_failed call=read error=\"%s\"", e.why);
	request_wake(f->req);
}

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

static ssize_t read_block(void *ctx, uint64_t pos, uint8_t *buf, size_t max)
{
	struct fetch *f = ctx;
	size_t n;

	if (f->rc != ERR_OK)
		return REPLY_READ_ERROR;
	if (clock_now_s() >= f->end_s) { /* which may have been moved */
		hand_to_reader(f, look_again);
		return REPLY_READ_WAIT;
	}
	n = body_copy(&f->body, pos, buf, max, &f->missing);
	if (n == 0) {
		hand_to_reader(f, load_page);
		return REPLY_READ_WAIT;
	}
	return (ssize_t)n;
}

/* A reply to a whole, short fetch answers the next ones too. One that was put together begins where
 * its first part does, and would be taken for that. */
static void keep_for_reuse(struct fetch *f)
{
	const struct upload *u = f->media->upload;

	if (f->whole && u->extent_count == 1 && f->reply->chunk_count == 1)
		cache_attach(f->server->cache,
			     (struct cache_key){ u->extents[0].locator, u->extents[0].start },
			     f->reply, u->expires_s, end_of_reuse(f->now_s));
}

static enum http_next send_reply(struct fetch *f)
{
	struct reply *r = f->reply;

	f->reply = NULL;
	return request_reply(f->req, r);
}

static enum http_next send_in_blocks(struct fetch *f)
{
	f->step = STREAMING;
	reply_stream(f->reply, f->body.size, read_block, f);
	return send_reply(f);
}

static void load_short(struct job *job)
{
	struct fetch *f = fetch_of_job(job);
	struct err e = { 0 };

	f->rc = body_load(&f->body, f->reply, &e);
	if (f->rc != ERR_OK && f->rc != ERR_TOOBIG)
		log_warn("event=fetch_failed call=read error=\"%s\"", e.why);
	request_wake(f->req);
}

static enum http_next loaded(struct fetch *f)
{
	if (f->rc == ERR_TOOBIG) {
		f->rc = ERR_OK;
		return send_in_blocks(f);
	}
	if (f->rc != ERR_OK)
		return request_reply(f->req, problem_of(f->rc));
	if (!alive(f->media, clock_now_s())) /* reading may have taken a while */
		return request_reply(f->req, problem_not_found());
	keep_for_reuse(f);
	return send_reply(f);
}

static enum http_next send_content(struct fetch *f)
{
	if (!body_is_short(&f->body))
		return send_in_blocks(f);
	if (body_attach(&f->body, f->reply)) {
		keep_for_reuse(f);
		return send_reply(f);
	}
	f->step = LOADED;
	hand_to_reader(f, load_short);
	return HTTP_WAIT;
}

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
		hand_to_reader(f, look_again);
		return HTTP_WAIT;
	}
	media_unref(m);
	return send_content(f);
}

static enum http_next confirmed(struct fetch *f)
{
	if (f->rc == ERR_OK)
		return send_content(f);
	running_leave(f->running);
	f->running = NULL;
	return request_reply(f->req, problem_of(f->rc));
}

static enum http_next send_body(struct fetch *f)
{
	f->end_s = f->media->upload->expires_s;
	if (f->body.size == 0 || request_method(f->req) == HTTP_HEAD) {
		f->reply->kind = f->body.size == 0 ? REPLY_EMPTY : REPLY_STREAM;
		f->reply->size = f->body.size;
		return send_reply(f);
	}
	return f->body.size > LONG_ANSWER ? send_long(f) : send_content(f);
}

/* ---- conditions and ranges, in the order of RFC 9110 section 13.2.2 ---- */

/* There is no modification date, so the conditions on one do not apply (sections 13.1.3, 13.1.4).
 */
static bool any_line_has(struct fetch *f, const char *field, const char *etag,
			 enum etag_compare how, bool *there)
{
	const char *v;
	size_t n;

	*there = false;
	for (unsigned i = 0; (v = request_header_line(f->req, field, i, &n)) != NULL; i++) {
		*there = true;
		if (etag_list_has(v, n, etag, how))
			return true;
	}
	return false;
}

static int condition(struct fetch *f, const char *etag)
{
	bool there;

	if (!any_line_has(f, "If-Match", etag, ETAG_STRONG, &there) && there)
		return 412;
	return any_line_has(f, "If-None-Match", etag, ETAG_WEAK, &there) ? 304 : 200;
}

static bool if_range_holds(struct fetch *f, const char *etag)
{
	size_t n;
	const char *v = request_header(f->req, "If-Range", &n, NULL);

	return v == NULL || (n == strlen(etag) && memcmp(v, etag, n) == 0);
}

static enum http_next send_status(struct fetch *f, int status)
{
	struct reply *r = reply_new(status);

	if (r == NULL)
		return HTTP_CUT;
	add_headers(f, r);
	r->kind = REPLY_STREAM; /* its size is told, its bytes are not sent */
	r->size = f->media->upload->offset;
	return request_reply(f->req, r);
}

static enum http_next refuse_condition(struct fetch *f)
{
	struct reply *r = problem_reply(412, NULL, NULL);

	return request_reply(f->req, r);
}

static enum http_next refuse_range(struct fetch *f)
{
	struct reply *r = problem_reply(416, NULL, NULL);

	if (r != NULL)
		reply_headerf(r, "Content-Range", "bytes */%" PRIu64, f->media->upload->offset);
	return request_reply(f->req, r);
}

static enum http_next send_whole(struct fetch *f)
{
	f->reply = reply_new(200);
	if (f->reply == NULL)
		return HTTP_CUT;
	f->whole = !f->by_upload;
	add_headers(f, f->reply);
	reply_header(f->reply, "Content-Type", "application/octet-stream");
	body_whole(&f->body, f->server, f->media);
	return send_body(f);
}

static enum http_next send_ranges(struct fetch *f, const struct range *r, size_t count)
{
	char boundary[HEX_LEN(16) + 1];
	uint8_t random[16];

	f->reply = reply_new(206);
	if (f->reply == NULL)
		return HTTP_CUT;
	add_headers(f, f->reply);
	if (count == 1) {
		reply_header(f->reply, "Content-Type", "application/octet-stream");
		reply_headerf(f->reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			      r[0].first, r[0].last, f->media->upload->offset);
		body_range(&f->body, f->server, f->media, r[0]);
		return send_body(f);
	}
	randombytes_buf(random, sizeof(random));
	hex_encode(boundary, random, sizeof(random));
	reply_headerf(f->reply, "Content-Type", "multipart/byteranges; boundary=%s", boundary);
	if (!body_ranges(&f->body, f->server, f->media, r, count, boundary))
		return HTTP_CUT;
	return send_body(f);
}

static enum http_next decide(struct fetch *f)
{
	const struct upload *u = f->media->upload;
	struct range ranges[RANGE_MAX];
	char etag[ETAG_SIZE];
	const char *v;
	size_t n, count = 0;

	etag_of(u, etag);
	switch (condition(f, etag)) {
	case 412:
		return refuse_condition(f);
	case 304:
		return send_status(f, 304);
	default:
		break;
	}
	v = request_method(f->req) == HTTP_GET ? request_header(f->req, "Range", &n, NULL) : NULL;
	if (v == NULL || !if_range_holds(f, etag))
		return send_whole(f);
	switch (range_parse(ranges, &count, v, n, u->offset)) {
	case RANGE_UNSATISFIABLE:
		return refuse_range(f);
	case RANGE_SOME:
		return send_ranges(f, ranges, count);
	case RANGE_NONE:
		break;
	}
	return send_whole(f);
}

/* ---- the way of a request ---- */

static bool conditional(struct request *req)
{
	static const char *const fields[] = { "Range", "If-Match", "If-None-Match" };
	size_t n;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (request_header(req, fields[i], &n, NULL) != NULL)
			return true;
	return false;
}

/* The short way: this minute's answer is there already. */
static struct reply *ready_reply(struct request *req, const struct media *m, int64_t now_s)
{
	const struct upload *u = m->upload;

	if (u->extent_count != 1 || request_method(req) != HTTP_GET || conditional(req) ||
	    !pages_have_room(request_server(req)))
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
	m = media_get(s->media, &id);
	if (m != NULL && !alive(m, now)) {
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
		return decide(f);
	f->epoch = media_epoch(s->media, &id);
	f->step = LOOKED_UP;
	hand_to_reader(f, look_up);
	return HTTP_WAIT;
}

static enum http_next looked_up(struct fetch *f)
{
	if (f->rc != ERR_OK)
		return request_reply(f->req, problem_of(f->rc));
	if (f->media == NULL)
		return HTTP_CUT;
	f->now_s = clock_now_s();
	if (!alive(f->media, f->now_s))
		return request_reply(f->req, problem_not_found());
	return decide(f);
}

static enum http_next head_of(struct request *req, enum token_type type)
{
	struct fetch *f = request_ctx(req);

	if (f == NULL)
		return start(req, type);
	if (f->step == CONFIRMED)
		return confirmed(f);
	return f->step == LOOKED_UP ? looked_up(f) : loaded(f);
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

	running_leave(f->running);
	body_fini(&f->body);
	reply_unref(f->reply);
	media_unref(f->media);
	free(f);
}

const struct handler fetch_handler = { .head = head, .gone = gone, .fetches = true };
const struct handler fetch_upload_handler = { .head = head_upload, .gone = gone, .fetches = true };
