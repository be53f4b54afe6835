/* extend - moves the end of a finished upload: POST /v1/media/MANAGE-TOKEN/extend?ttl= (DESIGN,
 * "Fetching"). */
#ifndef RESTANTE_SERVER_EXTEND_H
#define RESTANTE_SERVER_EXTEND_H

#include "server/http.h"

extern const struct handler extend_handler;

#endif
