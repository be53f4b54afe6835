#include "client/tus.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"
#include "client/fail.h"
#include "wire/cursor.h"
#include "wire/digest_header.h"

#define VERSION "Tus-Resumable: 1.0.0"
#define NUMBER_FIELD_SIZE 64
#define METADATA_FIELD_SIZE (sizeof("Upload-Metadata: ") + TUS_METADATA_SIZE)
#define CONCAT_FIELD_SIZE 8192 /* for as many parts as there can be */

/* ---- asking ---- */

static void add_field(struct exchange_request *rq, const char *field)
{
	size_t i = 0;

	while (rq->fields[i] != NULL)
		i++;
	rq->fields[i] = field;
}

static void word_length(char out[static NUMBER_FIELD_SIZE], uint64_t length)
{
	if (length == TUS_DEFERRED)
		(void)snprintf(out, NUMBER_FIELD_SIZE, "Upload-Defer-Length: 1");
	else
		(void)snprintf(out, NUMBER_FIELD_SIZE, "Upload-Length: %" PRIu64, length);
}

enum restante_code tus_create(struct transport *t, struct exchange **out,
			      const struct tus_creation *c, struct restante_error *e)
{
	char length[NUMBER_FIELD_SIZE], metadata[METADATA_FIELD_SIZE], concat[CONCAT_FIELD_SIZE];
	struct exchange_request rq = {
		.method = "POST",
		.url = c->endpoint,
		.fields = { VERSION },
		.body_size = 0,
	};

	if (c->length != TUS_UNSAID) {
		word_length(length, c->length);
		add_field(&rq, length);
	}
	if (c->metadata != NULL) {
		(void)snprintf(metadata, sizeof(metadata), "Upload-Metadata: %s", c->metadata);
		add_field(&rq, metadata);
	}
	if (c->concat != NULL) {
		const int n = snprintf(concat, sizeof(concat), "Upload-Concat: %s", c->concat);

		if (n < 0 || (size_t)n >= sizeof(concat))
			return fail(e, RESTANTE_SERVER, "the addresses of the parts are too long");
		add_field(&rq, concat);
	}
	if (c->authorization != NULL)
		add_field(&rq, c->authorization);
	return exchange_begin(t, out, &rq, e);
}

enum restante_code tus_ask(struct transport *t, struct exchange **out, const char *url,
			   struct restante_error *e)
{
	const struct exchange_request rq = {
		.method = "HEAD",
		.url = url,
		.fields = { VERSION },
		.body_size = BODY_NONE,
	};

	return exchange_begin(t, out, &rq, e);
}

enum restante_code tus_append(struct transport *t, struct exchange **out,
			      const struct tus_append *a, struct restante_error *e)
{
	char offset[NUMBER_FIELD_SIZE], length[NUMBER_FIELD_SIZE];
	struct exchange_request rq = {
		.method = "PATCH",
		.url = a->url,
		.fields = { VERSION, "Content-Type: application/offset+octet-stream", offset },
		.body_size = a->body_size,
		.body = a->body,
		.ctx = a->ctx,
	};

	(void)snprintf(offset, sizeof(offset), "Upload-Offset: %" PRIu64, a->offset);
	if (a->length != TUS_UNSAID) {
		word_length(length, a->length);
		add_field(&rq, length);
	}
	return exchange_begin(t, out, &rq, e);
}

void tus_delete(const struct restante_client *c, const char *url)
{
	struct restante_client once = *c;
	struct restante_error passed;
	struct exchange *x = NULL;
	const struct exchange_request rq = {
		.method = "DELETE",
		.url = url,
		.fields = { VERSION },
		.body_size = BODY_NONE,
	};

	once.retries = 0;
	(void)client_ask(&once, &rq, &x, &passed);
	exchange_end(x);
}

/* Whether a comma-separated list has the word. */
static bool list_has(const char *list, const char *word)
{
	struct cursor c = { list, list + strlen(list) };
	const size_t n = strlen(word);

	for (cursor_skip_empty(&c); c.p < c.end; cursor_skip_empty(&c)) {
		const size_t len = strcspn(c.p, ", \t");

		if (len == n && strncasecmp(c.p, word, n) == 0)
			return true;
		c.p += len;
	}
	return false;
}

