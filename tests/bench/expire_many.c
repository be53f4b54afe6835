/* expire_many FOLDER COUNT BYTES [drop] - fills a store of its own in a folder with small uploads,
 * then expires all of them (`drop`: each durably), as the server's sweep does: a list of what is
 * due at a time. Prints how many a second, in how many bytes of disk, and what is left of those. */
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/engine.h"

#define THREADS 32
#define BATCH 256

static struct {
	struct store *store;
	unsigned long count;
	size_t bytes;
	atomic_ulong next;
} run;

static uint64_t blocks;

static void die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "expire_many: %s: %s\n", what, e->why);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)type;
	(void)ftw;
	blocks += (uint64_t)st->st_blocks * 512;
	return 0;
}

static double disk_mib(const char *dir)
{
	blocks = 0;
	(void)nftw(dir, add_blocks, 16, FTW_PHYS);
	return (double)blocks / 1048576;
}

/* Ids and digests are spread as real ones are. */
static uint64_t mix(uint64_t v)
{
	v += 0x9e3779b97f4a7c15;
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9;
	v = (v ^ (v >> 27)) * 0x94d049bb133111eb;
	return v ^ (v >> 31);
}

static void upload(unsigned long n, const uint8_t *body)
{
	struct upload rec = { .length = run.bytes, .created_s = 1, .expires_s = 1000 + n / 500 };
	struct digest digest = { { 0 } };
	struct commit c = { .tail = { body, run.bytes },
			    .digest = &digest,
			    .length = run.bytes,
			    .expires_s = rec.expires_s };
	struct writer *w;
	struct err e;

	bytes_put_u64(rec.id.b, mix(n));
	bytes_put_u64(rec.id.b + 8, n);
	bytes_put_u64(digest.b, mix(n + 1));
	bytes_put_u64(digest.b + 8, n);
	rec.bucket.b[0] = (uint8_t)(n % 100 + 1);
	if (store_create(run.store, &rec, run.bytes, &w, &e) != ERR_OK ||
	    writer_commit(w, &c, NULL, &e) != ERR_OK)
		die("upload", &e);
	writer_close(w);
}

static void *fill(void *unused)
{
	uint8_t *body = malloc(run.bytes + 8);
	unsigned long n;

	(void)unused;
	for (size_t i = 0; i < run.bytes; i += 8)
		bytes_put_u64(body + i, mix(i));
	while ((n = atomic_fetch_add(&run.next, 1)) < run.count)
		upload(n, body);
	free(body);
	return NULL;
}

static void fill_all(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		(void)pthread_create(&threads[i], NULL, fill, NULL);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
}

static size_t sweep_some(bool durably)
{
	struct upload_id ids[BATCH];
	struct err e;
	uint64_t freed;
	bool gone;
	size_t n = 0;

	if (store_due(run.store, INT64_MAX - 1, ids, BATCH, &n, &e) != ERR_OK)
		die("due", &e);
	for (size_t i = 0; i < n; i++)
		if ((durably ? store_drop(run.store, &ids[i], &e)
			     : store_expire(run.store, &ids[i], 0, &freed, &gone, &e)) != ERR_OK)
			die("expire", &e);
	return n;
}

int main(int argc, char **argv)
{
	struct store_options o = { .dir = argc > 1 ? argv[1] : NULL };
	struct err e = { 0 };
	double began, last, full;
	size_t n, done = 0, mark;

	if (argc < 4)
		return 2;
	run.count = strtoul(argv[2], NULL, 10);
	run.bytes = strtoul(argv[3], NULL, 10);
	if (store_open(&run.store, "rocksdb", &o, &e) != ERR_OK)
		die("open", &e);
	began = now_s();
	fill_all();
	full = disk_mib(o.dir);
	(void)printf("filled %.0f/s, %.1f MiB on disk\n", (double)run.count / (now_s() - began),
		     full);
	began = last = now_s();
	mark = run.count / 10;
	while ((n = sweep_some(argc > 4)) > 0) {
		done += n;
		if (done >= mark) {
			(void)printf("%zu: %.0f/s\n", done,
				     (double)run.count / 10 / (now_s() - last));
			last = now_s();
			mark += run.count / 10;
		}
	}
	(void)printf("expired %.0f/s\n", (double)done / (now_s() - began));
	(void)printf("%.1f MiB left\n", disk_mib(o.dir));
	began = now_s();
	if (store_give_back(run.store, 60000, &e) != ERR_OK)
		die("give back", &e);
	(void)printf("%.1f MiB left, given back in %.1f s\n", disk_mib(o.dir), now_s() - began);
	store_close(run.store);
	(void)printf("%.1f MiB left, closed\n", disk_mib(o.dir));
	return 0;
}
