/* How the server is: /admin/status, /admin/stats, /admin/running-config. */
#include "server/admin/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "restante/version.h"
#include "server/admin/errand.h"
#include "server/census.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/sweep.h"
#include "server/watch/metrics_print.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *moment(int64_t unix_s)
{
	char text[CLOCK_RFC3339_SIZE];

	if (unix_s == 0)
		return json_null();
	clock_rfc3339(text, unix_s);
	return json_string(text);
}

static json_t *listeners(const struct server *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->listener_count; i++)
		(void)json_array_append_new(all, json_pack("{s:s, s:b}", "url", s->listeners[i].url,
							   "tls", s->listeners[i].tls));
	return all;
}

static json_t *hosts(const struct server *s)
{
	const struct settings *set = server_settings(s);
	json_t *all = json_array();

	for (size_t i = 0; i < set->host_count; i++)
		(void)json_array_append_new(all, json_string(set->hosts[i].name));
	return all;
}

static json_t *cache(struct server *s)
{
	struct cache_stats c;

	cache_stats(s->cache, &c);
	return json_pack("{s:o, s:o, s:o, s:o}", "bytes", number(c.bytes), "chunks",
			 number(c.chunks), "hits", number(metric_get(METRIC_CACHE_HITS)), "misses",
			 number(metric_get(METRIC_CACHE_MISSES)));
}

static json_t *sweeps(struct server *s)
{
	struct sweep_history h;

	sweeper_history(s->sweeper, &h);
	return json_pack("{s:o, s:o, s:o, s:f, s:o}", "count", number(h.count), "last_at",
			 moment(h.last_at_s), "last_dropped", number(h.last_dropped),
			 "last_seconds", (double)h.last_ms / 1000, "expired", number(h.expired));
}

static json_t *requests(void)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "2xx", number(metric_requests(200, 300)),
			 "3xx", number(metric_requests(300, 400)), "4xx",
			 number(metric_requests(400, METRIC_CUT)), "5xx",
			 number(metric_requests(500, 600)), "cut",
			 number(metric_requests(METRIC_CUT, METRIC_CUT + 1)));
}

static void add_store(json_t *j, struct server *s)
{
	struct store_stats st;

	store_stats(s->store, &st);
	(void)json_object_set_new(j, "uploads",
				  json_pack("{s:o, s:o}", "open", number(census_count(s->census)),
					    "alive", number(st.uploads_alive)));
	(void)json_object_set_new(j, "bytes",
				  json_pack("{s:o, s:o, s:o}", "alive", number(st.bytes_alive),
					    "on_disk", number(st.bytes_on_disk), "free",
					    number(atomic_load(&s->disk_free))));
}

static json_t *status_json(struct server *s)
{
	const struct http *http = atomic_load(&s->http);
	json_t *j =
		json_pack("{s:s, s:i, s:o, s:o, s:b, s:o, s:o, s:o}", "version", RESTANTE_VERSION,
			  "pid", (int)getpid(), "started_at", moment(s->started_s), "uptime_s",
			  number((uint64_t)(clock_now_s() - s->started_s)), "ready",
			  atomic_load(&s->ready), "listeners", listeners(s), "connections",
			  number(http == NULL ? 0 : http_connections(http)), "hosts", hosts(s));

	if (j == NULL)
		return NULL;
	add_store(j, s);
	(void)json_object_set_new(j, "cache", cache(s));
	(void)json_object_set_new(j, "sweeps", sweeps(s));
	(void)json_object_set_new(j, "requests", requests());
	(void)json_object_set_new(j, "bytes_received", number(metric_get(METRIC_BYTES_RECEIVED)));
	(void)json_object_set_new(j, "bytes_sent", number(metric_get(METRIC_BYTES_SENT)));
	return j;
}

static enum http_next status(struct request *req)
{
	return request_reply(req, errand_json(200, status_json(request_server(req))));
}

/* Counts are whole numbers. */
static void add_metric(void *ctx, const char *name, double value)
{
	const bool whole = value >= 0 && value < 9e15 && value == (double)(uint64_t)value;

	(void)json_object_set_new(ctx, name, whole ? number((uint64_t)value) : json_real(value));
}

static enum http_next stats(struct request *req)
{
	json_t *j = json_object();

	metrics_each(request_server(req), add_metric, j);
	return request_reply(req, errand_json(200, j));
}

/* Those of the settings may be others: port 0, or sockets that were handed over. */
static void print_listeners(const struct server *s, FILE *f)
{
	for (size_t i = 0; i < s->listener_count; i++)
		(void)fprintf(f, "# listening on %s%s\n", s->listeners[i].url,
			      s->listeners[i].inherited ? ", a socket handed over" : "");
}

/* As a file that gives the same settings; without secrets. */
static enum http_next config(struct request *req)
{
	struct server *s = request_server(req);
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct reply *r = f == NULL ? NULL : reply_new(200);

	if (f != NULL) {
		print_listeners(s, f);
		settings_print_running(server_settings(s), f);
		(void)fclose(f);
	}
	if (r == NULL || text == NULL) {
		free(text);
		reply_unref(r);
		return HTTP_CUT;
	}
	reply_text(r, text, len);
	reply_header(r, "Content-Type", "text/plain; charset=utf-8");
	reply_header(r, "Cache-Control", "no-store");
	return request_reply(req, r);
}

const struct handler admin_config_handler = { .head = config };
const struct handler admin_status_handler = { .head = status };
const struct handler admin_stats_handler = { .head = stats };
