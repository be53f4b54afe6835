#include "storage/acks.h"

static uint8_t bit(uint16_t recipient)
{
	return (uint8_t)(1u << ((recipient - 1) % 8));
}

enum err_code acks_check(const struct upload *u, uint16_t recipient, struct err *e)
{
	if (!u->finished)
		return err_set(e, ERR_NOTFOUND, "it is not finished");
	if (recipient == 0 || recipient > u->recipients)
		return err_set(e, ERR_INVALID, "it has %u recipients", u->recipients);
	return ERR_OK;
}

bool acks_add(struct acks *a, uint16_t recipient)
{
	uint8_t *b = &a->bits[(recipient - 1) / 8];
	bool fresh = !(*b & bit(recipient));

	*b |= bit(recipient);
	return fresh;
}

uint16_t acks_left(const struct acks *a, uint16_t recipients)
{
	uint16_t left = 0;

	for (uint16_t n = 1; n <= recipients; n++)
		if (!(a->bits[(n - 1) / 8] & bit(n)))
			left++;
	return left;
}
