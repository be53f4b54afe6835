/* keep - what was received counts: whatever ends a request, its bytes stay, the offset is the
 * truth, and the upload is resumed without sending or hashing a byte again (tus C12, C14, C15;
 * "Upload Append" and "Offset Retrieval" in the draft; DESIGN section 4). And how that ends:
 * expiry, slow clients, a store that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/rufh.h"
#include "tests/lib/server.h"
#include "tests/lib/tus.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define BASE "upload { min_free = 0 }\n"

static uint8_t bytes[200 * MB];

static const uint8_t *fresh(size_t n)
{
	static uint64_t seed = 9000;

	fill_random(bytes, n, seed++);
	return bytes;
}

static int start(void **state, const char *config)
{
	static struct test_server server;

	server_start(&server, &(struct test_server_options){ .config = config });
	*state = &server;
	return 0;
}

static int start_plain(void **state)
{
	return start(state, BASE "http { stop_grace = 0 }\n");
}

static int start_graceful(void **state)
{
	return start(state, BASE "http { stop_grace = 1s }\n");
}

static int start_hurried(void **state)
{
	return start(state, BASE "http { timeout = 1s }\n");
}

static int start_expiring(void **state)
{
	return start(state, "upload { min_free = 0; ttl_unfinished = 2s }\n"
			    "expiry { interval = 1s }\n");
}

/* Nobody sweeps: what is over is over all the same. */
static int start_unswept(void **state)
{
	return start(state, "upload { min_free = 0; ttl_unfinished = 2s }\n"
			    "expiry { interval = 0 }\n");
}

static int start_impatient(void **state)
{
	return start(state, "upload { min_free = 0; min_rate = 100kb; min_rate_grace = 1s }\n");
}

static int stop(void **state)
{
	server_remove(*state);
	return 0;
}

static struct rufh create(const struct test_server *s, const char *fields)
{
	struct rufh u;

	assert_int_equal(rufh_create(s->port, fields, &u), 201);
	return u;
}

#define assert_finishes(s, u, p, n) assert_true(rufh_finishes((s)->port, (u), (p), (n)))

/* An append of n bytes and more; n are sent, and have left the network. */
static struct client *append_half(struct test_server *s, const char *path, uint64_t offset,
				  const uint8_t *p, size_t n)
{
	const uint64_t before = rufh_received(s);
	struct client *c = rufh_append_begin(s->port, path, offset, false, n + 1000);

	assert_true(client_send(c, p + offset, n));
	assert_true(rufh_receives(s, before + n, 10000));
	return c;
}

/* ---- the ways a request breaks off ---- */

static void by_fin(struct test_server *s, struct client *c)
{
	(void)s;
	client_close(c);
}

/* The client would still listen. */
static void by_half_close(struct test_server *s, struct client *c)
{
	(void)s;
	client_half_close(c);
	assert_true(rufh_ended_unanswered(c, 3000));
	client_close(c);
}

static void by_rst(struct test_server *s, struct client *c)
{
	(void)s;
	client_reset(c);
}

static void by_sigterm(struct test_server *s, struct client *c)
{
	assert_int_equal(server_stop(s), 0);
	client_close(c);
	server_again(s);
}

static void by_half_close_and_sigterm(struct test_server *s, struct client *c)
{
	by_half_close(s, c);
	assert_int_equal(server_stop(s), 0);
	server_again(s);
}

static const size_t lengths[] = { 1, 5 * KB, 300 * KB, 5 * MB + 17 };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

/* What has left the network is kept to the last byte, if the server lives. */
static void check_kept(struct test_server *s, void end(struct test_server *, struct client *))
{
	for (size_t i = 0; i < LENGTHS; i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(n + 3000);
		const struct rufh u = create(s, "");
		struct rufh_state at;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 100, NULL), 204);
		end(s, append_half(s, u.path, 100, p, n));
		at = rufh_state(s->port, u.path);
		assert_int_equal(at.status, 204);
		assert_int_equal(at.offset, 100 + n);
		assert_int_equal(at.complete, 0);
		assert_finishes(s, &u, p, n + 3000);
	}
}

static void a_client_that_vanishes_has_its_bytes_kept(void **state)
{
	check_kept(*state, by_fin);
}

static void a_client_that_ends_its_direction_has_its_bytes_kept(void **state)
{
	check_kept(*state, by_half_close);
	check_kept(*state, by_half_close_and_sigterm);
}

static void a_client_that_resets_has_its_bytes_kept(void **state)
{
	check_kept(*state, by_rst);
}

static void a_server_that_stops_keeps_the_bytes(void **state)
{
	check_kept(*state, by_sigterm);
}

/* tusd's TestUnexpectedNetworkReset: 5 KB, a moment, RST. */
static void five_kilobytes_before_a_reset_are_all_kept(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 5; i++) {
		const uint8_t *p = fresh(10 * KB);
		const struct rufh u = create(s, "Upload-Length: 10240\r\n");
		struct client *c = rufh_append_begin(s->port, u.path, 0, true, 10 * KB);

		assert_true(client_send(c, p, 5 * KB));
		client_nap(100);
		client_reset(c);
		assert_int_equal(rufh_offset(s->port, u.path), 5 * KB);
		assert_finishes(s, &u, p, 10 * KB);
	}
}

