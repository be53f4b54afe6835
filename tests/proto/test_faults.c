/* Each store call in turn fails under a real server: what the client hears, and what is left. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define SMALL (40 * KB)
#define LARGE (5 * MB)
#define LARGE_PIECES 19 /* staged before the commit, which has the last one as its tail */
#define TOKEN_SIZE 52

/* Every fetch reads the store, every upload's memory goes back at once. */
#define NO_CACHE "fetch { cache = 0; }\n"

static const struct {
	const char *code;
	int status;
} codes[] = {
	{ "IO", 503 }, { "FULL", 507 }, { "NOMEM", 503 }, { "DAMAGED", 500 }, { "NOTFOUND", 404 },
};
#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

struct media {
	uint64_t seed;
	size_t size;
	char token[TOKEN_SIZE], manage[TOKEN_SIZE];
};

struct fixture {
	struct test_server server;
	char faults[128];
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state == NULL ? -1 : 0;
}

/* server_remove() sees to it that the server ends with 0. */
static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->server.dir[0] != '\0')
		server_remove(&f->server);
	free(f);
	return 0;
}

static void set_faults(struct fixture *f, const char *fmt, va_list ap)
{
	(void)vsnprintf(f->faults, sizeof(f->faults), fmt, ap);
	f->server.options.faults = f->faults;
}

