/* row - a piece of an upload in the rows family carries a checksum of its own: XXH3 of the bytes,
 * seeded with where they belong, 8 bytes big-endian behind them.
 *
 * RocksDB checks what it reads from blob files with a CRC that Debian's build computes in software,
 * at nearly half of what a read costs; so that is left out and this one checked instead. It finds
 * a row in the wrong place as well. Pure; any thread. */
#ifndef RESTANTE_STORAGE_ROCKSDB_ROW_H
#define RESTANTE_STORAGE_ROCKSDB_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define ROW_SUM_SIZE 8

void row_sum(uint8_t out[static ROW_SUM_SIZE], uint64_t locator, uint64_t offset,
	     struct bytes data);

/* Takes the checksum off a stored value; false if it does not fit the bytes and their place. */
bool row_open(struct bytes *value, uint64_t locator, uint64_t offset);

#endif
