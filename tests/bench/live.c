/* live [-p] [-f FOLLOWERS] [-l LATE] [-i MS] [-b BYTES] [-s SECONDS] PORT - one sender, a piece
 * every MS milliseconds, into an upload whose length nobody knows yet; FOLLOWERS have asked for it
 * before the first piece, LATE more join one by one in the second half. Pieces go in one chunked
 * PATCH; with -p each goes in a PATCH of its own, whose answer says that it is durable. Every byte
 * is checked and every follower must see the clean end. Prints, one a line, with median and 99th
 * percentile in milliseconds:
 *   sent     from the sending of a piece to its last byte at a follower
 *   durable  from its answer to its last byte at a follower, which may be before (-p only)
 *   patch    from its sending to its answer (-p only)
 *   joined   from a late follower's connect() to the first byte for it
 */
#include <pthread.h>
#include <sys/epoll.h>

#include "tus.h"

enum state { HEAD, SIZE, DATA, DATA_END, LAST, DONE };

struct follower {
	int fd, late;
	enum state state;
	double joined, first;
	char line[4096]; /* the head, then a chunk's size */
	size_t line_len;
	uint64_t left; /* of the chunk */
	uint64_t pos;  /* in the content */
	double *got;   /* when each piece was whole; 0: never */
};

static struct {
	uint16_t port;
	int followers, late, pieces, own_patches;
	size_t bytes;
	double interval;
	char url[TUS_URL_MAX], token[512];
	double *sent, *durable;
	int epoll;
} run = { .followers = 100, .late = 20, .bytes = 160, .interval = 0.02, .pieces = 500 };

static uint8_t content(uint64_t pos)
{
	return (uint8_t)(pos * 131 + (pos >> 8));
}

/* ---- the sender ---- */

static void create(void)
{
	static const char head[] = "POST /v1/uploads?kind=voice HTTP/1.1\r\n" TUS_FIELDS
				   "Upload-Defer-Length: 1\r\nContent-Length: 0\r\n\r\n";
	char text[8192];
	const char *t;
	int fd = dial(run.port, 1);

	send_all(fd, head, sizeof(head) - 1, 0);
	tus_answer(fd, text, sizeof(text));
	tus_location(text, run.url);
	t = strcasestr(text, "\r\nMedia-Token: ");
	if (t == NULL)
		die("no token");
	snprintf(run.token, sizeof(run.token), "%.*s", (int)strcspn(t + 15, "\r"), t + 15);
	close(fd);
}

static void patch(int fd, uint64_t offset, const char *fields)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "PATCH %s HTTP/1.1\r\n" TUS_BODY_FIELDS "Upload-Offset: %llu\r\n%s\r\n",
			 run.url, (unsigned long long)offset, fields);

	send_all(fd, text, (size_t)n, 0);
}

static void send_piece(int fd, int k)
{
	char text[8192];
	uint64_t at = (uint64_t)k * run.bytes;
	int n = 0;

	if (run.own_patches)
		n = snprintf(text, sizeof(text),
			     "PATCH %s HTTP/1.1\r\n" TUS_BODY_FIELDS
			     "Upload-Offset: %llu\r\nContent-Length: %zu\r\n\r\n",
			     run.url, (unsigned long long)at, run.bytes);
	else
		n = snprintf(text, sizeof(text), "%zx\r\n", run.bytes);
	for (size_t i = 0; i < run.bytes; i++)
		text[n++] = (char)content(at + i);
	if (!run.own_patches)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
	run.sent[k] = now_s();
	send_all(fd, text, (size_t)n, 0);
	if (!run.own_patches)
		return;
	tus_answer(fd, text, sizeof(text));
	run.durable[k] = now_s();
}

static void wait_until(double when)
{
	double rest = when - now_s();
	struct timespec t = { .tv_sec = (time_t)rest,
			      .tv_nsec = (long)((rest - (double)(time_t)rest) * 1e9) };

	if (rest > 0)
		nanosleep(&t, NULL);
}

