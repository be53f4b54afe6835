#include "client/fetch.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/part_file.h"

#define MAX_DEFAULT (UINT64_C(2) << 30)

/* ---- making ---------------------------------------------------------------------------------- */

static enum restante_code copy_envelope(struct restante_fetch *f,
					const struct restante_envelope *envelope,
					struct restante_error *e)
{
	const char *token = restante_envelope_text(envelope, RESTANTE_TEXT_TOKEN);
	size_t key_size = 0, sum_size = 0;
	const uint8_t *key = restante_envelope_blob(envelope, RESTANTE_BLOB_KEY, &key_size);
	const uint8_t *sum = restante_envelope_blob(envelope, RESTANTE_BLOB_SHA256, &sum_size);

	if (token == NULL || key == NULL || key_size != RESTANTE_KEY_SIZE)
		return fail(e, RESTANTE_INVALID, "the envelope has no key or no token");
	memcpy(f->key, key, RESTANTE_KEY_SIZE);
	(void)restante_envelope_number(envelope, RESTANTE_NUMBER_SIZE, &f->size);
	(void)restante_envelope_number(envelope, RESTANTE_NUMBER_SEALED_SIZE, &f->sealed_size);
	f->stream.total = f->sealed_size;
	f->token = strdup(token);
	if (f->token == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	return stream_init(&f->stream, token, sum_size == 32 ? sum : NULL, e);
}

enum restante_code restante_fetch_new(struct restante_fetch **out, struct restante_client *client,
				      const struct restante_envelope *envelope,
				      struct restante_error *error)
{
	struct restante_fetch *f;
	enum restante_code rc;

	if (out == NULL || client == NULL || envelope == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	f = calloc(1, sizeof(*f));
	if (f == NULL || sodium_init() < 0) {
		free(f);
		return fail_plain(error, RESTANTE_NOMEM);
	}
	f->size = OPENING_UNKNOWN;
	f->sealed_size = STREAM_UNKNOWN;
	f->stream.client = client;
	f->stream.max = MAX_DEFAULT;
	rc = copy_envelope(f, envelope, error);
	if (rc == RESTANTE_OK)
		*out = f;
	else
		restante_fetch_free(f);
	return rc;
}

void restante_fetch_free(struct restante_fetch *fetch)
{
	if (fetch == NULL || fetch->busy)
		return;
	stream_fini(&fetch->stream);
	if (fetch->token != NULL)
		sodium_memzero(fetch->token, strlen(fetch->token));
	free(fetch->token);
	sodium_memzero(fetch, sizeof(*fetch));
	free(fetch);
}

void restante_fetch_set_max(struct restante_fetch *fetch, uint64_t size)
{
	if (fetch != NULL)
		fetch->stream.max = size;
}

void restante_fetch_set_live(struct restante_fetch *fetch, unsigned wait_ms)
{
	if (fetch != NULL)
		fetch->stream.wait_ms = wait_ms;
}

void restante_fetch_set_progress(struct restante_fetch *fetch, restante_progress_fn *fn,
				 void *context)
{
	if (fetch == NULL)
		return;
	fetch->stream.progress = fn;
	fetch->stream.progress_context = context;
}

enum restante_code fetch_enter(struct restante_fetch *f, struct restante_error *e)
{
	if (f->busy)
		return fail(e, RESTANTE_MISUSE, "this fetch is at work already");
	f->busy = true;
	return RESTANTE_OK;
}

void fetch_leave(struct restante_fetch *f)
{
	f->busy = false;
}

/* ---- sealed bytes become plain ones ---------------------------------------------------------- */

static enum restante_code head_is_open(struct restante_fetch *f, struct restante_error *e)
{
	uint64_t payload = OPENING_UNKNOWN;

