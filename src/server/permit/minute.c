#include "server/permit/minute.h"

static uint64_t *slot_of(struct minute *m, int64_t second)
{
	return &m->slots[second % MINUTE_S];
}

/* Time goes on: what is older than a minute is forgotten. Threads that took the time before others
 * did count into the newest second. */
static void advance(struct minute *m, int64_t now_s)
{
	int64_t s = now_s - MINUTE_S + 1;

	if (s <= m->newest_s)
		s = m->newest_s + 1;
	for (; s <= now_s; s++) {
		m->sum -= *slot_of(m, s);
		*slot_of(m, s) = 0;
	}
	if (now_s > m->newest_s)
		m->newest_s = now_s;
}

uint64_t minute_sum(struct minute *m, int64_t now_ms)
{
	advance(m, now_ms / 1000);
	return m->sum;
}

void minute_add(struct minute *m, uint64_t n, int64_t age_s, int64_t now_ms)
{
	advance(m, now_ms / 1000);
	if (age_s < 0)
		age_s = 0;
	if (age_s >= MINUTE_S || age_s > m->newest_s)
		return;
	if (n > UINT64_MAX - m->sum) /* it stays the sum of its slots whatever comes */
		n = UINT64_MAX - m->sum;
	*slot_of(m, m->newest_s - age_s) += n;
	m->sum += n;
}

/* It may have been counted into a later second than its own, see advance(). */
void minute_take(struct minute *m, uint64_t n, int64_t then_ms, int64_t now_ms)
{
	advance(m, now_ms / 1000);
	if (m->newest_s - then_ms / 1000 >= MINUTE_S)
		return; /* forgotten by now */
	for (int64_t s = then_ms / 1000; n > 0 && s <= m->newest_s; s++) {
		uint64_t *slot = slot_of(m, s);
		const uint64_t part = n < *slot ? n : *slot;

		*slot -= part;
		m->sum -= part;
		n -= part;
	}
}

unsigned minute_wait_s(const struct minute *m, uint64_t limit, int64_t now_ms)
{
	int64_t s = m->newest_s < MINUTE_S ? 0 : m->newest_s - MINUTE_S + 1, ms;
	uint64_t left = m->sum - m->slots[s % MINUTE_S];

	while (left >= limit && s < m->newest_s) {
		s++;
		left -= m->slots[s % MINUTE_S];
	}
	ms = (s + MINUTE_S) * 1000 - now_ms; /* then that second is too old */
	return ms <= 1000 ? 1 : (unsigned)((ms + 999) / 1000);
}
