#include "client/send_legs.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/fail.h"

/* ---- the state file ---- */

static struct state_about about(const struct send *s)
{
	struct state_about a = {
		.endpoint = s->endpoint,
		.seals = source_key(s->source) != NULL,
		.kind = s->kind,
		.ttl_s = s->ttl_s,
		.recipients = s->recipients,
	};

	(void)source_id(s->source, &a.source);
	return a;
}

/* The addresses in it are borrowed from the legs. */
static struct state_place place(const struct send *s)
{
	struct state_place p = { .count = s->count };
	unsigned i;

	if (source_key(s->source) != NULL) {
		memcpy(p.key, source_key(s->source), sizeof(p.key));
		memcpy(p.head, source_head(s->source), sizeof(p.head));
	}
	for (i = 0; i < s->count; i++)
		p.urls[i] = (char *)(uintptr_t)leg_url(s->legs[i]);
	if (s->final != NULL)
		p.final = (char *)(uintptr_t)leg_url(s->final);
	return p;
}

static enum restante_code created(void *ctx, const struct leg *leg, struct restante_error *e)
{
	const struct send *s = ctx;
	const struct state_about a = about(s);
	struct state_place p;
	enum restante_code rc;

	(void)leg;
	if (s->state == NULL)
		return RESTANTE_OK;
	p = place(s);
	rc = state_write(s->state, &a, &p, e);
	sodium_memzero(&p, sizeof(p));
	return rc;
}

/* ---- the legs ---- */

void send_drop_legs(struct send *s)
{
	leg_free(s->final);
	s->final = NULL;
	while (s->count > 0)
		leg_free(s->legs[--s->count]);
}

static enum restante_code make_legs(struct send *s, unsigned count, struct restante_error *e)
{
	enum restante_code rc;
	uint64_t size = 0;

	(void)source_size(s->source, &size);
	tally_init(&s->tally);
	if (count == 1) {
		rc = leg_new(&s->legs[0], &s->shared, LEG_WHOLE, 0, UINT64_MAX, NULL, e);
		s->count = rc == RESTANTE_OK ? 1 : 0;
		return rc;
	}
	for (s->count = 0; s->count < count; s->count++) {
		rc = leg_new(&s->legs[s->count], &s->shared, LEG_PART,
			     parts_begin(size, count, s->count),
			     parts_begin(size, count, s->count + 1), NULL, e);
		if (rc != RESTANTE_OK)
			return rc;
	}
	return RESTANTE_OK;
}

enum restante_code send_make_final(struct send *s, struct restante_error *e)
{
	const char *urls[PARTS_MAX];
	enum restante_code rc;
	uint64_t size = 0;
	char *parts;
	unsigned i;

	(void)source_size(s->source, &size);
	for (i = 0; i < s->count; i++)
		urls[i] = leg_url(s->legs[i]);
	parts = parts_final(urls, s->count);
	if (parts == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = leg_new(&s->final, &s->shared, LEG_FINAL, 0, size, parts, e);
	free(parts);
	return rc;
}

static enum restante_code choose_count(struct send *s, unsigned *count, struct restante_error *e)
{
	bool offered = false;
	uint64_t size;
	enum restante_code rc;

	*count = source_size(s->source, &size) ? parts_count(s->parts, size) : 1;
	if (s->client->one_upload)
		*count = 1;
	if (*count == 1)
		return RESTANTE_OK;
	rc = tus_offers(s->client, s->endpoint, "concatenation", &offered, e);
	if (!offered)
		*count = 1;
	return rc;
}

/* ---- taking up ---- */

/* Somebody may have written the file who was not us: addresses must be of the server, and as we
 * write them. */
static bool is_ours(const struct send *s, const char *url)
{
	struct restante_error passed;
	char *out = NULL;
	bool ok;

	if (url == NULL)
		return true;
	ok = transport_resolve(s->client->transport, NULL, url, &out, &passed) == RESTANTE_OK &&
	     strcmp(out, url) == 0;
	free(out);
	return ok;
}

static bool makes_sense(const struct send *s, const struct state_place *p)
{
	uint64_t size = 0;
	unsigned i;

	(void)source_size(s->source, &size);
	for (i = 0; i < p->count; i++)
		if (!is_ours(s, p->urls[i]) || (p->final != NULL && p->urls[i] == NULL))
			return false;
	return is_ours(s, p->final) && parts_count(p->count, size) == p->count &&
	       (p->final == NULL || p->count > 1);
}

static enum restante_code take_up(struct send *s, const struct state_place *p,
				  struct restante_error *e)
{
	enum restante_code rc = make_legs(s, p->count, e);
	unsigned i;

	for (i = 0; rc == RESTANTE_OK && i < p->count; i++)
		if (p->urls[i] != NULL)
			rc = leg_take_up(s->legs[i], p->urls[i], e);
	if (rc == RESTANTE_OK && p->final != NULL) {
		rc = send_make_final(s, e);
		if (rc == RESTANTE_OK)
			rc = leg_take_up(s->final, p->final, e);
	}
	return rc;
}

/* What the state file has, if it is any good; else no legs are made. */
static enum restante_code take_up_state(struct send *s, struct restante_error *e)
{
	const struct state_about a = about(s);
	struct restante_error passed;
	struct state_place p;
	enum restante_code rc = RESTANTE_OK;

	if (!state_read(s->state, &a, &p))
		return RESTANTE_OK;
	if (makes_sense(s, &p) &&
	    (!a.seals || source_take_up(s->source, p.key, p.head, &passed) == RESTANTE_OK))
		rc = take_up(s, &p, e);
	state_fini(&p);
	return rc;
}

/* With a state file, what it says counts: another process may have been here since. */
static enum restante_code open_state(struct send *s, struct restante_error *e)
{
	enum restante_code rc;

	if (s->state_path == NULL)
		return RESTANTE_OK;
	send_drop_legs(s);
	rc = state_open(&s->state, s->state_path, e);
	return rc == RESTANTE_OK ? take_up_state(s, e) : rc;
}

enum restante_code send_prepare(struct send *s, struct restante_error *e)
{
	enum restante_code rc;
	unsigned count;

	free(s->endpoint);
	s->endpoint = NULL;
	rc = transport_url(s->client->transport,
			   s->endpoint_path != NULL ? s->endpoint_path : "/v1/uploads",
			   &s->endpoint, e);
	if (rc != RESTANTE_OK)
		return rc;
	tus_metadata(s->metadata, s->kind, s->ttl_s, s->recipients);
	s->shared.client = s->client;
	s->shared.source = s->source;
	s->shared.tally = &s->tally;
	s->shared.endpoint = s->endpoint;
	s->shared.metadata = s->metadata;
	s->shared.quiet_ms = s->quiet_ms;
	s->shared.created = created;
	s->shared.ctx = s;
	s->doubted = false;
	rc = open_state(s, e);
	if (rc == RESTANTE_OK)
		rc = source_check(s->source, e);
	if (rc != RESTANTE_OK || s->count > 0)
		return rc;
	rc = choose_count(s, &count, e);
	return rc == RESTANTE_OK ? make_legs(s, count, e) : rc;
}
