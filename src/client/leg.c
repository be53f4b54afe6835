#include "client/leg_inside.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/fail.h"

#define TO(s) (1u << LEG_##s)
/* Where each may lead; to idle, by leg_stop(), all. */
static const unsigned leads_to[LEG_STATES] = {
	[LEG_IDLE] = TO(CREATE) | TO(ASK),
	[LEG_CREATE] = TO(ASK) | TO(SEND) | TO(REST) | TO(WAIT) | TO(DONE),
	[LEG_ASK] = TO(CREATE) | TO(ASK) | TO(SEND) | TO(REST) | TO(WAIT) | TO(DONE),
	[LEG_SEND] = TO(CREATE) | TO(ASK) | TO(SEND) | TO(REST) | TO(WAIT) | TO(DONE),
	[LEG_REST] = TO(SEND),
	[LEG_WAIT] = TO(CREATE) | TO(ASK) | TO(SEND),
	[LEG_DONE] = TO(ASK),
};

static void move(struct leg *l, enum leg_state next)
{
	assert(next == LEG_IDLE || (leads_to[l->state] & 1u << next));
	assert((next == LEG_CREATE || next == LEG_ASK || next == LEG_SEND) ==
	       (l->exchange != NULL));
	l->state = next;
}

/* ---- what is to be sent ---- */

bool leg_ends_at(const struct leg *l, uint64_t *end)
{
	*end = l->end;
	return l->end != UINT64_MAX || source_size(l->shared->source, end);
}

static enum body_next given(struct leg *l, enum source_next next)
{
	switch (next) {
	case SOURCE_SOME:
		l->quiet_since = 0;
		return BODY_SOME;
	case SOURCE_LATER:
		l->quiet_since = clock_mono_ms();
		return BODY_LATER;
	case SOURCE_FAILED:
		return BODY_STOP;
	default: /* the end; or the window is full, and an answer is needed to go on */
		return BODY_END;
	}
}

static enum body_next body(void *ctx, uint8_t *out, size_t cap, size_t *n)
{
	struct leg *l = ctx;
	uint64_t end;
	enum source_next next;

	if (l->cut)
		return BODY_END;
	if (leg_ends_at(l, &end) && end - l->sent < cap)
		cap = (size_t)(end - l->sent);
	if (cap == 0)
		return BODY_END;
	next = reader_read(l->reader, l->sent, out, cap, n, &l->trouble);
	if (next == SOURCE_SOME) {
		tally_count(l->shared->tally, l->sent, (struct bytes){ out, *n });
		l->sent += *n;
		if (l->sent > l->given)
			l->given = l->sent;
	}
	return given(l, next);
}

/* ---- requests ---- */

static void drop_exchange(struct leg *l)
{
	exchange_end(l->exchange);
	l->exchange = NULL;
}

static enum restante_code begin_create(struct leg *l, struct restante_error *e)
{
	const struct leg_shared *s = l->shared;
	uint64_t end;
	struct tus_creation c = {
		.endpoint = s->endpoint,
		.authorization = s->client->authorization,
		.metadata = l->role == LEG_PART ? NULL : s->metadata,
		.concat = l->role == LEG_PART ? "partial" : l->parts,
		.length = TUS_DEFERRED,
	};

	if (l->role == LEG_FINAL)
		c.length = TUS_UNSAID;
	else if (leg_ends_at(l, &end))
		c.length = end - l->begin;
	l->acked = l->best = l->sent = l->given = l->begin;
	l->length_told = c.length != TUS_DEFERRED;
	return tus_create(s->client->transport, &l->exchange, &c, e);
}

/* How many bytes a request from here on will have, where that is sure: what does not fit into the
 * window of a pipe comes with the next one. */
static int64_t body_size(const struct leg *l)
{
	uint64_t end;

	if (!leg_ends_at(l, &end) || source_made(l->shared->source) < end)
		return BODY_UNKNOWN;
	return (int64_t)(end - l->acked);
}

/* Says the length as soon as it is known. */
static enum restante_code begin_send(struct leg *l, struct restante_error *e)
{
	uint64_t end = 0;
	const bool known = leg_ends_at(l, &end);
	struct tus_append a = {
		.url = l->url,
		.offset = l->acked - l->begin,
		.length = TUS_UNSAID,
		.body_size = body_size(l),
		.body = body,
		.ctx = l,
	};

	l->telling = known && !l->length_told;
	if (l->telling)
		a.length = end - l->begin;
	/* of what the window holds only that much is sure to be there */
	l->sent = l->acked;
	l->cut = false;
	l->quiet_since = 0;
	return tus_append(l->shared->client->transport, &l->exchange, &a, e);
}

