#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tests/crash/uploads.h"

/* What is left finished after a round, about. */
#define KEEP_COUNT 24u
#define KEEP_BYTES (24u << 20)
/* Of what is older than the last round, so many are looked at. */
#define SAMPLE 5u
/* Rounds until what is not finished is finished without a kill in between. */
#define PATIENCE 2
#define METADATA_MAX 1500

void uploads_init(struct campaign *c)
{
	c->uploads = calloc(1, sizeof(*c->uploads));
	if (c->uploads == NULL)
		fail("no memory");
}

static void upload_free(struct resumable *u)
{
	free(u->metadata);
	free(u->concat);
	free(u->story);
	free(u);
}

void uploads_fini(struct campaign *c)
{
	struct resumable *u, *next;

	for (u = c->uploads->first; u != NULL; u = next) {
		next = u->next;
		upload_free(u);
	}
	free(c->uploads);
}

/* ---- its story ---- */

void upload_note(struct resumable *u, const char *fmt, ...)
{
	const size_t room = STORY_SIZE - u->story_len;
	va_list ap;
	int n;

	if (room < 2)
		return;
	if (u->story_len > 0)
		u->story[u->story_len++] = ' ';
	va_start(ap, fmt);
	n = vsnprintf(u->story + u->story_len, room - 1, fmt, ap);
	va_end(ap);
	u->story_len += n < (int)room - 1 ? (size_t)n : room - 2;
}

void upload_fail(const struct resumable *u, const char *fmt, ...)
{
	static const char *const roles[] = { "whole", "partial", "final" };
	static const char *const states[] = { "not known", "alive", "doubtful", "gone" };
	char why[4096];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	fail("%s upload of round %u, %s%s%s, %zu bytes, offset from %zu to %zu%s, stray %zu: "
	     "%s\nstory: %s\n(%s)",
	     roles[u->role], u->round, states[u->state], u->finished ? ", finished" : "",
	     u->doomed ? ", doomed" : "", u->content.len, u->least, u->most,
	     u->all_or_none ? " or nothing" : "", u->stray, why, u->story, u->path);
}

/* ---- the table ---- */

/* "name base64,name base64,…", as is allowed and says nothing to the server. */
static char *random_metadata(struct random *r)
{
	size_t room = 80 + (chance(r, 10) ? METADATA_MAX : below(r, 200)), n = 0;
	char *out = malloc(room + 200);

	if (out == NULL)
		fail("no memory");
	for (int i = 0; n < room - 60; i++) {
		uint8_t value[96];
		size_t len = below(r, room - n < 150 ? 20 : sizeof(value));

		for (size_t k = 0; k < len; k++)
			value[k] = (uint8_t)draw(r);
		n += (size_t)sprintf(out + n, "%sx%d-%04zx", i > 0 ? "," : "", i, below(r, 65536));
		if (len == 0)
			continue;
		out[n++] = ' ';
		base64_encode(out + n, value, len);
		n += strlen(out + n);
		if (chance(r, 20))
			break;
	}
	out[n] = '\0';
	return out;
}

struct resumable *upload_new(struct worker *w, enum role role, struct slice content)
{
	struct resumable *u = calloc(1, sizeof(*u));

	if (u == NULL || (u->story = calloc(1, STORY_SIZE)) == NULL)
		fail("no memory");
	u->role = role;
	u->content = content;
	u->round = w->c->round;
	u->busy = true;
	if (chance(&w->random, 60))
		u->metadata = random_metadata(&w->random);
	pthread_mutex_lock(&w->c->lock);
	u->next = w->c->uploads->first;
	w->c->uploads->first = u;
	pthread_mutex_unlock(&w->c->lock);
	return u;
}

void upload_set(struct worker *w, struct resumable *u, enum state state, bool finished)
{
	pthread_mutex_lock(&w->c->lock);
	u->state = state;
	u->finished = finished;
	pthread_mutex_unlock(&w->c->lock);
}

void upload_release(struct worker *w, struct resumable *u)
{
	pthread_mutex_lock(&w->c->lock);
	u->busy = false;
	pthread_mutex_unlock(&w->c->lock);
}

/* One of the last that nobody is at and that is there: an unfinished one rather. */
static struct resumable *take_one(struct worker *w)
{
	struct resumable *u, *found = NULL;
	size_t seen = 0;

	pthread_mutex_lock(&w->c->lock);
	for (u = w->c->uploads->first; u != NULL && seen < 60; u = u->next) {
		if (u->busy || u->state != ALIVE || (u->finished && !chance(&w->random, 15)))
			continue;
		if (below(&w->random, ++seen) == 0)
			found = u;
	}
	if (found != NULL)
		found->busy = true;
	pthread_mutex_unlock(&w->c->lock);
	return found;
}

