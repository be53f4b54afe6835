/* Starting, stopping, reloading; the command line. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

#define MB ((size_t)1 << 20)
#define BASE "upload { min_free = 0; }\n"
#define HEALTH "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(int ms)
{
	(void)poll(NULL, 0, ms);
}

static uint8_t *random_bytes(size_t n, uint64_t seed)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	fill_random(p, n, seed);
	return p;
}

static void start(struct test_server *s, const char *config)
{
	const struct test_server_options o = { .config = config };

	server_start(s, &o);
}

static bool refuses_connections(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	refused = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0;
	(void)close(fd);
	return refused;
}

static void says_close(const struct answer *a)
{
	char field[32];

	assert_true(answer_field(a, "Connection", field, sizeof(field)));
	assert_string_equal(field, "close");
}

/* The blob of a token, from the server as it runs now. */
static void is_there(struct test_server *s, const char *token, const uint8_t *blob, size_t n)
{
	char target[96];
	struct answer a;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", token);
	http_get(s->port, target, "", &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, n);
	assert_memory_equal(a.body, blob, n);
	answer_free(&a);
}

/* ---- SIGTERM ---- */

static void an_idle_server_stops_promptly(void **state)
{
	struct test_server s;
	int64_t began;

	(void)state;
	start(&s, BASE);
	began = now_ms();
	assert_int_equal(server_stop(&s), 0);
	assert_true(now_ms() - began < 3000);
	server_remove(&s);
}

static void idle_connections_are_closed_at_once(void **state)
{
	struct test_server s;
	struct client *c[8];
	struct answer a;
	int64_t began;

	(void)state;
	start(&s, BASE);
	for (int i = 0; i < 8; i++) {
		c[i] = client_open(s.port);
		client_sendf(c[i], HEALTH);
		client_answer(c[i], false, &a, NULL);
		assert_int_equal(a.status, 200);
		answer_free(&a);
	}
	began = now_ms();
	(void)kill(s.pid, SIGTERM);
	for (int i = 0; i < 8; i++) {
		assert_true(client_closed_within(c[i], 3000));
		client_close(c[i]);
	}
	assert_int_equal(server_wait(&s, 10000), 0);
	assert_true(now_ms() - began < 3000);
	server_remove(&s);
}

static void sigterm_lets_a_running_upload_finish(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(2 * MB, 1);
	struct client *c;
	struct answer a;
	char token[64];

	(void)state;
	start(&s, BASE);
	c = client_open(s.port);
	client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n", 2 * MB);
	assert_true(client_send(c, blob, MB));
	nap(50);
	(void)kill(s.pid, SIGTERM);
	assert_true(server_logs(&s, "event=stopping", 3000));
	nap(300);
	assert_true(server_alive(&s));
	assert_true(client_send(c, blob + MB, MB));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 201);
	says_close(&a);
	assert_true(answer_json(&a, "token", token, sizeof(token)));
	assert_true(client_closed_within(c, 3000));
	assert_int_equal(server_wait(&s, 10000), 0);
	answer_free(&a);
	client_close(c);
	server_again(&s);
	is_there(&s, token, blob, 2 * MB);
	free(blob);
	server_remove(&s);
}

static void sigterm_lets_a_running_download_finish(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(24 * MB, 2);
	struct client *c;
	struct answer a;
	char token[64];

	(void)state;
	start(&s, BASE);
	assert_int_equal(http_put(s.port, "", blob, 24 * MB, token), 201);
	c = client_open(s.port);
	client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", token);
	assert_true(client_peek(c, 5000) > 0);
	(void)kill(s.pid, SIGTERM);
	nap(400);
	assert_true(server_alive(&s));
	client_answer(c, false, &a, NULL);
	assert_int_equal(a.status, 200);
	assert_true(a.whole);
	assert_int_equal(a.body_len, 24 * MB);
	assert_memory_equal(a.body, blob, 24 * MB);
	/* the head was sent before the stop; the connection ends all the same */
	assert_true(client_closed_within(c, 3000));
	assert_int_equal(server_wait(&s, 10000), 0);
	answer_free(&a);
	client_close(c);
	free(blob);
	server_remove(&s);
}

