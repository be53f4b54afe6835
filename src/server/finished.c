#include "server/finished.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/server.h"
#include "wire/digest_header.h"
#include "wire/token.h"

typedef char token_text[TOKEN_PLAIN_CHARS + 1];

/* Not after: the outer bound, so that an upload whose life is extended keeps its tokens. */
static void mint(const struct server *server, const struct upload *u, enum token_type type,
		 char out[static TOKEN_PLAIN_CHARS + 1])
{
	struct token t = { .type = type, .upload = u->id };
	const uint8_t *key = keys_current(server_keys(server), &t.key_id);
	int64_t until = u->created_s + (int64_t)server_settings(server)->upload_ttl_max;

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

struct reply *finished_reply(const struct server *server, const struct upload *u)
{
	token_text fetch, manage, upload;
	char digest[DIGEST_HEADER_SIZE], expires[CLOCK_HTTP_SIZE];
	struct reply *r = reply_new(201);
	char *text;

	mint(server, u, TOKEN_FETCH, fetch);
	mint(server, u, TOKEN_MANAGE, manage);
	mint(server, u, TOKEN_UPLOAD, upload);
	text = with_newline(json(u, fetch, manage));
	if (r == NULL || text == NULL) {
		reply_unref(r);
		free(text);
		return NULL;
	}
	digest_header_format(digest, &u->digest);
	clock_http(expires, u->expires_s);
	reply_text(r, text, strlen(text));
	reply_header(r, "Content-Type", "application/json");
	reply_header(r, "Cache-Control", "no-store");
	reply_headerf(r, "Location", "/v1/uploads/%s", upload);
	reply_header(r, "Media-Token", fetch);
	reply_header(r, "Media-Manage-Token", manage);
	reply_header(r, "Repr-Digest", digest);
	reply_header(r, "Upload-Expires", expires);
	return r;
}
