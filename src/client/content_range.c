#include "client/content_range.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

#define UNIT "bytes "

/* Digits up to `end`. */
static bool take_number(const char **p, char end, uint64_t *out)
{
	const char *stop = strchr(*p, end);

	if (stop == NULL || !num_u64(*p, (size_t)(stop - *p), CONTENT_RANGE_UNKNOWN - 1, out))
		return false;
	*p = stop + (end != '\0');
	return true;
}

static bool take_total(const char *p, uint64_t *out)
{
	if (strcmp(p, "*") != 0)
		return take_number(&p, '\0', out);
	*out = CONTENT_RANGE_UNKNOWN;
	return true;
}

/* bytes first-last/total, bytes first-last/ *, bytes * /total */
bool content_range_parse(struct content_range *out, const char *text)
{
	struct content_range r = { .satisfied = true };

	if (text == NULL || strncasecmp(text, UNIT, sizeof(UNIT) - 1) != 0)
		return false;
	text += sizeof(UNIT) - 1;
	if (strncmp(text, "*/", 2) == 0) {
		r.satisfied = false;
		text += 2;
	} else if (!take_number(&text, '-', &r.first) || !take_number(&text, '/', &r.last)) {
		return false;
	}
	if (!take_total(text, &r.total))
		return false;
	if (r.satisfied && (r.first > r.last || r.last >= r.total))
		return false;
	*out = r;
	return true;
}
