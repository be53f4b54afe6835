/* crc32c - the Castagnoli CRC of RFC 3720 (section 12.1, appendix B.4), by ISA-L. Any thread. */
#ifndef RESTANTE_BASE_CRC32C_H
#define RESTANTE_BASE_CRC32C_H

#include <stdint.h>

#include "base/bytes.h"

/* The CRC of the bytes whose CRC is `crc` and of data behind them; that of no bytes is 0. */
uint32_t crc32c_extend(uint32_t crc, struct bytes data);

#endif
