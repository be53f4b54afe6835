/* A snapshot to make a backup from: /admin/backup. It lies in the data directory, files of the
 * store as hard links, and takes no room as long as the store needs them too; so it is to go soon.
 */
#include "server/admin/admin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/files.h"
#include "base/log.h"
#include "server/admin/errand.h"
#include "server/admin/manifest.h"
#include "server/problem.h"
#include "server/server.h"

#define FOLDER "snapshots"
#define NAME_FORM "dddd-dd-ddTdd-dd-ddZ"
#define NAME_SIZE sizeof(NAME_FORM)
#define STALE_S 72000 /* whoever made it has forgotten it; and tomorrow's is to find none */
#define AHEAD_S 3600  /* of a clock that was set back since */

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

/* Also if it is of a time to come: it would never grow old. */
static bool is_stale(const char *name, int64_t now)
{
	char text[NAME_SIZE];
	int64_t made;

	memcpy(text, name, sizeof(text));
	text[13] = text[16] = ':';
	return !clock_parse_rfc3339(text, sizeof(text) - 1, &made) || now - made > STALE_S ||
	       made - now > AHEAD_S;
}

/* ---- the folder of snapshots ---- */

static enum err_code open_folder(int *out, const char *data_dir, bool make, struct err *e)
{
	int dir;
	enum err_code rc = files_open_dir(&dir, AT_FDCWD, data_dir, false, e);

	if (rc != ERR_OK)
		return rc;
	rc = files_open_dir(out, dir, FOLDER, make, e);
	(void)close(dir);
	return rc;
}

/* The first one that is there; what is stale goes. out: "" for none. */
static enum err_code find_in(DIR *list, int folder, int64_t now, char out[static NAME_SIZE],
			     struct err *e)
{
	const char *name = NULL;
	enum err_code rc;

	out[0] = '\0';
	while ((rc = files_next(&name, list, e)) == ERR_OK && name != NULL) {
		if (!is_name(name, strlen(name)))
			continue;
		if (!is_stale(name, now))
			memcpy(out, name, NAME_SIZE);
		else if (files_remove(folder, name, e) == ERR_OK)
			log_warn("event=snapshot_removed reason=stale");
		else
			return e->code;
	}
	return rc;
}

static enum err_code find_one(int folder, int64_t now, char out[static NAME_SIZE], struct err *e)
{
	DIR *list = NULL;
	enum err_code rc = files_list(&list, folder, e);

	if (rc != ERR_OK)
		return rc;
	rc = find_in(list, folder, now, out, e);
	(void)closedir(list);
	return rc;
}

/* ---- making one ---- */

struct snapshot {
	struct server *server;
	int folder; /* of all */
	int self;
	char name[NAME_SIZE];
	char data_dir[4096], path[4096]; /* absolute */
	int64_t now;
};

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
	int n;

	if (realpath(server_settings(s->server)->data_dir, s->data_dir) == NULL)
		return err_set(e, ERR_IO, "the data directory: %s", strerror(errno));
	n = snprintf(s->path, sizeof(s->path), "%s/" FOLDER "/%s", s->data_dir, s->name);
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
		rc = manifest_write(s->self, s->now, e);
	(void)close(s->self);
	return rc;
}

static enum err_code make(struct snapshot *s, struct err *e)
{
	enum err_code rc;

	/* No name comes twice: who still has one to give back must not give back another's. */
	if (s->now <= s->server->snapshot_s)
		s->now = s->server->snapshot_s + 1;
	s->server->snapshot_s = s->now;
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
			    "/admin/backup/NAME, or by itself after 20 hours.",
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

/* A request for one, and its name as soon as it is there. */
struct making {
	struct errand errand;
	char name[NAME_SIZE];
};

static struct reply *made(const struct snapshot *s, char name[static NAME_SIZE])
{
	memcpy(name, s->name, NAME_SIZE);
	return errand_json(200, json_pack("{s:s, s:s, s:s, s:I}", "snapshot", s->name, "path",
					  s->path, "data_dir", s->data_dir, "bytes",
					  (json_int_t)disk_use(s->path).size));
}

static struct reply *make_work(struct errand *x)
{
	struct making *making = (struct making *)x;
	struct snapshot s = { .server = x->server, .now = clock_now_s() };
	struct err e = { 0 };
	struct reply *r;
	enum err_code rc = open_folder(&s.folder, server_settings(x->server)->data_dir, true, &e);

	if (rc != ERR_OK)
		return failed("open", rc, &e);
	if ((rc = find_one(s.folder, s.now, s.name, &e)) != ERR_OK)
		r = failed("list", rc, &e);
	else if (s.name[0] != '\0')
		r = refused(&s);
	else if ((rc = make(&s, &e)) != ERR_OK)
		r = failed("snapshot", rc, &e);
	else
		r = made(&s, making->name);
	(void)close(s.folder);
	return r;
}

static enum http_next backup(struct request *req)
{
	struct making *x;

	if (request_ctx(req) != NULL)
		return errand_answer(req);
	x = calloc(1, sizeof(*x));
	return x == NULL ? HTTP_CUT : errand_start(&x->errand, req, make_work, errand_to_operator);
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
	enum err_code rc = open_folder(&folder, server_settings(x->server)->data_dir, true, &e);

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

/* ---- those that nobody removes ---- */

struct tidying {
	struct job job;
	struct server *server;
	char name[NAME_SIZE]; /* of the one that goes; "": those that are stale */
};

static enum err_code tidy_folder(const struct tidying *t, int folder, struct err *e)
{
	char other[NAME_SIZE];

	return t->name[0] != '\0' ? files_remove(folder, t->name, e)
				  : find_one(folder, clock_now_s(), other, e);
}

static void tidy(struct job *job)
{
	struct tidying *t = JOB_OWNER(job, struct tidying, job);
	struct err e = { 0 };
	int folder;
	enum err_code rc = open_folder(&folder, server_settings(t->server)->data_dir, false, &e);

	if (rc == ERR_OK) {
		rc = tidy_folder(t, folder, &e);
		(void)close(folder);
	}
	if (rc != ERR_OK && rc != ERR_NOTFOUND)
		log_warn("event=backup_failed call=tidy error=\"%s\"", e.why);
	free(t);
}

/* Without memory the next one does it. */
static void submit_tidying(struct server *s, const char *name)
{
	struct tidying *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return;
	t->job.run = tidy;
	t->server = s;
	memcpy(t->name, name, strlen(name) + 1);
	errand_to_operator(s, &t->job);
}

void admin_backup_tidy(struct server *s)
{
	submit_tidying(s, "");
}

/* Nobody knows the name of one whose request was not answered. */
static void backup_gone(struct request *req)
{
	const struct making *x = request_ctx(req);

	if (x->name[0] != '\0' && !request_answered(req)) {
		log_warn("event=snapshot_removed reason=unanswered");
		submit_tidying(request_server(req), x->name);
	}
	errand_gone(req);
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

const struct handler admin_backup_handler = { .head = backup, .gone = backup_gone };
const struct handler admin_backup_end_handler = { .head = end, .gone = errand_gone };
