/* none - restante without ffmpeg's libraries: videos are sent as they are. */
#include "video/video.h"

bool video_supported(void)
{
	return false;
}

enum err_code video_prepare(struct video *out, int in_fd, int out_fd, struct err *e)
{
	(void)out;
	(void)in_fd;
	(void)out_fd;
	return err_set(e, ERR_FORMAT,
		       "restante was built without ffmpeg's libraries: sent as it is");
}

void video_fini(struct video *v)
{
	(void)v;
}
