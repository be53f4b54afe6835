/* tus_slow -o URLS PORT PATH COUNT - makes COUNT uploads by tus and sends each one byte a second,
 * in one PATCH of known length, until standard input ends. Writes their URLs, one a line. Prints
 * "holding N" when all are under way; at the end "open N", those neither closed nor answered
 * meanwhile, and "rate R", the bytes a second that each of these was sent. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "tus.h"

#define PER_ADDRESS 5000
#define MAKERS 32
#define LENGTH (1 << 20)
#define TICKS 100 /* a second, so that not all send at once */

struct slow {
	int fd; /* -1: closed by the server */
	char url[TUS_URL_MAX];
};

static struct {
	uint16_t port;
	const char *path;
	int count;
	struct slow *all;
	atomic_int begun;
} run;

static void make(struct slow *s, unsigned host)
{
	char text[1024];
	int n;

	s->fd = dial(run.port, host);
	tus_create(s->fd, run.path, LENGTH, s->url);
	n = snprintf(text, sizeof(text),
		     "PATCH %s HTTP/1.1\r\n" TUS_BODY_FIELDS
		     "Upload-Offset: 0\r\nContent-Length: %d\r\n\r\n",
		     s->url, LENGTH);
	send_all(s->fd, text, (size_t)n, 0);
}

static void *maker(void *unused)
{
	int i;

	(void)unused;
	while ((i = atomic_fetch_add(&run.begun, 1)) < run.count)
		make(&run.all[i], 1 + (unsigned)i / PER_ADDRESS);
	return NULL;
}

static void make_all(const char *urls)
{
	pthread_t threads[MAKERS];
	FILE *f = fopen(urls, "w");

	if (f == NULL)
		die(urls);
	for (int i = 0; i < MAKERS; i++)
		if (pthread_create(&threads[i], NULL, maker, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < MAKERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < run.count; i++)
		fprintf(f, "%s\n", run.all[i].url);
	if (fclose(f) != 0)
		die(urls);
}

static void send_byte(struct slow *s)
{
	if (s->fd < 0 || send(s->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		return;
	close(s->fd);
	s->fd = -1;
}

/* Returns how many ticks there were: each sends for its share of the uploads. */
static long tick_until_told(double began)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;
	long tick = 0;

	for (;;) {
		double rest = began + (double)tick / TICKS - now_s();

		if (poll(&in, 1, rest > 0 ? (int)(rest * 1e3) + 1 : 0) > 0 &&
		    read(STDIN_FILENO, &c, 1) <= 0)
			return tick;
		for (; now_s() >= began + (double)tick / TICKS; tick++)
			for (long i = tick % TICKS; i < run.count; i += TICKS)
				send_byte(&run.all[i]);
	}
}

int main(int argc, char **argv)
{
	const char *urls = NULL;
	int opt, open = 0;
	double began;
	long ticks;
	char c;

	while ((opt = getopt(argc, argv, "o:")) != -1)
		urls = opt == 'o' ? optarg : NULL;
	run.count = argc - optind == 3 ? atoi(argv[optind + 2]) : 0;
	if (urls == NULL || run.count < 1 ||
	    (run.all = calloc((size_t)run.count, sizeof(*run.all))) == NULL)
		die("usage: tus_slow -o URLS PORT PATH COUNT");
	run.port = (uint16_t)atoi(argv[optind]);
	run.path = argv[optind + 1];
	make_all(urls);
	printf("holding %d\n", run.count);
	fflush(stdout);
	began = now_s();
	ticks = tick_until_told(began);
	for (int i = 0; i < run.count; i++)
		open += run.all[i].fd >= 0 &&
			recv(run.all[i].fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
	printf("open %d\nrate %.3f\n", open, (double)ticks / TICKS / (now_s() - began));
	free(run.all);
	return 0;
}
