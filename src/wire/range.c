#include "wire/range.h"

#include <stdbool.h>
#include <strings.h>

#include "wire/cursor.h"

/* What one range of the set comes to. */
enum spec { SPEC_RANGE, SPEC_UNSATISFIABLE, SPEC_NOTHING, SPEC_BAD };

static bool at_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* 1*DIGIT, leading zeroes and all. A number past 64 bits is as good as the largest: both are
 * behind the end of anything. */
static bool take_number(struct cursor *c, uint64_t *out)
{
	uint64_t v = 0;

	if (!at_digit(c))
		return false;
	for (; at_digit(c); c->p++) {
		uint64_t digit = (uint64_t)(*c->p - '0');

		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*out = v;
	return true;
}

static enum spec suffix_range(struct cursor *c, uint64_t size, struct range *out)
{
	uint64_t length;

	if (!take_number(c, &length))
		return SPEC_BAD;
	if (length == 0)
		return SPEC_UNSATISFIABLE;
	/* Section 14.1.3: satisfiable, and yet there is no byte to name. */
	if (size == 0)
		return SPEC_NOTHING;
	out->first = length < size ? size - length : 0;
	out->last = size - 1;
	return SPEC_RANGE;
}

static enum spec take_spec(struct cursor *c, uint64_t size, struct range *out)
{
	uint64_t first, last = UINT64_MAX;

	if (cursor_take(c, '-'))
		return suffix_range(c, size, out);
	if (!take_number(c, &first) || !cursor_take(c, '-'))
		return SPEC_BAD;
	if (at_digit(c) && (!take_number(c, &last) || last < first))
		return SPEC_BAD;
	if (first >= size)
		return SPEC_UNSATISFIABLE;
	out->first = first;
	out->last = last < size ? last : size - 1;
	return SPEC_RANGE;
}

/* Between two elements, or behind the last one. */
static bool take_separator(struct cursor *c)
{
	cursor_skip_space(c);
	return c->p == c->end || cursor_take(c, ',');
}

static enum range_result take_set(struct range out[static RANGE_MAX], size_t *count,
				  struct cursor *c, uint64_t size)
{
	size_t asked = 0, found = 0;
	uint64_t room = size; /* what the ranges may still ask for */
	bool nothing = false;

	for (cursor_skip_empty(c); c->p < c->end; cursor_skip_empty(c)) {
		struct range r = { 0, 0 };
		enum spec spec = take_spec(c, size, &r);

		if (spec == SPEC_BAD || !take_separator(c))
			return RANGE_UNSATISFIABLE;
		if (++asked > RANGE_MAX)
			return RANGE_NONE;
		nothing |= spec == SPEC_NOTHING;
		if (spec != SPEC_RANGE)
			continue;
		if (r.last - r.first >= room)
			return RANGE_NONE;
		room -= r.last - r.first + 1;
		out[found++] = r;
	}
	if (nothing)
		return RANGE_NONE;
	if (found == 0)
		return RANGE_UNSATISFIABLE;
	*count = found;
	return RANGE_SOME;
}

static bool take_unit(const char *text, size_t n, struct cursor *c)
{
	static const char unit[] = "bytes=";
	const size_t len = sizeof(unit) - 1;

	*c = (struct cursor){ text + len, text + n };
	/* Names of units are case-insensitive (section 14.1). */
	return n >= len && strncasecmp(text, unit, len) == 0;
}

enum range_result range_parse(struct range out[static RANGE_MAX], size_t *count, const char *text,
			      size_t n, uint64_t size)
{
	struct cursor c;

	return take_unit(text, n, &c) ? take_set(out, count, &c, size) : RANGE_NONE;
}

/* Longer than anything. */
#define ENDLESS ((uint64_t)INT64_MAX)

enum range_result range_parse_growing(struct range *out, bool *open, const char *text, size_t n,
				      uint64_t size)
{
	struct range set[RANGE_MAX], r;
	enum range_result found;
	struct cursor c, all;
	size_t count = 0;
	bool named;

	if (!take_unit(text, n, &c))
		return RANGE_NONE;
	all = c;
	found = take_set(set, &count, &all, ENDLESS);
	cursor_skip_empty(&c);
	if (found != RANGE_SOME || count != 1 || !take_number(&c, &r.first))
		return found == RANGE_SOME ? RANGE_NONE : found;
	if (r.first > size || r.first >= ENDLESS)
		return RANGE_UNSATISFIABLE;
	named = cursor_take(&c, '-') && at_digit(&c);
	r.last = named ? set[0].last : r.first < size ? size - 1 : RANGE_VERY_LARGE;
	*open = r.last >= size;
	*out = r;
	return RANGE_SOME;
}
