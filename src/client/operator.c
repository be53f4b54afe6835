#include "restante/operator.h"

#include <stdlib.h>
#include <string.h>

#include "client/address.h"
#include "client/client.h"
#include "client/fail.h"

#define ROUND_MS 1000
#define METHOD_MAX 16

/* What has come of the body. */
struct heard {
	char *text; /* with a NUL behind, or NULL */
	size_t size;
	bool too_long;
};

enum restante_code restante_operator_new(struct restante_client **out, const char *socket_path,
					 struct restante_error *error)
{
	struct restante_client *c;
	enum restante_code rc;

	if (out == NULL || socket_path == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fail_plain(error, RESTANTE_NOMEM);
	rc = transport_new_local(&c->transport, socket_path, error);
	if (rc == RESTANTE_OK)
		*out = c;
	else
		restante_client_free(c);
	return rc;
}

static bool hear(struct heard *h, struct bytes piece)
{
	char *more;

	if (piece.len > RESTANTE_OPERATOR_MAX - h->size) {
		h->too_long = true;
		return false;
	}
	more = realloc(h->text, h->size + piece.len + 1);
	if (more == NULL)
		return false;
	if (piece.len > 0)
		memcpy(more + h->size, piece.data, piece.len);
	h->text = more;
	h->size += piece.len;
	more[h->size] = '\0';
	return true;
}

static bool on_data(void *ctx, struct bytes piece)
{
	return hear(ctx, piece);
}

/* What was not cancelled but broken off by on_data() has another reason. */
static enum restante_code why_failed(const struct restante_client *c, const struct exchange *x,
				     const struct heard *h, struct restante_error *e)
{
	const struct restante_error *why = exchange_error(x);

	if (h->too_long)
		return fail(e, RESTANTE_SERVER, "the server's answer does not end");
	if (why->code == RESTANTE_CANCELLED && !transport_cancelled(c->transport))
		return fail_plain(e, RESTANTE_NOMEM);
	return fail(e, why->code, "%s", why->detail);
}

static enum restante_code ask(struct restante_client *c, const struct exchange_request *rq,
			      struct heard *h, int *status, struct restante_error *e)
{
	struct exchange *x = NULL;
	enum restante_code rc = exchange_begin(c->transport, &x, rq, e);

	while (rc == RESTANTE_OK && exchange_state(x) == EXCHANGE_RUNS)
		rc = transport_run(c->transport, ROUND_MS, -1, NULL, e);
	if (rc == RESTANTE_OK && exchange_state(x) == EXCHANGE_FAILED)
		rc = why_failed(c, x, h, e);
	/* a refusal's words are kept by the exchange; where there are none, there is still a NUL */
	if (rc == RESTANTE_OK && h->text == NULL && !hear(h, exchange_text(x)))
		rc = fail_plain(e, RESTANTE_NOMEM);
	if (rc == RESTANTE_OK)
		*status = exchange_status(x);
	exchange_end(x);
	return rc;
}

static bool is_method(const char *text)
{
	const size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n > 0 && n <= METHOD_MAX && text[n] == '\0';
}

enum restante_code restante_operator_ask(struct restante_client *client, const char *method,
					 const char *target, int *status, char **body, size_t *size,
					 struct restante_error *error)
{
	struct heard h = { 0 };
	struct exchange_request rq = {
		.method = method, .body_size = BODY_NONE, .data = on_data, .ctx = &h
	};
	char *url = NULL;
	enum restante_code rc;

	if (client == NULL || method == NULL || target == NULL || status == NULL ||
	    (body == NULL) != (size == NULL) || !is_method(method))
		return fail_plain(error, RESTANTE_MISUSE);
	rc = transport_url(client->transport, target, &url, error);
	rq.url = url;
	if (rc == RESTANTE_OK)
		rc = ask(client, &rq, &h, status, error);
	address_free(url);
	if (rc == RESTANTE_OK && body != NULL) {
		*body = h.text;
		*size = h.size;
		h.text = NULL;
	}
	free(h.text);
	return rc;
}
