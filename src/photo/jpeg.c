#include "photo/jpeg.h"

#include <string.h>

struct jpeg_walk jpeg_begin(struct bytes in)
{
	return (struct jpeg_walk){ in, 2 };
}

/* Moves behind the next marker, past fill bytes and what is none; 0 at the end. */
static uint8_t next_marker(struct jpeg_walk *w)
{
	while (w->at < w->in.len) {
		const uint8_t *ff = memchr(w->in.data + w->at, 0xff, w->in.len - w->at);

		if (ff == NULL)
			break;
		w->at = (size_t)(ff - w->in.data);
		while (w->at < w->in.len && w->in.data[w->at] == 0xff)
			w->at++;
		if (w->at < w->in.len && w->in.data[w->at] != 0)
			return w->in.data[w->at++];
	}
	w->at = w->in.len;
	return 0;
}

static bool is_restart(uint8_t marker)
{
	return marker >= JPEG_RST0 && marker <= JPEG_RST7;
}

/* The data of a scan goes up to a marker that is no restart. */
static struct bytes entropy(struct jpeg_walk *w)
{
	const size_t start = w->at;
	size_t end;
	uint8_t marker;

	do {
		marker = next_marker(w);
	} while (is_restart(marker));
	end = marker != 0 ? w->at - 2 : w->at;
	/* fill bytes belong to the marker */
	while (end > start && marker != 0 && w->in.data[end - 1] == 0xff)
		end--;
	w->at = end;
	return (struct bytes){ w->in.data + start, end - start };
}

bool jpeg_next(struct jpeg_walk *w, struct jpeg_segment *s)
{
	size_t len;

	*s = (struct jpeg_segment){ .marker = next_marker(w) };
	while (is_restart(s->marker) || s->marker == 1 /* TEM */)
		s->marker = next_marker(w);
	if (s->marker == 0)
		return false;
	if (s->marker == JPEG_SOI)
		return true;
	if (s->marker == JPEG_EOI) {
		w->in.len = w->at;
		return true;
	}
	if (w->in.len - w->at < 2)
		return false;
	len = bytes_get_u16(w->in.data + w->at);
	if (len < 2 || w->in.len - w->at < len)
		return false;
	s->body = (struct bytes){ w->in.data + w->at + 2, len - 2 };
	w->at += len;
	if (s->marker == JPEG_SOS)
		s->entropy = entropy(w);
	return true;
}

static bool is_frame(uint8_t marker)
{
	return marker >= JPEG_SOF0 && marker <= JPEG_SOF15 && marker != JPEG_DHT &&
	       marker != JPEG_JPG && marker != JPEG_DAC;
}

static bool is_progressive(uint8_t marker)
{
	return is_frame(marker) && (marker & 3) == 2;
}

static unsigned sampling(struct bytes frame, size_t component, unsigned shift)
{
	const unsigned n = frame.data[6 + component * 3 + 1] >> shift & 15;

	return n > 0 ? n : 1;
}

/* Two bytes a coefficient, of every component with its own sampling, in whole blocks of 8 × 8 up
 * to whole units of the coarsest sampling. */
static uint64_t coefficient_bytes(struct bytes frame, unsigned components)
{
	const uint64_t height = bytes_get_u16(frame.data + 1);
	const uint64_t width = bytes_get_u16(frame.data + 3);
	uint64_t most_h = 1, most_v = 1, blocks = 0;

	for (size_t c = 0; c < components; c++) {
		most_h = sampling(frame, c, 4) > most_h ? sampling(frame, c, 4) : most_h;
		most_v = sampling(frame, c, 0) > most_v ? sampling(frame, c, 0) : most_v;
	}
	for (size_t c = 0; c < components; c++)
		blocks += (width / (8 * most_h) + 1) * sampling(frame, c, 4) *
			  (height / (8 * most_v) + 1) * sampling(frame, c, 0);
	return blocks * 64 * 2;
}

struct jpeg_facts jpeg_inspect(struct bytes in)
{
	struct jpeg_walk w = jpeg_begin(in);
	struct jpeg_facts f = { 0 };
	struct jpeg_segment s;
	unsigned components = 0;

	while (jpeg_next(&w, &s)) {
		if (is_frame(s.marker) && components == 0 && s.body.len >= 6 &&
		    s.body.len >= 6 + (size_t)s.body.data[5] * 3) {
			components = s.body.data[5];
			f.multiscan = is_progressive(s.marker);
			f.coefficients = coefficient_bytes(s.body, components);
		}
		if (s.marker == JPEG_SOS && s.body.len > 0) {
			f.scans++;
			f.multiscan = f.multiscan || s.body.data[0] < components;
		}
		f.whole = s.marker == JPEG_EOI;
	}
	return f;
}
