/* sync_many DIR BYTES THREADS SECONDS COUNT - each thread writes and fdatasyncs one file after the
 * other, for so long or until there are so many. Prints files a second, and the 99th percentile of
 * the time of one in milliseconds. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>

#include "tus.h"

static struct {
	const char *dir;
	size_t bytes;
	double deadline;
	long count;
	atomic_long done, names;
} run;

static void *writer(void *unused)
{
	char *body = malloc(run.bytes);
	char name[4096];

	(void)unused;
	if (body == NULL)
		die("malloc");
	for (size_t i = 0; i < run.bytes; i += 256)
		if (getrandom(body + i, run.bytes - i < 256 ? run.bytes - i : 256, 0) < 0)
			die("getrandom");
	for (;;) {
		long number = atomic_fetch_add(&run.names, 1);
		double began = now_s();
		int fd;

		if (began >= run.deadline || number >= run.count)
			break;
		snprintf(name, sizeof(name), "%s/%ld", run.dir, number);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, body, run.bytes) != (ssize_t)run.bytes ||
		    fdatasync(fd) != 0)
			die(name);
		close(fd);
		tus_took(now_s() - began);
		atomic_fetch_add(&run.done, 1);
	}
	free(body);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[1024];
	double began = now_s();
	int count;

	if (argc != 6 || (count = atoi(argv[3])) < 1 || count > 1024)
		die("usage: sync_many DIR BYTES THREADS SECONDS COUNT");
	run.dir = argv[1];
	run.bytes = strtoul(argv[2], NULL, 10);
	run.deadline = began + atof(argv[4]);
	run.count = atol(argv[5]);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, writer, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%.1f", (double)run.done / (now_s() - began));
	printf(" %.6g\n", tus_percentile_ms(99));
	return 0;
}
