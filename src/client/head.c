#include "client/head.h"

#include <string.h>

#include <sodium.h>

void head_start(struct head *h)
{
	sodium_memzero(&h->payload, sizeof(h->payload));
	h->size = h->have = 0;
}

size_t head_missing(const struct head *h)
{
	return (h->have < RESTANTE_HEAD_SIZE ? RESTANTE_HEAD_SIZE : HEADER_MAX) - h->have;
}

/* Where the header ends is known when it is there: what is behind it is given back. */
static enum restante_code take_some(struct head *h, struct bytes *in, struct restante_error *e)
{
	const size_t missing = head_missing(h);
	size_t n = in->len < missing ? in->len : missing;
	enum restante_code rc;

	memcpy(h->bytes + h->have, in->data, n);
	rc = header_size(&h->size, (struct bytes){ h->bytes, h->have + n }, e);
	if (rc != RESTANTE_OK)
		return rc;
	if (h->size > 0)
		n = h->size - h->have;
	h->have += n;
	in->data += n;
	in->len -= n;
	return RESTANTE_OK;
}

enum restante_code head_take(struct head *h, struct bytes *in,
			     const uint8_t key[static RESTANTE_KEY_SIZE], struct restante_error *e)
{
	enum restante_code rc = RESTANTE_OK;

	if (h->size > 0)
		return RESTANTE_OK;
	while (h->size == 0 && in->len > 0 && rc == RESTANTE_OK)
		rc = take_some(h, in, e);
	if (rc == RESTANTE_OK && h->size > 0)
		rc = header_open(&h->payload, (struct bytes){ h->bytes, h->size }, key, e);
	if (rc != RESTANTE_OK)
		h->size = 0;
	return rc;
}
