/* fuzz_video - the input is a video, to be refused with a sentence or prepared. */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "video/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("video", MFD_CLOEXEC);

	assert(fd >= 0);
	assert(write(fd, data, size) == (ssize_t)size);
	return fd;
}

static void check_refused(enum err_code rc, const struct err *e)
{
	assert(rc == ERR_INVALID || rc == ERR_NOMEM);
	assert(e->code == rc && e->why[0] != '\0' && strchr(e->why, '\n') == NULL);
	assert(strlen(e->why) < sizeof(e->why) - 1);
}

static void check_accepted(const struct video *v)
{
	assert(v->width > 0 && v->height > 0 && v->rewritten);
	assert(strncmp(v->type, "video/", 6) == 0);
	if (v->frame == NULL)
		return;
	assert(v->frame_width > 0 && v->frame_width <= 256);
	assert(v->frame_height > 0 && v->frame_height <= 256);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int in = file_of(data, size), out = file_of(data, 0);
	struct err e = { ERR_OK, "" };
	struct video v;
	enum err_code rc = video_prepare(&v, in, out, &e);

	if (rc != ERR_OK) {
		check_refused(rc, &e);
	} else {
		check_accepted(&v);
		video_fini(&v);
	}
	close(in);
	close(out);
	return 0;
}
