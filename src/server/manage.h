/* manage - what the creator of an upload may do with it later: delete it. */
#ifndef RESTANTE_SERVER_MANAGE_H
#define RESTANTE_SERVER_MANAGE_H

#include "server/http.h"

/* DELETE with a manage token; and with an upload token on the upload's own URL. */
extern const struct handler manage_delete_handler, manage_delete_upload_handler;

#endif
