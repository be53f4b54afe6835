/* transport - what is sent, and what counts as an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/library/story.h"

/* ---- what is sent ---- */

static void a_request_carries_what_it_was_given_and_no_more(void **state)
{
	static const struct exchange_request rq = { .method = "PATCH",
						    .body_size = 300000,
						    .fields = { "Upload-Offset: 7" } };
	const struct fake_request *r;
	struct story s;
	char value[128];

	(void)state;
	tell(&s, fine, NULL);
	s.size = 300000;
	begin(&s, &rq);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	assert_true(text_is(&s, "hello"));
	r = fake_asked(s.fake, 0);
	assert_string_equal(r->method, "PATCH");
	assert_string_equal(r->target, "/v1/thing?a=b");
	assert_true(is_ours((struct bytes){ r->body, r->body_len }, 300000));
	assert_true(fake_field(r, "Upload-Offset", value, sizeof(value)));
	assert_string_equal(value, "7");
	assert_true(fake_field(r, "Content-Length", value, sizeof(value)));
	assert_string_equal(value, "300000");
	assert_true(fake_field(r, "User-Agent", value, sizeof(value)));
	assert_memory_equal(value, "restante/", 9);
	assert_false(fake_field(r, "Expect", value, sizeof(value)));
	assert_false(fake_field(r, "Accept-Encoding", value, sizeof(value)));
	assert_false(fake_field(r, "Transfer-Encoding", value, sizeof(value)));
	assert_false(fake_field(r, "Content-Type", value, sizeof(value)));
	assert_false(fake_field(r, "Authorization", value, sizeof(value)));
	end(&s);
}

static void a_body_without_a_length_is_chunked(void **state)
{
	const struct fake_request *r;
	struct story s;
	char value[64];

	(void)state;
	tell(&s, fine, NULL);
	s.size = 3 * MB + 17;
	assert_int_equal(ask(&s, "POST", BODY_UNKNOWN), EXCHANGE_ANSWERED);
	r = fake_asked(s.fake, 0);
	assert_true(fake_field(r, "Transfer-Encoding", value, sizeof(value)));
	assert_true(r->body_whole);
	assert_true(is_ours((struct bytes){ r->body, r->body_len }, 3 * MB + 17));
	end(&s);
}

static void a_post_without_a_body_says_so(void **state)
{
	static const int64_t without[] = { BODY_NONE, 0 };
	struct story s;
	char value[64];

	(void)state;
	tell(&s, fine, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(&s, "POST", without[i]), EXCHANGE_ANSWERED);
		assert_true(
			fake_field(fake_asked(s.fake, i), "Content-Length", value, sizeof(value)));
		assert_string_equal(value, "0");
	}
	assert_int_equal(ask(&s, "DELETE", BODY_NONE), EXCHANGE_ANSWERED);
	assert_string_equal(fake_asked(s.fake, 2)->method, "DELETE");
	assert_false(fake_field(fake_asked(s.fake, 2), "Content-Length", value, sizeof(value)));
	/* all on one connection */
	assert_int_equal(fake_asked(s.fake, 2)->connection, 0);
	end(&s);
}

static void a_body_that_ends_early_is_not_taken_for_whole(void **state)
{
	const struct exchange_request rq = { .method = "PUT", .body_size = 50000 };
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	s.size = 40000;
	begin(&s, &rq);
	run(&s);
	assert_failed(&s, RESTANTE_CANCELLED);
	assert_true(fake_reaches(s.fake, 1, 3000));
	assert_false(fake_asked(s.fake, 0)->body_whole);
	end(&s);
}

static void a_chunked_body_that_is_given_up_is_not_taken_for_whole(void **state)
{
	const struct exchange_request rq = { .method = "PUT", .body_size = BODY_UNKNOWN };
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	s.size = 40000;
	s.stops = true;
	begin(&s, &rq);
	run(&s);
	assert_failed(&s, RESTANTE_CANCELLED);
	assert_true(fake_reaches(s.fake, 1, 3000));
	assert_false(fake_asked(s.fake, 0)->body_whole);
	end(&s);
}

static void a_line_end_in_a_field_is_refused(void **state)
{
	struct exchange_request rq = { .method = "GET",
				       .body_size = BODY_NONE,
				       .fields = { "If-Range: \"a\"\r\nX: y" } };
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	rq.url = fake_url(s.fake);
	assert_int_equal(exchange_begin(s.t, &s.x, &rq, &s.error), RESTANTE_INVALID);
	end(&s);
}

/* ---- what counts as an answer ---- */

static void fields_and_text_of_the_answer_are_there(void **state)
{
	struct story s;

	(void)state;
	tell(&s, fine, NULL);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	assert_int_equal(exchange_status(s.x), 200);
	assert_string_equal(exchange_field(s.x, "x-oNE"), "first");
	assert_null(exchange_field(s.x, "X-On"));
	assert_null(exchange_field(s.x, "X-One: "));
	assert_int_equal(ask(&s, "HEAD", BODY_NONE), EXCHANGE_ANSWERED);
	assert_string_equal(exchange_field(s.x, "Content-Length"), "5");
	assert_int_equal(exchange_text(s.x).len, 0);
	end(&s);
}

