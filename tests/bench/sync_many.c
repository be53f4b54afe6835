/* sync_many DIR BYTES THREADS SECONDS - each thread writes and fdatasyncs one file after the other.
 * Prints files a second. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "dial.h"

static struct {
	const char *dir;
	size_t bytes;
	double deadline;
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
	while (now_s() < run.deadline) {
		int fd;

		snprintf(name, sizeof(name), "%s/%ld", run.dir, atomic_fetch_add(&run.names, 1));
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, body, run.bytes) != (ssize_t)run.bytes ||
		    fdatasync(fd) != 0)
			die(name);
		close(fd);
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

	if (argc != 5 || (count = atoi(argv[3])) < 1 || count > 1024)
		die("usage: sync_many DIR BYTES THREADS SECONDS");
	run.dir = argv[1];
	run.bytes = strtoul(argv[2], NULL, 10);
	run.deadline = began + atof(argv[4]);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, writer, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%.1f\n", (double)run.done / (now_s() - began));
	return 0;
}
