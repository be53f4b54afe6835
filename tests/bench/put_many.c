/* put_many [-n COUNT] [-t SECONDS] [-o TOKENS] PORT BYTES CLIENTS - uploads random bodies, no two
 * the same, over as many connections as clients, each waiting for its answer before it goes on,
 * until so many are done or so long has gone by, whichever is first. Prints uploads a second, and
 * the 99th percentile of the time of one in milliseconds; -o writes the tokens, one a line. */
#include <inttypes.h>
#include <pthread.h>

#include "tus.h"

static struct {
	uint16_t port;
	size_t bytes;
	long count;      /* 0: any */
	double deadline; /* 0: none */
	FILE *tokens;
	pthread_mutex_t tokens_lock;
	atomic_long begun, done;
} run = { .tokens_lock = PTHREAD_MUTEX_INITIALIZER };

static int more(void)
{
	return (run.count == 0 || atomic_fetch_add(&run.begun, 1) < run.count) &&
	       (run.deadline == 0 || now_s() < run.deadline);
}

static void keep_token(const char *answer)
{
	const char *t = strstr(answer, "\"token\":\"");

	if (t == NULL)
		die("no token");
	t += 9;
	pthread_mutex_lock(&run.tokens_lock);
	fprintf(run.tokens, "%.*s\n", (int)strcspn(t, "\""), t);
	pthread_mutex_unlock(&run.tokens_lock);
}

static void *client(void *unused)
{
	int fd = dial(run.port, 1);
	uint64_t *body = malloc(run.bytes + 8);
	char head[128], answer[8192];
	int head_len = snprintf(head, sizeof(head),
				"PUT /v1/media HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
				run.bytes);

	(void)unused;
	if (body == NULL)
		die("malloc");
	fill(body, run.bytes / 8 + 1);
	while (more()) {
		double began = now_s();

		body[0]++; /* a new blob; the rest was random already */
		send_all(fd, head, (size_t)head_len, MSG_MORE);
		send_all(fd, body, run.bytes, 0);
		read_answer(fd, answer, sizeof(answer));
		tus_took(now_s() - began);
		if (run.tokens != NULL)
			keep_token(answer);
		atomic_fetch_add(&run.done, 1);
	}
	free(body);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: put_many [-n COUNT] [-t SECONDS] [-o TOKENS] PORT "
				    "BYTES CLIENTS";
	pthread_t threads[1024];
	double began = now_s();
	int opt, clients;

	while ((opt = getopt(argc, argv, "n:t:o:")) != -1) {
		if (opt == 'n')
			run.count = atol(optarg);
		else if (opt == 't')
			run.deadline = began + atof(optarg);
		else if (opt != 'o' || (run.tokens = fopen(optarg, "w")) == NULL)
			die(usage);
	}
	if (argc - optind != 3 || (clients = atoi(argv[optind + 2])) < 1 || clients > 1024 ||
	    (run.count == 0 && run.deadline == 0))
		die(usage);
	run.port = (uint16_t)atoi(argv[optind]);
	run.bytes = strtoul(argv[optind + 1], NULL, 10);
	for (int i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, client, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	printf("%.1f", (double)run.done / (now_s() - began));
	printf(" %.6g\n", tus_percentile_ms(99));
	return run.tokens != NULL && fclose(run.tokens) != 0;
}
