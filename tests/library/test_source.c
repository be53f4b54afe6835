/* source - sealed bytes by offset, from files, memory and pipes; and the tally over them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/parts.h"
#include "client/source.h"
#include "client/tally.h"
#include "tests/lib/client.h"
#include "tests/lib/sealed.h"
#include "tests/library/sealing.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 196609, 1000000 };
static char dir[] = "/tmp/restante-source-XXXXXX";
static char path[64];
static uint8_t bytes[16 * MB];
static struct restante_error e;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", mkdtemp(dir));
	fill_random(bytes, sizeof(bytes), 7);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void write_file(size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static struct source *file_source(size_t n)
{
	struct source *s = NULL;

	write_file(n);
	assert_code(source_of_file(&s, path, &e), RESTANTE_OK, &e);
	return s;
}

static uint64_t size_of(const struct source *s)
{
	uint64_t n = UINT64_MAX;

	assert_true(source_size(s, &n));
	return n;
}

/* Fills out from this offset on, with no more room than cap at a time: what there was. */
static size_t read_from(struct source *s, uint64_t offset, uint8_t *out, size_t n, size_t cap)
{
	struct reader *r = NULL;
	enum source_next next = SOURCE_SOME;
	size_t sum = 0, got;

	assert_code(reader_new(&r, s, &e), RESTANTE_OK, &e);
	while (next == SOURCE_SOME && sum < n) {
		next = reader_read(r, offset + sum, out + sum, cap < n - sum ? cap : n - sum, &got,
				   &e);
		assert_int_not_equal(next, SOURCE_FAILED);
		if (next == SOURCE_SOME) {
			assert_true(got > 0 && got <= cap);
			sum += got;
		}
	}
	reader_free(r);
	return sum;
}

/* All of it, to be freed. */
static struct bytes read_all(struct source *s)
{
	const size_t n = (size_t)size_of(s);
	uint8_t *out = malloc(n + 1);

	assert_int_equal(read_from(s, 0, out, n + 1, 512 * KB), n);
	return (struct bytes){ out, n };
}

/* Whether it opens to the first n of bytes[], with zeroes up to the padded size. */
static void assert_opens(const struct source *s, struct bytes sealed, size_t n, size_t padded)
{
	struct outcome o;
	size_t i;

	open_pieces(&o, source_key(s), sealed, one_piece);
	assert_code(o.code, RESTANTE_OK, &o.error);
	assert_int_equal(o.size, padded);
	assert_memory_equal(o.data, bytes, n);
	for (i = n; i < padded; i++)
		assert_int_equal(o.data[i], 0);
	free(o.data);
}

/* ---- files and memory ---- */

static void files_and_memory_of_every_size_are_sealed_and_padded(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		const size_t n = sizes[i / 2];
		const size_t padded = (size_t)restante_padded_size(n);
		struct source *s = NULL;
		struct bytes sealed;
		uint64_t content;

		if (i % 2 == 0)
			s = file_source(n);
		else
			assert_code(source_of_memory(&s, bytes, n, &e), RESTANTE_OK, &e);
		sealed = read_all(s);
		assert_int_equal(sealed.len, restante_sealed_size(padded));
		assert_true(source_content_size(s, &content));
		assert_int_equal(content, n);
		assert_opens(s, sealed, n, padded);
		free((void *)(uintptr_t)sealed.data);
		source_free(s);
	}
}

static void any_offset_gives_the_same_bytes_again(void **state)
{
	static const size_t caps[] = { 1, 100, 65551, 65552, 65553, 300000 };
	static uint8_t again[400000];
	struct source *s = file_source(1000000);
	const struct bytes sealed = read_all(s);
	uint64_t at;

	(void)state;
	for (size_t i = 0; i < COUNT(caps); i++) {
		for (at = i; at < sealed.len; at += 77777) {
			const size_t left = sealed.len - (size_t)at;
			const size_t most = caps[i] == 1 ? 300 : sizeof(again);
			const size_t n = left < most ? left : most;

			assert_int_equal(read_from(s, at, again, n, caps[i]), n);
			assert_memory_equal(again, sealed.data + at, n);
		}
	}
	free((void *)(uintptr_t)sealed.data);
	source_free(s);
}

