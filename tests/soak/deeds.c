#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/soak/soak.h"
#include "wire/token.h"

#define LIFE_MAX_S 40
#define KEPT_MAX 400
#define TUS "Tus-Resumable: 1.0.0"
#define TUS_TYPE "Content-Type: application/offset+octet-stream"

/* ---- uploading ---- */

static void add_grant(struct hand *h, struct fields *f, const char *jti)
{
	struct grant g = minter_grant(&h->s->minter);
	char field[MINTER_FIELD_SIZE];

	(void)snprintf(g.bucket, sizeof(g.bucket), "bucket-%zu", below(&h->w.random, BUCKETS));
	(void)snprintf(g.jti, sizeof(g.jti), "%s", jti);
	(void)minter_field(&h->s->minter, &g, field);
	field[strlen(field) - 2] = '\0';
	fields_add(f, "%s", field);
}

/* What the answer promises. */
static void keep_promise(struct promise *p, const struct answer *a)
{
	char expires[32];

	if (!answer_field(a, "Media-Token", p->token, sizeof(p->token)) ||
	    !answer_field(a, "Media-Manage-Token", p->manage, sizeof(p->manage)) ||
	    !answer_field(a, "Upload-Expires", expires, sizeof(expires)))
		fail("a finished upload has no tokens, or no end");
	if (!clock_parse_http(expires, strlen(expires), &p->expires_s))
		fail("Upload-Expires is no date: %s", expires);
	p->extended_s = p->expires_s;
	p->answered_ms = now_ms();
	p->state = ALIVE;
}

static void plan(struct hand *h, struct promise *p, char *query, size_t size)
{
	struct random *r = &h->w.random;

	p->content = random_slice(r, chance(r, 97) ? below(r, 300 << 10) : random_size(r));
	p->kept = chance(r, 10) && atomic_load(&h->s->kept) < KEPT_MAX;
	p->recipients = p->kept ? 0 : (unsigned)below(r, RECIPIENTS_MAX + 1);
	if (p->kept)
		atomic_fetch_add(&h->s->kept, 1);
	(void)snprintf(query, size, "?ttl=%zu&recipients=%u",
		       p->kept ? 3600 : 2 + below(r, LIFE_MAX_S - 2), p->recipients);
}

static bool refused_for_now(int status)
{
	return status == 429 || status == 503 || status == 507;
}

static void put(struct hand *h, struct promise *p)
{
	char query[80], target[128], jti[48] = "";
	const struct load l = { .p = NULL };
	struct load body = l;
	struct fields f = { .n = 0 };
	struct answer a;
	unsigned tries = chance(&h->w.random, 30) ? 2 : 1;

	plan(h, p, query, sizeof(query));
	if (tries == 2)
		(void)snprintf(jti, sizeof(jti), "%016llx", (unsigned long long)draw(&h->w.random));
	add_grant(h, &f, jti);
	(void)snprintf(target, sizeof(target), "/v1/media%s", query);
	body = (struct load){ .p = h->s->c.pool + p->content.at,
			      .n = p->content.len,
			      .sent = p->content.len,
			      .chunked = chance(&h->w.random, 20) };
	for (; tries > 0; tries--) {
		char before[TOKEN_SIZE];

		if (!exchange(&h->w, "PUT", target, &f, &body, &a))
			continue;
		(void)snprintf(before, sizeof(before), "%s", p->token);
		if (a.status == 201)
			keep_promise(p, &a);
		else if (!refused_for_now(a.status))
			fail("PUT was answered with %d", a.status);
		answer_free(&a);
		if (before[0] != '\0' && strcmp(before, p->token) != 0)
			fail("a grant for one upload made two");
		if (before[0] != '\0')
			atomic_fetch_add(&h->s->spent, 1);
	}
}

/* In pieces; sometimes it is left as it is. */
static void patch(struct hand *h, struct promise *p)
{
	const bool left = chance(&h->w.random, 10);
	char query[80], target[128], path[PATH_SIZE];
	struct fields f = { .n = 0 };
	struct answer a;
	size_t at = 0, end;

	plan(h, p, query, sizeof(query));
	end = left ? p->content.len / 2 : p->content.len;
	fields_add(&f, TUS);
	fields_add(&f, "Upload-Length: %zu", p->content.len);
	add_grant(h, &f, "");
	(void)snprintf(target, sizeof(target), "/v1/uploads%s", query);
	if (!exchange(&h->w, "POST", target, &f, NULL, &a))
		return;
	if (a.status != 201 && !refused_for_now(a.status))
		fail("POST was answered with %d", a.status);
	if (!answer_field(&a, "Location", path, sizeof(path)))
		path[0] = '\0';
	if (a.status == 201 && p->content.len == 0)
		keep_promise(p, &a);
	answer_free(&a);
	while (path[0] != '\0' && at < end) {
		const size_t n = 1 + below(&h->w.random, end - at);
		const struct load l = { .p = h->s->c.pool + p->content.at + at, .n = n, .sent = n };
		struct fields g = { .n = 0 };

		fields_add(&g, TUS);
		fields_add(&g, TUS_TYPE);
		fields_add(&g, "Upload-Offset: %zu", at);
		if (!exchange(&h->w, "PATCH", path, &g, &l, &a))
			return;
		if (a.status != 204 && !refused_for_now(a.status))
			fail("PATCH was answered with %d", a.status);
		if (a.status == 204 && at + n == p->content.len)
			keep_promise(p, &a);
		at += a.status == 204 ? n : 0;
		answer_free(&a);
	}
}