static void *sender(void *unused)
{
	char text[8192];
	int fd = dial(run.port, 1);
	double began = now_s() + 1; /* followers are there by then */

	(void)unused;
	wait_until(began);
	if (!run.own_patches)
		patch(fd, 0, "Transfer-Encoding: chunked\r\n");
	for (int k = 0; k < run.pieces; k++) {
		wait_until(began + k * run.interval);
		send_piece(fd, k);
	}
	if (!run.own_patches) {
		send_all(fd, "0\r\n\r\n", 5, 0);
		tus_answer(fd, text, sizeof(text));
	}
	snprintf(text, sizeof(text), "Upload-Length: %llu\r\nContent-Length: 0\r\n",
		 (unsigned long long)run.pieces * run.bytes);
	patch(fd, (uint64_t)run.pieces * run.bytes, text);
	tus_answer(fd, text, sizeof(text));
	close(fd);
	return NULL;
}

/* ---- followers ---- */

static void join(struct follower *f, int late)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = f };
	char text[1024];
	int n = snprintf(text, sizeof(text), "GET /v1/media/%s HTTP/1.1\r\nHost: x\r\n\r\n",
			 run.token);

	*f = (struct follower){ .late = late, .joined = now_s() };
	f->fd = dial(run.port, 1);
	f->got = calloc((size_t)run.pieces, sizeof(*f->got));
	if (f->got == NULL)
		die("calloc");
	send_all(f->fd, text, (size_t)n, 0);
	if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, f->fd, &ev) != 0)
		die("epoll_ctl");
}

static void wrong(const struct follower *f, const char *why)
{
	fprintf(stderr, "a follower at %llu: %s: %.*s\n", (unsigned long long)f->pos, why,
		(int)f->line_len, f->line);
	exit(1);
}

static void body_byte(struct follower *f, uint8_t b, double now)
{
	if (b != content(f->pos))
		wrong(f, "a wrong byte");
	if (f->pos++ == 0)
		f->first = now;
	if (f->pos % run.bytes == 0 && f->pos / run.bytes <= (uint64_t)run.pieces)
		f->got[f->pos / run.bytes - 1] = now;
	if (--f->left == 0)
		f->state = DATA_END;
}

static void end_of_line(struct follower *f)
{
	f->line[f->line_len] = '\0';
	f->line_len = 0;
	if (f->state == DATA_END) {
		f->state = SIZE;
	} else if (f->state == LAST) {
		f->state = DONE;
	} else {
		f->left = strtoull(f->line, NULL, 16);
		f->state = f->left == 0 ? LAST : DATA;
	}
}

/* Bytes of the head, or of what stands around chunks. */
static void other_byte(struct follower *f, uint8_t b)
{
	if (f->line_len + 1 >= sizeof(f->line))
		wrong(f, "too long");
	f->line[f->line_len++] = (char)b;
	f->line[f->line_len] = '\0';
	if (f->state != HEAD) {
		if (b == '\n')
			end_of_line(f);
		return;
	}
	if (f->line_len < 4 || strcmp(f->line + f->line_len - 4, "\r\n\r\n") != 0)
		return;
	if (strncmp(f->line, "HTTP/1.1 200", 12) != 0 ||
	    strcasestr(f->line, "\r\nTransfer-Encoding: chunked") == NULL)
		wrong(f, "another answer");
	f->line_len = 0;
	f->state = SIZE;
}

/* Returns 1 at the clean end. */
static int take(struct follower *f)
{
	uint8_t buf[65536];
	ssize_t n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT);
	double now = now_s();

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		wrong(f, "cut off");
	for (ssize_t i = 0; i < n && f->state != DONE; i++) {
		if (f->state == DATA)
			body_byte(f, buf[i], now);
		else
			other_byte(f, buf[i]);
	}
	if (f->state != DONE)
		return 0;
	if (f->pos != (uint64_t)run.pieces * run.bytes)
		wrong(f, "ended early");
	close(f->fd);
	return 1;
}

