/* The small requests about an upload that is there: delete, extend, acknowledge. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "client/client.h"
#include "client/fail.h"
#include "restante/token.h"

/* "/v1/media/TOKEN/ack", "/v1/media/TOKEN/extend?ttl=18446744073709551615" */
#define TARGET_SIZE (RESTANTE_TOKEN_SIZE + 64)

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

static enum restante_code ask(struct restante_client *c, const char *method, const char *target,
			      struct exchange **out, struct restante_error *e)
{
	struct exchange_request rq = { .method = method, .body_size = BODY_NONE };
	enum restante_code rc;
	char *url = NULL;

	*out = NULL;
	rc = transport_url(c->transport, target, &url, e);
	rq.url = url;
	if (rc == RESTANTE_OK)
		rc = client_ask(c, &rq, out, e);
	free(url);
	return rc;
}

enum restante_code restante_delete(struct restante_client *client, const char *manage_token,
				   struct restante_error *error)
{
	struct exchange *x = NULL;
	char target[TARGET_SIZE];
	enum restante_code rc;

	if (client == NULL || manage_token == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(manage_token, RESTANTE_TOKEN_MANAGE, error);
	if (rc != RESTANTE_OK)
		return rc;
	(void)snprintf(target, sizeof(target), "/v1/media/%s", manage_token);
	rc = ask(client, "DELETE", target, &x, error);
	exchange_end(x);
	return rc;
}

static enum restante_code read_expiry(const struct exchange *x, uint64_t *out,
				      struct restante_error *e)
{
	const struct bytes text = exchange_text(x);
	json_t *answer = json_loadb(text.data == NULL ? "" : (const char *)text.data, text.len,
				    JSON_REJECT_DUPLICATES, NULL);
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
	struct exchange *x = NULL;
	char target[TARGET_SIZE];
	enum restante_code rc;

	if (client == NULL || manage_token == NULL || expires_at == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(manage_token, RESTANTE_TOKEN_MANAGE, error);
	if (rc != RESTANTE_OK)
		return rc;
	(void)snprintf(target, sizeof(target), "/v1/media/%s/extend?ttl=%" PRIu64, manage_token,
		       ttl_s);
	rc = ask(client, "POST", target, &x, error);
	if (rc == RESTANTE_OK)
		rc = read_expiry(x, expires_at, error);
	exchange_end(x);
	return rc;
}

enum restante_code restante_acknowledge(struct restante_client *client, const char *fetch_token,
					struct restante_error *error)
{
	struct exchange *x = NULL;
	char target[TARGET_SIZE];
	enum restante_code rc;

	if (client == NULL || fetch_token == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = check(fetch_token, RESTANTE_TOKEN_FETCH, error);
	if (rc != RESTANTE_OK)
		return rc;
	(void)snprintf(target, sizeof(target), "/v1/media/%s/ack", fetch_token);
	rc = ask(client, "POST", target, &x, error);
	exchange_end(x);
	return rc;
}
