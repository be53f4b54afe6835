/* What restante_operator_ask() promises to programs: bounds, codes, what is the caller's. What the
 * commands make of it is tests/command/operator's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "restante/operator.h"

/* A socket at which each connection gets the same bytes, `again` times over the last ones. */
struct fixture {
	char path[64], asked[4096];
	int fd;
	pthread_t thread;
	const char *head, *piece; /* piece: NULL for none */
	size_t again;
	bool silent;
	struct restante_client *client;
	struct restante_error error;
	int status;
	char *body;
	size_t size;
};

static void hear(struct fixture *f, int fd)
{
	size_t n = 0;

	f->asked[0] = '\0';
	while (n < sizeof(f->asked) - 1 && strstr(f->asked, "\r\n\r\n") == NULL) {
		ssize_t k = read(fd, f->asked + n, sizeof(f->asked) - 1 - n);

		if (k <= 0)
			return;
		n += (size_t)k;
		f->asked[n] = '\0';
	}
}

static void answer(const struct fixture *f, int fd)
{
	char rest[256];

	if (send(fd, f->head, strlen(f->head), MSG_NOSIGNAL) < 0)
		return;
	for (size_t i = 0; i < f->again; i++)
		if (send(fd, f->piece, strlen(f->piece), MSG_NOSIGNAL) < 0)
			return;
	(void)shutdown(fd, SHUT_WR);
	while (read(fd, rest, sizeof(rest)) > 0)
		;
}

static void *serve(void *arg)
{
	struct fixture *f = arg;
	int fd;
	char c;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
		hear(f, fd);
		if (f->silent)
			(void)!read(fd, &c, 1); /* until the other goes */
		else
			answer(f, fd);
		(void)close(fd);
	}
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	assert_non_null(f);
	(void)snprintf(f->path, sizeof(f->path), "/tmp/restante-operator.%d", (int)getpid());
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", f->path);
	(void)unlink(f->path);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (const struct sockaddr *)(const void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(f->fd, 8), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	assert_int_equal(restante_operator_new(&f->client, f->path, &f->error), RESTANTE_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	restante_client_free(f->client);
	(void)shutdown(f->fd, SHUT_RDWR);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->fd);
	(void)unlink(f->path);
	free(f->body);
	free(f);
	return 0;
}

static enum restante_code ask(struct fixture *f, const char *head, const char *piece, size_t again)
{
	f->head = head;
	f->piece = piece;
	f->again = again;
	free(f->body);
	f->body = NULL;
	return restante_operator_ask(f->client, "GET", "/admin/status", &f->status, &f->body,
				     &f->size, &f->error);
}

/* ---- promises ---- */

static void an_answer_is_the_callers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "true", 1),
			 RESTANTE_OK);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->size, 4);
	assert_string_equal(f->body, "true");
	assert_non_null(strstr(f->asked, "GET /admin/status HTTP/1.1\r\n"));
	assert_non_null(strstr(f->asked, "Host: localhost\r\n"));
}

static void an_empty_answer_ends_with_a_nul_too(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "HTTP/1.1 204 No Content\r\n\r\n", NULL, 0), RESTANTE_OK);
	assert_int_equal(f->status, 204);
	assert_int_equal(f->size, 0);
	assert_string_equal(f->body, "");
}

static void a_refusal_is_an_answer_with_its_words(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f,
			     "HTTP/1.1 422 No\r\nContent-Type: application/problem+json\r\n"
			     "Content-Length: 2\r\n\r\n",
			     "{}", 1),
			 RESTANTE_OK);
	assert_int_equal(f->status, 422);
	assert_string_equal(f->body, "{}");
}

static void the_body_may_be_passed_over(void **state)
{
	struct fixture *f = *state;

	f->head = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n";
	f->piece = "{}";
	f->again = 1;
	assert_int_equal(restante_operator_ask(f->client, "POST", "/admin/stop", &f->status, NULL,
					       NULL, &f->error),
			 RESTANTE_OK);
	assert_int_equal(f->status, 202);
	assert_non_null(strstr(f->asked, "Content-Length: 0\r\n"));
}

