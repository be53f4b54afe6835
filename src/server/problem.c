#include "server/problem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_PREFIX "urn:restante:problem:"

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 400, "Bad Request" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 431, "Request Header Fields Too Large" },
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
	{ ERR_OFFSET, 409, NULL, "The offset is not where the upload stopped." },
	{ ERR_DIGEST, 400, "digest-mismatch",
	  "What arrived does not have the digest that was announced; nothing was kept." },
	{ ERR_TOOBIG, 413, "too-large", "The upload is larger than this server takes." },
	{ ERR_FULL, 507, "storage-full", "There is no room for this upload; nothing was kept." },
	{ ERR_DAMAGED, 500, "damaged", "The stored bytes are damaged." },
	{ ERR_IO, 503, "storage-failed", "The store failed; nothing was kept. Try again." },
};

static const char *title_of(int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

static char *problem_json(int status, const char *slug, const char *detail)
{
	char type[64] = "about:blank";
	json_t *j;
	char *text;

	if (slug != NULL)
		(void)snprintf(type, sizeof(type), TYPE_PREFIX "%s", slug);
	j = json_pack("{s:s, s:s, s:i, s:s*}", "type", type, "title", title_of(status), "status",
		      status, "detail", detail);
	if (j == NULL)
		return NULL;
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

struct reply *problem_reply(int status, const char *slug, const char *detail)
{
	struct reply *r = reply_new(status);
	char *text = problem_json(status, slug, detail);

	if (r == NULL || text == NULL) {
		reply_unref(r);
		free(text);
		return NULL;
	}
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/problem+json");
	reply_header(r, "Cache-Control", "no-store");
	reply_header(r, "X-Content-Type-Options", "nosniff");
	if (status == 429 || status == 503 || status == 507)
		reply_header(r, "Retry-After", status == 507 ? "60" : "5");
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
