/* kind - which picture format a file is of, by its first bytes. Pure, any thread. */
#ifndef RESTANTE_PHOTO_KIND_H
#define RESTANTE_PHOTO_KIND_H

#include "base/bytes.h"

/* name, media type, what people call it */
#define KIND_LIST(X)                            \
	X(NONE, "application/octet-stream", "") \
	X(JPEG, "image/jpeg", "JPEG")           \
	X(PNG, "image/png", "PNG")              \
	X(WEBP, "image/webp", "WebP")           \
	X(GIF, "image/gif", "GIF")              \
	X(HEIC, "image/heic", "HEIC")           \
	X(AVIF, "image/avif", "AVIF")           \
	X(HEIF, "image/heif", "HEIF")           \
	X(TIFF, "image/tiff", "TIFF")

#define X(name, type, people) KIND_##name,
enum kind { KIND_LIST(X) KIND_COUNT };
#undef X

/* KIND_NONE if it is none that we take. */
enum kind kind_of(struct bytes file);

/* Static strings: "image/jpeg", "JPEG". */
const char *kind_type(enum kind kind);
const char *kind_name(enum kind kind);

/* What the file is, for a person, if it is of a well-known kind that we do not take: "a PDF
 * document". NULL of others. A static string. */
const char *kind_refused(struct bytes file);

#endif
