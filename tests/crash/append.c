#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <nettle/nettle-meta.h>

#include "base/digest.h"
#include "base/text.h"
#include "tests/crash/uploads.h"

/* ---- how many bytes ---- */

static size_t random_part(struct random *r, size_t offset, size_t left)
{
	const size_t n = below(r, 100);
	size_t k;

	if (n < 10)
		k = 0;
	else if (n < 35) /* to the grid of the store, and either side of it */
		k = (offset / GRID + 1 + below(r, 3)) * GRID - offset - 1 + below(r, 3);
	else if (n < 55)
		k = below(r, 64 << 10);
	else if (n < 75)
		k = below(r, left + 1);
	else
		k = left;
	return k < left ? k : left;
}

void append_draw(struct worker *w, const struct resumable *u, bool plain, struct append *p)
{
	struct random *r = &w->random;
	const size_t left = u->content.len - u->least;

	*p = (struct append){ .offset = u->least };
	p->n = plain ? left : random_part(r, u->least, left);
	p->rest = p->n == left;
	p->load = (struct load){ .p = w->c->pool + u->content.at + p->offset, .n = p->n };
	p->load.chunked = chance(r, 25);
	p->load.sent = p->n;
	if (plain)
		return;
	p->check = chance(r, 30) ? (chance(r, 50) ? GOOD : BAD) : UNCHECKED;
	p->cut = p->n > 0 && chance(r, 10);
	p->handed = p->cut && chance(r, 40);
	if (p->cut)
		p->load.sent = below(r, p->n);
}

void append_fini(struct append *p)
{
	free(p->damaged);
}

/* ---- checks ---- */

/* "name base64" of these bytes. */
static void sum_of(struct random *r, struct load bytes, char *out, size_t size)
{
	static const char *const names[] = { "sha1", "sha256", "sha512", "md5" };
	const struct nettle_hash *h = nettle_lookup_hash(names[below(r, 4)]);
	_Alignas(max_align_t) uint8_t context[1024];
	uint8_t value[64];
	char base64[BASE64_LEN(sizeof(value)) + 1];

	if (h == NULL || h->context_size > sizeof(context) || h->digest_size > sizeof(value))
		fail("a checksum is not to be had");
	h->init(context);
	h->update(context, bytes.n, bytes.p);
	h->digest(context, h->digest_size, value);
	base64_encode(base64, value, h->digest_size);
	(void)snprintf(out, size, "%s %s", h->name, base64);
}

/* sha-256 as Content-Digest and Repr-Digest have it. */
static void digest_text(const uint8_t *p, size_t n, char *out, size_t size)
{
	char base64[BASE64_LEN(sizeof(struct digest)) + 1];
	struct digest d;

	digest_of((struct bytes){ p, n }, &d);
	base64_encode(base64, d.b, sizeof(d.b));
	(void)snprintf(out, size, "sha-256=:%s:", base64);
}

static void damage(struct append *p)
{
	p->damaged = malloc(p->n);
	if (p->damaged == NULL)
		fail("no memory");
	memcpy(p->damaged, p->load.p, p->n);
	for (size_t i = 0; i < p->n; i += 1000)
		p->damaged[i] ^= 0x5a;
	p->load.p = p->damaged;
}

void append_check(struct worker *w, const struct resumable *u, struct append *p, struct fields *f)
{
	struct random *r = &w->random;
	const uint8_t *all = w->c->pool + u->content.at;
	struct load told = p->load;
	char value[160];

	if (p->check == UNCHECKED)
		return;
	/* what is BAD is told of other bytes, or others are sent */
	if (p->check == BAD && (p->n == 0 || chance(r, 30)))
		told = (struct load){ .p = all == w->c->pool ? all + 1 : all - 1, .n = p->n + 1 };
	else if (p->check == BAD)
		damage(p);
	if (p->finishes && chance(r, 25)) {
		digest_text(all, p->check == BAD && p->damaged == NULL ? 0 : u->content.len, value,
			    sizeof(value));
		if (p->check == BAD && p->damaged == NULL && u->content.len == 0)
			digest_text(w->c->pool, 1, value, sizeof(value));
		fields_add(f, "Repr-Digest: %s", value);
		p->refusal = 400;
	} else if (chance(r, 20)) {
		digest_text(told.p, told.n, value, sizeof(value));
		fields_add(f, "Content-Digest: %s", value);
		p->refusal = 400;
	} else {
		sum_of(r, told, value, sizeof(value));
		p->refusal = 460;
		if (p->load.chunked && chance(r, 50)) {
			fields_add(f, "Trailer: Upload-Checksum");
			(void)snprintf(p->trailer, sizeof(p->trailer), "Upload-Checksum: %s\r\n",
				       value);
			p->load.trailer = p->trailer;
		} else {
			fields_add(f, "Upload-Checksum: %s", value);
		}
	}
}

/* ---- what may become of them ---- */

void append_doubt(struct resumable *u, const struct append *p)
{
	const size_t end = p->offset + p->load.sent;

	upload_note(u, "no answer");
	if (p->check == BAD || (p->check == GOOD && p->cut))
		return; /* nothing of it counts */
	if (p->gives_length && u->length_known == NO)
		u->length_known = PERHAPS;
	if (end > u->most)
		u->most = end;
	u->all_or_none = p->check == GOOD;
	if (p->cut && end > u->stray)
		u->stray = end;
}

void append_done(struct worker *w, struct resumable *u, const struct append *p,
		 const struct answer *a)
{
	const bool finished = has_field(a, "Repr-Digest");

	upload_note(u, "%d", a->status);
	if (p->check == BAD)
		upload_fail(u, "a flaw was overlooked: %s", a->head);
	u->most = p->offset + p->n;
	u->least = u->most;
	u->all_or_none = false;
	if (p->gives_length)
		u->length_known = YES;
	if (number_of(a, "Upload-Offset", u) != u->least)
		upload_fail(u, "not the offset after this request: %s", a->head);
	if (finished != p->finishes)
		upload_fail(u, "finished or not, not as it should be: %s", a->head);
	if (finished)
		upload_set(w, u, ALIVE, true);
	w->c->patched++;
}

void append_refused(struct worker *w, struct resumable *u, const struct append *p,
		    const struct answer *a)
{
	upload_note(u, "%d", a->status);
	if (a->status == 409 && u->stray > p->offset) {
		upload_learn_offset(u, number_of(a, "Upload-Offset", u));
		return;
	}
	if (p->check != BAD || a->status != p->refusal)
		upload_fail(u, "refused: %s%s", a->head, (const char *)a->body);
	w->c->refused++;
}

bool append_abandon(struct worker *w, struct resumable *u, const struct append *p)
{
	struct client *older = w->client;
	bool going = true;

	append_doubt(u, p);
	u->haunted = true;
	w->client = NULL;
	if (p->handed) {
		going = upload_look(w, u);
		client_close(older);
	} else if (chance(&w->random, 30)) {
		client_half_close(older);
		client_close(older);
	} else if (chance(&w->random, 50)) {
		client_reset(older);
	} else {
		client_close(older);
	}
	return going;
}
