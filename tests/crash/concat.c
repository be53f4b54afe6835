#include <string.h>

#include "tests/crash/uploads.h"

/* Until a final upload has to be what its parts say. */
#define SETTLE_MS 5000
#define STEP_MS 5

/* ---- asking for one ---- */

/* Some parts that are there, in any order, one perhaps twice; nobody deletes them meanwhile. */
static void choose_parts(struct worker *w, struct resumable *u, bool finished_only)
{
	const unsigned wanted = 1 + (unsigned)below(&w->random, PARTS_MAX);
	struct resumable *p;

	pthread_mutex_lock(&w->c->lock);
	for (int turn = 0; turn < 2 && u->part_count < wanted; turn++)
		for (p = w->c->uploads->first; p != NULL && u->part_count < wanted; p = p->next) {
			if (p->role != PARTIAL || p->state != ALIVE || !chance(&w->random, 50) ||
			    (finished_only && !p->finished))
				continue;
			u->parts[u->part_count++] = p;
			u->content.len += p->content.len;
			p->needed++;
			p->asked_for++;
		}
	pthread_mutex_unlock(&w->c->lock);
}

static void name_parts(struct worker *w, struct resumable *u)
{
	char text[PARTS_MAX * (PATH_SIZE + 32) + 16] = "final;";

	for (unsigned i = 0; i < u->part_count; i++) {
		(void)strcat(text, i > 0 ? " " : "");
		(void)strcat(text, chance(&w->random, 20) ? "http://any.host" : "");
		(void)strcat(text, u->parts[i]->path);
	}
	u->concat = strdup(text);
}

static bool all_finished(struct worker *w, const struct resumable *u)
{
	bool all = true;

	pthread_mutex_lock(&w->c->lock);
	for (unsigned i = 0; i < u->part_count; i++)
		all = all && u->parts[i]->finished;
	pthread_mutex_unlock(&w->c->lock);
	return all;
}

static void made(struct worker *w, struct resumable *u, const struct answer *a, bool ready)
{
	const bool whole = has_field(a, "Repr-Digest");

	if (a->status != 201)
		upload_fail(u, "a final upload: %s%s", a->head, (const char *)a->body);
	upload_learn_place(w, u, a);
	if (whole != has_field(a, "Upload-Offset") || (ready && !whole) ||
	    (whole && number_of(a, "Upload-Offset", u) != u->content.len))
		upload_fail(u, "a final upload of %u parts%s: %s", u->part_count,
			    ready ? ", all finished" : "", a->head);
	if (whole)
		upload_set(w, u, ALIVE, true);
}

static void let_go_of_parts(struct worker *w, struct resumable *u)
{
	pthread_mutex_lock(&w->c->lock);
	for (unsigned i = 0; i < u->part_count; i++)
		u->parts[i]->asked_for--;
	pthread_mutex_unlock(&w->c->lock);
}

static bool ask_for(struct worker *w, struct resumable *u)
{
	const bool ready = all_finished(w, u);
	struct fields f = { 0 };
	struct answer a;
	bool going = true;

	name_parts(w, u);
	fields_add(&f, TUS);
	fields_add(&f, "Upload-Concat: %s", u->concat);
	if (u->metadata != NULL)
		fields_add(&f, "Upload-Metadata: %s", u->metadata);
	upload_note(u, "final of %u%s", u->part_count, ready ? "" : ", not all finished");
	if (exchange(w, "POST", "/v1/uploads", &f, NULL, &a)) {
		made(w, u, &a, ready);
		answer_free(&a);
	} else {
		going = upload_broke(w, u, false);
	}
	return going;
}

bool concat_begin_one(struct worker *w)
{
	struct resumable *u = upload_new(w, FINAL, (struct slice){ 0, 0 });
	bool going = true;

	choose_parts(w, u, chance(&w->random, 50));
	u->most = u->content.len;
	u->all_or_none = true;
	if (u->part_count > 0)
		going = ask_for(w, u);
	let_go_of_parts(w, u);
	upload_release(w, u);
	return going;
}

/* ---- its end ---- */

void concat_doom(struct campaign *c, const struct resumable *part)
{
	struct resumable *u;

	for (u = c->uploads->first; part->needed > 0 && u != NULL; u = u->next)
		for (unsigned i = 0; u->role == FINAL && i < u->part_count; i++)
			u->doomed = u->doomed || (u->parts[i] == part && !u->finished);
}

static bool a_part_is_gone(const struct resumable *u)
{
	for (unsigned i = 0; i < u->part_count; i++)
		if (u->parts[i]->state == GONE)
			return true;
	return false;
}

void concat_settle(struct worker *w, struct resumable *u)
{
	const bool gone = a_part_is_gone(u), ready = !gone && all_finished(w, u);

	if (!gone && !ready)
		return;
	for (int ms = 0; u->state == ALIVE && !u->finished; ms += STEP_MS) {
		if (ms > SETTLE_MS)
			upload_fail(u, gone ? "it waits for a part that is gone"
					    : "its parts are finished, and it is not");
		if (ms > 0)
			pause_us(STEP_MS * 1000);
		if (!upload_look(w, u))
			upload_fail(u, "HEAD broke off");
	}
	if (u->state == ALIVE)
		w->c->joined++;
}
