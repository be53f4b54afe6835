/* keys - the server's own secrets: one file in the data directory, mode 0600, made on first start.
 *
 * A text file: a line "restante-keys 1", then per token key "token ID BASE64URL CREATED", ID 0 to
 * 255 decimal, 32 bytes, CREATED in Unix seconds. The last line's key mints; all of them verify.
 * A struct keys is immutable after loading: any thread. Wiped when freed. */
#ifndef RESTANTE_SERVER_KEYS_H
#define RESTANTE_SERVER_KEYS_H

#include <stdint.h>

#include "base/err.h"
#include "wire/token.h"

struct keys;

/* Reads dir/keys; makes it, with one random key, if it is not there. Writing is atomic: a file of
 * another name, fsync, link or rename, fsync of the folder; of two processes that both make it one
 * wins and both read that. ERR_INVALID: not well formed, or readable by others than its owner
 * (why says `chmod 600`). ERR_IO. */
enum err_code keys_open(struct keys **out, const char *dir, int64_t now, struct err *e);

/* Adds a fresh key to dir/keys, which mints from the next keys_open() on; tokens of the others stay
 * good. Keys that no longer mint and were replaced longer than max_ttl seconds ago are left out:
 * no token of theirs can be alive. ERR_TOOBIG: 256 keys are in use. */
enum err_code keys_rotate(const char *dir, int64_t now, uint64_t max_ttl, struct err *e);

/* The key that mints, and its id. Borrowed. */
const uint8_t *keys_current(const struct keys *k, uint8_t *id);

/* Fits token_verify(): ctx is a struct keys. */
const uint8_t *keys_find(const void *ctx, uint8_t id);

void keys_free(struct keys *k); /* NULL is fine */

#endif
