#include "base/crc32c.h"

#include <assert.h>
#include <limits.h>

#include <isa-l/crc.h>

uint32_t crc32c_extend(uint32_t crc, struct bytes data)
{
	assert(data.len <= INT_MAX);
	return ~crc32_iscsi((unsigned char *)data.data, (int)data.len, ~crc);
}
