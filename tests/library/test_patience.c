/* transport - waiting for a body, for a server, for something else; and being stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/library/story.h"

/* ---- waiting ---- */

/* One that waits at `at`, for longer than the stall. */
static void waits_and_goes_on(size_t at, int64_t size)
{
	const struct exchange_request rq = { .method = "POST", .body_size = size };
	const struct fake_request *r;
	struct story s;

	tell(&s, fine, NULL);
	transport_set_stall(s.t, 100);
	s.size = 100000;
	s.pause_at = at;
	begin(&s, &rq);
	for (int64_t until = clock_mono_ms() + 200; clock_mono_ms() < until;)
		assert_int_equal(transport_run(s.t, 50, -1, NULL, &s.error), RESTANTE_OK);
	assert_int_equal(exchange_state(s.x), EXCHANGE_RUNS);
	assert_true(s.paused);
	assert_true(s.given < s.size);
	exchange_go_on(s.x);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	r = fake_asked(s.fake, 0);
	assert_true(is_ours((struct bytes){ r->body, r->body_len }, 100000));
	end(&s);
}

static void a_body_that_waits_goes_on_when_told(void **state)
{
	(void)state;
	waits_and_goes_on(50000, BODY_UNKNOWN);
	waits_and_goes_on(0, BODY_UNKNOWN);
	waits_and_goes_on(0, 100000);
}

static void waiting_for_a_body_costs_no_time_of_the_processor(void **state)
{
	const struct exchange_request rq = { .method = "POST", .body_size = BODY_UNKNOWN };
	struct story s;
	int rounds = 0;

	(void)state;
	tell(&s, fine, NULL);
	s.size = 1000;
	s.pause_at = 500;
	s.step = 500;
	begin(&s, &rq);
	for (int64_t until = clock_mono_ms() + 300; clock_mono_ms() < until; rounds++)
		assert_int_equal(transport_run(s.t, 100, -1, NULL, &s.error), RESTANTE_OK);
	assert_in_range(rounds, 2, 50);
	end(&s);
}

static void hangs(struct fake_request *r, void *ctx)
{
	if (ctx != NULL)
		fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	fake_hang(r);
}

static void a_silent_server_is_broken_off(void **state)
{
	struct story s;
	int64_t began;

	(void)state;
	for (int i = 0; i < 2; i++) {
		tell(&s, hangs, i == 0 ? NULL : &s);
		transport_set_stall(s.t, 150);
		began = clock_mono_ms();
		(void)get(&s);
		assert_failed(&s, RESTANTE_NETWORK);
		assert_in_range(clock_mono_ms() - began, 140, 2000);
		end(&s);
	}
}

static void a_server_that_takes_nothing_is_broken_off(void **state)
{
	struct story s;

	(void)state;
	tell(&s, hangs, NULL);
	transport_set_stall(s.t, 150);
	(void)ask(&s, "PUT", 64 * MB);
	assert_failed(&s, RESTANTE_NETWORK);
	end(&s);
}

static void slowly(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
	for (int i = 0; i < 12; i++) {
		fake_nap(r, 50);
		fake_printf(r, "x");
	}
}

static void a_slow_server_is_not(void **state)
{
	struct story s;

	(void)state;
	tell(&s, slowly, NULL);
	transport_set_stall(s.t, 500);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	assert_true(text_is(&s, "xxxxxxxxxxxx"));
	end(&s);
}

static void late(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_nap(r, 550);
	fake_answer(r, 204, "", NULL);
}

static void time_spent_elsewhere_is_not_the_servers(void **state)
{
	const struct exchange_request rq = { .method = "GET", .body_size = BODY_NONE };
	struct story s;

	(void)state;
	tell(&s, late, NULL);
	transport_set_stall(s.t, 350);
	begin(&s, &rq);
	while (fake_count(s.fake) == 0)
		assert_int_equal(transport_run(s.t, 5, -1, NULL, &s.error), RESTANTE_OK);
	client_nap(400);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	end(&s);
}

