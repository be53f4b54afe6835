#include "server/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/files.h"
#include "server/owner.h"
#include "server/run.h"
#include "storage/store.h"
#include "wire/shallow.h"

#define PARTIAL "restore.partial"
#define LIST_MAX ((off_t)256 << 20)
#define STORE_PREFIX BACKUP_STORE "/"

/* Open folders; -1: not (yet). */
struct restoring {
	const struct settings *set;
	int backup, backup_store;
	int data, partial, store; /* partial: in data; store: in partial */
	json_t *list;
	bool current, manifest; /* the store's are among its files */
	struct owner owner;     /* of the data directory */
	struct restored *out;
};

static enum err_code failed(const char *what, struct err *e)
{
	return err_set(e, ERR_IO, "%.80s: %s", what, strerror(errno));
}

static bool is_there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the backup ---------------------------------------------------------------------------- */

static enum err_code open_backup(struct restoring *r, const char *from, struct err *e)
{
	enum err_code rc = files_open_dir(&r->backup, AT_FDCWD, from, false, e);
	char latest[4096];

	if (rc != ERR_OK || is_there(r->backup, BACKUP_LIST))
		return rc;
	(void)close(r->backup);
	r->backup = -1;
	(void)snprintf(latest, sizeof(latest), "%s/" BACKUP_LATEST, from);
	rc = files_open_dir(&r->backup, AT_FDCWD, latest, false, NULL);
	if (rc == ERR_OK && is_there(r->backup, BACKUP_LIST))
		return ERR_OK;
	return err_set(e, ERR_INVALID, "%.80s is no complete backup, and no folder of them", from);
}

static enum err_code read_text(int fd, off_t size, json_t **out, struct err *e)
{
	uint8_t *text = malloc((size_t)size + 1);
	ssize_t n = text != NULL ? pread(fd, text, (size_t)size, 0) : -1;
	enum err_code rc = ERR_OK;

	if (text == NULL)
		return err_set(e, ERR_NOMEM, "the backup's list");
	if (n != size)
		rc = failed("read " BACKUP_LIST, e);
	else if ((*out = shallow_read((struct bytes){ text, (size_t)size })) == NULL)
		rc = err_set(e, ERR_DAMAGED, BACKUP_LIST " is no JSON");
	free(text);
	return rc;
}

static enum err_code read_list(struct restoring *r, struct err *e)
{
	int fd = openat(r->backup, BACKUP_LIST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	enum err_code rc;
	struct stat st;

	if (fd < 0)
		return failed("open " BACKUP_LIST, e);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > LIST_MAX)
		rc = err_set(e, ERR_DAMAGED, BACKUP_LIST " is no list");
	else
		rc = read_text(fd, st.st_size, &r->list, e);
	(void)close(fd);
	return rc;
}

static enum err_code check_format(const struct restoring *r, struct err *e)
{
	const json_int_t format = json_integer_value(json_object_get(r->list, "format"));
	const char *version = json_string_value(json_object_get(r->list, "version"));

	if (format > BACKUP_FORMAT)
		return err_set(e, ERR_FORMAT, "the backup is of a newer restante, %.40s",
			       version != NULL ? version : "which does not say which");
	if (format != BACKUP_FORMAT || !json_is_array(json_object_get(r->list, "files")))
		return err_set(e, ERR_DAMAGED, BACKUP_LIST " does not say what there is");
	return ERR_OK;
}

/* ---- its files ----------------------------------------------------------------------------- */

/* A name of the list: in which folder of the backup it is, and there under which name. */
static bool locate(const struct restoring *r, const char *name, int *dir, const char **base)
{
	const size_t n = sizeof(STORE_PREFIX) - 1;

	*dir = r->backup;
	*base = name;
	if (name != NULL && strcmp(name, BACKUP_KEYS) == 0)
		return true;
	if (name == NULL || strncmp(name, STORE_PREFIX, n) != 0)
		return false;
	*dir = r->backup_store;
	*base = name + n;
	return **base != '\0' && **base != '.' && strchr(*base, '/') == NULL;
}

typedef enum err_code each_fn(struct restoring *r, int dir, const char *base, uint64_t size,
			      struct err *e);

