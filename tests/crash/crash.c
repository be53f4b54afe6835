/* crash ROUNDS [SEED] - kills a server with -9 while clients put, delete and upload in pieces,
 * starts it again on the same folder, and holds it to its word:
 *
 *   - what was answered 201 is there and identical, what was answered 204 to a DELETE is gone
 *   - an upload's offset is not before any that was acknowledged (2xx, 104, HEAD) and not behind
 *     what was sent; refused bytes (460, 400) are not in it; resumed from there it becomes what was
 *     sent, with the metadata it was created with
 *   - a final upload whose parts are finished is put together, and is its parts in order
 *
 * Every CHECK_EVERY rounds, and at the end, the store is looked at from outside as well:
 * `restanted --scrub`, and `orphans` beside this program. Every MARKS_EVERY rounds a request is so
 * long that the server makes it durable on its way.
 *
 * Sizes, contents, settings and moments come from the seed; what the kill meets does not. A run
 * that fails prints the seed and leaves its folder. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/campaign.h"

#define CLIENTS 4
#define KILL_WITHIN_US 125000
#define START_KILL_WITHIN_US 80000
#define MARKS_PATIENCE_US 4000000
#define MARKS_KILL_WITHIN_US 150000
#define CHECK_EVERY 20
#define MARKS_EVERY 40

/* ---- failing ---- */

static struct campaign *the_campaign;

void fail(const char *fmt, ...)
{
	const struct campaign *c = the_campaign;
	va_list ap;

	(void)fprintf(stderr, "crash: seed=%llu round=%u folder=%s: ", (unsigned long long)c->seed,
		      c->round, c->server.dir);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	if (c->server.pid > 0)
		(void)kill(c->server.pid, SIGKILL);
	_exit(1);
}

/* ---- under load ---- */

static void *client_main(void *arg)
{
	struct worker *w = arg;
	bool going = true;

	while (going && have_client(w))
		going = chance(&w->random, 35) ? blobs_act(w) : uploads_act(w);
	if (!atomic_load(&w->c->killing))
		fail("a connection broke before the kill");
	if (w->client != NULL)
		drop_client(w);
	return NULL;
}

/* Sends what takes long. */
struct marker {
	struct worker worker;
	struct marked *m;
	pthread_t thread;
};

static void *marker_main(void *arg)
{
	struct marker *k = arg;

	marks_send(&k->worker, k->m);
	return NULL;
}

/* With something long, that is when the server has said, once or again, that part of it is safe. */
static void wait_for_the_moment(struct campaign *c, const struct marked *m)
{
	const size_t moment = below(&c->random, m != NULL ? MARKS_KILL_WITHIN_US : KILL_WITHIN_US);
	const unsigned times = 1 + (unsigned)below(&c->random, 2);

	for (size_t us = 0; m != NULL && m->heard < times && us < MARKS_PATIENCE_US; us += 1000)
		pause_us(1000);
	pause_us(moment);
}

/* m: NULL, or what takes long. */
static void load_and_kill(struct campaign *c, struct marked *m)
{
	struct marker marker = { { c, { draw(&c->random) }, NULL }, m, 0 };
	struct worker workers[CLIENTS];
	pthread_t threads[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		workers[i] = (struct worker){ c, { draw(&c->random) }, NULL };
		if (pthread_create(&threads[i], NULL, client_main, &workers[i]) != 0)
			fail("no thread");
	}
	if (m != NULL && pthread_create(&marker.thread, NULL, marker_main, &marker) != 0)
		fail("no thread");
	wait_for_the_moment(c, m);
	atomic_store(&c->killing, true);
	if (!server_alive(&c->server))
		fail("the server has ended by itself");
	server_kill(&c->server);
	for (int i = 0; i < CLIENTS; i++)
		(void)pthread_join(threads[i], NULL);
	if (m != NULL)
		(void)pthread_join(marker.thread, NULL);
}

/* ---- programs beside the server ---- */

static const char *build_folder(void)
{
	const char *build = getenv("BUILD");

	return build != NULL ? build : "build/release";
}