static void interim_then_final(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_printf(r, "HTTP/1.1 104 Upload Resumption Supported\r\nX-One: interim\r\n\r\n"
		       "HTTP/1.1 103 Early Hints\r\nX-Two: interim\r\n\r\n");
	(void)fake_body(r);
	fake_printf(r, "HTTP/1.1 200 OK\r\nX-Three: final\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "2\r\nok\r\n0\r\nX-Four: trailer\r\n\r\n");
}

static void only_the_final_answer_counts(void **state)
{
	const struct exchange_request rq = { .method = "POST", .body_size = 5, .head = on_head };
	struct story s;

	(void)state;
	tell(&s, interim_then_final, NULL);
	s.size = 5;
	begin(&s, &rq);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	assert_int_equal(s.heads, 1);
	assert_null(exchange_field(s.x, "X-One"));
	assert_null(exchange_field(s.x, "X-Two"));
	assert_string_equal(exchange_field(s.x, "X-Three"), "final");
	assert_null(exchange_field(s.x, "X-Four"));
	assert_true(text_is(&s, "ok"));
	end(&s);
}

static void elsewhere(struct fake_request *r, void *ctx)
{
	(void)ctx;
	fake_answer(r, 302, "Location: /v1/other\r\n", "");
}

static void a_redirection_is_not_followed(void **state)
{
	struct story s;

	(void)state;
	tell(&s, elsewhere, NULL);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	assert_int_equal(exchange_status(s.x), 302);
	assert_int_equal(fake_count(s.fake), 1);
	end(&s);
}

static void broken(struct fake_request *r, void *ctx)
{
	fake_printf(r, "%s", (const char *)ctx);
	fake_close(r);
}

static void a_truncated_answer_is_a_failure(void **state)
{
	static const char *const answers[] = {
		"",
		"HTTP/1.1 200 O",
		"HTTP/1.1 200 OK\r\nX: y\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	};
	struct story s;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s", answers[i]);
		tell(&s, broken, text);
		(void)get(&s);
		assert_failed(&s, RESTANTE_NETWORK);
		end(&s);
	}
}

static void what_is_not_http_is_no_answer(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	};
	struct story s;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s", answers[i]);
		tell(&s, broken, text);
		assert_int_equal(get(&s), EXCHANGE_FAILED);
		assert_int_not_equal(exchange_error(s.x)->code, RESTANTE_OK);
		end(&s);
	}
}

static void much_head(struct fake_request *r, void *ctx)
{
	char line[1000];

	(void)ctx;
	memset(line, 'x', sizeof(line));
	fake_printf(r, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
	for (int i = 0; i < 100; i++)
		fake_printf(r, "X-%d: %.*s\r\n", i, (int)sizeof(line), line);
	fake_printf(r, "\r\n");
}

static void a_head_without_end_is_not_kept(void **state)
{
	struct story s;

	(void)state;
	tell(&s, much_head, NULL);
	(void)get(&s);
	assert_failed(&s, RESTANTE_SERVER);
	end(&s);
}

static void much_text(struct fake_request *r, void *ctx)
{
	uint8_t *text = calloc(1, MB);

	(void)ctx;
	fake_answer_bytes(r, 200, "", text, MB);
	free(text);
}

static void of_a_long_answer_the_beginning_is_kept_or_all_is_passed_on(void **state)
{
	const struct exchange_request rq = { .method = "GET",
					     .body_size = BODY_NONE,
					     .data = on_data };
	struct story s;

	(void)state;
	tell(&s, much_text, NULL);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	assert_int_equal(exchange_text(s.x).len, 65536);
	begin(&s, &rq);
	assert_int_equal(run(&s), EXCHANGE_ANSWERED);
	assert_int_equal(s.heard, MB);
	assert_int_equal(exchange_text(s.x).len, 0);
	end(&s);
}

static void talks(struct fake_request *r, void *ctx)
{
	static const char words[65536];

	fake_printf(r, "HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n", (const char *)ctx);
	for (int i = 0; i < 40; i++) {
		fake_printf(r, "10000\r\n");
		fake_send(r, words, sizeof(words));
		fake_printf(r, "\r\n");
	}
	fake_hang(r);
}

static void an_answer_without_end_that_nobody_wants_is_given_up(void **state)
{
	static const struct exchange_request ways[] = {
		{ .method = "GET", .body_size = BODY_NONE },
		{ .method = "GET", .body_size = BODY_NONE, .data = on_data },
	};
	static char statuses[2][32] = { "200 OK", "404 Not Found" };
	struct story s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		tell(&s, talks, statuses[i]);
		transport_set_stall(s.t, 500);
		begin(&s, &ways[i]);
		(void)run(&s);
		assert_failed(&s, RESTANTE_SERVER);
		assert_int_equal(s.heard, 0);
		end(&s);
	}
}

