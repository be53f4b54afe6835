#include "tests/lib/sealed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "tests/lib/client.h"

static void die(const char *what)
{
	(void)fprintf(stderr, "sealed: %s\n", what);
	abort();
}

static void must(enum restante_code rc, const struct restante_error *e)
{
	if (rc != RESTANTE_OK)
		die(e->detail);
}

static void *copy_of(const void *p, size_t n)
{
	void *copy = malloc(n + 1);

	if (copy == NULL)
		die("no memory");
	memcpy(copy, p, n);
	return copy;
}

/* ---- containers ---- */

static void name_it(struct sealed *c)
{
	char hex[65];
	struct digest d;

	digest_of((struct bytes){ c->bytes, c->sealed_size }, &d);
	memcpy(c->sha256, d.b, sizeof(c->sha256));
	hex_encode(hex, d.b, sizeof(d.b));
	(void)snprintf(c->etag, sizeof(c->etag), "\"%s\"", hex);
}

static void seal(struct sealed *c, const uint8_t *in, size_t n)
{
	const size_t room = (size_t)restante_sealed_size(n) + RESTANTE_SEALED_CHUNK_SIZE;
	struct restante_sealer *sealer;
	struct restante_error e;
	bool done = false;
	size_t at = 0, taken, given;

	c->bytes = malloc(room);
	if (c->bytes == NULL)
		die("no memory");
	must(restante_key_new(c->key, &e), &e);
	must(restante_sealer_new(&sealer, c->key, &e), &e);
	while (!done) {
		must(restante_sealer_run(sealer, in + at, n - at, true, &taken,
					 c->bytes + c->sealed_size, room - c->sealed_size, &given,
					 &done, &e),
		     &e);
		at += taken;
		c->sealed_size += given;
	}
	restante_sealer_free(sealer);
}

void sealed_make(struct sealed *c, size_t size, bool padded, uint64_t seed)
{
	const size_t full = padded ? (size_t)restante_padded_size(size) : size;

	*c = (struct sealed){ .size = size, .plain = calloc(1, full + 1) };
	if (c->plain == NULL)
		die("no memory");
	fill_random(c->plain, size, seed);
	seal(c, c->plain, full);
	name_it(c);
}

void sealed_take(struct sealed *c, const void *plain, size_t size, const void *bytes,
		 size_t sealed_size, const uint8_t *key)
{
	*c = (struct sealed){ .plain = copy_of(plain, size),
			      .size = size,
			      .bytes = copy_of(bytes, sealed_size),
			      .sealed_size = sealed_size };
	memcpy(c->key, key, sizeof(c->key));
	name_it(c);
}

void sealed_free(struct sealed *c)
{
	free(c->plain);
	free(c->bytes);
	*c = (struct sealed){ 0 };
}

/* ---- envelopes ---- */

struct restante_envelope *sealed_envelope_live(const struct sealed *c, const char *token)
{
	struct restante_envelope *v;
	struct restante_error e;

	must(restante_envelope_new(&v, &e), &e);
	must(restante_envelope_set_text(v, RESTANTE_TEXT_KIND, "file", &e), &e);
	must(restante_envelope_set_text(v, RESTANTE_TEXT_TYPE, "application/octet-stream", &e), &e);
	must(restante_envelope_set_text(v, RESTANTE_TEXT_TOKEN, token, &e), &e);
	must(restante_envelope_set_blob(v, RESTANTE_BLOB_KEY, c->key, sizeof(c->key), &e), &e);
	return v;
}

struct restante_envelope *sealed_envelope(const struct sealed *c, const char *token)
{
	struct restante_envelope *v = sealed_envelope_live(c, token);
	struct restante_error e;

	must(restante_envelope_set_number(v, RESTANTE_NUMBER_SIZE, c->size, &e), &e);
	must(restante_envelope_set_number(v, RESTANTE_NUMBER_SEALED_SIZE, c->sealed_size, &e), &e);
	must(restante_envelope_set_blob(v, RESTANTE_BLOB_SHA256, c->sha256, sizeof(c->sha256), &e),
	     &e);
	return v;
}

