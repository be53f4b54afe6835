/* photo_many DIR COUNT TIER - prepares COUNT photos, the files of DIR over and over, one after the
 * other in one thread, and says: photos a second, CPU seconds, bytes before and after, peak memory.
 * Only what `restante put` does to a photo before it is sealed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "photo/photo.h"

#define FILES_MAX 1000

static char *paths[FILES_MAX];
static size_t path_count;

static void find_files(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir != NULL && (d = readdir(dir)) != NULL && path_count < FILES_MAX)
		if (d->d_name[0] != '.' &&
		    asprintf(&paths[path_count], "%s/%s", folder, d->d_name) > 0)
			path_count++;
	if (dir != NULL)
		closedir(dir);
}

struct totals {
	uint64_t in, out;
};

static int prepare(const char *path, const struct photo_options *o, struct totals *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct err e = { ERR_OK, "cannot be read" };
	enum err_code rc = ERR_IO;
	struct photo photo;
	struct stat st;
	void *map = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0)
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map != MAP_FAILED) {
		rc = photo_prepare(&photo, (struct bytes){ map, (size_t)st.st_size }, o, &e);
		(void)munmap(map, (size_t)st.st_size);
	}
	(void)close(fd);
	if (rc != ERR_OK) {
		fprintf(stderr, "%s: %s\n", path, e.why);
		return -1;
	}
	t->in += (uint64_t)st.st_size;
	t->out += photo.size;
	photo_fini(&photo);
	return 0;
}

static double now(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct photo_options o = { .tier = PHOTO_STANDARD };
	struct totals t = { 0 };
	struct rusage usage;
	size_t count;
	double wall, cpu;

	if (argc != 4 || photo_start(NULL) != ERR_OK)
		return 2;
	find_files(argv[1]);
	count = path_count > 0 ? strtoul(argv[2], NULL, 10) : 0;
	if (strcmp(argv[3], "high") == 0)
		o.tier = PHOTO_HIGH;
	wall = now(CLOCK_MONOTONIC);
	for (size_t i = 0; i < count; i++)
		if (prepare(paths[i % path_count], &o, &t) != 0)
			return 1;
	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	(void)getrusage(RUSAGE_SELF, &usage);
	printf("photos %zu\nper_second %.2f\ncpu_seconds_each %.4f\nbytes_in_each %.0f\n"
	       "bytes_out_each %.0f\npeak_mib %.1f\n",
	       count, (double)count / wall, cpu / (double)count, (double)t.in / (double)count,
	       (double)t.out / (double)count, (double)usage.ru_maxrss / 1024);
	for (size_t i = 0; i < path_count; i++)
		free(paths[i]);
	photo_stop();
	return 0;
}
