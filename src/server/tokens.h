/* tokens - tokens that come again and again are not verified again and again: each thread knows
 * those that it has lately found to be good, and comparing one costs a tenth of verifying it. */
#ifndef RESTANTE_SERVER_TOKENS_H
#define RESTANTE_SERVER_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"
#include "server/keys.h"
#include "wire/token.h"

/* Whether text[0..n) is a token of that type, good by these keys and not over at `now`: what
 * token_verify() says, at any time and whatever came before. *upload is written if it is. */
bool tokens_verify(struct upload_id *upload, const char *text, size_t n, enum token_type type,
		   int64_t now, const struct keys *keys);

#endif
