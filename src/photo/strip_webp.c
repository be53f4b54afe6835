#include <stdbool.h>
#include <string.h>

#include "photo/strip.h"

/* RIFF: a four-letter name, a little-endian length, the data, a zero if the length is odd. */
#define HEAD 8
#define FILE_HEAD 12  /* RIFF, length, WEBP */
#define FRAME_HEAD 16 /* in front of the chunks of one frame of an animation (ANMF) */
#define EXTENDED 10   /* the data of VP8X */
#define HAS_ANIMATION 0x02
#define HAS_ALPHA 0x10

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(uint8_t *p, size_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static bool is(const uint8_t *chunk, const char *name)
{
	return memcmp(chunk, name, 4) == 0;
}

static bool is_picture(const uint8_t *chunk)
{
	return is(chunk, "VP8 ") || is(chunk, "VP8L");
}

struct output {
	uint8_t *to;
	size_t len;
	unsigned pictures, frames;
	bool extended, alpha;
};

static void put(struct output *o, const uint8_t *from, size_t n)
{
	memcpy(o->to + o->len, from, n);
	o->len += n;
}

/* A chunk that begins at in.data[at]: its data, and how much room it takes, the zero included. */
static bool chunk_at(struct bytes in, size_t at, struct bytes *data, size_t *room)
{
	if (in.len - at < HEAD)
		return false;
	*data = (struct bytes){ in.data + at + HEAD, get_u32(in.data + at + 4) };
	*room = HEAD + data->len + (data->len & 1);
	return *room <= in.len - at;
}

/* A picture, or its alpha in front of it. */
static bool put_picture(struct output *o, const uint8_t *chunk, size_t room)
{
	if (!is_picture(chunk) && !is(chunk, "ALPH"))
		return false;
	o->pictures += is_picture(chunk);
	o->alpha = o->alpha || !is_picture(chunk);
	put(o, chunk, room);
	return true;
}

/* One picture. Its chunks are of even room, so that it needs no zero behind. */
static bool put_frame(struct output *o, const uint8_t *chunk, struct bytes frame)
{
	const size_t start = o->len;
	const unsigned before = o->pictures;
	struct bytes data;
	size_t at = FRAME_HEAD, room;

	if (frame.len < FRAME_HEAD)
		return false;
	put(o, chunk, HEAD);
	put(o, frame.data, FRAME_HEAD);
	for (; at < frame.len; at += room) {
		if (!chunk_at(frame, at, &data, &room))
			return false;
		(void)put_picture(o, frame.data + at, room);
	}
	put_u32(o->to + start + 4, o->len - start - HEAD);
	o->frames++;
	return o->pictures == before + 1;
}

/* The flags say what there is; afterwards there is no profile, no EXIF and no XMP. */
static void put_extended(struct output *o, const uint8_t *chunk)
{
	uint8_t *flags = o->to + o->len + HEAD;

	o->extended = true;
	put(o, chunk, HEAD + EXTENDED);
	flags[0] &= HAS_ALPHA | HAS_ANIMATION;
	memset(flags + 1, 0, 3);
}

static bool put_chunk(struct output *o, const uint8_t *chunk, struct bytes data, size_t room)
{
	if (is(chunk, "ANMF"))
		return put_frame(o, chunk, data);
	if (is(chunk, "VP8X")) {
		if (data.len != EXTENDED || o->len != FILE_HEAD)
			return false;
		put_extended(o, chunk);
	} else if (is(chunk, "ANIM")) {
		put(o, chunk, room);
	} else {
		(void)put_picture(o, chunk, room);
	}
	return true;
}

/* One picture, or frames that have one each. */
static bool is_complete(const struct output *o)
{
	return o->frames > 0 ? o->pictures == o->frames : o->pictures == 1;
}

/* A single picture that has its alpha inside, or none, is a simple file. */
static void simplify(struct output *o)
{
	const size_t extended = FILE_HEAD + HEAD + EXTENDED;

	if (!o->extended || o->frames > 0 || o->alpha)
		return;
	memmove(o->to + FILE_HEAD, o->to + extended, o->len - extended);
	o->len -= HEAD + EXTENDED;
}

size_t strip_webp(uint8_t *to, struct bytes in)
{
	struct output o = { .to = to };
	struct bytes data;
	size_t room, riff;

	if (in.len < FILE_HEAD)
		return 0;
	riff = get_u32(in.data + 4);
	if (riff > in.len - HEAD)
		return 0;
	in.len = riff + HEAD; /* what is behind is no part of it */
	put(&o, in.data, FILE_HEAD);
	for (size_t at = FILE_HEAD; at < in.len; at += room)
		if (!chunk_at(in, at, &data, &room) || !put_chunk(&o, in.data + at, data, room))
			return 0;
	simplify(&o);
	put_u32(to + 4, o.len - HEAD);
	return is_complete(&o) ? o.len : 0;
}
