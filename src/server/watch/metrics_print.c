#include "server/watch/metrics_print.h"

#include <stdbool.h>

#include "base/clock.h"
#include "restante/version.h"
#include "server/census.h"
#include "server/live.h"
#include "server/logs.h"
#include "server/metrics.h"
#include "server/route.h"
#include "server/server.h"
#include "server/watch/process.h"

#define COUNTER "counter"
#define GAUGE "gauge"

/* Who is told: of a family and its type before its series. */
struct audience {
	void (*family)(void *ctx, const char *name, const char *type, const char *help);
	void (*series)(void *ctx, const char *name, double value);
	bool buckets; /* of histograms too */
	void *ctx;
};

static void tell(const struct audience *to, const char *name, const char *type, const char *help,
		 double value)
{
	to->family(to->ctx, name, type, help);
	to->series(to->ctx, name, value);
}

/* What cannot be told here is left out. */
static void tell_known(const struct audience *to, const char *name, const char *type,
		       const char *help, double value)
{
	if (value >= 0)
		tell(to, name, type, help, value);
}

static void tell_counts(const struct audience *to)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		tell(to, metric_name((enum metric)i), COUNTER, metric_help((enum metric)i),
		     (double)metric_get((enum metric)i));
}

static void tell_request(void *ctx, const char *method, size_t route, const char *code, uint64_t n)
{
	const struct audience *to = ctx;
	char name[160];

	(void)snprintf(name, sizeof(name),
		       "restante_http_requests_total{method=\"%s\",route=\"%s\",code=\"%s\"}",
		       method, route_pattern(route), code);
	to->series(to->ctx, name, (double)n);
}

static void tell_requests(const struct audience *to)
{
	to->family(to->ctx, "restante_http_requests_total", COUNTER,
		   "Requests; of those that got no answer the code is 499.");
	metric_each_request(tell_request, (void *)(uintptr_t)to);
}

static void tell_buckets(const struct audience *to, const char *name,
			 const struct metric_histogram *h)
{
	char text[160];
	uint64_t n = 0;

	for (size_t b = 0; b < METRIC_BUCKETS; b++) {
		n += h->counts[b];
		(void)snprintf(text, sizeof(text), "%s_bucket{le=\"%g\"}", name,
			       metric_bucket_s[b]);
		to->series(to->ctx, text, (double)n);
	}
	(void)snprintf(text, sizeof(text), "%s_bucket{le=\"+Inf\"}", name);
	to->series(to->ctx, text, (double)(n + h->counts[METRIC_BUCKETS]));
}

static void tell_histogram(const struct audience *to, enum histogram which)
{
	const char *name = metric_histogram_name(which);
	struct metric_histogram h;
	char text[160];
	uint64_t n = 0;

	metric_histogram(which, &h);
	for (size_t b = 0; b <= METRIC_BUCKETS; b++)
		n += h.counts[b];
	to->family(to->ctx, name, "histogram", metric_histogram_help(which));
	if (to->buckets)
		tell_buckets(to, name, &h);
	(void)snprintf(text, sizeof(text), "%s_sum", name);
	to->series(to->ctx, text, h.sum_s);
	(void)snprintf(text, sizeof(text), "%s_count", name);
	to->series(to->ctx, text, (double)n);
}

static void tell_server(const struct audience *to, struct server *s)
{
	const int64_t swept_s = atomic_load(&s->swept_s);
	const struct http *http = atomic_load(&s->http);
	struct cache_stats ca;

	cache_stats(s->cache, &ca);
	tell(to, "restante_ready", GAUGE, "1 while requests are taken.", atomic_load(&s->ready));
	tell(to, "restante_log_lost_lines_total", COUNTER,
	     "Lines of the log and the access log that could not be written.", (double)logs_lost());
	tell(to, "restante_connections_open", GAUGE, "Connections open.",
	     http == NULL ? 0 : (double)http_connections(http));
	tell(to, "restante_uploads_unfinished", GAUGE, "Resumable uploads begun and not finished.",
	     (double)census_count(s->census));
	tell(to, "restante_live_followers", GAUGE,
	     "Fetches that follow an upload which is still arriving.",
	     (double)live_followers(s->live));
	tell(to, "restante_cache_bytes", GAUGE, "Bytes of chunks in the cache.", (double)ca.bytes);
	tell(to, "restante_cache_chunks", GAUGE, "Chunks in the cache.", (double)ca.chunks);
	tell(to, "restante_chunk_memory_bytes", GAUGE,
	     "Bytes of all chunks in memory, cached or on their way.", (double)chunk_memory());
	tell(to, "restante_upload_memory_bytes", GAUGE, "Bytes in full-size buffers of uploads.",
	     (double)atomic_load(&s->upload_memory));
	tell(to, "restante_disk_free_bytes", GAUGE, "Free bytes under the store.",
	     (double)atomic_load(&s->disk_free));
	tell(to, "restante_disk_reserved_bytes", GAUGE,
	     "With less than this free, uploads are refused (upload.min_free).",
	     (double)server_settings(s)->upload_min_free);
	/* of a clock that was ahead: nobody knows since when */
	tell(to, "restante_sweep_last_timestamp_seconds", GAUGE,
	     "When a sweep last left nothing that is due; the start of the server before the "
	     "first; 0 where the clock was set back since.",
	     swept_s > clock_now_s() ? 0 : (double)swept_s);
}

