/* lock_pages FILE... - reads files into the page cache and keeps them there until it is ended, by
 * mlock(2). Says "locked" and how many MiB. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	(void)fprintf(stderr, "lock_pages: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	if (st.st_size > 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED || mlock(p, (size_t)st.st_size) != 0)
			die(path);
	}
	close(fd);
	return (size_t)st.st_size;
}

int main(int argc, char **argv)
{
	size_t sum = 0;

	for (int i = 1; i < argc; i++)
		sum += lock(argv[i]);
	(void)printf("locked %zu\n", sum >> 20);
	(void)fflush(stdout);
	pause();
	return 0;
}
