#include "server/fetch_inside.h"

#include <inttypes.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "server/problem.h"
#include "server/server.h"
#include "wire/digest_header.h"
#include "wire/etag.h"
#include "wire/range.h"

#define ETAG_SIZE (HEX_LEN(32) + 3)

/* ---- what is said of it ---- */

static void etag_of(const struct upload *u, char out[static ETAG_SIZE])
{
	out[0] = '"';
	hex_encode(out + 1, u->digest.b, sizeof(u->digest.b));
	memcpy(out + 1 + HEX_LEN(sizeof(u->digest.b)), "\"", 2);
}

static void add_headers(struct fetch *f, struct reply *r)
{
	const struct upload *u = f->media->upload;
	int64_t left = u->expires_s - fetch_end_of_reuse(f->now_s);
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

/* ---- conditions ---- */

/* There is no modification date, so the conditions on one do not apply (sections 13.1.3, 13.1.4).
 */
static bool any_line_has(struct fetch *f, const char *field, const char *etag,
			 enum etag_compare how, bool *there)
{
	const char *v;
	size_t n;

	*there = false;
	etag = etag != NULL ? etag : ""; /* which none is */
	for (unsigned i = 0; (v = request_header_line(f->req, field, i, &n)) != NULL; i++) {
		*there = true;
		if (etag_list_has(v, n, etag, how))
			return true;
	}
	return false;
}

int fetch_condition(struct fetch *f, const char *etag)
{
	bool there;

	if (!any_line_has(f, "If-Match", etag, ETAG_STRONG, &there) && there)
		return 412;
	return any_line_has(f, "If-None-Match", etag, ETAG_WEAK, &there) ? 304 : 200;
}

bool fetch_if_range_holds(struct fetch *f, const char *etag)
{
	size_t n;
	const char *v = request_header(f->req, "If-Range", &n, NULL);

	return v == NULL || (etag != NULL && n == strlen(etag) && memcmp(v, etag, n) == 0);
}

/* ---- answers ---- */

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
	return fetch_send_body(f);
}

bool fetch_add_ranges(struct fetch *f, const struct range *r, size_t count, uint64_t size)
{
	char boundary[HEX_LEN(16) + 1];
	uint8_t random[16];

	randombytes_buf(random, sizeof(random));
	hex_encode(boundary, random, sizeof(random));
	reply_headerf(f->reply, "Content-Type", "multipart/byteranges; boundary=%s", boundary);
	return body_ranges(&f->body, f->server, f->media, r, count, size, boundary);
}

static enum http_next send_ranges(struct fetch *f, const struct range *r, size_t count)
{
	f->reply = reply_new(206);
	if (f->reply == NULL)
		return HTTP_CUT;
	add_headers(f, f->reply);
	if (count == 1) {
		reply_header(f->reply, "Content-Type", "application/octet-stream");
		reply_headerf(f->reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			      r[0].first, r[0].last, f->media->upload->offset);
		body_range(&f->body, f->server, f->media, r[0]);
		return fetch_send_body(f);
	}
	return fetch_add_ranges(f, r, count, f->media->upload->offset) ? fetch_send_body(f)
								       : HTTP_CUT;
}

enum http_next fetch_decide(struct fetch *f)
{
	const struct upload *u = f->media->upload;
	struct range ranges[RANGE_MAX];
	char etag[ETAG_SIZE];
	const char *v;
	size_t n, count = 0;

	etag_of(u, etag);
	switch (fetch_condition(f, etag)) {
	case 412:
		return refuse_condition(f);
	case 304:
		return send_status(f, 304);
	default:
		break;
	}
	v = request_method(f->req) == HTTP_GET ? request_header(f->req, "Range", &n, NULL) : NULL;
	if (v == NULL || !fetch_if_range_holds(f, etag))
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
