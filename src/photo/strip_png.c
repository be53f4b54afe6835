#include <stdbool.h>
#include <string.h>

#include "photo/strip.h"

#define SIGNATURE 8
#define FRAME 12 /* around a chunk's data: length, type, CRC */

/* The chunks that make pixels, and those of an animation. Of the rest nobody needs any: colours
 * other than sRGB's are not left to this (photo.c). */
static bool is_kept(const uint8_t *type)
{
	static const char kept[][5] = { "IHDR", "PLTE", "tRNS", "IDAT",
					"IEND", "acTL", "fcTL", "fdAT" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (memcmp(type, kept[i], 4) == 0)
			return true;
	return false;
}

/* A letter in upper case: a decoder that does not know the chunk cannot show the picture. */
static bool is_critical(const uint8_t *type)
{
	return (type[0] & 0x20) == 0;
}

size_t strip_png(uint8_t *to, struct bytes in)
{
	size_t at = SIGNATURE, len = SIGNATURE;

	if (in.len < SIGNATURE)
		return 0;
	memcpy(to, in.data, SIGNATURE);
	while (in.len - at >= FRAME) {
		const uint8_t *chunk = in.data + at;
		const uint32_t size = bytes_get_u32(chunk);

		if (size > in.len - at - FRAME)
			return 0;
		if (is_kept(chunk + 4)) {
			memcpy(to + len, chunk, size + FRAME);
			len += size + FRAME;
		} else if (is_critical(chunk + 4)) {
			return 0;
		}
		if (memcmp(chunk + 4, "IEND", 4) == 0)
			return size == 0 ? len : 0;
		at += size + FRAME;
	}
	return 0;
}
