#include "tests/soak/soak.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANDS 6
/* Of the whole time: with kill -9; then without, to look at memory. */
#define KILLS_PERCENT 40
#define FLAT_FROM_S 120 /* too short a run says nothing of memory */
#define SLACK ((uint64_t)16 << 20)

static struct soak *the_soak;

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)printf("# soak: folder=%s: ", the_soak->c.server.dir);
	(void)vprintf(fmt, ap);
	(void)printf("\nnot ok 1 - everything at once loses nothing\n");
	va_end(ap);
	(void)fflush(stdout);
	(void)kill(the_soak->c.server.pid, SIGKILL);
	_exit(1);
}

int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the server ---- */

/* Two of them, for reloads. */
static const char *config(struct soak *s, unsigned which)
{
	static char text[2][1024];
	char key[128];

	(void)snprintf(text[which], sizeof(text[which]),
		       "upload { min_free = 0; ttl_unfinished = 20s }\n"
		       "expiry { interval = 2s }\n"
		       "grants { key = [ %s ] }\n"
		       "quota { uploads = %u; uploads_per_minute = 1000000 }\n"
		       "store { write_buffer = 4mb; segment_threshold = 1mb }\n"
		       "log { level = %s; access = \"%s/access\" }\n",
		       minter_key(&s->minter, key, sizeof(key)), 100000 + which,
		       which == 0 ? "info" : "warn", which == 0 ? "" : s->c.server.dir);
	if (which == 0) /* without an access log */
		(void)strcpy(strstr(text[which], "; access"), " }\n");
	return text[which];
}

static void reload(struct soak *s)
{
	static unsigned which;

	which ^= 1;
	server_configure(&s->c.server, config(s, which));
	(void)kill(s->c.server.pid, SIGHUP);
	atomic_fetch_add(&s->reloads, 1);
}

static void kill_it(struct soak *s)
{
	atomic_store(&s->c.killing, true);
	server_kill(&s->c.server);
	server_again(&s->c.server);
	atomic_store(&s->c.killing, false);
	atomic_fetch_add(&s->kills, 1);
}

/* ---- the hands ---- */

static void *work(void *arg)
{
	struct hand *h = arg;

	while (!atomic_load(&h->s->over)) {
		deed(h);
		if (h->w.client == NULL)
			pause_us(20000); /* it may be starting */
	}
	if (h->w.client != NULL)
		drop_client(&h->w);
	return NULL;
}

static void start(struct soak *s, struct hand *hands)
{
	for (unsigned i = 0; i < HANDS; i++) {
		hands[i] = (struct hand){ .w = { .c = &s->c, .random = { draw(&s->c.random) } },
					  .s = s };
		if (pthread_create(&hands[i].thread, NULL, work, &hands[i]) != 0)
			fail("no thread");
	}
}

static void stop(struct soak *s, struct hand *hands)
{
	atomic_store(&s->over, true);
	for (unsigned i = 0; i < HANDS; i++)
		pthread_join(hands[i].thread, NULL);
}

/* ---- memory ---- */

struct memory {
	uint64_t middle, last; /* the most of each */
};

static void sample(const struct soak *s, struct memory *m, int64_t at, int64_t from, int64_t to)
{
	const uint64_t rss = server_rss(&s->c.server);

	if (at > to - (to - from) / 3)
		m->last = rss > m->last ? rss : m->last;
	else if (at > from + (to - from) / 3)
		m->middle = rss > m->middle ? rss : m->middle;
}

static void judge(const struct memory *m)
{
	(void)printf("# memory: %llu MiB at most in the middle, %llu MiB at the end\n",
		     (unsigned long long)m->middle >> 20, (unsigned long long)m->last >> 20);
	if (m->last > m->middle + m->middle / 10 + SLACK)
		fail("memory grows");
}

/* ---- the end ---- */

