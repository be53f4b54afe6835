#include "tests/soak/soak.h"

static struct promise *find(struct hand *h, bool wanted)
{
	struct soak *s = h->s;
	const size_t from = below(&h->w.random, PROMISES_MAX);
	struct promise *p = NULL;

	pthread_mutex_lock(&s->c.lock);
	for (size_t i = 0; i < PROMISES_MAX && p == NULL; i++) {
		struct promise *x = &s->promises[(from + i) % PROMISES_MAX];

		if (!x->busy && (x->state == ALIVE || x->state == DOUBTFUL) == wanted &&
		    (wanted || x->state == NOT_KNOWN))
			p = x;
	}
	if (p != NULL)
		p->busy = true;
	pthread_mutex_unlock(&s->c.lock);
	return p;
}

struct promise *ledger_new(struct hand *h)
{
	struct promise *p = find(h, false);

	if (p != NULL)
		*p = (struct promise){ .busy = true };
	return p;
}

struct promise *ledger_any(struct hand *h)
{
	return find(h, true);
}

void ledger_release(struct hand *h, struct promise *p)
{
	pthread_mutex_lock(&h->s->c.lock);
	/* those that are gone for good make room */
	if (p->state == GONE && !p->kept)
		p->state = NOT_KNOWN;
	p->busy = false;
	pthread_mutex_unlock(&h->s->c.lock);
}
