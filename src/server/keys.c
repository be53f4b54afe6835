#include "server/keys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sodium.h>

#include "server/keys_file.h"

void keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	sodium_memzero(k, sizeof(*k));
	free(k);
}

/* ---- reading and making -------------------------------------------------------------------- */

static void make_key(struct key *out, uint8_t id, int64_t now, uint64_t lasts)
{
	randombytes_buf(out->secret, sizeof(out->secret));
	out->id = id;
	out->created = now < 0 ? 0 : now;
	out->lasts = lasts < INT64_MAX ? lasts : INT64_MAX;
	out->replaced = 0;
}

static enum err_code make_first(int dir, int64_t now, uint64_t longest, struct err *e)
{
	struct key first;
	enum err_code rc;

	make_key(&first, 0, now, longest);
	rc = keys_file_save(dir, &first, 1, false, e);
	sodium_memzero(&first, sizeof(first));
	return rc;
}

static enum err_code load_or_make(struct keys *k, int dir, int64_t now, uint64_t longest,
				  struct err *e)
{
	bool old = false;
	enum err_code rc = keys_file_load(k, &old, dir, e);

	if (rc == ERR_NOTFOUND) {
		rc = make_first(dir, now, longest, e);
		if (rc == ERR_OK)
			rc = keys_file_load(k, &old, dir, e);
	}
	for (size_t i = 0; rc == ERR_OK && old && i < k->count; i++)
		if (k->key[i].lasts < longest)
			k->key[i].lasts = longest;
	return rc;
}

/* Of two that change the file neither's change is lost. *fd is the folder: closed, it is unlocked.
 */
static enum err_code open_locked(int *fd, struct keys **out, const char *dir, int64_t now,
				 uint64_t longest, struct err *e)
{
	enum err_code rc;

	if (sodium_init() < 0)
		return err_set(e, ERR_IO, "libsodium does not start");
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_set(e, ERR_IO, "keys: open the folder: %s", strerror(errno));
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		rc = err_set(e, ERR_NOMEM, "keys");
	else if (flock(*fd, LOCK_EX) != 0)
		rc = err_set(e, ERR_IO, "keys: lock: %s", strerror(errno));
	else
		rc = load_or_make(*out, *fd, now, longest, e);
	if (rc != ERR_OK) {
		keys_free(*out);
		(void)close(*fd);
	}
	return rc;
}

/* The last key mints from now on, and those before it no more. False: that is known already. */
static bool take_up(struct keys *k, int64_t now, uint64_t longest)
{
	struct key *last = &k->key[k->count - 1];
	bool changed = false;

	if (longest > last->lasts && last->lasts < INT64_MAX) {
		last->lasts = longest < INT64_MAX ? longest : INT64_MAX;
		changed = true;
	}
	for (struct key *before = k->key; before < last; before++)
		if (before->replaced == 0) {
			before->replaced = now > 0 ? now : 1;
			changed = true;
		}
	return changed;
}

static atomic_uint_fast64_t serials;

enum err_code keys_open(struct keys **out, const char *dir, int64_t now, uint64_t longest,
			struct err *e)
{
	struct keys *k = NULL;
	int fd;
	enum err_code rc = open_locked(&fd, &k, dir, now, longest, e);

	if (rc != ERR_OK)
		return rc;
	if (take_up(k, now, longest))
		rc = keys_file_save(fd, k->key, k->count, true, e);
	if (rc == ERR_OK) {
		k->serial = 1 + atomic_fetch_add(&serials, 1);
		*out = k;
		k = NULL; /* the caller's now */
	}
	keys_free(k);
	(void)close(fd);
	return rc;
}

/* ---- rotation ----------------------------------------------------------------------------- */

/* How many keys at the front can have no token that is alive. A later key mints for uploads that
 * came under an earlier one as well, so it is needed as long as that. */
static size_t spent(const struct keys *k, int64_t now)
{
	size_t n = 0;

	while (n + 1 < k->count && k->key[n].replaced != 0 && now > 0 &&
	       (uint64_t)now > (uint64_t)k->key[n].replaced + k->key[n].lasts)
		n++;
	return n;
}

/* The next id that none of the keys has. */
static uint8_t free_id(const struct key *key, size_t count)
{
	bool used[256] = { false };
	uint8_t id = key[count - 1].id;

	assert(count > 0 && count < 256);
	for (size_t i = 0; i < count; i++)
		used[key[i].id] = true;
	while (used[id])
		id++;
	return id;
}

static enum err_code rotate(const struct keys *k, struct key next[static KEYS_MAX], int dir,
			    int64_t now, uint64_t longest, struct err *e)
{
	const size_t gone = spent(k, now), count = k->count - gone;

	if (count == KEYS_MAX)
		return err_set(e, ERR_TOOBIG, "keys: all 256 are in use");
	memcpy(next, k->key + gone, count * sizeof(*next));
	make_key(&next[count], free_id(next, count), now, longest);
	return keys_file_save(dir, next, count + 1, true, e);
}

enum err_code keys_rotate(const char *dir, int64_t now, uint64_t longest, struct err *e)
{
	struct keys *k = NULL, *next = NULL;
	int fd;
	enum err_code rc = open_locked(&fd, &k, dir, now, longest, e);

	if (rc != ERR_OK)
		return rc;
	next = calloc(1, sizeof(*next));
	if (next == NULL)
		rc = err_set(e, ERR_NOMEM, "keys");
	else
		rc = rotate(k, next->key, fd, now, longest, e);
	keys_free(next);
	keys_free(k);
	(void)close(fd);
	return rc;
}

/* ---- asking -------------------------------------------------------------------------------- */

const uint8_t *keys_current(const struct keys *k, uint8_t *id)
{
	const struct key *last = &k->key[k->count - 1];

	assert(k->count > 0);
	*id = last->id;
	return last->secret;
}

const uint8_t *keys_find(const void *ctx, uint8_t id)
{
	const struct keys *k = ctx;

	return k->by_id[id] != NULL ? k->by_id[id]->secret : NULL;
}

uint64_t keys_serial(const struct keys *k)
{
	return k->serial;
}

bool keys_same(const struct keys *a, const struct keys *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = a->key[i].id == b->key[i].id && a->key[i].lasts == b->key[i].lasts &&
		       a->key[i].replaced == b->key[i].replaced &&
		       sodium_memcmp(a->key[i].secret, b->key[i].secret,
				     sizeof(a->key[i].secret)) == 0;
	return same;
}