enum restante_code tus_offers(struct restante_client *c, const char *endpoint,
			      const char *extension, bool *out, struct restante_error *e)
{
	struct exchange *x = NULL;
	const char *list;
	enum restante_code rc;
	const struct exchange_request rq = {
		.method = "OPTIONS",
		.url = endpoint,
		.fields = { VERSION },
		.body_size = BODY_NONE,
	};

	rc = client_ask(c, &rq, &x, e);
	list = rc == RESTANTE_OK ? exchange_field(x, "Tus-Extension") : NULL;
	*out = list != NULL && list_has(list, extension);
	if (x != NULL && exchange_state(x) == EXCHANGE_ANSWERED && rc != RESTANTE_LIMIT)
		rc = RESTANTE_OK; /* it was asked, and has nothing to say */
	exchange_end(x);
	return rc;
}

static void add_pair(char out[static TUS_METADATA_SIZE], const char *key, const char *value)
{
	const size_t n = strlen(out);
	char encoded[BASE64_LEN(24) + 1];

	base64_encode(encoded, (const uint8_t *)value, strlen(value));
	(void)snprintf(out + n, TUS_METADATA_SIZE - n, "%s%s %s", n > 0 ? "," : "", key, encoded);
}

void tus_metadata(char out[static TUS_METADATA_SIZE], const char *kind, uint64_t ttl_s,
		  unsigned recipients)
{
	char number[24];

	out[0] = '\0';
	add_pair(out, "kind", kind);
	if (ttl_s != 0) {
		(void)snprintf(number, sizeof(number), "%" PRIu64, ttl_s);
		add_pair(out, "ttl", number);
	}
	if (recipients != 0) {
		(void)snprintf(number, sizeof(number), "%u", recipients);
		add_pair(out, "recipients", number);
	}
}

/* ---- reading ---- */

static bool read_number(const struct exchange *x, const char *name, bool *has, uint64_t *out)
{
	const char *text = exchange_field(x, name);

	*has = text != NULL;
	return text == NULL || num_u64(text, strlen(text), INT64_MAX, out);
}

static bool read_token(const struct exchange *x, const char *name, char out[static TUS_TOKEN_SIZE])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";
	const char *text = exchange_field(x, name);
	const size_t n = text != NULL ? strlen(text) : 0;

	if (text == NULL)
		return true;
	if (n == 0 || n >= TUS_TOKEN_SIZE || strspn(text, letters) != n)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

enum restante_code tus_read(struct tus_news *news, const struct exchange *x,
			    struct restante_error *e)
{
	const char *digest = exchange_field(x, "Repr-Digest");
	const char *expires = exchange_field(x, "Upload-Expires");

	if (!read_number(x, "Upload-Offset", &news->has_offset, &news->offset) ||
	    !read_number(x, "Upload-Length", &news->has_length, &news->length))
		return fail(e, RESTANTE_SERVER, "the server tells an offset that is no number");
	if (!read_token(x, "Media-Token", news->token) ||
	    !read_token(x, "Media-Manage-Token", news->manage))
		return fail(e, RESTANTE_SERVER, "the server tells a token that is none");
	news->has_digest =
		digest != NULL &&
		digest_header_parse(&news->digest, digest, strlen(digest)) == DIGEST_HEADER_FOUND;
	news->expires_at = 0;
	if (expires != NULL && (!clock_parse_http(expires, strlen(expires), &news->expires_at) ||
				news->expires_at < 0))
		news->expires_at = 0;
	return RESTANTE_OK;
}

enum restante_code tus_location(const struct transport *t, const struct exchange *x,
				const char *endpoint, char **out, struct restante_error *e)
{
	const char *location = exchange_field(x, "Location");

	if (location == NULL || location[0] == '\0')
		return fail(e, RESTANTE_SERVER,
			    "the server does not say where the upload is: is it a tus server?");
	return transport_resolve(t, endpoint, location, out, e);
}
