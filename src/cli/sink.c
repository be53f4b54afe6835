#include "cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/say.h"

bool sink_is_stream(const char *path)
{
	struct stat st;

	return strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode));
}

/* A file of its own beside the one that is meant; mode 0600. */
static bool open_fresh(struct sink *s, struct trouble *t)
{
	const char *slash = strrchr(s->path, '/');
	int folder = slash != NULL ? (int)(slash - s->path) + 1 : 0;

	if (asprintf(&s->fresh, "%.*s.restante.XXXXXX", folder, s->path) < 0) {
		s->fresh = NULL;
		return trouble_local(t, ERR_NOMEM, "out of memory");
	}
	s->fd = mkostemp(s->fresh, O_CLOEXEC);
	if (s->fd >= 0)
		return true;
	free(s->fresh);
	s->fresh = NULL;
	return trouble_errno(t, s->path);
}

bool sink_open(struct sink *s, const char *path, struct trouble *t)
{
	*s = (struct sink){ .path = path, .fd = -1, .t = t };
	if (!sink_is_stream(path))
		return open_fresh(s, t);
	s->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : open(path, O_WRONLY | O_CLOEXEC);
	return s->fd >= 0 || trouble_errno(t, path);
}

bool sink_write(void *ctx, const void *data, size_t size)
{
	struct sink *s = ctx;

	s->written += size;
	return output_bytes(s->fd, s->fd == STDOUT_FILENO ? "standard output" : s->path, data, size,
			    s->t);
}

/* As any new file has it. Asking changes it for a moment; no other thread makes files. */
static mode_t new_mode(void)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return 0666 & ~mask;
}

bool sink_close(struct sink *s, bool whole, struct trouble *t)
{
	bool ok = true;

	if (s->fresh != NULL && whole && !s->secret && fchmod(s->fd, new_mode()) != 0)
		ok = trouble_errno(t, s->path);
	if (s->fd > STDOUT_FILENO && close(s->fd) != 0 && whole)
		ok = trouble_errno(t, s->path);
	if (s->fresh != NULL && ok && whole && rename(s->fresh, s->path) != 0)
		ok = trouble_errno(t, s->path);
	if (s->fresh != NULL && (!ok || !whole))
		(void)unlink(s->fresh);
	free(s->fresh);
	*s = (struct sink){ .fd = -1 };
	return ok;
}

bool sink_safe_name(char out[static SINK_NAME_SIZE], const char *name)
{
	say_clean(out, SINK_NAME_SIZE, name);
	for (char *p = out; *p != '\0'; p++) {
		if (strchr("/\\?*", *p) != NULL)
			*p = '_';
	}
	if (strchr(".-~ ", out[0]) != NULL && out[0] != '\0')
		out[0] = '_';
	return out[0] != '\0';
}
