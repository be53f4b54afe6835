/* tus_many [-u | -r] [-n COUNT] [-t SECONDS] PORT PATH BYTES CLIENTS - uploads by tus, no two the
 * same, over as many connections as clients, until so many are done or so long has gone by: POST
 * and one PATCH each, or with -u a POST that brings the bytes (creation-with-upload); with -r such
 * a POST by the IETF's resumable uploads, interop version 5. The bytes are sent from the page
 * cache, so that the client costs little. Prints uploads a second, and the 99th percentile of the
 * time of one in milliseconds. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "tus.h"

#define POOL ((size_t)16 << 20)

static struct {
	uint16_t port;
	const char *path;
	size_t bytes;
	enum { POST_AND_PATCH, WITH_CREATION, RUFH } how;
	long count;        /* 0: any */
	double deadline;   /* 0: none */
	int pool;          /* random bytes, sent again and again behind ... */
	uint64_t stamp[2]; /* ... these, the second of which counts uploads */
	atomic_ulong begun;
	atomic_long done;
} run;

static int make_pool(void)
{
	int fd = memfd_create("pool", MFD_CLOEXEC);
	uint64_t *p;

	if (fd < 0 || ftruncate(fd, POOL) != 0)
		die("memfd_create");
	p = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	fill(p, POOL / sizeof(*p));
	munmap(p, POOL);
	return fd;
}

static void send_pool(int fd, size_t len)
{
	off_t at = 0;

	while (len > 0) {
		size_t left = POOL - (size_t)at;
		ssize_t n = sendfile(fd, run.pool, &at, len < left ? len : left);

		if (n <= 0 && errno != EINTR)
			die("sendfile");
		len -= n > 0 ? (size_t)n : 0;
		if (at == (off_t)POOL)
			at = 0;
	}
}

static void send_body(int fd, unsigned long serial)
{
	const uint64_t stamp[2] = { run.stamp[0], run.stamp[1] + serial };
	size_t n = run.bytes < sizeof(stamp) ? run.bytes : sizeof(stamp);

	send_all(fd, stamp, n, run.bytes > n ? MSG_MORE : 0);
	send_pool(fd, run.bytes - n);
}

/* The head of the request that brings the bytes. */
static int make_head(int fd, char *text, size_t room)
{
	char url[TUS_URL_MAX];

	if (run.how == RUFH)
		return snprintf(text, room,
				"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n"
				"Upload-Draft-Interop-Version: 5\r\nUpload-Complete: ?1\r\n\r\n",
				run.path, run.bytes);
	if (run.how == WITH_CREATION)
		return snprintf(text, room,
				"POST %s HTTP/1.1\r\n" TUS_BODY_FIELDS
				"Upload-Length: %zu\r\nContent-Length: %zu\r\n\r\n",
				run.path, run.bytes, run.bytes);
	tus_create(fd, run.path, run.bytes, url);
	return snprintf(text, room,
			"PATCH %s HTTP/1.1\r\n" TUS_BODY_FIELDS
			"Upload-Offset: 0\r\nContent-Length: %zu\r\n\r\n",
			url, run.bytes);
}

static void upload(int fd, unsigned long serial)
{
	char offset[64], text[8192];
	int n = make_head(fd, text, sizeof(text));

	send_all(fd, text, (size_t)n, MSG_MORE);
	send_body(fd, serial);
	if (run.how == RUFH)
		rufh_answer(fd, text, sizeof(text));
	else
		tus_answer(fd, text, sizeof(text));
	snprintf(offset, sizeof(offset), "\r\nUpload-Offset: %zu\r\n", run.bytes);
	if (strcasestr(text, offset) == NULL) {
		fprintf(stderr, "not all was taken: %s\n", text);
		exit(1);
	}
}

static void *client(void *unused)
{
	int fd = dial(run.port, 1);

	(void)unused;
	for (;;) {
		unsigned long serial = atomic_fetch_add(&run.begun, 1);
		double began = now_s();

		if ((run.count > 0 && serial >= (unsigned long)run.count) ||
		    (run.deadline > 0 && began >= run.deadline))
			break;
		upload(fd, serial);
		tus_took(now_s() - began);
		atomic_fetch_add(&run.done, 1);
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"usage: tus_many [-u | -r] [-n COUNT] [-t SECONDS] PORT PATH BYTES CLIENTS";
	pthread_t threads[1024];
	double began, seconds = 0;
	int opt, clients;

	while ((opt = getopt(argc, argv, "urn:t:")) != -1) {
		if (opt == 'u')
			run.how = WITH_CREATION;
		else if (opt == 'r')
			run.how = RUFH;
		else if (opt == 'n')
			run.count = atol(optarg);
		else if (opt == 't')
			seconds = atof(optarg);
		else
			die(usage);
	}
	if (argc - optind != 4 || (clients = atoi(argv[optind + 3])) < 1 || clients > 1024 ||
	    (run.count == 0 && seconds == 0))
		die(usage);
	signal(SIGPIPE, SIG_IGN);
	run.port = (uint16_t)atoi(argv[optind]);
	run.path = argv[optind + 1];
	run.bytes = strtoul(argv[optind + 2], NULL, 10);
	run.pool = make_pool();
	fill(run.stamp, 2);
	began = now_s();
	run.deadline = seconds > 0 ? began + seconds : 0;
	for (int i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, client, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	printf("%.6g", (double)run.done / (now_s() - began));
	printf(" %.6g\n", tus_percentile_ms(99));
	return 0;
}
