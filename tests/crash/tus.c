#include <string.h>

#include "tests/crash/uploads.h"

/* Whether this request, done, finishes the upload; and who tells the length. */
static void settle(struct worker *w, const struct resumable *u, struct append *p, bool plain)
{
	p->gives_length = u->length_known != YES &&
			  (p->rest ? plain || chance(&w->random, 80) : chance(&w->random, 15));
	p->finishes = p->rest && (u->length_known == YES || p->gives_length);
}

/* ---- PATCH ---- */

bool tus_go_on(struct worker *w, struct resumable *u, bool plain)
{
	struct fields f = { 0 };
	struct append p;
	struct answer a;
	bool going = true;

	append_draw(w, u, plain, &p);
	settle(w, u, &p, plain);
	fields_add(&f, TUS);
	fields_add(&f, TUS_TYPE);
	fields_add(&f, "Upload-Offset: %zu", p.offset);
	if (p.gives_length)
		fields_add(&f, "Upload-Length: %zu", u->content.len);
	append_check(w, u, &p, &f);
	upload_note(u, "tus:%zu+%zu%s%s%s%s%s", p.offset, p.n, p.load.chunked ? "c" : "",
		    p.gives_length ? "L" : "", p.check == BAD ? "!" : "",
		    p.check == GOOD ? "?" : "", p.cut ? "/" : "");
	if (p.cut) {
		(void)ask(w, "PATCH", u->path, &f, &p.load);
		if (w->client != NULL)
			going = append_abandon(w, u, &p);
	} else if (!exchange(w, "PATCH", u->path, &f, &p.load, &a)) {
		append_doubt(u, &p);
		going = upload_broke(w, u, u->haunted);
	} else {
		if (a.status == 204)
			append_done(w, u, &p, &a);
		else
			append_refused(w, u, &p, &a);
		answer_free(&a);
	}
	append_fini(&p);
	return going;
}

/* ---- POST ---- */

static void created(struct worker *w, struct resumable *u, const struct append *p,
		    const struct answer *a)
{
	if (a->status != 201) {
		append_refused(w, u, p, a);
		return;
	}
	upload_learn_place(w, u, a);
	append_done(w, u, p, a);
	if ((u->role == PARTIAL) != (u->token[0] == '\0'))
		upload_fail(u, "tokens of a part, or none: %s", a->head);
}

bool tus_begin_one(struct worker *w)
{
	struct random *r = &w->random;
	struct resumable *u =
		upload_new(w, chance(r, 50) ? PARTIAL : WHOLE, random_slice(r, random_size(r)));
	const bool bring = chance(r, 40);
	struct fields f = { 0 };
	struct append p;
	struct answer a;
	bool going = true;

	append_draw(w, u, false, &p);
	if (!bring) {
		p.n = p.load.n = p.load.sent = 0;
		p.rest = u->content.len == 0;
		p.load.chunked = p.cut = false;
		p.check = UNCHECKED;
	}
	p.gives_length = chance(r, 75);
	p.finishes = p.rest && p.gives_length;
	fields_add(&f, TUS);
	if (p.gives_length)
		fields_add(&f, "Upload-Length: %zu", u->content.len);
	else
		fields_add(&f, "Upload-Defer-Length: 1");
	if (u->role == PARTIAL)
		fields_add(&f, "Upload-Concat: %s", u->concat = strdup("partial"));
	if (u->metadata != NULL)
		fields_add(&f, "Upload-Metadata: %s", u->metadata);
	if (bring)
		fields_add(&f, TUS_TYPE);
	append_check(w, u, &p, &f);
	upload_note(u, "tus:POST+%zu%s%s%s", p.n, p.gives_length ? "L" : "",
		    p.check == BAD ? "!" : "", p.cut ? "/" : "");
	if (p.cut) { /* nobody will know of it */
		(void)ask(w, "POST", "/v1/uploads", &f, &p.load);
		if (w->client != NULL)
			drop_client(w);
	} else if (!exchange(w, "POST", "/v1/uploads", &f, bring ? &p.load : NULL, &a)) {
		going = upload_broke(w, u, false);
	} else {
		created(w, u, &p, &a);
		answer_free(&a);
	}
	append_fini(&p);
	upload_release(w, u);
	return going;
}
