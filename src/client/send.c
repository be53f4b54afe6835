#include "client/send_legs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "client/fail.h"

#define PROGRESS_MS 100
#define QUIET_MS 10000 /* servers drop requests that bring nothing */
/* Of the digest, between two looks whether it was cancelled. */
#define TALLY_STEP ((uint64_t)16 << 20)

/* ---- telling ---- */

static void tell_progress(struct send *s, bool end)
{
	const int64_t now = clock_mono_ms();
	uint64_t done = 0, total = 0;
	unsigned i;

	if (s->progress == NULL || (!end && now - s->told_ms < PROGRESS_MS))
		return;
	s->told_ms = now;
	(void)source_size(s->source, &total);
	for (i = 0; i < s->count; i++)
		done += leg_sent(s->legs[i]);
	s->progress(s->progress_context, end ? total : done, total);
}

/* What recipients need to begin. When it ends is not among it: as long as it is unfinished, the
 * server has another time for that. */
static enum restante_code fill_beginning(const struct send *s, struct restante_error *e)
{
	const struct tus_news *news = send_news(s);
	struct restante_envelope *v = s->envelope;
	const uint8_t *key = source_key(s->source);
	const char *token = news->token[0] != '\0' ? news->token : NULL;
	enum restante_code rc;

	rc = restante_envelope_set_text(v, RESTANTE_TEXT_KIND, s->kind, e);
	if (rc == RESTANTE_OK)
		rc = restante_envelope_set_text(v, RESTANTE_TEXT_TOKEN, token, e);
	if (rc == RESTANTE_OK && key != NULL)
		rc = restante_envelope_set_blob(v, RESTANTE_BLOB_KEY, key, RESTANTE_KEY_SIZE, e);
	return rc;
}

static enum restante_code fill_end(const struct send *s, const struct digest *digest,
				   struct restante_error *e)
{
	const struct tus_news *news = send_news(s);
	struct restante_envelope *v = s->envelope;
	uint64_t size = 0, sealed = 0;
	enum restante_code rc = fill_beginning(s, e);

	(void)source_content_size(s->source, &size);
	(void)source_size(s->source, &sealed);
	if (rc == RESTANTE_OK && source_key(s->source) != NULL)
		rc = restante_envelope_set_number(v, RESTANTE_NUMBER_SIZE, size, e);
	if (rc == RESTANTE_OK)
		rc = restante_envelope_set_number(v, RESTANTE_NUMBER_SEALED_SIZE, sealed, e);
	if (rc == RESTANTE_OK)
		rc = restante_envelope_set_blob(v, RESTANTE_BLOB_SHA256, digest->b,
						sizeof(digest->b), e);
	if (rc == RESTANTE_OK && news->expires_at > 0)
		rc = restante_envelope_set_number(v, RESTANTE_NUMBER_EXPIRES_AT,
						  (uint64_t)news->expires_at, e);
	return rc;
}

static enum restante_code tell_begun(struct send *s, struct restante_error *e)
{
	enum restante_code rc;

	if (s->begun == NULL || s->shared.bound || s->count != 1 || send_news(s) == NULL ||
	    send_news(s)->token[0] == '\0')
		return RESTANTE_OK;
	rc = fill_beginning(s, e);
	if (rc != RESTANTE_OK)
		return rc;
	s->shared.bound = true;
	return s->begun(s->begun_context, s->envelope) ? RESTANTE_OK
						       : fail_plain(e, RESTANTE_CANCELLED);
}

/* ---- running ---- */

/* Each leg as far as it can; *wait_ms is when the first of them has something to do by itself. */
static enum restante_code step(struct leg *const legs[], unsigned n, bool *done, int *wait_ms,
			       struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	unsigned i;

	*done = true;
	for (i = 0; rc == RESTANTE_OK && i < n; i++) {
		rc = leg_step(legs[i], e);
		*done = *done && leg_is_done(legs[i]);
		if (leg_wait_ms(legs[i]) < *wait_ms)
			*wait_ms = leg_wait_ms(legs[i]);
	}
	return rc;
}

static enum restante_code until_done(struct send *s, struct leg *const legs[], unsigned n,
				     struct restante_error *e)
{
	enum restante_code rc;
	bool done, readable = false;
	int wait_ms;

	for (;;) {
		wait_ms = s->progress != NULL ? PROGRESS_MS : 1000;
		rc = step(legs, n, &done, &wait_ms, e);
		if (rc == RESTANTE_OK)
			rc = tell_begun(s, e);
		if (rc != RESTANTE_OK || done)
			return rc;
		tell_progress(s, false);
		rc = transport_run(s->client->transport, wait_ms, source_fd(s->source), &readable,
				   e);
		if (rc == RESTANTE_OK && readable)
			rc = source_fill(s->source, e);
		if (rc != RESTANTE_OK)
			return rc;
	}
}

