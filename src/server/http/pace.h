/* pace - how fast a body comes, over windows of time: against clients that keep an upload open with
 * a byte now and then. Any thread, one at a time. */
#ifndef RESTANTE_SERVER_HTTP_PACE_H
#define RESTANTE_SERVER_HTTP_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	int64_t since_ms; /* 0: not started */
	uint64_t bytes;   /* that had come by then */
};

static inline void pace_start(struct pace *p, int64_t now_ms)
{
	p->since_ms = now_ms;
	p->bytes = 0;
}

/* Whether fewer than `rate` bytes a second came in a window of grace_s that has just ended; `bytes`
 * is how many have come by now. To be asked about once a second. */
static inline bool pace_too_slow(struct pace *p, uint64_t bytes, uint64_t rate, uint64_t grace_s,
				 int64_t now_ms)
{
	const uint64_t before = p->bytes;

	if (p->since_ms == 0 || now_ms - p->since_ms < (int64_t)grace_s * 1000)
		return false;
	p->since_ms = now_ms;
	p->bytes = bytes;
	return (bytes - before) / grace_s < rate;
}

#endif