static void new_connections_are_refused_while_stopping(void **state)
{
	struct test_server s;
	struct client *busy;

	(void)state;
	start(&s, BASE "http { stop_grace = 1s; }\n");
	busy = client_open(s.port);
	client_sendf(busy, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
	nap(100);
	(void)kill(s.pid, SIGTERM);
	assert_true(server_logs(&s, "event=stopping", 3000));
	nap(100);
	assert_true(refuses_connections(s.port));
	assert_int_equal(server_wait(&s, 10000), 0);
	client_close(busy);
	server_remove(&s);
}

static void a_stalled_upload_is_cut_after_the_grace(void **state)
{
	struct test_server s;
	struct client *c;
	int64_t began, took;

	(void)state;
	start(&s, BASE "http { stop_grace = 1s; }\n");
	c = client_open(s.port);
	client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
	nap(100);
	began = now_ms();
	(void)kill(s.pid, SIGTERM);
	assert_int_equal(server_wait(&s, 10000), 0);
	took = now_ms() - began;
	assert_true(took >= 900);
	assert_true(took < 4000);
	assert_int_equal(client_peek(c, 1000), -1);
	client_close(c);
	server_remove(&s);
}

static void a_second_sigterm_stops_at_once(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(MB, 5);
	struct client *c;
	char token[64];
	int64_t began;

	(void)state;
	start(&s, BASE "http { stop_grace = 60s; }\n");
	assert_int_equal(http_put(s.port, "", blob, MB, token), 201);
	c = client_open(s.port);
	client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
	nap(100);
	(void)kill(s.pid, SIGTERM);
	assert_true(server_logs(&s, "event=stopping", 3000));
	nap(300);
	assert_true(server_alive(&s));
	began = now_ms();
	(void)kill(s.pid, SIGTERM);
	assert_int_equal(server_wait(&s, 10000), 0);
	assert_true(now_ms() - began < 3000);
	client_close(c);
	/* what was acknowledged is there, and nothing of the half */
	server_again(&s);
	is_there(&s, token, blob, MB);
	free(blob);
	server_remove(&s);
}

static void a_sighup_while_stopping_is_too_late_and_harms_nothing(void **state)
{
	struct test_server s;
	struct client *c;

	(void)state;
	start(&s, BASE "http { stop_grace = 1s; }\n");
	c = client_open(s.port);
	client_sendf(c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf");
	nap(100);
	(void)kill(s.pid, SIGTERM);
	assert_true(server_logs(&s, "event=stopping", 3000));
	(void)kill(s.pid, SIGHUP);
	assert_int_equal(server_wait(&s, 10000), 0);
	client_close(c);
	server_remove(&s);
}

/* ---- SIGHUP ---- */

static void reload(struct test_server *s, const char *config, const char *expect)
{
	char *log;

	server_configure(s, config);
	(void)kill(s->pid, SIGHUP);
	if (server_logs(s, expect, 5000))
		return;
	log = server_log(s);
	fail_msg("no \"%s\" in:\n%s", expect, log);
}

static void a_reload_takes_up_live_settings_and_names_the_others(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(100000, 6);

	(void)state;
	start(&s, "upload { min_free = 0; max = 1mb; }\n");
	assert_int_equal(http_put(s.port, "", blob, 100000, NULL), 201);
	reload(&s, "upload { min_free = 0; max = 50kb; workers = 3; }\nhttp { timeout = 7s; }\n",
	       "event=reloaded");
	assert_int_equal(http_put(s.port, "", blob, 100000, NULL), 413);
	assert_true(server_logs(&s, "needs_restart=", 0));
	assert_true(server_logs(&s, "upload.workers", 0));
	assert_true(server_logs(&s, "http.timeout", 0));
	assert_false(server_logs(&s, "upload.max", 0));
	free(blob);
	server_remove(&s);
}

static void a_broken_file_leaves_the_settings_as_they_were(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(100000, 7);

	(void)state;
	start(&s, "upload { min_free = 0; max = 50kb; }\n");
	reload(&s, "upload { min_free = 0; max = 1mb; nonsense = 5; }\n", "event=reload_failed");
	assert_int_equal(http_put(s.port, "", blob, 100000, NULL), 413);
	assert_int_equal(http_put(s.port, "", blob, 1000, NULL), 201);
	server_configure(&s, BASE);
	free(blob);
	server_remove(&s);
}

/* A token's second byte: six bits are its second character, two its third. */
static int key_id_of(const char *token)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const long b = strchr(digits, token[1]) - digits, c = strchr(digits, token[2]) - digits;

	return (int)((b & 15) << 4 | c >> 2);
}

static void rotated_keys_mint_and_old_tokens_stay_good(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(1000, 8);
	char before[64], after[64], out[512];

	(void)state;
	start(&s, BASE);
	assert_int_equal(http_put(s.port, "", blob, 1000, before), 201);
	assert_int_equal(server_command(&s, "--rotate-keys", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "SIGHUP"));
	(void)kill(s.pid, SIGHUP);
	assert_true(server_logs(&s, "event=reloaded", 5000));
	assert_int_equal(http_put(s.port, "", blob, 1000, after), 201);
	assert_int_not_equal(key_id_of(before), key_id_of(after));
	is_there(&s, before, blob, 1000);
	is_there(&s, after, blob, 1000);
	assert_int_equal(server_stop(&s), 0);
	server_again(&s);
	is_there(&s, before, blob, 1000);
	is_there(&s, after, blob, 1000);
	free(blob);
	server_remove(&s);
}

/* ---- the command line ---- */

static void a_data_directory_in_use_is_refused(void **state)
{
	struct test_server s;
	struct answer a;
	char out[1024];

	(void)state;
	start(&s, BASE);
	assert_int_equal(server_command(&s, "--listen 127.0.0.1:0", out, sizeof(out)), 1);
	assert_non_null(strstr(out, "restanted: "));
	if (strstr(out, "in use") == NULL && strstr(out, "another") == NULL)
		fail_msg("not clear: %s", out);
	assert_int_equal(server_command(&s, "--scrub", out, sizeof(out)), 1);
	http_get(s.port, "/healthz", "", &a);
	assert_int_equal(a.status, 200);
	answer_free(&a);
	/* the loser took nothing of the winner's away */
	(void)server_metric(&s, "restante_connections_open");
	server_remove(&s);
}

static void listening_beyond_this_machine_is_refused(void **state)
{
	struct test_server s;
	char out[1024];

	(void)state;
	start(&s, BASE);
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(server_command(&s, "--listen 0.0.0.0:0", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "open to other machines"));
	assert_int_equal(server_command(&s, "--listen [::]:0", out, sizeof(out)), 2);
	assert_int_equal(
		server_command(&s, "--listen 127.0.0.1:0 --listen 0.0.0.0:0", out, sizeof(out)), 2);
	server_remove(&s);
}

static void wrong_usage_is_exit_code_2(void **state)
{
	static const char *const flags[] = { "--nonsense", "extra", "--listen nowhere",
					     "--listen 127.0.0.1:65536", "--listen" };
	struct test_server s;
	char out[4096];

	(void)state;
	start(&s, BASE);
	assert_int_equal(server_stop(&s), 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_int_equal(server_command(&s, flags[i], out, sizeof(out)), 2);
		assert_true(out[0] != '\0');
	}
	server_remove(&s);
}

static int lines_of(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void check_config_says_what_is_wrong(void **state)
{
	struct test_server s;
	char out[4096];

	(void)state;
	start(&s, BASE);
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 0);
	assert_string_equal(out, "the settings are fine\n");
	server_configure(&s, "upload { max = much; }\nhttp { nonsense = 1; }\n");
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "max"));
	assert_non_null(strstr(out, "nonsense"));
	assert_int_equal(lines_of(out), 2); /* each once */
	server_configure(&s, "listen = \"0.0.0.0:0\"\n");
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 2);
	assert_int_equal(lines_of(out), 1);
	assert_int_equal(server_command(&s, "--listen nobody", out, sizeof(out)), 2);
	assert_int_equal(lines_of(out), 1);
	server_configure(&s, "upload { max = much; }\nhttp { nonsense = 1; }\n");
	assert_int_equal(server_try(&s), 2);
	server_remove(&s);
}

