#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/cancel.h"
#include "cli/json.h"
#include "cli/output.h"
#include "restante/version.h"

struct backup {
	struct backup_tally *tally;
	json_t *files;          /* of the list */
	bool current, manifest; /* the store's are among them */
};

/* The same folder in three places. */
struct level {
	int from, before, to;
	const char *name; /* "" or "store/", in front of names in the list */
};

static bool go_on(void)
{
	return cancel_signal() == 0;
}

/* ---- one file ------------------------------------------------------------------------------ */

/* RocksDB writes these once, and the packs of a snapshot are sealed. */
static bool never_changes(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL &&
	       (strcmp(dot, ".sst") == 0 || strcmp(dot, ".blob") == 0 || strcmp(dot, ".pack") == 0);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	if (a->st_dev == b->st_dev && a->st_ino == b->st_ino)
		return true;
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Links it from the generation before, else from the snapshot. False: it is to be copied. */
static bool link_file(const struct level *l, const char *name, uint64_t *size)
{
	struct stat now, before;

	if (!never_changes(name) || fstatat(l->from, name, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(now.st_mode))
		return false;
	*size = (uint64_t)now.st_size;
	if (l->before >= 0 && fstatat(l->before, name, &before, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(before.st_mode) && is_same(&now, &before) &&
	    linkat(l->before, name, l->to, name, 0) == 0)
		return true;
	return linkat(l->from, name, l->to, name, 0) == 0;
}

static bool copy_file(const struct level *l, const char *name, uint64_t *size, struct trouble *t)
{
	struct err e = { 0 };

	if (files_copy(l->from, l->to, name, size, go_on, &e) == ERR_OK)
		return true;
	/* what is wrong with the snapshot is not about what a person gave */
	return cancel_not(t) && trouble_local(t, ERR_IO, "%s", e.why);
}

static void list(struct backup *b, const struct level *l, const char *name, uint64_t size)
{
	json_t *one = json_object();
	char *whole = NULL;

	if (asprintf(&whole, "%s%s", l->name, name) < 0)
		whole = NULL;
	json_add(one, "name", json_text(whole));
	json_add(one, "size", json_integer((json_int_t)size));
	(void)json_array_append_new(b->files, one);
	free(whole);
}

/* `told`: how long it is, says who made the snapshot. */
static bool take_file(struct backup *b, const struct level *l, const char *name, uint64_t told,
		      struct trouble *t)
{
	uint64_t size = 0;

	if (!link_file(l, name, &size)) {
		if (!copy_file(l, name, &size, t))
			return false;
		b->tally->copied_files++;
		b->tally->copied_bytes += size;
	}
	if (size != told)
		return trouble_local(t, ERR_IO, "%s of the snapshot is not as long as it was",
				     name);
	b->tally->files++;
	b->tally->bytes += size;
	list(b, l, name, size);
	return cancel_not(t);
}

/* ---- what the snapshot has ------------------------------------------------------------------ */

static bool read_list(int from, json_t **out, struct trouble *t)
{
	int fd = openat(from, BACKUP_SNAPSHOT_LIST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return trouble_errno(t, "the snapshot's list");
	*out = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	(void)close(fd);
	return json_is_array(json_object_get(*out, "files")) ||
	       trouble_local(t, ERR_IO, "the snapshot's list does not say what there is");
}

static bool take_listed(struct backup *b, const struct level *top, const struct level *store,
			const json_t *one, struct trouble *t)
{
	const char *name = json_string_value(json_object_get(one, "name"));
	const json_int_t size = json_integer_value(json_object_get(one, "size"));

	if (name != NULL && strcmp(name, BACKUP_KEYS) == 0)
		return take_file(b, top, name, (uint64_t)size, t);
	if (name == NULL || strncmp(name, store->name, strlen(store->name)) != 0)
		return trouble_local(t, ERR_IO, "the snapshot's list makes no sense");
	name += strlen(store->name);
	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return trouble_local(t, ERR_IO, "the snapshot's list makes no sense");
	backup_note_store(name, &b->current, &b->manifest);
	return take_file(b, store, name, (uint64_t)size, t);
}

/* Each file that is listed, and nothing else: what is not found is missed. */
static bool take_all(struct backup *b, const struct level *top, const struct level *store,
		     const json_t *all, struct trouble *t)
{
	struct err e = { 0 };
	const json_t *one;
	bool ok = true;
	size_t i;

	json_array_foreach(json_object_get(all, "files"), i, one)
	{
		ok = ok && take_listed(b, top, store, one, t);
	}
	if (!ok)
		return false;
	if (!b->current || !b->manifest || faccessat(top->to, BACKUP_KEYS, F_OK, 0) != 0)
		return trouble_local(t, ERR_IO, "the snapshot has no whole store, or no keys");
	return files_sync_dir(store->to, &e) == ERR_OK || trouble_err(t, &e, NULL);
}

static void close_level(const struct level *l)
{
	const int fds[] = { l->from, l->before, l->to };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static bool take_by_list(struct backup *b, const struct level *top, const struct level *store,
			 struct trouble *t)
{
	json_t *all = NULL;
	bool ok = read_list(top->from, &all, t) && take_all(b, top, store, all, t);

	json_decref(all);
	/* the server takes it away if it thinks that nobody needs it any more */
	if (ok && faccessat(top->from, BACKUP_SNAPSHOT_LIST, F_OK, 0) != 0)
		return trouble_local(t, ERR_IO, "the snapshot went while it was copied");
	return ok;
}

static bool take(struct backup *b, const struct level *top, struct trouble *t)
{
	struct level l = { .from = -1, .before = -1, .to = -1, .name = BACKUP_STORE "/" };
	struct err e = { 0 };
	bool ok;

	ok = (files_open_dir(&l.from, top->from, BACKUP_STORE, false, &e) == ERR_OK &&
	      files_open_dir(&l.to, top->to, BACKUP_STORE, true, &e) == ERR_OK) ||
	     trouble_err(t, &e, "the store");
	if (top->before >= 0) /* if it cannot be had, there is just nothing to link from */
		l.before = openat(top->before, BACKUP_STORE,
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	ok = ok && take_by_list(b, top, &l, t);
	close_level(&l);
	return ok;
}

/* ---- the list ------------------------------------------------------------------------------ */

static bool write_list(int to, const char *text, struct trouble *t)
{
	int fd = openat(to, BACKUP_LIST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return trouble_errno(t, BACKUP_LIST);
	ok = output_bytes(fd, BACKUP_LIST, text, strlen(text), t) &&
	     ((fsync(fd) == 0 && fsync(to) == 0) || trouble_errno(t, BACKUP_LIST));
	(void)close(fd);
	return ok;
}

static bool print_list(const struct backup *b, int to, int64_t now, struct trouble *t)
{
	json_t *o = json_object();
	char *text;
	bool ok;

	json_add(o, "format", json_integer(BACKUP_FORMAT));
	json_add(o, "version", json_string(RESTANTE_VERSION));
	json_add(o, "made_at", json_time((uint64_t)now));
	json_add(o, "bytes", json_integer((json_int_t)b->tally->bytes));
	json_add(o, "files", json_incref(b->files));
	text = json_dumps(o, JSON_INDENT(1));
	ok = text != NULL && json_array_size(b->files) == b->tally->files
		     ? write_list(to, text, t)
		     : trouble_local(t, ERR_NOMEM, "out of memory");
	free(text);
	json_decref(o);
	return ok;
}

bool backup_fill(int from, int before, int to, int64_t now, struct backup_tally *tally,
		 struct trouble *t)
{
	const struct level top = { from, before, to, "" };
	struct backup b = { .tally = tally, .files = json_array() };
	bool ok;

	*tally = (struct backup_tally){ 0 };
	ok = take(&b, &top, t) && print_list(&b, to, now, t);
	json_decref(b.files);
	return ok;
}
