/* part_file - a file that appears whole or not at all. What has come of it lies beside it under the
 * name ".NAME.XXXXXXXX.part", XXXXXXXX being drawn from who may read it and where it is fetched
 * (key and token), so that only the same goes on with it. One thread; locked against other
 * processes.
 *
 * What a killed process leaves is what it wrote, in order. What lies there since before the system
 * started is not trusted: of a power cut not every file system says what it has lost. */
#ifndef RESTANTE_CLIENT_PART_FILE_H
#define RESTANTE_CLIENT_PART_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "restante/seal.h"

struct part_file;

/* Opens or makes the part of `path`, in the folder where that is (mode 0600). RESTANTE_MISUSE
 * (another process is at it), RESTANTE_IO (path or part is no plain file, no permission, no room).
 * On RESTANTE_OK the caller owns *out. */
enum restante_code part_open(struct part_file **out, const char *path,
			     const uint8_t key[static RESTANTE_KEY_SIZE], const char *token,
			     struct restante_error *e);

/* Leaves what has come for the next time, if it is to be kept; a part with nothing in it is
 * removed. NULL is fine. */
void part_close(struct part_file *p, bool keep);

/* Bytes that are there already. */
uint64_t part_have(const struct part_file *p);

/* Drops what is there beyond the first `size` bytes; writing goes on behind them. */
enum restante_code part_cut(struct part_file *p, uint64_t size, struct restante_error *e);

/* Writes behind what is there. RESTANTE_IO: a full disk among others; the part stays good. */
enum restante_code part_write(struct part_file *p, struct bytes data, struct restante_error *e);

/* All is there: makes it durable and gives it its name and the mode that new files have, replacing
 * what has the name. */
enum restante_code part_finish(struct part_file *p, struct restante_error *e);

#endif
