#include <stdlib.h>

#include <sodium.h>

#include "client/fail.h"
#include "client/seal/flow.h"
#include "client/seal/header.h"

/* First the head, then chunk by chunk. What does not fill a chunk is held, and so is a full one
 * until it is known whether it is the last: nothing else is ever copied. */
struct restante_sealer {
	struct payload payload;
	uint64_t index; /* of the chunk to be sealed next */
	size_t held;
	bool began; /* the head was given */
	bool ended; /* behind what was taken there is nothing */
	bool done;  /* the last chunk was given */
	uint8_t head[RESTANTE_HEAD_SIZE];
	uint8_t chunk[PAYLOAD_CHUNK];
};

enum restante_code restante_sealer_new(struct restante_sealer **out,
				       const uint8_t key[RESTANTE_KEY_SIZE],
				       struct restante_error *e)
{
	struct restante_sealer *s;
	enum restante_code rc;

	if (out == NULL || key == NULL)
		return fail(e, RESTANTE_MISUSE, "no key, or no place for the sealer, was given");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = header_make(s->head, &s->payload, key, e);
	if (rc == RESTANTE_OK) {
		*out = s;
		s = NULL;
	}
	restante_sealer_free(s);
	return rc;
}

void restante_sealer_free(struct restante_sealer *s)
{
	if (s == NULL)
		return;
	sodium_memzero(s, sizeof(*s));
	free(s);
}

static void give_head(struct restante_sealer *s, struct flow *f)
{
	if (s->began)
		return;
	memcpy(f->out, s->head, sizeof(s->head));
	flow_gave(f, sizeof(s->head));
	s->began = true;
}

/* The next chunk, if it is known whether it is the last one and there is room for it. */
static bool next_chunk(struct restante_sealer *s, struct flow *f, struct bytes *plain, bool *last)
{
	const bool more = f->in.len > PAYLOAD_CHUNK - s->held; /* than this chunk */
	const size_t size = more ? PAYLOAD_CHUNK : s->held + f->in.len;

	*last = !more && f->last;
	if ((more || *last) && f->room < size + PAYLOAD_TAG)
		return false;
	if (s->held == 0 && (more || *last)) {
		*plain = flow_take(f, size);
		return true;
	}
	flow_hold(f, s->chunk, &s->held, PAYLOAD_CHUNK);
	*plain = (struct bytes){ s->chunk, s->held };
	return more || *last;
}

static void seal(struct restante_sealer *s, struct flow *f)
{
	struct bytes plain;
	bool last;

	give_head(s, f);
	while (!s->done && next_chunk(s, f, &plain, &last)) {
		payload_seal(&s->payload, s->index++, last, plain, f->out);
		flow_gave(f, plain.len + PAYLOAD_TAG);
		s->held = 0;
		s->done = last;
	}
	s->ended = f->last && f->in.len == 0;
}

enum restante_code restante_sealer_run(struct restante_sealer *s, const void *in, size_t in_size,
				       bool last, size_t *taken, void *out, size_t out_size,
				       size_t *given, bool *done, struct restante_error *e)
{
	struct flow f = { { in, in_size }, last, out, out_size };

	if (s == NULL || taken == NULL || given == NULL || done == NULL || out == NULL ||
	    (in == NULL && in_size > 0))
		return fail(e, RESTANTE_MISUSE, "an argument of restante_sealer_run() is missing");
	if (out_size < RESTANTE_SEALED_CHUNK_SIZE)
		return fail(e, RESTANTE_MISUSE, "less room than a sealed chunk needs");
	if (s->ended && in_size > 0)
		return fail(e, RESTANTE_MISUSE, "more plaintext after the last");
	f.last = last || s->ended;
	seal(s, &f);
	*taken = in_size - f.in.len;
	*given = out_size - f.room;
	*done = s->done;
	return RESTANTE_OK;
}