static enum err_code each_file(struct restoring *r, each_fn *fn, struct err *e)
{
	enum err_code rc = ERR_OK;
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(r->list, "files"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name")), *base;
		const json_t *size = json_object_get(one, "size");
		int dir;

		if (!locate(r, name, &dir, &base) || !json_is_integer(size) ||
		    json_integer_value(size) < 0)
			return err_set(e, ERR_DAMAGED, BACKUP_LIST ": entry %zu is no file", i);
		rc = fn(r, dir, base, (uint64_t)json_integer_value(size), e);
		if (rc != ERR_OK)
			return rc;
	}
	return rc;
}

static enum err_code check_file(struct restoring *r, int dir, const char *base, uint64_t size,
				struct err *e)
{
	struct stat st;

	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_set(e, ERR_DAMAGED, "the backup is not complete: %.60s: %s", base,
			       strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_set(e, ERR_DAMAGED,
			       "the backup is not complete: %.60s is not as long "
			       "as it was",
			       base);
	if (dir == r->backup_store)
		backup_note_store(base, &r->current, &r->manifest);
	r->out->files++;
	r->out->bytes += size;
	return ERR_OK;
}

static enum err_code check_backup(struct restoring *r, struct err *e)
{
	const char *made_at = json_string_value(json_object_get(r->list, "made_at"));
	enum err_code rc;

	(void)snprintf(r->out->made_at, sizeof(r->out->made_at), "%s",
		       made_at != NULL ? made_at : "");
	rc = files_open_dir(&r->backup_store, r->backup, BACKUP_STORE, false, e);
	if (rc == ERR_OK)
		rc = each_file(r, check_file, e);
	if (rc == ERR_OK && (!r->current || !r->manifest))
		rc = err_set(e, ERR_DAMAGED, "the backup is not complete: it has no store");
	return rc;
}

static enum err_code read_backup(struct restoring *r, const char *from, struct err *e)
{
	enum err_code rc = open_backup(r, from, e);

	if (rc == ERR_OK)
		rc = read_list(r, e);
	if (rc == ERR_OK)
		rc = check_format(r, e);
	return rc == ERR_OK ? check_backup(r, e) : rc;
}

/* ---- the data directory -------------------------------------------------------------------- */

/* An empty one is of a restore that was all but done. */
static bool is_open(const char *path)
{
	return rmdir(path) != 0 && errno != ENOENT;
}

enum err_code restore_none_open(const char *data_dir, struct err *e)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/" PARTIAL, data_dir);
	if (!is_open(path))
		return ERR_OK;
	return err_set(e, ERR_INVALID, "a restore into %.80s was broken off: run it again",
		       data_dir);
}

/* Keys that an interrupted restore has put there are none of anybody's. */
static enum err_code check_empty(const struct restoring *r, struct err *e)
{
	const bool again = unlinkat(r->data, PARTIAL, AT_REMOVEDIR) != 0 && errno != ENOENT;

	(void)unlinkat(r->data, BACKUP_STORE, AT_REMOVEDIR); /* if it is empty */
	if (is_there(r->data, BACKUP_STORE))
		return err_set(e, ERR_EXISTS, "there is a store in %.80s already",
			       r->set->data_dir);
	if (is_there(r->data, BACKUP_KEYS) && !again)
		return err_set(e, ERR_EXISTS, "there are keys in %.80s already", r->set->data_dir);
	return ERR_OK;
}

static enum err_code open_data(struct restoring *r, struct err *e)
{
	enum err_code rc = run_make_data_dir(r->set->data_dir, e);

	if (rc == ERR_OK)
		rc = files_open_dir(&r->data, AT_FDCWD, r->set->data_dir, false, e);
	if (rc == ERR_OK && flock(r->data, LOCK_EX | LOCK_NB) != 0)
		rc = err_set(e, ERR_BUSY, "another restore works in %.80s", r->set->data_dir);
	/* names are those of this very folder from here on, wherever its path leads to */
	if (rc == ERR_OK && fchdir(r->data) != 0)
		rc = failed("the data directory", e);
	return rc == ERR_OK ? owner_become(&r->owner, r->data, e) : rc;
}

static enum err_code begin(struct restoring *r, struct err *e)
{
	enum err_code rc = open_data(r, e);

