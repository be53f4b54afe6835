#include "client/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/content_range.h"
#include "client/fail.h"
#include "client/stream_answer.h"

#define TOKEN_MAX 1024    /* characters; ours are at most 104 */
#define TELL_MS 100       /* between two tellings of progress */
#define PAUSE_FIRST_MS 50 /* between two looks for more of a live one, doubled up to the last */
#define PAUSE_LAST_MS 2000
#define VERY_LARGE ((UINT64_C(1) << 53) - 1) /* as RFC 8673 section 2.1 has it */
#define BEARER "Authorization: Bearer "

/* ---- making ---------------------------------------------------------------------------------- */

/* What may stand behind "Bearer" (RFC 6750 section 2.1). */
static bool is_token(const char *token)
{
	const size_t n = strlen(token);

	return n > 0 && n <= TOKEN_MAX &&
	       strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			     "-._~+/=") == n;
}

enum restante_code stream_init(struct stream *s, const char *token, const uint8_t *sha256,
			       struct restante_error *e)
{
	char hex[HEX_LEN(32) + 1];

	if (!is_token(token))
		return fail(e, RESTANTE_INVALID, "that is no fetch token");
	if (asprintf(&s->authorization, BEARER "%s", token) < 0) {
		s->authorization = NULL;
		return fail_plain(e, RESTANTE_NOMEM);
	}
	if (sha256 != NULL) {
		hex_encode(hex, sha256, 32);
		(void)snprintf(s->etag, sizeof(s->etag), "\"%s\"", hex);
	}
	return transport_url(s->client->transport, "/v1/media", &s->url, e);
}

void stream_fini(struct stream *s)
{
	if (s->authorization != NULL)
		sodium_memzero(s->authorization, strlen(s->authorization));
	free(s->authorization);
	free(s->url);
	s->authorization = s->url = NULL;
}

/* ---- what is known --------------------------------------------------------------------------- */

static bool is_live(const struct stream *s)
{
	return s->wait_ms > 0;
}

/* The offset at which there is nothing more to do, if anybody knows. */
static uint64_t goal(const struct stream *s)
{
	return s->end != STREAM_UNKNOWN ? s->end : s->total;
}

static bool reached(const struct stream *s)
{
	return goal(s) != STREAM_UNKNOWN && s->at >= goal(s);
}

static void tell(struct stream *s, bool now)
{
	if (s->progress == NULL || (!now && s->came_ms - s->told_ms < TELL_MS))
		return;
	s->told_ms = s->came_ms;
	s->progress(s->progress_context, s->at, s->total == STREAM_UNKNOWN ? 0 : s->total);
}

/* ---- an answer comes ------------------------------------------------------------------------- */

static bool on_head(void *ctx)
{
	struct stream *s = ctx;
	const int status = exchange_status(s->exchange);

	if (status != 200 && status != 206)
		return true; /* for conclude() */
	s->good = stream_answer(s, &s->stop) == RESTANTE_OK;
	return s->good;
}

/* Without those in front of what is wanted. */
static struct bytes after_skip(struct stream *s, struct bytes piece)
{
	const size_t n = s->skip < piece.len ? (size_t)s->skip : piece.len;

	s->skip -= n;
	return (struct bytes){ piece.data + n, piece.len - n };
}

static enum restante_code check_room(const struct stream *s, size_t n, struct restante_error *e)
{
	if (s->answer_end != STREAM_UNKNOWN && n > s->answer_end - s->at)
		return fail(e, RESTANTE_TAMPERED, "the server sends more than was announced");
	if (s->total == STREAM_UNKNOWN && (s->at > s->max || n > s->max - s->at))
		return fail(e, RESTANTE_TOOBIG, "it is longer than the %" PRIu64 " bytes allowed",
			    s->max);
	return RESTANTE_OK;
}

static enum restante_code hand_on(struct stream *s, struct bytes piece, struct restante_error *e)
{
	enum restante_code rc;

	if (s->end != STREAM_UNKNOWN && piece.len > s->end - s->at)
		piece.len = (size_t)(s->end - s->at);
	if (piece.len == 0)
		return RESTANTE_OK;
	s->came = s->known = true;
	s->came_ms = clock_mono_ms();
	s->pause_ms = PAUSE_FIRST_MS;
	s->nothing.code = RESTANTE_OK;
	retry_progress(&s->retry);
	rc = s->sink->take(s->sink->ctx, piece, e);
	if (rc != RESTANTE_OK)
		return rc;
	s->at += piece.len;
	tell(s, false);
	return RESTANTE_OK;
}

