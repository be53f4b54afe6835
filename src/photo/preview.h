/* preview - a small picture of a picture, and its hash, from pixels that are in memory anyway. */
#ifndef RESTANTE_PHOTO_PREVIEW_H
#define RESTANTE_PHOTO_PREVIEW_H

#include "base/err.h"
#include "photo/photo.h"
#include "photo/pixels.h"

#define PREVIEW_EDGE 100 /* pixels, at most */

/* Of the first frame. Fails with ERR_NOMEM. */
enum err_code preview_make(struct photo_preview *out, const struct pixels *p, struct err *e);

#endif