/* A reset throws away what is on its way: what is kept is a beginning of what was sent. */
static void of_megabytes_before_a_reset_a_beginning_is_kept(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 6; i++) {
		const uint8_t *p = fresh(9 * MB);
		const struct rufh u = create(s, "");
		struct client *c = rufh_append_begin(s->port, u.path, 0, true, 9 * MB);
		int64_t offset;

		assert_true(client_send(c, p, 8 * MB));
		client_reset(c);
		offset = rufh_offset(s->port, u.path);
		assert_in_range((uint64_t)offset, 0, 8 * MB);
		assert_finishes(s, &u, p, 9 * MB);
	}
}

/* tus C15; the length is reached, so it is finished, although the request never ended. */
static void the_last_byte_of_a_tus_upload_counts_without_the_end_of_its_request(void **state)
{
	struct test_server *s = *state;

	for (int i = 0; i < 2; i++) {
		const uint8_t *p = fresh(10000);
		const uint64_t before = rufh_received(s);
		struct tus_upload u;
		struct client *c;

		assert_int_equal(tus_create(s, 10000, "", &u), 201);
		c = tus_begin(&u, 0, TUS_CHUNKED);
		assert_true(client_chunk(c, p, 10000)); /* and no last chunk */
		assert_true(rufh_receives(s, before + 10000, 5000));
		if (i == 0)
			client_close(c);
		else
			client_reset(c);
		assert_true(tus_reaches(&u, 10000, 2000));
		assert_true(tus_has(&u, p, 10000));
	}
}

/* In the draft it is the client who says that it is complete, by a request that ends. */
static void the_last_byte_of_a_rufh_upload_does_not_complete_it(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(10000);
	const uint64_t before = rufh_received(s);
	const struct rufh u = create(s, "Upload-Length: 10000\r\n");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, RUFH_CHUNKED);

	assert_true(client_chunk(c, p, 10000));
	assert_true(rufh_receives(s, before + 10000, 5000));
	client_close(c);
	assert_int_equal(rufh_offset(s->port, u.path), 10000);
	assert_int_equal(rufh_state(s->port, u.path).complete, 0);
	assert_finishes(s, &u, p, 10000);
}

/* What tus checks as a whole is kept as a whole ("Checksum"; issue: or not at all). */
static void a_checked_patch_that_breaks_off_leaves_nothing(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2 * MB);
	const uint64_t before = rufh_received(s);
	struct tus_upload u;
	struct client *c;

	assert_int_equal(tus_create(s, 2 * MB, "", &u), 201);
	c = tus_begin(&u, 0,
		      "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n"
		      "Content-Length: 2097152\r\n");
	assert_true(client_send(c, p, MB));
	assert_true(rufh_receives(s, before + MB, 5000));
	client_close(c);
	assert_int_equal(tus_offset(&u), 0);
	assert_int_equal(tus_patch(&u, 0, p, 2 * MB), 204);
	assert_true(tus_has(&u, p, 2 * MB));
}

static void a_tus_patch_has_its_bytes_kept_too(void **state)
{
	struct test_server *s = *state;

	for (size_t i = 0; i < 2 * LENGTHS; i++) {
		const size_t n = lengths[i / 2];
		const uint8_t *p = fresh(n + 3000);
		const uint64_t before = rufh_received(s);
		struct tus_upload u;
		struct client *c;

		assert_int_equal(tus_create(s, n + 3000, "", &u), 201);
		c = tus_begin(&u, 0, TUS_CHUNKED);
		assert_true(client_chunk(c, p, n));
		assert_true(rufh_receives(s, before + n, 10000));
		if (i % 2 == 0)
			client_close(c);
		else
			client_reset(c);
		assert_int_equal(tus_offset(&u), n);
		assert_int_equal(tus_patch(&u, n, p + n, 3000), 204);
		assert_true(tus_has(&u, p, n + 3000));
	}
}

/* A creation that nobody can find again is not kept. */
static void a_tus_creation_that_breaks_off_is_dropped_as_a_whole(void **state)
{
	struct test_server *s = *state;
	const uint64_t kept = server_metric(s, "restante_store_data_bytes");
	const uint64_t before = rufh_received(s);
	struct client *c = client_open(s->port);

	assert_true(rufh_ask(c, "POST", "/v1/uploads", 50 * MB,
			     TUS_BYTES "Upload-Length: 52428800\r\n"));
	assert_true(client_send(c, fresh(40 * MB), 40 * MB));
	assert_true(rufh_receives(s, before + 40 * MB, 10000));
	client_close(c);
	for (int i = 0; i < 300 && server_metric(s, "restante_store_data_bytes") > kept + 5 * MB;
	     i++)
		client_nap(10);
	assert_in_range(server_metric(s, "restante_store_data_bytes"), 0, kept + 5 * MB);
}

/* ---- timeout ---- */

/* tusd's TestNetworkReadTimeout; tus C14. */
static void a_stalled_client_is_cut_and_its_bytes_are_kept(void **state)
{
	struct test_server *s = *state;

	const uint8_t *p = fresh(lengths[LENGTHS - 1] + 3000);
	struct client *c[LENGTHS];
	struct rufh u[LENGTHS];
	int64_t began;

	for (size_t i = 0; i < LENGTHS; i++) {
		u[i] = create(s, "");
		c[i] = append_half(s, u[i].path, 0, p, lengths[i]);
	}
	began = clock_mono_ms();
	for (size_t i = 0; i < LENGTHS; i++) {
		assert_true(rufh_ended_unanswered(c[i], 5000));
		client_close(c[i]);
	}
	assert_in_range((uint64_t)(clock_mono_ms() - began), 700, 4000);
	for (size_t i = 0; i < LENGTHS; i++) {
		assert_int_equal(rufh_offset(s->port, u[i].path), lengths[i]);
		assert_finishes(s, &u[i], p, lengths[i] + 3000);
	}
}

