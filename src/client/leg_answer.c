#include "client/leg_inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "client/fail.h"

/* Between two questions whether a final is put together. */
#define FINAL_POLL_MS 500
#define FINAL_PATIENCE_MS 600000

#define CLAIMS_TOO_MUCH "the server claims to have more than was sent"

/* ---- what may follow ---- */

/* Tries again after a moment, going on with `next`; or fails for `why`. */
static enum restante_code later(struct leg *l, enum leg_state next, struct restante_error *why,
				struct restante_error *e)
{
	const enum restante_code rc = retry_again(&l->retry, l->shared->client, l->exchange, why);

	l->sent = l->acked;
	if (rc != RESTANTE_OK) {
		*e = *why;
		return rc;
	}
	l->after_wait = next;
	return leg_go(l, LEG_WAIT, e);
}

/* All before this may be there. What was taken up others have sent, nobody knows how much. */
static uint64_t most(const struct leg *l)
{
	uint64_t end;

	if (!l->taken_up)
		return l->given;
	return leg_ends_at(l, &end) ? end : source_made(l->shared->source);
}

/* The server says that it has everything before `offset` of this upload. */
static enum restante_code has_all_before(struct leg *l, uint64_t offset, struct restante_error *e)
{
	struct source *s = l->shared->source;
	uint64_t at;

	if (offset > most(l) - l->begin)
		return fail(e, RESTANTE_SERVER, CLAIMS_TOO_MUCH);
	at = l->begin + offset;
	if (at < source_first(s))
		return fail(e, RESTANTE_SERVER, "the server has lost what it had acknowledged");
	if (at > l->best) {
		l->best = at;
		retry_progress(&l->retry);
	}
	l->acked = l->sent = at;
	if (l->role == LEG_WHOLE)
		source_release(s, at);
	return RESTANTE_OK;
}

static enum restante_code continue_from_here(struct leg *l, struct restante_error *e)
{
	uint64_t end;

	if (leg_ends_at(l, &end) && l->acked == end)
		return leg_go(l, l->length_told ? LEG_DONE : LEG_SEND, e);
	switch (source_look(l->shared->source, l->acked)) {
	case SOURCE_LATER:
	case SOURCE_FULL:
		return leg_go(l, LEG_REST, e);
	default:
		return leg_go(l, LEG_SEND, e);
	}
}

/* The server does not know the upload: it is created once more, if all of it can be sent again. */
static enum restante_code begin_anew(struct leg *l, struct restante_error *e)
{
	if (l->role == LEG_FINAL || l->anew || l->shared->bound ||
	    source_first(l->shared->source) > l->begin)
		return fail(e, RESTANTE_GONE,
			    "the server does not know the upload any more; send it again");
	l->anew = true;
	l->taken_up = false;
	free(l->url);
	l->url = NULL;
	return leg_go(l, LEG_CREATE, e);
}

/* A final has no offset while it is being put together. */
static bool final_is_there(const struct leg *l)
{
	return l->news.has_offset && l->news.offset == l->end;
}

/* ---- create ---- */

static enum restante_code explain_refusal(struct leg *l, struct restante_error *why,
					  struct restante_error *e)
{
	const int status = exchange_status(l->exchange);
	struct restante_error passed;
	bool offered = true;

	if (l->role == LEG_FINAL && (status == 400 || status == 404 || status == 410))
		return fail(e, RESTANTE_GONE, "the server does not know all of the parts any more");
	if (why->code == RESTANTE_GONE || status == 405)
		return fail(e, RESTANTE_SERVER, "the server takes no uploads at this address");
	if (why->code == RESTANTE_SERVER && !l->length_told && l->role == LEG_WHOLE &&
	    tus_offers(l->shared->client, l->shared->endpoint, "creation-defer-length", &offered,
		       &passed) == RESTANTE_OK &&
	    !offered)
		return fail(e, RESTANTE_SERVER,
			    "the server takes no uploads whose length is not known beforehand");
	*e = *why;
	return why->code;
}

static enum restante_code creation_ended(struct leg *l, enum restante_code rc,
					 struct restante_error *why, struct restante_error *e)
{
	uint64_t end;

	if (rc == RESTANTE_NETWORK || rc == RESTANTE_LIMIT)
		return later(l, LEG_CREATE, why, e);
	if (rc != RESTANTE_OK)
		return explain_refusal(l, why, e);
	rc = tus_location(l->shared->client->transport, l->exchange, l->shared->endpoint, &l->url,
			  e);
	if (rc == RESTANTE_OK)
		rc = tus_read(&l->news, l->exchange, e);
	if (rc == RESTANTE_OK)
		rc = l->shared->created(l->shared->ctx, l, e);
	if (rc != RESTANTE_OK)
		return rc;
	retry_progress(&l->retry);
	if (l->role == LEG_FINAL)
		return leg_go(l, final_is_there(l) ? LEG_DONE : LEG_ASK, e);
	/* nothing to send: the digest and so on are still to be heard */
	if (leg_ends_at(l, &end) && end == l->begin)
		return leg_go(l, LEG_ASK, e);
	return continue_from_here(l, e);
}

