#include "client/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "base/text.h"
#include "client/fail.h"
#include "wire/shallow.h"

#define VERSION 1
#define SIZE_MAX_READ 65536 /* much more than we write */
#define HEAD_TEXT_SIZE (BASE64_LEN(RESTANTE_HEAD_SIZE) + 1)

struct state {
	int fd; /* locked */
	char *path;
	char *next; /* where the file is written before it takes the place of the other */
};

/* ---- opening ---- */

/* Whether the name still leads to the file that is open: whoever had it before us may have replaced
 * or removed it. */
static bool is_the_one(int fd, const char *path)
{
	struct stat open_one, named;

	return fstat(fd, &open_one) == 0 && lstat(path, &named) == 0 &&
	       open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static enum restante_code io(const char *path, struct restante_error *e)
{
	return fail(e, RESTANTE_IO, "%s: %s", path, strerror(errno));
}

static enum restante_code lock(struct state *s, struct restante_error *e)
{
	struct stat st;

	for (;;) {
		s->fd = open(s->path,
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
			     0600);
		if (s->fd < 0 || fstat(s->fd, &st) != 0)
			return io(s->path, e);
		if (!S_ISREG(st.st_mode))
			return fail(e, RESTANTE_IO, "%s is no regular file", s->path);
		if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
			return errno == EWOULDBLOCK
				       ? fail(e, RESTANTE_MISUSE, "this upload is running already")
				       : io(s->path, e);
		if (is_the_one(s->fd, s->path))
			return RESTANTE_OK;
		(void)close(s->fd);
	}
}

static void release(struct state *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s->path);
	free(s->next);
	free(s);
}

enum restante_code state_open(struct state **out, const char *path, struct restante_error *e)
{
	struct state *s = calloc(1, sizeof(*s));
	enum restante_code rc = RESTANTE_NOMEM;

	if (s == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	s->fd = -1;
	s->path = strdup(path);
	if (s->path == NULL || asprintf(&s->next, "%s.new", path) < 0) {
		s->next = NULL;
		(void)fail_plain(e, RESTANTE_NOMEM);
		goto out;
	}
	rc = lock(s, e);
	if (rc != RESTANTE_OK)
		goto out;
	*out = s;
	s = NULL;
out:
	if (s != NULL)
		release(s);
	return rc;
}

void state_close(struct state *s, bool keep)
{
	struct stat st;

	if (s == NULL)
		return;
	if (!keep || fstat(s->fd, &st) != 0 || st.st_size == 0)
		(void)unlink(s->path);
	release(s);
}

/* ---- writing ---- */

static json_t *text_or_null(const char *text)
{
	return text != NULL ? json_string(text) : json_null();
}

static json_t *encode_source(const struct source_id *id)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "dev", (json_int_t)id->dev, "ino",
			 (json_int_t)id->ino, "size", (json_int_t)id->size, "mtime_ns",
			 (json_int_t)id->mtime_ns, "ctime_ns", (json_int_t)id->ctime_ns);
}

static json_t *encode_urls(const struct state_place *place)
{
	json_t *urls = json_array();
	unsigned i;

	for (i = 0; urls != NULL && i < place->count; i++)
		(void)json_array_append_new(urls, text_or_null(place->urls[i]));
	return urls;
}

/* Strings in JSON are wiped by hand before they are let go. */
static void wipe(json_t *root, const char *name)
{
	json_t *value = json_object_get(root, name);

	if (json_is_string(value))
		sodium_memzero((void *)(uintptr_t)json_string_value(value),
			       json_string_length(value));
}

static void add_seal(json_t *root, const struct state_place *place)
{
	char key[RESTANTE_KEY_TEXT_SIZE], head[HEAD_TEXT_SIZE];

	restante_key_format(key, place->key);
	base64_encode(head, place->head, RESTANTE_HEAD_SIZE);
	(void)json_object_set_new(root, "key", json_string(key));
	(void)json_object_set_new(root, "head", json_string(head));
	sodium_memzero(key, sizeof(key));
}

/* All of the file, malloc'd; NULL: out of memory. */
static char *encode(const struct state_about *about, const struct state_place *place)
{
	json_t *root = json_pack(
		"{s:i, s:s, s:o, s:s, s:I, s:I, s:o, s:o}", "v", VERSION, "endpoint",
		about->endpoint, "source", encode_source(&about->source), "kind", about->kind,
		"ttl", (json_int_t)about->ttl_s, "recipients", (json_int_t)about->recipients,
		"uploads", encode_urls(place), "final", text_or_null(place->final));
	char *text;
	size_t n;

	if (root != NULL && about->seals)
		add_seal(root, place);
	/* not json_dumps(), which leaves copies behind where its memory grew */
	n = root != NULL ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
	text = n > 0 ? calloc(1, n + 1) : NULL;
	if (text != NULL)
		(void)json_dumpb(root, text, n, JSON_COMPACT);
	wipe(root, "key");
	json_decref(root);
	return text;
}