static void another_descriptor_wakes_it(void **state)
{
	struct story s;
	bool readable = true;
	int64_t began;
	int fds[2];

	(void)state;
	tell(&s, fine, NULL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(transport_run(s.t, 20, fds[0], &readable, &s.error), RESTANTE_OK);
	assert_false(readable);
	assert_int_equal(write(fds[1], "x", 1), 1);
	began = clock_mono_ms();
	assert_int_equal(transport_run(s.t, 5000, fds[0], &readable, &s.error), RESTANTE_OK);
	assert_true(readable);
	assert_int_equal(read(fds[0], &readable, 1), 1);
	/* its end does too */
	(void)close(fds[1]);
	readable = false;
	assert_int_equal(transport_run(s.t, 5000, fds[0], &readable, &s.error), RESTANTE_OK);
	assert_true(readable);
	assert_true(clock_mono_ms() - began < 1000);
	(void)close(fds[0]);
	end(&s);
}

/* ---- stopping ---- */

static int64_t cancelled_at;
static struct transport *to_cancel;

static void *cancel_soon(void *arg)
{
	client_nap(50);
	cancelled_at = clock_mono_ms();
	transport_cancel(arg);
	return NULL;
}

static void cancel_from_another_thread_is_prompt(void **state)
{
	const struct exchange_request rq = { .method = "GET", .body_size = BODY_NONE };
	struct story s;
	pthread_t thread;
	enum restante_code rc = RESTANTE_OK;
	int64_t now;

	(void)state;
	tell(&s, hangs, NULL);
	begin(&s, &rq);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, s.t), 0);
	while (rc == RESTANTE_OK)
		rc = transport_run(s.t, 10000, -1, NULL, &s.error);
	now = clock_mono_ms();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(rc, RESTANTE_CANCELLED);
	assert_in_range(now - cancelled_at, 0, 100);
	assert_true(transport_cancelled(s.t));
	/* and it stays so */
	assert_int_equal(transport_run(s.t, 10000, -1, NULL, &s.error), RESTANTE_CANCELLED);
	assert_true(clock_mono_ms() - now < 100);
	end(&s);
}

static void on_alarm(int signal)
{
	(void)signal;
	transport_cancel(to_cancel);
}

static void cancel_from_a_signal_handler_ends_a_busy_upload(void **state)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	const struct exchange_request rq = { .method = "PUT", .body_size = BODY_UNKNOWN };
	struct sigaction sa = { .sa_handler = on_alarm }, before;
	struct story s;
	enum restante_code rc = RESTANTE_OK;
	int64_t began = clock_mono_ms();

	(void)state;
	tell(&s, hangs, NULL);
	s.size = SIZE_MAX;
	to_cancel = s.t;
	assert_int_equal(sigaction(SIGALRM, &sa, &before), 0);
	begin(&s, &rq);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	while (rc == RESTANTE_OK)
		rc = transport_run(s.t, 10000, -1, NULL, &s.error);
	assert_int_equal(rc, RESTANTE_CANCELLED);
	assert_in_range(clock_mono_ms() - began, 50, 1000);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
	end(&s);
}

static void what_runs_ends_with_the_transport(void **state)
{
	const struct exchange_request rq = { .method = "GET", .body_size = BODY_NONE };
	struct story s;

	(void)state;
	tell(&s, hangs, NULL);
	begin(&s, &rq);
	assert_int_equal(transport_run(s.t, 20, -1, NULL, &s.error), RESTANTE_OK);
	transport_free(s.t);
	s.t = NULL;
	assert_failed(&s, RESTANTE_CANCELLED);
	end(&s);
}

static void several_run_at_once(void **state)
{
	struct exchange_request rq = { .method = "PUT", .body_size = MB, .body = body };
	struct exchange *x[8];
	struct story s[8], first;
	char *url;
	bool runs = true;

	(void)state;
	tell(&first, fine, NULL);
	assert_int_equal(transport_url(first.t, "/v1/part", &url, NULL), RESTANTE_OK);
	rq.url = url;
	for (int i = 0; i < 8; i++) {
		s[i] = (struct story){ .size = MB, .step = 10000, .pause_at = SIZE_MAX };
		rq.ctx = &s[i];
		assert_int_equal(exchange_begin(first.t, &x[i], &rq, NULL), RESTANTE_OK);
	}
	free(url);
	while (runs) {
		assert_int_equal(transport_run(first.t, 1000, -1, NULL, NULL), RESTANTE_OK);
		runs = false;
		for (int i = 0; i < 8; i++)
			runs = runs || exchange_state(x[i]) == EXCHANGE_RUNS;
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(exchange_state(x[i]), EXCHANGE_ANSWERED);
		exchange_end(x[i]);
		assert_int_equal(fake_asked(first.fake, i)->body_len, MB);
	}
	end(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_that_waits_goes_on_when_told),
		cmocka_unit_test(waiting_for_a_body_costs_no_time_of_the_processor),
		cmocka_unit_test(a_silent_server_is_broken_off),
		cmocka_unit_test(a_server_that_takes_nothing_is_broken_off),
		cmocka_unit_test(a_slow_server_is_not),
		cmocka_unit_test(time_spent_elsewhere_is_not_the_servers),
		cmocka_unit_test(another_descriptor_wakes_it),
		cmocka_unit_test(cancel_from_another_thread_is_prompt),
		cmocka_unit_test(cancel_from_a_signal_handler_ends_a_busy_upload),
		cmocka_unit_test(what_runs_ends_with_the_transport),
		cmocka_unit_test(several_run_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
