/* fill_store DATA_DIR COUNT BYTES TTL_S ASKED THREADS - puts COUNT finished uploads of that many
 * bytes into the store of a data directory whose server is stopped, by the store's own interface,
 * and waits until it is in order. Prints the path of ASKED of them, drawn at random, one a line. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "base/digest.h"
#include "server/keys.h"
#include "storage/store.h"
#include "wire/token.h"

static struct {
	struct store *store;
	struct keys *keys;
	uint64_t count, asked;
	size_t bytes;
	int64_t ttl_s, now_s;
	atomic_uint_fast64_t next;
	pthread_mutex_t out;
} run;

static void die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "fill_store: %s: %s\n", what, e != NULL ? e->why : "");
	exit(1);
}

static void say(const struct upload *u)
{
	struct token t = { .type = TOKEN_FETCH, .upload = u->id };
	char text[TOKEN_PLAIN_CHARS + 1];
	const uint8_t *key = keys_current(run.keys, &t.key_id);

	t.not_after = (uint32_t)u->expires_s;
	token_mint(text, &t, key);
	pthread_mutex_lock(&run.out);
	(void)printf("/v1/media/%s\n", text);
	pthread_mutex_unlock(&run.out);
}

static void put(uint8_t *body)
{
	struct upload u = { .length = run.bytes,
			    .created_s = run.now_s,
			    .expires_s = run.now_s + run.ttl_s };
	struct digest d;
	const struct commit c = { .tail = { body, run.bytes },
				  .digest = &d,
				  .length = run.bytes,
				  .expires_s = u.expires_s };
	struct digester h;
	struct writer *w = NULL;
	struct err e = { 0 };

	randombytes_buf(u.id.b, sizeof(u.id.b));
	memcpy(body, u.id.b, sizeof(u.id.b)); /* content of its own */
	digest_init(&h);
	digest_update(&h, c.tail);
	digest_final(&h, &d);
	if (store_create(run.store, &u, run.bytes, &w, &e) != ERR_OK ||
	    writer_commit(w, &c, NULL, &e) != ERR_OK)
		die("commit", &e);
	writer_close(w);
	if (randombytes_uniform(1u << 30) < (double)run.asked / (double)run.count * (1u << 30))
		say(&u);
}

static void *fill(void *unused)
{
	uint8_t *body = malloc(run.bytes);

	(void)unused;
	if (body == NULL)
		die("malloc", NULL);
	randombytes_buf(body, run.bytes);
	while (atomic_fetch_add(&run.next, 1) < run.count)
		put(body);
	free(body);
	return NULL;
}

static double busy_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Waits until the engine has brought into order what was put, or for ten minutes. */
static void settle(void)
{
	double before = -1;

	for (int i = 0; i < 600 && busy_s() - before > 0.02; i++) {
		before = busy_s();
		sleep(1);
	}
}

int main(int argc, char **argv)
{
	const struct store_options opt = { .segment_threshold = 4u << 20,
					   .segment_size = 64u << 20,
					   .write_buffer = 32u << 20 };
	struct store_options o = opt;
	pthread_t threads[256];
	char dir[4096];
	struct err e = { 0 };
	unsigned n;

	if (argc != 7 || sodium_init() < 0 || (n = (unsigned)atoi(argv[6])) < 1 || n > 256)
		die("usage: fill_store DATA_DIR COUNT BYTES TTL_S ASKED THREADS", NULL);
	(void)snprintf(dir, sizeof(dir), "%s/store", argv[1]);
	o.dir = dir;
	run.count = strtoull(argv[2], NULL, 10);
	run.bytes = strtoul(argv[3], NULL, 10);
	run.ttl_s = strtoll(argv[4], NULL, 10);
	run.asked = strtoull(argv[5], NULL, 10);
	run.now_s = time(NULL);
	if (run.bytes < sizeof(struct upload_id))
		die("too few bytes", NULL);
	pthread_mutex_init(&run.out, NULL);
	if (keys_open(&run.keys, argv[1], run.now_s, (uint64_t)run.ttl_s, &e) != ERR_OK ||
	    store_open(&run.store, "rocksdb", &o, &e) != ERR_OK)
		die(argv[1], &e);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, fill, NULL) != 0)
			die("thread", NULL);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	settle();
	store_close(run.store);
	keys_free(run.keys);
	return 0;
}
