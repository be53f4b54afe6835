#include <string.h>

#include "tests/crash/uploads.h"
#include "tests/lib/rufh.h"

#define ANSWER_MS 20000
#define INTEROP "Upload-Draft-Interop-Version: 8"

static void learn_creation(struct worker *w, struct resumable *u, const struct append *p,
			   const struct answer *interim)
{
	upload_note(u, "104");
	upload_learn_place(w, u, interim);
	if (p->told_length)
		u->length_known = YES;
}

/* Reads interim answers, which are promises too, and then the final one. */
static bool all_answers(struct worker *w, struct resumable *u, const struct append *p,
			struct answer *a)
{
	struct answer interim;

	while (rufh_interim(w->client, ANSWER_MS, &interim) != 0) {
		if (interim.status != 104)
			upload_fail(u, "an interim answer: %s", interim.head);
		if (has_field(&interim, "Location"))
			learn_creation(w, u, p, &interim);
		if (has_field(&interim, "Upload-Offset")) {
			const size_t offset = number_of(&interim, "Upload-Offset", u);

			upload_note(u, "104:%zu", offset);
			if (offset < u->least || offset > u->content.len)
				upload_fail(u, "an interim offset: %s", interim.head);
			u->least = offset;
		}
		answer_free(&interim);
	}
	answer_free(&interim);
	return whole_answer(w, false, a);
}

static bool send_and_read(struct worker *w, struct resumable *u, const char *method,
			  const char *target, const struct fields *f, const struct append *p,
			  struct answer *a)
{
	(void)ask(w, method, target, f, &p->load);
	return w->client != NULL && all_answers(w, u, p, a);
}

/* Whether this request, done, finishes the upload; and who tells the length. */
static bool settle(struct worker *w, const struct resumable *u, struct append *p, bool plain,
		   bool *tells)
{
	const bool complete = p->rest && (plain || chance(&w->random, 75));

	*tells = chance(&w->random, 15);
	p->gives_length = *tells || complete; /* a chunked one when it is done */
	p->finishes = complete || (u->content.len == 0 && (*tells || u->length_known == YES));
	return complete;
}

/* ---- PATCH ---- */

static void appended(struct worker *w, struct resumable *u, const struct append *p, bool complete,
		     const struct answer *a)
{
	/* a part has no tokens to be told */
	if (a->status != (complete && u->role == WHOLE ? 201 : 204)) {
		append_refused(w, u, p, a);
		return;
	}
	append_done(w, u, p, a);
	if (complete && u->role == WHOLE && !answer_json(a, "token", u->token, sizeof(u->token)))
		upload_fail(u, "no token: %s", a->head);
}

bool rufh_go_on(struct worker *w, struct resumable *u, bool plain)
{
	struct fields f = { 0 };
	struct append p;
	struct answer a;
	bool going = true, tells, complete;

	append_draw(w, u, plain, &p);
	complete = settle(w, u, &p, plain, &tells);
	if (chance(&w->random, 70))
		fields_add(&f, INTEROP);
	fields_add(&f, "Content-Type: application/partial-upload");
	fields_add(&f, "Upload-Offset: %zu", p.offset);
	fields_add(&f, "Upload-Complete: ?%d", complete);
	if (tells)
		fields_add(&f, "Upload-Length: %zu", u->content.len);
	append_check(w, u, &p, &f);
	upload_note(u, "rufh:%zu+%zu%s%s%s%s%s%s", p.offset, p.n, complete ? "." : "",
		    p.load.chunked ? "c" : "", tells ? "L" : "", p.check == BAD ? "!" : "",
		    p.check == GOOD ? "?" : "", p.cut ? "/" : "");
	if (p.cut) {
		(void)ask(w, "PATCH", u->path, &f, &p.load);
		if (w->client != NULL)
			going = append_abandon(w, u, &p);
	} else if (!send_and_read(w, u, "PATCH", u->path, &f, &p, &a)) {
		append_doubt(u, &p);
		going = upload_broke(w, u, u->haunted);
	} else {
		appended(w, u, &p, complete, &a);
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
	if (u->token[0] == '\0')
		upload_fail(u, "no tokens: %s", a->head);
}

/* Broken off behind what was sent: its URL may be known by then, from the 104. */
static bool break_off(struct worker *w, struct resumable *u, const struct append *p)
{
	struct answer interim;

	if (rufh_interim(w->client, 1000, &interim) == 104)
		learn_creation(w, u, p, &interim);
	answer_free(&interim);
	if (u->state != NOT_KNOWN)
		return append_abandon(w, u, p);
	drop_client(w);
	return true;
}

static void draw_creation(struct worker *w, struct resumable *u, struct append *p, struct fields *f,
			  bool interop)
{
	bool tells, complete;

	append_draw(w, u, false, p);
	complete = settle(w, u, p, false, &tells);
	p->told_length = tells || (complete && !p->load.chunked);
	if (interop)
		fields_add(f, INTEROP);
	fields_add(f, "Upload-Complete: ?%d", complete);
	if (tells)
		fields_add(f, "Upload-Length: %zu", u->content.len);
	if (u->metadata != NULL)
		fields_add(f, "Upload-Metadata: %s", u->metadata);
	/* Repr-Digest would stay with the upload, so none is drawn here */
	if (p->finishes) {
		p->finishes = false;
		append_check(w, u, p, f);
		p->finishes = true;
	} else {
		append_check(w, u, p, f);
	}
	upload_note(u, "rufh:POST+%zu%s%s%s%s%s", p->n, complete ? "." : "",
		    p->load.chunked ? "c" : "", tells ? "L" : "", p->check == BAD ? "!" : "",
		    p->cut ? "/" : "");
}

bool rufh_begin_one(struct worker *w)
{
	struct random *r = &w->random;
	struct resumable *u = upload_new(w, WHOLE, random_slice(r, random_size(r)));
	const bool upgraded = chance(r, 20), interop = chance(r, 80);
	const char *target = upgraded ? "/v1/media" : "/v1/uploads";
	const char *method = chance(r, 50) ? "POST" : "PUT";
	struct fields f = { 0 };
	struct append p;
	struct answer a;
	bool going = true;

	draw_creation(w, u, &p, &f, interop);
	if (p.cut) {
		(void)ask(w, method, target, &f, &p.load);
		if (w->client != NULL)
			going = interop ? break_off(w, u, &p) : (drop_client(w), true);
	} else if (!send_and_read(w, u, method, target, &f, &p, &a)) {
		append_doubt(u, &p);
		going = upload_broke(w, u, false);
	} else {
		created(w, u, &p, &a);
		answer_free(&a);
	}
	append_fini(&p);
	upload_release(w, u);
	return going;
}
