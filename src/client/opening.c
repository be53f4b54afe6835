#include "client/opening.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "client/fail.h"

static enum restante_code not_authentic(const struct opening *o, struct restante_error *e)
{
	return fail(e, RESTANTE_TAMPERED, "not authentic: chunk %" PRIu64 " was changed or cut",
		    o->index);
}

static enum restante_code cut_short(struct restante_error *e)
{
	return fail(e, RESTANTE_TAMPERED, "not authentic: it ends too early");
}

static enum restante_code measure(struct opening *o, uint64_t sealed, struct restante_error *e)
{
	o->chunks = sealed == 0 ? 0 : (sealed - 1) / PAYLOAD_SEALED_CHUNK + 1;
	o->last_sealed = (size_t)(sealed - (o->chunks - 1) * PAYLOAD_SEALED_CHUNK);
	if (o->chunks == 0 || o->chunks > PAYLOAD_INDEX_MAX || o->last_sealed < PAYLOAD_TAG ||
	    (o->last_sealed == PAYLOAD_TAG && o->chunks > 1))
		return fail(e, RESTANTE_TAMPERED, "no sealed file is that long");
	if (o->size != OPENING_UNKNOWN && sealed - o->chunks * PAYLOAD_TAG < o->size)
		return fail(e, RESTANTE_TAMPERED, "it is too short for what was announced");
	return RESTANTE_OK;
}

enum restante_code opening_init(struct opening *o, const struct payload *p, uint64_t sealed,
				uint64_t size, struct restante_error *e)
{
	o->payload = *p;
	o->chunks = OPENING_UNKNOWN;
	o->size = size;
	o->plain_len = 0;
	opening_start(o, 0, NULL, NULL);
	return sealed == OPENING_UNKNOWN ? RESTANTE_OK : measure(o, sealed, e);
}

void opening_start(struct opening *o, uint64_t index, opening_give *give, void *ctx)
{
	o->index = index;
	o->done = o->refused = false;
	o->have = 0;
	o->give = give;
	o->ctx = ctx;
}

uint64_t opening_offset(uint64_t index)
{
	return index * PAYLOAD_SEALED_CHUNK;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* The chunk in plain is authentic: what is content goes out, what is padding has to be zeroes. */
static enum restante_code give_out(struct opening *o, size_t len, bool last,
				   struct restante_error *e)
{
	const uint64_t at = o->index * PAYLOAD_CHUNK;
	const uint64_t room = o->size > at ? o->size - at : 0;
	const size_t content = len < room ? len : (size_t)room;

	if (!all_zero(o->plain + content, len - content))
		return fail(e, RESTANTE_TAMPERED, "there is more in it than was announced");
	if (last && o->size != OPENING_UNKNOWN && at + len < o->size)
		return fail(e, RESTANTE_TAMPERED, "there is less in it than was announced");
	o->index++;
	o->have = 0;
	o->done = last;
	o->plain_at = at;
	o->plain_len = content;
	return content == 0 ? RESTANTE_OK
			    : o->give(o->ctx, at, (struct bytes){ o->plain, content }, e);
}

static bool open_as(struct opening *o, bool last, struct bytes sealed)
{
	o->plain_len = 0;
	return payload_open(&o->payload, o->index, last, sealed, o->plain);
}

/* How long the chunk is that is being collected: a full one, unless it is known otherwise. */
static size_t wanted(const struct opening *o)
{
	return o->chunks != OPENING_UNKNOWN && o->index == o->chunks - 1 ? o->last_sealed
									 : PAYLOAD_SEALED_CHUNK;
}

/* A whole chunk is there, in `sealed` or still where it was received. */
static enum restante_code open_whole(struct opening *o, struct bytes sealed,
				     struct restante_error *e)
{
	const bool last = o->chunks != OPENING_UNKNOWN && o->index == o->chunks - 1;

	if (open_as(o, last, sealed))
		return give_out(o, sealed.len - PAYLOAD_TAG, last, e);
	if (o->chunks != OPENING_UNKNOWN)
		return not_authentic(o, e);
	if (o->have == 0)
		memcpy(o->sealed, sealed.data, sealed.len);
	o->have = sealed.len;
	o->refused = true;
	return RESTANTE_OK;
}

enum restante_code opening_take(struct opening *o, struct bytes in, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;

	while (in.len > 0 && rc == RESTANTE_OK) {
		const size_t want = wanted(o);
		size_t n = want - o->have;

		if (o->refused || o->done || o->index >= PAYLOAD_INDEX_MAX)
			return not_authentic(o, e);
		if (o->have == 0 && in.len >= want) { /* nothing to copy */
			n = want;
			rc = open_whole(o, (struct bytes){ in.data, n }, e);
		} else {
			n = n < in.len ? n : in.len;
			memcpy(o->sealed + o->have, in.data, n);
			o->have += n;
			if (o->have == want)
				rc = open_whole(o, (struct bytes){ o->sealed, want }, e);
		}
		in.data += n;
		in.len -= n;
	}
	return rc;
}

enum restante_code opening_try_end(struct opening *o, struct restante_error *e)
{
	if (o->done || o->chunks != OPENING_UNKNOWN || o->have < PAYLOAD_TAG ||
	    !open_as(o, true, (struct bytes){ o->sealed, o->have }))
		return RESTANTE_OK;
	return give_out(o, o->have - PAYLOAD_TAG, true, e);
}

enum restante_code opening_end(struct opening *o, struct restante_error *e)
{
	const enum restante_code rc = opening_try_end(o, e);

	if (rc != RESTANTE_OK || o->done)
		return rc;
	return o->have < PAYLOAD_TAG ? cut_short(e) : not_authentic(o, e);
}
