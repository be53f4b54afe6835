/* tus - the little of tus 1.0.0 that the programs of this folder speak, and how long things took.
 * Answers to what is sent here have no body. */
#ifndef RESTANTE_BENCH_TUS_H
#define RESTANTE_BENCH_TUS_H

#include <stdatomic.h>

#include "dial.h"

#define TUS_URL_MAX 512
#define TUS_FIELDS "Host: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n"
#define TUS_BODY_FIELDS TUS_FIELDS "Content-Type: application/offset+octet-stream\r\n"

/* Reads one answer without a body, and ends the program unless it is a 2xx. */
static inline void tus_answer(int fd, char *buf, size_t room)
{
	size_t have = 0;

	while (have < 4 || memcmp(buf + have - 4, "\r\n\r\n", 4) != 0) {
		ssize_t n = have + 1 < room ? recv(fd, buf + have, room - 1 - have, 0) : 0;

		if (n <= 0)
			die(n == 0 ? "closed by the server" : "recv");
		have += (size_t)n;
	}
	buf[have] = '\0';
	if (strncmp(buf, "HTTP/1.1 2", 10) != 0) {
		fprintf(stderr, "unexpected answer: %s\n", buf);
		exit(1);
	}
}

/* Reads one answer of the IETF's resumable uploads, with the interim ones before it, whose fields
 * are left in buf too; ends the program unless it is a 2xx. Its body is as long as it says. */
static inline void rufh_answer(int fd, char *buf, size_t room)
{
	size_t have = 0, begin = 0, want = 0;

	while (want == 0 || have < want) {
		ssize_t n = have + 1 < room ? recv(fd, buf + have, room - 1 - have, 0) : 0;
		const char *end, *length;

		if (n <= 0)
			die(n == 0 ? "closed by the server" : "recv");
		have += (size_t)n;
		buf[have] = '\0';
		while (want == 0 && (end = strstr(buf + begin, "\r\n\r\n")) != NULL) {
			if (strncmp(buf + begin, "HTTP/1.1 1", 10) == 0) {
				begin = (size_t)(end + 4 - buf);
				continue;
			}
			if (strncmp(buf + begin, "HTTP/1.1 2", 10) != 0) {
				fprintf(stderr, "unexpected answer: %s\n", buf);
				exit(1);
			}
			length = strcasestr(buf + begin, "\r\nContent-Length:");
			want = (size_t)(end + 4 - buf) +
			       (length == NULL ? 0 : strtoul(length + 17, NULL, 10));
		}
	}
}

/* The path of what a POST has made. */
static inline void tus_location(const char *answer, char url[static TUS_URL_MAX])
{
	const char *p = strcasestr(answer, "\r\nLocation:"), *scheme;
	size_t n;

	if (p == NULL) {
		fprintf(stderr, "no location: %s\n", answer);
		exit(1);
	}
	p += 11 + strspn(p + 11, " ");
	n = strcspn(p, "\r");
	scheme = strstr(p, "//");
	if (scheme != NULL && scheme < p + n) {
		n -= (size_t)(scheme + 2 - p) + strcspn(scheme + 2, "/");
		p = scheme + 2 + strcspn(scheme + 2, "/");
	}
	snprintf(url, TUS_URL_MAX, "%.*s", (int)n, p);
}

static inline void tus_create(int fd, const char *path, uint64_t length,
			      char url[static TUS_URL_MAX])
{
	char text[8192];
	int n = snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\n" TUS_FIELDS
			 "Upload-Length: %llu\r\nContent-Length: 0\r\n\r\n",
			 path, (unsigned long long)length);

	send_all(fd, text, (size_t)n, 0);
	tus_answer(fd, text, sizeof(text));
	tus_location(text, url);
}

/* How long things took, in seconds; of any thread. */
static struct {
	double s[1 << 20];
	atomic_size_t count;
} tus_times;

static inline void tus_took(double s)
{
	size_t i = atomic_fetch_add(&tus_times.count, 1);

	if (i < sizeof(tus_times.s) / sizeof(tus_times.s[0]))
		tus_times.s[i] = s;
}

static inline int tus_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A percentile in milliseconds, when all threads have ended. */
static inline double tus_percentile_ms(double percent)
{
	size_t n = tus_times.count;

	if (n > sizeof(tus_times.s) / sizeof(tus_times.s[0]))
		n = sizeof(tus_times.s) / sizeof(tus_times.s[0]);
	qsort(tus_times.s, n, sizeof(tus_times.s[0]), tus_order);
	return n == 0 ? 0 : tus_times.s[(size_t)((double)(n - 1) * percent / 100)] * 1e3;
}

#endif