/* ---- what was given ---- */

bool taken_write(void *taken, const void *data, size_t size)
{
	struct taken *t = taken;

	t->calls++;
	if (size == 0 || size > t->of->size - t->n || memcmp(t->of->plain + t->n, data, size) != 0)
		t->wrong = true;
	else
		t->n += size;
	return true;
}

bool taken_all(const struct taken *t)
{
	return !t->wrong && t->n == t->of->size;
}

/* ---- a shelf ---- */

bool shelf_range(const struct fake_request *r, const struct shelf *s, size_t *first, size_t *last)
{
	char text[80], tag[80];

	*first = 0;
	*last = s->size - 1;
	if (s->no_ranges || !fake_field(r, "Range", text, sizeof(text)) ||
	    (fake_field(r, "If-Range", tag, sizeof(tag)) && strcmp(tag, s->etag) != 0))
		return false;
	if (sscanf(text, "bytes=%zu-%zu", first, last) < 1)
		die("a range that this shelf does not know");
	if (*last >= s->size)
		*last = s->size - 1;
	return true;
}

static void send_body(struct fake_request *r, struct shelf *s, const uint8_t *p, size_t n)
{
	const size_t piece = 32768;
	size_t left = s->cut != 0 && s->cut < n ? s->cut : n;

	if (left < n)
		fake_close(r);
	while (left > 0) {
		const size_t k = left < piece ? left : piece;

		atomic_fetch_add(&s->sent, k); /* before somebody can have them */
		fake_send(r, p, k);
		p += k;
		left -= k;
	}
}

static void send_tag(struct fake_request *r, const struct shelf *s)
{
	if (s->etag[0] != '\0')
		fake_printf(r, "ETag: %s\r\n", s->etag);
}

void shelf_serve(struct fake_request *r, struct shelf *s)
{
	char fields[64];
	size_t first, last;
	const bool ranged = shelf_range(r, s, &first, &last);

	if (ranged && first >= s->size) {
		(void)snprintf(fields, sizeof(fields), "Content-Range: bytes */%zu\r\n", s->size);
		fake_answer(r, 416, fields, NULL);
		return;
	}
	if (ranged)
		fake_printf(r,
			    "HTTP/1.1 206 Partial Content\r\n"
			    "Content-Range: bytes %zu-%zu/%zu\r\n",
			    first, last, s->size);
	else
		fake_printf(r, "HTTP/1.1 200 OK\r\n");
	send_tag(r, s);
	fake_printf(r, "Content-Length: %zu\r\n\r\n", last + 1 - first);
	send_body(r, s, s->bytes + first, last + 1 - first);
}

static void shelf_script(struct fake_request *r, void *ctx)
{
	shelf_serve(r, ctx);
}

void shelf_open(struct shelf *s, const struct sealed *c)
{
	*s = (struct shelf){ .bytes = c->bytes, .size = c->sealed_size };
	(void)snprintf(s->etag, sizeof(s->etag), "%s", c->etag);
	s->fake = fake_new(shelf_script, s);
}

void shelf_close(struct shelf *s)
{
	fake_free(s->fake);
	s->fake = NULL;
}

struct restante_client *quick_client(const char *url)
{
	struct restante_client *client;
	struct restante_error e;

	must(restante_client_new(&client, url, &e), &e);
	restante_client_set_retries(client, 4, 1);
	return client;
}

void fetching_open(struct fetching *f, const char *url, struct restante_envelope *envelope)
{
	*f = (struct fetching){ .client = quick_client(url) };
	must(restante_fetch_new(&f->fetch, f->client, envelope, &f->e), &f->e);
	restante_envelope_free(envelope);
}

void fetching_close(struct fetching *f)
{
	restante_fetch_free(f->fetch);
	restante_client_free(f->client);
	*f = (struct fetching){ 0 };
}
