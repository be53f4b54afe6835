#include "photo/strip.h"

size_t strip(uint8_t *to, struct bytes in, enum kind kind)
{
	switch (kind) {
	case KIND_JPEG:
		return strip_jpeg(to, in);
	case KIND_PNG:
		return strip_png(to, in);
	case KIND_WEBP:
		return strip_webp(to, in);
	case KIND_GIF:
		return strip_gif(to, in);
	default:
		return 0;
	}
}
