/* disk - what a folder takes up. Any thread that may wait for a disk. */
#ifndef RESTANTE_BASE_DISK_H
#define RESTANTE_BASE_DISK_H

#include <stdint.h>

struct disk_use {
	uint64_t allocated; /* bytes of blocks, st_blocks */
	uint64_t size;      /* of the files, as ls shows it */
};

/* Of all that lies in a folder, without following links; of what comes and goes meanwhile as far as
 * it is met. Nothing if there is no such folder. */
struct disk_use disk_use(const char *dir);

#endif