static void a_sealed_file_goes_as_it_is(void **state)
{
	struct source *s = NULL;
	struct bytes all;

	(void)state;
	write_file(200000);
	assert_code(source_of_sealed_file(&s, path, &e), RESTANTE_OK, &e);
	assert_null(source_key(s));
	all = read_all(s);
	assert_int_equal(all.len, 200000);
	assert_memory_equal(all.data, bytes, all.len);
	free((void *)(uintptr_t)all.data);
	source_free(s);
}

static void every_file_has_another_key_and_head(void **state)
{
	struct source *a = file_source(10), *b = file_source(10);

	(void)state;
	assert_memory_not_equal(source_key(a), source_key(b), RESTANTE_KEY_SIZE);
	assert_memory_not_equal(source_head(a), source_head(b), RESTANTE_HEAD_SIZE);
	source_free(a);
	source_free(b);
}

static void with_key_and_head_the_same_bytes_are_made_again(void **state)
{
	struct source *a = file_source(300000), *b = NULL;
	struct bytes of_a = read_all(a), of_b;

	(void)state;
	assert_code(source_of_file(&b, path, &e), RESTANTE_OK, &e);
	assert_code(source_take_up(b, source_key(a), source_head(a), &e), RESTANTE_OK, &e);
	of_b = read_all(b);
	assert_int_equal(of_a.len, of_b.len);
	assert_memory_equal(of_a.data, of_b.data, of_a.len);
	free((void *)(uintptr_t)of_a.data);
	free((void *)(uintptr_t)of_b.data);
	source_free(a);
	source_free(b);
}

static void a_head_of_another_key_changes_nothing(void **state)
{
	struct source *a = file_source(10), *b = file_source(10);
	uint8_t head[RESTANTE_HEAD_SIZE];

	(void)state;
	memcpy(head, source_head(a), sizeof(head));
	assert_code(source_take_up(a, source_key(b), source_head(a), &e), RESTANTE_KEY, &e);
	assert_memory_equal(source_head(a), head, sizeof(head));
	source_free(a);
	source_free(b);
}

static void what_is_no_file_is_refused(void **state)
{
	struct source *s = NULL;
	char fifo[80];

	(void)state;
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_code(source_of_file(&s, fifo, &e), RESTANTE_INVALID, &e);
	assert_code(source_of_file(&s, dir, &e), RESTANTE_INVALID, &e);
	assert_int_equal(unlink(fifo), 0);
	assert_code(source_of_file(&s, fifo, &e), RESTANTE_IO, &e);
	assert_non_null(strstr(e.detail, "fifo"));
	assert_null(s);
}

/* ---- files that change ---- */

static void shrink(void)
{
	assert_int_equal(truncate(path, 1000), 0);
}

static void grow(void)
{
	assert_int_equal(truncate(path, 400000), 0);
}

/* As long as it was, with the old time of modification: the status has another time all the same.
 */
static void rewrite(void)
{
	struct stat st;
	struct timespec times[2];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, "other", 5, 70000), 5);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	(void)close(fd);
}

static void a_chunk_of_a_changed_file_is_never_sealed(void **state)
{
	void (*const change[])(void) = { shrink, grow, rewrite };

	(void)state;
	for (size_t i = 0; i < COUNT(change); i++) {
		struct source *s = file_source(300000);
		struct reader *r = NULL;
		static uint8_t out[2][70000];
		size_t n = 0;

		assert_code(reader_new(&r, s, &e), RESTANTE_OK, &e);
		assert_code(source_check(s, &e), RESTANTE_OK, &e);
		assert_int_equal(reader_read(r, 184 + 65552, out[0], 70000, &n, &e), SOURCE_SOME);
		change[i]();
		memset(out[1], 0, sizeof(out[1]));
		assert_int_equal(reader_read(r, 184 + 65552, out[1], 70000, &n, &e), SOURCE_FAILED);
		assert_int_equal(e.code, RESTANTE_CHANGED);
		for (size_t k = 0; k < sizeof(out[1]); k++)
			assert_int_equal(out[1][k], 0);
		assert_code(source_check(s, &e), RESTANTE_CHANGED, &e);
		reader_free(r);
		source_free(s);
	}
}

