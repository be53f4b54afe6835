/* The small requests about an upload that is there: delete, extend, acknowledge. */
#include <inttypes.h>
#include <stdio.h>

#include <sodium.h>

#include "base/clock.h"
#include "client/address.h"
#include "client/client.h"
#include "client/fail.h"
#include "restante/token.h"
#include "wire/shallow.h"

/* "/v1/media/TOKEN/ack", "/v1/media/TOKEN/extend?ttl=4294967295" */
#define TARGET_SIZE (RESTANTE_TOKEN_SIZE + 64)

#define TTL_MAX ((uint64_t)UINT32_MAX) /* the longest there is for a server of ours */

/* Looks at the token before it becomes a part of an address. */
static enum restante_code check(const char *token, enum restante_token_type want,
				struct restante_error *e)
{
	struct restante_token_info info;
	enum restante_code rc = restante_token_read(&info, token, e);

	if (rc == RESTANTE_OK && info.type != want)
		return fail(e, RESTANTE_INVALID, "a token of another kind: this needs the %s token",
			    want == RESTANTE_TOKEN_MANAGE ? "manage" : "fetch");
	return rc;
}

struct wish {
	const char *method;
	const char *token;
	const char *path;  /* behind the token */
	unsigned repeated; /* afterwards: tries behind the first */
};

/* The finished exchange is the caller's to end, whatever comes of it. */
static enum restante_code ask(struct restante_client *c, struct wish *w, struct exchange **out,
			      struct restante_error *e)
{
	struct exchange_request rq = { .method = w->method, .body_size = BODY_NONE };
	char target[TARGET_SIZE], *url = NULL;
	enum restante_code rc;

	*out = NULL;
	(void)snprintf(target, sizeof(target), "/v1/media/%s%s", w->token, w->path);
	rc = transport_url(c->transport, target, &url, e);
	rq.url = url;
	if (rc == RESTANTE_OK)
		rc = client_ask_counted(c, &rq, out, &w->repeated, e);
	sodium_memzero(target, sizeof(target));
	address_free(url);
	return rc;
}

enum restante_code restante_delete(struct restante_client *client, const char *manage_token,
				   struct restante_error *error)
{
	struct wish w = { .method = "DELETE", .token = manage_token, .path = "" };
	struct exchange *x = NULL;
	enum restante_code rc;

	if (client == NULL || manage_token == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(manage_token, RESTANTE_TOKEN_MANAGE, error);
	if (rc != RESTANTE_OK)
		return rc;
	rc = ask(client, &w, &x, error);
	exchange_end(x);
	/* the answer to an earlier try may have been lost */
	return rc == RESTANTE_GONE && w.repeated > 0 ? fail_plain(error, RESTANTE_OK) : rc;
}

/* 409: it is still arriving. The server's sentence says so, and holds. */
static enum restante_code not_yet(const struct exchange *x, enum restante_code rc,
				  struct restante_error *e)
{
	if (rc != RESTANTE_SERVER || x == NULL || exchange_status(x) != 409)
		return rc;
	if (e != NULL)
		e->code = RESTANTE_LIMIT;
	return RESTANTE_LIMIT;
}

static enum restante_code read_expiry(const struct exchange *x, uint64_t *out,
				      struct restante_error *e)
{
	json_t *answer = shallow_read(exchange_text(x));
	const json_t *at = json_object_get(answer, "expires_at");
	int64_t when;
	bool ok = json_is_string(at) &&
		  clock_parse_rfc3339(json_string_value(at), json_string_length(at), &when) &&
		  when >= 0;

	json_decref(answer);
	if (!ok)
		return fail(e, RESTANTE_SERVER, "the server does not say when the upload ends");
	*out = (uint64_t)when;
	return RESTANTE_OK;
}

enum restante_code restante_extend(struct restante_client *client, const char *manage_token,
				   uint64_t ttl_s, uint64_t *expires_at,
				   struct restante_error *error)
{
	struct wish w = { .method = "POST", .token = manage_token };
	struct exchange *x = NULL;
	enum restante_code rc;
	char path[64];

	if (client == NULL || manage_token == NULL || expires_at == NULL || ttl_s == 0)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(manage_token, RESTANTE_TOKEN_MANAGE, error);
	if (rc != RESTANTE_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/extend?ttl=%" PRIu64,
		       ttl_s < TTL_MAX ? ttl_s : TTL_MAX);
	w.path = path;
	rc = ask(client, &w, &x, error);
	rc = not_yet(x, rc, error);
	if (rc == RESTANTE_OK)
		rc = read_expiry(x, expires_at, error);
	exchange_end(x);
	return rc;
}

enum restante_code restante_acknowledge(struct restante_client *client, const char *fetch_token,
					struct restante_error *error)
{
	struct wish w = { .method = "POST", .token = fetch_token, .path = "/ack" };
	struct exchange *x = NULL;
	enum restante_code rc;

	if (client == NULL || fetch_token == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(fetch_token, RESTANTE_TOKEN_FETCH, error);
	if (rc != RESTANTE_OK)
		return rc;
	rc = ask(client, &w, &x, error);
	rc = not_yet(x, rc, error);
	exchange_end(x);
	return rc;
}
