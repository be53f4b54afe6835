/* metrics_print - everything that is counted, timed or measured, for whoever asks: as Prometheus
 * text (exposition format 0.0.4), or name by name. Any thread. */
#ifndef RESTANTE_SERVER_WATCH_METRICS_PRINT_H
#define RESTANTE_SERVER_WATCH_METRICS_PRINT_H

#include <stdio.h>

struct server;

void metrics_print(FILE *f, struct server *s);

/* Tells of every series: its name, with its labels if it has some
 * (`restante_http_requests_total{method="GET",…}`), and its value. Histograms are told as their
 * _count and _sum. */
void metrics_each(struct server *s, void (*each)(void *ctx, const char *name, double value),
		  void *ctx);

#endif