static void interim_answers(struct fake_request *r, void *ctx)
{
	for (int i = 0; i < *(const int *)ctx; i++)
		fake_printf(r, "HTTP/1.1 103 Early Hints\r\nX-One: %d\r\n\r\n", i);
	fake_answer(r, 200, "", "ok");
}

static void interim_answers_have_an_end(void **state)
{
	struct story s;
	int many = 64;

	(void)state;
	tell(&s, interim_answers, &many);
	assert_int_equal(get(&s), EXCHANGE_ANSWERED);
	assert_true(text_is(&s, "ok"));
	end(&s);
	many++;
	tell(&s, interim_answers, &many);
	(void)get(&s);
	assert_failed(&s, RESTANTE_SERVER);
	end(&s);
}

static void a_caller_may_break_off_at_the_head_and_at_the_data(void **state)
{
	const struct exchange_request rq = {
		.method = "GET", .body_size = BODY_NONE, .head = on_head, .data = on_data
	};
	struct story s;

	(void)state;
	tell(&s, much_text, NULL);
	s.refuse_head = true;
	begin(&s, &rq);
	(void)run(&s);
	assert_failed(&s, RESTANTE_CANCELLED);
	assert_int_equal(exchange_status(s.x), 200);
	assert_int_equal(s.heard, 0);
	s.refuse_head = false;
	s.refuse_data = true;
	begin(&s, &rq);
	(void)run(&s);
	assert_failed(&s, RESTANTE_CANCELLED);
	assert_in_range(s.heard, 1, MB - 1);
	end(&s);
}

/* ---- early answers ---- */

static void refuse_and_keep(struct fake_request *r, void *ctx)
{
	(void)ctx;
	(void)fake_read(r, 100);
	fake_answer(r, 413, "Content-Type: text/plain\r\n", "too much");
}

static void refuse_and_close(struct fake_request *r, void *ctx)
{
	(void)ctx;
	(void)fake_read(r, 100);
	fake_answer(r, 413, "Connection: close\r\n", "too much");
}

static void refuse_and_reset(struct fake_request *r, void *ctx)
{
	refuse_and_close(r, ctx);
	fake_nap(r, 100);
	fake_reset(r);
}

static void refuse_in_pieces(struct fake_request *r, void *ctx)
{
	(void)ctx;
	(void)fake_read(r, 100);
	fake_printf(r,
		    "HTTP/1.1 413 No\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
	fake_nap(r, 30);
	fake_printf(r, "8\r\ntoo much\r\n");
	fake_nap(r, 30);
	fake_printf(r, "0\r\n\r\n");
	fake_hang(r);
}

static void an_early_refusal_is_heard(void **state)
{
	static fake_script *const scripts[] = { refuse_and_keep, refuse_and_close, refuse_and_reset,
						refuse_in_pieces };
	static const int64_t sizes[] = { 64 * MB, BODY_UNKNOWN };
	struct story s;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		tell(&s, scripts[i / 2], NULL);
		s.size = 64 * MB;
		assert_int_equal(ask(&s, "PATCH", sizes[i % 2]), EXCHANGE_ANSWERED);
		assert_int_equal(exchange_status(s.x), 413);
		assert_true(text_is(&s, "too much"));
		assert_true(s.given < 64 * MB);
		end(&s);
	}
}

static void a_refusal_is_heard_while_the_body_waits(void **state)
{
	static fake_script *const scripts[] = { refuse_and_keep, refuse_and_close,
						refuse_in_pieces };
	struct story s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		tell(&s, scripts[i], NULL);
		s.size = 1000;
		s.pause_at = 500; /* and nobody says exchange_go_on() */
		s.step = 500;
		assert_int_equal(ask(&s, "PATCH", BODY_UNKNOWN), EXCHANGE_ANSWERED);
		assert_int_equal(exchange_status(s.x), 413);
		assert_true(text_is(&s, "too much"));
		end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_carries_what_it_was_given_and_no_more),
		cmocka_unit_test(a_body_without_a_length_is_chunked),
		cmocka_unit_test(a_post_without_a_body_says_so),
		cmocka_unit_test(a_body_that_ends_early_is_not_taken_for_whole),
		cmocka_unit_test(a_chunked_body_that_is_given_up_is_not_taken_for_whole),
		cmocka_unit_test(a_line_end_in_a_field_is_refused),
		cmocka_unit_test(fields_and_text_of_the_answer_are_there),
		cmocka_unit_test(only_the_final_answer_counts),
		cmocka_unit_test(a_redirection_is_not_followed),
		cmocka_unit_test(a_truncated_answer_is_a_failure),
		cmocka_unit_test(what_is_not_http_is_no_answer),
		cmocka_unit_test(a_head_without_end_is_not_kept),
		cmocka_unit_test(of_a_long_answer_the_beginning_is_kept_or_all_is_passed_on),
		cmocka_unit_test(an_answer_without_end_that_nobody_wants_is_given_up),
		cmocka_unit_test(interim_answers_have_an_end),
		cmocka_unit_test(a_caller_may_break_off_at_the_head_and_at_the_data),
		cmocka_unit_test(an_early_refusal_is_heard),
		cmocka_unit_test(a_refusal_is_heard_while_the_body_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
