#include <time.h>

#include "tests/crash/campaign.h"

/* splitmix64 */
uint64_t draw(struct random *r)
{
	uint64_t z = r->x += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

size_t below(struct random *r, size_t n)
{
	return (size_t)(draw(r) % n);
}

bool chance(struct random *r, unsigned percent)
{
	return below(r, 100) < percent;
}

size_t random_size(struct random *r)
{
	const size_t n = below(r, 100);

	if (n < 5)
		return 0;
	if (n < 35)
		return below(r, 4 << 10);
	if (n < 65)
		return below(r, 100 << 10);
	if (n < 75) /* on the grid of the store, and on either side of it */
		return (1 + below(r, 8)) * GRID - 1 + below(r, 3);
	if (n < 90)
		return below(r, 1 << 20);
	if (n < 98)
		return below(r, 5 << 20);
	return below(r, LARGEST);
}

struct slice random_slice(struct random *r, size_t len)
{
	return (struct slice){ .at = below(r, POOL_SIZE - len), .len = len };
}

void pause_us(size_t us)
{
	const struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	(void)nanosleep(&t, NULL);
}
