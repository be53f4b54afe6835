#include <string.h>

#include "client/fail.h"
#include "client/fetch.h"

/* What is asked for, and how far it got. */
struct wish {
	uint64_t offset; /* of the next byte that is missing */
	uint8_t *out;
	size_t left;
};

/* Copies what the wish needs of plaintext that begins at offset `at`, which is not behind it. */
static void grant(struct wish *w, uint64_t at, struct bytes plain)
{
	const uint64_t skip = w->offset - at;
	size_t n;

	if (skip >= plain.len)
		return;
	n = plain.len - (size_t)skip < w->left ? plain.len - (size_t)skip : w->left;
	memcpy(w->out, plain.data + skip, n);
	w->out += n;
	w->offset += n;
	w->left -= n;
}

static enum restante_code give_wish(void *ctx, uint64_t at, struct bytes plain,
				    struct restante_error *e)
{
	(void)e;
	grant(ctx, at, plain);
	return RESTANTE_OK;
}

/* The chunk that was opened last is still there: players read a little at a time. */
static void grant_from_cache(struct restante_fetch *f, struct wish *w)
{
	const struct opening *o = &f->opening;

	if (f->head.size > 0 && o->plain_len > 0 && w->offset >= o->plain_at &&
	    w->offset - o->plain_at < o->plain_len)
		grant(w, o->plain_at, (struct bytes){ o->plain, o->plain_len });
}

static enum restante_code fetch_wish(struct restante_fetch *f, struct wish *w,
				     struct restante_error *e)
{
	const uint64_t first = w->offset / PAYLOAD_CHUNK;
	const uint64_t last = (w->offset + w->left - 1) / PAYLOAD_CHUNK;
	const struct stream_sink sink = { fetch_take_payload, fetch_payload_ended, f };
	uint64_t end = f->head.size + opening_offset(last + 1);
	enum restante_code rc;

	end = end < f->sealed_size ? end : f->sealed_size;
	opening_start(&f->opening, first, give_wish, w);
	rc = stream_run(&f->stream, f->head.size + opening_offset(first), end, &sink, e);
	opening_start(&f->opening, first, NULL, NULL); /* the wish is the caller's */
	return rc;
}

static enum restante_code read_at(struct restante_fetch *f, struct wish *w,
				  struct restante_error *e)
{
	restante_progress_fn *progress = f->stream.progress;
	enum restante_code rc = fetch_head(f, e);

	if (rc != RESTANTE_OK)
		return rc;
	grant_from_cache(f, w);
	f->stream.progress = NULL; /* of what? */
	if (w->left > 0)
		rc = fetch_wish(f, w, e);
	f->stream.progress = progress;
	if (rc == RESTANTE_OK && w->left > 0)
		rc = fail(e, RESTANTE_TAMPERED, "there is less in it than was announced");
	return rc;
}

enum restante_code restante_fetch_at(struct restante_fetch *fetch, uint64_t offset, void *out,
				     size_t size, size_t *got, struct restante_error *error)
{
	struct wish w = { .offset = offset, .out = out, .left = size };
	enum restante_code rc;

	if (fetch == NULL || got == NULL || (out == NULL && size > 0))
		return fail_plain(error, RESTANTE_MISUSE);
	if (fetch->size == OPENING_UNKNOWN || fetch->sealed_size == STREAM_UNKNOWN)
		return fail(error, RESTANTE_MISUSE, "the envelope does not tell the size");
	if (offset >= fetch->size)
		w.left = 0;
	else if (fetch->size - offset < size)
		w.left = (size_t)(fetch->size - offset);
	size = w.left;
	rc = fetch_enter(fetch, error);
	if (rc != RESTANTE_OK)
		return rc;
	if (size > 0)
		rc = read_at(fetch, &w, error);
	fetch_leave(fetch);
	if (rc == RESTANTE_OK)
		*got = size;
	return rc;
}
