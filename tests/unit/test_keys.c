#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "server/keys.h"

#define NOW 1800000000
#define DAY 86400
#define KEY_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_B "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"

struct fixture {
	char dir[64];
	char path[80];
	struct keys *keys;
	struct err err;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/restante-keys-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/keys", f->dir);
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;
	char command[128];

	keys_free(f->keys);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* As a server does that may mint for so long. */
static enum err_code reopen_for(struct fixture *f, int64_t now, uint64_t longest)
{
	keys_free(f->keys);
	f->keys = NULL;
	return keys_open(&f->keys, f->dir, now, longest, &f->err);
}

static enum err_code reopen(struct fixture *f, int64_t now)
{
	return reopen_for(f, now, 1);
}

/* As a server does, at once in force. */
static void rotate(struct fixture *f, int64_t now, uint64_t longest)
{
	assert_int_equal(keys_rotate(f->dir, now, longest, &f->err), ERR_OK);
	assert_int_equal(reopen_for(f, now, longest), ERR_OK);
}

static void write_keys(struct fixture *f, const char *text, size_t n)
{
	int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	assert_int_equal(close(fd), 0);
}

static size_t read_keys(struct fixture *f, char *out, size_t cap)
{
	int fd = open(f->path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, out, cap - 1);
	assert_true(n > 0);
	out[n] = '\0';
	assert_int_equal(close(fd), 0);
	return (size_t)n;
}

static size_t files_in(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	assert_int_equal(closedir(d), 0);
	return n - 2; /* . and .. */
}

static void mint(const struct fixture *f, char out[static TOKEN_PLAIN_CHARS + 1], int64_t not_after)
{
	struct token t = { .type = TOKEN_FETCH, .not_after = (uint32_t)not_after };
	const uint8_t *key = keys_current(f->keys, &t.key_id);

	token_mint(out, &t, key);
}

static enum err_code verify(const struct fixture *f, const char *token, int64_t now)
{
	struct token t;

	return token_verify(&t, token, strlen(token), TOKEN_FETCH, now, keys_find, f->keys);
}

static void the_first_start_makes_a_key(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint8_t id = 99;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	assert_non_null(keys_current(f->keys, &id));
	assert_int_equal(id, 0);
	assert_ptr_equal(keys_find(f->keys, 0), keys_current(f->keys, &id));
	assert_null(keys_find(f->keys, 1));
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in(f->dir), 1);
}

static void the_mask_of_the_process_does_not_matter(void **state)
{
	struct fixture *f = *state;
	mode_t before = umask(0);
	struct stat st;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	(void)umask(before);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void the_second_start_has_the_same_key(void **state)
{
	struct fixture *f = *state;
	char token[TOKEN_PLAIN_CHARS + 1];

	assert_int_equal(reopen(f, NOW), ERR_OK);
	mint(f, token, NOW + DAY);
	assert_int_equal(reopen(f, NOW + 5), ERR_OK);
	assert_int_equal(verify(f, token, NOW + 5), ERR_OK);
}

static void two_servers_have_different_keys(void **state)
{
	struct fixture *f = *state;
	char token[TOKEN_PLAIN_CHARS + 1];

	assert_int_equal(reopen(f, NOW), ERR_OK);
	mint(f, token, NOW + DAY);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(reopen(f, NOW), ERR_OK);
	assert_int_equal(verify(f, token, NOW), ERR_FORGED);
}

/* In a child: waits for the others, opens, and writes the key it got. */
static void open_with_others(const struct fixture *f, int gate, int out)
{
	struct keys *k;
	uint8_t id;
	char c;

	if (read(gate, &c, 1) != 0 || keys_open(&k, f->dir, NOW, DAY, NULL) != ERR_OK)
		_exit(1);
	if (write(out, keys_current(k, &id), TOKEN_KEYBYTES) != TOKEN_KEYBYTES)
		_exit(2);
	_exit(0);
}

static void processes_that_start_at_once_agree(void **state)
{
	enum { PROCESSES = 8 };
	struct fixture *f = *state;
	uint8_t first[TOKEN_KEYBYTES], next[TOKEN_KEYBYTES];
	int gate[2], out[2], status;

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(pipe(out), 0);
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			(void)close(gate[1]);
			open_with_others(f, gate[0], out[1]);
		}
	}
	assert_int_equal(close(gate[1]), 0); /* go */
	assert_int_equal(read(out[0], first, sizeof(first)), sizeof(first));
	for (int i = 1; i < PROCESSES; i++) {
		assert_int_equal(read(out[0], next, sizeof(next)), sizeof(next));
		assert_memory_equal(first, next, sizeof(first));
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(files_in(f->dir), 1);
	(void)close(gate[0]);
	(void)close(out[0]);
	(void)close(out[1]);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = { 0644, 0640, 0604, 0620, 0602, 0601 };
	struct fixture *f = *state;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod(f->path, modes[i]), 0);
		assert_int_equal(reopen(f, NOW), ERR_INVALID);
		assert_non_null(strstr(f->err.why, "chmod 600"));
	}
	assert_int_equal(chmod(f->path, 0400), 0);
	assert_int_equal(reopen(f, NOW), ERR_OK);
}