static void follow(struct follower *all)
{
	struct epoll_event ev[64];
	double began = now_s() + 1, length = run.pieces * run.interval;
	int joined = run.followers, open = run.followers, n;

	for (int i = 0; i < run.followers; i++)
		join(&all[i], 0);
	while (open > 0) {
		int late = joined - run.followers;

		if (late < run.late &&
		    now_s() >= began + length / 2 + late * length / 2.5 / run.late) {
			join(&all[joined++], 1);
			open++;
		}
		n = epoll_wait(run.epoll, ev, 64, 5);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			open -= take(ev[i].data.ptr);
		if (now_s() > began + length + 60)
			die("followers still wait");
	}
}

/* ---- what came of it ---- */

struct times {
	double *s;
	size_t count;
};

static void add(struct times *t, double s)
{
	t->s[t->count++] = s;
}

static void say(const char *name, struct times *t)
{
	if (t->count == 0)
		return;
	qsort(t->s, t->count, sizeof(*t->s), tus_order);
	printf("%s %.4g", name, t->s[t->count / 2] * 1e3);
	printf(" %.4g\n", t->s[(size_t)((double)(t->count - 1) * 0.99)] * 1e3);
	t->count = 0;
}

static void report(const struct follower *all, int count)
{
	struct times t = { calloc((size_t)count * (size_t)run.pieces + 1, sizeof(double)), 0 };

	if (t.s == NULL)
		die("calloc");
	for (int i = 0; i < count; i++)
		for (int k = 0; k < run.pieces; k++)
			if (run.sent[k] >= all[i].joined)
				add(&t, all[i].got[k] - run.sent[k]);
	say("sent", &t);
	for (int i = 0; i < count && run.own_patches; i++)
		for (int k = 0; k < run.pieces; k++)
			if (run.sent[k] >= all[i].joined)
				add(&t, all[i].got[k] - run.durable[k]);
	say("durable", &t);
	for (int k = 0; k < run.pieces && run.own_patches; k++)
		add(&t, run.durable[k] - run.sent[k]);
	say("patch", &t);
	for (int i = 0; i < count; i++)
		if (all[i].late)
			add(&t, all[i].first - all[i].joined);
	say("joined", &t);
	free(t.s);
}

static void options(int argc, char **argv)
{
	double seconds = 10;
	int opt;

	while ((opt = getopt(argc, argv, "pf:l:i:b:s:")) != -1) {
		if (opt == 'p')
			run.own_patches = 1;
		else if (opt == 'f')
			run.followers = atoi(optarg);
		else if (opt == 'l')
			run.late = atoi(optarg);
		else if (opt == 'i')
			run.interval = atof(optarg) / 1e3;
		else if (opt == 'b')
			run.bytes = strtoul(optarg, NULL, 10);
		else if (opt == 's')
			seconds = atof(optarg);
	}
	run.pieces = (int)(seconds / run.interval);
	if (argc - optind != 1 || run.followers < 1 || run.late < 0 || run.pieces < 1 ||
	    run.bytes < 1 || run.bytes > 4096)
		die("usage: live [-p] [-f FOLLOWERS] [-l LATE] [-i MS] [-b BYTES] [-s SECONDS] "
		    "PORT");
	run.port = (uint16_t)atoi(argv[optind]);
}

int main(int argc, char **argv)
{
	struct follower *all;
	pthread_t thread;
	int count;

	options(argc, argv);
	count = run.followers + run.late;
	all = calloc((size_t)count, sizeof(*all));
	run.sent = calloc((size_t)run.pieces, sizeof(*run.sent));
	run.durable = calloc((size_t)run.pieces, sizeof(*run.durable));
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all == NULL || run.sent == NULL || run.durable == NULL || run.epoll < 0)
		die("setup");
	create();
	if (pthread_create(&thread, NULL, sender, NULL) != 0)
		die("pthread_create");
	follow(all);
	pthread_join(thread, NULL);
	report(all, count);
	for (int i = 0; i < count; i++)
		free(all[i].got);
	free(all);
	free(run.sent);
	free(run.durable);
	return 0;
}
