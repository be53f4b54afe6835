/* part_file - fetching into files: whole or not at all, going on after whatever happened, and
 * nothing else touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/sealed.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHUNK ((size_t)RESTANTE_CHUNK_SIZE)
#define SEALED_CHUNK ((size_t)RESTANTE_SEALED_CHUNK_SIZE)
#define SIZE (10 * CHUNK + 1000)

/* A container on a shelf, a fetch of it, and a folder to fetch it into. */
struct fixture {
	char dir[40], target[64];
	struct sealed c;
	struct shelf shelf;
	struct fetching f;
	_Atomic size_t
		stop_at; /* the shelf hangs after that many bytes of a body; 0: it does not */
};

static void hangs_in_the_middle(struct fake_request *r, void *ctx)
{
	struct fixture *f = ctx;
	struct shelf *s = &f->shelf;
	size_t first, last;

	if (f->stop_at == 0) {
		shelf_serve(r, s);
		return;
	}
	(void)shelf_range(r, s, &first, &last);
	fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", s->size);
	fake_send(r, s->bytes, f->stop_at);
	fake_hang(r);
}

static void put_on_shelf(struct fixture *f, size_t size, bool padded)
{
	sealed_make(&f->c, size, padded, size + 1);
	shelf_open(&f->shelf, &f->c);
	shelf_close(&f->shelf);
	f->shelf.fake = fake_new(hangs_in_the_middle, f);
	fetching_open(&f->f, fake_url(f->shelf.fake), sealed_envelope(&f->c, SEALED_TOKEN));
}

static void take_from_shelf(struct fixture *f)
{
	fetching_close(&f->f);
	shelf_close(&f->shelf);
	sealed_free(&f->c);
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)strcpy(f->dir, "/tmp/restante-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->target, sizeof(f->target), "%s/got", f->dir);
	put_on_shelf(f, SIZE, true);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int stop(void **state)
{
	struct fixture *f = *state;

	take_from_shelf(f);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* ---- looking ---- */

static enum restante_code fetch(struct fixture *f)
{
	return restante_fetch_to_file(f->f.fetch, f->target, &f->f.e);
}

#define assert_fetch(f, want) assert_code(fetch(f), (want), &(f)->f.e)

/* The path of the one part in the folder; false if there is none. */
static bool find_part(const struct fixture *f, char *out, size_t size)
{
	char pattern[80];
	glob_t g;
	bool found;

	(void)snprintf(pattern, sizeof(pattern), "%s/.*.part", f->dir);
	found = glob(pattern, 0, NULL, &g) == 0;
	if (found) {
		assert_int_equal(g.gl_pathc, 1);
		(void)snprintf(out, size, "%s", g.gl_pathv[0]);
	}
	globfree(&g);
	return found;
}

static bool has_part(const struct fixture *f)
{
	char path[320];

	return find_part(f, path, sizeof(path));
}

/* The size of a file that is the beginning of what was sealed. */
static size_t prefix_size(const struct fixture *f, const char *path)
{
	uint8_t *bytes = malloc(f->c.size + 1);
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(bytes);
	assert_non_null(file);
	n = fread(bytes, 1, f->c.size + 1, file);
	(void)fclose(file);
	assert_true(n <= f->c.size);
	assert_memory_equal(bytes, f->c.plain, n);
	free(bytes);
	return n;
}

#define assert_whole(f)                                                       \
	do {                                                                  \
		assert_int_equal(prefix_size((f), (f)->target), (f)->c.size); \
		assert_false(has_part(f));                                    \
	} while (0)

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, n, file), n);
	(void)fclose(file);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

/* Leaves a part behind, by taking the room away: its path. */
static void leave_part(struct fixture *f, size_t room, char *path, size_t size)
{
	struct rlimit before, less;
	enum restante_code rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	less = before;
	less.rlim_cur = room;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	rc = fetch(f);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_code(rc, RESTANTE_IO, &f->f.e);
	assert_true(find_part(f, path, size));
}

/* ---- promises ---- */

static void files_of_every_size_come_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 700000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		take_from_shelf(f);
		put_on_shelf(f, sizes[i / 2], i % 2 != 0);
		assert_fetch(f, RESTANTE_OK);
		assert_whole(f);
	}
}

static void a_new_file_has_the_mode_of_new_files(void **state)
{
	struct fixture *f = *state;
	const mode_t before = umask(027);

	assert_fetch(f, RESTANTE_OK);
	assert_int_equal(mode_of(f->target), 0640);
	(void)umask(before);
}

static void a_full_disk_is_told_and_what_came_is_kept(void **state)
{
	struct fixture *f = *state;
	char part[320];
	uint64_t sent;

	leave_part(f, 5 * CHUNK + 10, part, sizeof(part));
	assert_non_null(strstr(f->f.e.detail, "room"));
	assert_int_not_equal(access(f->target, F_OK), 0);
	assert_int_equal(prefix_size(f, part), 5 * CHUNK + 10);
	assert_int_equal(mode_of(part), 0600);
	sent = atomic_load(&f->shelf.sent);
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
	/* the head is known still: only what is missing */
	assert_int_equal(atomic_load(&f->shelf.sent) - sent,
			 f->c.sealed_size - RESTANTE_HEAD_SIZE - 5 * SEALED_CHUNK);
}

