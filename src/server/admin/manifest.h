/* manifest - what is in a snapshot, said by who made it: snapshot.json, with the time, the
 * versions, and "files" as the list of a backup has them (base/files.h). The operator's thread. */
#ifndef RESTANTE_SERVER_ADMIN_MANIFEST_H
#define RESTANTE_SERVER_ADMIN_MANIFEST_H

#include <stdint.h>

#include "base/err.h"

/* Writes that of the snapshot in the folder `dir`, which has all its files already. ERR_DAMAGED: it
 * has no keys, or what it has is no store. ERR_IO. */
enum err_code manifest_write(int dir, int64_t now, struct err *e);

#endif