/* ---- SIGTERM ---- */

/* tusd's TestShutdown, but who is quick enough is answered. */
static void sigterm_lets_a_running_append_finish(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2 * MB);
	const struct rufh u = create(s, "");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, 2 * MB);
	struct answer a;

	assert_true(client_send(c, p, MB));
	client_nap(50);
	(void)kill(s->pid, SIGTERM);
	client_nap(200);
	assert_true(client_send(c, p + MB, MB));
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	assert_int_equal(server_wait(s, 10000), 0);
	server_again(s);
	assert_true(http_has(s->port, u.token, p, 2 * MB));
}

static void who_is_not_is_cut_and_its_bytes_are_kept(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(700 * KB);
	const struct rufh u = create(s, "");

	by_sigterm(s, append_half(s, u.path, 0, p, 600 * KB));
	assert_int_equal(rufh_offset(s->port, u.path), 600 * KB);
	assert_finishes(s, &u, p, 700 * KB);
}

/* ---- kill -9 ---- */

static void acknowledged_bytes_survive_a_kill(void **state)
{
	struct test_server *s = *state;

	for (size_t i = 0; i < LENGTHS; i++) {
		const size_t n = lengths[i];
		const uint8_t *p = fresh(2 * n + 3000);
		const struct rufh u = create(s, "");
		struct client *c;
		int64_t offset;

		assert_int_equal(rufh_append(s->port, u.path, 0, false, p, n, NULL), 204);
		c = append_half(s, u.path, n, p, n);
		server_kill(s);
		client_close(c);
		server_again(s);
		offset = rufh_offset(s->port, u.path);
		assert_in_range((uint64_t)offset, n, 2 * n);
		assert_finishes(s, &u, p, 2 * n + 3000);
	}
}

/* Bytes a HEAD has told of are acknowledged as well. */
static void an_offset_once_told_survives_a_kill(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(700 * KB);
	const struct rufh u = create(s, "");

	client_close(append_half(s, u.path, 0, p, 600 * KB));
	assert_int_equal(rufh_offset(s->port, u.path), 600 * KB);
	server_kill(s);
	server_again(s);
	assert_int_equal(rufh_offset(s->port, u.path), 600 * KB);
	assert_finishes(s, &u, p, 700 * KB);
}

/* A long request is made durable on its way, each 64 MiB. */
static void most_of_a_long_append_survives_a_kill(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(sizeof(bytes));
	const struct rufh u = create(s, "");
	struct client *c = append_half(s, u.path, 0, p, 199 * MB);
	int64_t offset;

	client_nap(300); /* the disk is behind */
	server_kill(s);
	client_close(c);
	server_again(s);
	offset = rufh_offset(s->port, u.path);
	assert_in_range((uint64_t)offset, 128 * MB, 199 * MB);
	assert_finishes(s, &u, p, sizeof(bytes));
}

/* "Upload-Offset" in a 104 is a guarantee, too. */
static void progress_once_told_survives_a_kill(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(sizeof(bytes));
	const struct rufh u = create(s, "");
	struct client *c = client_open(s->port);
	int64_t told = 0;
	struct answer a;

	assert_true(rufh_ask(c, "PATCH", u.path, sizeof(bytes) + 1,
			     RUFH_PARTIAL RUFH_CAREFUL "Upload-Offset: 0\r\n"
						       "Upload-Draft-Interop-Version: 9\r\n"));
	assert_true(client_send(c, p, sizeof(bytes)));
	while (rufh_interim(c, told == 0 ? 5000 : 300, &a) == 104) {
		told = rufh_state_of(&a).offset;
		answer_free(&a);
	}
	server_kill(s);
	client_close(c);
	server_again(s);
	assert_true(told > 0);
	assert_in_range((uint64_t)rufh_offset(s->port, u.path), (uint64_t)told, sizeof(bytes));
	assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
}

static void by_kill(struct test_server *s, struct client *c)
{
	server_kill(s);
	client_close(c);
	server_again(s);
}

/* Any number of interruptions, of any kind. */
static void an_upload_survives_them_all_in_turn(void **state)
{
	static void (*const ends[])(struct test_server *,
				    struct client *) = { by_fin, by_rst, by_kill, by_half_close,
							 by_sigterm };
	struct test_server *s = *state;
	const size_t total = 10 * MB;
	const uint8_t *p = fresh(total);
	const struct rufh u = create(s, "Upload-Length: 10485760\r\n");
	uint64_t before = 0;

	for (size_t i = 0; i < 15; i++) {
		const int64_t at = rufh_offset(s->port, u.path);
		const size_t n = i % 3 == 0 ? 77777 : i % 3 == 1 ? MB + 1 : 1;

		assert_in_range((uint64_t)at, before, total - n - 1000);
		before = (uint64_t)at;
		ends[i % 5](s, append_half(s, u.path, (uint64_t)at, p, n));
	}
	assert_finishes(s, &u, p, total);
}

/* ---- the hash never starts over ---- */

struct figures {
	uint64_t read_by_calls, read_from_disk, chunks; /* since the server's start */
};

static struct figures figures_of(struct test_server *s)
{
	struct figures x = { 0 };
	char path[64], line[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/io", (int)s->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		(void)sscanf(line, "rchar: %" SCNu64, &x.read_by_calls);
		(void)sscanf(line, "read_bytes: %" SCNu64, &x.read_from_disk);
	}
	(void)fclose(f);
	x.chunks = server_metric(s, "restante_store_reads_total");
	return x;
}