	if (f->sealed_size != STREAM_UNKNOWN)
		payload = f->sealed_size > f->head.size ? f->sealed_size - f->head.size : 0;
	return opening_init(&f->opening, &f->head.payload, payload, f->size, e);
}

/* What takes a container from its first byte on: its receiver waits until the head is open. */
struct whole {
	struct restante_fetch *fetch;
	opening_give *give;
	void *ctx;
};

static enum restante_code take_head(struct restante_fetch *f, struct bytes *piece,
				    struct restante_error *e)
{
	enum restante_code rc = head_take(&f->head, piece, f->key, e);

	if (rc == RESTANTE_OK && f->head.size > 0)
		rc = head_is_open(f, e);
	if (rc != RESTANTE_OK)
		head_start(&f->head);
	return rc;
}

static enum restante_code take_whole(void *ctx, struct bytes piece, struct restante_error *e)
{
	struct whole *w = ctx;
	struct restante_fetch *f = w->fetch;
	enum restante_code rc;

	if (f->head.size == 0) {
		rc = take_head(f, &piece, e);
		if (rc != RESTANTE_OK || f->head.size == 0)
			return rc;
		opening_start(&f->opening, 0, w->give, w->ctx);
	}
	return opening_take(&f->opening, piece, e);
}

enum restante_code fetch_take_payload(void *ctx, struct bytes piece, struct restante_error *e)
{
	struct restante_fetch *f = ctx;

	return opening_take(&f->opening, piece, e);
}

enum restante_code fetch_payload_ended(void *ctx, bool *whole, struct restante_error *e)
{
	struct restante_fetch *f = ctx;
	enum restante_code rc = RESTANTE_OK;

	if (f->head.size > 0)
		rc = opening_try_end(&f->opening, e);
	*whole = f->head.size > 0 && f->opening.done;
	return rc;
}

static enum restante_code whole_ended(void *ctx, bool *whole, struct restante_error *e)
{
	return fetch_payload_ended(((struct whole *)ctx)->fetch, whole, e);
}

/* ---- asking for them ------------------------------------------------------------------------- */

static enum restante_code take_only_head(void *ctx, struct bytes piece, struct restante_error *e)
{
	return take_head(ctx, &piece, e);
}

/* The end of the head belongs to the middle of a container. */
static enum restante_code head_ended(void *ctx, bool *whole, struct restante_error *e)
{
	(void)ctx;
	(void)e;
	*whole = false;
	return RESTANTE_OK;
}

enum restante_code fetch_head(struct restante_fetch *f, struct restante_error *e)
{
	const struct stream_sink sink = { take_only_head, head_ended, f };
	restante_progress_fn *progress = f->stream.progress;
	enum restante_code rc = RESTANTE_OK;

	f->stream.progress = NULL; /* it would go back */
	while (rc == RESTANTE_OK && f->head.size == 0) {
		const uint64_t from = f->head.have, end = from + head_missing(&f->head);

		if (from >= f->stream.total)
			rc = fail(e, RESTANTE_TAMPERED, "it ends within its header");
		else
			rc = stream_run(&f->stream, from,
					end < f->stream.total ? end : f->stream.total, &sink, e);
	}
	f->stream.progress = progress;
	if (rc != RESTANTE_OK)
		head_start(&f->head);
	return rc;
}

static enum restante_code open_end(struct restante_fetch *f, struct restante_error *e)
{
	if (f->head.size == 0)
		return fail(e, RESTANTE_TAMPERED, "it ends within its header");
	return opening_end(&f->opening, e);
}

enum restante_code fetch_open(struct restante_fetch *f, uint64_t index, opening_give *give,
			      void *ctx, struct restante_error *e)
{
	struct whole whole = { f, give, ctx };
	const struct stream_sink from_start = { take_whole, whole_ended, &whole };
	const struct stream_sink from_chunk = { fetch_take_payload, fetch_payload_ended, f };
	enum restante_code rc;

	if (index == 0) {
		head_start(&f->head);
		rc = stream_run(&f->stream, 0, STREAM_UNKNOWN, &from_start, e);
	} else {
		rc = fetch_head(f, e);
		if (rc != RESTANTE_OK)
			return rc;
		opening_start(&f->opening, index, give, ctx);
		rc = stream_run(&f->stream, f->head.size + opening_offset(index), STREAM_UNKNOWN,
				&from_chunk, e);
	}
	return rc == RESTANTE_OK ? open_end(f, e) : rc;
}

/* ---- all of it, in order --------------------------------------------------------------------- */

struct caller {
	restante_write_fn *fn;
	void *context;
};

static enum restante_code give_caller(void *ctx, uint64_t at, struct bytes plain,
				      struct restante_error *e)
{
	const struct caller *c = ctx;

