#include "cli/output.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

bool output_bytes(int fd, const char *name, const void *data, size_t n, struct trouble *t)
{
	const uint8_t *p = data;

	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return trouble_errno(t, name);
		p += k;
		n -= (size_t)k;
	}
	return true;
}

bool output_line(const char *text, struct trouble *t)
{
	return output_bytes(STDOUT_FILENO, "standard output", text, strlen(text), t) &&
	       output_bytes(STDOUT_FILENO, "standard output", "\n", 1, t);
}
