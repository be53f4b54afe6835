#include "server/keys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/num.h"
#include "base/text.h"

#define FILE_NAME "keys"
#define HEAD "restante-keys 1\n"
#define KEYS_MAX 256
#define KEY_CHARS BASE64URL_LEN(TOKEN_KEYBYTES)
#define LINE_SIZE (sizeof("token 255  9223372036854775807\n") + KEY_CHARS)
#define TEXT_MAX (sizeof(HEAD) + KEYS_MAX * LINE_SIZE)

struct key {
	uint8_t secret[TOKEN_KEYBYTES];
	int64_t created;
	uint8_t id;
};

struct keys {
	size_t count; /* at least 1 once loaded; the last one mints */
	struct key key[KEYS_MAX];
	const struct key *by_id[256];
};

/* The file as text, wiped after use. */
struct text {
	size_t n;
	char c[TEXT_MAX];
};

static void text_free(struct text *t)
{
	if (t == NULL)
		return;
	sodium_memzero(t, sizeof(*t));
	free(t);
}

void keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	sodium_memzero(k, sizeof(*k));
	free(k);
}

/* ---- the text ----------------------------------------------------------------------------- */

/* Takes the characters up to `stop` off the front of *text. */
static bool field(const char **text, const char *end, char stop, const char **out, size_t *n)
{
	const char *found = memchr(*text, stop, (size_t)(end - *text));

	if (found == NULL)
		return false;
	*out = *text;
	*n = (size_t)(found - *text);
	*text = found + 1;
	return true;
}

static bool parse_key(struct key *out, const char **text, const char *end)
{
	const char *kind, *id, *secret, *created;
	size_t kind_n, id_n, secret_n, created_n, len;
	uint64_t number, seconds;

	if (!field(text, end, ' ', &kind, &kind_n) || !field(text, end, ' ', &id, &id_n) ||
	    !field(text, end, ' ', &secret, &secret_n) ||
	    !field(text, end, '\n', &created, &created_n))
		return false;
	if (kind_n != 5 || memcmp(kind, "token", 5) != 0 || !num_u64(id, id_n, 255, &number) ||
	    !num_u64(created, created_n, INT64_MAX, &seconds) ||
	    !base64url_decode(out->secret, sizeof(out->secret), &len, secret, secret_n) ||
	    len != sizeof(out->secret))
		return false;
	out->id = (uint8_t)number;
	out->created = (int64_t)seconds;
	return true;
}

static enum err_code parse(struct keys *k, const struct text *t, struct err *e)
{
	const char *p = t->c, *end = t->c + t->n;

	if (t->n < strlen(HEAD) || memcmp(p, HEAD, strlen(HEAD)) != 0)
		return err_set(e, ERR_INVALID, "keys: line 1 is not \"restante-keys 1\"");
	p += strlen(HEAD);
	while (p < end) {
		struct key *key = &k->key[k->count];

		if (k->count == KEYS_MAX || !parse_key(key, &p, end))
			return err_set(e, ERR_INVALID, "keys: line %zu is no key", k->count + 2);
		if (k->by_id[key->id] != NULL)
			return err_set(e, ERR_INVALID, "keys: line %zu: key %u is there twice",
				       k->count + 2, key->id);
		k->by_id[key->id] = key;
		k->count++;
	}
	if (k->count == 0)
		return err_set(e, ERR_INVALID, "keys: there is no key in the file");
	return ERR_OK;
}

static void print(struct text *t, const struct key *key, size_t count)
{
	char secret[KEY_CHARS + 1];

	t->n = strlen(HEAD);
	memcpy(t->c, HEAD, t->n);
	for (size_t i = 0; i < count; i++) {
		int n;

		base64url_encode(secret, key[i].secret, sizeof(key[i].secret));
		n = snprintf(t->c + t->n, sizeof(t->c) - t->n, "token %u %s %" PRId64 "\n",
			     key[i].id, secret, key[i].created);
		assert(n > 0 && (size_t)n < sizeof(t->c) - t->n);
		t->n += (size_t)n;
	}
	sodium_memzero(secret, sizeof(secret));
}

/* ---- the file ----------------------------------------------------------------------------- */

static enum err_code failed(const char *what, struct err *e)
{
	return err_set(e, ERR_IO, "keys: %s: %s", what, strerror(errno));
}

/* What is odd about the file itself. */
static enum err_code check_file(int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return failed("stat", e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "keys: not a regular file");
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_INVALID, "keys: others can read it: chmod 600 %s", FILE_NAME);
	if (st.st_size >= (off_t)TEXT_MAX)
		return err_set(e, ERR_INVALID, "keys: too long");
	return ERR_OK;
}

static enum err_code read_all(int fd, struct text *t, struct err *e)
{
	ssize_t n;

	t->n = 0;
	do {
		n = read(fd, t->c + t->n, sizeof(t->c) - t->n);
		if (n > 0)
			t->n += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? ERR_OK : failed("read", e);
}

/* ERR_NOTFOUND if there is no file. */
static enum err_code load(struct keys *k, int dir, struct err *e)
{
	int fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct text *t = NULL;
	enum err_code rc;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOTFOUND, "keys: there is no file");
	if (fd < 0)
		return failed("open", e);
	t = calloc(1, sizeof(*t));
	rc = t != NULL ? check_file(fd, e) : err_set(e, ERR_NOMEM, "keys");
	if (rc == ERR_OK)
		rc = read_all(fd, t, e);
	if (rc == ERR_OK)
		rc = parse(k, t, e);
	text_free(t);
	(void)close(fd);
	return rc;
}

