/* hold_many PORT COUNT [PATH] - opens COUNT connections and holds them until standard input ends.
 * With PATH each makes one GET and stays idle; without, each stalls after 3 KB of an upload that
 * announced 10 MB. Prints "holding N", and at the end "open N": those neither closed nor answered
 * meanwhile. */
#include "dial.h"

#define PER_ADDRESS 5000

static int get(int fd, const char *path)
{
	static char head[4096], answer[65536];
	int n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	send_all(fd, head, (size_t)n, 0);
	read_answer(fd, answer, sizeof(answer));
	return fd;
}

static int stall(int fd)
{
	static const char head[] = "PUT /v1/media HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: 10485760\r\n\r\n";
	static char body[3072];

	send_all(fd, head, sizeof(head) - 1, MSG_MORE);
	send_all(fd, body, sizeof(body), 0);
	return fd;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0, open = 0;
	int *fds = calloc((size_t)count + 1, sizeof(*fds));
	char c;

	if (count < 1 || fds == NULL)
		die("usage: hold_many PORT COUNT [PATH]");
	for (int i = 0; i < count; i++) {
		int fd = dial((uint16_t)atoi(argv[1]), 1 + (unsigned)i / PER_ADDRESS);

		fds[i] = argc > 3 ? get(fd, argv[3]) : stall(fd);
	}
	printf("holding %d\n", count);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (int i = 0; i < count; i++)
		open += recv(fds[i], &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
	printf("open %d\n", open);
	free(fds);
	return 0;
}