/* ---- answers ---- */

bool upload_broke(struct worker *w, const struct resumable *u, bool excused)
{
	if (w->client != NULL)
		drop_client(w);
	if (atomic_load(&w->c->killing))
		return false;
	if (!excused)
		upload_fail(u, "a connection broke before the kill");
	return true;
}

bool has_field(const struct answer *a, const char *name)
{
	char value[8];

	return answer_field(a, name, value, sizeof(value));
}

size_t number_of(const struct answer *a, const char *name, const struct resumable *u)
{
	char text[32], *end;
	size_t n;

	if (!answer_field(a, name, text, sizeof(text)))
		upload_fail(u, "no %s: %s", name, a->head);
	n = strtoull(text, &end, 10);
	if (end == text || *end != '\0')
		upload_fail(u, "%s is no number: %s", name, a->head);
	return n;
}

void upload_learn_place(struct worker *w, struct resumable *u, const struct answer *a)
{
	char path[PATH_SIZE];

	if (!answer_field(a, "Location", path, sizeof(path)) ||
	    strncmp(path, "/v1/uploads/", 12) != 0)
		upload_fail(u, "no Location: %s", a->head);
	if (u->path[0] != '\0' && strcmp(u->path, path) != 0)
		upload_fail(u, "another Location: %s", a->head);
	(void)strcpy(u->path, path);
	if (u->role != PARTIAL) {
		(void)answer_field(a, "Media-Token", u->token, sizeof(u->token));
		(void)answer_field(a, "Media-Manage-Token", u->manage, sizeof(u->manage));
	}
	upload_set(w, u, ALIVE, u->finished);
}

void upload_learn_offset(struct resumable *u, size_t offset)
{
	if (offset < u->least)
		upload_fail(u, "bytes that were acknowledged are gone: offset %zu", offset);
	if (offset > u->most && offset > u->stray)
		upload_fail(u, "bytes that were not sent, or refused, are there: offset %zu",
			    offset);
	if (u->all_or_none && u->stray == 0 && offset != u->least && offset != u->most)
		upload_fail(u, "some bytes of a request that counts all or none: offset %zu",
			    offset);
	u->least = u->most = offset;
	u->all_or_none = false;
}

/* ---- HEAD ---- */

static void check_echo(const struct resumable *u, const struct answer *a, const char *name,
		       const char *sent)
{
	char value[4096];
	const bool there = answer_field(a, name, value, sizeof(value));

	if (there != (sent != NULL) || (there && strcmp(value, sent) != 0))
		upload_fail(u, "%s is not as it was sent (%s): %s", name,
			    sent != NULL ? sent : "not at all", a->head);
}

static void check_length(struct resumable *u, const struct answer *a)
{
	if (!has_field(a, "Upload-Length")) {
		if (u->length_known == YES || (u->finished && u->role != FINAL))
			upload_fail(u, "its length is forgotten: %s", a->head);
		if (!u->haunted)
			u->length_known = NO;
		return;
	}
	if (number_of(a, "Upload-Length", u) != u->content.len ||
	    (u->length_known == NO && !u->finished))
		upload_fail(u, "not its length: %s", a->head);
	u->length_known = YES;
}

static void learn_finished(struct worker *w, struct resumable *u, const struct answer *a)
{
	if (number_of(a, "Upload-Offset", u) != u->content.len)
		upload_fail(u, "finished before all of it was there: %s", a->head);
	if (u->role != PARTIAL &&
	    (!answer_field(a, "Media-Token", u->token, sizeof(u->token)) ||
	     !answer_field(a, "Media-Manage-Token", u->manage, sizeof(u->manage))))
		upload_fail(u, "no tokens: %s", a->head);
	upload_set(w, u, ALIVE, true);
}

static void learn_state(struct worker *w, struct resumable *u, const struct answer *a, bool tus)
{
	const bool finished = has_field(a, "Repr-Digest");

	if (u->finished && !finished)
		upload_fail(u, "was finished, and is no more: %s", a->head);
	if (u->role == FINAL && !finished && has_field(a, "Upload-Offset"))
		upload_fail(u, "an offset before it was put together: %s", a->head);
	if (u->role != FINAL || finished)
		upload_learn_offset(u, number_of(a, "Upload-Offset", u));
	if (finished)
		learn_finished(w, u, a);
	else
		upload_set(w, u, ALIVE, false);
	check_length(u, a);
	check_echo(u, a, "Upload-Metadata", u->metadata);
	if (tus)
		check_echo(u, a, "Upload-Concat", u->concat);
}

