/* keys - the server's own secrets: one file in the data directory, mode 0600, made on first start.
 *
 * A text file: a line "restante-keys 2", then per token key "token ID BASE64URL CREATED LASTS
 * REPLACED": ID 0 to 255 decimal, 32 bytes, CREATED in Unix seconds; LASTS, in seconds, the longest
 * that its tokens were ever made to last; REPLACED when a server took up a later key, 0 if none is
 * known to have. The last line's key mints; all of them verify. Form 1 had neither of the last two:
 * its keys count as lasting 90 days, or as long as is allowed now if that is longer.
 *
 * A struct keys is immutable after loading: any thread. Wiped when freed. */
#ifndef RESTANTE_SERVER_KEYS_H
#define RESTANTE_SERVER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/token.h"

struct keys;

/* Reads dir/keys, for a server that mints with them from now on, for at most `longest` seconds;
 * makes the file, with one random key, if it is not there. What is new of that is noted in the
 * file: LASTS if it rises, REPLACED of keys before the last. Writing is atomic: a file of another
 * name, fsync, link or rename, fsync of the folder; of two processes that both make it one wins and
 * both read that. ERR_INVALID: not well formed, or readable by others than its owner (why says
 * `chmod 600`). ERR_IO. */
enum err_code keys_open(struct keys **out, const char *dir, int64_t now, uint64_t longest,
			struct err *e);

/* Adds a fresh key to dir/keys, which mints from the next keys_open() on, for `longest` seconds at
 * least; tokens of the others stay good. The oldest keys are left out as soon as they were replaced
 * longer ago than their tokens ever lasted, whatever is allowed now: no token of theirs can be
 * alive. ERR_TOOBIG: 256 keys are in use. */
enum err_code keys_rotate(const char *dir, int64_t now, uint64_t longest, struct err *e);

/* The key that mints, and its id. Borrowed. */
const uint8_t *keys_current(const struct keys *k, uint8_t *id);

/* Fits token_verify(): ctx is a struct keys. */
const uint8_t *keys_find(const void *ctx, uint8_t id);

/* Two that were opened have different ones, and none has 0: for what is remembered of keys. */
uint64_t keys_serial(const struct keys *k);

/* Whether they are the same keys, in the same order. */
bool keys_same(const struct keys *a, const struct keys *b);

void keys_free(struct keys *k); /* NULL is fine */

#endif