static bool on_data(void *ctx, struct bytes piece)
{
	struct stream *s = ctx;

	if (!s->good)
		return true; /* the text of a refusal */
	piece = after_skip(s, piece);
	if (check_room(s, piece.len, &s->stop) != RESTANTE_OK ||
	    hand_on(s, piece, &s->stop) != RESTANTE_OK)
		return false;
	/* a server without ranges would go on */
	return s->at != s->end || s->answer_end == s->end;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What is still growing is asked for beyond any end that it may have (RFC 8673): a server that
 * knows this follows it, others stop at what there is. */
static void name_range(const struct stream *s, char *out, size_t size)
{
	if (s->end != STREAM_UNKNOWN || (is_live(s) && s->total == STREAM_UNKNOWN))
		(void)snprintf(out, size, "Range: bytes=%" PRIu64 "-%" PRIu64, s->at,
			       s->end != STREAM_UNKNOWN ? s->end - 1 : VERY_LARGE);
	else
		(void)snprintf(out, size, "Range: bytes=%" PRIu64 "-", s->at);
}

static enum restante_code ask(struct stream *s, struct restante_error *e)
{
	char range[64], if_range[STREAM_ETAG_SIZE + 16];
	struct exchange_request rq = {
		.method = "GET",
		.url = s->url,
		.fields = { s->authorization },
		.body_size = BODY_NONE,
		.head = on_head,
		.data = on_data,
		.ctx = s,
	};

	s->ranged = s->at > 0 || s->end != STREAM_UNKNOWN;
	s->good = s->came = false;
	s->stop.code = RESTANTE_OK;
	if (s->ranged) {
		name_range(s, range, sizeof(range));
		rq.fields[1] = range;
	}
	if (s->ranged && s->etag[0] != '\0') {
		(void)snprintf(if_range, sizeof(if_range), "If-Range: %s", s->etag);
		rq.fields[2] = if_range;
	}
	return exchange_begin(s->client->transport, &s->exchange, &rq, e);
}

static int left_ms(int64_t until_ms)
{
	const int64_t left = until_ms - clock_mono_ms();

	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Until the answer has ended, or nothing came of a live one for too long. */
static enum restante_code follow(struct stream *s, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	bool readable;
	int wait = 1;

	while (rc == RESTANTE_OK && wait > 0 && exchange_state(s->exchange) == EXCHANGE_RUNS) {
		wait = is_live(s) ? left_ms(s->came_ms + s->wait_ms) : 60000;
		rc = transport_run(s->client->transport, wait, -1, &readable, e);
	}
	return rc;
}

static enum restante_code pause_until(struct stream *s, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	bool readable;
	int wait;

	while (rc == RESTANTE_OK && (wait = left_ms(s->until_ms)) > 0)
		rc = transport_run(s->client->transport, wait, -1, &readable, e);
	return rc;
}

/* ---- what to do when it has ended ------------------------------------------------------------ */

/* Sealed bytes know themselves whether they are whole, however the connection has ended. */
static enum restante_code look_whether_whole(struct stream *s, struct restante_error *e)
{
	if (goal(s) != STREAM_UNKNOWN || s->sink->ended == NULL)
		return RESTANTE_OK;
	return s->sink->ended(s->sink->ctx, &s->over, e);
}

static enum restante_code ends_too_early(struct restante_error *e)
{
	return fail(e, RESTANTE_TAMPERED, "it ends too early");
}

static void set_silent(const struct stream *s, struct restante_error *why)
{
	(void)fail(why, RESTANTE_NETWORK, "nothing more has come for %u s",
		   (s->wait_ms + 999) / 1000);
}

/* Looks again a little later, unless that has been done for long enough: that it has is what counts
 * then, not how the last answer broke off. */
static enum restante_code later(struct stream *s, const struct restante_error *why,
				struct restante_error *e)
{
	const int64_t now = clock_mono_ms(), deadline = s->came_ms + s->wait_ms;
	const unsigned half = s->pause_ms / 2;

	if (now >= deadline && why->code == RESTANTE_NETWORK && s->known) {
		set_silent(s, e);
		return RESTANTE_NETWORK;
	}
	if (now >= deadline)
		return fail(e, why->code, "%s", why->detail);
	s->nothing = *why;
	s->until_ms = now + half + randombytes_uniform(half + 1);
	if (s->until_ms > deadline)
		s->until_ms = deadline;
	s->pause_ms = s->pause_ms < PAUSE_LAST_MS / 2 ? 2 * s->pause_ms : PAUSE_LAST_MS;
	return RESTANTE_OK;
}

/* The answer was whole, but not all that was wanted. */
static enum restante_code conclude_short(struct stream *s, struct restante_error *e)
{
	struct restante_error silent;
	enum restante_code rc = look_whether_whole(s, e);

	if (rc != RESTANTE_OK || s->over)
		return rc;
	if (!is_live(s) && goal(s) == STREAM_UNKNOWN && exchange_status(s->exchange) == 200) {
		s->over = true;
		return RESTANTE_OK;
	}
	if (s->came)
		return RESTANTE_OK; /* the rest, at once */
	set_silent(s, &silent);
	return is_live(s) ? later(s, &silent, e) : ends_too_early(e);
}

/* 416: there is nothing at this offset. */
static enum restante_code conclude_beyond(struct stream *s, struct restante_error *e)
{
	struct content_range r = { .total = CONTENT_RANGE_UNKNOWN };
	struct restante_error silent;
	enum restante_code rc = look_whether_whole(s, e);

	if (rc != RESTANTE_OK || s->over)
		return rc;
	set_silent(s, &silent);
	if (is_live(s))
		return later(s, &silent, e);
	(void)content_range_parse(&r, exchange_field(s->exchange, "Content-Range"));
	s->over = s->sink->ended == NULL && goal(s) == STREAM_UNKNOWN && !r.satisfied &&
		  r.total == s->at;
	return s->over ? RESTANTE_OK : ends_too_early(e);
}

/* Who was given some of it, and then hears that there is no such thing, need not wait for more. */
static bool is_worth_waiting(const struct stream *s, const struct restante_error *why)
{
	return is_live(s) &&
	       (why->code == RESTANTE_NETWORK || (why->code == RESTANTE_GONE && !s->known));
}

/* Refused, or broken off. */
static enum restante_code conclude_failed(struct stream *s, struct restante_error *e)
{
	const bool hangs = exchange_state(s->exchange) == EXCHANGE_RUNS;
	struct restante_error why;
	enum restante_code rc = look_whether_whole(s, e);

	if (rc != RESTANTE_OK || s->over)
		return rc;
	set_silent(s, &why);
	if (hangs && exchange_status(s->exchange) == 0 && s->nothing.code != RESTANTE_OK)
		why = s->nothing; /* no time was left to hear it again */
	if (!hangs && retry_judge(s->exchange, &why) == RESTANTE_OK)
		return fail(e, RESTANTE_SERVER, "the server's answer is none to a fetch");
	if (is_worth_waiting(s, &why))
		return later(s, &why, e);
	if (s->known && why.code == RESTANTE_GONE)
		return fail(e, RESTANTE_GONE, "the server does not have the rest of it any more");
	rc = retry_again(&s->retry, s->client, s->exchange, &why);
	if (rc != RESTANTE_OK)
		return fail(e, why.code, "%s", why.detail);
	s->until_ms = s->retry.until_ms;
	return RESTANTE_OK;
}

static enum restante_code conclude(struct stream *s, struct restante_error *e)
{
	if (s->stop.code != RESTANTE_OK)
		return fail(e, s->stop.code, "%s", s->stop.detail);
	if (reached(s))
		return RESTANTE_OK;
	if (exchange_state(s->exchange) == EXCHANGE_ANSWERED && s->good)
		return conclude_short(s, e);
	if (exchange_state(s->exchange) == EXCHANGE_ANSWERED && s->ranged &&
	    exchange_status(s->exchange) == 416)
		return conclude_beyond(s, e);
	return conclude_failed(s, e);
}

/* ---- running --------------------------------------------------------------------------------- */

static enum restante_code run_once(struct stream *s, uint64_t from, struct restante_error *e)
{
	enum restante_code rc;

	if (s->at > from && s->sink->ended == NULL && s->etag[0] == '\0')
		return fail(e, RESTANTE_NETWORK,
			    "the connection broke, and the server gives no tag to go on by");
	rc = pause_until(s, e);
	if (rc == RESTANTE_OK)
		rc = ask(s, e);
	if (rc == RESTANTE_OK)
		rc = follow(s, e);
	if (rc == RESTANTE_OK)
		rc = conclude(s, e);
	exchange_end(s->exchange);
	s->exchange = NULL;
	return rc;
}

enum restante_code stream_run(struct stream *s, uint64_t from, uint64_t end,
			      const struct stream_sink *sink, struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;

	s->sink = sink;
	s->at = from;
	s->end = end;
	s->over = false;
	s->retry = (struct retry){ 0 };
	s->until_ms = 0;
	s->pause_ms = PAUSE_FIRST_MS;
	s->nothing.code = RESTANTE_OK;
	s->came_ms = clock_mono_ms();
	while (rc == RESTANTE_OK && !s->over && !reached(s))
		rc = run_once(s, from, e);
	if (rc == RESTANTE_OK)
		tell(s, true);
	return rc;
}