static void start(struct fixture *f, const char *config, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void start(struct fixture *f, const char *config, const char *fmt, ...)
{
	struct test_server_options o = { .config = config, .faults = f->faults };
	va_list ap;

	va_start(ap, fmt);
	set_faults(f, fmt, ap);
	va_end(ap);
	server_start(&f->server, &o);
}

/* Starts over on the same folder, with nothing in memory. */
static void again(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void again(struct fixture *f, const char *fmt, ...)
{
	va_list ap;

	assert_int_equal(server_stop(&f->server), 0);
	va_start(ap, fmt);
	set_faults(f, fmt, ap);
	va_end(ap);
	server_again(&f->server);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap_ms(int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

/* ---- requests: threads use these, so they return and do not assert ---- */

static uint8_t *content(uint64_t seed, size_t size)
{
	uint8_t *p = malloc(size + 1);

	if (p == NULL)
		abort();
	fill_random(p, size, seed);
	return p;
}

static int upload(const struct fixture *f, struct media *m, uint64_t seed, size_t size)
{
	uint8_t *p = content(seed, size);
	struct answer a;
	int status;

	*m = (struct media){ .seed = seed, .size = size };
	http_request(f->server.port, "PUT", "/v1/media", "", p, size, &a);
	status = a.status;
	(void)answer_json(&a, "token", m->token, sizeof(m->token));
	(void)answer_json(&a, "manage_token", m->manage, sizeof(m->manage));
	answer_free(&a);
	free(p);
	return status;
}

static void request_media(const struct fixture *f, const char *method, const char *token,
			  const char *fields, struct answer *a)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_request(f->server.port, method, target, fields, NULL, 0, a);
}

static int status_of(const struct fixture *f, const char *method, const char *token)
{
	struct answer a;
	int status;

	request_media(f, method, token, "", &a);
	status = a.status;
	answer_free(&a);
	return status;
}

/* What became of a fetch. CUT: an answer began and broke off, so that nobody takes it for whole.
 * WRONG: what must never be, other bytes or too few of them presented as the whole. */
enum { CUT = 1, WRONG = 2 };

static int fetch(const struct fixture *f, const struct media *m)
{
	uint8_t *p = content(m->seed, m->size);
	struct answer a;
	int result;

	request_media(f, "GET", m->token, "", &a);
	result = a.status;
	if (a.status == 200 && !a.whole)
		result = CUT;
	else if (a.status == 200 && (a.body_len != m->size || memcmp(a.body, p, m->size) != 0))
		result = WRONG;
	answer_free(&a);
	free(p);
	return result;
}

/* ---- what is left ---- */

static int files_in_tmp(const struct fixture *f)
{
	char path[128];
	struct dirent *entry;
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "%s/data/store/tmp", f->server.dir);
	d = opendir(path);
	while (d != NULL && (entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* What an idle server without a cache holds for requests: nothing. Connections and giving back
 * end a little after the client has its answer. */
static void assert_nothing_leaked(struct fixture *f)
{
	uint64_t chunks = 1, uploads = 1, connections = 1;
	int files = 1;

	for (int i = 0; i < 300 && (chunks | uploads | (uint64_t)files) != 0; i++) {
		nap_ms(i == 0 ? 0 : 10);
		chunks = server_metric(&f->server, "restante_chunk_memory_bytes");
		uploads = server_metric(&f->server, "restante_upload_memory_bytes");
		files = files_in_tmp(f);
	}
	assert_int_equal(chunks, 0);
	assert_int_equal(uploads, 0);
	assert_int_equal(files, 0);
	for (int i = 0; i < 300 && connections > 1; i++) { /* the one that asks is one */
		nap_ms(i == 0 ? 0 : 10);
		connections = server_metric(&f->server, "restante_connections_open");
	}
	assert_true(connections <= 1);
}

/* Open files, once no more than `goal`; connections are closed a little after they end. */
static int files_settled(const struct fixture *f, int goal)
{
	int n = server_files(&f->server);

	for (int i = 0; i < 300 && n > goal; i++) {
		nap_ms(10);
		n = server_files(&f->server);
	}
	return n;
}

/* ---- uploads ---- */

/* Call after call of one kind fails; each upload is refused as a whole, and goes through when it
 * is repeated. What went through is there after a restart. */
static void check_uploads(struct fixture *f, const char *call, unsigned calls, size_t size)
{
	struct media kept, lost;

	for (size_t c = 0; c < CODE_COUNT; c++) {
		for (unsigned nth = 1; nth <= calls; nth += calls > 4 ? 6 : 1) {
			again(f, "inner=rocksdb;fail=%s:%u;code=%s", call, nth, codes[c].code);
			assert_int_equal(upload(f, &lost, 100 * c + nth, size), codes[c].status);
			assert_string_equal(lost.token, "");
			assert_int_equal(upload(f, &kept, 100 * c + nth, size), 201);
			assert_int_equal(fetch(f, &kept), 200);
			assert_nothing_leaked(f);
		}
	}
	again(f, "inner=rocksdb");
	assert_int_equal(fetch(f, &kept), 200);
}

static void a_small_upload_survives_each_failing_call(void **state)
{
	struct fixture *f = *state;

	start(f, NO_CACHE, "inner=rocksdb");
	check_uploads(f, "write_open", 1, SMALL);
	check_uploads(f, "commit", 1, SMALL);
}

static void a_large_upload_survives_each_failing_call(void **state)
{
	struct fixture *f = *state;

	start(f, NO_CACHE, "inner=rocksdb");
	check_uploads(f, "write_open", 1, LARGE);
	check_uploads(f, "stage", LARGE_PIECES, LARGE);
	check_uploads(f, "commit", 1, LARGE);
}

/* The same in one go and for every piece, in memory, where not one file more may be open after. */
static void no_piece_of_an_upload_leaks_when_it_fails(void **state)
{
	struct fixture *f = *state;
	struct media m;
	int files;

	start(f, NO_CACHE,
	      "inner=memory;fail=stage:1,3,6,10,15,21,28,36,45,55,66,78,91,105,120,136,"
	      "153,171,190");
	files = server_files(&f->server);
	for (int nth = 1; nth <= LARGE_PIECES; nth++) /* the nth upload fails at its nth piece */
		assert_int_equal(upload(f, &m, 7, LARGE), 503);
	assert_int_equal(upload(f, &m, 7, LARGE), 201);
	assert_int_equal(fetch(f, &m), 200);
	assert_int_equal(status_of(f, "DELETE", m.manage), 204);
	assert_nothing_leaked(f);
	assert_true(files_settled(f, files) <= files);
	assert_int_equal(server_metric(&f->server, "restante_store_failures_total"), LARGE_PIECES);
}

/* The lookup behind a commit serves the cache only. */
static void a_committed_upload_is_acknowledged_whatever_fails_after(void **state)
{
	struct fixture *f = *state;
	struct media m;

	start(f, "", "inner=rocksdb;fail=lookup:1");
	assert_int_equal(upload(f, &m, 1, SMALL), 201);
	assert_int_equal(fetch(f, &m), 200);
	again(f, "inner=rocksdb");
	assert_int_equal(fetch(f, &m), 200);
}

/* The client hears of the failure while it is still sending, and without its end. */
static void a_refusal_reaches_a_client_that_is_still_sending(void **state)
{
	struct fixture *f = *state;
	uint8_t *p = content(1, LARGE);
	struct client *c;
	struct answer a;

	start(f, NO_CACHE, "inner=memory;fail=stage:2;code=FULL");
	c = client_open(f->server.port);
	assert_true(client_sendf(c,
				 "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				 "Content-Length: %zu\r\n\r\n",
				 2 * LARGE));
	(void)client_send(c, p, LARGE);
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 507);
	assert_true(a.whole);
	assert_non_null(strstr((const char *)a.body, "urn:restante:problem:storage-full"));
	answer_free(&a);
	client_close(c);
	free(p);
	assert_nothing_leaked(f);
}

/* ---- fetches ---- */

static void a_failing_lookup_is_a_clear_status(void **state)
{
	static const char *const methods[] = { "GET", "HEAD" };
	struct fixture *f = *state;
	struct media m;

	start(f, NO_CACHE, "inner=rocksdb");
	assert_int_equal(upload(f, &m, 1, SMALL), 201);
	for (size_t c = 0; c < CODE_COUNT; c++) {
		again(f, "inner=rocksdb;fail=lookup:1,2;code=%s", codes[c].code);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(status_of(f, methods[i], m.token), codes[c].status);
		assert_int_equal(fetch(f, &m), 200);
		assert_nothing_leaked(f);
	}
}

/* One page, or few of them: they are read before the head is sent. */
static void a_failing_read_of_a_short_fetch_is_a_clear_status(void **state)
{
	static const size_t sizes[] = { 1, SMALL, 256 * KB, 900 * KB };
	struct fixture *f = *state;
	struct media m;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const unsigned pages = (unsigned)((sizes[i] + 256 * KB - 1) / (256 * KB));

		if (i == 0)
			start(f, NO_CACHE, "inner=rocksdb");
		else
			again(f, "inner=rocksdb");
		assert_int_equal(upload(f, &m, i, sizes[i]), 201);
		for (size_t c = 0; c < CODE_COUNT; c++) {
			again(f, "inner=rocksdb;fail=read:%u;code=%s", pages, codes[c].code);
			assert_int_equal(fetch(f, &m), codes[c].status);
			assert_int_equal(fetch(f, &m), 200);
			assert_nothing_leaked(f);
		}
	}
}

/* Of a long one the head is on its way by then: the connection is cut. */
static void a_failing_read_in_a_stream_cuts_it(void **state)
{
	struct fixture *f = *state;
	struct media m;
	int result;

	start(f, NO_CACHE, "inner=rocksdb");
	assert_int_equal(upload(f, &m, 1, LARGE), 201);
	for (size_t c = 0; c < CODE_COUNT; c++) {
		for (unsigned nth = 1; nth <= LARGE_PIECES + 1; nth += 6) {
			again(f, "inner=rocksdb;fail=read:%u;code=%s", nth, codes[c].code);
			result = fetch(f, &m);
			if (nth == 1 && result != CUT)
				assert_int_equal(result, codes[c].status);
			else
				assert_int_equal(result, CUT);
			assert_int_equal(fetch(f, &m), 200);
			assert_nothing_leaked(f);
		}
	}
}

static void check_ranges(struct fixture *f, const struct media *m, const char *range)
{
	struct answer a;

	for (unsigned nth = 1; nth <= 2; nth++) {
		again(f, "inner=rocksdb;fail=read:%u", nth);
		request_media(f, "GET", m->token, range, &a);
		assert_true(a.status == 503 || (a.status == 206 && !a.whole));
		answer_free(&a);
		request_media(f, "GET", m->token, range, &a);
		assert_int_equal(a.status, 206);
		assert_true(a.whole);
		answer_free(&a);
		assert_nothing_leaked(f);
	}
}

static void failing_reads_of_ranges_never_pass_for_the_whole(void **state)
{
	struct fixture *f = *state;
	struct media m;

	start(f, NO_CACHE, "inner=rocksdb");
	assert_int_equal(upload(f, &m, 1, LARGE), 201);
	check_ranges(f, &m, "Range: bytes=1000000-1300000\r\n");
	check_ranges(f, &m, "Range: bytes=100000-3900000\r\n");
	check_ranges(f, &m, "Range: bytes=0-99,4000000-4000099\r\n");
}

static void what_is_in_the_cache_is_served_without_the_store(void **state)
{
	struct fixture *f = *state;
	struct media small, middle;

	start(f, "", "inner=memory;fail=read:*");
	assert_int_equal(upload(f, &small, 1, SMALL), 201);
	assert_int_equal(upload(f, &middle, 2, 900 * KB), 201);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fetch(f, &small), 200);
		assert_int_equal(fetch(f, &middle), 200);
	}
	assert_int_equal(server_metric(&f->server, "restante_store_reads_total"), 0);
}

/* What a failing read has left of itself must not be taken for the page later. */
static void a_failed_read_leaves_nothing_in_the_cache(void **state)
{
	struct fixture *f = *state;
	struct media m;

	start(f, "", "inner=rocksdb");
	assert_int_equal(upload(f, &m, 1, 900 * KB), 201);
	again(f, "inner=rocksdb;fail=read:1,3;when=after");
	assert_int_equal(fetch(f, &m), 503);
	assert_int_equal(fetch(f, &m), 503);
	assert_int_equal(fetch(f, &m), 200);
	assert_int_equal(fetch(f, &m), 200);
}

/* ---- deletes ---- */

static void a_failing_delete_is_a_clear_status_and_keeps_the_bytes(void **state)
{
	struct fixture *f = *state;
	struct media m;

	start(f, NO_CACHE, "inner=rocksdb");
	for (size_t c = 0; c < CODE_COUNT; c++) {
		again(f, "inner=rocksdb;fail=drop:1;code=%s", codes[c].code);
		assert_int_equal(upload(f, &m, c, LARGE), 201);
		assert_int_equal(status_of(f, "DELETE", m.manage), codes[c].status);
		assert_int_equal(fetch(f, &m), 200);
		again(f, "inner=rocksdb");
		assert_int_equal(fetch(f, &m), 200);
		assert_int_equal(status_of(f, "DELETE", m.manage), 204);
		assert_int_equal(fetch(f, &m), 404);
		assert_nothing_leaked(f);
	}
}

/* The store has done it and says it has not: the client may ask again and hears that it is gone. */
static void a_delete_that_failed_too_late_is_still_a_delete(void **state)
{
	struct fixture *f = *state;
	struct media m;

	start(f, "", "inner=rocksdb;fail=drop:1;when=after");
	assert_int_equal(upload(f, &m, 1, SMALL), 201);
	assert_int_equal(status_of(f, "DELETE", m.manage), 503);
	assert_int_equal(fetch(f, &m), 404);
	assert_int_equal(status_of(f, "DELETE", m.manage), 404);
}

static void check_sweep(struct fixture *f, const char *call)
{
	struct media m;
	char *log;

	start(f, "expiry { interval = 1s; }\n", "inner=memory;fail=%s:1", call);
	{
		uint8_t *p = content(1, SMALL);

		assert_int_equal(http_put(f->server.port, "?ttl=1s", p, SMALL, m.token), 201);
		free(p);
	}
	for (int i = 0; i < 80 && server_metric(&f->server, "restante_uploads_expired_total") == 0;
	     i++)
		nap_ms(100);
	assert_int_equal(server_metric(&f->server, "restante_uploads_expired_total"), 1);
	assert_int_equal(status_of(f, "GET", m.token), 404);
	log = server_log(&f->server);
	assert_non_null(strstr(log, "event=sweep_failed"));
	free(log);
	server_remove(&f->server);
	f->server.dir[0] = '\0';
}

static void a_failing_sweep_is_made_up_for_by_the_next(void **state)
{
	check_sweep(*state, "due");
	check_sweep(*state, "drop");
}

/* ---- others ---- */

/* Uploads and fetches, each repeated until it succeeds. */
struct crowd {
	const struct fixture *f;
	uint64_t seed;
	int rounds;
	size_t size;
	unsigned put_failed, fetch_failed, wrong;
	pthread_t thread;
};

static void crowd_round(struct crowd *x, uint64_t seed)
{
	struct media m;
	int result;

	while ((result = upload(x->f, &m, seed, x->size)) == 503)
		x->put_failed++;
	if (result != 201) {
		x->wrong++;
		return;
	}
	while ((result = fetch(x->f, &m)) == 503 || result == CUT)
		x->fetch_failed++;
	x->wrong += result != 200;
}

static void *crowd_main(void *arg)
{
	struct crowd *x = arg;

	for (int i = 0; i < x->rounds; i++)
		crowd_round(x, x->seed * 1000 + (uint64_t)i);
	return NULL;
}

/* As many requests fail as calls do, and no other one notices. */
static void check_crowd(struct fixture *f, const char *faults, size_t size, unsigned puts,
			unsigned fetches)
{
	struct crowd crowd[6] = { { .rounds = 0 } }, sum = { .rounds = 0 };

	start(f, NO_CACHE, "%s", faults);
	for (size_t i = 0; i < 6; i++) {
		crowd[i] = (struct crowd){ .f = f, .seed = i, .rounds = 6, .size = size };
		assert_int_equal(pthread_create(&crowd[i].thread, NULL, crowd_main, &crowd[i]), 0);
	}
	for (size_t i = 0; i < 6; i++) {
		(void)pthread_join(crowd[i].thread, NULL);
		sum.put_failed += crowd[i].put_failed;
		sum.fetch_failed += crowd[i].fetch_failed;
		sum.wrong += crowd[i].wrong;
	}
	assert_int_equal(sum.put_failed, puts);
	assert_int_equal(sum.fetch_failed, fetches);
	assert_int_equal(sum.wrong, 0);
	assert_nothing_leaked(f);
	server_remove(&f->server);
	f->server.dir[0] = '\0';
}

static void a_failing_call_harms_one_request_of_many(void **state)
{
	struct fixture *f = *state;

	check_crowd(f, "inner=rocksdb;fail=commit:3,17", SMALL, 2, 0);
	check_crowd(f, "inner=rocksdb;fail=write_open:2,20", SMALL, 2, 0);
	check_crowd(f, "inner=rocksdb;fail=stage:5,60,61", MB, 3, 0);
	check_crowd(f, "inner=rocksdb;fail=read:5,9", SMALL, 0, 2);
	check_crowd(f, "inner=rocksdb;fail=read:5,60", 2 * MB, 0, 2);
}

/* An upload and a download that are half-way when another request meets the fault. */
static void a_transfer_under_way_is_not_harmed_by_the_fault_of_another(void **state)
{
	struct fixture *f = *state;
	uint8_t *p = content(3, SMALL);
	struct media m, lost;
	struct client *c;
	struct answer a;
	char token[TOKEN_SIZE];

	start(f, NO_CACHE, "inner=rocksdb;fail=commit:1");
	c = client_open(f->server.port);
	assert_true(client_sendf(c,
				 "PUT /v1/media HTTP/1.1\r\nHost: t\r\n"
				 "Content-Length: %zu\r\n\r\n",
				 SMALL));
	assert_true(client_send(c, p, SMALL / 2));
	assert_int_equal(upload(f, &lost, 1, SMALL), 503);
	assert_true(client_send(c, p + SMALL / 2, SMALL - SMALL / 2));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	answer_free(&a);
	/* the connection of the refused one is good for more, as this one is */
	assert_true(client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", token));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, SMALL);
	assert_memory_equal(a.body, p, SMALL);
	answer_free(&a);
	client_close(c);
	free(p);
	assert_int_equal(upload(f, &m, 1, SMALL), 201);
	assert_int_equal(fetch(f, &m), 200);
	assert_nothing_leaked(f);
}

/* ---- slow storage ---- */

#define SLOW_CLIENTS 50
#define HEALTH_MS 50

struct slow {
	const struct fixture *f;
	const struct media *media;
	uint64_t seed;
	int result;
	pthread_t thread;
};

static void *slow_main(void *arg)
{
	struct slow *x = arg;
	struct media m;

	if (x->seed % 2 == 0)
		x->result = fetch(x->f, x->media);
	else
		x->result = upload(x->f, &m, x->seed, 300 * KB);
	return NULL;
}

static int by_time(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* A busy machine may hold any process up for a moment: one answer in twenty may be late. */
static void healthz_is_quick_while_the_store_is_slow(void **state)
{
	struct fixture *f = *state;
	struct slow slow[SLOW_CLIENTS];
	int took[64], n = 0;
	struct media m;
	struct answer a;

	start(f, NO_CACHE, "inner=rocksdb;delay_ms=100");
	assert_int_equal(upload(f, &m, 1000, 300 * KB), 201);
	for (size_t i = 0; i < SLOW_CLIENTS; i++) {
		slow[i] = (struct slow){ .f = f, .media = &m, .seed = i };
		assert_int_equal(pthread_create(&slow[i].thread, NULL, slow_main, &slow[i]), 0);
	}
	for (; n < 64; n++) {
		int64_t began = now_ms();

		http_get(f->server.port, "/healthz", "", &a);
		took[n] = (int)(now_ms() - began);
		assert_int_equal(a.status, 200);
		answer_free(&a);
		nap_ms(10);
	}
	for (size_t i = 0; i < SLOW_CLIENTS; i++) {
		(void)pthread_join(slow[i].thread, NULL);
		assert_int_equal(slow[i].result, i % 2 == 0 ? 200 : 201);
	}
	qsort(took, (size_t)n, sizeof(took[0]), by_time);
	print_message("# /healthz: median %d ms, slowest %d ms\n", took[n / 2], took[n - 1]);
	assert_true(took[n * 95 / 100] < HEALTH_MS);
	assert_nothing_leaked(f);
}

/* ---- starting ---- */

static void a_store_that_does_not_open_is_said_and_ends_the_start(void **state)
{
	struct fixture *f = *state;
	char *log;

	start(f, "", "inner=rocksdb");
	assert_int_equal(server_stop(&f->server), 0);
	f->server.options.faults = "inner=rocksdb;fail=open:1;code=DAMAGED";
	assert_int_equal(server_try(&f->server), 1);
	log = server_log(&f->server);
	assert_non_null(strstr(log, "a fault was injected into open"));
	free(log);
	f->server.options.faults = "inner=rocksdb";
	server_again(&f->server);
}

/* With every call failing, each answer is still an answer, and the server ends well. */
static void a_dead_store_is_answered_for(void **state)
{
	struct fixture *f = *state;
	struct media m, lost;
	struct answer a;

	start(f, NO_CACHE, "inner=rocksdb");
	assert_int_equal(upload(f, &m, 1, SMALL), 201);
	again(f, "inner=rocksdb;fail=write_open:*;fail=lookup:*;fail=read:*;fail=drop:*;"
		 "fail=due:*");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(upload(f, &lost, 2, i % 2 == 0 ? SMALL : LARGE), 503);
		assert_int_equal(fetch(f, &m), 503);
		assert_int_equal(status_of(f, "HEAD", m.token), 503);
		assert_int_equal(status_of(f, "DELETE", m.manage), 503);
	}
	http_get(f->server.port, "/healthz", "", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	assert_nothing_leaked(f);
	again(f, "inner=rocksdb");
	assert_int_equal(fetch(f, &m), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_small_upload_survives_each_failing_call),
		TEST(a_large_upload_survives_each_failing_call),
		TEST(no_piece_of_an_upload_leaks_when_it_fails),
		TEST(a_committed_upload_is_acknowledged_whatever_fails_after),
		TEST(a_refusal_reaches_a_client_that_is_still_sending),
		TEST(a_failing_lookup_is_a_clear_status),
		TEST(a_failing_read_of_a_short_fetch_is_a_clear_status),
		TEST(a_failing_read_in_a_stream_cuts_it),
		TEST(failing_reads_of_ranges_never_pass_for_the_whole),
		TEST(what_is_in_the_cache_is_served_without_the_store),
		TEST(a_failed_read_leaves_nothing_in_the_cache),
		TEST(a_failing_delete_is_a_clear_status_and_keeps_the_bytes),
		TEST(a_delete_that_failed_too_late_is_still_a_delete),
		TEST(a_failing_sweep_is_made_up_for_by_the_next),
		TEST(a_failing_call_harms_one_request_of_many),
		TEST(a_transfer_under_way_is_not_harmed_by_the_fault_of_another),
		TEST(healthz_is_quick_while_the_store_is_slow),
		TEST(a_store_that_does_not_open_is_said_and_ends_the_start),
		TEST(a_dead_store_is_answered_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
