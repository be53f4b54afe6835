#include "photo/thumbhash.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* The picture is taken as four planes: lightness, yellow against blue, red against green, alpha.
 * Of each plane the cosine transform is written down, as far as it lies in a triangle of the lowest
 * frequencies: the mean (DC), the largest of the others (scale), and the others in four bits each,
 * relative to the scale (AC). */
enum plane { LIGHT, YELLOW_BLUE, RED_GREEN, ALPHA, PLANES };

#define SIDE 7                    /* frequencies along an edge, at most */
#define TERMS (SIDE * (SIDE + 1)) /* more than a triangle of them has */

/* A scale below this is what arithmetic leaves of a flat plane; it is written down as 0 anyway. */
#define NOISE 1e-9

struct picture {
	const uint8_t *rgba;
	uint32_t width, height;
	double mean[3]; /* red, green, blue; 0 to 1 */
	bool has_alpha;
	double wave_x[SIDE][THUMBHASH_EDGE], wave_y[SIDE][THUMBHASH_EDGE];
};

struct channel {
	unsigned nx, ny; /* the triangle's sides */
	double sum[SIDE][SIDE];
	double dc, scale, ac[TERMS];
	size_t ac_count;
};

/* Like JavaScript's Math.round, where the format comes from: halves go up. */
static unsigned rounded(double v)
{
	return (unsigned)floor(v + 0.5);
}

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static void find_mean(struct picture *p)
{
	const size_t count = (size_t)p->width * p->height;
	double weight = 0;

	for (size_t i = 0; i < count; i++) {
		const double alpha = p->rgba[i * 4 + 3] / 255.0;

		for (size_t c = 0; c < 3; c++)
			p->mean[c] += alpha / 255.0 * p->rgba[i * 4 + c];
		weight += alpha;
		p->has_alpha = p->has_alpha || p->rgba[i * 4 + 3] < 255;
	}
	for (size_t c = 0; c < 3 && weight > 0; c++)
		p->mean[c] /= weight;
}

static void make_waves(double wave[SIDE][THUMBHASH_EDGE], uint32_t n)
{
	for (size_t f = 0; f < SIDE; f++)
		for (size_t i = 0; i < n; i++)
			wave[f][i] = cos(M_PI / n * (double)f * ((double)i + 0.5));
}

/* A pixel in the four planes, as if it lay on the mean colour. */
static void to_planes(const struct picture *p, const uint8_t *px, double v[PLANES])
{
	const double alpha = px[3] / 255.0;
	double rgb[3];

	for (size_t c = 0; c < 3; c++)
		rgb[c] = p->mean[c] * (1 - alpha) + alpha / 255.0 * px[c];
	v[LIGHT] = (rgb[0] + rgb[1] + rgb[2]) / 3;
	v[YELLOW_BLUE] = (rgb[0] + rgb[1]) / 2 - rgb[2];
	v[RED_GREEN] = rgb[0] - rgb[1];
	v[ALPHA] = alpha;
}

/* One row: along x first, what comes of it along y. */
static void add_row(const struct picture *p, struct channel ch[PLANES], uint32_t y)
{
	double along_x[PLANES][SIDE] = { { 0 } }, v[PLANES];

	for (uint32_t x = 0; x < p->width; x++) {
		to_planes(p, p->rgba + ((size_t)y * p->width + x) * 4, v);
		for (size_t c = 0; c < PLANES; c++)
			for (size_t f = 0; f < SIDE; f++)
				along_x[c][f] += v[c] * p->wave_x[f][x];
	}
	for (size_t c = 0; c < PLANES; c++)
		for (size_t fy = 0; fy < SIDE; fy++)
			for (size_t fx = 0; fx < SIDE; fx++)
				ch[c].sum[fy][fx] += along_x[c][fx] * p->wave_y[fy][y];
}