static void every_truncation_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[512];
	size_t n;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	n = read_keys(f, text, sizeof(text));
	for (size_t i = 0; i < n; i++) {
		write_keys(f, text, i);
		if (reopen(f, NOW) != ERR_INVALID)
			fail_msg("%zu of %zu bytes were taken", i, n);
	}
	write_keys(f, text, n);
	assert_int_equal(reopen(f, NOW), ERR_OK);
}

static void a_garbled_file_is_refused(void **state)
{
	static const char *const bad[] = {
		"restante-keys 3\ntoken 0 " KEY_A " 1 2 3\n",
		"restante-keys 2\ntoken 0 " KEY_A " 1\n",
		"restante-keys 2\ntoken 0 " KEY_A " 1 2\n",
		"restante-keys 2\ntoken 0 " KEY_A " 1 2 -1\n",
		"restante-keys 2\ntoken 0 " KEY_A " 1 9223372036854775808 0\n",
		"restante-keys 2\ntoken 0 " KEY_A " 1 2 3 4\n",
		"restante-keys 1\r\ntoken 0 " KEY_A " 1\r\n",
		"restante-keys 1\n",
		"restante-keys 1\n\ntoken 0 " KEY_A " 1\n",
		"restante-keys 1\ntoken 0 " KEY_A " 1\n\n",
		"restante-keys 1\ntoken 256 " KEY_A " 1\n",
		"restante-keys 1\ntoken 00 " KEY_A " 1\n",
		"restante-keys 1\ntoken -1 " KEY_A " 1\n",
		"restante-keys 1\ntoken  0 " KEY_A " 1\n",
		"restante-keys 1\ngrant 0 " KEY_A " 1\n",
		"restante-keys 1\ntoken 0 " KEY_A "A 1\n",
		"restante-keys 1\ntoken 0 " KEY_A "= 1\n",
		"restante-keys 1\ntoken 0 AAAA 1\n",
		"restante-keys 1\ntoken 0 " KEY_A " -1\n",
		"restante-keys 1\ntoken 0 " KEY_A " 9223372036854775808\n",
		"restante-keys 1\ntoken 0 " KEY_A " 1 2\n",
		"restante-keys 1\ntoken 0 " KEY_A " 1\ntoken 0 " KEY_B " 2\n",
		"restante-keys 1\ntoken 0 " KEY_A " 1\n# a comment\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		write_keys(f, bad[i], strlen(bad[i]));
		if (reopen(f, NOW) != ERR_INVALID)
			fail_msg("was taken: %s", bad[i]);
	}
}

static void a_huge_file_is_refused(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(1 << 20);

	assert_non_null(text);
	memset(text, 'x', 1 << 20);
	write_keys(f, text, 1 << 20);
	assert_int_equal(reopen(f, NOW), ERR_INVALID);
	free(text);
}

static void what_is_no_file_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(reopen(f, NOW), ERR_INVALID);
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(symlink("/dev/zero", f->path), 0);
	assert_int_equal(reopen(f, NOW), ERR_IO);
}

static void the_last_key_mints_and_all_verify(void **state)
{
	static const char text[] = "restante-keys 1\ntoken 7 " KEY_B " 1\ntoken 255 " KEY_A " 2\n";
	static const uint8_t zeroes[TOKEN_KEYBYTES];
	struct fixture *f = *state;
	uint8_t id;

	write_keys(f, text, strlen(text));
	assert_int_equal(reopen(f, NOW), ERR_OK);
	assert_memory_equal(keys_current(f->keys, &id), zeroes, sizeof(zeroes));
	assert_int_equal(id, 255);
	assert_int_equal(keys_find(f->keys, 7)[0], 1);
	assert_null(keys_find(f->keys, 0));
}

static void a_missing_folder_is_a_failure(void **state)
{
	struct fixture *f = *state;
	struct keys *k;

	assert_int_equal(keys_open(&k, "/nonexistent/restante", NOW, DAY, &f->err), ERR_IO);
	assert_int_equal(keys_rotate("/nonexistent/restante", NOW, DAY, &f->err), ERR_IO);
}

