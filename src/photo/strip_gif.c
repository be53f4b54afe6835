#include <stdbool.h>
#include <string.h>

#include "photo/strip.h"

/* GIF89a: a head, then blocks. The data of a block is a chain of sub-blocks, each of a length byte
 * and as many bytes, up to one of length 0. */
#define HEAD 13
#define IMAGE 10  /* separator, place, size, flags */
#define CONTROL 8 /* of the next image: delay, transparent colour */
#define LOOP 19   /* how often an animation is played */

enum { EXTENSION = 0x21, SEPARATOR = 0x2c, TRAILER = 0x3b };
enum { LABEL_CONTROL = 0xf9, LABEL_COMMENT = 0xfe, LABEL_APPLICATION = 0xff };

struct gif {
	struct bytes in;
	size_t at;
	uint8_t *to; /* NULL: only looked at */
	size_t len;
};

static bool keep(struct gif *g, size_t n)
{
	if (n > g->in.len - g->at)
		return false;
	if (g->to != NULL)
		memcpy(g->to + g->len, g->in.data + g->at, n);
	g->len += n;
	g->at += n;
	return true;
}

/* How many bytes a table of colours has, by the flags that announce it. */
static size_t table(uint8_t flags)
{
	return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* How long the chain is that begins `from` bytes further on; 0 if it is cut short. */
static size_t chain(const struct gif *g, size_t from)
{
	size_t at = g->at + from;

	while (at < g->in.len && g->in.data[at] != 0)
		at += (size_t)g->in.data[at] + 1;
	return at < g->in.len ? at + 1 - g->at - from : 0;
}

static bool keep_image(struct gif *g)
{
	size_t before, data;

	if (g->in.len - g->at < IMAGE)
		return false;
	before = IMAGE + table(g->in.data[g->at + 9]) + 1; /* and the code size */
	if (before > g->in.len - g->at)
		return false;
	data = chain(g, before);
	return data > 0 && keep(g, before + data);
}

/* The application that everybody knows is Netscape's; others hide XMP and profiles. */
static bool is_loop(const struct gif *g)
{
	const uint8_t *p = g->in.data + g->at;

	return g->in.len - g->at >= LOOP && memcmp(p + 2, "\x0bNETSCAPE2.0\3\1", 14) == 0 &&
	       p[LOOP - 1] == 0;
}

static bool pass_extension(struct gif *g)
{
	size_t data;

	if (g->in.len - g->at < 3)
		return false;
	data = chain(g, 2);
	if (data == 0)
		return false;
	switch (g->in.data[g->at + 1]) {
	case LABEL_CONTROL:
		if (data == CONTROL - 2)
			return keep(g, CONTROL);
		return g->to == NULL && keep(g, 2 + data);
	case LABEL_APPLICATION:
		if (is_loop(g))
			return keep(g, LOOP);
		break;
	case LABEL_COMMENT:
		break;
	default:
		if (g->to != NULL)
			return false;
	}
	g->at += 2 + data;
	return true;
}

/* From the head to the trailer; how much of it is kept, or 0. */
static size_t walk(uint8_t *to, struct bytes in)
{
	struct gif g = { .in = in, .to = to };
	bool good = in.len >= HEAD && keep(&g, HEAD + table(in.data[10]));

	while (good && g.at < in.len) {
		switch (in.data[g.at]) {
		case SEPARATOR:
			good = keep_image(&g);
			break;
		case EXTENSION:
			good = pass_extension(&g);
			break;
		case TRAILER:
			return keep(&g, 1) ? g.len : 0;
		default:
			good = false;
		}
	}
	return 0;
}

size_t strip_gif(uint8_t *to, struct bytes in)
{
	return walk(to, in);
}

bool gif_is_whole(struct bytes in)
{
	return walk(NULL, in) > 0;
}