enum restante_code leg_go(struct leg *l, enum leg_state next, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;

	drop_exchange(l);
	if (next == LEG_CREATE)
		rc = begin_create(l, e);
	else if (next == LEG_ASK)
		rc = tus_ask(l->shared->client->transport, &l->exchange, l->url, e);
	else if (next == LEG_SEND)
		rc = begin_send(l, e);
	if (rc == RESTANTE_OK)
		move(l, next);
	return rc;
}

/* ---- running ---- */

/* A request that had nothing to send goes on when there is something, and ends when it takes too
 * long. */
static void wake(struct leg *l)
{
	if (l->quiet_since == 0)
		return;
	if (clock_mono_ms() - l->quiet_since >= l->shared->quiet_ms)
		l->cut = true;
	else if (source_look(l->shared->source, l->sent) == SOURCE_LATER)
		return;
	l->quiet_since = 0;
	exchange_go_on(l->exchange);
}

enum restante_code leg_step(struct leg *l, struct restante_error *e)
{
	switch (l->state) {
	case LEG_CREATE:
	case LEG_ASK:
	case LEG_SEND:
		if (exchange_state(l->exchange) != EXCHANGE_RUNS)
			return leg_ended(l, e);
		wake(l);
		return RESTANTE_OK;
	case LEG_REST:
		if (source_look(l->shared->source, l->acked) == SOURCE_LATER)
			return RESTANTE_OK;
		return leg_go(l, LEG_SEND, e);
	case LEG_WAIT:
		return retry_wait_ms(&l->retry) > 0 ? RESTANTE_OK : leg_go(l, l->after_wait, e);
	default:
		return RESTANTE_OK;
	}
}

int leg_wait_ms(const struct leg *l)
{
	int64_t left;

	if (l->state == LEG_WAIT)
		return retry_wait_ms(&l->retry);
	if (l->state != LEG_SEND || l->quiet_since == 0)
		return INT_MAX;
	left = l->quiet_since + l->shared->quiet_ms - clock_mono_ms();
	return left > 0 ? (int)left : 0;
}

enum restante_code leg_start(struct leg *l, struct restante_error *e)
{
	if (l->state != LEG_IDLE)
		return RESTANTE_OK;
	l->retry = (struct retry){ 0, 0 };
	l->final_since = 0;
	l->anew = false;
	l->trouble.code = RESTANTE_OK;
	return leg_go(l, l->url != NULL ? LEG_ASK : LEG_CREATE, e);
}

enum restante_code leg_doubt(struct leg *l, struct restante_error *e)
{
	return l->state == LEG_DONE ? leg_go(l, LEG_ASK, e) : RESTANTE_OK;
}

void leg_stop(struct leg *l)
{
	drop_exchange(l);
	l->sent = l->acked;
	if (l->state != LEG_DONE)
		move(l, LEG_IDLE);
}

/* ---- making ---- */

enum restante_code leg_new(struct leg **out, const struct leg_shared *shared, enum leg_role role,
			   uint64_t begin, uint64_t end, const char *parts,
			   struct restante_error *e)
{
	struct leg *l = calloc(1, sizeof(*l));
	enum restante_code rc;

	if (l == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	l->shared = shared;
	l->role = role;
	l->begin = l->acked = l->best = l->sent = l->given = begin;
	l->end = end;
	rc = reader_new(&l->reader, shared->source, e);
	if (rc == RESTANTE_OK && parts != NULL) {
		l->parts = strdup(parts);
		rc = l->parts != NULL ? RESTANTE_OK : fail_plain(e, RESTANTE_NOMEM);
	}
	if (rc != RESTANTE_OK)
		leg_free(l);
	else
		*out = l;
	return rc;
}

void leg_free(struct leg *l)
{
	if (l == NULL)
		return;
	exchange_end(l->exchange);
	reader_free(l->reader);
	free(l->parts);
	free(l->url);
	free(l);
}

enum restante_code leg_take_up(struct leg *l, const char *url, struct restante_error *e)
{
	assert(l->state == LEG_IDLE && l->url == NULL);
	l->taken_up = true;
	l->url = strdup(url);
	return l->url != NULL ? RESTANTE_OK : fail_plain(e, RESTANTE_NOMEM);
}

/* ---- looking at it ---- */

bool leg_is_done(const struct leg *l)
{
	return l->state == LEG_DONE;
}

uint64_t leg_sent(const struct leg *l)
{
	return l->sent - l->begin;
}

const char *leg_url(const struct leg *l)
{
	return l->url;
}

enum leg_role leg_role(const struct leg *l)
{
	return l->role;
}

const struct tus_news *leg_news(const struct leg *l)
{
	return &l->news;
}