/* Stores into a mapping that is dirty already leave the times as they are. */
static void what_a_mapping_changed_is_not_sealed_a_second_time(void **state)
{
	static uint8_t out[2][70000];
	/* a chunk at once, and piece by piece */
	static const size_t caps[] = { 70000, 1000 };

	(void)state;
	write_file(300000);
	for (size_t i = 0; i < COUNT(caps); i++) {
		const int fd = open(path, O_RDWR | O_CLOEXEC);
		struct source *s = NULL;
		struct reader *a = NULL, *b = NULL;
		uint8_t *map = mmap(NULL, 300000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		size_t n = 0;

		assert_true(fd >= 0 && map != MAP_FAILED);
		memset(map, 'A', 300000);
		assert_code(source_of_file(&s, path, &e), RESTANTE_OK, &e);
		assert_code(reader_new(&a, s, &e), RESTANTE_OK, &e);
		assert_code(reader_new(&b, s, &e), RESTANTE_OK, &e);
		assert_int_equal(reader_read(a, 184, out[0], 70000, &n, &e), SOURCE_SOME);
		memset(map, 'B', 65536);
		assert_code(source_check(s, &e), RESTANTE_OK, &e);
		memset(out[1], 0, sizeof(out[1]));
		assert_int_equal(reader_read(b, 184, out[1], caps[i], &n, &e), SOURCE_FAILED);
		assert_int_equal(e.code, RESTANTE_CHANGED);
		for (size_t k = 0; k < sizeof(out[1]); k++)
			assert_int_equal(out[1][k], 0);
		memset(map, 'A', 65536);
		assert_int_equal(reader_read(b, 184, out[1], 70000, &n, &e), SOURCE_SOME);
		assert_memory_equal(out[0], out[1], n);
		reader_free(a);
		reader_free(b);
		source_free(s);
		(void)munmap(map, 300000);
		(void)close(fd);
	}
}

/* Another head is another keystream. */
static void under_another_head_a_chunk_may_be_sealed_again(void **state)
{
	struct source *a = file_source(300000), *b = NULL;
	struct bytes of_a = read_all(a), of_b;

	(void)state;
	assert_code(source_of_file(&b, path, &e), RESTANTE_OK, &e);
	of_b = read_all(b);
	free((void *)(uintptr_t)of_b.data);
	assert_code(source_take_up(b, source_key(a), source_head(a), &e), RESTANTE_OK, &e);
	of_b = read_all(b);
	assert_memory_equal(of_a.data, of_b.data, of_a.len);
	free((void *)(uintptr_t)of_a.data);
	free((void *)(uintptr_t)of_b.data);
	source_free(a);
	source_free(b);
}

/* ---- pipes ---- */

struct tube {
	struct source *s;
	struct reader *r;
	int in;
	uint8_t *out;
	size_t made;
};

static void tube_open(struct tube *t, bool padded)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*t = (struct tube){ .in = fds[1], .out = malloc(20 * MB) };
	assert_code(source_of_fd(&t->s, fds[0], padded, &e), RESTANTE_OK, &e);
	assert_code(reader_new(&t->r, t->s, &e), RESTANTE_OK, &e);
}

static void tube_close(struct tube *t)
{
	reader_free(t->r);
	source_free(t->s);
	free(t->out);
	if (t->in >= 0)
		(void)close(t->in);
}

static void tube_end(struct tube *t)
{
	(void)close(t->in);
	t->in = -1;
}

/* Takes what is there now, without giving it free. */
static enum source_next tube_drain(struct tube *t)
{
	enum source_next next;
	size_t n;

	assert_code(source_fill(t->s, &e), RESTANTE_OK, &e);
	while ((next = reader_read(t->r, t->made, t->out + t->made, 100000, &n, &e)) == SOURCE_SOME)
		t->made += n;
	return next;
}

static void tube_write(struct tube *t, size_t at, size_t n)
{
	assert_int_equal(write(t->in, bytes + at, n), n);
}

static void what_comes_out_of_a_pipe_is_sealed(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		const size_t n = sizes[i / 2], step = i % 4 < 2 ? 60000 : 7777;
		const bool padded = i % 2 == 0;
		struct tube t;
		uint64_t size, content;

		tube_open(&t, padded);
		for (size_t at = 0; at < n; at += step) {
			tube_write(&t, at, n - at < step ? n - at : step);
			assert_int_equal(tube_drain(&t), SOURCE_LATER);
			assert_false(source_size(t.s, &size));
		}
		tube_end(&t);
		assert_int_equal(tube_drain(&t), SOURCE_END);
		size = size_of(t.s);
		assert_int_equal(size, t.made);
		assert_true(source_content_size(t.s, &content));
		assert_int_equal(content, n);
		assert_opens(t.s, (struct bytes){ t.out, t.made }, n,
			     padded ? (size_t)restante_padded_size(n) : n);
		tube_close(&t);
	}
}

