/* container - which kind of file a video is, by its bytes, and whether it is all there: what can be
 * said without ffmpeg's libraries, so that they see only files of the kinds meant for them. */
#ifndef RESTANTE_VIDEO_CONTAINER_H
#define RESTANTE_VIDEO_CONTAINER_H

#include "base/err.h"

struct container {
	const char *type;                /* "video/mp4" */
	const char *reads;               /* ffmpeg's name of what reads it ... */
	const char *writes;              /* ... and of what writes it */
	const struct container *roomier; /* takes streams that this one cannot hold; or NULL */
};

/* Finds out of what kind the regular file fd is; *out is static. ERR_INVALID (none that is taken,
 * or cut short; e->why is a sentence for a person), ERR_IO. */
enum err_code container_of(const struct container **out, int fd, struct err *e);

#endif
