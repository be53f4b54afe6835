/* dial - connects to a server on loopback, sends, and reads one answer. For the programs of this
 * folder. */
#ifndef RESTANTE_BENCH_DIAL_H
#define RESTANTE_BENCH_DIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64: fast, and nothing compresses it */
static inline void fill(uint64_t *p, size_t words)
{
	uint64_t x;

	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		die("getrandom");
	for (size_t i = 0; i < words; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
}

/* A connection to 127.0.0.1:port from 127.0.0.host; ports of one address suffice for 20,000. Who
 * gets no answer on it for a minute gives up. */
static inline int dial(uint16_t port, unsigned host)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct timeval minute = { .tv_sec = 60 };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~255u) + host);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof(minute));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		die("bind");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	return fd;
}

static inline void send_all(int fd, const void *data, size_t len, int flags)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, flags | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			die("send");
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

/* Reads one answer with Content-Length into buf, and ends the program unless it is a 2xx. */
static inline void read_answer(int fd, char *buf, size_t room)
{
	size_t have = 0, want = 0;

	while (want == 0 || have < want) {
		ssize_t n = recv(fd, buf + have, room - 1 - have, 0);
		const char *end, *length;

		if (n <= 0)
			die(n == 0 ? "closed by the server" : "recv");
		have += (size_t)n;
		buf[have] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (want > 0 || end == NULL)
			continue;
		length = strcasestr(buf, "\r\nContent-Length:");
		if (strncmp(buf, "HTTP/1.1 2", 10) != 0 || length == NULL) {
			fprintf(stderr, "unexpected answer: %s\n", buf);
			exit(1);
		}
		want = (size_t)(end + 4 - buf) + strtoul(length + 17, NULL, 10);
		if (want >= room) {
			fprintf(stderr, "answer is too long\n");
			exit(1);
		}
	}
}

#endif