/* ---- what was promised ---- */

/* A fetch that began and ended then: what may have come of it. */
static bool may_be_gone(const struct promise *p, int64_t ended_ms)
{
	return p->state != ALIVE || ended_ms >= p->expires_s * 1000;
}

static bool may_be_there(const struct promise *p, int64_t began_ms)
{
	return p->state != GONE && began_ms < p->extended_s * 1000;
}

bool deed_fetch(struct hand *h, struct promise *p)
{
	const int64_t began = now_ms();
	char target[128];
	struct answer a;
	int64_t ended;

	(void)snprintf(target, sizeof(target), "/v1/media/%s", p->token);
	if (!exchange(&h->w, "GET", target, NULL, NULL, &a))
		return false;
	ended = now_ms();
	if (a.status == 404 && !may_be_gone(p, ended))
		fail("an upload is lost: %zu bytes, kept=%d, answered %lld ms ago, ends in %lld ms",
		     p->content.len, p->kept, (long long)(ended - p->answered_ms),
		     (long long)(p->expires_s * 1000 - ended));
	if (a.status == 200 && !may_be_there(p, began))
		fail("an upload was served %lld ms after its time, or its deletion",
		     (long long)(began - p->extended_s * 1000));
	if (a.status == 200 && (a.body_len != p->content.len ||
				memcmp(a.body, h->s->c.pool + p->content.at, a.body_len) != 0))
		fail("an upload is not what it was");
	if (a.status != 200 && a.status != 404)
		fail("GET was answered with %d", a.status);
	if (a.status == 404) {
		if (p->state == ALIVE)
			atomic_fetch_add(&h->s->expired, 1);
		p->state = GONE;
	}
	atomic_fetch_add(&h->s->c.fetched, 1);
	answer_free(&a);
	return true;
}

static void acknowledge(struct hand *h, struct promise *p)
{
	const unsigned number = p->acknowledged + 1;
	const bool last = number == p->recipients;
	char narrow[TOKEN_TEXT_SIZE], target[160];
	struct answer a;

	if (p->recipients == 0 || p->acknowledged == p->recipients)
		return;
	if (token_narrow_recipient(narrow, p->token, strlen(p->token), (uint16_t)number) != ERR_OK)
		fail("a token cannot be narrowed");
	(void)snprintf(target, sizeof(target), "/v1/media/%s/ack", narrow);
	if (last) {
		p->going_ms = now_ms();
		p->state = DOUBTFUL;
	}
	if (!exchange(&h->w, "POST", target, NULL, NULL, &a))
		return;
	if (a.status == 204) {
		p->acknowledged = number;
		p->state = last ? GONE : p->state;
		atomic_fetch_add(&h->s->acknowledged, 1);
	} else if (a.status != 404 || !may_be_gone(p, now_ms())) {
		fail("an acknowledgement was answered with %d", a.status);
	}
	answer_free(&a);
}

static void cancel(struct hand *h, struct promise *p)
{
	char target[128];
	struct answer a;

	p->going_ms = now_ms();
	p->state = DOUBTFUL;
	(void)snprintf(target, sizeof(target), "/v1/media/%s", p->manage);
	if (!exchange(&h->w, "DELETE", target, NULL, NULL, &a))
		return;
	if (a.status != 204 && a.status != 404)
		fail("DELETE was answered with %d", a.status);
	p->state = GONE;
	atomic_fetch_add(&h->s->c.deleted, 1);
	answer_free(&a);
}

static void extend(struct hand *h, struct promise *p)
{
	const unsigned ttl = LIFE_MAX_S + (unsigned)below(&h->w.random, LIFE_MAX_S);
	char target[160], expires[32];
	struct answer a;

	if (p->kept || p->state != ALIVE)
		return;
	(void)snprintf(target, sizeof(target), "/v1/media/%s/extend?ttl=%u", p->manage, ttl);
	if (now_ms() / 1000 + ttl + 20 > p->extended_s)
		p->extended_s = now_ms() / 1000 + ttl + 20; /* unless it is answered */
	if (!exchange(&h->w, "POST", target, NULL, NULL, &a))
		return;
	if (a.status == 200 && answer_field(&a, "Upload-Expires", expires, sizeof(expires))) {
		if (!clock_parse_http(expires, strlen(expires), &p->expires_s))
			fail("Upload-Expires is no date: %s", expires);
		p->extended_s = p->expires_s;
		atomic_fetch_add(&h->s->extended, 1);
	} else if (a.status != 404 || !may_be_gone(p, now_ms())) {
		fail("an extension was answered with %d", a.status);
	}
	answer_free(&a);
}

/* ---- */

static void make(struct hand *h)
{
	struct promise *p = ledger_new(h);

	if (p == NULL)
		return;
	if (chance(&h->w.random, 70))
		put(h, p);
	else
		patch(h, p);
	if (p->state == ALIVE)
		atomic_fetch_add(&h->s->c.acknowledged, 1);
	ledger_release(h, p);
}

void deed(struct hand *h)
{
	const size_t n = below(&h->w.random, 100);
	struct promise *p;

	if (n < 25) {
		make(h);
		return;
	}
	p = ledger_any(h);
	if (p == NULL)
		return;
	if (n < 80 || p->kept)
		(void)deed_fetch(h, p);
	else if (n < 90)
		acknowledge(h, p);
	else if (n < 95)
		cancel(h, p);
	else
		extend(h, p);
	ledger_release(h, p);
}