/* KEEP_MB=2048 is the size the acceptance names; `make check` does a smaller one. */
static size_t resumed_size(void)
{
	const char *mb = getenv("KEEP_MB");

	return (mb == NULL ? 300 : (size_t)strtoul(mb, NULL, 10)) * MB;
}

/* Most of it, and the rest after a restart: only the rest is read, hashed, waited for. */
static void a_resumed_upload_is_not_hashed_again(void **state)
{
	struct test_server *s = *state;
	const size_t n = resumed_size(), rest = n / 20;
	uint8_t *p = malloc(n);
	char want[TUS_DIGEST_SIZE];
	struct figures before, after;
	int64_t t0, t1, t2, offset;
	struct answer a;
	struct rufh u;

	assert_non_null(p);
	fill_random(p, n, 1);
	tus_digest(want, p, n);
	u = create(s, "");
	t0 = clock_mono_ms();
	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, n - rest, NULL), 204);
	t0 = clock_mono_ms() - t0;
	assert_int_equal(server_stop(s), 0);
	server_again(s);

	before = figures_of(s);
	t1 = clock_mono_ms();
	offset = rufh_offset(s->port, u.path);
	t1 = clock_mono_ms() - t1;
	assert_int_equal(offset, n - rest);
	t2 = clock_mono_ms();
	(void)rufh_append(s->port, u.path, n - rest, true, p + n - rest, rest, &a);
	t2 = clock_mono_ms() - t2;
	after = figures_of(s);
	assert_status(&a, 201);
	assert_field(&a, "Repr-Digest", want);
	answer_free(&a);

	after.read_by_calls -= before.read_by_calls;
	after.read_from_disk -= before.read_from_disk;
	after.chunks -= before.chunks;
	(void)printf("# keep: %zu MiB in %lld ms; after the restart HEAD %lld ms, the last %zu MiB "
		     "%lld ms, read %" PRIu64 " KiB by calls, %" PRIu64 " KiB from the disk, "
		     "%" PRIu64 " chunks\n",
		     (n - rest) / MB, (long long)t0, (long long)t1, rest / MB, (long long)t2,
		     after.read_by_calls / 1024, after.read_from_disk / 1024, after.chunks);
	(void)fflush(stdout);
	assert_in_range(after.chunks, 0, 1);
	assert_in_range(after.read_by_calls, 0, 4 * MB);
	assert_in_range(after.read_from_disk, 0, 4 * MB);
	assert_in_range((uint64_t)t1, 0, 500);
	assert_in_range((uint64_t)t2, 0, (uint64_t)(t0 / 4 + 1000));
	assert_true(http_has(s->port, u.token, p, n));
	assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
	free(p);
}

/* ---- expiry ---- */

static int64_t life(const struct test_server *s, const char *path)
{
	struct answer a;
	int64_t seconds;

	http_request(s->port, "HEAD", path, "", NULL, 0, &a);
	assert_status(&a, 204);
	seconds = answer_life(&a);
	answer_free(&a);
	return seconds;
}

/* tus "Expiration": 410, and no offset, for everything but a fetch. */
static void assert_over(const struct test_server *s, const struct rufh *u)
{
	static const char *const how[] = { "HEAD", "GET", "DELETE", "PATCH" };
	struct tus_upload t = { .server = s };
	struct answer a;

	(void)snprintf(t.path, sizeof(t.path), "%s", u->path);
	for (int i = 0; i < 4; i++) {
		http_request(s->port, how[i], u->path,
			     RUFH_PARTIAL RUFH_WHOLE "Upload-Offset: 0\r\n", i == 3 ? "" : NULL, 0,
			     &a);
		assert_status(&a, 410);
		assert_no_field(&a, "Upload-Offset");
		answer_free(&a);
	}
	tus_head(&t, &a);
	assert_status(&a, 410);
	assert_no_field(&a, "Upload-Offset");
	answer_free(&a);
	assert_int_equal(tus_patch(&t, 0, "x", 1), 410);
	assert_int_equal(tus_delete(&t), 410);
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", u->token), 404);
}

/* At the beginning of a second, since that is what the end of a life is told in. */
static struct rufh create_on_the_second(const struct test_server *s)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	client_nap(1010 - (int)(t.tv_nsec / 1000000));
	return create(s, "");
}

static bool becomes_over(const struct test_server *s, const struct rufh *u)
{
	for (int i = 0; i < 500 && rufh_state(s->port, u->path).status != 410; i++)
		client_nap(10);
	return rufh_state(s->port, u->path).status == 410;
}

/* DESIGN section 9: so long after its last byte, be it one of a request that broke off. */
static void an_unfinished_upload_lives_on_from_its_last_byte(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(5000);
	const struct rufh u = create_on_the_second(s), cut = create(s, "");
	struct answer a;

	assert_in_range((uint64_t)life(s, u.path), 1, 2);
	client_nap(1300);
	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 1000, &a), 204);
	assert_in_range((uint64_t)answer_life(&a), 1, 2);
	answer_free(&a);
	client_close(append_half(s, cut.path, 0, p, 1000));
	client_nap(1200); /* 2.5 s after its creation */
	assert_in_range((uint64_t)life(s, u.path), 0, 1);
	assert_finishes(s, &u, p, 5000);
	assert_finishes(s, &cut, p, 5000);
}

static void an_append_that_goes_on_is_not_expired_under_way(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2000);
	const struct rufh u = create(s, "");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, 2000);
	struct answer a;

	for (int i = 0; i < 20; i++) { /* 3 s */
		assert_true(client_send(c, p + (size_t)i * 100, 100));
		client_nap(150);
	}
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	assert_true(http_has(s->port, u.token, p, 2000));
}