	(void)at;
	return c->fn(c->context, plain.data, plain.len) ? RESTANTE_OK
							: fail_plain(e, RESTANTE_CANCELLED);
}

enum restante_code restante_fetch_to(struct restante_fetch *fetch, restante_write_fn *fn,
				     void *context, struct restante_error *error)
{
	struct caller caller = { fn, context };
	enum restante_code rc;

	if (fetch == NULL || fn == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = fetch_enter(fetch, error);
	if (rc != RESTANTE_OK)
		return rc;
	rc = fetch_open(fetch, 0, give_caller, &caller, error);
	fetch_leave(fetch);
	return rc;
}

/* ---- into a file ----------------------------------------------------------------------------- */

static enum restante_code give_part(void *ctx, uint64_t at, struct bytes plain,
				    struct restante_error *e)
{
	(void)at;
	return part_write(ctx, plain, e);
}

/* The chunk to go on from. One that may be the last is taken anew, since its mark has to be seen;
 * and what is longer than it can be is no part of ours. */
static uint64_t chunk_to_go_on(const struct restante_fetch *f, uint64_t have)
{
	return have == 0 || have > f->size ? 0 : (have - 1) / PAYLOAD_CHUNK;
}

static enum restante_code fill_part(struct restante_fetch *f, struct part_file *part,
				    struct restante_error *e)
{
	const uint64_t index = chunk_to_go_on(f, part_have(part));
	enum restante_code rc = part_cut(part, index * PAYLOAD_CHUNK, e);

	if (rc == RESTANTE_OK)
		rc = fetch_open(f, index, give_part, part, e);
	return rc == RESTANTE_OK ? part_finish(part, e) : rc;
}

/* Whether what has come can be gone on with one day. */
static bool is_worth_keeping(enum restante_code rc)
{
	return rc != RESTANTE_TAMPERED && rc != RESTANTE_KEY && rc != RESTANTE_INVALID;
}

enum restante_code restante_fetch_to_file(struct restante_fetch *fetch, const char *path,
					  struct restante_error *error)
{
	struct part_file *part = NULL;
	enum restante_code rc;

	if (fetch == NULL || path == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = fetch_enter(fetch, error);
	if (rc != RESTANTE_OK)
		return rc;
	rc = part_open(&part, path, fetch->key, fetch->token, error);
	if (rc == RESTANTE_OK)
		rc = fill_part(fetch, part, error);
	part_close(part, is_worth_keeping(rc));
	fetch_leave(fetch);
	return rc;
}

/* ---- as it is -------------------------------------------------------------------------------- */

static enum restante_code take_as_it_is(void *ctx, struct bytes piece, struct restante_error *e)
{
	return give_caller(ctx, 0, piece, e);
}

enum restante_code restante_fetch_sealed(struct restante_client *client, const char *fetch_token,
					 uint64_t max, restante_write_fn *fn, void *context,
					 struct restante_error *error)
{
	struct caller caller = { fn, context };
	const struct stream_sink sink = { take_as_it_is, NULL, &caller };
	struct stream s = { .client = client, .total = STREAM_UNKNOWN, .max = max };
	enum restante_code rc;

	if (client == NULL || fetch_token == NULL || fn == NULL)
		return fail_plain(error, RESTANTE_MISUSE);
	rc = stream_init(&s, fetch_token, NULL, error);
	if (rc == RESTANTE_OK)
		rc = stream_run(&s, 0, STREAM_UNKNOWN, &sink, error);
	stream_fini(&s);
	return rc;
}