static int run_command(struct soak *s, const char *words)
{
	const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build/release";
	char line[512];
	int status;

	(void)snprintf(line, sizeof(line),
		       "%s/restante %s --socket %s/data/admin.sock | sed 's/^/# /'; "
		       "exit ${PIPESTATUS[0]}",
		       build, words, s->c.server.dir);
	(void)fflush(stdout);
	(void)setenv("SOAK_LINE", line, 1);
	status = system("bash -c \"$SOAK_LINE\""); /* NOLINT: all words are ours */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* All that is left is as it was promised. */
static void look_at_all(struct soak *s)
{
	struct hand h = { .w = { .c = &s->c, .random = { 1 } }, .s = s };

	for (size_t i = 0; i < PROMISES_MAX; i++) {
		struct promise *p = &s->promises[i];

		if ((p->state == ALIVE || p->state == DOUBTFUL) && !deed_fetch(&h, p))
			fail("the server breaks a connection");
	}
	drop_client(&h.w);
}

static void prove(struct soak *s)
{
	int overdue = 3;
	char said[4096];

	look_at_all(s);
	/* what becomes due between the two is not overdue for long */
	for (int i = 0; i < 5 && overdue == 3; i++) {
		while (run_command(s, "expire") == 2)
			;
		overdue = run_command(s, "check");
	}
	if (overdue != 0)
		fail("something is overdue");
	(void)run_command(s, "status");
	if (server_stop(&s->c.server) != 0)
		fail("the server does not stop");
	if (server_command(&s->c.server, "--scrub", said, sizeof(said)) != 0)
		fail("the store does not scrub clean: %s", said);
	backup_prove(s);
}

/* ---- */

static void run(struct soak *s, unsigned seconds)
{
	const int64_t began = now_ms(), end = began + (int64_t)seconds * 1000;
	const int64_t calm = began + (int64_t)seconds * 10 * KILLS_PERCENT;
	const int64_t every = seconds >= 300 ? 60000 : seconds * 250;
	const size_t pause = seconds >= 300 ? 12000 : 1000; /* between two kills, at most */
	int64_t next_kill = began + 2000, next_reload = began + 3000,
		next_backup = began + every / 2;
	struct hand hands[HANDS];
	struct memory m = { 0 };
	int64_t now;

	start(s, hands);
	while ((now = now_ms()) < end) {
		pause_us(200000);
		if (now >= next_kill && now < calm) {
			kill_it(s);
			next_kill = now_ms() + 1000 + (int64_t)below(&s->c.random, pause);
		}
		if (now >= next_reload) {
			reload(s);
			next_reload = now + 5000;
		}
		if (now >= next_backup) {
			if (!backup_take(s))
				fail("there is no restante command");
			next_backup = now + every;
		}
		if (now > calm)
			sample(s, &m, now, calm, end);
	}
	stop(s, hands);
	if (s->backup_began_ms == 0)
		(void)backup_take(s);
	if (seconds >= FLAT_FROM_S)
		judge(&m);
}

static void init(struct soak *s, uint64_t seed)
{
	const struct test_server_options o = { .config = "" };

	s->c.seed = seed;
	s->c.random.x = seed;
	the_soak = s;
	pthread_mutex_init(&s->c.lock, NULL);
	minter_init(&s->minter, 1);
	s->c.pool = malloc(POOL_SIZE);
	s->promises = calloc(PROMISES_MAX, sizeof(*s->promises));
	if (s->c.pool == NULL || s->promises == NULL)
		abort();
	fill_random(s->c.pool, POOL_SIZE, seed);
	server_start(&s->c.server, &o);
	(void)snprintf(s->folder, sizeof(s->folder), "%s/backups", s->c.server.dir);
	server_configure(&s->c.server, config(s, 0));
	if (server_stop(&s->c.server) != 0)
		fail("an empty server does not stop");
	server_again(&s->c.server);
}

int main(int argc, char **argv)
{
	const unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 600;
	const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
	static struct soak s;

	(void)printf("1..1\n# soak: %u seconds, seed %llu\n", seconds, (unsigned long long)seed);
	(void)fflush(stdout);
	init(&s, seed);
	run(&s, seconds);
	prove(&s);
	(void)printf("# promised=%llu fetched=%llu expired=%llu acknowledged=%llu deleted=%llu "
		     "extended=%llu asked_twice=%llu reloads=%llu backups=%llu kills=%llu\n",
		     (unsigned long long)s.c.acknowledged, (unsigned long long)s.c.fetched,
		     (unsigned long long)s.expired, (unsigned long long)s.acknowledged,
		     (unsigned long long)s.c.deleted, (unsigned long long)s.extended,
		     (unsigned long long)s.spent, (unsigned long long)s.reloads,
		     (unsigned long long)s.backups, (unsigned long long)s.kills);
	(void)printf("ok 1 - everything at once loses nothing, leaves nothing overdue, and does "
		     "not grow\n");
	server_remove(&s.c.server);
	free(s.promises);
	free(s.c.pool);
	return 0;
}
