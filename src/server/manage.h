/* manage - what the creator of an upload may do with it later: delete it. */
#ifndef RESTANTE_SERVER_MANAGE_H
#define RESTANTE_SERVER_MANAGE_H

#include "base/err.h"
#include "server/http.h"
#include "storage/store.h"

/* DELETE with a manage token; and with an upload token on the upload's own URL. */
extern const struct handler manage_delete_handler, manage_delete_upload_handler;

/* Drops an upload, u its record, and remembers for a while that it was deleted. For workers.
 * ERR_NOTFOUND, also if it was deleted before. ERR_IO. */
enum err_code manage_terminate(const struct request *req, const struct upload *u);

#endif
