/* metrics - what is counted, in one table; printed as Prometheus text (exposition format 0.0.4).
 * Any thread. */
#ifndef RESTANTE_SERVER_METRICS_H
#define RESTANTE_SERVER_METRICS_H

#include <stdint.h>
#include <stdio.h>

#define METRIC_LIST(X)                                                                           \
	X(CONNECTIONS, "restante_connections_total", "Connections accepted.")                    \
	X(CONNECTIONS_REFUSED, "restante_connections_refused_total",                             \
	  "Connections turned away over a limit.")                                               \
	X(REQUESTS_2XX, "restante_requests_2xx_total", "Requests answered with 2xx.")            \
	X(REQUESTS_3XX, "restante_requests_3xx_total", "Requests answered with 3xx.")            \
	X(REQUESTS_4XX, "restante_requests_4xx_total", "Requests answered with 4xx.")            \
	X(REQUESTS_5XX, "restante_requests_5xx_total", "Requests answered with 5xx.")            \
	X(REQUESTS_CUT, "restante_requests_cut_total", "Requests that ended without an answer.") \
	X(BYTES_RECEIVED, "restante_received_bytes_total", "Body bytes taken from clients.")     \
	X(BYTES_SENT, "restante_sent_bytes_total", "Body bytes of answers sent whole.")          \
	X(UPLOADS, "restante_uploads_finished_total", "Uploads finished.")                       \
	X(UPLOADS_FAILED, "restante_uploads_failed_total", "Uploads refused or broken off.")     \
	X(CACHE_HITS, "restante_cache_hits_total", "Chunks found in memory.")                    \
	X(CACHE_MISSES, "restante_cache_misses_total", "Chunks read from the store.")            \
	X(EXPIRED, "restante_expired_total", "Uploads dropped by the sweep.")                    \
	X(SWEEPS, "restante_sweeps_total", "Sweeps run.")

#define X(name, text, help) METRIC_##name,
enum metric { METRIC_LIST(X) METRIC_COUNT };
#undef X

void metric_add(enum metric m, uint64_t n);
uint64_t metric_get(enum metric m);

/* Counts an answer under the class of its status. */
void metric_status(int status);

/* Prints all of the table; and one line of another source, with its help and type. */
void metrics_print(FILE *f);
void metrics_print_one(FILE *f, const char *name, const char *type, const char *help,
		       uint64_t value);

#endif
