#include "server/problem.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/metrics.h"
#include "server/quota.h"

#define TYPE_PREFIX "urn:restante:problem:"
/* Types registered by others are written out. */
#define IANA "https://iana.org/assignments/http-problem-types#"

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 460, "Checksum Mismatch" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

/* What each failure is to a client. Those not listed are 500. */
static const struct {
	enum err_code code;
	int status;
	const char *slug, *detail;
} meanings[] = {
	{ ERR_NOMEM, 503, NULL, "The server is short of memory; try again." },
	{ ERR_INVALID, 400, NULL, "The request is not well formed." },
	{ ERR_NOTFOUND, 404, NULL, NULL },
	{ ERR_FORGED, 404, NULL, NULL },
	{ ERR_EXPIRED, 404, NULL, NULL },
	{ ERR_DELETED, 404, NULL, NULL },
	{ ERR_EXISTS, 409, "grant-in-use",
	  "Another request with this grant is under way, or was quicker." },
	{ ERR_OFFSET, 409, NULL, "The offset is not where the upload stopped." },
	{ ERR_DIGEST, 400, "digest-mismatch",
	  "What arrived does not have the digest that was announced; it was not kept." },
	{ ERR_SUM, 460, "checksum-mismatch",
	  "What arrived in this request does not have the checksum announced; it was not kept." },
	{ ERR_LENGTH, 400, IANA "inconsistent-upload-length",
	  "The upload does not have the length that was announced." },
	{ ERR_TOOBIG, 413, "too-large",
	  "More bytes than this server takes, or than the upload was to have." },
	{ ERR_BUSY, 503, "too-many-uploads", "Too many uploads are unfinished; try again later." },
	{ ERR_LIMIT, 429, "too-many-uploads",
	  "Too many uploads of this client are unfinished; finish or delete some." },
	{ ERR_FULL, 507, "storage-full", "There is no room for this upload; nothing was kept." },
	{ ERR_DAMAGED, 500, "damaged", "The stored bytes are damaged." },
	{ ERR_IO, 503, "storage-failed",
	  "The store failed; nothing was kept but what was acknowledged. Try again." },
};

static const char *title_of(int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

static json_t *problem_json(int status, const char *slug, const char *detail)
{
	char type[128] = "about:blank";

	if (slug != NULL)
		(void)snprintf(type, sizeof(type), "%s%s", strchr(slug, ':') ? "" : TYPE_PREFIX,
			       slug);
	return json_pack("{s:s, s:s, s:i, s:s*}", "type", type, "title", title_of(status), "status",
			 status, "detail", detail);
}

static unsigned retry_after(int status)
{
	return status == 507 ? 60 : status == 429 || status == 503 ? 5 : 0;
}

/* Takes j over. */
static struct reply *reply_of_json(int status, json_t *j, unsigned retry_after_s)
{
	struct reply *r = reply_new(status);
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (r == NULL || text == NULL) {
		reply_unref(r);
		free(text);
		return NULL;
	}
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/problem+json");
	reply_header(r, "Cache-Control", "no-store");
	reply_header(r, "X-Content-Type-Options", "nosniff");
	if (retry_after_s > 0)
		reply_headerf(r, "Retry-After", "%u", retry_after_s);
	return r;
}

struct reply *problem_reply(int status, const char *slug, const char *detail)
{
	return reply_of_json(status, problem_json(status, slug, detail), retry_after(status));
}

struct reply *problem_quota(const struct quota_refusal *why)
{
	json_t *j = problem_json(why->status, "over-quota",
				 why->status == 429
					 ? "What this grant counts against came too fast."
					 : "What this grant counts against has as much as it may; "
					   "delete some, or wait until some is over.");

	metric_add(METRIC_QUOTA_REFUSED, 1);
	if (j != NULL)
		(void)json_object_set_new(j, "limit", json_string(why->limit));
	return reply_of_json(why->status, j, why->retry_after_s);
}

struct reply *problem_with(int status, const char *slug, const char *detail, const char *name,
			   json_t *value)
{
	json_t *j = problem_json(status, slug, detail);

	if (j == NULL)
		json_decref(value);
	else
		(void)json_object_set_new(j, name, value);
	return reply_of_json(status, j, retry_after(status));
}

struct reply *problem_offset(uint64_t expected, uint64_t provided)
{
	json_t *j = problem_json(409, IANA "mismatching-upload-offset",
				 "The offset is not where the upload stopped.");
	struct reply *r;

	if (j != NULL) {
		(void)json_object_set_new(j, "expected-offset", json_integer((json_int_t)expected));
		(void)json_object_set_new(j, "provided-offset", json_integer((json_int_t)provided));
	}
	r = reply_of_json(409, j, 0);
	if (r != NULL)
		reply_headerf(r, "Upload-Offset", "%" PRIu64, expected);
	return r;
}

struct reply *problem_of(enum err_code code)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == code)
			return problem_reply(meanings[i].status, meanings[i].slug,
					     meanings[i].detail);
	return problem_reply(500, NULL, NULL);
}

struct reply *problem_not_found(void)
{
	return problem_of(ERR_NOTFOUND);
}