static enum restante_code run_legs(struct send *s, struct leg *const legs[], unsigned n,
				   struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;
	unsigned i;

	for (i = 0; rc == RESTANTE_OK && i < n; i++)
		rc = leg_start(legs[i], e);
	if (rc == RESTANTE_OK)
		rc = until_done(s, legs, n, e);
	for (i = 0; i < n; i++)
		leg_stop(legs[i]);
	return rc;
}

/* A part that has gone meanwhile is sent again, once. */
static enum restante_code run_parts(struct send *s, struct restante_error *e)
{
	enum restante_code rc;
	unsigned i;

	for (;;) {
		rc = RESTANTE_OK;
		if (s->final == NULL) {
			rc = run_legs(s, s->legs, s->count, e);
			if (rc == RESTANTE_OK)
				rc = send_make_final(s, e);
		}
		if (rc != RESTANTE_OK)
			return rc;
		rc = run_legs(s, &s->final, 1, e);
		if (rc != RESTANTE_GONE || s->doubted)
			return rc;
		s->doubted = true;
		leg_free(s->final);
		s->final = NULL;
		for (i = 0, rc = RESTANTE_OK; rc == RESTANTE_OK && i < s->count; i++)
			rc = leg_doubt(s->legs[i], e);
		if (rc != RESTANTE_OK)
			return rc;
	}
}

/* ---- ending ---- */

static enum restante_code count_rest(struct send *s, struct restante_error *e)
{
	struct reader *r = NULL;
	uint64_t size = 0;
	bool done = false;
	enum restante_code rc = reader_new(&r, s->source, e);

	(void)source_size(s->source, &size);
	while (rc == RESTANTE_OK && !done) {
		rc = tally_rest(&s->tally, r, size, TALLY_STEP, &done, e);
		if (rc == RESTANTE_OK && transport_cancelled(s->client->transport))
			rc = fail_plain(e, RESTANTE_CANCELLED);
	}
	reader_free(r);
	return rc;
}

/* Compares what was sent with what the server has, if it tells. */
static enum restante_code verify(struct send *s, struct digest *digest, struct restante_error *e)
{
	const struct tus_news *news = send_news(s);
	enum restante_code rc = count_rest(s, e);

	if (rc == RESTANTE_OK)
		rc = source_check(s->source, e);
	if (rc != RESTANTE_OK)
		return rc;
	tally_digest(&s->tally, digest);
	if (news->has_digest && !digest_equal(&news->digest, digest))
		return fail(e, RESTANTE_TAMPERED,
			    "the server has something else than what was sent; it was deleted");
	return RESTANTE_OK;
}

static void delete_all(struct send *s)
{
	unsigned i;

	if (s->final != NULL && leg_url(s->final) != NULL)
		tus_delete(s->client, leg_url(s->final));
	for (i = 0; i < s->count; i++)
		if (leg_url(s->legs[i]) != NULL)
			tus_delete(s->client, leg_url(s->legs[i]));
}

/* What is left of a run. A container whose file changed must never be gone on with. */
static void tidy(struct send *s, enum restante_code rc)
{
	const bool spoilt = rc == RESTANTE_CHANGED || rc == RESTANTE_TAMPERED;
	const bool over = spoilt || rc == RESTANTE_GONE;

	if (spoilt)
		delete_all(s);
	state_close(s->state, rc != RESTANTE_OK && !over);
	s->state = NULL;
	if (over)
		send_drop_legs(s);
}

enum restante_code send_run(struct send *s, struct restante_envelope *envelope,
			    struct restante_error *e)
{
	struct digest digest;
	enum restante_code rc;

	s->envelope = envelope;
	s->told_ms = 0;
	rc = send_prepare(s, e);
	if (rc == RESTANTE_OK)
		rc = s->count > 1 ? run_parts(s, e) : run_legs(s, s->legs, 1, e);
	if (rc == RESTANTE_OK)
		rc = verify(s, &digest, e);
	if (rc == RESTANTE_OK)
		rc = fill_end(s, &digest, e);
	if (rc == RESTANTE_OK)
		tell_progress(s, true);
	tidy(s, rc);
	s->envelope = NULL;
	return rc;
}

/* ---- looking at it ---- */

static const struct leg *result(const struct send *s)
{
	if (s->count == 1)
		return s->legs[0];
	return s->final;
}

const struct tus_news *send_news(const struct send *s)
{
	return result(s) != NULL ? leg_news(result(s)) : NULL;
}

const char *send_location(const struct send *s)
{
	return result(s) != NULL ? leg_url(result(s)) : NULL;
}

void send_init(struct send *s, struct restante_client *client)
{
	*s = (struct send){ .client = client, .kind = "file", .quiet_ms = QUIET_MS };
}

void send_fini(struct send *s)
{
	send_drop_legs(s);
	state_close(s->state, true);
	source_free(s->source);
	free(s->endpoint);
	free(s->endpoint_path);
	free(s->state_path);
	sodium_memzero(s, sizeof(*s));
}
