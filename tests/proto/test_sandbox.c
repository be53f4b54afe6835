/* The sandbox of a running server: every thread is inside, and nothing that it does by day misses
 * what it gave up. What cannot be done from inside is tried in tests/unit/test_sandbox.c; that all
 * else works inside is what the other suites show, for it is on by default. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/admin.h"
#include "tests/lib/client.h"
#include "tests/lib/server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* and then there is no filter */
#else
#define SANITIZED false
#endif

#define BASE "upload { min_free = 0; }\n"

static void start(struct test_server *s, const char *config)
{
	const struct test_server_options o = { .config = config };

	server_start(s, &o);
}

static bool logs(const struct test_server *s, const char *text)
{
	return server_logs(s, text, 5000);
}

/* A number of /proc/PID/task/TID/status. */
static int status_of(const struct test_server *s, const char *task, const char *name)
{
	char path[320], line[256];
	const size_t n = strlen(name);
	int value = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)s->pid, task);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			value = atoi(line + n + 1);
	if (f != NULL)
		(void)fclose(f);
	return value;
}

/* How many threads there are; of each the number is as expected. */
static int all_threads_say(const struct test_server *s, const char *name, int expected)
{
	char path[64];
	struct dirent *d;
	DIR *tasks;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)s->pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((d = readdir(tasks)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		assert_int_equal(status_of(s, d->d_name, name), expected);
		n++;
	}
	(void)closedir(tasks);
	return n;
}

static void every_thread_is_inside(void **state)
{
	struct test_server s;
	char token[52], target[80];
	struct answer a;

	(void)state;
	start(&s, BASE);
	if (SANITIZED || !logs(&s, "seccomp=yes")) {
		server_remove(&s);
		skip();
	}
	assert_int_equal(http_put(s.port, "", "sealed", 6, token), 201);
	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_get(s.port, target, "", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	assert_true(all_threads_say(&s, "Seccomp", 2) > 10);
	assert_true(all_threads_say(&s, "NoNewPrivs", 1) > 10);
	server_remove(&s);
}

static void the_engine_for_tests_is_inside_too(void **state)
{
	const struct test_server_options o = { .config = BASE, .faults = "inner=rocksdb" };
	struct test_server s;

	(void)state;
	server_start(&s, &o);
	assert_true(logs(&s, "event=sandbox no_new_privs=yes"));
	(void)all_threads_say(&s, "NoNewPrivs", 1);
	server_remove(&s);
}

static void off_is_off(void **state)
{
	struct test_server s;

	(void)state;
	start(&s, BASE "sandbox = false;\n");
	assert_true(logs(&s, "event=sandbox off"));
	(void)all_threads_say(&s, "Seccomp", 0);
	(void)all_threads_say(&s, "NoNewPrivs", 0);
	server_remove(&s);
}

static void settings_and_keys_are_read_again_inside(void **state)
{
	struct test_server s;
	char out[512], token[52];

	(void)state;
	start(&s, BASE);
	server_configure(&s, BASE "http { metrics = true; }\n");
	assert_int_equal(server_command(&s, "--rotate-keys", out, sizeof(out)), 0);
	(void)kill(s.pid, SIGHUP);
	assert_true(logs(&s, "event=reloaded"));
	assert_false(server_logs(&s, "event=reload_failed", 0));
	assert_int_equal(http_status(s.port, "GET", "/metrics", ""), 200);
	assert_int_equal(http_put(s.port, "", "sealed", 6, token), 201);
	server_remove(&s);
}

static void a_reload_reaches_the_folders_of_the_start_only(void **state)
{
	char elsewhere[] = "/tmp/restante-elsewhere-XXXXXX", config[256], token[52];
	struct test_server s;

	(void)state;
	assert_non_null(mkdtemp(elsewhere));
	start(&s, BASE);
	assert_true(logs(&s, "event=sandbox"));
	if (server_logs(&s, "landlock=no", 0)) {
		server_remove(&s);
		skip();
	}
	(void)snprintf(config, sizeof(config), BASE "log { access = \"%s/log\"; }\n", elsewhere);
	server_configure(&s, config);
	(void)kill(s.pid, SIGHUP);
	assert_true(logs(&s, "Permission denied"));
	assert_int_equal(http_put(s.port, "", "sealed", 6, token), 201);
	assert_int_equal(server_stop(&s), 0);
	server_again(&s);
	assert_true(http_has(s.port, token, "sealed", 6));
	server_remove(&s);
	(void)snprintf(config, sizeof(config), "rm -r %s", elsewhere);
	assert_int_equal(system(config), 0);
}

static void the_socket_goes_and_a_second_start_finds_everything(void **state)
{
	struct test_server s;
	char token[52], path[128];

	(void)state;
	start(&s, BASE);
	assert_int_equal(http_put(s.port, "", "sealed", 6, token), 201);
	assert_int_equal(server_stop(&s), 0);
	(void)snprintf(path, sizeof(path), "%s/data/admin.sock", s.dir);
	assert_int_not_equal(access(path, F_OK), 0);
	server_again(&s);
	assert_true(http_has(s.port, token, "sealed", 6));
	server_remove(&s);
}

static void the_store_may_be_a_link_to_another_disk(void **state)
{
	char disk[] = "/dev/shm/restante-disk-XXXXXX", line[512], token[52];
	struct test_server s;
	struct answer a;

	(void)state;
	if (mkdtemp(disk) == NULL)
		skip();
	start(&s, BASE);
	assert_int_equal(http_put(s.port, "", "sealed", 6, token), 201);
	assert_int_equal(server_stop(&s), 0);
	(void)snprintf(line, sizeof(line), "mv %s/data/store %s/ && ln -s %s/store %s/data/store",
		       s.dir, disk, disk, s.dir);
	assert_int_equal(system(line), 0);
	server_again(&s);
	assert_true(http_has(s.port, token, "sealed", 6));
	assert_int_equal(http_put(s.port, "", "sealed again", 12, token), 201);
	admin_ask(&s, "POST", "/admin/backup", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	admin_ask(&s, "POST", "/admin/expire", &a);
	assert_int_equal(a.status, 200);
	assert_true(admin_number(&a, "disk_before") > 0);
	answer_free(&a);
	assert_int_equal(server_stop(&s), 0);
	server_again(&s);
	assert_true(http_has(s.port, token, "sealed again", 12));
	server_remove(&s);
	(void)snprintf(line, sizeof(line), "rm -r %s", disk);
	assert_int_equal(system(line), 0);
}

static void the_names_of_threads_are_kept(void **state)
{
	static const char *const names[] = { "loop", "acceptor", "writer", "reader", "keeper" };
	struct test_server s;
	char line[128];

	(void)state;
	start(&s, BASE);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(line, sizeof(line), "grep -qx %s /proc/%d/task/*/comm", names[i],
			       (int)s.pid);
		for (int t = 0; t < 100 && system(line) != 0; t++)
			client_nap(20);
		assert_int_equal(system(line), 0);
	}
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_is_inside),
		cmocka_unit_test(the_engine_for_tests_is_inside_too),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(settings_and_keys_are_read_again_inside),
		cmocka_unit_test(a_reload_reaches_the_folders_of_the_start_only),
		cmocka_unit_test(the_socket_goes_and_a_second_start_finds_everything),
		cmocka_unit_test(the_store_may_be_a_link_to_another_disk),
		cmocka_unit_test(the_names_of_threads_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
