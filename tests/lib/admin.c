#include "tests/lib/admin.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 60

struct client *admin_open(const struct test_server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct client *c = calloc(1, sizeof(*c));

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/data/admin.sock", s->dir);
	if (c != NULL)
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c == NULL || c->fd < 0 || connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		(void)fprintf(stderr, "admin: %s: %s\n", sa.sun_path, strerror(errno));
		abort();
	}
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return c;
}

void admin_ask(const struct test_server *s, const char *method, const char *target,
	       struct answer *a)
{
	struct client *c = admin_open(s);

	(void)client_sendf(c, "%s %s HTTP/1.1\r\nHost: t\r\n\r\n", method, target);
	client_answer(c, strcmp(method, "HEAD") == 0, a, NULL);
	client_close(c);
}

int admin_status(const struct test_server *s, const char *method, const char *target)
{
	struct answer a;
	int status;

	admin_ask(s, method, target, &a);
	status = a.status;
	answer_free(&a);
	return status;
}

bool admin_has(const struct answer *a, const char *member)
{
	return a->body != NULL && strstr((const char *)a->body, member) != NULL;
}

double admin_number(const struct answer *a, const char *name)
{
	const char *text = (const char *)a->body, *dot = strchr(name, '.');
	char key[80];

	if (dot != NULL && text != NULL) {
		(void)snprintf(key, sizeof(key), "\"%.*s\":{", (int)(dot - name), name);
		text = strstr(text, key);
		name = dot + 1;
	}
	(void)snprintf(key, sizeof(key), "\"%s\":", name);
	text = text != NULL ? strstr(text, key) : NULL;
	return text != NULL ? strtod(text + strlen(key), NULL) : -1;
}

static int64_t whole(const struct answer *a, const char *name)
{
	return (int64_t)admin_number(a, name);
}

int admin_expire(const struct test_server *s, const char *query, struct admin_swept *out)
{
	char target[128];
	struct answer a;
	int status;

	(void)snprintf(target, sizeof(target), "/admin/expire%s", query);
	admin_ask(s, "POST", target, &a);
	*out = (struct admin_swept){
		.uploads = whole(&a, "uploads"),
		.unfinished = whole(&a, "unfinished"),
		.grants = whole(&a, "grants"),
		.blobs = whole(&a, "blobs"),
		.bytes = whole(&a, "bytes"),
		.segments = whole(&a, "segments"),
		.more = admin_has(&a, "\"more\":true"),
		.seconds = admin_number(&a, "seconds"),
		.disk_before = whole(&a, "disk_before"),
		.disk_after = whole(&a, "disk_after"),
	};
	status = a.status;
	answer_free(&a);
	return status;
}

int admin_check(const struct test_server *s, struct admin_left *out)
{
	struct answer a;
	int status;

	admin_ask(s, "POST", "/admin/check", &a);
	*out = (struct admin_left){
		.overdue = whole(&a, "overdue"),
		.unfinished = whole(&a, "unfinished"),
		.grants = whole(&a, "grants"),
		.segments = whole(&a, "segments"),
		.oldest_s = whole(&a, "oldest_s"),
	};
	status = a.status;
	answer_free(&a);
	return status;
}

static uint64_t blocks; /* of the walk that runs */

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_F || type == FTW_D)
		blocks += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t admin_blocks(const struct test_server *s)
{
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/data/store", s->dir);
	blocks = 0;
	(void)nftw(dir, add_blocks, 16, FTW_PHYS);
	return blocks;
}