static void an_answer_up_to_the_bound_is_taken(void **state)
{
	struct fixture *f = *state;
	char piece[4097];

	memset(piece, 'x', 4096);
	piece[4096] = '\0';
	assert_int_equal(ask(f, "HTTP/1.1 200 OK\r\n\r\n", piece, RESTANTE_OPERATOR_MAX / 4096),
			 RESTANTE_OK);
	assert_int_equal(f->size, RESTANTE_OPERATOR_MAX);
	assert_int_equal(strlen(f->body), RESTANTE_OPERATOR_MAX);
}

static void an_answer_without_end_is_refused(void **state)
{
	struct fixture *f = *state;
	char piece[4097];

	memset(piece, 'x', 4096);
	piece[4096] = '\0';
	assert_int_equal(ask(f, "HTTP/1.1 200 OK\r\n\r\n", piece, RESTANTE_OPERATOR_MAX / 4096 + 1),
			 RESTANTE_SERVER);
	assert_null(f->body);
}

static void what_is_no_answer_is_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "HELLO\r\n\r\n", NULL, 0), RESTANTE_SERVER);
	assert_int_equal(ask(f, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "half", 1),
			 RESTANTE_NETWORK);
	assert_int_equal(ask(f, "", NULL, 0), RESTANTE_NETWORK);
	assert_non_null(strstr(f->error.detail, f->path));
	assert_null(f->body);
}

static void redirections_are_answers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f,
			     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
			     "Content-Length: 0\r\n\r\n",
			     NULL, 0),
			 RESTANTE_OK);
	assert_int_equal(f->status, 302);
}

static void a_silence_is_waited_for_as_long_as_is_said(void **state)
{
	struct fixture *f = *state;

	f->silent = true;
	restante_client_set_stall(f->client, 300);
	assert_int_equal(ask(f, "", NULL, 0), RESTANTE_NETWORK);
	assert_non_null(strstr(f->error.detail, "silent"));
}

static void *cancel_soon(void *client)
{
	(void)usleep(200000);
	restante_cancel(client);
	return NULL;
}

static void waiting_is_cancelled_from_another_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t other;

	f->silent = true;
	restante_client_set_stall(f->client, UINT32_MAX);
	assert_int_equal(pthread_create(&other, NULL, cancel_soon, f->client), 0);
	assert_int_equal(ask(f, "", NULL, 0), RESTANTE_CANCELLED);
	(void)pthread_join(other, NULL);
}

static void misuse_is_a_code(void **state)
{
	struct fixture *f = *state;
	struct restante_client *none = NULL;
	char longer[200];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(restante_operator_new(&none, longer, &f->error), RESTANTE_INVALID);
	assert_int_equal(restante_operator_new(&none, "", &f->error), RESTANTE_INVALID);
	assert_int_equal(restante_operator_new(NULL, "x", &f->error), RESTANTE_MISUSE);
	assert_null(none);
	assert_int_equal(
		restante_operator_ask(f->client, "GET\r\nX: y", "/", &f->status, NULL, NULL, NULL),
		RESTANTE_MISUSE);
	assert_int_equal(restante_operator_ask(f->client, "GET", "/", NULL, NULL, NULL, NULL),
			 RESTANTE_MISUSE);
	assert_int_equal(
		restante_operator_ask(f->client, "GET", "/", &f->status, &f->body, NULL, NULL),
		RESTANTE_MISUSE);
	assert_int_equal(
		restante_operator_ask(f->client, "GET", "no path", &f->status, NULL, NULL, NULL),
		RESTANTE_INVALID);
}

static void the_environments_proxy_is_not_asked(void **state)
{
	struct fixture *f = *state;

	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(ask(f, "HTTP/1.1 204 No Content\r\n\r\n", NULL, 0), RESTANTE_OK);
	(void)unsetenv("http_proxy");
}

#define PROMISE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE(an_answer_is_the_callers),
		PROMISE(an_empty_answer_ends_with_a_nul_too),
		PROMISE(a_refusal_is_an_answer_with_its_words),
		PROMISE(the_body_may_be_passed_over),
		PROMISE(an_answer_up_to_the_bound_is_taken),
		PROMISE(an_answer_without_end_is_refused),
		PROMISE(what_is_no_answer_is_told),
		PROMISE(redirections_are_answers),
		PROMISE(a_silence_is_waited_for_as_long_as_is_said),
		PROMISE(waiting_is_cancelled_from_another_thread),
		PROMISE(misuse_is_a_code),
		PROMISE(the_environments_proxy_is_not_asked),
	};

	return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
