/* story - a scripted server, a transport, and one request at a time from the one to the other: what
 * the suites of the transport have in common. */
#ifndef RESTANTE_TESTS_STORY_H
#define RESTANTE_TESTS_STORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/transport.h"
#include "tests/lib/fake.h"

#define MB ((size_t)1 << 20)
#define PATIENCE_MS 10000

/* ---- a server, and one request at a time to it ---- */

struct story {
	struct fake *fake;
	struct transport *t;
	struct exchange *x;
	struct restante_error error;
	/* what the body does */
	size_t size, given, step;
	size_t pause_at; /* says BODY_LATER once there; SIZE_MAX: never */
	bool paused, stops;
	/* what was heard */
	int heads;
	size_t heard;
	bool refuse_head, refuse_data;
};

static inline void tell(struct story *s, fake_script *script, void *ctx)
{
	*s = (struct story){ .step = 16384, .pause_at = SIZE_MAX };
	s->fake = fake_new(script, ctx);
	assert_int_equal(transport_new(&s->t, fake_url(s->fake), &s->error), RESTANTE_OK);
}

static inline void end(struct story *s)
{
	exchange_end(s->x);
	transport_free(s->t);
	fake_free(s->fake);
}

static inline enum body_next body(void *ctx, uint8_t *out, size_t cap, size_t *n)
{
	struct story *s = ctx;

	if (s->given >= s->pause_at && !s->paused) {
		s->paused = true;
		return BODY_LATER;
	}
	if (s->given == s->size)
		return s->stops ? BODY_STOP : BODY_END;
	*n = s->size - s->given;
	*n = *n < cap ? *n : cap;
	*n = *n < s->step ? *n : s->step;
	for (size_t i = 0; i < *n; i++)
		out[i] = (uint8_t)((s->given + i) % 251);
	s->given += *n;
	return BODY_SOME;
}

static inline bool is_ours(struct bytes b, size_t n)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] != i % 251)
			return false;
	return b.len == n;
}

static inline bool on_head(void *ctx)
{
	struct story *s = ctx;

	s->heads++;
	return !s->refuse_head;
}

static inline bool on_data(void *ctx, struct bytes piece)
{
	struct story *s = ctx;

	s->heard += piece.len;
	return !s->refuse_data;
}

static inline void begin(struct story *s, const struct exchange_request *how)
{
	struct exchange_request rq = *how;
	char *url;

	assert_int_equal(transport_url(s->t, "/v1/thing?a=b", &url, &s->error), RESTANTE_OK);
	rq.url = url;
	rq.ctx = s;
	rq.body = body;
	exchange_end(s->x);
	s->x = NULL;
	assert_int_equal(exchange_begin(s->t, &s->x, &rq, &s->error), RESTANTE_OK);
	free(url);
}

static inline enum exchange_state run(struct story *s)
{
	const int64_t until = clock_mono_ms() + PATIENCE_MS;

	while (exchange_state(s->x) == EXCHANGE_RUNS && clock_mono_ms() < until)
		assert_int_equal(transport_run(s->t, 100, -1, NULL, &s->error), RESTANTE_OK);
	return exchange_state(s->x);
}

static inline enum exchange_state ask(struct story *s, const char *method, int64_t size)
{
	const struct exchange_request rq = { .method = method, .body_size = size };

	s->size = size > 0 ? (size_t)size : s->size;
	begin(s, &rq);
	return run(s);
}

static inline enum exchange_state get(struct story *s)
{
	return ask(s, "GET", BODY_NONE);
}

static inline bool text_is(const struct story *s, const char *text)
{
	const struct bytes b = exchange_text(s->x);

	return b.len == strlen(text) && memcmp(b.data, text, b.len) == 0;
}

#define assert_failed(s, want)                                                \
	do {                                                                  \
		assert_int_equal(exchange_state((s)->x), EXCHANGE_FAILED);    \
		if (exchange_error((s)->x)->code != (want))                   \
			fail_msg("%d: %s", (int)exchange_error((s)->x)->code, \
				 exchange_error((s)->x)->detail);             \
		assert_true(exchange_error((s)->x)->detail[0] != '\0');       \
	} while (0)

/* A script: takes the body and is content. */
static inline void fine(struct fake_request *r, void *ctx)
{
	(void)ctx;
	(void)fake_body(r);
	fake_answer(r, 200, "X-One:  first \r\nX-One: second\r\n", "hello");
}

#endif
