/* fuzz_range - the input is a size, a line break and a Range field. */
#undef NDEBUG
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "wire/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED 99

struct found {
	struct range ranges[RANGE_MAX];
	size_t count;
};

static enum range_result parse(struct found *f, const char *text, size_t n, uint64_t size)
{
	enum range_result rc;

	f->count = UNTOUCHED;
	rc = range_parse(f->ranges, &f->count, text, n, size);
	assert(rc == RANGE_SOME || f->count == UNTOUCHED);
	return rc;
}

/* Within the representation, and together no more than all of it. */
static void check_bounds(const struct found *f, uint64_t size)
{
	uint64_t room = size;

	assert(f->count >= 1 && f->count <= RANGE_MAX);
	for (size_t i = 0; i < f->count; i++) {
		const struct range *r = &f->ranges[i];

		assert(r->first <= r->last && r->last < size);
		assert(r->last - r->first < room);
		room -= r->last - r->first + 1;
	}
}

/* Asked for by their plain names, the same ranges come back in the same order. */
static void check_again(const struct found *f, uint64_t size)
{
	char text[RANGE_MAX * 48] = "bytes=";
	size_t n = strlen(text);
	struct found again;

	for (size_t i = 0; i < f->count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRIu64 "-%" PRIu64,
				      i > 0 ? "," : "", f->ranges[i].first, f->ranges[i].last);
	assert(parse(&again, text, n, size) == RANGE_SOME);
	assert(again.count == f->count);
	for (size_t i = 0; i < f->count; i++)
		assert(again.ranges[i].first == f->ranges[i].first &&
		       again.ranges[i].last == f->ranges[i].last);
}

/* Of what still grows: it begins where there is something, or is about to be. */
static void check_growing(const char *text, size_t n, uint64_t size)
{
	struct range r = { UNTOUCHED, UNTOUCHED };
	bool open = true;

	if (range_parse_growing(&r, &open, text, n, size) != RANGE_SOME) {
		assert(r.first == UNTOUCHED && r.last == UNTOUCHED);
		return;
	}
	assert(r.first <= r.last && r.first <= size);
	assert(open == (r.last >= size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *line = memchr(data, '\n', size);
	struct found f;
	uint64_t of;
	size_t n;

	if (line == NULL || !num_u64(text, (size_t)(line - text), UINT64_MAX, &of))
		return 0;
	line++;
	n = size - (size_t)(line - text);
	check_growing(line, n, of);
	if (parse(&f, line, n, of) != RANGE_SOME)
		return 0;
	check_bounds(&f, of);
	check_again(&f, of);
	return 0;
}
