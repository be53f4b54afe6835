/* The log and the access log of a real server: what is in them, where they go, and that nobody
 * waits for them. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/client.h"
#include "tests/lib/server.h"

struct fixture {
	struct test_server server;
	char log[128], access[128];
	char config[1024];
};

/* The folder is known once it is there, so the server starts twice. */
static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	server_start(&f->server, NULL);
	(void)server_stop(&f->server);
	(void)snprintf(f->log, sizeof(f->log), "%s/restante.log", f->server.dir);
	(void)snprintf(f->access, sizeof(f->access), "%s/access.log", f->server.dir);
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	server_remove(&f->server);
	free(f);
	return 0;
}

static void configure(struct fixture *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void configure(struct fixture *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->config, sizeof(f->config), fmt, ap);
	va_end(ap);
	server_configure(&f->server, f->config);
}

static char *text_of(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *in = fopen(path, "r");

	if (in != NULL) {
		(void)!fread(text, 1, (1 << 16) - 1, in);
		(void)fclose(in);
	}
	return text;
}

static int count_in(const char *path, const char *what)
{
	char *text = text_of(path);
	int n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	free(text);
	return n;
}

/* Lines come by and by. */
static bool comes_to(const char *path, const char *what, int count)
{
	for (int t = 0; t < 5000; t += 20) {
		if (count_in(path, what) >= count)
			return count_in(path, what) == count;
		client_nap(20);
	}
	(void)fprintf(stderr, "\"%s\" %d times, not %d, in %s\n", what, count_in(path, what), count,
		      path);
	return false;
}

static void reload(struct fixture *f)
{
	(void)kill(f->server.pid, SIGHUP);
}

static int health(const struct fixture *f)
{
	return http_status(f->server.port, "GET", "/healthz", "");
}

/* ---- the access log ---- */

static void every_request_has_its_line(void **state)
{
	struct fixture *f = *state;
	struct placed p;
	struct client *c;
	struct answer a;
	uint8_t blob[5000];

	configure(f, "log { access = \"%s\"; }", f->access);
	server_again(&f->server);
	fill_random(blob, sizeof(blob), 1);
	assert_int_equal(http_place(f->server.port, "?ttl=1h", blob, sizeof(blob), &p), 201);
	assert_true(http_has(f->server.port, p.token, blob, sizeof(blob)));
	assert_int_equal(http_status(f->server.port, "HEAD", "/v1/media/", p.token), 200);
	assert_int_equal(http_status(f->server.port, "GET", "/v1/media/", "nonsense"), 404);
	assert_int_equal(http_status(f->server.port, "GET", "/no/such/path", ""), 404);
	assert_int_equal(http_status(f->server.port, "BREW", "/healthz", ""), 501);
	assert_int_equal(http_status(f->server.port, "DELETE", "/v1/media/", p.manage), 204);
	c = client_open(f->server.port); /* several on one connection */
	for (int i = 0; i < 3; i++) {
		assert_true(client_sendf(c, "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
		client_answer(c, false, &a, NULL);
		answer_free(&a);
	}
	client_close(c);
	assert_true(comes_to(f->access, "\"GET /healthz HTTP/1.1\" 200 3 0.", 3));
	assert_true(comes_to(f->access, "\"PUT /v1/media HTTP/1.1\" 201 ", 1));
	assert_true(comes_to(f->access, "\"GET /v1/media/* HTTP/1.1\" 200 5000 0.", 1));
	assert_true(comes_to(f->access, "\"HEAD /v1/media/* HTTP/1.1\" 200 - 0.", 1));
	assert_true(comes_to(f->access, "\"GET /v1/media/* HTTP/1.1\" 404 ", 1));
	assert_true(comes_to(f->access, "\"GET none HTTP/1.1\" 404 ", 1));
	assert_true(comes_to(f->access, "\"other /healthz HTTP/1.1\" 501 ", 1));
	assert_true(comes_to(f->access, "\"DELETE /v1/media/* HTTP/1.1\" 204 0 0.", 1));
	assert_true(comes_to(f->access, "\n", 10));
	assert_true(comes_to(f->access, "- - - [", 10));
	assert_int_equal(count_in(f->access, "127.0.0."), 0);
}

static void one_that_is_broken_off_has_a_line_too(void **state)
{
	struct fixture *f = *state;
	struct client *c;

	configure(f, "log { access = \"%s\"; }", f->access);
	server_again(&f->server);
	c = client_open(f->server.port);
	assert_true(client_sendf(
		c, "PUT /v1/media HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf"));
	client_nap(100);
	client_close(c);
	assert_true(comes_to(f->access, "\"PUT /v1/media HTTP/1.1\" 499 - 0.", 1));
	assert_true(comes_to(f->access, "\n", 1));
}

/* A client that goes in the middle of an answer. */
static void bytes_not_all_sent_are_not_told(void **state)
{
	const size_t n = 30 << 20;
	struct fixture *f = *state;
	uint8_t *blob = malloc(n);
	struct client *c;
	char token[52];

	configure(f, "log { access = \"%s\"; }", f->access);
	server_again(&f->server);
	fill_random(blob, n, 2);
	assert_int_equal(http_put(f->server.port, "?ttl=1h", blob, n, token), 201);
	free(blob);
	c = client_open(f->server.port);
	assert_true(client_sendf(c, "GET /v1/media/%s HTTP/1.1\r\nHost: t\r\n\r\n", token));
	assert_true(client_peek(c, 5000) > 0);
	client_reset(c);
	assert_true(comes_to(f->access, "\"GET /v1/media/* HTTP/1.1\" 200 - ", 1));
}

static void addresses_stand_there_when_they_are_asked_for(void **state)
{
	struct fixture *f = *state;
	struct client *c;
	struct answer a;

	configure(f, "log { access = \"%s\"; access_address = true; }", f->access);
	server_again(&f->server);
	c = client_open_from(f->server.port, "127.0.0.77");
	assert_true(client_sendf(c, "GET /healthz HTTP/1.0\r\nHost: t\r\n\r\n"));
	client_answer(c, false, &a, NULL);
	answer_free(&a);
	client_close(c);
	assert_true(comes_to(f->access, "127.0.0.77 - - [", 1));
	assert_true(comes_to(f->access, "\"GET /healthz HTTP/1.0\" 200 3 ", 1));
	(void)server_metric(&f->server, "restante_ready"); /* over a Unix socket */
	assert_true(comes_to(f->access, "\n- - - [", 1));
}

static void it_can_go_where_the_log_goes(void **state)
{
	struct fixture *f = *state;

	configure(f, "log { file = \"%s\"; access = \"-\"; }", f->log);
	server_again(&f->server);
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->log, "- - - [", 1));
	assert_true(comes_to(f->log, " event=ready ", 1));
}

