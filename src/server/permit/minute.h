/* minute - how much came in each of the last 60 seconds, and when it will be less. Zeroes to begin
 * with; times are of clock_mono_ms(). The caller sees to locks. */
#ifndef RESTANTE_SERVER_PERMIT_MINUTE_H
#define RESTANTE_SERVER_PERMIT_MINUTE_H

#include <stdint.h>

#define MINUTE_S 60

struct minute {
	int64_t newest_s; /* the newest slot's second; that of second s is slots[s % MINUTE_S] */
	uint64_t slots[MINUTE_S], sum;
};

/* What came in this second and the 59 before. */
uint64_t minute_sum(struct minute *m, int64_t now_ms);

/* n more came, age_s seconds ago (0: now). */
void minute_add(struct minute *m, uint64_t n, int64_t age_s, int64_t now_ms);

/* n of what came at then_ms did not come after all. */
void minute_take(struct minute *m, uint64_t n, int64_t then_ms, int64_t now_ms);

/* Seconds until the sum, which is not below the limit now, will be if nothing comes meanwhile. */
unsigned minute_wait_s(const struct minute *m, uint64_t limit, int64_t now_ms);

#endif
