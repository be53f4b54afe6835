#include "cli/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"

const char *words_bytes(char out[static WORDS_SIZE], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		(void)snprintf(out, WORDS_SIZE, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
		return out;
	}
	for (; value >= 1024 && unit < sizeof(units) / sizeof(*units) - 1; unit++)
		value /= 1024;
	(void)snprintf(out, WORDS_SIZE, value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

const char *words_seconds(char out[static WORDS_SIZE], uint64_t seconds)
{
	if (seconds < 3600)
		(void)snprintf(out, WORDS_SIZE, "%" PRIu64 ":%02" PRIu64, seconds / 60,
			       seconds % 60);
	else
		(void)snprintf(out, WORDS_SIZE, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64,
			       seconds / 3600, seconds / 60 % 60, seconds % 60);
	return out;
}

bool words_time(const char *text, int64_t now, uint64_t *out)
{
	uint64_t length, time;
	int64_t moment;

	if (clock_parse_rfc3339(text, strlen(text), &moment))
		time = (uint64_t)moment;
	else if (num_duration(text, strlen(text), UINT32_MAX, &length))
		time = (uint64_t)now + length;
	else
		return false;
	if (time > UINT32_MAX)
		return false;
	*out = time;
	return true;
}

bool words_range(const char *text, uint64_t *first, uint64_t *last)
{
	const char *hyphen = strchr(text, '-');
	uint64_t from, to = UINT64_MAX;

	if (hyphen == NULL || !num_u64(text, (size_t)(hyphen - text), INT64_MAX, &from))
		return false;
	if (hyphen[1] != '\0' && !num_u64(hyphen + 1, strlen(hyphen + 1), INT64_MAX, &to))
		return false;
	if (to < from)
		return false;
	*first = from;
	*last = to;
	return true;
}
