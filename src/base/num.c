#include "base/num.h"

#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "b", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "kb", UINT64_C(1) << 10 },
	{ "m", UINT64_C(1) << 20 },
	{ "mb", UINT64_C(1) << 20 },
	{ "g", UINT64_C(1) << 30 },
	{ "gb", UINT64_C(1) << 30 },
	{ "t", UINT64_C(1) << 40 },
	{ "tb", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

/* No "m": it would be minutes to one reader and months to the next. */
static const struct unit duration_units[] = {
	{ "", 1 },      { "s", 1 },         { "min", 60 }, { "h", 3600 },
	{ "d", 86400 }, { "w", 7 * 86400 }, { NULL, 0 },
};

static size_t digits(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i;
}

bool num_u64(const char *text, size_t n, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0 || digits(text, n) != n || (n > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

typedef int compare(const char *a, const char *b, size_t n);

static uint64_t factor_of(const struct unit *units, const char *name, size_t n, compare *differs)
{
	for (; units->name != NULL; units++) {
		if (strlen(units->name) == n && differs(units->name, name, n) == 0)
			return units->factor;
	}
	return 0;
}

static bool num_with_unit(const char *text, size_t n, uint64_t max, const struct unit *units,
			  compare *differs, uint64_t *out)
{
	size_t split = digits(text, n);
	uint64_t factor, v;

	if (split == 0) /* also keeps us from looking behind a NULL text */
		return false;
	factor = factor_of(units, text + split, n - split, differs);
	if (factor == 0 || !num_u64(text, split, max / factor, &v))
		return false;
	*out = v * factor;
	return true;
}

bool num_size(const char *text, size_t n, uint64_t max, uint64_t *out)
{
	return num_with_unit(text, n, max, size_units, strncasecmp, out);
}

bool num_duration(const char *text, size_t n, uint64_t max, uint64_t *out)
{
	return num_with_unit(text, n, max, duration_units, strncmp, out);
}