static bool write_all(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		const ssize_t k = write(fd, text, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		text += k;
		n -= (size_t)k;
	}
	return fsync(fd) == 0;
}

/* Makes the name durable. */
static bool sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	const int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	/* not every file system knows how */
	const bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	const int error = errno;

	if (fd >= 0)
		(void)close(fd);
	free(folder);
	errno = error;
	return ok;
}

/* The new file is locked before it has the name: there is no moment without a lock. */
static enum restante_code replace(struct state *s, const char *text, struct restante_error *e)
{
	int fd;

	(void)unlink(s->next);
	fd = open(s->next, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return io(s->next, e);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !write_all(fd, text) ||
	    rename(s->next, s->path) != 0) {
		(void)io(s->path, e);
		(void)unlink(s->next);
		(void)close(fd);
		return RESTANTE_IO;
	}
	(void)close(s->fd);
	s->fd = fd;
	return sync_folder(s->path) ? RESTANTE_OK : io(s->path, e);
}

enum restante_code state_write(struct state *s, const struct state_about *about,
			       const struct state_place *place, struct restante_error *e)
{
	char *text = encode(about, place);
	enum restante_code rc;

	if (text == NULL)
		return fail_plain(e, RESTANTE_NOMEM);
	rc = replace(s, text, e);
	sodium_memzero(text, strlen(text));
	free(text);
	return rc;
}

/* ---- reading ---- */

/* All of the file as text, malloc'd, with its length; NULL if it is none of ours. */
static char *slurp(int fd, size_t *n)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0 ||
	    st.st_size <= 0 || st.st_size > SIZE_MAX_READ)
		return NULL;
	*n = (size_t)st.st_size;
	text = malloc(*n);
	if (text != NULL && pread(fd, text, *n, 0) != (ssize_t)*n) {
		free(text);
		text = NULL;
	}
	return text;
}

static bool has_text(const json_t *root, const char *name, const char *want)
{
	const json_t *value = json_object_get(root, name);

	return json_is_string(value) && json_string_length(value) == strlen(want) &&
	       strcmp(json_string_value(value), want) == 0;
}

static bool has_number(const json_t *root, const char *name, uint64_t want)
{
	const json_t *value = json_object_get(root, name);

	return json_is_integer(value) && (uint64_t)json_integer_value(value) == want;
}

static bool is_about(const json_t *root, const struct state_about *about)
{
	const json_t *source = json_object_get(root, "source");
	const struct source_id *id = &about->source;

	return has_number(root, "v", VERSION) && has_text(root, "endpoint", about->endpoint) &&
	       has_text(root, "kind", about->kind) && has_number(root, "ttl", about->ttl_s) &&
	       has_number(root, "recipients", about->recipients) &&
	       has_number(source, "dev", id->dev) && has_number(source, "ino", id->ino) &&
	       has_number(source, "size", id->size) &&
	       has_number(source, "mtime_ns", (uint64_t)id->mtime_ns) &&
	       has_number(source, "ctime_ns", (uint64_t)id->ctime_ns);
}

static bool read_seal(const json_t *root, bool seals, struct state_place *place)
{
	const json_t *key = json_object_get(root, "key");
	const json_t *head = json_object_get(root, "head");
	size_t n;

	if (!seals)
		return key == NULL && head == NULL;
	return json_is_string(key) && json_is_string(head) &&
	       restante_key_parse(place->key, json_string_value(key), json_string_length(key),
				  NULL) == RESTANTE_OK &&
	       base64_decode(place->head, sizeof(place->head), &n, json_string_value(head),
			     json_string_length(head)) &&
	       n == sizeof(place->head);
}

/* An address or null. */
static bool read_url(const json_t *value, char **out)
{
	if (json_is_null(value))
		return true;
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return false;
	*out = strdup(json_string_value(value));
	return *out != NULL;
}

static bool read_urls(const json_t *root, struct state_place *place)
{
	const json_t *urls = json_object_get(root, "uploads");
	const size_t count = json_array_size(urls);

	if (count < 1 || count > PARTS_MAX)
		return false;
	for (place->count = 0; place->count < count; place->count++)
		if (!read_url(json_array_get(urls, place->count), &place->urls[place->count]))
			return false;
	return read_url(json_object_get(root, "final"), &place->final);
}

bool state_read(struct state *s, const struct state_about *about, struct state_place *place)
{
	size_t n;
	char *text = slurp(s->fd, &n);
	json_t *root = NULL;
	bool found;

	*place = (struct state_place){ .count = 0 };
	if (text != NULL) {
		root = shallow_read((struct bytes){ (const uint8_t *)text, n });
		sodium_memzero(text, n);
		free(text);
	}
	found = root != NULL && is_about(root, about) && read_seal(root, about->seals, place) &&
		read_urls(root, place);
	wipe(root, "key");
	json_decref(root);
	if (!found)
		state_fini(place);
	return found;
}

void state_fini(struct state_place *place)
{
	size_t i;

	for (i = 0; i < PARTS_MAX; i++)
		free(place->urls[i]);
	free(place->final);
	sodium_memzero(place, sizeof(*place));
}
