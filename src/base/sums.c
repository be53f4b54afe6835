#include "base/sums.h"

#include <assert.h>
#include <string.h>

#include <nettle/nettle-meta.h>

#include "base/crc32c.h"

#define CRC32C_SIZE 4

_Static_assert(SHA512_DIGEST_SIZE == SUM_SIZE_MAX, "the longest sum");

/* What nettle knows about it and where its state is; nettle has no crc32c. */
static const struct {
	const char *name;
	size_t size, state_at;
	const struct nettle_hash *nettle;
} kinds[SUM_COUNT] = {
	[SUM_SHA1] = { "sha1", SHA1_DIGEST_SIZE, offsetof(struct sums, sha1), &nettle_sha1 },
	[SUM_SHA256] = { "sha256", SHA256_DIGEST_SIZE, offsetof(struct sums, sha256),
			 &nettle_sha256 },
	[SUM_SHA512] = { "sha512", SHA512_DIGEST_SIZE, offsetof(struct sums, sha512),
			 &nettle_sha512 },
	[SUM_MD5] = { "md5", MD5_DIGEST_SIZE, offsetof(struct sums, md5), &nettle_md5 },
	[SUM_CRC32C] = { "crc32c", CRC32C_SIZE, offsetof(struct sums, crc32c), NULL },
};

const char *sum_name(enum sum s)
{
	assert(s < SUM_COUNT);
	return kinds[s].name;
}

size_t sum_size(enum sum s)
{
	assert(s < SUM_COUNT);
	return kinds[s].size;
}

bool sum_find(enum sum *out, const char *name, size_t n)
{
	for (enum sum i = 0; i < SUM_COUNT; i++) {
		if (strlen(kinds[i].name) == n && memcmp(kinds[i].name, name, n) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool is_wanted(const struct sums *s, enum sum i)
{
	return (s->wanted & SUM_BIT(i)) != 0;
}

static void *state_of(struct sums *s, enum sum i)
{
	return (uint8_t *)s + kinds[i].state_at;
}

void sums_init(struct sums *s, unsigned wanted)
{
	assert((wanted & ~SUM_ALL) == 0);
	s->wanted = wanted;
	s->crc32c = 0;
	for (enum sum i = 0; i < SUM_COUNT; i++) {
		if (is_wanted(s, i) && kinds[i].nettle != NULL)
			kinds[i].nettle->init(state_of(s, i));
	}
}

void sums_update(struct sums *s, struct bytes data)
{
	if (data.len == 0) /* an empty view may have no memory behind it */
		return;
	for (enum sum i = 0; i < SUM_COUNT; i++) {
		if (is_wanted(s, i) && kinds[i].nettle != NULL)
			kinds[i].nettle->update(state_of(s, i), data.len, data.data);
	}
	if (is_wanted(s, SUM_CRC32C))
		s->crc32c = crc32c_extend(s->crc32c, data);
}

bool sums_match(struct sums *s, const struct sum_claim *c)
{
	uint8_t value[SUM_SIZE_MAX];

	assert(c->sum < SUM_COUNT && is_wanted(s, c->sum));
	s->wanted &= ~SUM_BIT(c->sum);
	if (c->sum == SUM_CRC32C)
		bytes_put_u32(value, s->crc32c);
	else
		kinds[c->sum].nettle->digest(state_of(s, c->sum), kinds[c->sum].size, value);
	return memcmp(value, c->value, kinds[c->sum].size) == 0;
}