static void learn(struct worker *w, struct resumable *u, const struct answer *a, bool tus)
{
	const bool gone = a->status == 404 || a->status == 410;

	upload_note(u, "HEAD:%d", a->status);
	if (gone && (u->state == DOUBTFUL || (u->doomed && !u->finished)))
		upload_set(w, u, GONE, u->finished);
	else if (u->state == GONE && !gone)
		upload_fail(u, "deleted, and still there: %s", a->head);
	else if (u->state != GONE && a->status != (tus ? 200 : 204))
		upload_fail(u, "acknowledged, and now: %s", a->head);
	else if (u->state != GONE)
		learn_state(w, u, a, tus);
}

bool upload_look(struct worker *w, struct resumable *u)
{
	const bool tus = chance(&w->random, 50);
	struct fields f = { 0 };
	struct answer a;

	if (tus)
		fields_add(&f, TUS);
	if (!exchange(w, "HEAD", u->path, &f, NULL, &a))
		return upload_broke(w, u, u->haunted);
	learn(w, u, &a, tus);
	answer_free(&a);
	return true;
}

/* ---- GET ---- */

/* Whether n bytes begin with its content; a final's lies in its parts. */
static size_t matches(const struct campaign *c, const struct resumable *u, const uint8_t *p,
		      size_t n)
{
	size_t at = 0;

	if (u->role != FINAL)
		return n >= u->content.len &&
				       memcmp(p, c->pool + u->content.at, u->content.len) == 0
			       ? u->content.len
			       : SIZE_MAX;
	for (unsigned i = 0; i < u->part_count; i++) {
		size_t k = matches(c, u->parts[i], p + at, n - at);

		if (k == SIZE_MAX)
			return k;
		at += k;
	}
	return at;
}

bool upload_fetch(struct worker *w, struct resumable *u)
{
	char target[160] = "/v1/media/";
	const bool by_token = u->token[0] != '\0' && chance(&w->random, 80);
	struct answer a;

	(void)strcat(target, u->token);
	if (!exchange(w, "GET", by_token ? target : u->path, NULL, NULL, &a))
		return upload_broke(w, u, u->haunted);
	upload_note(u, "GET:%d", a.status);
	if (a.status != 200)
		upload_fail(u, "finished, and now: %s", a.head);
	if (a.body_len != u->content.len || matches(w->c, u, a.body, a.body_len) != a.body_len)
		upload_fail(u, "not what was sent: %zu bytes, %s", a.body_len, a.head);
	answer_free(&a);
	w->c->fetched++;
	return true;
}

/* ---- DELETE ---- */

bool upload_cancel(struct worker *w, struct resumable *u)
{
	char target[160] = "/v1/media/";
	const bool managed = u->manage[0] != '\0' && chance(&w->random, 30);
	struct fields f = { 0 };
	struct answer a;

	if (!managed && chance(&w->random, 50))
		fields_add(&f, TUS);
	upload_note(u, managed ? "DELETE(manage)" : "DELETE");
	(void)strcat(target, u->manage);
	if (!exchange(w, "DELETE", managed ? target : u->path, &f, NULL, &a))
		return upload_broke(w, u, u->haunted);
	upload_note(u, "%d", a.status);
	if (a.status != 204 && !(u->doomed && !u->finished && (a.status == 404 || a.status == 410)))
		upload_fail(u, "DELETE: %s", a.head);
	answer_free(&a);
	upload_set(w, u, GONE, u->finished);
	w->c->deleted++;
	return true;
}

/* Whether it may be deleted; then it is DOUBTFUL. */
static bool doubt(struct worker *w, struct resumable *u)
{
	bool may;

	pthread_mutex_lock(&w->c->lock);
	may = u->asked_for == 0;
	if (may) {
		u->state = DOUBTFUL;
		concat_doom(w->c, u);
	}
	pthread_mutex_unlock(&w->c->lock);
	return may;
}

/* ---- under load ---- */

/* A final upload takes no bytes. */
static bool push_final(struct worker *w, struct resumable *u)
{
	const struct load l = { .p = w->c->pool, .n = 10, .sent = 10 };
	struct fields f = { 0 };
	struct answer a;

	fields_add(&f, TUS);
	fields_add(&f, TUS_TYPE);
	fields_add(&f, "Upload-Offset: %zu", u->content.len);
	if (!exchange(w, "PATCH", u->path, &f, &l, &a))
		return upload_broke(w, u, false);
	if (a.status != 403 && !u->doomed)
		upload_fail(u, "PATCH of a final upload: %s", a.head);
	answer_free(&a);
	return true;
}

static bool go_on(struct worker *w, struct resumable *u, bool plain)
{
	return chance(&w->random, 50) ? tus_go_on(w, u, plain) : rufh_go_on(w, u, plain);
}

