/* tus_head [-c CLIENTS] PORT (PATH COUNT | -f URLS) - asks for offsets by tus. With PATH it makes
 * 100 uploads and asks for each in turn, COUNT times in all; with -f for each of URLS (paths, one
 * a line) once. A client waits 5 ms between two. Prints median and 99th percentile of the time
 * of one, in milliseconds. */
#include <pthread.h>

#include "tus.h"

#define OWN 100

static struct {
	uint16_t port;
	char (*urls)[TUS_URL_MAX];
	int url_count, count;
	atomic_int begun;
} run;

static void *client(void *unused)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	char text[8192];
	int fd = dial(run.port, 1), i;

	(void)unused;
	while ((i = atomic_fetch_add(&run.begun, 1)) < run.count) {
		int n = snprintf(text, sizeof(text), "HEAD %s HTTP/1.1\r\n" TUS_FIELDS "\r\n",
				 run.urls[i % run.url_count]);
		double began = now_s();

		send_all(fd, text, (size_t)n, 0);
		tus_answer(fd, text, sizeof(text));
		tus_took(now_s() - began);
		nanosleep(&pause, NULL);
	}
	close(fd);
	return NULL;
}

static void make_urls(const char *path)
{
	int fd = dial(run.port, 1);

	run.urls = calloc(OWN, sizeof(*run.urls));
	if (run.urls == NULL)
		die("calloc");
	for (run.url_count = 0; run.url_count < OWN; run.url_count++)
		tus_create(fd, path, 1 << 20, run.urls[run.url_count]);
	close(fd);
}

static void read_urls(const char *name)
{
	FILE *f = fopen(name, "r");
	char line[TUS_URL_MAX];

	if (f == NULL)
		die(name);
	while (fgets(line, sizeof(line), f) != NULL) {
		run.urls = realloc(run.urls, (size_t)(run.url_count + 1) * sizeof(*run.urls));
		if (run.urls == NULL)
			die("realloc");
		line[strcspn(line, "\n")] = '\0';
		strcpy(run.urls[run.url_count++], line);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	pthread_t threads[256];
	int opt, clients = 1;
	const char *from = NULL;

	while ((opt = getopt(argc, argv, "c:f:")) != -1) {
		if (opt == 'c')
			clients = atoi(optarg);
		else if (opt == 'f')
			from = optarg;
	}
	if (argc - optind != (from == NULL ? 3 : 1) || clients < 1 || clients > 256)
		die("usage: tus_head [-c CLIENTS] PORT (PATH COUNT | -f URLS)");
	run.port = (uint16_t)atoi(argv[optind]);
	if (from == NULL)
		make_urls(argv[optind + 1]);
	else
		read_urls(from);
	run.count = from == NULL ? atoi(argv[optind + 2]) : run.url_count;
	for (int i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, client, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	printf("%.6g ", tus_percentile_ms(50));
	printf("%.6g\n", tus_percentile_ms(99));
	return 0;
}
