#include <stdlib.h>
#include <string.h>

#include "tests/crash/campaign.h"

#define BLOBS_MAX 65536
/* What is left alive after a round, about. */
#define KEEP_COUNT 30u
#define KEEP_BYTES (32u << 20)
/* Of what is older than the last round, so many are looked at. */
#define SAMPLE 6u

struct blob {
	enum state state;
	struct slice content;
	unsigned round;
	char token[TOKEN_SIZE], manage[TOKEN_SIZE];
};

struct blobs {
	struct blob *v;
	size_t count;
};

void blobs_init(struct campaign *c)
{
	c->blobs = calloc(1, sizeof(*c->blobs));
	if (c->blobs != NULL)
		c->blobs->v = calloc(BLOBS_MAX, sizeof(*c->blobs->v));
	if (c->blobs == NULL || c->blobs->v == NULL)
		fail("no memory");
}

void blobs_fini(struct campaign *c)
{
	free(c->blobs->v);
	free(c->blobs);
}

/* ---- what there is ---- */

static struct slice random_content(struct worker *w)
{
	struct campaign *c = w->c;
	const struct blobs *t = c->blobs;
	struct slice s = { .len = 0 };
	bool repeat = chance(&w->random, 15);

	pthread_mutex_lock(&c->lock);
	repeat = repeat && t->count > 0;
	if (repeat) { /* mostly of the last ones: they may be on their way at this moment */
		size_t last = t->count < 20 ? t->count : 20;

		s = t->v[t->count - 1 - below(&w->random, last)].content;
	}
	pthread_mutex_unlock(&c->lock);
	return repeat ? s : random_slice(&w->random, random_size(&w->random));
}

static struct blob *add_blob(struct campaign *c, struct slice content)
{
	struct blob *b;

	pthread_mutex_lock(&c->lock);
	if (c->blobs->count == BLOBS_MAX)
		fail("more than %d uploads", BLOBS_MAX);
	b = &c->blobs->v[c->blobs->count++];
	*b = (struct blob){ .content = content, .round = c->round };
	pthread_mutex_unlock(&c->lock);
	return b;
}

/* One that is alive, now DOUBTFUL and this thread's to delete; or NULL. */
static struct blob *take_victim(struct worker *w)
{
	struct campaign *c = w->c;
	struct blob *b = NULL;
	bool found = false;
	size_t count, span;

	pthread_mutex_lock(&c->lock);
	count = c->blobs->count;
	span = count < 200 ? count : 200;
	for (int tries = 0; !found && tries < 20 && count > 0; tries++) {
		b = &c->blobs->v[count - 1 - below(&w->random, span)];
		found = b->state == ALIVE;
	}
	if (found)
		b->state = DOUBTFUL;
	pthread_mutex_unlock(&c->lock);
	return found ? b : NULL;
}

static void set_state(struct campaign *c, struct blob *b, enum state state)
{
	pthread_mutex_lock(&c->lock);
	b->state = state;
	pthread_mutex_unlock(&c->lock);
}

/* ---- requests ---- */

static bool put(struct worker *w)
{
	const struct slice s = random_content(w);
	const struct load l = {
		.p = w->c->pool + s.at, .n = s.len, .sent = s.len, .chunked = chance(&w->random, 30)
	};
	struct blob *b = add_blob(w->c, s);
	struct answer a;

	if (!exchange(w, "PUT", "/v1/media", NULL, &l, &a))
		return false;
	if (a.status != 201 || !answer_json(&a, "token", b->token, sizeof(b->token)) ||
	    !answer_json(&a, "manage_token", b->manage, sizeof(b->manage)))
		fail("PUT of %zu bytes: %s%s", s.len, a.head, (const char *)a.body);
	answer_free(&a);
	set_state(w->c, b, ALIVE);
	return true;
}

/* Deletes one that is DOUBTFUL by now. */
static bool delete_one(struct worker *w, struct blob *b)
{
	char target[128] = "/v1/media/";
	struct answer a;

	if (!exchange(w, "DELETE", strcat(target, b->manage), NULL, NULL, &a))
		return false;
	if (a.status != 204)
		fail("DELETE: %s", a.head);
	answer_free(&a);
	set_state(w->c, b, GONE);
	return true;
}

bool blobs_act(struct worker *w)
{
	struct blob *victim = chance(&w->random, 15) ? take_victim(w) : NULL;

	return victim != NULL ? delete_one(w, victim) : put(w);
}

/* ---- holding it to its word ---- */

static bool identical(const struct campaign *c, const struct blob *b, const struct answer *a)
{
	return a->body_len == b->content.len &&
	       memcmp(a->body, c->pool + b->content.at, a->body_len) == 0;
}

static void check_blob(struct worker *w, struct blob *b)
{
	char target[128] = "/v1/media/";
	struct answer a;

	if (!exchange(w, "GET", strcat(target, b->token), NULL, NULL, &a))
		fail("a fetch of %zu bytes broke off", b->content.len);
	w->c->fetched++;
	if (a.status == 404 && b->state == DOUBTFUL)
		b->state = GONE;
	else if (a.status == 200 && b->state == DOUBTFUL)
		b->state = ALIVE;
	if (b->state == GONE && a.status != 404)
		fail("deleted, and still there: %s", a.head);
	if (b->state == ALIVE && a.status != 200)
		fail("%zu bytes acknowledged in round %u, and now: %s", b->content.len, b->round,
		     a.head);
	if (b->state == ALIVE && !identical(w->c, b, &a))
		fail("%zu bytes acknowledged in round %u came back as %zu others", b->content.len,
		     b->round, a.body_len);
	answer_free(&a);
}

static bool recent(const struct campaign *c, const struct blob *b)
{
	return b->round + 1 >= c->round || b->state == DOUBTFUL;
}

static void check_blobs(struct worker *w, bool all)
{
	struct blobs *t = w->c->blobs;
	struct blob *b;

	for (b = t->v; b < t->v + t->count; b++)
		if (b->state != NOT_KNOWN && (all || recent(w->c, b)))
			check_blob(w, b);
	for (unsigned i = 0; i < SAMPLE && t->count > 0; i++) {
		b = &t->v[below(&w->random, t->count)];
		if (b->state != NOT_KNOWN)
			check_blob(w, b);
	}
}

/* Deletes until about `count` blobs of `bytes` are left. */
static void thin_out(struct worker *w, size_t count, size_t bytes)
{
	for (size_t i = w->c->blobs->count; i-- > 0;) {
		struct blob *b = &w->c->blobs->v[i];

		if (b->state != ALIVE)
			continue;
		if (count > 0 && bytes >= b->content.len && !chance(&w->random, 20)) {
			count--;
			bytes -= b->content.len;
			continue;
		}
		b->state = DOUBTFUL;
		if (!delete_one(w, b))
			fail("a DELETE broke off");
	}
}

/* What is long gone is forgotten, but for a tenth of it. */
static void forget(struct campaign *c)
{
	struct blobs *t = c->blobs;
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct blob *b = &t->v[i];
		bool old = b->round + 2 < c->round;

		c->acknowledged += b->round == c->round && b->state != NOT_KNOWN;
		c->deleted += b->round == c->round && b->state == GONE;
		if (b->state == ALIVE || !old || (b->state == GONE && i % 10 == 0))
			t->v[kept++] = *b;
	}
	t->count = kept;
}

void blobs_verify(struct worker *w, bool last)
{
	check_blobs(w, last);
	thin_out(w, last ? 0 : KEEP_COUNT, last ? 0 : KEEP_BYTES);
	forget(w->c);
}
