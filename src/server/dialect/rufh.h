/* rufh - Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload), interop versions 3 to 9
 * as far as they differ (doc/uploads.md). */
#ifndef RESTANTE_SERVER_DIALECT_RUFH_H
#define RESTANTE_SERVER_DIALECT_RUFH_H

#include "server/http.h"

extern const struct handler rufh_create_handler;
extern const struct handler rufh_look_handler; /* HEAD, and GET of an unfinished one */
extern const struct handler rufh_append_handler;
extern const struct handler rufh_cancel_handler;

#endif