static void what_is_over_is_410_before_and_after_the_sweep_and_a_restart(void **state)
{
	struct test_server *s = *state;
	const uint64_t expired = server_metric(s, "restante_uploads_expired_total");
	const struct rufh empty = create(s, ""), some = create(s, ""), large = create(s, ""),
			  finished = create(s, "");

	assert_int_equal(rufh_append(s->port, some.path, 0, false, fresh(1000), 1000, NULL), 204);
	assert_int_equal(rufh_append(s->port, finished.path, 0, true, bytes, 1000, NULL), 201);
	assert_int_equal(rufh_append(s->port, large.path, 0, false, fresh(5 * MB), 5 * MB, NULL),
			 204);
	assert_true(becomes_over(s, &large));
	assert_over(s, &empty);
	assert_over(s, &some);
	assert_over(s, &large);
	for (int i = 0; i < 300 && server_metric(s, "restante_uploads_expired_total") < expired + 3;
	     i++)
		client_nap(10);
	assert_true(server_metric(s, "restante_uploads_expired_total") >= expired + 3);
	assert_over(s, &empty);
	assert_over(s, &some);
	assert_over(s, &large);
	server_kill(s);
	server_again(s);
	assert_over(s, &empty);
	assert_over(s, &some);
	assert_over(s, &large);
	/* it has a life of its own */
	assert_int_equal(http_status(s->port, "GET", "/v1/media/", finished.token), 200);
}

/* Asking is no byte. */
static void what_is_over_is_over_without_a_sweep_and_however_often_it_was_asked_for(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create_on_the_second(s);

	for (int i = 0; i < 5; i++) {
		client_nap(250);
		assert_int_equal(rufh_offset(s->port, u.path), 0);
	}
	client_nap(900); /* 2.15 s after its creation; 0.9 s after it was asked for */
	assert_over(s, &u);
	server_kill(s);
	server_again(s);
	assert_over(s, &u);
}

/* tus "Termination": 404 or 410 afterwards; here 404 while it is remembered. */
static void a_terminated_upload_is_404_then_410(void **state)
{
	struct test_server *s = *state;
	const struct rufh u = create(s, "");

	assert_int_equal(rufh_append(s->port, u.path, 0, false, fresh(1000), 1000, NULL), 204);
	assert_int_equal(http_status(s->port, "DELETE", "", u.path), 204);
	assert_int_equal(rufh_state(s->port, u.path).status, 404);
	server_kill(s);
	server_again(s);
	assert_int_equal(rufh_state(s->port, u.path).status, 404);
	assert_true(becomes_over(s, &u));
	assert_over(s, &u);
}

static void a_finished_upload_that_is_over_is_410_too(void **state)
{
	struct test_server *s = *state;
	struct answer a;
	struct rufh u;

	http_request(s->port, "POST", "/v1/uploads?ttl=1", RUFH_WHOLE, fresh(1000), 1000, &a);
	assert_status(&a, 201);
	rufh_of(&a, &u);
	answer_free(&a);
	assert_true(becomes_over(s, &u));
	assert_over(s, &u);
}

#define HELD 70 /* more than a sweep takes at once */

/* They are overdue, and first in the list of what is. */
static void uploads_that_are_worked_on_keep_no_sweep_from_the_others(void **state)
{
	struct test_server *s = *state;
	const uint64_t expired = server_metric(s, "restante_uploads_expired_total");
	struct client *held[HELD];
	struct tus_upload u;

	for (int i = 0; i < HELD; i++) {
		assert_int_equal(tus_create(s, 1000, "", &u), 201);
		held[i] = tus_begin(&u, 0,
				    "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
				    "Content-Length: 1000\r\n");
		assert_true(client_send(held[i], "abc", 3));
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(http_put(s->port, "?ttl=3", fresh(100), 100, NULL), 201);
	for (int i = 0; i < 70 && server_metric(s, "restante_uploads_expired_total") < expired + 3;
	     i++)
		client_nap(100);
	assert_true(server_metric(s, "restante_uploads_expired_total") >= expired + 3);
	for (int i = 0; i < HELD; i++)
		client_close(held[i]);
}

/* ---- minimum rate ---- */

/* Sends n bytes each pause until it is refused or all is sent; what was sent. */
static size_t drip(struct client *c, const uint8_t *p, size_t total, size_t n, int pause_ms)
{
	size_t at = 0;

	while (at < total && client_peek(c, 0) == 0 && client_send(c, p + at, n)) {
		at += n;
		client_nap(pause_ms);
	}
	return at;
}

/* The draft's "Security Considerations": slow uploads hold what others need. */
static void a_client_too_slow_is_cut_and_its_bytes_are_kept(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(300 * KB);
	const struct rufh u = create(s, "");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, 300 * KB);
	const int64_t began = clock_mono_ms();
	const size_t sent = drip(c, p, 300 * KB, KB, 50);
	struct answer a;

	assert_in_range((uint64_t)(clock_mono_ms() - began), 900, 5000);
	client_answer(c, false, &a, NULL);
	if (a.status != 0)
		assert_problem(&a, 408);
	answer_free(&a);
	client_close(c);
	assert_in_range((uint64_t)rufh_offset(s->port, u.path), sent - 10 * KB, sent);
	assert_finishes(s, &u, p, 300 * KB);
}

static void a_client_quick_enough_is_left_alone(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(2 * MB);
	const struct rufh u = create(s, "");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, 2 * MB);
	struct answer a;

	assert_int_equal(drip(c, p, 2 * MB, 64 * KB, 70), 2 * MB);
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
	assert_true(http_has(s->port, u.token, p, 2 * MB));
}