static void a_pipe_gives_a_chunk_as_soon_as_something_is_behind_it(void **state)
{
	struct tube t;

	(void)state;
	tube_open(&t, false);
	assert_int_equal(tube_drain(&t), SOURCE_LATER);
	assert_int_equal(t.made, RESTANTE_HEAD_SIZE);
	tube_write(&t, 0, 60000);
	assert_int_equal(tube_drain(&t), SOURCE_LATER);
	tube_write(&t, 60000, 5536);
	assert_int_equal(tube_drain(&t), SOURCE_LATER);
	assert_int_equal(t.made, RESTANTE_HEAD_SIZE);
	tube_write(&t, 65536, 1);
	assert_int_equal(tube_drain(&t), SOURCE_LATER);
	assert_int_equal(t.made, RESTANTE_HEAD_SIZE + RESTANTE_SEALED_CHUNK_SIZE);
	tube_close(&t);
}

static void an_unacknowledged_window_is_full_and_goes_on_after_release(void **state)
{
	const size_t window = SOURCE_WINDOW_CHUNKS * RESTANTE_SEALED_CHUNK_SIZE;
	struct tube t;
	enum source_next next = SOURCE_LATER;
	size_t at = 0, n;
	uint8_t byte;

	(void)state;
	tube_open(&t, false);
	while (next == SOURCE_LATER) {
		assert_true(source_fd(t.s) >= 0);
		tube_write(&t, at, 32768);
		at += 32768;
		next = tube_drain(&t);
	}
	assert_int_equal(next, SOURCE_FULL);
	assert_int_equal(source_fd(t.s), -1);
	assert_int_equal(t.made, RESTANTE_HEAD_SIZE + window);
	/* all of it is there still */
	assert_int_equal(reader_read(t.r, 0, &byte, 1, &n, &e), SOURCE_SOME);
	/* half a chunk is none */
	source_release(t.s, RESTANTE_HEAD_SIZE + 1000);
	assert_int_equal(source_look(t.s, t.made), SOURCE_FULL);
	source_release(t.s, t.made - 1000);
	assert_int_equal(source_first(t.s), t.made - 1000);
	assert_int_equal(reader_read(t.r, t.made - 1000, &byte, 1, &n, &e), SOURCE_SOME);
	assert_int_equal(byte, t.out[t.made - 1000]);
	assert_int_equal(reader_read(t.r, 0, &byte, 1, &n, &e), SOURCE_FAILED);
	assert_int_equal(e.code, RESTANTE_GONE);
	tube_write(&t, at, 32768);
	at += 32768;
	assert_int_equal(tube_drain(&t), SOURCE_LATER);
	tube_end(&t);
	assert_int_equal(tube_drain(&t), SOURCE_END);
	assert_opens(t.s, (struct bytes){ t.out, t.made }, at, at);
	tube_close(&t);
}

static void padding_waits_for_the_window_as_well(void **state)
{
	static uint8_t out[70000];
	struct tube t;
	uint64_t size, at = 0;
	size_t n, sum = 0;

	(void)state;
	/* 9 MB and what is added to it: more than the window holds */
	tube_open(&t, true);
	while (sum < 9 * MB) {
		if (source_look(t.s, at) == SOURCE_LATER) {
			tube_write(&t, sum, 65536);
			sum += 65536;
		}
		assert_code(source_fill(t.s, &e), RESTANTE_OK, &e);
		while (reader_read(t.r, at, out, sizeof(out), &n, &e) == SOURCE_SOME)
			at += n;
		source_release(t.s, at);
	}
	tube_end(&t);
	assert_code(source_fill(t.s, &e), RESTANTE_OK, &e);
	size = size_of(t.s);
	assert_int_equal(size, restante_sealed_size(restante_padded_size(sum)));
	while (reader_read(t.r, at, out, sizeof(out), &n, &e) == SOURCE_SOME) {
		at += n;
		source_release(t.s, at);
	}
	assert_int_equal(at, size);
	tube_close(&t);
}