/* ---- SIGHUP ---- */

static void files_are_opened_anew_on_sighup(void **state)
{
	struct fixture *f = *state;
	char old_log[160], old_access[160];

	configure(f, "log { file = \"%s\"; access = \"%s\"; }", f->log, f->access);
	server_again(&f->server);
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "healthz", 1));
	assert_true(comes_to(f->log, "event=ready", 1));
	(void)snprintf(old_log, sizeof(old_log), "%s.1", f->log);
	(void)snprintf(old_access, sizeof(old_access), "%s.1", f->access);
	assert_int_equal(rename(f->log, old_log), 0);
	assert_int_equal(rename(f->access, old_access), 0);
	reload(f);
	assert_true(comes_to(f->log, "event=reloaded", 1));
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "healthz", 1));
	assert_int_equal(count_in(old_access, "healthz"), 1);
	assert_int_equal(count_in(old_log, "event=reloaded"), 0);
	assert_int_equal(server_stop(&f->server), 0);
	assert_true(comes_to(f->log, "event=stopped", 1));
}

static void settings_of_the_logs_are_taken_up_on_sighup(void **state)
{
	struct fixture *f = *state;

	/* the sandbox lets it into the folders that were named at the start */
	configure(f, "log { level = error; file = \"%s/first.log\"; }", f->server.dir);
	server_again(&f->server);
	assert_int_equal(health(f), 200);
	configure(f, "log { file = \"%s\"; access = \"%s\"; }", f->log, f->access);
	reload(f);
	assert_true(comes_to(f->log, "event=reloaded", 1));
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "\n", 1));
	configure(f, "log { file = \"%s\"; }", f->log);
	reload(f);
	assert_true(comes_to(f->log, "event=reloaded", 2));
	assert_int_equal(health(f), 200);
	configure(f, "log { access = \"%s\"; }", f->access);
	reload(f);
	assert_true(server_logs(&f->server, "event=reloaded", 5000));
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "\n", 2));
}

static void a_file_that_cannot_be_opened_is_said(void **state)
{
	struct fixture *f = *state;
	char *log;

	configure(f, "log { file = \"%s/none/log\"; }", f->server.dir);
	assert_int_equal(server_try(&f->server), 1);
	log = server_log(&f->server);
	assert_non_null(strstr(log, "none/log: "));
	free(log);
	configure(f, "log { file = \"%s\"; access = \"%s\"; }", f->log, f->access);
	server_again(&f->server);
	configure(f, "log { file = \"%s\"; access = \"%s/none/log\"; }", f->log, f->server.dir);
	reload(f);
	assert_true(comes_to(f->log, "event=reload_failed what=log", 1));
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "healthz", 1)); /* as it was */
}

