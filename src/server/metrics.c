#include "server/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>

/* Each on a cache line of its own: the loops count at once. */
static struct {
	_Alignas(64) atomic_uint_fast64_t n;
} counts[METRIC_COUNT];

#define X(name, text, help) { text, help },
static const struct {
	const char *name, *help;
} table[METRIC_COUNT] = { METRIC_LIST(X) };
#undef X

void metric_add(enum metric m, uint64_t n)
{
	atomic_fetch_add_explicit(&counts[m].n, n, memory_order_relaxed);
}

uint64_t metric_get(enum metric m)
{
	return atomic_load_explicit(&counts[m].n, memory_order_relaxed);
}

void metric_status(int status)
{
	static const enum metric classes[] = { METRIC_REQUESTS_2XX, METRIC_REQUESTS_3XX,
					       METRIC_REQUESTS_4XX, METRIC_REQUESTS_5XX };

	if (status >= 200 && status < 600)
		metric_add(classes[status / 100 - 2], 1);
}

void metrics_print_one(FILE *f, const char *name, const char *type, const char *help,
		       uint64_t value)
{
	(void)fprintf(f, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type,
		      name, value);
}

void metrics_print(FILE *f)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		metrics_print_one(f, table[i].name, "counter", table[i].help,
				  metric_get((enum metric)i));
}
