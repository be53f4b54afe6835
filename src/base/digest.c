#include "base/digest.h"

#include <string.h>

#define STATE_WORDS 8
#define COUNT_AT (STATE_WORDS * 4)
#define BLOCK_AT (COUNT_AT + 8)

_Static_assert(BLOCK_AT + SHA256_BLOCK_SIZE == MIDSTATE_SIZE, "layout of a midstate");
_Static_assert(SHA256_DIGEST_SIZE == sizeof(struct digest), "digest is a SHA-256");

void digest_init(struct digester *d)
{
	sha256_init(&d->sha256);
}

static bool all_zero(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p == 0)
		p++;
	return p == end;
}

bool digest_resume(struct digester *d, const struct midstate *m)
{
	uint64_t count = bytes_get_u64(m->b + COUNT_AT);
	unsigned partial = (unsigned)(count % SHA256_BLOCK_SIZE);
	struct sha256_ctx *s = &d->sha256;

	/* FIPS 180-4: a message is shorter than 2^64 bits. */
	if (count >> 61 != 0 || !all_zero(m->b + BLOCK_AT + partial, m->b + MIDSTATE_SIZE))
		return false;
	for (size_t i = 0; i < STATE_WORDS; i++)
		s->state[i] = bytes_get_u32(m->b + i * 4);
	s->count = count / SHA256_BLOCK_SIZE; /* nettle counts whole blocks */
	s->index = partial;
	memcpy(s->block, m->b + BLOCK_AT, SHA256_BLOCK_SIZE);
	return true;
}

void digest_update(struct digester *d, struct bytes data)
{
	if (data.len > 0) /* an empty view may have no memory behind it */
		sha256_update(&d->sha256, data.len, data.data);
}

uint64_t digest_count(const struct digester *d)
{
	return d->sha256.count * SHA256_BLOCK_SIZE + d->sha256.index;
}

void digest_save(const struct digester *d, struct midstate *m)
{
	const struct sha256_ctx *s = &d->sha256;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < STATE_WORDS; i++)
		bytes_put_u32(m->b + i * 4, s->state[i]);
	bytes_put_u64(m->b + COUNT_AT, digest_count(d));
	memcpy(m->b + BLOCK_AT, s->block, s->index);
}

void digest_final(struct digester *d, struct digest *out)
{
	sha256_digest(&d->sha256, sizeof(out->b), out->b);
}

void digest_of(struct bytes data, struct digest *out)
{
	struct digester d;

	digest_init(&d);
	digest_update(&d, data);
	digest_final(&d, out);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