static void it_tells_about_itself(void **state)
{
	struct test_server s;
	static char out[65536], conf[65536];

	(void)state;
	start(&s, BASE);
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(server_command(&s, "--version", out, sizeof(out)), 0);
	assert_memory_equal(out, "restanted ", 10);
	assert_int_equal(server_command(&s, "--help", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "--rotate-keys"));
	assert_non_null(strstr(out, "upload.max"));
	assert_int_equal(server_command(&s, "--print-conf", conf, sizeof(conf)), 0);
	/* what it prints it also reads */
	server_configure(&s, conf);
	assert_int_equal(server_command(&s, "--check-config", out, sizeof(out)), 0);
	server_remove(&s);
}

/* ---- scrub ---- */

/* The largest file under data/store whose name ends so; "" if there is none. */
static void find_file(const struct test_server *s, const char *ending, char *out, size_t size)
{
	char command[512];
	FILE *f;

	(void)snprintf(
		command, sizeof(command),
		"find %s/data/store -name '*%s' -printf '%%s %%p\\n' | sort -n | tail -n 1 | "
		"cut -d' ' -f2",
		s->dir, ending);
	f = popen(command, "r");
	assert_non_null(f);
	if (fgets(out, (int)size, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	(void)pclose(f);
}

static void flip_a_byte(const char *path)
{
	FILE *f = fopen(path, "r+");
	long at;
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	at = ftell(f) / 2;
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	(void)fputc(c ^ 1, f);
	assert_int_equal(fclose(f), 0);
}

static void scrub_finds_a_flipped_byte(void **state)
{
	struct test_server s;
	uint8_t *blob = random_bytes(8 * MB, 9);
	char token[64], out[4096], path[512];

	(void)state;
	start(&s, BASE);
	assert_int_equal(http_put(s.port, "", blob, 8 * MB, token), 201);
	assert_int_equal(http_put(s.port, "", blob, 1000, token), 201);
	assert_int_equal(server_stop(&s), 0);
	assert_int_equal(server_command(&s, "--scrub", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "2 blobs, 8389608 bytes, 0 damaged"));
	find_file(&s, ".sst", path, sizeof(path));
	if (path[0] == '\0')
		find_file(&s, ".pack", path, sizeof(path));
	assert_true(path[0] != '\0');
	flip_a_byte(path);
	assert_int_equal(server_command(&s, "--scrub", out, sizeof(out)), 3);
	assert_non_null(strstr(out, "damaged "));
	assert_non_null(strstr(out, "1 damaged"));
	free(blob);
	server_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_server_stops_promptly),
		cmocka_unit_test(idle_connections_are_closed_at_once),
		cmocka_unit_test(sigterm_lets_a_running_upload_finish),
		cmocka_unit_test(sigterm_lets_a_running_download_finish),
		cmocka_unit_test(new_connections_are_refused_while_stopping),
		cmocka_unit_test(a_stalled_upload_is_cut_after_the_grace),
		cmocka_unit_test(a_second_sigterm_stops_at_once),
		cmocka_unit_test(a_sighup_while_stopping_is_too_late_and_harms_nothing),
		cmocka_unit_test(a_reload_takes_up_live_settings_and_names_the_others),
		cmocka_unit_test(a_broken_file_leaves_the_settings_as_they_were),
		cmocka_unit_test(rotated_keys_mint_and_old_tokens_stay_good),
		cmocka_unit_test(a_data_directory_in_use_is_refused),
		cmocka_unit_test(listening_beyond_this_machine_is_refused),
		cmocka_unit_test(wrong_usage_is_exit_code_2),
		cmocka_unit_test(check_config_says_what_is_wrong),
		cmocka_unit_test(it_tells_about_itself),
		cmocka_unit_test(scrub_finds_a_flipped_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