/* ---- ask ---- */

/* The server tells something that does not go together with what we know. Was the upload taken up,
 * it is another one: as good as gone. */
static enum restante_code disagree(struct leg *l, const char *why, struct restante_error *e)
{
	return l->taken_up ? begin_anew(l, e) : fail(e, RESTANTE_SERVER, "%s", why);
}

static enum restante_code final_answered(struct leg *l, struct restante_error *e)
{
	const int64_t now = clock_mono_ms();

	if (final_is_there(l))
		return leg_go(l, LEG_DONE, e);
	if (l->news.has_length && l->news.length != l->end)
		return disagree(l, "the parts put together are not all of it", e);
	if (l->final_since == 0)
		l->final_since = now;
	if (now - l->final_since > FINAL_PATIENCE_MS)
		return fail(e, RESTANTE_NETWORK, "the server does not put the parts together");
	l->retry.until_ms = now + FINAL_POLL_MS;
	l->after_wait = LEG_ASK;
	return leg_go(l, LEG_WAIT, e);
}

static enum restante_code question_ended(struct leg *l, enum restante_code rc,
					 struct restante_error *why, struct restante_error *e)
{
	uint64_t end;

	if (rc == RESTANTE_NETWORK || rc == RESTANTE_LIMIT)
		return later(l, LEG_ASK, why, e);
	if (rc == RESTANTE_GONE)
		return begin_anew(l, e);
	if (rc != RESTANTE_OK) {
		*e = *why;
		return rc;
	}
	rc = tus_read(&l->news, l->exchange, e);
	if (rc != RESTANTE_OK)
		return rc;
	if (l->role == LEG_FINAL)
		return final_answered(l, e);
	if (!l->news.has_offset)
		return fail(e, RESTANTE_SERVER, "the server does not say how much it has");
	l->length_told = l->news.has_length;
	if (l->length_told && (!leg_ends_at(l, &end) || l->news.length != end - l->begin))
		return disagree(l, "the server expects an upload of another length", e);
	rc = has_all_before(l, l->news.offset, e);
	return rc == RESTANTE_OK ? continue_from_here(l, e) : rc;
}

/* ---- send ---- */

static enum restante_code offset_refused(struct leg *l, struct restante_error *why,
					 struct restante_error *e)
{
	enum restante_code rc = tus_read(&l->news, l->exchange, e);

	if (rc == RESTANTE_OK && l->news.has_offset)
		rc = has_all_before(l, l->news.offset, e);
	if (rc != RESTANTE_OK)
		return rc;
	why->code = RESTANTE_NETWORK; /* it is worth another try */
	return later(l, l->news.has_offset ? LEG_SEND : LEG_ASK, why, e);
}

static enum restante_code bytes_taken(struct leg *l, struct restante_error *e)
{
	const uint64_t before = l->acked, sent = l->sent;
	struct restante_error why;
	enum restante_code rc = tus_read(&l->news, l->exchange, e);

	if (rc != RESTANTE_OK)
		return rc;
	if (!l->news.has_offset)
		return leg_go(l, LEG_ASK, e);
	if (l->news.offset > sent - l->begin)
		return fail(e, RESTANTE_SERVER, CLAIMS_TOO_MUCH);
	rc = has_all_before(l, l->news.offset, e);
	if (rc != RESTANTE_OK)
		return rc;
	l->length_told = l->length_told || l->telling;
	if (sent > before && l->acked <= before) {
		(void)fail(&why, RESTANTE_NETWORK, "the server takes requests, and no bytes");
		return later(l, LEG_ASK, &why, e);
	}
	return continue_from_here(l, e);
}

static enum restante_code append_ended(struct leg *l, enum restante_code rc,
				       struct restante_error *why, struct restante_error *e)
{
	if (l->trouble.code != RESTANTE_OK) {
		*e = l->trouble;
		return e->code;
	}
	if (rc == RESTANTE_OK)
		return bytes_taken(l, e);
	if (exchange_state(l->exchange) == EXCHANGE_ANSWERED && exchange_status(l->exchange) == 409)
		return offset_refused(l, why, e);
	if (rc == RESTANTE_NETWORK || rc == RESTANTE_LIMIT)
		return later(l, LEG_ASK, why, e);
	if (rc == RESTANTE_GONE)
		return begin_anew(l, e);
	*e = *why;
	return rc;
}

/* ---- any of them ---- */

enum restante_code leg_ended(struct leg *l, struct restante_error *e)
{
	struct restante_error why = { RESTANTE_OK, "" };
	const enum restante_code rc = retry_judge(l->exchange, &why);

	if (l->state == LEG_CREATE)
		return creation_ended(l, rc, &why, e);
	if (l->state == LEG_ASK)
		return question_ended(l, rc, &why, e);
	return append_ended(l, rc, &why, e);
}
