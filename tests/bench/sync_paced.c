/* sync_paced FILE MS COUNT - every MS milliseconds writes 4 KiB over the begin of a file and
 * fdatasyncs it. Prints median and 99th percentile of the time that takes, in milliseconds. */
#include <fcntl.h>

#include "tus.h"

int main(int argc, char **argv)
{
	static char block[4096];
	struct timespec pause;
	int fd;

	if (argc != 4)
		die("usage: sync_paced FILE MS COUNT");
	fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	pause = (struct timespec){ .tv_nsec = atol(argv[2]) * 1000000 };
	for (long i = 0; i < atol(argv[3]); i++) {
		double began = now_s();

		block[0] = (char)i;
		if (pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fdatasync(fd) != 0)
			die(argv[1]);
		tus_took(now_s() - began);
		nanosleep(&pause, NULL);
	}
	close(fd);
	printf("%.6g ", tus_percentile_ms(50));
	printf("%.6g\n", tus_percentile_ms(99));
	return 0;
}