/* Runs it with its output behind the server's log, or what it prints to `out`. Its process id. */
static pid_t run(const struct campaign *c, const char *const *argv, int out)
{
	char log[128];
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	(void)snprintf(log, sizeof(log), "%s/log", c->server.dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)dup2(out >= 0 ? out : fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static pid_t run_restanted(const struct campaign *c, const char *flag, const char *value, int out)
{
	char binary[256], conf[128], data[128];

	(void)snprintf(binary, sizeof(binary), "%s/restanted", build_folder());
	(void)snprintf(conf, sizeof(conf), "%s/conf", c->server.dir);
	(void)snprintf(data, sizeof(data), "%s/data", c->server.dir);
	return run(c,
		   (const char *const[]){ binary, "--config", conf, "--data-dir", data, flag, value,
					  NULL },
		   out);
}

static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Recovery has to stand being killed as well. */
static void kill_a_start(struct campaign *c)
{
	pid_t pid = run_restanted(c, "--listen", "127.0.0.1:0", -1);
	int code;

	pause_us(below(&c->random, START_KILL_WITHIN_US));
	(void)kill(pid, SIGKILL);
	code = end_of(pid);
	if (code != -SIGKILL)
		fail("a start ended with %d", code);
	c->start_kills++;
}

static void check_orphans(const struct campaign *c)
{
	char program[256], store[128];
	int code;

	(void)snprintf(program, sizeof(program), "%s/tests/crash/orphans", build_folder());
	(void)snprintf(store, sizeof(store), "%s/data/store", c->server.dir);
	code = end_of(run(c, (const char *const[]){ program, store, NULL }, -1));
	if (code != 0)
		fail("%s ended with %d; the end of %s/log says why", program, code, c->server.dir);
}

static void check_store(struct campaign *c)
{
	int code = server_stop(&c->server);

	if (code != 0)
		fail("the server was stopped and ended with %d", code);
	check_orphans(c);
	code = end_of(run_restanted(c, "--scrub", NULL, -1));
	if (code != 0)
		fail("scrub ended with %d; the end of %s/log says why", code, c->server.dir);
}

/* ---- starting again ---- */

static const char *const configs[] = {
	"",
	"",
	"store { segment_threshold = 256kb; segment_size = 1mb; }\n",
	"store { segment_threshold = 64kb; segment_size = 2mb; write_buffer = 1mb; }\n",
};

/* As server_again(), but for one listener, so that the first line is all there is to wait for. */
static void start_again(struct campaign *c)
{
	struct pollfd ready = { .events = POLLIN };
	char line[256] = "";
	int out[2];
	ssize_t n;

	server_configure(&c->server,
			 configs[below(&c->random, sizeof(configs) / sizeof(*configs))]);
	if (pipe2(out, O_CLOEXEC) != 0)
		fail("pipe: %s", strerror(errno));
	c->server.pid = run_restanted(c, "--listen", "127.0.0.1:0", out[1]);
	(void)close(out[1]);
	ready.fd = out[0];
	n = poll(&ready, 1, 30000) == 1 ? read(out[0], line, sizeof(line) - 1) : 0;
	(void)close(out[0]);
	if (n <= 0 || sscanf(line, "listening on http://127.0.0.1:%d", &c->server.port) != 1)
		fail("the server does not start; the end of %s/log says why", c->server.dir);
}

static void verify(struct campaign *c, struct marked *m, bool last)
{
	struct worker w = { c, { draw(&c->random) }, NULL };

	if (m != NULL)
		marks_verify(&w, m);
	blobs_verify(&w, last);
	uploads_verify(&w, last);
	if (w.client != NULL)
		drop_client(&w);
}

static void one_round(struct campaign *c, bool last)
{
	struct marked long_one = { .told = 0 };
	struct marked *m = c->round % MARKS_EVERY == 1 ? &long_one : NULL;

	load_and_kill(c, m);
	for (int n = chance(&c->random, 20) ? 1 + (int)below(&c->random, 2) : 0; n > 0; n--)
		kill_a_start(c);
	start_again(c);
	atomic_store(&c->killing, false);
	verify(c, m, last);
	if (last || c->round % CHECK_EVERY == 0) {
		check_store(c);
		start_again(c);
	}
}

/* ---- the campaign ---- */

static void init(struct campaign *c, uint64_t seed)
{
	const struct test_server_options o = { .config = configs[0] };

	*c = (struct campaign){ .seed = seed, .random = { seed } };
	the_campaign = c;
	pthread_mutex_init(&c->lock, NULL);
	c->pool = malloc(POOL_SIZE);
	if (c->pool == NULL)
		fail("no memory");
	fill_random(c->pool, POOL_SIZE, seed);
	blobs_init(c);
	uploads_init(c);
	server_start(&c->server, &o);
}

static void fini(struct campaign *c)
{
	server_remove(&c->server);
	blobs_fini(c);
	uploads_fini(c);
	pthread_mutex_destroy(&c->lock);
	free(c->pool);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10)
				 : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	struct campaign c;

	if (rounds == 0 || argc > 3) {
		(void)fprintf(stderr, "usage: crash ROUNDS [SEED]\n");
		return 2;
	}
	(void)printf("crash: rounds=%u seed=%llu\n", rounds, (unsigned long long)seed);
	(void)fflush(stdout);
	init(&c, seed);
	for (c.round = 1; c.round <= rounds; c.round++)
		one_round(&c, c.round == rounds);
	(void)printf("crash: nothing lost; kills=%llu acknowledged=%llu deleted=%llu fetched=%llu "
		     "patched=%llu refused=%llu resumed=%llu joined=%llu marked=%llu\n",
		     rounds + c.start_kills, c.acknowledged, c.deleted, c.fetched, c.patched,
		     c.refused, c.resumed, c.joined, c.marked);
	fini(&c);
	return 0;
}
