/* asking - a server that answers as it is told, and a client: what the suites of requests that are
 * tried again have in common. */
#ifndef RESTANTE_TESTS_ASKING_H
#define RESTANTE_TESTS_ASKING_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "tests/lib/fake.h"

#define PROBLEM "Content-Type: application/problem+json\r\n"

struct story {
	struct fake *fake;
	struct restante_client *c;
	struct restante_error error;
	/* answers, in turn; the last one again and again */
	struct {
		int status; /* 0: the connection ends */
		const char *fields, *body;
	} answers[4];
	atomic_int count; /* of answers; read by the server's threads */
};

static inline void script(struct fake_request *r, void *ctx)
{
	struct story *s = ctx;
	const int last = atomic_load(&s->count) - 1;
	const int i = r->number < last ? r->number : last;

	(void)fake_body(r);
	if (s->answers[i].status == 0)
		fake_close(r);
	else
		fake_answer(r, s->answers[i].status, s->answers[i].fields, s->answers[i].body);
}

static inline void tell(struct story *s)
{
	memset(s, 0, sizeof(*s));
	s->fake = fake_new(script, s);
	assert_int_equal(restante_client_new(&s->c, fake_url(s->fake), &s->error), RESTANTE_OK);
	restante_client_set_retries(s->c, 3, 2);
}

static inline void will_answer(struct story *s, int status, const char *fields, const char *text)
{
	const int i = atomic_load(&s->count);

	s->answers[i].status = status;
	s->answers[i].fields = fields;
	s->answers[i].body = text;
	atomic_store(&s->count, i + 1);
}

static inline void end(struct story *s)
{
	restante_client_free(s->c);
	fake_free(s->fake);
}

/* One GET, tried again as it may be; *out unless that is NULL. */
static inline enum restante_code get(struct story *s, struct exchange **out)
{
	struct exchange_request rq = { .method = "GET", .body_size = BODY_NONE };
	struct exchange *x = NULL;
	enum restante_code rc;
	char *url;

	assert_int_equal(transport_url(s->c->transport, "/v1/x", &url, NULL), RESTANTE_OK);
	rq.url = url;
	rc = client_ask(s->c, &rq, &x, &s->error);
	free(url);
	if (out != NULL)
		*out = x;
	else
		exchange_end(x);
	return rc;
}

#endif
