#include "server/answer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/http.h"
#include "server/server.h"
#include "wire/digest_header.h"

/* Not after: the outer bound, so that an upload whose life is extended keeps its tokens. */
static void mint(const struct request *req, const struct upload *u, enum token_type type,
		 char out[static TOKEN_PLAIN_CHARS + 1])
{
	struct token t = { .type = type, .upload = u->id };
	const uint8_t *key = keys_current(server_keys(request_server(req)), &t.key_id);
	int64_t until = u->created_s + (int64_t)request_settings(req)->upload_ttl_max;

	if (until < u->expires_s)
		until = u->expires_s;
	t.not_after = until > UINT32_MAX ? UINT32_MAX : (uint32_t)until;
	token_mint(out, &t, key);
}

static char *json(const struct upload *u, const char *fetch, const char *manage)
{
	char hex[HEX_LEN(sizeof(u->digest.b)) + 1], expires[CLOCK_RFC3339_SIZE];
	json_t *j;
	char *text;

	hex_encode(hex, u->digest.b, sizeof(u->digest.b));
	clock_rfc3339(expires, u->expires_s);
	j = json_pack("{s:s, s:s, s:I, s:s, s:s}", "token", fetch, "manage_token", manage, "size",
		      (json_int_t)u->offset, "sha256", hex, "expires_at", expires);
	text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(j);
	return text;
}

/* The JSON and a newline, for people who read it in a terminal. */
static char *with_newline(char *text)
{
	size_t n = text == NULL ? 0 : strlen(text);
	char *longer = text == NULL ? NULL : realloc(text, n + 2);

	if (longer == NULL) {
		free(text);
		return NULL;
	}
	memcpy(longer + n, "\n", 2);
	return longer;
}

void answer_location(char out[static ANSWER_LOCATION_SIZE], const struct request *req,
		     const struct upload *u)
{
	char token[TOKEN_PLAIN_CHARS + 1];

	mint(req, u, TOKEN_UPLOAD, token);
	(void)snprintf(out, ANSWER_LOCATION_SIZE, "/v1/uploads/%s", token);
}

void answer_add_location(struct reply *r, const struct request *req, const struct upload *u)
{
	char location[ANSWER_LOCATION_SIZE];

	answer_location(location, req, u);
	if (r != NULL)
		reply_header(r, "Location", location);
}

void answer_mint(struct answer_tokens *out, const struct request *req, const struct upload *u)
{
	mint(req, u, TOKEN_FETCH, out->fetch);
	mint(req, u, TOKEN_MANAGE, out->manage);
}

void answer_add_tokens(struct reply *r, const struct request *req, const struct upload *u)
{
	struct answer_tokens t;

	answer_mint(&t, req, u);
	if (r == NULL)
		return;
	reply_header(r, "Media-Token", t.fetch);
	reply_header(r, "Media-Manage-Token", t.manage);
}

void answer_add_offset(struct reply *r, uint64_t offset)
{
	if (r != NULL)
		reply_headerf(r, "Upload-Offset", "%" PRIu64, offset);
}

void answer_add_state(struct reply *r, const struct upload *u)
{
	char digest[DIGEST_HEADER_SIZE], expires[CLOCK_HTTP_SIZE];

	if (r == NULL)
		return;
	clock_http(expires, u->expires_s);
	reply_header(r, "Upload-Expires", expires);
	reply_header(r, "Cache-Control", "no-store");
	if (!u->finished)
		return;
	digest_header_format(digest, &u->digest);
	reply_header(r, "Repr-Digest", digest);
}

void answer_add_sent(struct reply *r, const char *name, struct bytes value)
{
	char *text = value.len == 0 ? NULL : strndup((const char *)value.data, value.len);

	if (text != NULL && r != NULL)
		reply_header(r, name, text);
	free(text);
}

struct reply *answer_finished(const struct request *req, const struct upload *u)
{
	struct answer_tokens t;
	struct reply *r = reply_new(201);
	char *text;

	answer_mint(&t, req, u);
	text = with_newline(json(u, t.fetch, t.manage));
	if (r == NULL || text == NULL) {
		reply_unref(r);
		free(text);
		return NULL;
	}
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/json");
	answer_add_location(r, req, u);
	answer_add_tokens(r, req, u);
	answer_add_state(r, u);
	return r;
}

struct reply *answer_end(int64_t expires_s)
{
	char rfc3339[CLOCK_RFC3339_SIZE], http[CLOCK_HTTP_SIZE];
	struct reply *r = reply_new(200);
	char *text = NULL;

	clock_rfc3339(rfc3339, expires_s);
	clock_http(http, expires_s);
	if (r == NULL || asprintf(&text, "{\"expires_at\":\"%s\"}\n", rfc3339) < 0) {
		reply_unref(r);
		return NULL;
	}
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/json");
	reply_header(r, "Upload-Expires", http);
	reply_header(r, "Cache-Control", "no-store");
	return r;
}
