/* metrics - what is counted and timed, in tables; counting is cheap, and any thread may. Read as
 * Prometheus text (metrics_print.h). */
#ifndef RESTANTE_SERVER_METRICS_H
#define RESTANTE_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "server/http.h"

#define METRIC_LIST(X)                                                                         \
	X(CONNECTIONS, "restante_connections_accepted_total", "Connections accepted.")         \
	X(CONNECTIONS_REFUSED, "restante_connections_refused_total",                           \
	  "Connections turned away over a limit.")                                             \
	X(STRANGERS, "restante_admin_refused_total",                                           \
	  "Connections to the admin socket by users whom it is not for.")                      \
	X(BYTES_RECEIVED, "restante_received_bytes_total", "Body bytes taken from clients.")   \
	X(BYTES_SENT, "restante_sent_bytes_total", "Body bytes of answers sent whole.")        \
	X(UPLOADS, "restante_uploads_finished_total", "Uploads finished.")                     \
	X(UPLOADS_FAILED, "restante_uploads_failed_total",                                     \
	  "Requests whose bytes were refused or could not be kept.")                           \
	X(CHECKSUM_FAILED, "restante_checksums_failed_total",                                  \
	  "Bodies that did not have the digest or checksum announced.")                        \
	X(GRANTS_REFUSED, "restante_grants_refused_total",                                     \
	  "Requests refused for want of a grant, or for a bad one.")                           \
	X(QUOTA_REFUSED, "restante_quota_refused_total", "Requests refused over a quota.")     \
	X(CACHE_HITS, "restante_cache_hits_total", "Chunks found in memory.")                  \
	X(CACHE_MISSES, "restante_cache_misses_total", "Chunks read from the store.")          \
	X(LIVE, "restante_live_fetches_total", "Fetches of uploads that were still arriving.") \
	X(LIVE_CUT, "restante_live_cut_total",                                                 \
	  "Of those, cut: deleted, expired, stalled, or unreadable.")                          \
	X(DAMAGED_READS, "restante_damaged_reads_total", "Reads that met damaged bytes.")      \
	X(EXPIRED, "restante_uploads_expired_total", "Uploads dropped by sweeps.")             \
	X(SWEEPS, "restante_sweeps_total", "Sweeps run.")                                      \
	X(SWEEPS_FAILED, "restante_sweeps_failed_total", "Sweeps that the store did not carry out.")

#define HISTOGRAM_LIST(X)                                                                         \
	X(FETCH, "restante_fetch_seconds",                                                        \
	  "From the head of a fetch to its answer; not the sending, whose time the client has.")  \
	X(APPEND, "restante_append_seconds",                                                      \
	  "How long a request with a body was kept waiting: for its record, for room, and until " \
	  "its bytes were durable; not its sending.")                                             \
	X(COMMIT, "restante_commit_seconds", "Durable commits of uploads' bytes.")                \
	X(SWEEP, "restante_sweep_seconds", "Sweeps.")

#define X(name, text, help) METRIC_##name,
enum metric { METRIC_LIST(X) METRIC_COUNT };
#undef X
#define X(name, text, help) HISTOGRAM_##name,
enum histogram { HISTOGRAM_LIST(X) HISTOGRAM_COUNT };
#undef X

void metric_add(enum metric m, uint64_t n);
uint64_t metric_get(enum metric m);
const char *metric_name(enum metric m);
const char *metric_help(enum metric m);

/* Takes in how long something took. */
void metric_observe(enum histogram h, int64_t ns);

#define METRIC_BUCKETS 18 /* and a last one for what took longer */
extern const double metric_bucket_s[METRIC_BUCKETS];

struct metric_histogram {
	uint64_t counts[METRIC_BUCKETS + 1]; /* each for itself */
	double sum_s;
};
void metric_histogram(enum histogram h, struct metric_histogram *out);
const char *metric_histogram_name(enum histogram h);
const char *metric_histogram_help(enum histogram h);

/* What stands in the place of a status where there was no answer: the client left, or the server
 * cut the connection. */
#define METRIC_CUT 499

/* Counts a request under its method, the number of its route (route.h) and its status. A status
 * that nobody expects counts as "other". */
void metric_request(enum http_method method, size_t route, int status);

/* Requests with a status of from to below - 1. */
uint64_t metric_requests(int from, int below);

/* Tells of every combination met so far. */
void metric_each_request(void (*each)(void *ctx, const char *method, size_t route, const char *code,
				      uint64_t n),
			 void *ctx);

#endif
