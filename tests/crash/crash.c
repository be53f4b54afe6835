/* crash ROUNDS [SEED] - kills a server with -9 while clients put and delete, starts it again on the
 * same folder, and holds it to its word: what was answered 201 is there and identical, what was
 * answered 204 is gone. Every CHECK_EVERY rounds, and at the end, the store is looked at from
 * outside as well: `restanted --scrub`, and `orphans` beside this program.
 *
 * Sizes, contents, settings and moments come from the seed; what the kill meets does not. A run
 * that fails prints the seed and leaves its folder. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define CLIENTS 4
#define KILL_WITHIN_US 150000
#define START_KILL_WITHIN_US 80000
#define CHECK_EVERY 20
#define BLOBS_MAX 65536
#define GRID (256u << 10)
#define LARGEST (20u << 20)
/* Contents are slices of this, so that neither making nor comparing them costs much. */
#define POOL_SIZE (LARGEST + (4u << 20))
/* What is left alive after a round, about. */
#define KEEP_COUNT 40u
#define KEEP_BYTES (48u << 20)
/* Of what is older than the last round, so many are looked at. */
#define SAMPLE 10u
#define TOKEN_SIZE 52

enum state {
	NOT_KNOWN, /* no whole answer came: nothing was promised */
	ALIVE,     /* 201 */
	DOUBTFUL,  /* deleted, but no answer came: there and whole, or gone */
	GONE       /* 204, or found to be gone after DOUBTFUL */
};

struct slice {
	size_t at, len;
};

struct blob {
	enum state state;
	struct slice content;
	unsigned round;
	char token[TOKEN_SIZE], manage[TOKEN_SIZE];
};

struct random {
	uint64_t x;
};

/* A thread of requests. */
struct worker {
	struct campaign *c;
	struct random random;
	struct client *client; /* NULL: none yet */
};

struct campaign {
	uint64_t seed;
	unsigned round;
	struct random random;
	struct test_server server;
	uint8_t *pool;
	pthread_mutex_t lock; /* over blobs and count, while workers run */
	struct blob *blobs;
	size_t count;
	atomic_bool killing;
	uint64_t acknowledged, deleted, fetched, start_kills;
};

/* ---- failing ---- */

static struct campaign *the_campaign;

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *fmt, ...)
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

/* ---- chance ---- */

