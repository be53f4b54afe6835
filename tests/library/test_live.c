/* live - following what is still being recorded: heard at once, never mistaken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/client.h"
#include "tests/lib/sealed.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHUNK ((size_t)RESTANTE_CHUNK_SIZE)
#define SEALED_CHUNK ((size_t)RESTANTE_SEALED_CHUNK_SIZE)
#define HEAD ((size_t)RESTANTE_HEAD_SIZE)
#define SOON_MS 3000 /* on a machine that has much else to do */

/* What a server says of bytes that nobody has sent yet. */
enum nothing { FOLLOW, NOT_FOUND, UNSATISFIABLE, EMPTY };

/* A server of a container that grows. */
struct radio {
	struct sealed c;
	struct shelf shelf; /* of all of it, for when it is finished */
	enum nothing nothing;
	size_t cut;   /* breaks off after so many bytes of each answer; 0: never */
	bool endless; /* answers to ranges follow, as RFC 8673 has it */
	bool known;   /* the length is told from the beginning */
	_Atomic size_t there;
	_Atomic bool finished, stopped; /* all is there; nobody sends any more */
	_Atomic int connections;
};

/* Sends what there is and follows it to its end; false: it broke off. */
static bool follow(struct fake_request *r, struct radio *a, size_t at)
{
	const size_t from = at;

	for (;;) {
		const bool finished = atomic_load(&a->finished);
		size_t n = atomic_load(&a->there) - at;

		if (a->cut != 0 && n > a->cut - (at - from))
			n = a->cut - (at - from);
		if (n > 0 && !a->known)
			fake_printf(r, "%zx\r\n", n);
		fake_send(r, a->c.bytes + at, n);
		if (n > 0 && !a->known)
			fake_printf(r, "\r\n");
		at += n;
		if (a->cut != 0 && at - from == a->cut)
			return false;
		if (finished && at == a->c.sealed_size)
			return true;
		if (n == 0 && (a->nothing != FOLLOW || atomic_load(&a->stopped)))
			return false;
		if (n == 0)
			fake_nap(r, 1);
	}
}

static void say_nothing(struct fake_request *r, enum nothing how, size_t first)
{
	if (how == NOT_FOUND)
		fake_answer(r, 404, "", NULL);
	else if (how == UNSATISFIABLE && first > 0)
		fake_answer(r, 416, "", NULL);
	else
		fake_answer(r, 200, "", NULL);
}

static void begin(struct fake_request *r, const struct radio *a, size_t first)
{
	if (first > 0)
		fake_printf(r, "HTTP/1.1 206 X\r\nContent-Range: bytes %zu-%s/*\r\n", first,
			    "9007199254740991");
	else
		fake_printf(r, "HTTP/1.1 200 OK\r\n");
	if (a->known)
		fake_printf(r, "Content-Length: %zu\r\n\r\n", a->c.sealed_size - first);
	else
		fake_printf(r, "Transfer-Encoding: chunked\r\n\r\n");
}

/* Of what is there, as a server answers that knows nothing of following. */
static void give_part(struct fake_request *r, const struct radio *a, size_t first, size_t end)
{
	char field[80];

	if (a->cut != 0 && end - first > a->cut)
		end = first + a->cut;
	(void)snprintf(field, sizeof(field), "Content-Range: bytes %zu-%zu/*\r\n", first, end - 1);
	fake_answer_bytes(r, 206, field, a->c.bytes + first, end - first);
}

static void play(struct fake_request *r, void *ctx)
{
	struct radio *a = ctx;
	const size_t there = atomic_load(&a->there);
	size_t first = 0;
	char text[80];

	atomic_fetch_add(&a->connections, 1);
	if (fake_field(r, "Range", text, sizeof(text)))
		assert_int_equal(sscanf(text, "bytes=%zu-", &first), 1);
	if (atomic_load(&a->finished) && a->cut == 0) {
		shelf_serve(r, &a->shelf);
	} else if (there <= first && a->nothing != FOLLOW) {
		say_nothing(r, a->nothing, first);
	} else if (first > 0 && !a->endless && there > first) {
		give_part(r, a, first, there);
	} else {
		begin(r, a, first);
		if (follow(r, a, first) && !a->known)
			fake_printf(r, "0\r\n\r\n");
		else
			fake_close(r);
	}
}

/* ---- a fixture ---- */

struct fixture {
	struct radio a;
	struct fetching f;
	struct taken taken;
};