/* Whatever it is: the second is found before there is a log. */
static void a_start_that_fails_is_said_in_the_log_file(void **state)
{
	struct fixture *f = *state;
	char was[128], line[512];

	(void)snprintf(was, sizeof(was), "%s/data/store", f->server.dir);
	(void)snprintf(line, sizeof(line), "mv %s %s.was && echo >%s", was, was, was);
	assert_int_equal(system(line), 0);
	configure(f, "log { file = \"%s\"; }", f->log);
	assert_int_equal(server_try(&f->server), 1);
	assert_true(comes_to(f->log, "event=start_failed", 1));
	(void)snprintf(line, sizeof(line), "rm %s && mv %s.was %s", was, was, was);
	assert_int_equal(system(line), 0);
	f->server.options.listen = "0.0.0.0:0";
	assert_int_equal(server_try(&f->server), 2);
	assert_true(comes_to(f->log, "open to other machines", 1));
	f->server.options.listen = NULL;
	server_again(&f->server);
	assert_int_equal(health(f), 200);
}

/* ---- nobody waits for a log ---- */

static void a_full_disk_costs_lines_and_nothing_else(void **state)
{
	struct fixture *f = *state;

	configure(f, "log { file = \"%s\"; access = /dev/full; }", f->log);
	server_again(&f->server);
	for (int i = 0; i < 50; i++)
		assert_int_equal(health(f), 200);
	assert_true(comes_to(f->log, "event=log_failed log=access error=\"No space left", 1));
	for (int t = 0; t < 100 && server_metric(&f->server, "restante_log_lost_lines_total") < 50;
	     t++)
		client_nap(50);
	assert_true(server_metric(&f->server, "restante_log_lost_lines_total") >= 50);
	configure(f, "log { file = \"%s\"; access = \"%s\"; }", f->log, f->access);
	reload(f);
	assert_true(comes_to(f->log, "event=reloaded", 1));
	assert_int_equal(health(f), 200);
	assert_true(comes_to(f->access, "healthz", 1));
	assert_true(comes_to(f->log, "event=log_lost log=access lines=", 1));
}

static void a_log_on_a_full_disk_is_said_on_standard_error(void **state)
{
	struct fixture *f = *state;

	configure(f, "log { file = /dev/full; }");
	server_again(&f->server);
	assert_int_equal(health(f), 200);
	assert_true(
		server_logs(&f->server, "event=log_failed log=log error=\"No space left", 5000));
	assert_int_equal(health(f), 200);
}

/* Its reader holds the log open and does not read: neither requests nor the end wait for it. */
static void a_reader_that_does_not_read_stops_nobody(void **state)
{
	struct fixture *f = *state;
	int fd, n = 0;
	char *page, *p;

	assert_int_equal(mkfifo(f->access, 0600), 0);
	fd = open(f->access, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	configure(f, "log { access = \"%s\"; }", f->access);
	server_again(&f->server);
	for (; n < 3000; n++) { /* more than the pipe holds */
		if (n % 100 != 0)
			assert_int_equal(health(f), 200);
	}
	page = calloc(1, 1 << 20);
	(void)!read(fd, page, (1 << 20) - 1);
	p = strchr(page, '\n');
	assert_non_null(p);
	*p = '\0';
	assert_non_null(strstr(page, "\"GET /healthz HTTP/1.1\" 200 3 "));
	free(page);
	assert_int_equal(server_stop(&f->server), 0);
	(void)close(fd);
}

/* ---- the journal ---- */

static void levels_go_before_lines_in_the_journal(void **state)
{
	struct fixture *f = *state;
	char path[160], name[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/log", f->server.dir);
	assert_int_equal(stat(path, &st), 0);
	(void)snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	(void)setenv("JOURNAL_STREAM", name, 1);
	configure(f, "log { access = \"-\"; }");
	server_again(&f->server);
	assert_int_equal(health(f), 200);
	assert_true(server_logs(&f->server, "\n<6>- - - [", 5000));
	assert_true(server_logs(&f->server, " level=info event=ready", 5000));
	assert_true(server_logs(&f->server, "\n<6>time=", 5000));
	assert_int_equal(server_stop(&f->server), 0);
	(void)setenv("JOURNAL_STREAM", "1:1", 1); /* another's */
	configure(f, "log { file = \"%s\"; }", f->log);
	server_again(&f->server);
	assert_true(comes_to(f->log, "event=ready", 1));
	assert_int_equal(count_in(f->log, "<6>"), 0);
	(void)unsetenv("JOURNAL_STREAM");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_request_has_its_line),
		TEST(one_that_is_broken_off_has_a_line_too),
		TEST(bytes_not_all_sent_are_not_told),
		TEST(addresses_stand_there_when_they_are_asked_for),
		TEST(it_can_go_where_the_log_goes),
		TEST(files_are_opened_anew_on_sighup),
		TEST(settings_of_the_logs_are_taken_up_on_sighup),
		TEST(a_file_that_cannot_be_opened_is_said),
		TEST(a_start_that_fails_is_said_in_the_log_file),
		TEST(a_full_disk_costs_lines_and_nothing_else),
		TEST(a_log_on_a_full_disk_is_said_on_standard_error),
		TEST(a_reader_that_does_not_read_stops_nobody),
		TEST(levels_go_before_lines_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
