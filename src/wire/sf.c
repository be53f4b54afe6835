#include "wire/sf.h"

#include "wire/sf_read.h"

/* RFC 9651 section 4.2: an item and its parameters, spaces around them, and nothing else. */
static bool read_item(struct sf_item *out, enum sf_type want, const char *text, size_t n)
{
	struct cursor c = { text, text + n };

	sf_read_skip(&c, " ");
	if (!sf_read_bare_item(&c, out) || !sf_read_parameters(&c))
		return false;
	sf_read_skip(&c, " ");
	return c.p == c.end && out->type == want;
}

bool sf_boolean(bool *out, const char *text, size_t n)
{
	struct sf_item item;

	if (!read_item(&item, SF_BOOLEAN, text, n))
		return false;
	*out = item.text.p[0] == '1';
	return true;
}

bool sf_unsigned(uint64_t *out, const char *text, size_t n)
{
	struct sf_item item;
	bool minus;
	uint64_t v = 0;

	if (!read_item(&item, SF_INTEGER, text, n))
		return false;
	minus = item.text.p[0] == '-';
	for (size_t i = minus; i < item.text.n; i++) /* 15 digits do not overflow */
		v = v * 10 + (uint64_t)(item.text.p[i] - '0');
	if (minus && v > 0)
		return false;
	*out = v;
	return true;
}