static void on_air(struct fixture *x, size_t size)
{
	*x = (struct fixture){ 0 };
	sealed_make(&x->a.c, size, false, size + 1);
	shelf_open(&x->a.shelf, &x->a.c);
	shelf_close(&x->a.shelf);
	x->a.shelf.fake = fake_new(play, &x->a);
	x->taken.of = &x->a.c;
	fetching_open(&x->f, fake_url(x->a.shelf.fake),
		      sealed_envelope_live(&x->a.c, SEALED_TOKEN));
	restante_fetch_set_live(x->f.fetch, 10000);
}

static void off_air(struct fixture *x)
{
	atomic_store(&x->a.stopped, true);
	fetching_close(&x->f);
	shelf_close(&x->a.shelf);
	sealed_free(&x->a.c);
}

static enum restante_code listen_to(struct fixture *x)
{
	const enum restante_code rc =
		restante_fetch_to(x->f.fetch, taken_write, &x->taken, &x->f.e);

	assert_false(x->taken.wrong);
	return rc;
}

#define assert_heard(x)                                            \
	do {                                                       \
		assert_code(listen_to(x), RESTANTE_OK, &(x)->f.e); \
		assert_true(taken_all(&(x)->taken));               \
	} while (0)

static void send_all(struct radio *a)
{
	atomic_store(&a->there, a->c.sealed_size);
	atomic_store(&a->finished, true);
}

/* Sends a bit every millisecond. */
static void *record(void *ctx)
{
	struct radio *a = ctx;
	const size_t step = a->c.sealed_size / 60 + 1;

	for (size_t at = 0; at < a->c.sealed_size; at += step) {
		atomic_store(&a->there, at);
		client_nap(1);
	}
	send_all(a);
	return NULL;
}

static pthread_t begin_recording(struct fixture *x)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, record, &x->a), 0);
	return thread;
}

/* ---- heard at once ---- */

struct lockstep {
	struct fixture x;
	_Atomic size_t heard;
	int64_t waited_ms[8];
	bool late;
};

static bool hear(void *ctx, const void *data, size_t size)
{
	struct lockstep *l = ctx;
	const bool ok = taken_write(&l->x.taken, data, size);

	atomic_store(&l->heard, l->x.taken.n);
	return ok;
}

/* Sends the last byte of a chunk, and nothing more before that chunk was heard. */
static void *one_after_the_other(void *ctx)
{
	struct lockstep *l = ctx;
	struct radio *a = &l->x.a;

	for (size_t i = 1; i <= 8; i++) {
		const size_t end = HEAD + i * SEALED_CHUNK;
		int64_t sent;

		atomic_store(&a->there, end - 1);
		client_nap(5);
		l->late = l->late || atomic_load(&l->heard) != (i - 1) * CHUNK;
		sent = clock_mono_ms();
		atomic_store(&a->there, end);
		while (atomic_load(&l->heard) < i * CHUNK && clock_mono_ms() - sent < SOON_MS)
			client_nap(1);
		l->waited_ms[i - 1] = clock_mono_ms() - sent;
		l->late = l->late || atomic_load(&l->heard) != i * CHUNK;
	}
	send_all(a);
	return NULL;
}

static void a_chunk_is_heard_as_soon_as_its_last_byte_is_there(void **state)
{
	static struct lockstep l;
	pthread_t thread;
	int quick = 0;

	(void)state;
	on_air(&l.x, 8 * CHUNK + 10);
	assert_int_equal(pthread_create(&thread, NULL, one_after_the_other, &l), 0);
	assert_code(restante_fetch_to(l.x.f.fetch, hear, &l, &l.x.f.e), RESTANTE_OK, &l.x.f.e);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(taken_all(&l.x.taken));
	assert_false(l.late);
	for (size_t i = 0; i < 8; i++)
		quick += l.waited_ms[i] <= 50;
	assert_in_range(quick, 2, 8); /* whatever else the machine does */
	off_air(&l.x);
}

static void any_length_comes_to_its_end(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 300000 };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		struct fixture x;
		pthread_t thread;

		on_air(&x, sizes[i / 2]);
		x.a.known = i % 2 != 0;
		thread = begin_recording(&x);
		assert_heard(&x);
		assert_int_equal(pthread_join(thread, NULL), 0);
		off_air(&x);
	}
}

/* ---- broken lines ---- */