/* Slow, but over before anyone looks. */
static void a_short_upload_may_be_slow_for_a_moment(void **state)
{
	struct test_server *s = *state;
	const uint8_t *p = fresh(1000);
	const struct rufh u = create(s, "");
	struct client *c = rufh_append_begin(s->port, u.path, 0, true, 1000);
	struct answer a;

	assert_int_equal(drip(c, p, 1000, 250, 150), 1000);
	client_answer(c, false, &a, NULL);
	assert_status(&a, 201);
	answer_free(&a);
	client_close(c);
}

/* ---- a store that fails ---- */

struct hard {
	struct test_server server;
	char faults[128];
};

static int setup_hard(void **state)
{
	*state = calloc(1, sizeof(struct hard));
	return *state == NULL ? -1 : 0;
}

static int teardown_hard(void **state)
{
	struct hard *h = *state;

	if (h->server.dir[0] != '\0')
		server_remove(&h->server);
	free(h);
	return 0;
}

/* A server whose engine fails so; on the folder it had, if it had one. */
static void begin_hard(struct hard *h, const char *inner, const char *faults, const char *code)
{
	struct test_server_options o = { .config = "upload { min_free = 0 }\nfetch { cache = 0 }\n",
					 .faults = h->faults };

	(void)snprintf(h->faults, sizeof(h->faults), "inner=%s;%s;code=%s", inner, faults, code);
	if (h->server.dir[0] == '\0') {
		server_start(&h->server, &o);
		return;
	}
	assert_int_equal(server_stop(&h->server), 0);
	server_again(&h->server);
}

/* A client that does not give up. What it has been told counts: `acked` never goes back. */
struct stubborn {
	struct test_server *s;
	struct rufh u;
	uint64_t acked;
	int refused, status; /* how often it has heard that */
};

static void heard(struct stubborn *x, struct answer *a)
{
	assert_problem(a, x->status);
	x->refused++;
}

static void create_anyhow(struct stubborn *x)
{
	struct answer a;

	for (int i = 0; i < 10; i++) {
		http_request(x->s->port, "POST", "/v1/uploads", RUFH_CAREFUL, "", 0, &a);
		rufh_of(&a, &x->u);
		if (a.status == 201) {
			answer_free(&a);
			return;
		}
		heard(x, &a);
	}
	fail_msg("it never creates");
}

static uint64_t ask_anyhow(struct stubborn *x)
{
	struct rufh_state at;
	struct answer a;

	for (int i = 0; i < 10; i++) {
		http_request(x->s->port, "GET", x->u.path, "", NULL, 0, &a);
		if (a.status == 204) {
			at = rufh_state_of(&a);
			answer_free(&a);
			assert_true(at.offset >= (int64_t)x->acked);
			return (uint64_t)at.offset;
		}
		heard(x, &a);
	}
	fail_msg("it never tells the offset");
	return 0;
}

/* From where it stands up to `end`. */
static void append_anyhow(struct stubborn *x, const uint8_t *p, size_t end, bool complete)
{
	struct answer a;

	for (int i = 0; i < 10; i++) {
		const uint64_t at = ask_anyhow(x);

		assert_true(at <= end);
		(void)rufh_append(x->s->port, x->u.path, at, complete, p + at, end - at, &a);
		if (a.status == (complete ? 201 : 204)) {
			x->acked = (uint64_t)rufh_state_of(&a).offset;
			assert_int_equal(x->acked, end);
			answer_free(&a);
			return;
		}
		heard(x, &a);
	}
	fail_msg("it never appends");
}

/* How often it was refused on its way to a finished upload. */
static int upload_anyhow(struct test_server *s, size_t n, int status, struct rufh *u)
{
	struct stubborn x = { .s = s, .status = status };
	const uint8_t *p = fresh(n);

	create_anyhow(&x);
	append_anyhow(&x, p, n / 3, false);
	append_anyhow(&x, p, 2 * n / 3, false);
	append_anyhow(&x, p, n, true);
	for (int i = 0; i < 10 && !http_has(s->port, x.u.token, p, n); i++)
		assert_true(i < 9);
	*u = x.u;
	return x.refused;
}

static void check_call(struct hard *h, const char *inner, const char *call, int calls, size_t n)
{
	static const struct {
		const char *code;
		int status;
	} codes[] = { { "IO", 503 }, { "FULL", 507 } };
	char faults[64];
	struct rufh u;
	int refused = 0;

	for (size_t c = 0; c < 2; c++)
		for (int nth = 1; nth <= calls; nth++) {
			(void)snprintf(faults, sizeof(faults), "fail=%s:%d", call, nth);
			begin_hard(h, inner, faults, codes[c].code);
			refused += upload_anyhow(&h->server, n, codes[c].status, &u);
		}
	assert_in_range(refused, calls, 2 * calls);
}

static void an_upload_survives_a_failing_commit(void **state)
{
	check_call(*state, "rocksdb", "commit", 4, 300 * KB);
	check_call(*state, "rocksdb", "commit", 4, 15 * MB);
}

static void an_upload_survives_a_failing_stage(void **state)
{
	check_call(*state, "rocksdb", "stage", 4, 15 * MB);
}

static void an_upload_survives_a_writer_that_does_not_open(void **state)
{
	check_call(*state, "rocksdb", "write_open", 3, 300 * KB);
}

/* In memory: there is nothing to look up at the start. */
static void an_upload_survives_a_failing_lookup(void **state)
{
	check_call(*state, "memory", "lookup", 3, 300 * KB);
}

