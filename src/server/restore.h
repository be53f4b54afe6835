/* restore - puts a backup (base/files.h has its form, `restante backup` makes it) into a data
 * directory that is to hold nothing yet. One thread; no server runs there.
 *
 * What is half done lies in the folder "restore.partial" of the data directory: while it is there
 * no server starts, and a restore begins anew. */
#ifndef RESTANTE_SERVER_RESTORE_H
#define RESTANTE_SERVER_RESTORE_H

#include <stdint.h>

#include "base/err.h"
#include "server/settings.h"

struct restored {
	char made_at[32]; /* as the backup says */
	uint64_t files, bytes;
};

/* Copies the backup `from`, or the latest in the folder of backups `from`, into the data directory,
 * which is made if it is not there; everything is durable then, and the store was opened once. Root
 * becomes the owner of the data directory for that, and the process goes into that folder.
 * ERR_INVALID: no backup. ERR_DAMAGED: it is not complete. ERR_FORMAT: of a newer version, itself
 * or its store. ERR_EXISTS: keys or a store are there already. ERR_BUSY: another restore works
 * there. ERR_FULL, ERR_IO. */
enum err_code restore(const struct settings *set, const char *from, struct restored *out,
		      struct err *e);

/* ERR_INVALID if a restore into the data directory was broken off. */
enum err_code restore_none_open(const char *data_dir, struct err *e);

#endif