static bool step(struct worker *w, struct resumable *u)
{
	const size_t n = below(&w->random, 100);

	if (u->least != u->most || n < 15)
		return upload_look(w, u);
	if (n < 21 && doubt(w, u))
		return upload_cancel(w, u);
	if (u->role == FINAL && !u->finished)
		return n < 40 ? push_final(w, u) : upload_look(w, u);
	return u->finished ? upload_fetch(w, u) : go_on(w, u, false);
}

static bool begin_one(struct worker *w)
{
	const size_t n = below(&w->random, 100);

	if (n < 50)
		return tus_begin_one(w);
	return n < 75 ? rufh_begin_one(w) : concat_begin_one(w);
}

bool uploads_act(struct worker *w)
{
	struct resumable *u = chance(&w->random, 70) ? take_one(w) : NULL;
	bool going = true;

	if (u == NULL)
		return begin_one(w);
	do
		going = step(w, u);
	while (going && u->state == ALIVE && !u->finished && u->role != FINAL &&
	       chance(&w->random, 70));
	upload_release(w, u);
	return going;
}

/* ---- holding it to its word ---- */

static bool recent(const struct campaign *c, const struct resumable *u)
{
	return u->round + 1 >= c->round || u->state == DOUBTFUL;
}

static void look(struct worker *w, struct resumable *u)
{
	if (!upload_look(w, u))
		upload_fail(u, "HEAD broke off");
}

static void fetch(struct worker *w, struct resumable *u)
{
	if (!upload_fetch(w, u))
		upload_fail(u, "a fetch broke off");
}

/* Whatever was on its way went down with the server. */
static void calm_down(struct campaign *c)
{
	for (struct resumable *u = c->uploads->first; u != NULL; u = u->next) {
		u->busy = false;
		u->asked_for = 0;
		u->haunted = false;
		if (u->stray > u->most) {
			u->most = u->stray;
			u->all_or_none = false;
		}
		u->stray = 0;
	}
}

static void look_at_all(struct worker *w, bool all)
{
	for (struct resumable *u = w->c->uploads->first; u != NULL; u = u->next)
		if (u->state != NOT_KNOWN &&
		    (all || recent(w->c, u) || (u->state == ALIVE && !u->finished) ||
		     chance(&w->random, SAMPLE)))
			look(w, u);
}

static void finish(struct worker *w, struct resumable *u)
{
	while (!u->finished)
		if (!go_on(w, u, true))
			upload_fail(u, "an append broke off");
	w->c->resumed++;
	fetch(w, u);
}

static void check_content(struct worker *w, struct resumable *u, bool all)
{
	if (u->state != ALIVE || u->role == FINAL)
		return;
	if (!u->finished && (all || u->round + PATIENCE <= w->c->round || chance(&w->random, 20)))
		finish(w, u);
	else if (u->finished && (all || recent(w->c, u) || chance(&w->random, SAMPLE)))
		fetch(w, u);
}

static void check_contents(struct worker *w, bool all)
{
	for (struct resumable *u = w->c->uploads->first; u != NULL; u = u->next)
		check_content(w, u, all);
	for (struct resumable *u = w->c->uploads->first; u != NULL; u = u->next) {
		if (u->role != FINAL || u->state != ALIVE)
			continue;
		if (!u->finished)
			concat_settle(w, u);
		if (u->finished && u->state == ALIVE &&
		    (all || recent(w->c, u) || chance(&w->random, SAMPLE)))
			fetch(w, u);
	}
}

static void thin_out(struct worker *w, size_t count, size_t bytes)
{
	for (struct resumable *u = w->c->uploads->first; u != NULL; u = u->next) {
		if (u->state != ALIVE || (!u->finished && count > 0))
			continue;
		if (count > 0 && bytes >= u->content.len && !chance(&w->random, 20)) {
			count--;
			bytes -= u->content.len;
			continue;
		}
		if (doubt(w, u) && !upload_cancel(w, u))
			upload_fail(u, "a DELETE broke off");
	}
}

/* What is long gone is forgotten, but for a tenth of it. */
static bool to_be_forgotten(const struct worker *w, const struct resumable *u)
{
	const bool old = u->round + 2 < w->c->round;

	return old && u->needed == 0 &&
	       (u->state == NOT_KNOWN || (u->state == GONE && u->content.at % 10 != 0));
}

static void forget(struct worker *w)
{
	struct resumable **p = &w->c->uploads->first, *u;

	while ((u = *p) != NULL) {
		if (!to_be_forgotten(w, u)) {
			p = &u->next;
			continue;
		}
		*p = u->next;
		for (unsigned i = 0; i < u->part_count; i++)
			u->parts[i]->needed--;
		upload_free(u);
	}
}

void uploads_verify(struct worker *w, bool last)
{
	calm_down(w->c);
	look_at_all(w, last);
	check_contents(w, last);
	thin_out(w, last ? 0 : KEEP_COUNT, last ? 0 : KEEP_BYTES);
	forget(w);
}
