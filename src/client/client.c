#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/retry.h"
#include "wire/grant.h"

#define RETRIES 8
#define FIRST_WAIT_MS 500
#define GRANT_MAX 8192
#define ROUND_MS 1000

enum restante_code restante_client_new(struct restante_client **out, const char *url,
				       struct restante_error *error)
{
	struct restante_client *c;
	enum restante_code rc;

	if (out == NULL || url == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	if (sodium_init() < 0)
		return fail(error, RESTANTE_IO, "there is no source of random numbers");
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	restante_client_set_retries(c, RETRIES, FIRST_WAIT_MS);
	rc = transport_new(&c->transport, url, error);
	if (rc == RESTANTE_OK)
		*out = c;
	else
		restante_client_free(c);
	return rc;
}

static void forget_grant(struct restante_client *c)
{
	if (c->authorization != NULL)
		sodium_memzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	c->authorization = NULL;
}

void restante_client_free(struct restante_client *client)
{
	if (client == NULL)
		return;
	transport_free(client->transport);
	forget_grant(client);
	free(client);
}

/* token68 (RFC 9110 section 11.2), as RFC 6750 section 2.1 has it. */
static bool is_token68(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-._~+/";
	const size_t n = strspn(text, allowed);

	return n > 0 && n <= GRANT_MAX && text[n + strspn(text + n, "=")] == '\0';
}

enum restante_code restante_client_set_grant(struct restante_client *client, const char *grant,
					     struct restante_error *error)
{
	char *field = NULL;

	if (client == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	if (grant != NULL) {
		if (!is_token68(grant))
			return fail(error, RESTANTE_INVALID,
				    "the grant has characters that a token cannot have");
		if (asprintf(&field, "Authorization: Bearer %s", grant) < 0)
			return fail_plain(error, RESTANTE_NOMEM);
	}
	forget_grant(client);
	client->authorization = field;
	client->one_upload = grant != NULL && grant_is_for_one(grant, strlen(grant));
	return RESTANTE_OK;
}

enum restante_code restante_client_set_ca_file(struct restante_client *client, const char *path,
					       struct restante_error *error)
{
	if (client == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	return transport_set_ca_file(client->transport, path, error);
}

void restante_client_set_retries(struct restante_client *client, unsigned count,
				 unsigned first_wait_ms)
{
	if (client == NULL)
		return;
	client->retries = count;
	client->first_wait_ms = first_wait_ms;
}

void restante_client_set_stall(struct restante_client *client, unsigned ms)
{
	if (client != NULL)
		transport_set_stall(client->transport, ms);
}

void restante_cancel(struct restante_client *client)
{
	if (client != NULL)
		transport_cancel(client->transport);
}

/* ---- one request ---- */

static enum restante_code try_once(struct restante_client *c, const struct exchange_request *rq,
				   struct exchange **out, struct restante_error *e)
{
	enum restante_code rc = exchange_begin(c->transport, out, rq, e);

	while (rc == RESTANTE_OK && exchange_state(*out) == EXCHANGE_RUNS)
		rc = transport_run(c->transport, ROUND_MS, -1, NULL, e);
	return rc == RESTANTE_OK ? retry_judge(*out, e) : rc;
}

static enum restante_code wait_for(struct restante_client *c, const struct retry *r,
				   struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	int ms;

	while (rc == RESTANTE_OK && (ms = retry_wait_ms(r)) > 0)
		rc = transport_run(c->transport, ms, -1, NULL, e);
	return rc;
}

enum restante_code client_ask_counted(struct restante_client *c, const struct exchange_request *rq,
				      struct exchange **out, unsigned *repeated,
				      struct restante_error *e)
{
	struct restante_error why = { 0 };
	struct retry r = { 0 };
	enum restante_code rc;

	*out = NULL;
	while ((rc = try_once(c, rq, out, &why)) != RESTANTE_OK) {
		if (*out == NULL || exchange_state(*out) == EXCHANGE_RUNS)
			break; /* not begun, or cancelled */
		rc = retry_again(&r, c, *out, &why);
		if (rc == RESTANTE_OK)
			rc = wait_for(c, &r, &why);
		if (rc != RESTANTE_OK)
			break;
		exchange_end(*out);
		*out = NULL;
	}
	*repeated = r.tries;
	return rc == RESTANTE_OK ? rc : fail(e, rc, "%s", why.detail);
}

enum restante_code client_ask(struct restante_client *c, const struct exchange_request *rq,
			      struct exchange **out, struct restante_error *e)
{
	unsigned repeated;

	return client_ask_counted(c, rq, out, &repeated, e);
}