/* Nobody hears of it, but what was acknowledged before stays. */
static void a_cut_request_whose_bytes_cannot_be_stored_harms_nothing(void **state)
{
	struct hard *h = *state;
	struct test_server *s = &h->server;

	for (int nth = 2; nth <= 4; nth++) {
		char faults[64];
		const uint8_t *p;
		struct rufh u;
		int64_t offset;

		(void)snprintf(faults, sizeof(faults), "fail=commit:%d", nth);
		begin_hard(h, "rocksdb", faults, "IO");
		p = fresh(700 * KB);
		u = create(s, "");
		if (rufh_append(s->port, u.path, 0, false, p, 1000, NULL) != 204)
			assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 1000, NULL),
					 204);
		client_close(append_half(s, u.path, 1000, p, 600 * KB));
		offset = rufh_offset(s->port, u.path);
		assert_true(offset == 1000 || offset == 1000 + 600 * (int64_t)KB);
		if (!rufh_finishes(s->port, &u, p, 700 * KB))
			assert_finishes(s, &u, p, 700 * KB);
	}
}

/* 507 comes while the client still sends, and after room was made it goes on. */
static void a_full_disk_in_the_middle_of_an_append_is_507(void **state)
{
	struct hard *h = *state;
	struct test_server *s = &h->server;
	const uint8_t *p = fresh(30 * MB);
	struct client *c;
	struct answer a;
	struct rufh u;

	begin_hard(h, "rocksdb", "fail=stage:6", "FULL");
	u = create(s, "");
	assert_int_equal(rufh_append(s->port, u.path, 0, false, p, 100, NULL), 204);
	c = rufh_append_begin(s->port, u.path, 100, true, 30 * MB - 100);
	(void)client_send(c, p + 100, 20 * MB);
	client_answer(c, false, &a, NULL);
	assert_problem(&a, 507);
	client_close(c);
	assert_true(rufh_offset(s->port, u.path) >= 100);
	assert_finishes(s, &u, p, 30 * MB);
}

/* tus "Concatenation": the parts are not harmed, and asking again helps. */
static void a_failing_concatenation_can_be_repeated(void **state)
{
	static const char *const codes[] = { "IO", "FULL" };
	static const int status[] = { 503, 507 };
	struct hard *h = *state;
	struct test_server *s = &h->server;

	for (int i = 0; i < 2; i++) {
		struct tus_upload one, two, final;
		char fields[600];
		const uint8_t *p;

		begin_hard(h, "rocksdb", "fail=concat:1", codes[i]);
		p = fresh(2000);
		assert_int_equal(tus_place(s, "Upload-Concat: partial\r\n", p, 1000, &one), 204);
		assert_int_equal(tus_place(s, "Upload-Concat: partial\r\n", p + 1000, 1000, &two),
				 204);
		(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s %s\r\n", one.path,
			       two.path);
		assert_int_equal(tus_create(s, TUS_UNSAID, fields, &final), status[i]);
		assert_int_equal(tus_create(s, TUS_UNSAID, fields, &final), 201);
		assert_int_equal(tus_offset(&final), 2000);
		assert_true(tus_has(&final, p, 2000));
	}
}

/* "concatenation-unfinished": the last part counts, and the final follows. */
static void a_concatenation_that_fails_later_is_made_up_for(void **state)
{
	struct hard *h = *state;
	struct test_server *s = &h->server;
	struct tus_upload one, two, final;
	const uint8_t *p = fresh(2000);
	char fields[600];

	begin_hard(h, "rocksdb", "fail=concat:1", "IO");
	assert_int_equal(tus_place(s, "Upload-Concat: partial\r\n", p, 1000, &one), 204);
	assert_int_equal(tus_create(s, 1000, "Upload-Concat: partial\r\n", &two), 201);
	(void)snprintf(fields, sizeof(fields), "Upload-Concat: final;%s %s\r\n", one.path,
		       two.path);
	assert_int_equal(tus_create(s, TUS_UNSAID, fields, &final), 201);
	assert_int_equal(tus_patch(&two, 0, p + 1000, 1000), 204);
	begin_hard(h, "rocksdb", "fail=concat:9", "IO");
	assert_true(tus_reaches(&final, 2000, 3000));
	assert_true(tus_has(&final, p, 2000));
}

#define SLOW_MS 1900
#define MARK_MS 10000 /* as in session.c */
#define PIECES (3 * 256 * KB)

static void wait_until(int64_t mono_ms)
{
	while (clock_mono_ms() < mono_ms)
		client_nap(5);
}

static bool commits(struct test_server *s, uint64_t count, int ms)
{
	const int64_t until = clock_mono_ms() + ms;

	while (server_metric(s, "restante_store_commits_total") < count)
		if (clock_mono_ms() > until)
			return false;
		else
			client_nap(20);
	return true;
}

/* The store takes longer for what is in front of the first mark than the second takes to be due:
 * each is to be gone on with from its own end. */
