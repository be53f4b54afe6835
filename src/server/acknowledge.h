/* acknowledge - recipients say that they have an upload: POST /v1/media/TOKEN/ack with a fetch
 * token (DESIGN, "Fetching"). When all have, it is dropped. */
#ifndef RESTANTE_SERVER_ACKNOWLEDGE_H
#define RESTANTE_SERVER_ACKNOWLEDGE_H

#include "server/http.h"

extern const struct handler acknowledge_handler;

#endif