static void rotation_keeps_old_tokens_good(void **state)
{
	struct fixture *f = *state;
	char old[TOKEN_PLAIN_CHARS + 1], new[TOKEN_PLAIN_CHARS + 1];
	struct stat st;
	uint8_t id;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	mint(f, old, NOW + 10 * DAY);
	assert_int_equal(keys_rotate(f->dir, NOW + DAY, 10 * DAY, &f->err), ERR_OK);
	assert_int_equal(reopen(f, NOW + DAY), ERR_OK);
	(void)keys_current(f->keys, &id);
	assert_int_equal(id, 1);
	mint(f, new, NOW + 10 * DAY);
	assert_string_not_equal(old, new);
	assert_int_equal(verify(f, old, NOW + DAY), ERR_OK);
	assert_int_equal(verify(f, new, NOW + DAY), ERR_OK);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in(f->dir), 1);
}

static void a_key_goes_when_none_of_its_tokens_can_be_alive(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reopen_for(f, NOW, 10 * DAY), ERR_OK);
	/* Key 0 is replaced at NOW + 100 days: it minted until then. */
	rotate(f, NOW + 100 * DAY, 10 * DAY);
	rotate(f, NOW + 110 * DAY, 10 * DAY);
	assert_non_null(keys_find(f->keys, 0)); /* to the very second */
	rotate(f, NOW + 110 * DAY + 1, 10 * DAY);
	assert_null(keys_find(f->keys, 0));
	assert_non_null(keys_find(f->keys, 1));
	assert_non_null(keys_find(f->keys, 2));
	assert_non_null(keys_find(f->keys, 3));
}

static void shorter_lives_allowed_later_take_no_key_from_older_tokens(void **state)
{
	struct fixture *f = *state;
	char old[TOKEN_PLAIN_CHARS + 1];

	assert_int_equal(reopen_for(f, NOW, 5 * DAY), ERR_OK);
	assert_int_equal(reopen_for(f, NOW, 90 * DAY), ERR_OK); /* a reload */
	mint(f, old, NOW + 90 * DAY);
	assert_int_equal(reopen_for(f, NOW + 1, DAY), ERR_OK); /* another one */
	for (int i = 0; i < 3; i++)
		rotate(f, NOW + (3 * i + 1) * DAY, DAY);
	assert_int_equal(verify(f, old, NOW + 89 * DAY), ERR_OK);
	rotate(f, NOW + 91 * DAY, DAY);
	assert_non_null(keys_find(f->keys, 0)); /* it may have minted until it was replaced */
	rotate(f, NOW + 91 * DAY + 1, DAY);
	assert_null(keys_find(f->keys, 0));
}

/* It makes tokens anew for uploads of that time, on a HEAD for one. */
static void a_later_key_stays_as_long_as_the_one_before_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reopen_for(f, NOW, 90 * DAY), ERR_OK);
	rotate(f, NOW, DAY);
	rotate(f, NOW + 1, DAY);
	rotate(f, NOW + 50 * DAY, DAY);
	assert_non_null(keys_find(f->keys, 1));
	rotate(f, NOW + 90 * DAY + 1, DAY);
	assert_null(keys_find(f->keys, 0));
	assert_null(keys_find(f->keys, 1));
}

/* Rotated by the command line, and the server goes on with the old one until it hears of that. */
static void a_key_counts_as_replaced_when_a_server_took_up_the_next(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reopen_for(f, NOW, DAY), ERR_OK);
	assert_int_equal(keys_rotate(f->dir, NOW, DAY, &f->err), ERR_OK);
	assert_int_equal(keys_rotate(f->dir, NOW + 50 * DAY, DAY, &f->err), ERR_OK);
	assert_int_equal(reopen_for(f, NOW + 50 * DAY, DAY), ERR_OK);
	assert_non_null(keys_find(f->keys, 0));
	rotate(f, NOW + 51 * DAY, DAY);
	assert_non_null(keys_find(f->keys, 0));
	rotate(f, NOW + 51 * DAY + 1, DAY);
	assert_null(keys_find(f->keys, 0));
}