static void of_two_marks_at_once_on_a_slow_store_the_first_can_be_gone_on_with(void **state)
{
	struct hard *h = *state;
	struct test_server *s = &h->server;
	const uint8_t *p = fresh(3 * MB);
	struct client *c;
	struct answer a;
	struct rufh u;
	uint64_t before;
	int64_t began;

	begin_hard(h, "rocksdb", "fail=stage:5;delay_ms=1900", "IO");
	c = client_open(s->port);
	assert_true(rufh_ask(c, "POST", "/v1/uploads", 3 * MB,
			     RUFH_CAREFUL "Upload-Draft-Interop-Version: 9\r\n"));
	assert_int_equal(rufh_interim(c, 10000, &a), 104);
	rufh_of(&a, &u);
	answer_free(&a);
	began = clock_mono_ms();
	before = server_metric(s, "restante_store_commits_total");
	wait_until(began + MARK_MS - 300);
	assert_true(client_send(c, p, PIECES + 1));
	wait_until(began + MARK_MS + 150);
	assert_true(client_send(c, p + PIECES + 1, 80 * KB)); /* the first mark is in front of it */
	wait_until(began + 2 * MARK_MS + 300);
	assert_int_equal(server_metric(s, "restante_store_commits_total"), before);
	assert_true(client_send(c, p + PIECES + 1 + 80 * KB, 1)); /* and the second of this */
	assert_true(commits(s, before + 1, 3 * SLOW_MS));
	assert_true(server_logs(s, "a fault was injected into stage", 3 * SLOW_MS));
	server_kill(s);
	client_close(c);

	s->options.faults = "inner=rocksdb";
	server_again(s);
	assert_int_equal(rufh_offset(s->port, u.path), PIECES + 1);
	assert_finishes(s, &u, p, 3 * MB);
}

#define HARD(f) cmocka_unit_test_setup_teardown(f, setup_hard, teardown_hard)

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(a_client_that_vanishes_has_its_bytes_kept),
		cmocka_unit_test(a_client_that_ends_its_direction_has_its_bytes_kept),
		cmocka_unit_test(a_client_that_resets_has_its_bytes_kept),
		cmocka_unit_test(five_kilobytes_before_a_reset_are_all_kept),
		cmocka_unit_test(of_megabytes_before_a_reset_a_beginning_is_kept),
		cmocka_unit_test(
			the_last_byte_of_a_tus_upload_counts_without_the_end_of_its_request),
		cmocka_unit_test(the_last_byte_of_a_rufh_upload_does_not_complete_it),
		cmocka_unit_test(a_checked_patch_that_breaks_off_leaves_nothing),
		cmocka_unit_test(a_tus_patch_has_its_bytes_kept_too),
		cmocka_unit_test(a_tus_creation_that_breaks_off_is_dropped_as_a_whole),
		cmocka_unit_test(a_server_that_stops_keeps_the_bytes),
		cmocka_unit_test(acknowledged_bytes_survive_a_kill),
		cmocka_unit_test(an_offset_once_told_survives_a_kill),
		cmocka_unit_test(most_of_a_long_append_survives_a_kill),
		cmocka_unit_test(progress_once_told_survives_a_kill),
		cmocka_unit_test(an_upload_survives_them_all_in_turn),
		cmocka_unit_test(a_resumed_upload_is_not_hashed_again),
	};
	const struct CMUnitTest graceful[] = {
		cmocka_unit_test(sigterm_lets_a_running_append_finish),
		cmocka_unit_test(who_is_not_is_cut_and_its_bytes_are_kept),
	};
	const struct CMUnitTest hurried[] = {
		cmocka_unit_test(a_stalled_client_is_cut_and_its_bytes_are_kept),
	};
	const struct CMUnitTest expiring[] = {
		cmocka_unit_test(an_unfinished_upload_lives_on_from_its_last_byte),
		cmocka_unit_test(an_append_that_goes_on_is_not_expired_under_way),
		cmocka_unit_test(what_is_over_is_410_before_and_after_the_sweep_and_a_restart),
		cmocka_unit_test(a_terminated_upload_is_404_then_410),
		cmocka_unit_test(a_finished_upload_that_is_over_is_410_too),
		cmocka_unit_test(uploads_that_are_worked_on_keep_no_sweep_from_the_others),
	};
	const struct CMUnitTest unswept[] = {
		cmocka_unit_test(
			what_is_over_is_over_without_a_sweep_and_however_often_it_was_asked_for),
	};
	const struct CMUnitTest impatient[] = {
		cmocka_unit_test(a_client_too_slow_is_cut_and_its_bytes_are_kept),
		cmocka_unit_test(a_client_quick_enough_is_left_alone),
		cmocka_unit_test(a_short_upload_may_be_slow_for_a_moment),
	};
	const struct CMUnitTest hard[] = {
		HARD(an_upload_survives_a_failing_commit),
		HARD(an_upload_survives_a_failing_stage),
		HARD(an_upload_survives_a_writer_that_does_not_open),
		HARD(an_upload_survives_a_failing_lookup),
		HARD(a_cut_request_whose_bytes_cannot_be_stored_harms_nothing),
		HARD(a_full_disk_in_the_middle_of_an_append_is_507),
		HARD(a_failing_concatenation_can_be_repeated),
		HARD(a_concatenation_that_fails_later_is_made_up_for),
		HARD(of_two_marks_at_once_on_a_slow_store_the_first_can_be_gone_on_with),
	};
	int failed;

	failed = cmocka_run_group_tests_name("keep", plain, start_plain, stop);
	failed += cmocka_run_group_tests_name("keep, grace", graceful, start_graceful, stop);
	failed += cmocka_run_group_tests_name("keep, timeout", hurried, start_hurried, stop);
	failed += cmocka_run_group_tests_name("keep, expiry", expiring, start_expiring, stop);
	failed += cmocka_run_group_tests_name("keep, no sweep", unswept, start_unswept, stop);
	failed += cmocka_run_group_tests_name("keep, rate", impatient, start_impatient, stop);
	return failed + cmocka_run_group_tests_name("keep, failing store", hard, NULL, NULL);
}