static void tell_store(const struct audience *to, struct server *s)
{
	struct store_stats st;

	store_stats(s->store, &st);
	tell(to, "restante_uploads_alive", GAUGE, "Uploads that are kept, unfinished ones too.",
	     (double)st.uploads_alive);
	tell(to, "restante_alive_bytes", GAUGE, "Bytes of what is kept, each blob once.",
	     (double)st.bytes_alive);
	tell(to, "restante_store_bytes", GAUGE, "Bytes of all files of the store, as du says it.",
	     (double)st.bytes_on_disk);
	tell(to, "restante_store_data_bytes", GAUGE,
	     "Bytes of those files of the store that hold uploads and records.",
	     (double)st.bytes_stored);
	tell(to, "restante_store_commits_total", COUNTER, "Durable commits.", (double)st.commits);
	tell(to, "restante_store_lookups_total", COUNTER, "Upload records read from the store.",
	     (double)st.lookups);
	tell(to, "restante_store_reads_total", COUNTER, "Chunks read from the store.",
	     (double)st.reads);
	tell(to, "restante_store_failures_total", COUNTER, "Store calls that failed.",
	     (double)st.failures);
	tell(to, "restante_store_deduplicated_total", COUNTER,
	     "Uploads whose blob was there already.", (double)st.deduplicated);
}

/* By the names that Prometheus knows of every process. */
static void tell_process(const struct audience *to, const struct server *s)
{
	struct process p;

	process_look(&p);
	tell_known(to, "process_cpu_seconds_total", COUNTER, "CPU time used.", p.cpu_s);
	tell_known(to, "process_resident_memory_bytes", GAUGE, "Resident memory.",
		   p.resident_bytes);
	tell_known(to, "process_virtual_memory_bytes", GAUGE, "Virtual memory.", p.virtual_bytes);
	tell_known(to, "process_open_fds", GAUGE, "Open files.", p.open_files);
	tell_known(to, "process_max_fds", GAUGE, "Open files that are allowed.", p.most_files);
	tell(to, "process_start_time_seconds", GAUGE, "When the process started, Unix time.",
	     (double)s->started_s);
	to->family(to->ctx, "restante_build_info", GAUGE, "1, with what was built.");
	to->series(to->ctx, "restante_build_info{version=\"" RESTANTE_VERSION "\"}", 1);
}

static void tell_all(const struct audience *to, struct server *s)
{
	tell_requests(to);
	tell_counts(to);
	for (int i = 0; i < HISTOGRAM_COUNT; i++)
		tell_histogram(to, (enum histogram)i);
	tell_server(to, s);
	tell_store(to, s);
	tell_process(to, s);
}

/* ---- as text ---- */

static void print_family(void *ctx, const char *name, const char *type, const char *help)
{
	(void)fprintf(ctx, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_series(void *ctx, const char *name, double value)
{
	/* counts as whole numbers, without an exponent */
	if (value >= 0 && value < 9e15 && value == (double)(uint64_t)value)
		(void)fprintf(ctx, "%s %llu\n", name, (unsigned long long)value);
	else
		(void)fprintf(ctx, "%s %.9f\n", name, value);
}

void metrics_print(FILE *f, struct server *s)
{
	const struct audience to = { print_family, print_series, true, f };

	tell_all(&to, s);
}

/* ---- one by one ---- */

static void no_family(void *ctx, const char *name, const char *type, const char *help)
{
	(void)ctx;
	(void)name;
	(void)type;
	(void)help;
}

void metrics_each(struct server *s, void (*each)(void *ctx, const char *name, double value),
		  void *ctx)
{
	const struct audience to = { no_family, each, false, ctx };

	tell_all(&to, s);
}