static void a_pipe_that_cannot_be_read_says_so_always(void **state)
{
	struct source *s = NULL;
	int fd = open(dir, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	(void)state;
	assert_code(source_of_fd(&s, fd, false, &e), RESTANTE_OK, &e);
	assert_code(source_fill(s, &e), RESTANTE_IO, &e);
	assert_code(source_fill(s, &e), RESTANTE_IO, &e);
	source_free(s);
	(void)close(fd);
}

/* ---- the tally ---- */

static void a_tally_in_any_order_is_that_of_all(void **state)
{
	struct source *s = file_source(1000000);
	const struct bytes all = read_all(s);
	struct digest want, have;
	struct reader *r = NULL;
	struct tally t;
	bool done = false;
	int steps = 0;

	(void)state;
	digest_of(all, &want);
	tally_init(&t);
	tally_count(&t, 500000, (struct bytes){ all.data + 500000, 1000 });
	tally_count(&t, 0, (struct bytes){ all.data, 300 });
	tally_count(&t, 100, (struct bytes){ all.data + 100, 100 });
	tally_count(&t, 200, (struct bytes){ all.data + 200, 70000 });
	tally_count(&t, 70201, (struct bytes){ all.data + 70201, 5 });
	assert_code(reader_new(&r, s, &e), RESTANTE_OK, &e);
	for (; !done; steps++)
		assert_code(tally_rest(&t, r, all.len, 400000, &done, &e), RESTANTE_OK, &e);
	assert_in_range(steps, 2, 4);
	tally_digest(&t, &have);
	assert_true(digest_equal(&want, &have));
	reader_free(r);
	free((void *)(uintptr_t)all.data);
	source_free(s);
}

/* ---- parts ---- */

static void parts_join_and_are_cut_between_chunks(void **state)
{
	static const uint64_t totals[] = { 0,      1,       200,
					   65552,  65736,   131104,
					   131288, 1 << 20, UINT64_C(5) << 40 };

	(void)state;
	for (size_t i = 0; i < COUNT(totals) * 17; i++) {
		const uint64_t size = totals[i / 17];
		const unsigned count = parts_count((unsigned)(i % 17) + 1, size);

		assert_in_range(count, 1, PARTS_MAX);
		assert_int_equal(parts_begin(size, count, 0), 0);
		assert_int_equal(parts_begin(size, count, count), size);
		for (unsigned k = 1; k < count; k++) {
			assert_true(parts_begin(size, count, k) >
				    parts_begin(size, count, k - 1) + 65000);
			assert_int_equal((parts_begin(size, count, k) - 184) % 65552, 0);
		}
		assert_true(count == 1 ||
			    parts_begin(size, count, count) > parts_begin(size, count, count - 1));
	}
	assert_int_equal(parts_count(0, 255 * MB), 1);
	assert_int_equal(parts_count(0, 256 * MB), 4);
}

static void a_final_names_the_parts_by_path(void **state)
{
	static const char *const urls[] = { "https://h.example:8080/v1/uploads/a",
					    "http://127.0.0.1/v1/uploads/b" };
	char *final = parts_final(urls, 2);

	(void)state;
	assert_string_equal(final, "final;/v1/uploads/a /v1/uploads/b");
	free(final);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_memory_of_every_size_are_sealed_and_padded),
		cmocka_unit_test(any_offset_gives_the_same_bytes_again),
		cmocka_unit_test(a_sealed_file_goes_as_it_is),
		cmocka_unit_test(every_file_has_another_key_and_head),
		cmocka_unit_test(with_key_and_head_the_same_bytes_are_made_again),
		cmocka_unit_test(a_head_of_another_key_changes_nothing),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(a_chunk_of_a_changed_file_is_never_sealed),
		cmocka_unit_test(what_a_mapping_changed_is_not_sealed_a_second_time),
		cmocka_unit_test(under_another_head_a_chunk_may_be_sealed_again),
		cmocka_unit_test(what_comes_out_of_a_pipe_is_sealed),
		cmocka_unit_test(a_pipe_gives_a_chunk_as_soon_as_something_is_behind_it),
		cmocka_unit_test(an_unacknowledged_window_is_full_and_goes_on_after_release),
		cmocka_unit_test(padding_waits_for_the_window_as_well),
		cmocka_unit_test(a_pipe_that_cannot_be_read_says_so_always),
		cmocka_unit_test(a_tally_in_any_order_is_that_of_all),
		cmocka_unit_test(parts_join_and_are_cut_between_chunks),
		cmocka_unit_test(a_final_names_the_parts_by_path),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
