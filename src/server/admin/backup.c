/* A snapshot to make a backup from: /admin/backup. It lies in the data directory, files of the
 * store as hard links, and takes no room as long as the store needs them too; so it is to go soon.
 */
#include "server/admin/admin.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "restante/version.h"
#include "server/admin/disk.h"
#include "server/admin/errand.h"
#include "server/problem.h"
#include "server/server.h"

#define FOLDER "snapshots"
#define MANIFEST "snapshot.json"
#define NAME_FORM "dddd-dd-ddTdd-dd-ddZ"
#define NAME_SIZE sizeof(NAME_FORM)
#define STALE_S 86400 /* whoever made it has forgotten it */

/* ---- names ---- */

/* Nothing else is ever removed, whatever a request says. */
static bool is_name(const char *s, size_t n)
{
	if (n != NAME_SIZE - 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (NAME_FORM[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != NAME_FORM[i])
			return false;
	return true;
}

/* As RFC 3339 has it, without colons. */
static void make_name(char out[static NAME_SIZE], int64_t now)
{
	char text[CLOCK_RFC3339_SIZE];

	_Static_assert(sizeof(text) == NAME_SIZE, "colons are replaced, nothing else");
	clock_rfc3339(text, now);
	for (size_t i = 0; i < sizeof(text); i++)
		out[i] = text[i] == ':' ? '-' : text[i];
}

static bool is_stale(const char *name, int64_t now)
{
	char text[NAME_SIZE];
	int64_t made;

	memcpy(text, name, sizeof(text));
	text[13] = text[16] = ':';
	return clock_parse_rfc3339(text, sizeof(text) - 1, &made) && now - made > STALE_S;
}

/* ---- the folder of snapshots ---- */

static enum err_code open_folder(int *out, const char *data_dir, struct err *e)
{
	int dir;
	enum err_code rc = files_open_dir(&dir, AT_FDCWD, data_dir, false, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_open_dir(out, dir, FOLDER, true, e);
	(void)close(dir);
	return rc;
}

/* The first one that is there; what is stale goes. False: none. */
static bool find_one(int folder, int64_t now, char out[static NAME_SIZE])
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;
	bool found = false;

	while (list != NULL && !found && (d = readdir(list)) != NULL) {
		if (!is_name(d->d_name, strlen(d->d_name)))
			continue;
		found = !is_stale(d->d_name, now);
		if (found)
			memcpy(out, d->d_name, NAME_SIZE);
		else
			(void)files_remove(folder, d->d_name, NULL);
	}
	if (list != NULL)
		(void)closedir(list);
	else if (fd >= 0)
		(void)close(fd);
	return found;
}

/* ---- making one ---- */

struct snapshot {
	struct server *server;
	int folder; /* of all */
	int self;
	char name[NAME_SIZE];
	char path[4096]; /* absolute */
	int64_t now;
};

static enum err_code write_manifest(const struct snapshot *s, struct err *e)
{
	int fd = openat(s->self, MANIFEST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char made[CLOCK_RFC3339_SIZE];
	int n = -1;

	clock_rfc3339(made, s->now);
	if (fd >= 0)
		n = dprintf(fd, "{\"version\":\"%s\",\"made_at\":\"%s\",\"store_format\":%d}\n",
			    RESTANTE_VERSION, made, STORE_FORMAT);
	if (fd >= 0)
		(void)close(fd);
	return n > 0 ? ERR_OK : err_set(e, ERR_IO, "the snapshot's manifest cannot be written");
}

/* Tokens' keys are copied after the store: they are those of whatever is in it, and more. */
static enum err_code copy_keys(const struct snapshot *s, struct err *e)
{
	uint64_t size;
	int dir;
	enum err_code rc =
		files_open_dir(&dir, AT_FDCWD, server_settings(s->server)->data_dir, false, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_copy(dir, s->self, BACKUP_KEYS, &size, NULL, e);
	(void)close(dir);
	return rc;
}

static enum err_code name_path(struct snapshot *s, struct err *e)
{
	char *dir = realpath(server_settings(s->server)->data_dir, NULL);
	int n = dir == NULL ? -1
			    : snprintf(s->path, sizeof(s->path), "%s/" FOLDER "/%s", dir, s->name);

	free(dir);
	return n > 0 && (size_t)n < sizeof(s->path) - sizeof("/" BACKUP_STORE)
		       ? ERR_OK
		       : err_set(e, ERR_IO, "the path of the snapshot is too long");
}

static enum err_code fill(struct snapshot *s, struct err *e)
{
	char store[sizeof(s->path)];
	enum err_code rc = files_open_dir(&s->self, s->folder, s->name, true, e);

	if (rc != ERR_OK)
		return rc;
	(void)snprintf(store, sizeof(store), "%.*s/" BACKUP_STORE,
		       (int)(sizeof(store) - sizeof("/" BACKUP_STORE)), s->path);
	rc = store_snapshot(s->server->store, store, e);
	if (rc == ERR_OK)
		rc = copy_keys(s, e);
	if (rc == ERR_OK)
		rc = write_manifest(s, e);
	(void)close(s->self);
	return rc;
}

static enum err_code make(struct snapshot *s, struct err *e)
{
	enum err_code rc;

	make_name(s->name, s->now);
	rc = name_path(s, e);
	if (rc == ERR_OK)
		rc = fill(s, e);
	if (rc != ERR_OK)
		(void)files_remove(s->folder, s->name, NULL);
	return rc;
}

static struct reply *refused(const struct snapshot *s)
{
	return problem_with(409, "snapshot-exists",
			    "There is a snapshot already: one at a time, and it goes with DELETE "
			    "/admin/backup/NAME, or by itself after a day.",
			    "snapshot", json_string(s->name));
}

static struct reply *failed(const char *call, enum err_code rc, const struct err *e)
{
	log_error("event=backup_failed call=%s error=\"%s\"", call, e->why);
	if (rc == ERR_INVALID)
		return problem_reply(501, "no-snapshots",
				     "This engine of the store makes no snapshots.");
	return problem_reply(rc == ERR_FULL ? 507 : 503, "backup-failed",
			     "The snapshot could not be made or removed; the log has more.");
}

static struct reply *make_work(struct errand *x)
{
	struct snapshot s = { .server = x->server, .now = clock_now_s() };
	struct err e = { 0 };
	struct reply *r;
	enum err_code rc = open_folder(&s.folder, server_settings(x->server)->data_dir, &e);

	if (rc != ERR_OK)
		return failed("open", rc, &e);
	if (find_one(s.folder, s.now, s.name))
		r = refused(&s);
	else if ((rc = make(&s, &e)) != ERR_OK)
		r = failed("snapshot", rc, &e);
	else
		r = errand_json(200, json_pack("{s:s, s:s, s:I}", "snapshot", s.name, "path",
					       s.path, "bytes", (json_int_t)disk_use(s.path).size));
	(void)close(s.folder);
	return r;
}

static enum http_next backup(struct request *req)
{
	return errand_head(req, make_work);
}

/* ---- removing it ---- */

struct removal {
	struct errand errand;
	char name[NAME_SIZE];
};

static struct reply *remove_work(struct errand *x)
{
	const struct removal *removal = (const struct removal *)x;
	struct err e = { 0 };
	int folder;
	enum err_code rc = open_folder(&folder, server_settings(x->server)->data_dir, &e);

	if (rc != ERR_OK)
		return failed("open", rc, &e);
	if (faccessat(folder, removal->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		rc = ERR_NOTFOUND;
	else
		rc = files_remove(folder, removal->name, &e);
	(void)close(folder);
	if (rc == ERR_NOTFOUND)
		return problem_reply(404, NULL, "There is no such snapshot.");
	return rc == ERR_OK ? reply_new(204) : failed("remove", rc, &e);
}

static enum http_next end(struct request *req)
{
	struct removal *x;
	size_t n;
	const char *name = request_param(req, &n);

	if (request_ctx(req) != NULL)
		return errand_answer(req);
	if (!is_name(name, n))
		return request_reply(req, problem_reply(404, NULL, "There is no such snapshot."));
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return HTTP_CUT;
	memcpy(x->name, name, n);
	return errand_start(&x->errand, req, remove_work, errand_to_operator);
}

void admin_backup_clean(const char *data_dir)
{
	struct err e = { 0 };
	int dir;

	if (files_open_dir(&dir, AT_FDCWD, data_dir, false, &e) != ERR_OK)
		return;
	if (files_remove(dir, FOLDER, &e) != ERR_OK)
		log_warn("event=backup_failed call=clean error=\"%s\"", e.why);
	(void)close(dir);
}

const struct handler admin_backup_handler = { .head = backup, .gone = errand_gone };
const struct handler admin_backup_end_handler = { .head = end, .gone = errand_gone };