	if (rc == ERR_OK)
		rc = check_empty(r, e);
	if (rc == ERR_OK)
		rc = files_remove(r->data, PARTIAL, e);
	if (rc == ERR_OK)
		rc = files_open_dir(&r->partial, r->data, PARTIAL, true, e);
	if (rc == ERR_OK)
		rc = files_sync_dir(r->data, e);
	return rc == ERR_OK ? files_open_dir(&r->store, r->partial, BACKUP_STORE, true, e) : rc;
}

/* The backup may be for root only. */
static enum err_code open_source(const struct restoring *r, int *out, int dir, const char *base,
				 struct err *e)
{
	enum err_code rc = owner_leave(&r->owner, e), back;

	if (rc != ERR_OK)
		return rc;
	rc = files_open(out, dir, base, e);
	back = owner_return(&r->owner, rc == ERR_OK ? e : NULL);
	if (rc == ERR_OK && back != ERR_OK)
		(void)close(*out);
	return rc == ERR_OK ? back : rc;
}

static enum err_code copy_file(struct restoring *r, int dir, const char *base, uint64_t size,
			       struct err *e)
{
	uint64_t copied;
	int from;
	enum err_code rc = open_source(r, &from, dir, base, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_copy_open(from, dir == r->backup ? r->partial : r->store, base, &copied, NULL,
			     e);
	(void)close(from);
	if (rc == ERR_OK && copied != size)
		return err_set(e, ERR_DAMAGED, "%.60s changed while it was copied", base);
	return rc;
}

static enum err_code copy_all(struct restoring *r, struct err *e)
{
	enum err_code rc = each_file(r, copy_file, e);

	if (rc == ERR_OK && !is_there(r->partial, BACKUP_KEYS))
		rc = err_set(e, ERR_DAMAGED, "the backup has no keys");
	return rc == ERR_OK ? owner_stay(&r->owner, e) : rc;
}

/* A store that this restanted does not open is not put into place. */
static enum err_code try_store(const struct restoring *r, struct err *e)
{
	struct store_options opt;
	struct store *s = NULL;
	char dir[4096];
	enum err_code rc;

	run_store_options(r->set, dir, sizeof(dir), &opt);
	(void)snprintf(dir, sizeof(dir), PARTIAL "/" BACKUP_STORE);
	opt.existing = true;
	rc = store_open(&s, r->set->store_engine, &opt, e);
	store_close(s);
	return rc;
}

/* ---- putting it in place ------------------------------------------------------------------- */

static enum err_code move(const struct restoring *r, const char *name, struct err *e)
{
	return renameat(r->partial, name, r->data, name) == 0 ? ERR_OK : failed(name, e);
}

/* The store last: with it, it is a data directory. */
static enum err_code put_in_place(const struct restoring *r, struct err *e)
{
	enum err_code rc = files_sync_dir(r->store, e);

	if (rc == ERR_OK)
		rc = files_sync_dir(r->partial, e);
	if (rc == ERR_OK)
		rc = move(r, BACKUP_KEYS, e);
	if (rc == ERR_OK)
		rc = files_sync_dir(r->data, e);
	if (rc == ERR_OK)
		rc = move(r, BACKUP_STORE, e);
	if (rc == ERR_OK && unlinkat(r->data, PARTIAL, AT_REMOVEDIR) != 0)
		rc = failed(PARTIAL, e);
	return rc == ERR_OK ? files_sync_dir(r->data, e) : rc;
}

static void close_restoring(const struct restoring *r)
{
	const int fds[] = { r->backup, r->backup_store, r->store, r->partial, r->data };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	json_decref(r->list);
}

enum err_code restore(const struct settings *set, const char *from, struct restored *out,
		      struct err *e)
{
	struct restoring r = { .set = set,
			       .backup = -1,
			       .backup_store = -1,
			       .data = -1,
			       .partial = -1,
			       .store = -1,
			       .out = out };
	enum err_code rc;

	*out = (struct restored){ 0 };
	rc = read_backup(&r, from, e);
	if (rc == ERR_OK)
		rc = begin(&r, e);
	if (rc == ERR_OK)
		rc = copy_all(&r, e);
	if (rc == ERR_OK)
		rc = try_store(&r, e);
	if (rc == ERR_OK)
		rc = put_in_place(&r, e);
	close_restoring(&r);
	return rc;
}
