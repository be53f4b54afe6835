/* tus - the tus 1.0.0 dialect with its nine extensions (doc/uploads.md). */
#ifndef RESTANTE_SERVER_DIALECT_TUS_H
#define RESTANTE_SERVER_DIALECT_TUS_H

#include "server/http.h"

#define TUS_EXTENSIONS                                                             \
	"creation,creation-with-upload,creation-defer-length,expiration,checksum," \
	"checksum-trailer,termination,concatenation,concatenation-unfinished"

extern const struct handler tus_create_handler;
extern const struct handler tus_head_handler; /* and GET of an unfinished one */
extern const struct handler tus_patch_handler;
extern const struct handler tus_delete_handler;

#endif