/* splitmix64 */
static uint64_t draw(struct random *r)
{
	uint64_t z = r->x += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t below(struct random *r, size_t n)
{
	return (size_t)(draw(r) % n);
}

static bool chance(struct random *r, unsigned percent)
{
	return below(r, 100) < percent;
}

static void pause_us(size_t us)
{
	const struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	(void)nanosleep(&t, NULL);
}

static size_t random_size(struct random *r)
{
	const size_t n = below(r, 100);

	if (n < 5)
		return 0;
	if (n < 35)
		return below(r, 4 << 10);
	if (n < 65)
		return below(r, 100 << 10);
	if (n < 75) /* on the grid of the store, and on either side of it */
		return (1 + below(r, 8)) * GRID - 1 + below(r, 3);
	if (n < 90)
		return below(r, 1 << 20);
	if (n < 97)
		return below(r, 5 << 20);
	return below(r, LARGEST);
}

/* ---- what there is ---- */

static struct slice random_content(struct worker *w)
{
	struct campaign *c = w->c;
	struct slice s = { .len = 0 };
	bool repeat = chance(&w->random, 15);

	pthread_mutex_lock(&c->lock);
	repeat = repeat && c->count > 0;
	if (repeat) { /* mostly of the last ones: they may be on their way at this moment */
		size_t last = c->count < 20 ? c->count : 20;

		s = c->blobs[c->count - 1 - below(&w->random, last)].content;
	}
	pthread_mutex_unlock(&c->lock);
	if (!repeat) {
		s.len = random_size(&w->random);
		s.at = below(&w->random, POOL_SIZE - s.len);
	}
	return s;
}

static size_t add_blob(struct campaign *c, struct slice content)
{
	size_t i;

	pthread_mutex_lock(&c->lock);
	if (c->count == BLOBS_MAX)
		fail("more than %d uploads", BLOBS_MAX);
	i = c->count++;
	c->blobs[i] = (struct blob){ .content = content, .round = c->round };
	pthread_mutex_unlock(&c->lock);
	return i;
}

/* One that is alive, now DOUBTFUL and this thread's to delete. */
static bool take_victim(struct worker *w, size_t *out)
{
	struct campaign *c = w->c;
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (int tries = 0; !found && tries < 20 && c->count > 0; tries++) {
		size_t span = c->count < 200 ? c->count : 200;

		*out = c->count - 1 - below(&w->random, span);
		found = c->blobs[*out].state == ALIVE;
	}
	if (found)
		c->blobs[*out].state = DOUBTFUL;
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void set_state(struct campaign *c, size_t i, enum state state)
{
	pthread_mutex_lock(&c->lock);
	c->blobs[i].state = state;
	pthread_mutex_unlock(&c->lock);
}

/* ---- requests ---- */

/* As client_open(), but a server may be dying. */
static struct client *connect_to(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const struct timeval limit = { .tv_sec = 20 };
	const int one = 1;
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		fail("no memory");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fail("socket: %s", strerror(errno));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return c;
	client_close(c);
	return NULL;
}

static bool have_client(struct worker *w)
{
	if (w->client == NULL)
		w->client = connect_to(w->c->server.port);
	return w->client != NULL;
}

static void drop_client(struct worker *w)
{
	client_close(w->client);
	w->client = NULL;
}

/* Reads an answer; false (and no connection any more) unless all of it came. */
static bool whole_answer(struct worker *w, struct answer *a)
{
	client_answer(w->client, false, a, NULL);
	if (a->status != 0 && a->whole)
		return true;
	answer_free(a);
	drop_client(w);
	return false;
}

static bool send_chunked(struct worker *w, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t k = 1 + below(&w->random, 300 << 10);

		if (k > n)
			k = n;
		if (!client_sendf(w->client, "%zx\r\n", k) || !client_send(w->client, p, k) ||
		    !client_send(w->client, "\r\n", 2))
			return false;
		p += k;
		n -= k;
	}
	return client_send(w->client, "0\r\n\r\n", 5);
}

static bool send_put(struct worker *w, struct slice s)
{
	const uint8_t *p = w->c->pool + s.at;

	if (chance(&w->random, 30))
		return client_sendf(w->client, "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
					       "Transfer-Encoding: chunked\r\n\r\n") &&
		       send_chunked(w, p, s.len);
	return client_sendf(w->client,
			    "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n",
			    s.len) &&
	       client_send(w->client, p, s.len);
}

/* False: the connection broke. */
static bool put(struct worker *w)
{
	const struct slice s = random_content(w);
	const size_t i = add_blob(w->c, s);
	struct blob *b = &w->c->blobs[i];
	struct answer a;

	/* a refusal may come while we still send: so the answer is read in any case */
	if (!send_put(w, s) && atomic_load(&w->c->killing)) {
		drop_client(w);
		return false;
	}
	if (!whole_answer(w, &a))
		return false;
	if (a.status != 201 || !answer_json(&a, "token", b->token, sizeof(b->token)) ||
	    !answer_json(&a, "manage_token", b->manage, sizeof(b->manage)))
		fail("PUT of %zu bytes: %s%s", s.len, a.head, (const char *)a.body);
	answer_free(&a);
	set_state(w->c, i, ALIVE);
	return true;
}

/* Deletes one that is DOUBTFUL by now. */
static bool delete_one(struct worker *w, size_t i)
{
	struct answer a;

	if (!client_sendf(w->client, "DELETE /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n",
			  w->c->blobs[i].manage) ||
	    !whole_answer(w, &a)) {
		drop_client(w);
		return false;
	}
	if (a.status != 204)
		fail("DELETE: %s", a.head);
	answer_free(&a);
	set_state(w->c, i, GONE);
	return true;
}

static bool get(struct worker *w, const struct blob *b, struct answer *a)
{
	if (client_sendf(w->client, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", b->token) &&
	    whole_answer(w, a))
		return true;
	drop_client(w);
	return false;
}

static bool identical(const struct campaign *c, const struct blob *b, const struct answer *a)
{
	return a->body_len == b->content.len &&
	       memcmp(a->body, c->pool + b->content.at, a->body_len) == 0;
}

/* ---- under load ---- */

static void *client_main(void *arg)
{
	struct worker *w = arg;
	bool going = true;
	size_t victim;

	while (going && have_client(w)) {
		if (chance(&w->random, 15) && take_victim(w, &victim))
			going = delete_one(w, victim);
		else
			going = put(w);
	}
	if (!atomic_load(&w->c->killing))
		fail("a connection broke before the kill");
	if (w->client != NULL)
		drop_client(w);
	return NULL;
}

static void load_and_kill(struct campaign *c)
{
	struct worker workers[CLIENTS];
	pthread_t threads[CLIENTS];
	const size_t moment = below(&c->random, KILL_WITHIN_US);

	atomic_store(&c->killing, false);
	for (int i = 0; i < CLIENTS; i++) {
		workers[i] = (struct worker){ c, { draw(&c->random) }, NULL };
		if (pthread_create(&threads[i], NULL, client_main, &workers[i]) != 0)
			fail("no thread");
	}
	pause_us(moment);
	atomic_store(&c->killing, true);
	if (!server_alive(&c->server))
		fail("the server has ended by itself");
	server_kill(&c->server);
	for (int i = 0; i < CLIENTS; i++)
		(void)pthread_join(threads[i], NULL);
}

/* ---- programs beside the server ---- */

static const char *build_folder(void)
{
	const char *build = getenv("BUILD");

	return build != NULL ? build : "build/release";
}

/* Runs it with its output behind the server's log. Its process id. */
static pid_t run(const struct campaign *c, const char *const *argv)
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
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static pid_t run_restanted(const struct campaign *c, const char *flag, const char *value)
{
	char binary[256], conf[128], data[128];

	(void)snprintf(binary, sizeof(binary), "%s/restanted", build_folder());
	(void)snprintf(conf, sizeof(conf), "%s/conf", c->server.dir);
	(void)snprintf(data, sizeof(data), "%s/data", c->server.dir);
	return run(c, (const char *const[]){ binary, "--config", conf, "--data-dir", data, flag,
					     value, NULL });
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
	pid_t pid = run_restanted(c, "--listen", "127.0.0.1:0");
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
	code = end_of(run(c, (const char *const[]){ program, store, NULL }));
	if (code != 0)
		fail("%s ended with %d; the end of %s/log says why", program, code, c->server.dir);
}

static void check_store(struct campaign *c)
{
	int code = server_stop(&c->server);

	if (code != 0)
		fail("the server was stopped and ended with %d", code);
	check_orphans(c);
	code = end_of(run_restanted(c, "--scrub", NULL));
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

static void start_again(struct campaign *c)
{
	c->server.options.config = configs[below(&c->random, sizeof(configs) / sizeof(*configs))];
	server_again(&c->server);
}

/* ---- holding it to its word ---- */

static void check_blob(struct worker *w, struct blob *b)
{
	struct answer a;

	if (!have_client(w) || !get(w, b, &a))
		fail("a fetch of %zu bytes broke off", b->content.len);
	w->c->fetched++;
	if (a.status == 404 && b->state == DOUBTFUL)
		b->state = GONE;
	else if (a.status == 200 && b->state == DOUBTFUL)
		b->state = ALIVE;
	if (b->state == GONE && a.status != 404)
		fail("deleted, and still there: %s", a.head);
	if (b->state == ALIVE && a.status != 200)
		fail("%zu bytes acknowledged in round %u, and now: %s", b->content.len, b->round,
		     a.head);
	if (b->state == ALIVE && !identical(w->c, b, &a))
		fail("%zu bytes acknowledged in round %u came back as %zu others", b->content.len,
		     b->round, a.body_len);
	answer_free(&a);
}

static bool recent(const struct campaign *c, const struct blob *b)
{
	return b->round + 1 >= c->round || b->state == DOUBTFUL;
}

static void check_blobs(struct campaign *c, struct worker *w, bool all)
{
	struct blob *b;

	for (b = c->blobs; b < c->blobs + c->count; b++)
		if (b->state != NOT_KNOWN && (all || recent(c, b)))
			check_blob(w, b);
	for (unsigned i = 0; i < SAMPLE && c->count > 0; i++) {
		b = &c->blobs[below(&c->random, c->count)];
		if (b->state != NOT_KNOWN)
			check_blob(w, b);
	}
}

/* Deletes until about `count` blobs of `bytes` are left. */
static void thin_out(struct campaign *c, struct worker *w, size_t count, size_t bytes)
{
	for (size_t i = c->count; i-- > 0;) {
		struct blob *b = &c->blobs[i];

		if (b->state != ALIVE)
			continue;
		if (count > 0 && bytes >= b->content.len && !chance(&c->random, 20)) {
			count--;
			bytes -= b->content.len;
			continue;
		}
		b->state = DOUBTFUL;
		if (!have_client(w) || !delete_one(w, i))
			fail("a DELETE broke off");
	}
}

/* What is long gone is forgotten, but for a tenth of it. */
static void forget(struct campaign *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct blob *b = &c->blobs[i];
		bool old = b->round + 2 < c->round;

		c->acknowledged += b->round == c->round && b->state != NOT_KNOWN;
		c->deleted += b->round == c->round && b->state == GONE;
		if (b->state == ALIVE || !old || (b->state == GONE && i % 10 == 0))
			c->blobs[kept++] = *b;
	}
	c->count = kept;
}

static void verify(struct campaign *c, bool last)
{
	struct worker w = { c, { draw(&c->random) }, NULL };

	check_blobs(c, &w, last);
	thin_out(c, &w, last ? 0 : KEEP_COUNT, last ? 0 : KEEP_BYTES);
	forget(c);
	if (w.client != NULL)
		drop_client(&w);
}

static void one_round(struct campaign *c, bool last)
{
	load_and_kill(c);
	for (int n = chance(&c->random, 20) ? 1 + (int)below(&c->random, 2) : 0; n > 0; n--)
		kill_a_start(c);
	start_again(c);
	verify(c, last);
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
	c->blobs = calloc(BLOBS_MAX, sizeof(*c->blobs));
	if (c->pool == NULL || c->blobs == NULL)
		fail("no memory");
	fill_random(c->pool, POOL_SIZE, seed);
	server_start(&c->server, &o);
}

static void fini(struct campaign *c)
{
	server_remove(&c->server);
	pthread_mutex_destroy(&c->lock);
	free(c->pool);
	free(c->blobs);
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
	(void)printf(
		"crash: nothing lost; kills=%llu acknowledged=%llu deleted=%llu fetched=%llu\n",
		(unsigned long long)(rounds + c.start_kills), (unsigned long long)c.acknowledged,
		(unsigned long long)c.deleted, (unsigned long long)c.fetched);
	fini(&c);
	return 0;
}
