#include "client/tally.h"

#include <stdlib.h>

#include "client/fail.h"

#define BUFFER (4 * RESTANTE_SEALED_CHUNK_SIZE)

void tally_init(struct tally *t)
{
	digest_init(&t->digester);
}

void tally_count(struct tally *t, uint64_t offset, struct bytes data)
{
	const uint64_t have = digest_count(&t->digester);

	if (offset > have || offset + data.len <= have)
		return;
	data.data += have - offset;
	data.len -= (size_t)(have - offset);
	digest_update(&t->digester, data);
}

static enum restante_code count_some(struct tally *t, struct reader *r, uint8_t *buffer,
				     struct restante_error *e)
{
	const uint64_t at = digest_count(&t->digester);
	size_t n = 0;

	switch (reader_read(r, at, buffer, BUFFER, &n, e)) {
	case SOURCE_SOME:
		digest_update(&t->digester, (struct bytes){ buffer, n });
		return RESTANTE_OK;
	case SOURCE_FAILED:
		return e != NULL ? e->code : RESTANTE_IO;
	default: /* a source that has ended has all of it */
		return fail_plain(e, RESTANTE_CHANGED);
	}
}

enum restante_code tally_rest(struct tally *t, struct reader *r, uint64_t size, uint64_t most,
			      bool *done, struct restante_error *e)
{
	const uint64_t begin = digest_count(&t->digester);
	enum restante_code rc = RESTANTE_OK;
	uint8_t *buffer;

	*done = begin == size;
	if (*done)
		return RESTANTE_OK;
	buffer = malloc(BUFFER);
	if (buffer == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	while (rc == RESTANTE_OK && digest_count(&t->digester) < size &&
	       digest_count(&t->digester) - begin < most)
		rc = count_some(t, r, buffer, e);
	free(buffer);
	*done = digest_count(&t->digester) == size;
	return rc;
}

void tally_digest(const struct tally *t, struct digest *out)
{
	struct digester copy = t->digester;

	digest_final(&copy, out);
}
