#include "server/admin/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/files.h"
#include "restante/version.h"
#include "storage/store.h"

struct listing {
	json_t *files;
	bool current, manifest; /* the store's are among them */
};

static enum err_code add(struct listing *l, int dir, const char *folder, const char *name,
			 struct err *e)
{
	char whole[512];
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_set(e, ERR_IO, "snapshot: %.80s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_DAMAGED, "snapshot: %.80s is no file", name);
	(void)snprintf(whole, sizeof(whole), "%s%s", folder, name);
	return json_array_append_new(l->files, json_pack("{s:s, s:I}", "name", whole, "size",
							 (json_int_t)st.st_size)) == 0
		       ? ERR_OK
		       : err_set(e, ERR_NOMEM, "snapshot");
}

static enum err_code add_names(struct listing *l, int dir, DIR *names, struct err *e)
{
	const char *name = NULL;
	enum err_code rc;

	while ((rc = files_next(&name, names, e)) == ERR_OK && name != NULL) {
		rc = add(l, dir, BACKUP_STORE "/", name, e);
		if (rc != ERR_OK)
			return rc;
		backup_note_store(name, &l->current, &l->manifest);
	}
	return rc;
}

static enum err_code add_store(struct listing *l, int dir, struct err *e)
{
	int store;
	DIR *names = NULL;
	enum err_code rc = files_open_dir(&store, dir, BACKUP_STORE, false, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_list(&names, store, e);
	if (rc == ERR_OK) {
		rc = add_names(l, store, names, e);
		(void)closedir(names);
	}
	(void)close(store);
	if (rc == ERR_OK && (!l->current || !l->manifest))
		return err_set(e, ERR_DAMAGED, "snapshot: it has no whole store");
	return rc;
}

static enum err_code write_json(int dir, const json_t *j, struct err *e)
{
	int fd = openat(dir, BACKUP_SNAPSHOT_LIST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return err_set(e, ERR_IO, "snapshot: create its manifest: %s", strerror(errno));
	ok = json_dumpfd(j, fd, JSON_INDENT(1)) == 0;
	(void)close(fd);
	return ok ? ERR_OK : err_set(e, ERR_IO, "snapshot: its manifest cannot be written");
}

enum err_code manifest_write(int dir, int64_t now, struct err *e)
{
	struct listing l = { json_array(), false, false };
	char made[CLOCK_RFC3339_SIZE];
	json_t *j = NULL;
	enum err_code rc = add(&l, dir, "", BACKUP_KEYS, e);

	if (rc == ERR_OK)
		rc = add_store(&l, dir, e);
	clock_rfc3339(made, now);
	if (rc == ERR_OK)
		j = json_pack("{s:s, s:s, s:i, s:O}", "version", RESTANTE_VERSION, "made_at", made,
			      "store_format", STORE_FORMAT, "files", l.files);
	if (rc == ERR_OK)
		rc = j != NULL ? write_json(dir, j, e) : err_set(e, ERR_NOMEM, "snapshot");
	json_decref(j);
	json_decref(l.files);
	return rc;
}
