/* health - /healthz (the process answers), /readyz (and has its store), /metrics. */
#ifndef RESTANTE_SERVER_HEALTH_H
#define RESTANTE_SERVER_HEALTH_H

#include "server/http.h"

extern const struct handler healthz_handler, readyz_handler, metrics_handler;

#endif
