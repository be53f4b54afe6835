/* files - folders of files, durably copied and wholly removed. Symbolic links are never followed.
 * Any thread. */
#ifndef RESTANTE_BASE_FILES_H
#define RESTANTE_BASE_FILES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* What a backup is, for the command that makes it and the server that restores it: a folder with
 * the file of keys, the folder of the store, and, written last, a list of what there is:
 *
 *   { "format": 1, "version": "0.1.0", "made_at": "2026-12-21T10:00:00Z", "bytes": 4096,
 *     "files": [ { "name": "keys", "size": 96 }, { "name": "store/CURRENT", "size": 16 } ] }
 */
#define BACKUP_FORMAT 1
#define BACKUP_LIST "backup.json"
#define BACKUP_KEYS "keys"
#define BACKUP_STORE "store"
#define BACKUP_LATEST "latest"

/* What a backup is made from, the server's snapshot, has the same two and a list of the same
 * "files" by this name. */
#define BACKUP_SNAPSHOT_LIST "snapshot.json"

/* Without these two files a store is none: sets which of them the name is, if it is one. */
void backup_note_store(const char *name, bool *current, bool *manifest);

/* Asked now and then within a long copy; false gives up with ERR_BUSY. */
typedef bool files_go_on_fn(void);

/* Copies the regular file `name` from one folder into another, where it must not be yet: mode 0600,
 * the same times, with fsync of the file, but not of the folder. *size is its size. go_on may be
 * NULL. ERR_NOTFOUND. ERR_INVALID: no regular file. ERR_EXISTS. ERR_FULL. ERR_IO. What has failed
 * is not left there. */
enum err_code files_copy(int from_dir, int to_dir, const char *name, uint64_t *size,
			 files_go_on_fn *go_on, struct err *e);

/* The same in two steps, for who may read by one user's right and is to write by another's: opens
 * it for reading, and copies what is open; `name` is what it is to be called. */
enum err_code files_open(int *out, int dir, const char *name, struct err *e);
enum err_code files_copy_open(int from, int to_dir, const char *name, uint64_t *size,
			      files_go_on_fn *go_on, struct err *e);

/* Opens a folder in a folder (AT_FDCWD: a path), making it (mode 0700) if `make`; the descriptor is
 * the caller's. ERR_NOTFOUND, ERR_IO. */
enum err_code files_open_dir(int *out, int dir, const char *name, bool make, struct err *e);

/* Begins to list the names in an open folder, which stays the caller's; to be ended by closedir().
 * ERR_IO. */
enum err_code files_list(DIR **out, int dir, struct err *e);

/* The next name but "." and ".."; NULL: there are no more. Good until the next call. ERR_IO: what
 * was listed is not all. */
enum err_code files_next(const char **name, DIR *list, struct err *e);

/* Makes what was done to the names in a folder durable. ERR_IO. */
enum err_code files_sync_dir(int dir, struct err *e);

/* Removes a file, or a folder with all that is in it. What is not there is fine. ERR_IO. */
enum err_code files_remove(int dir, const char *name, struct err *e);

#endif
