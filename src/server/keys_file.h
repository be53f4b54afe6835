/* keys_file - the file of token keys, for keys.c alone: read, checked, and written at once or not
 * at all. Any thread; who reads in order to write holds a lock. */
#ifndef RESTANTE_SERVER_KEYS_FILE_H
#define RESTANTE_SERVER_KEYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/token.h"

#define KEYS_MAX 256

/* What the keys of a file of form 1 may have minted for, at least: the default of upload.ttl_max.
 */
#define KEYS_OLD_LASTS ((uint64_t)90 * 86400)

struct key {
	uint8_t secret[TOKEN_KEYBYTES];
	int64_t created;  /* Unix seconds */
	uint64_t lasts;   /* seconds: the longest that a token of it was ever made to last */
	int64_t replaced; /* when a server took up a later one; 0: not yet, as far as is known */
	uint8_t id;
};

struct keys {
	uint64_t serial; /* no other that was opened has it */
	size_t count; /* at least 1 once loaded; the last one mints */
	struct key key[KEYS_MAX];
	const struct key *by_id[256];
};

/* Reads the file in that folder; *old: it is of form 1, which has neither lasts nor replaced. k is
 * zeroed before. ERR_NOTFOUND, ERR_INVALID, ERR_IO. */
enum err_code keys_file_load(struct keys *k, bool *old, int dir, struct err *e);

/* Puts keys into the file, durably. Without replace a file that is there already is left as it is,
 * with ERR_OK. ERR_IO. */
enum err_code keys_file_save(int dir, const struct key *key, size_t count, bool replace,
			     struct err *e);

#endif
