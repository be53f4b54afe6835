/* acks - who of an upload's recipients has said to have it: a bit for each number. Pure; any
 * thread. */
#ifndef RESTANTE_STORAGE_ACKS_H
#define RESTANTE_STORAGE_ACKS_H

#include "storage/store.h"

#define ACKS_BYTES (STORE_RECIPIENTS_MAX / 8)

/* Recipient n is bit n - 1; zeroes are nobody. */
struct acks {
	uint8_t bits[ACKS_BYTES];
};

/* Whether that recipient may say it of this upload: ERR_NOTFOUND, ERR_INVALID as in
 * store_acknowledge(). */
enum err_code acks_check(const struct upload *u, uint16_t recipient, struct err *e);

/* False if it had been said before. */
bool acks_add(struct acks *a, uint16_t recipient);

/* How many of the first `recipients` have not said it. */
uint16_t acks_left(const struct acks *a, uint16_t recipients);

#endif
