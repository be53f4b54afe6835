#include "server/metrics.h"

#include <stdatomic.h>

#include "server/route.h"

/* Enough that the loops, which count most, hardly ever share one. */
#define SHARDS 16
#define METHODS 9 /* the bits of enum http_method, and none */

#define CODE_LIST(X) \
	X(200)       \
	X(201)       \
	X(202)       \
	X(204)       \
	X(206)       \
	X(304)       \
	X(400)       \
	X(401)       \
	X(403)       \
	X(404)       \
	X(405)       \
	X(408)       \
	X(409)       \
	X(410)       \
	X(412)       \
	X(413)       \
	X(415)       \
	X(416)       \
	X(417)       \
	X(421)       \
	X(422)       \
	X(429)       \
	X(431)       \
	X(460)       \
	X(499)       \
	X(500)       \
	X(501)       \
	X(503)       \
	X(505)       \
	X(507)

#define X(status) CODE_##status,
enum code { CODE_OTHER, CODE_LIST(X) CODES };
#undef X
#define X(status) [status] = CODE_##status,
static const uint8_t code_of[600] = { CODE_LIST(X) };
#undef X
#define X(status) { status, #status },
static const struct {
	int status;
	const char *text;
} codes[CODES] = { { 0, "other" }, CODE_LIST(X) };
#undef X

typedef atomic_uint_fast64_t counter;

/* What some of the threads have counted. */
static struct shard {
	_Alignas(64) counter counts[METRIC_COUNT];
	_Alignas(64) struct {
		counter buckets[METRIC_BUCKETS + 1], sum_ns;
	} histograms[HISTOGRAM_COUNT];
	counter requests[ROUTES_MAX][METHODS][CODES];
} shards[SHARDS];

#define X(name, text, help) { text, help },
static const struct {
	const char *name, *help;
} metrics[METRIC_COUNT] = { METRIC_LIST(X) }, histograms[HISTOGRAM_COUNT] = { HISTOGRAM_LIST(X) };
#undef X

const double metric_bucket_s[METRIC_BUCKETS] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
						 0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
						 1,      2.5,     5,      10,    30,     60 };
static const int64_t bucket_ns[METRIC_BUCKETS] = { 100000,      250000,     500000,     1000000,
						   2500000,     5000000,    10000000,   25000000,
						   50000000,    100000000,  250000000,  500000000,
						   1000000000,  2500000000, 5000000000, 10000000000,
						   30000000000, 60000000000 };

static struct shard *mine(void)
{
	static atomic_uint threads;
	static _Thread_local struct shard *s;

	if (s == NULL)
		s = &shards[atomic_fetch_add(&threads, 1) % SHARDS];
	return s;
}

static void add(counter *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static uint64_t read_counter(counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void metric_add(enum metric m, uint64_t n)
{
	add(&mine()->counts[m], n);
}

uint64_t metric_get(enum metric m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SHARDS; i++)
		n += read_counter(&shards[i].counts[m]);
	return n;
}

const char *metric_name(enum metric m)
{
	return metrics[m].name;
}

const char *metric_help(enum metric m)
{
	return metrics[m].help;
}

/* ---- how long things took ---- */

void metric_observe(enum histogram h, int64_t ns)
{
	struct shard *s = mine();
	size_t b = 0;

	while (b < METRIC_BUCKETS && ns > bucket_ns[b])
		b++;
	add(&s->histograms[h].buckets[b], 1);
	add(&s->histograms[h].sum_ns, ns > 0 ? (uint64_t)ns : 0);
}

void metric_histogram(enum histogram h, struct metric_histogram *out)
{
	*out = (struct metric_histogram){ .sum_s = 0 };
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t b = 0; b <= METRIC_BUCKETS; b++)
			out->counts[b] += read_counter(&shards[i].histograms[h].buckets[b]);
		out->sum_s += (double)read_counter(&shards[i].histograms[h].sum_ns) / 1e9;
	}
}

const char *metric_histogram_name(enum histogram h)
{
	return histograms[h].name;
}

const char *metric_histogram_help(enum histogram h)
{
	return histograms[h].help;
}

/* ---- requests ---- */

static size_t number_of(enum http_method m)
{
	return m == 0 ? METHODS - 1 : (size_t)__builtin_ctz((unsigned)m);
}

void metric_request(enum http_method method, size_t route, int status)
{
	const size_t code = status >= 0 && status < 600 ? code_of[status] : CODE_OTHER;

	add(&mine()->requests[route][number_of(method)][code], 1);
}

/* The other way round. */
static const char *method_name(size_t number)
{
	return route_method_name(number == METHODS - 1 ? 0 : (enum http_method)(1u << number));
}

static uint64_t sum_of(size_t route, size_t method, size_t code)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SHARDS; i++)
		n += read_counter(&shards[i].requests[route][method][code]);
	return n;
}

uint64_t metric_requests(int from, int below)
{
	uint64_t n = 0;

	for (size_t c = 0; c < CODES; c++)
		for (size_t r = 0;
		     codes[c].status >= from && codes[c].status < below && r < ROUTES_MAX; r++)
			for (size_t m = 0; m < METHODS; m++)
				n += sum_of(r, m, c);
	return n;
}

void metric_each_request(void (*each)(void *ctx, const char *method, size_t route, const char *code,
				      uint64_t n),
			 void *ctx)
{
	for (size_t r = 0; r < ROUTES_MAX; r++)
		for (size_t m = 0; m < METHODS; m++)
			for (size_t c = 0; c < CODES; c++) {
				const uint64_t n = sum_of(r, m, c);

				if (n > 0)
					each(ctx, method_name(m), r, codes[c].text, n);
			}
}