static enum err_code write_all(int fd, const struct text *t, struct err *e)
{
	for (size_t at = 0; at < t->n;) {
		ssize_t n = write(fd, t->c + at, t->n - at);

		if (n < 0 && errno != EINTR)
			return failed("write", e);
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) == 0 ? ERR_OK : failed("fsync", e);
}

/* A name that nobody else takes. */
static void temporary_name(char out[static 32])
{
	uint8_t random[8];
	char hex[HEX_LEN(sizeof(random)) + 1];

	randombytes_buf(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	(void)snprintf(out, 32, FILE_NAME ".new.%s", hex);
}

/* Puts keys into the file at once or not at all. Without replace a file that is there already is
 * left as it is. */
static enum err_code save(int dir, const struct key *key, size_t count, bool replace, struct err *e)
{
	struct text *t = calloc(1, sizeof(*t));
	char name[32];
	int fd = -1;
	enum err_code rc;

	if (t == NULL)
		return err_set(e, ERR_NOMEM, "keys");
	print(t, key, count);
	temporary_name(name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = failed("create", e);
		goto out;
	}
	rc = write_all(fd, t, e);
	if (rc != ERR_OK)
		goto out;
	if (replace ? renameat(dir, name, dir, FILE_NAME) != 0
		    : linkat(dir, name, dir, FILE_NAME, 0) != 0 && errno != EEXIST)
		rc = failed("put in place", e);
	else if (fsync(dir) != 0)
		rc = failed("fsync of the folder", e);
out:
	if (fd >= 0) {
		(void)unlinkat(dir, name, 0); /* after a rename it is gone already */
		(void)close(fd);
	}
	text_free(t);
	return rc;
}

static void make_key(struct key *out, uint8_t id, int64_t now)
{
	randombytes_buf(out->secret, sizeof(out->secret));
	out->id = id;
	out->created = now < 0 ? 0 : now;
}

static enum err_code make_first(int dir, int64_t now, struct err *e)
{
	struct key first;
	enum err_code rc;

	make_key(&first, 0, now);
	rc = save(dir, &first, 1, false, e);
	sodium_memzero(&first, sizeof(first));
	return rc;
}

static enum err_code open_dir(int *out, const char *dir, struct err *e)
{
	if (sodium_init() < 0)
		return err_set(e, ERR_IO, "libsodium does not start");
	*out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out >= 0 ? ERR_OK : failed("open the folder", e);
}

static enum err_code load_or_make(struct keys *k, int dir, int64_t now, struct err *e)
{
	enum err_code rc = load(k, dir, e);

	if (rc != ERR_NOTFOUND)
		return rc;
	rc = make_first(dir, now, e);
	return rc == ERR_OK ? load(k, dir, e) : rc; /* ours, or of who was faster */
}

enum err_code keys_open(struct keys **out, const char *dir, int64_t now, struct err *e)
{
	struct keys *k = NULL;
	int fd;
	enum err_code rc = open_dir(&fd, dir, e);

	if (rc != ERR_OK)
		return rc;
	k = calloc(1, sizeof(*k));
	rc = k != NULL ? load_or_make(k, fd, now, e) : err_set(e, ERR_NOMEM, "keys");
	if (rc == ERR_OK) {
		*out = k;
		k = NULL; /* the caller's now */
	}
	keys_free(k);
	(void)close(fd);
	return rc;
}

/* ---- rotation ----------------------------------------------------------------------------- */

/* Can a token of key i still be alive? It was minted before key i + 1 came. */
static bool needed(const struct keys *k, size_t i, int64_t now, uint64_t max_ttl)
{
	int64_t replaced;

	if (i + 1 >= k->count)
		return true;
	replaced = k->key[i + 1].created;
	return now <= replaced || (uint64_t)(now - replaced) <= max_ttl;
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
			    int64_t now, uint64_t max_ttl, struct err *e)
{
	size_t count = 0;

	for (size_t i = 0; i < k->count; i++)
		if (needed(k, i, now, max_ttl))
			next[count++] = k->key[i];
	if (count == KEYS_MAX)
		return err_set(e, ERR_TOOBIG, "keys: all 256 are in use");
	make_key(&next[count], free_id(next, count), now);
	return save(dir, next, count + 1, true, e);
}

enum err_code keys_rotate(const char *dir, int64_t now, uint64_t max_ttl, struct err *e)
{
	struct keys *k = NULL, *next = NULL;
	int fd;
	enum err_code rc = open_dir(&fd, dir, e);

	if (rc != ERR_OK)
		return rc;
	k = calloc(1, sizeof(*k));
	next = calloc(1, sizeof(*next));
	if (k == NULL || next == NULL)
		rc = err_set(e, ERR_NOMEM, "keys");
	else if (flock(fd, LOCK_EX) != 0) /* of two rotations neither is lost */
		rc = failed("lock", e);
	else
		rc = load_or_make(k, fd, now, e);
	if (rc == ERR_OK)
		rc = rotate(k, next->key, fd, now, max_ttl, e);
	keys_free(next);
	keys_free(k);
	(void)close(fd);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------ */

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
