/* moving - a folder of videos, and one at a time prepared for sending: what the suite of videos
 * does over and over. */
#ifndef RESTANTE_TESTS_MOVING_H
#define RESTANTE_TESTS_MOVING_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "video/video.h"

static char folder[] = "/tmp/restante-video-XXXXXX";

static inline bool have_tools(void)
{
	return video_supported() && system("command -v ffmpeg ffprobe >/dev/null") == 0;
}

static inline int make_media(void **state)
{
	char command[128];

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(command, sizeof(command), "tests/library/make-media %s video", folder);
	return have_tools() ? system(command) : 0;
}

static inline int remove_media(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static inline int open_media(const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

/* Prepares a file as FOLDER/sent. */
static inline enum err_code prepare(struct video *v, const char *name, struct err *e)
{
	int in, out;
	enum err_code rc;

	if (!have_tools())
		skip();
	in = open_media(name, O_RDONLY);
	out = open_media("sent", O_RDWR | O_CREAT | O_TRUNC);
	rc = video_prepare(v, in, out, e);
	close(in);
	close(out);
	return rc;
}

static inline struct video prepared(const char *name)
{
	struct err e = { ERR_OK, "" };
	struct video v;

	if (prepare(&v, name, &e) != ERR_OK)
		fail_msg("%s: %s", name, e.why);
	assert_true(v.rewritten);
	return v;
}

/* Runs a line of shell in the folder; -> whether it succeeds. */
static inline bool shell(const char *line)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd %s && { %s; }", folder, line);
	return system(command) == 0;
}

static inline uint8_t *map_sent(size_t *size)
{
	int fd = open_media("sent", O_RDONLY);
	struct stat st;
	void *p;

	assert_int_equal(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static inline bool sent_holds(const char *text)
{
	size_t size;
	uint8_t *p = map_sent(&size);
	bool holds = memmem(p, size, text, strlen(text)) != NULL;

	munmap(p, size);
	return holds;
}

#endif
