#include <stdlib.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/flow.h"
#include "client/seal/header.h"

#define LOOK_AT 16 /* bytes more of a head, before it is read again from its beginning */

_Static_assert(HEADER_MAX <= PAYLOAD_SEALED_CHUNK, "one buffer holds either");

/* First the head, then chunk by chunk: held until whole, unless it lies in the input whole. */
struct restante_opener {
	uint8_t key[RESTANTE_KEY_SIZE];
	struct payload payload;
	uint64_t index; /* of the chunk to be opened next */
	size_t held;
	size_t looked;                 /* how much of the head has been read in vain */
	bool began;                    /* the head was opened */
	bool whole;                    /* the last chunk was opened */
	struct restante_error failure; /* once and for all, if its code is one */
	uint8_t buffer[PAYLOAD_SEALED_CHUNK];
};

enum restante_code restante_opener_new(struct restante_opener **out,
				       const uint8_t key[RESTANTE_KEY_SIZE],
				       struct restante_error *e)
{
	struct restante_opener *o;

	if (out == NULL || key == NULL)
		return fail(e, RESTANTE_MISUSE, "no key, or no place for the opener, was given");
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	memcpy(o->key, key, sizeof(o->key));
	*out = o;
	return RESTANTE_OK;
}

void restante_opener_free(struct restante_opener *o)
{
	if (o == NULL)
		return;
	sodium_memzero(o, sizeof(*o));
	free(o);
}

static bool refuse(struct restante_opener *o, const char *why)
{
	fail(&o->failure, RESTANTE_TAMPERED, "%s", why);
	return false;
}

/* Head and nonce are the first size bytes of what is held, and `before` of them and of what follows
 * was held already: the rest goes back to the input, or begins the first chunk. */
static void leave_head(struct restante_opener *o, struct flow *f, size_t size, size_t before)
{
	o->held = size < before ? before - size : 0;
	if (size > before)
		flow_take(f, size - before);
	memmove(o->buffer, o->buffer + size, o->held);
	o->began = true;
}

/* True once the head is open. */
static bool read_head(struct restante_opener *o, struct flow *f)
{
	const size_t before = o->held;
	struct flow ahead = *f;
	size_t size = 0;

	flow_hold(&ahead, o->buffer, &o->held, HEADER_MAX);
	if (!f->last && o->held < HEADER_MAX && o->held - o->looked < LOOK_AT) {
		*f = ahead;
		return false;
	}
	o->looked = o->held;
	if (header_size(&size, (struct bytes){ o->buffer, o->held }, &o->failure) != RESTANTE_OK)
		return false;
	if (size == 0) {
		*f = ahead;
		return f->last ? refuse(o, "cut short: it ends before the payload begins") : false;
	}
	if (header_open(&o->payload, (struct bytes){ o->buffer, size }, o->key, &o->failure) !=
	    RESTANTE_OK)
		return false;
	leave_head(o, f, size, before);
	return true;
}

/* The next chunk, if it is whole and there is room for what is in it. */
static bool next_chunk(struct restante_opener *o, struct flow *f, struct bytes *sealed)
{
	const size_t missing = PAYLOAD_SEALED_CHUNK - o->held;
	const bool full = f->in.len >= missing, whole = full || f->last;
	const size_t size = full ? PAYLOAD_SEALED_CHUNK : o->held + f->in.len;

	if (whole && size > f->room + PAYLOAD_TAG)
		return false;
	if (whole && o->held == 0) {
		*sealed = flow_take(f, size);
		return true;
	}
	flow_hold(f, o->buffer, &o->held, PAYLOAD_SEALED_CHUNK);
	*sealed = (struct bytes){ o->buffer, o->held };
	return whole;
}

/* A full chunk may be the last one or not: rather than to wait for what follows, which may take
 * long while a sender is still sending, both are tried. What follows a last one is refused. */
static bool open_chunk(struct restante_opener *o, struct flow *f, struct bytes sealed)
{
	bool last = false;

	if (sealed.len == 0)
		return refuse(o, "cut short: its last chunk is missing");
	if (!payload_open(&o->payload, o->index, false, sealed, f->out)) {
		last = payload_open(&o->payload, o->index, true, sealed, f->out);
		if (!last)
			return refuse(o, "a chunk is not authentic: changed, moved or cut short");
	}
	flow_gave(f, sealed.len - PAYLOAD_TAG);
	o->index++;
	o->held = 0;
	o->whole = last;
	return true;
}

static void open_all(struct restante_opener *o, struct flow *f)
{
	struct bytes sealed;

	if (!o->began && !read_head(o, f))
		return;
	while (!o->whole && next_chunk(o, f, &sealed))
		if (!open_chunk(o, f, sealed))
			return;
	if (o->whole && f->in.len > 0)
		refuse(o, "something follows its end");
}

enum restante_code restante_opener_run(struct restante_opener *o, const void *in, size_t in_size,
				       bool last, size_t *taken, void *out, size_t out_size,
				       size_t *given, bool *done, struct restante_error *e)
{
	struct flow f = { { in, in_size }, last, out, out_size };

	if (o == NULL || taken == NULL || given == NULL || done == NULL || out == NULL ||
	    (in == NULL && in_size > 0))
		return fail(e, RESTANTE_MISUSE, "an argument of restante_opener_run() is missing");
	if (out_size < RESTANTE_CHUNK_SIZE)
		return fail(e, RESTANTE_MISUSE, "less room than a chunk needs");
	if (o->failure.code == RESTANTE_OK)
		open_all(o, &f);
	*taken = in_size - f.in.len;
	*given = out_size - f.room;
	*done = o->whole && last && f.in.len == 0;
	/* What was authentic is handed over first; the failure is told by the next call. */
	if (o->failure.code == RESTANTE_OK || *given > 0)
		return RESTANTE_OK;
	return fail(e, o->failure.code, "%s", o->failure.detail);
}