static void the_keys_of_an_older_file_last_at_least_90_days(void **state)
{
	static const char text[] = "restante-keys 1\ntoken 0 " KEY_A " 1\ntoken 1 " KEY_B " 2\n";
	struct fixture *f = *state;

	for (unsigned longest = 1; longest <= 100; longest += 99) {
		write_keys(f, text, strlen(text));
		rotate(f, NOW, longest * DAY);
		rotate(f, NOW + 90 * DAY, DAY);
		assert_non_null(keys_find(f->keys, 0));
		rotate(f, NOW + 90 * DAY + 1, DAY);
		assert_true((keys_find(f->keys, 0) != NULL) == (longest == 100));
		rotate(f, NOW + 100 * DAY + 1, DAY);
		assert_null(keys_find(f->keys, 1));
	}
}

static void the_file_is_written_only_if_there_is_news(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;

	assert_int_equal(reopen_for(f, NOW, 2 * DAY), ERR_OK);
	assert_int_equal(stat(f->path, &before), 0);
	assert_int_equal(reopen_for(f, NOW + 1, DAY), ERR_OK);
	assert_int_equal(reopen_for(f, NOW + 1, 2 * DAY), ERR_OK);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(reopen_for(f, NOW + 1, 3 * DAY), ERR_OK);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mode & 07777, 0600);
	assert_int_equal(files_in(f->dir), 1);
}

static void a_clock_set_back_drops_no_key(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	rotate(f, NOW - 50 * DAY, 1);
	rotate(f, NOW - 60 * DAY, 1);
	assert_non_null(keys_find(f->keys, 0));
	assert_non_null(keys_find(f->keys, 1));
	assert_non_null(keys_find(f->keys, 2));
}

static void rotation_without_a_file_makes_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(keys_rotate(f->dir, NOW, DAY, &f->err), ERR_OK);
	assert_int_equal(reopen(f, NOW), ERR_OK);
	assert_non_null(keys_find(f->keys, 1));
}

static void rotation_leaves_a_bad_file_alone(void **state)
{
	struct fixture *f = *state;
	char text[16];

	write_keys(f, "mine", 4);
	assert_int_equal(keys_rotate(f->dir, NOW, DAY, &f->err), ERR_INVALID);
	assert_int_equal(read_keys(f, text, sizeof(text)), 4);
	assert_string_equal(text, "mine");
}

static void there_are_256_keys_and_no_more(void **state)
{
	struct fixture *f = *state;
	uint8_t id;

	assert_int_equal(reopen(f, NOW), ERR_OK);
	for (int i = 1; i < 256; i++)
		assert_int_equal(keys_rotate(f->dir, NOW + i, DAY, &f->err), ERR_OK);
	assert_int_equal(keys_rotate(f->dir, NOW + 256, DAY, &f->err), ERR_TOOBIG);
	assert_int_equal(reopen(f, NOW + 256), ERR_OK);
	(void)keys_current(f->keys, &id);
	assert_int_equal(id, 255);
	/* When old ones may go, their ids come again. */
	rotate(f, NOW + DAY + 257, DAY);
	(void)keys_current(f->keys, &id);
	assert_int_equal(id, 0);
}

static void rotations_at_once_are_all_kept(void **state)
{
	enum { PROCESSES = 8 };
	struct fixture *f = *state;
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(keys_rotate(f->dir, NOW, DAY, NULL) != ERR_OK);
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(reopen(f, NOW), ERR_OK);
	for (uint8_t id = 0; id <= PROCESSES; id++)
		assert_non_null(keys_find(f->keys, id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_start_makes_a_key),
		TEST(the_mask_of_the_process_does_not_matter),
		TEST(the_second_start_has_the_same_key),
		TEST(two_servers_have_different_keys),
		TEST(processes_that_start_at_once_agree),
		TEST(a_file_that_others_can_read_is_refused),
		TEST(every_truncation_is_refused),
		TEST(a_garbled_file_is_refused),
		TEST(a_huge_file_is_refused),
		TEST(what_is_no_file_is_refused),
		TEST(the_last_key_mints_and_all_verify),
		TEST(a_missing_folder_is_a_failure),
		TEST(rotation_keeps_old_tokens_good),
		TEST(a_key_goes_when_none_of_its_tokens_can_be_alive),
		TEST(shorter_lives_allowed_later_take_no_key_from_older_tokens),
		TEST(a_later_key_stays_as_long_as_the_one_before_it),
		TEST(a_key_counts_as_replaced_when_a_server_took_up_the_next),
		TEST(the_keys_of_an_older_file_last_at_least_90_days),
		TEST(the_file_is_written_only_if_there_is_news),
		TEST(a_clock_set_back_drops_no_key),
		TEST(rotation_without_a_file_makes_it),
		TEST(rotation_leaves_a_bad_file_alone),
		TEST(there_are_256_keys_and_no_more),
		TEST(rotations_at_once_are_all_kept),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