static void what_was_there_stays_until_all_is_there(void **state)
{
	struct fixture *f = *state;
	char part[320], old[4] = "";
	FILE *file;

	write_file(f->target, "old", 3);
	leave_part(f, 3 * CHUNK, part, sizeof(part));
	file = fopen(f->target, "rb");
	assert_non_null(file);
	assert_int_equal(fread(old, 1, sizeof(old), file), 3);
	(void)fclose(file);
	assert_string_equal(old, "old");
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

/* This program again, as another process: see main(). */
static pid_t fetch_elsewhere(const struct fixture *f)
{
	struct restante_envelope *v = sealed_envelope(&f->c, SEALED_TOKEN);
	char text[RESTANTE_ENVELOPE_MAX + 1];
	struct restante_error e;
	pid_t pid;

	assert_code(restante_envelope_encode(v, text, &e), RESTANTE_OK, &e);
	restante_envelope_free(v);
	pid = fork();
	if (pid == 0) {
		(void)execl("/proc/self/exe", "test_part_file", fake_url(f->shelf.fake), text,
			    f->target, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static void await_part(struct fixture *f, size_t size)
{
	char path[320];
	struct stat st = { 0 };

	for (int i = 0; i < 500 && (size_t)st.st_size < size; i++) {
		client_nap(10);
		if (find_part(f, path, sizeof(path)))
			(void)stat(path, &st);
	}
	assert_int_equal(st.st_size, size);
}

static void kill_it(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void after_a_kill_only_the_rest_is_fetched(void **state)
{
	struct fixture *f = *state;
	char part[320];
	pid_t pid;

	f->stop_at = RESTANTE_HEAD_SIZE + 7 * SEALED_CHUNK + 5000;
	pid = fetch_elsewhere(f);
	await_part(f, 7 * CHUNK);
	kill_it(pid);
	assert_true(find_part(f, part, sizeof(part)));
	assert_int_equal(mode_of(part), 0600);
	f->stop_at = 0;
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
	/* the head, and from the last chunk on that was there: it might have been the last of all
	 */
	assert_int_equal(atomic_load(&f->shelf.sent), f->c.sealed_size - 6 * SEALED_CHUNK);
}

static void two_at_once_do_not_get_into_each_other(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	f->stop_at = RESTANTE_HEAD_SIZE + 2 * SEALED_CHUNK;
	pid = fetch_elsewhere(f);
	await_part(f, 2 * CHUNK);
	f->stop_at = 0;
	assert_fetch(f, RESTANTE_MISUSE);
	assert_int_equal(fake_count(f->shelf.fake), 1); /* the other's */
	kill_it(pid);
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

static void a_part_that_had_all_of_it_sees_the_last_chunk_again(void **state)
{
	static const size_t sizes[] = { 2, 65536, 131072, 200000 };
	struct fixture *f = *state;
	char part[320];

	for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
		take_from_shelf(f);
		put_on_shelf(f, sizes[i / 2], i % 2 != 0);
		leave_part(f, 1, part, sizeof(part));
		write_file(part, f->c.plain, f->c.size);
		assert_fetch(f, RESTANTE_OK);
		assert_whole(f);
	}
}

static void a_part_longer_than_can_be_is_thrown_away(void **state)
{
	struct fixture *f = *state;
	uint8_t *zeroes = calloc(1, SIZE + CHUNK);
	char part[320];

	assert_non_null(zeroes);
	leave_part(f, 1, part, sizeof(part));
	write_file(part, zeroes, SIZE + CHUNK);
	free(zeroes);
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

static void a_part_from_before_the_system_started_is_not_trusted(void **state)
{
	const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct fixture *f = *state;
	uint8_t *zeroes = calloc(1, 4 * CHUNK);
	char part[320];

	assert_non_null(zeroes);
	leave_part(f, 1, part, sizeof(part));
	write_file(part, zeroes, 4 * CHUNK);
	assert_int_equal(utimensat(AT_FDCWD, part, long_ago, 0), 0);
	free(zeroes);
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

static void a_part_of_something_else_is_left_alone(void **state)
{
	struct fixture *f = *state;
	char part[320];

	leave_part(f, 2 * CHUNK, part, sizeof(part));
	take_from_shelf(f);
	put_on_shelf(f, 1000, false); /* under another key */
	assert_fetch(f, RESTANTE_OK);
	assert_int_equal(prefix_size(f, f->target), f->c.size);
	assert_true(has_part(f));
}

static void only_authentic_bytes_reach_a_part(void **state)
{
	struct fixture *f = *state;
	char part[320];

	leave_part(f, 4 * CHUNK - 10, part, sizeof(part));
	assert_int_equal(prefix_size(f, part), 4 * CHUNK - 10);
	f->c.bytes[RESTANTE_HEAD_SIZE + 4 * SEALED_CHUNK + 77] ^= 1;
	assert_fetch(f, RESTANTE_TAMPERED);
	assert_int_not_equal(access(f->target, F_OK), 0);
	/* it will never be whole: nothing is kept */
	assert_false(has_part(f));
	f->c.bytes[RESTANTE_HEAD_SIZE + 4 * SEALED_CHUNK + 77] ^= 1;
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

static void nothing_is_left_of_what_never_began(void **state)
{
	struct fixture *f = *state;

	f->c.bytes[3] ^= 1;
	assert_fetch(f, RESTANTE_INVALID);
	assert_false(has_part(f));
	assert_int_not_equal(access(f->target, F_OK), 0);
}

static void the_longest_names_have_parts_too(void **state)
{
	struct fixture *f = *state;
	char path[320];
	const int n = snprintf(path, sizeof(path), "%s/", f->dir);

	memset(path + n, 'x', 255);
	path[n + 255] = '\0';
	assert_code(restante_fetch_to_file(f->f.fetch, path, &f->f.e), RESTANTE_OK, &f->f.e);
	assert_int_equal(prefix_size(f, path), f->c.size);
	assert_false(has_part(f));
}

static void a_name_without_a_folder_is_of_the_folder_one_is_in(void **state)
{
	struct fixture *f = *state;
	char *before = getcwd(NULL, 0);

	assert_non_null(before);
	assert_int_equal(chdir(f->dir), 0);
	assert_code(restante_fetch_to_file(f->f.fetch, "got", &f->f.e), RESTANTE_OK, &f->f.e);
	assert_int_equal(chdir(before), 0);
	free(before);
	assert_whole(f);
}

static void what_is_no_plain_file_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	char path[64];

	assert_int_equal(mkfifo(f->target, 0600), 0);
	assert_fetch(f, RESTANTE_IO);
	assert_code(restante_fetch_to_file(f->f.fetch, f->dir, &f->f.e), RESTANTE_IO, &f->f.e);
	(void)snprintf(path, sizeof(path), "%s/", f->dir);
	assert_code(restante_fetch_to_file(f->f.fetch, path, &f->f.e), RESTANTE_IO, &f->f.e);
	(void)snprintf(path, sizeof(path), "%s/none/got", f->dir);
	assert_code(restante_fetch_to_file(f->f.fetch, path, &f->f.e), RESTANTE_IO, &f->f.e);
	assert_code(restante_fetch_to_file(f->f.fetch, "/dev/null", &f->f.e), RESTANTE_IO, &f->f.e);
	assert_false(has_part(f));
	assert_int_equal(fake_count(f->shelf.fake), 0); /* said before anything was fetched */
}

/* In a folder that others may write to, somebody may have guessed the name. */
static void what_somebody_put_in_the_parts_place_is_not_written_to(void **state)
{
	struct fixture *f = *state;
	char part[320], other[64];

	leave_part(f, 1, part, sizeof(part));
	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	write_file(other, "precious", 8);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(symlink("other", part), 0);
	assert_fetch(f, RESTANTE_IO);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(link(other, part), 0);
	assert_fetch(f, RESTANTE_IO);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(mkfifo(part, 0600), 0);
	assert_fetch(f, RESTANTE_IO);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(mode_of(other), 0644 & ~umask(umask(0)));
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
}

static void a_link_is_replaced_and_not_followed(void **state)
{
	struct fixture *f = *state;
	char other[64];
	struct stat st;

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	write_file(other, "precious", 8);
	assert_int_equal(symlink("other", f->target), 0);
	assert_fetch(f, RESTANTE_OK);
	assert_whole(f);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 8);
}

/* ---- the other process ---- */

static int fetch_as_told(char **argv)
{
	struct restante_envelope *v;
	struct restante_error e;
	struct fetching f;
	enum restante_code rc;

	if (restante_envelope_decode(&v, argv[2], strlen(argv[2]), &e) != RESTANTE_OK)
		return 2;
	fetching_open(&f, argv[1], v);
	rc = restante_fetch_to_file(f.fetch, argv[3], &f.e);
	fetching_close(&f);
	return (int)rc;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(files_of_every_size_come_whole),
		T(a_new_file_has_the_mode_of_new_files),
		T(a_full_disk_is_told_and_what_came_is_kept),
		T(what_was_there_stays_until_all_is_there),
		T(after_a_kill_only_the_rest_is_fetched),
		T(two_at_once_do_not_get_into_each_other),
		T(a_part_that_had_all_of_it_sees_the_last_chunk_again),
		T(a_part_longer_than_can_be_is_thrown_away),
		T(a_part_from_before_the_system_started_is_not_trusted),
		T(a_part_of_something_else_is_left_alone),
		T(only_authentic_bytes_reach_a_part),
		T(nothing_is_left_of_what_never_began),
		T(the_longest_names_have_parts_too),
		T(a_name_without_a_folder_is_of_the_folder_one_is_in),
		T(what_is_no_plain_file_is_not_replaced),
		T(what_somebody_put_in_the_parts_place_is_not_written_to),
		T(a_link_is_replaced_and_not_followed),
	};

	if (argc == 4)
		return fetch_as_told(argv);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit of RLIMIT_FSIZE is then an error like ENOSPC */
	return cmocka_run_group_tests_name("part_file", tests, NULL, NULL);
}