/* Picks the triangle, and makes the AC terms 0 to 1. */
static void settle(struct channel *c, double count)
{
	for (unsigned fy = 0; fy < c->ny; fy++)
		for (unsigned fx = 0; fx * c->ny < c->nx * (c->ny - fy); fx++) {
			const double f = c->sum[fy][fx] / count;

			if (fx == 0 && fy == 0) {
				c->dc = f;
				continue;
			}
			c->ac[c->ac_count++] = f;
			c->scale = fmax(c->scale, fabs(f));
		}
	for (size_t i = 0; i < c->ac_count; i++)
		c->ac[i] = c->scale > NOISE ? 0.5 + 0.5 / c->scale * c->ac[i] : 0;
}

static size_t put_terms(uint8_t *to, size_t nibble, const struct channel *c)
{
	for (size_t i = 0; i < c->ac_count; i++, nibble++)
		to[nibble / 2] |= (uint8_t)(rounded(15 * c->ac[i]) << (nibble % 2 * 4));
	return nibble;
}

static void put_head(uint8_t *hash, const struct picture *p, const struct channel ch[PLANES],
		     unsigned shorter)
{
	const struct channel *l = &ch[LIGHT], *yb = &ch[YELLOW_BLUE], *rg = &ch[RED_GREEN];
	const unsigned colours = rounded(63 * l->dc) | rounded(31.5 + 31.5 * yb->dc) << 6 |
				 rounded(31.5 + 31.5 * rg->dc) << 12 |
				 rounded(31 * l->scale) << 18 | (p->has_alpha ? 1u : 0u) << 23;
	const unsigned shape = shorter | rounded(63 * yb->scale) << 3 |
			       rounded(63 * rg->scale) << 9 |
			       (p->width > p->height ? 1u : 0u) << 15;

	hash[0] = (uint8_t)colours;
	hash[1] = (uint8_t)(colours >> 8);
	hash[2] = (uint8_t)(colours >> 16);
	hash[3] = (uint8_t)shape;
	hash[4] = (uint8_t)(shape >> 8);
	if (p->has_alpha)
		hash[5] =
			(uint8_t)(rounded(15 * ch[ALPHA].dc) | rounded(15 * ch[ALPHA].scale) << 4);
}

/* How many frequencies of lightness there are along an edge: fewer along the shorter one. */
static unsigned frequencies(const struct picture *p, uint32_t edge)
{
	const double most = p->has_alpha ? 5 : 7;

	return larger(1, rounded(most * edge / larger(p->width, p->height)));
}

size_t thumbhash_encode(uint8_t hash[static THUMBHASH_MAX], const uint8_t *rgba, uint32_t width,
			uint32_t height)
{
	struct picture p = { .rgba = rgba, .width = width, .height = height };
	struct channel ch[PLANES] = { { 0 } };
	unsigned lx, ly;
	size_t start, nibbles = 0;

	assert(width >= 1 && width <= THUMBHASH_EDGE && height >= 1 && height <= THUMBHASH_EDGE);
	find_mean(&p);
	make_waves(p.wave_x, width);
	make_waves(p.wave_y, height);
	lx = frequencies(&p, width);
	ly = frequencies(&p, height);
	for (uint32_t y = 0; y < height; y++)
		add_row(&p, ch, y);
	for (size_t c = 0; c < PLANES; c++)
		ch[c].nx = ch[c].ny = c == ALPHA ? 5 : 3;
	ch[LIGHT].nx = larger(3, lx);
	ch[LIGHT].ny = larger(3, ly);
	for (size_t c = 0; c < PLANES; c++)
		settle(&ch[c], (double)width * height);

	memset(hash, 0, THUMBHASH_MAX);
	put_head(hash, &p, ch, width > height ? ly : lx);
	start = p.has_alpha ? 6 : 5;
	for (size_t c = 0; c < (p.has_alpha ? PLANES : ALPHA); c++)
		nibbles = put_terms(hash + start, nibbles, &ch[c]);
	return start + (nibbles + 1) / 2;
}
