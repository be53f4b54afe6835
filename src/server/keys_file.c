#include "server/keys_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/num.h"
#include "base/text.h"

#define FILE_NAME "keys"
#define HEAD "restante-keys 2\n"
#define OLD_HEAD "restante-keys 1\n"
#define KEY_CHARS BASE64URL_LEN(TOKEN_KEYBYTES)
#define NUMBER_CHARS (sizeof("9223372036854775807") - 1)
#define LINE_SIZE (sizeof("token 255    \n") + KEY_CHARS + 3 * NUMBER_CHARS)
#define TEXT_MAX (sizeof(HEAD) + KEYS_MAX * LINE_SIZE)

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

static bool number(const char **text, const char *end, char stop, uint64_t max, uint64_t *out)
{
	const char *digits;
	size_t n;

	return field(text, end, stop, &digits, &n) && num_u64(digits, n, max, out);
}

static bool parse_secret(struct key *out, const char **text, const char *end)
{
	const char *kind, *secret;
	size_t kind_n, secret_n, len;
	uint64_t id;

	if (!field(text, end, ' ', &kind, &kind_n) || kind_n != 5 || memcmp(kind, "token", 5) != 0)
		return false;
	if (!number(text, end, ' ', 255, &id) || !field(text, end, ' ', &secret, &secret_n))
		return false;
	out->id = (uint8_t)id;
	return base64url_decode(out->secret, sizeof(out->secret), &len, secret, secret_n) &&
	       len == sizeof(out->secret);
}

static bool parse_key(struct key *out, bool old, const char **text, const char *end)
{
	uint64_t created, lasts = KEYS_OLD_LASTS, replaced = 0;

	if (!parse_secret(out, text, end) ||
	    !number(text, end, old ? '\n' : ' ', INT64_MAX, &created))
		return false;
	if (!old && (!number(text, end, ' ', INT64_MAX, &lasts) ||
		     !number(text, end, '\n', INT64_MAX, &replaced)))
		return false;
	out->created = (int64_t)created;
	out->lasts = lasts;
	out->replaced = (int64_t)replaced;
	return true;
}

static bool has_head(const struct text *t, const char *head)
{
	return t->n >= strlen(head) && memcmp(t->c, head, strlen(head)) == 0;
}

static enum err_code parse(struct keys *k, bool *old, const struct text *t, struct err *e)
{
	const char *p = t->c + strlen(HEAD), *end = t->c + t->n;

	_Static_assert(sizeof(HEAD) == sizeof(OLD_HEAD), "p is behind either");
	*old = has_head(t, OLD_HEAD);
	if (!*old && !has_head(t, HEAD))
		return err_set(e, ERR_INVALID, "keys: line 1 is not \"restante-keys 2\"");
	while (p < end) {
		struct key *key = &k->key[k->count];

		if (k->count == KEYS_MAX || !parse_key(key, *old, &p, end))
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
		n = snprintf(t->c + t->n, sizeof(t->c) - t->n,
			     "token %u %s %" PRId64 " %" PRIu64 " %" PRId64 "\n", key[i].id, secret,
			     key[i].created, key[i].lasts, key[i].replaced);
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

enum err_code keys_file_load(struct keys *k, bool *old, int dir, struct err *e)
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
		rc = parse(k, old, t, e);
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

enum err_code keys_file_save(int dir, const struct key *key, size_t count, bool replace,
			     struct err *e)
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