static void a_broken_line_is_no_end(void **state)
{
	static const struct {
		enum nothing nothing;
		bool endless;
	} ways[] = {
		{ FOLLOW, true },
		{ FOLLOW, false },
		{ UNSATISFIABLE, false },
		{ EMPTY, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct fixture x;
		pthread_t thread;

		on_air(&x, 5 * CHUNK);
		x.a.cut = 50000;
		x.a.nothing = ways[i].nothing;
		x.a.endless = ways[i].endless;
		thread = begin_recording(&x);
		assert_heard(&x);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_true(atomic_load(&x.a.connections) >= 7);
		off_air(&x);
	}
}

/* The connection breaks where it would have ended: the last chunk says that it is the last. */
static void the_end_is_known_by_the_last_chunk(void **state)
{
	static const size_t sizes[] = { 0, 1000, 65536, 200000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct fixture x;

		on_air(&x, sizes[i]);
		send_all(&x.a);
		atomic_store(&x.a.finished, false); /* nobody has told the server */
		atomic_store(&x.a.stopped, true);
		assert_heard(&x);
		assert_int_equal(atomic_load(&x.a.connections), 1);
		off_air(&x);
	}
}

static void an_upload_that_is_not_there_yet_is_waited_for(void **state)
{
	struct fixture x;
	pthread_t thread;

	(void)state;
	on_air(&x, 100000);
	x.a.nothing = NOT_FOUND;
	thread = begin_recording(&x);
	assert_heard(&x);
	assert_int_equal(pthread_join(thread, NULL), 0);
	off_air(&x);
}

/* ---- senders that stop ---- */

static void a_sender_that_stops_is_waited_for_so_long_and_no_longer(void **state)
{
	static const struct {
		enum nothing nothing;
		size_t there;
		enum restante_code code;
	} ways[] = {
		{ FOLLOW, HEAD + 2 * SEALED_CHUNK, RESTANTE_NETWORK }, /* on an open line */
		{ FOLLOW, HEAD + 2 * SEALED_CHUNK + 999, RESTANTE_NETWORK },
		{ FOLLOW, 100, RESTANTE_NETWORK },
		{ NOT_FOUND, 0, RESTANTE_GONE },
		{ UNSATISFIABLE, HEAD + SEALED_CHUNK, RESTANTE_NETWORK },
		{ EMPTY, HEAD + SEALED_CHUNK, RESTANTE_NETWORK },
		{ EMPTY, 0, RESTANTE_NETWORK },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const int64_t began = clock_mono_ms();
		const size_t there = ways[i].there;
		struct fixture x;

		on_air(&x, 5 * CHUNK);
		x.a.nothing = ways[i].nothing;
		atomic_store(&x.a.there, there);
		restante_fetch_set_live(x.f.fetch, 200);
		assert_code(listen_to(&x), ways[i].code, &x.f.e);
		assert_in_range(clock_mono_ms() - began, 200, SOON_MS);
		assert_int_equal(x.taken.n,
				 there < HEAD ? 0 : (there - HEAD) / SEALED_CHUNK * CHUNK);
		assert_in_range(atomic_load(&x.a.connections), 1, 20);
		off_air(&x);
	}
}

/* It is not waited for what will not come. */
static void what_is_deleted_meanwhile_is_gone_at_once(void **state)
{
	static const size_t theres[] = { 100, HEAD + SEALED_CHUNK, HEAD + 2 * SEALED_CHUNK + 999 };

	(void)state;
	for (size_t i = 0; i < COUNT(theres); i++) {
		const int64_t began = clock_mono_ms();
		struct fixture x;

		on_air(&x, 5 * CHUNK);
		x.a.nothing = NOT_FOUND;
		atomic_store(&x.a.there, theres[i]);
		assert_code(listen_to(&x), RESTANTE_GONE, &x.f.e);
		assert_string_equal(x.f.e.detail,
				    "the server does not have the rest of it any more");
		assert_in_range(clock_mono_ms() - began, 0, SOON_MS);
		assert_int_equal(atomic_load(&x.a.connections), 2);
		off_air(&x);
	}
}

static void nobody_answers_for_so_long_and_no_longer(void **state)
{
	struct fixture x;
	int64_t began;

	(void)state;
	on_air(&x, 1000);
	fake_free(x.a.shelf.fake);
	x.a.shelf.fake = NULL;
	restante_fetch_set_live(x.f.fetch, 200);
	began = clock_mono_ms();
	assert_code(listen_to(&x), RESTANTE_NETWORK, &x.f.e);
	assert_in_range(clock_mono_ms() - began, 200, SOON_MS);
	off_air(&x);
}

/* Waiting is for those who asked for it. */
static void without_being_told_to_nobody_waits(void **state)
{
	struct fixture x;

	(void)state;
	on_air(&x, 5 * CHUNK);
	restante_fetch_set_live(x.f.fetch, 0);
	x.a.nothing = NOT_FOUND;
	assert_code(listen_to(&x), RESTANTE_GONE, &x.f.e);
	assert_int_equal(atomic_load(&x.a.connections), 1);
	off_air(&x);
}

static void *cancel_soon(void *client)
{
	client_nap(50);
	restante_cancel(client);
	return NULL;
}

static void waiting_can_be_ended(void **state)
{
	static const enum nothing ways[] = { FOLLOW, NOT_FOUND };

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const int64_t began = clock_mono_ms();
		struct fixture x;
		pthread_t thread;

		on_air(&x, 5 * CHUNK);
		x.a.nothing = ways[i];
		assert_int_equal(pthread_create(&thread, NULL, cancel_soon, x.f.client), 0);
		assert_code(listen_to(&x), RESTANTE_CANCELLED, &x.f.e);
		assert_in_range(clock_mono_ms() - began, 40, SOON_MS);
		assert_int_equal(pthread_join(thread, NULL), 0);
		off_air(&x);
	}
}

