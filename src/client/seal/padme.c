#include "client/seal/payload.h"
#include "restante/seal.h"

#define SIZE_MAX_TAKEN (UINT64_C(1) << 62)

/* floor(log2 v) of v > 0. */
static unsigned log2_floor(uint64_t v)
{
	return 63u - (unsigned)__builtin_clzll(v);
}

/* The sizes that are left have their lowest bits clear: of a size with e bits behind the first,
 * all but as many as it takes to write e down. */
uint64_t restante_padded_size(uint64_t size)
{
	unsigned e, low;
	uint64_t mask;

	if (size < 2 || size >= SIZE_MAX_TAKEN)
		return size;
	e = log2_floor(size);
	low = e - (log2_floor(e) + 1);
	mask = (UINT64_C(1) << low) - 1;
	return (size + mask) & ~mask;
}

uint64_t restante_sealed_size(uint64_t size)
{
	if (size > SIZE_MAX_TAKEN)
		return UINT64_MAX;
	return RESTANTE_HEAD_SIZE + size + payload_chunks(size) * PAYLOAD_TAG;
}
