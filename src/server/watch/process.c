#include "server/watch/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double count_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 3; /* two names that are no files, and the folder itself */
}

static double most_files(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) == 0 ? (double)r.rlim_cur : -1;
}

static double cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return -1;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* proc(5): pages of the whole, and of what is resident. */
static void look_at_memory(struct process *out)
{
	const double page = (double)sysconf(_SC_PAGESIZE);
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return;
	if (fscanf(f, "%lu %lu", &size, &resident) == 2) {
		out->virtual_bytes = (double)size * page;
		out->resident_bytes = (double)resident * page;
	}
	(void)fclose(f);
}

void process_look(struct process *out)
{
	*out = (struct process){ cpu_seconds(), -1, -1, count_files(), most_files() };
	look_at_memory(out);
}