/* ---- liars ---- */

static void what_is_changed_on_the_way_is_not_heard(void **state)
{
	struct fixture x;

	(void)state;
	on_air(&x, 5 * CHUNK);
	x.a.c.bytes[HEAD + 2 * SEALED_CHUNK + 70] ^= 1;
	send_all(&x.a);
	x.a.cut = 70000;
	assert_code(listen_to(&x), RESTANTE_TAMPERED, &x.f.e);
	assert_int_equal(x.taken.n, 2 * CHUNK);
	off_air(&x);
}

/* A clean end in the middle is one to the server only. */
static void a_recording_cut_short_is_not_taken_for_whole(void **state)
{
	struct fixture x;

	(void)state;
	on_air(&x, 5 * CHUNK);
	send_all(&x.a);
	x.a.shelf.size = HEAD + 3 * SEALED_CHUNK;
	restante_fetch_set_live(x.f.fetch, 150);
	assert_code(listen_to(&x), RESTANTE_TAMPERED, &x.f.e);
	assert_int_equal(x.taken.n, 3 * CHUNK);
	off_air(&x);
}

/* ---- into a file ---- */

static void a_recording_goes_into_a_file_and_on_another_day(void **state)
{
	char dir[] = "/tmp/restante-test-XXXXXX", path[64];
	uint8_t *got = malloc(6 * CHUNK);
	struct fixture x;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/got", dir);
	on_air(&x, 5 * CHUNK + 77);
	atomic_store(&x.a.there, HEAD + 3 * SEALED_CHUNK + 500);
	restante_fetch_set_live(x.f.fetch, 100);
	assert_code(restante_fetch_to_file(x.f.fetch, path, &x.f.e), RESTANTE_NETWORK, &x.f.e);
	assert_int_not_equal(access(path, F_OK), 0);
	send_all(&x.a);
	assert_code(restante_fetch_to_file(x.f.fetch, path, &x.f.e), RESTANTE_OK, &x.f.e);
	assert_true(fake_reaches(x.a.shelf.fake, 2, SOON_MS));
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_non_null(got);
	assert_int_equal(fread(got, 1, 6 * CHUNK, file), x.a.c.size);
	assert_memory_equal(got, x.a.c.plain, x.a.c.size);
	(void)fclose(file);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* no part is left in it */
	free(got);
	/* the second time from the last whole chunk on */
	assert_int_equal(atomic_load(&x.a.shelf.sent), x.a.c.sealed_size - HEAD - 2 * SEALED_CHUNK);
	off_air(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunk_is_heard_as_soon_as_its_last_byte_is_there),
		cmocka_unit_test(any_length_comes_to_its_end),
		cmocka_unit_test(a_broken_line_is_no_end),
		cmocka_unit_test(the_end_is_known_by_the_last_chunk),
		cmocka_unit_test(an_upload_that_is_not_there_yet_is_waited_for),
		cmocka_unit_test(a_sender_that_stops_is_waited_for_so_long_and_no_longer),
		cmocka_unit_test(what_is_deleted_meanwhile_is_gone_at_once),
		cmocka_unit_test(nobody_answers_for_so_long_and_no_longer),
		cmocka_unit_test(without_being_told_to_nobody_waits),
		cmocka_unit_test(waiting_can_be_ended),
		cmocka_unit_test(what_is_changed_on_the_way_is_not_heard),
		cmocka_unit_test(a_recording_cut_short_is_not_taken_for_whole),
		cmocka_unit_test(a_recording_goes_into_a_file_and_on_another_day),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
