#include "storage/rocksdb/pack_inside.h"

void packs_count_begin(struct packs *s)
{
	pthread_mutex_lock(&s->lock);
	pack_seal(s);
	for (size_t i = 0; i < s->count; i++) {
		struct pack *p = s->v[i];

		p->looked_at = p->sealed;
		p->counted = p->sealed && p->unpointed == 0;
		p->going = false;
		p->alive = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

void packs_count(struct packs *s, const struct pack_place *alive)
{
	struct pack *p;

	pthread_mutex_lock(&s->lock);
	p = pack_find(s, alive->pack);
	if (p != NULL)
		p->alive += alive->length;
	pthread_mutex_unlock(&s->lock);
}

void packs_count_end(struct packs *s, uint64_t most, struct packs_counted *out)
{
	*out = (struct packs_counted){ 0 };
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++) {
		struct pack *p = s->v[i];

		if (!p->looked_at)
			continue;
		p->alive = p->alive < p->end ? p->alive : p->end;
		out->garbage += p->end - p->alive;
		p->going = p->counted && p->alive < p->end / 2 && p->alive <= most - out->to_move &&
			   (!p->kept || p->alive == 0);
		out->going += p->going;
		out->dead += p->going && p->alive == 0;
		out->to_move += p->going ? p->alive : 0;
	}
	pthread_mutex_unlock(&s->lock);
}

bool packs_is_going(struct packs *s, uint64_t number)
{
	const struct pack *p;
	bool going;

	pthread_mutex_lock(&s->lock);
	p = pack_find(s, number);
	going = p != NULL && p->going;
	pthread_mutex_unlock(&s->lock);
	return going;
}

void packs_spare(struct packs *s, uint64_t number)
{
	struct pack *p;

	pthread_mutex_lock(&s->lock);
	p = pack_find(s, number);
	if (p != NULL) {
		p->going = false;
		p->kept = true;
	}
	pthread_mutex_unlock(&s->lock);
}

uint64_t packs_remove_going(struct packs *s, bool only_dead)
{
	uint64_t garbage = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->count; i-- > 0;)
		if (i < s->count && s->v[i]->going && (s->v[i]->alive == 0 || !only_dead)) {
			garbage += s->v[i]->end - s->v[i]->alive;
			pack_remove_at(s, i);
			/* each takes a while: others get on meanwhile, and add at the end */
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
	pthread_mutex_unlock(&s->lock);
	return garbage;
}
