/* choose - which dialect a request on an upload speaks, by its header fields: Tus-Resumable is tus
 * 1.0.0; Upload-Complete, Upload-Incomplete or application/partial-upload are the resumable uploads
 * of the IETF, which clients without any of these are taken to look and delete by too. */
#ifndef RESTANTE_SERVER_DIALECT_CHOOSE_H
#define RESTANTE_SERVER_DIALECT_CHOOSE_H

#include "server/http.h"

extern const struct handler choose_create_handler; /* POST, PUT /v1/uploads */
extern const struct handler choose_look_handler;   /* HEAD, GET /v1/uploads/x */
extern const struct handler choose_append_handler; /* PATCH /v1/uploads/x */
extern const struct handler choose_delete_handler; /* DELETE /v1/uploads/x */
extern const struct handler choose_put_handler;    /* POST, PUT /v1/media: plain, or upgraded */

#endif
