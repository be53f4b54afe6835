/* fan_out PORT CLIENTS PATH... - so many clients, each on a connection of its own, ask for a path
 * all at once and read it to its end; then for the next path. What comes is counted and not looked
 * at (MSG_TRUNC), so that clients cost little. Prints MB/s (10^6 bytes) of all together, and the
 * seconds of the slowest client of each path, the longest. */
#include <sys/epoll.h>

#include "dial.h"

struct client {
	int fd;
	char head[4096];
	size_t head_len;
	uint64_t left; /* of the body, when the head is here */
	int in_body;
};

static struct {
	uint16_t port;
	int count, epoll;
	struct client *all;
	uint64_t bytes;
} run;

static void ask(struct client *c, const char *path)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	char text[1024];
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	send_all(c->fd, text, (size_t)n, 0);
	if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll_ctl");
}

/* Also counts what came behind it. */
static void read_head(struct client *c)
{
	ssize_t n = recv(c->fd, c->head + c->head_len, sizeof(c->head) - 1 - c->head_len, 0);
	const char *end, *length;
	uint64_t behind;

	if (n <= 0)
		die("no answer");
	c->head_len += (size_t)n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL)
		return;
	length = strcasestr(c->head, "\r\nContent-Length:");
	if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end)
		die("unexpected answer");
	c->in_body = 1;
	c->left = strtoull(length + 17, NULL, 10);
	behind = c->head_len - (size_t)(end + 4 - c->head);
	c->left -= behind;
	run.bytes += behind;
}

/* Returns 1 when all is there. */
static int progress(struct client *c)
{
	ssize_t n;

	if (!c->in_body) {
		read_head(c);
		return c->in_body && c->left == 0;
	}
	n = recv(c->fd, NULL, c->left, MSG_TRUNC | MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		die(n == 0 ? "cut off" : "recv");
	c->left -= n > 0 ? (uint64_t)n : 0;
	run.bytes += n > 0 ? (uint64_t)n : 0;
	return c->left == 0;
}

/* Returns how long it took. */
static double fan(const char *path)
{
	struct epoll_event ev[64];
	double began;
	int left = run.count;

	for (int i = 0; i < run.count; i++)
		run.all[i] = (struct client){ .fd = dial(run.port, 1) };
	began = now_s();
	for (int i = 0; i < run.count; i++)
		ask(&run.all[i], path);
	while (left > 0) {
		int n = epoll_wait(run.epoll, ev, 64, 60000);

		if (n <= 0)
			die("nothing for a minute");
		for (int i = 0; i < n; i++) {
			struct client *c = ev[i].data.ptr;

			if (!progress(c))
				continue;
			close(c->fd);
			left--;
		}
	}
	return now_s() - began;
}

int main(int argc, char **argv)
{
	double all = 0, longest = 0;

	if (argc < 4 || (run.count = atoi(argv[2])) < 1)
		die("usage: fan_out PORT CLIENTS PATH...");
	run.port = (uint16_t)atoi(argv[1]);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.all = calloc((size_t)run.count, sizeof(*run.all));
	if (run.epoll < 0 || run.all == NULL)
		die("setup");
	for (int i = 3; i < argc; i++) {
		double took = fan(argv[i]);

		all += took;
		longest = took > longest ? took : longest;
	}
	printf("%.6g %.6g\n", (double)run.bytes / 1e6 / all, longest);
	free(run.all);
	return 0;
}
