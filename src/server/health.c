#include "server/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/census.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "server/server.h"

static enum http_next plain(struct request *req, const char *type, char *text, size_t len)
{
	struct reply *r = text == NULL ? NULL : reply_new(200);

	if (r == NULL)
		free(text);
	else {
		reply_text(r, text, len);
		reply_header(r, "Content-Type", type);
		reply_header(r, "Cache-Control", "no-store");
	}
	return request_reply(req, r);
}

static enum http_next healthz(struct request *req)
{
	return plain(req, "text/plain", strdup("ok\n"), 3);
}

static enum http_next readyz(struct request *req)
{
	if (atomic_load(&request_server(req)->ready))
		return plain(req, "text/plain", strdup("ok\n"), 3);
	return request_reply(req, problem_reply(503, NULL, "Not ready."));
}

static void print_gauges(FILE *f, struct server *s)
{
	const struct http *http = atomic_load(&s->http);
	struct store_stats st;
	struct cache_stats ca;

	store_stats(s->store, &st);
	cache_stats(s->cache, &ca);
	metrics_print_one(f, "restante_connections", "gauge", "Connections open.",
			  http == NULL ? 0 : http_connections(http));
	metrics_print_one(f, "restante_uploads_unfinished", "gauge",
			  "Resumable uploads begun and not finished.", census_count(s->census));
	metrics_print_one(f, "restante_cache_bytes", "gauge", "Bytes of chunks in the cache.",
			  ca.bytes);
	metrics_print_one(f, "restante_cache_chunks", "gauge", "Chunks in the cache.", ca.chunks);
	metrics_print_one(f, "restante_chunk_memory_bytes", "gauge",
			  "Bytes of all chunks in memory, cached or on their way.", chunk_memory());
	metrics_print_one(f, "restante_upload_memory_bytes", "gauge",
			  "Bytes in full-size buffers of uploads.", atomic_load(&s->upload_memory));
	metrics_print_one(f, "restante_disk_free_bytes", "gauge", "Free bytes under the store.",
			  atomic_load(&s->disk_free));
	metrics_print_one(f, "restante_store_bytes", "gauge", "Bytes the store has on disk.",
			  st.bytes_on_disk);
	metrics_print_one(f, "restante_store_commits_total", "counter", "Durable commits.",
			  st.commits);
	metrics_print_one(f, "restante_store_lookups_total", "counter",
			  "Upload records read from the store.", st.lookups);
	metrics_print_one(f, "restante_store_reads_total", "counter", "Chunks read from the store.",
			  st.reads);
	metrics_print_one(f, "restante_store_failures_total", "counter", "Store calls that failed.",
			  st.failures);
	metrics_print_one(f, "restante_store_deduplicated_total", "counter",
			  "Uploads whose blob was there already.", st.deduplicated);
	metrics_print_one(f, "restante_uptime_seconds", "gauge", "Seconds since start.",
			  (uint64_t)(clock_now_s() - s->started_s));
}

static enum http_next metrics(struct request *req)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f != NULL) {
		metrics_print(f);
		print_gauges(f, request_server(req));
		(void)fclose(f);
	}
	return plain(req, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

const struct handler healthz_handler = { .head = healthz };
const struct handler readyz_handler = { .head = readyz };
const struct handler metrics_handler = { .head = metrics };
