#include "server/route.h"

#include <string.h>

#include "server/acknowledge.h"
#include "server/admin/admin.h"
#include "server/dialect/choose.h"
#include "server/extend.h"
#include "server/fetch.h"
#include "server/health.h"
#include "server/manage.h"
#include "server/options.h"
#include "server/reuse.h"

enum where { PUBLIC = 1, ADMIN = 2, METRICS = 4, ANY_HOST = 8, OPERATOR = ADMIN | ANY_HOST };

/* "*" stands for one path segment; the first line that fits counts. */
static const struct route {
	unsigned methods;
	const char *path;
	const struct handler *handler;
	unsigned where;
} routes[] = {
	{ HTTP_PUT | HTTP_POST, "/v1/media", &choose_put_handler, PUBLIC },
	{ HTTP_GET | HTTP_HEAD, "/v1/media", &fetch_handler, PUBLIC },
	{ HTTP_GET | HTTP_HEAD, "/v1/media/*", &fetch_handler, PUBLIC },
	{ HTTP_POST, "/v1/media/*/ack", &acknowledge_handler, PUBLIC },
	{ HTTP_POST, "/v1/media/*/extend", &extend_handler, PUBLIC },
	{ HTTP_DELETE, "/v1/media/*", &manage_delete_handler, PUBLIC },
	{ HTTP_PUT | HTTP_POST, "/v1/uploads", &choose_create_handler, PUBLIC },
	{ HTTP_PUT | HTTP_POST, "/v1/uploads/", &choose_create_handler, PUBLIC },
	{ HTTP_GET | HTTP_HEAD, "/v1/uploads/*", &choose_look_handler, PUBLIC },
	{ HTTP_PATCH, "/v1/uploads/*", &choose_append_handler, PUBLIC },
	{ HTTP_DELETE, "/v1/uploads/*", &choose_delete_handler, PUBLIC },
	{ HTTP_HEAD, "/v1/blobs/*", &reuse_ask_handler, PUBLIC },
	{ HTTP_GET | HTTP_HEAD, "/healthz", &healthz_handler, PUBLIC | ADMIN | ANY_HOST },
	{ HTTP_GET | HTTP_HEAD, "/readyz", &readyz_handler, PUBLIC | ADMIN | ANY_HOST },
	{ HTTP_GET | HTTP_HEAD, "/metrics", &metrics_handler, ADMIN | METRICS | ANY_HOST },
	{ HTTP_GET | HTTP_HEAD, "/admin/status", &admin_status_handler, OPERATOR },
	{ HTTP_GET | HTTP_HEAD, "/admin/stats", &admin_stats_handler, OPERATOR },
	{ HTTP_GET | HTTP_HEAD, "/admin/running-config", &admin_config_handler, OPERATOR },
	{ HTTP_POST, "/admin/expire", &admin_expire_handler, OPERATOR },
	{ HTTP_POST, "/admin/check", &admin_check_handler, OPERATOR },
	{ HTTP_POST, "/admin/backup", &admin_backup_handler, OPERATOR },
	{ HTTP_DELETE, "/admin/backup/*", &admin_backup_end_handler, OPERATOR },
	{ HTTP_POST, "/admin/reload", &admin_reload_handler, OPERATOR },
	{ HTTP_POST, "/admin/stop", &admin_stop_handler, OPERATOR },
	{ HTTP_POST, "/admin/keys/rotate", &admin_rotate_handler, OPERATOR },
};

#define ROUTES (sizeof(routes) / sizeof(routes[0]))
/* 0 is no route, the last one is OPTIONS, which is answered anywhere. */
_Static_assert(ROUTES + 2 <= ROUTES_MAX, "numbers are below ROUTES_MAX");

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {
	{ "GET", HTTP_GET },         { "HEAD", HTTP_HEAD },   { "PUT", HTTP_PUT },
	{ "POST", HTTP_POST },       { "PATCH", HTTP_PATCH }, { "DELETE", HTTP_DELETE },
	{ "OPTIONS", HTTP_OPTIONS },
};
#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

const char *route_authority(const char *target, size_t *len)
{
	const size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
			      : strncasecmp(target, "https://", 8) == 0 ? 8
									: 0;

	if (scheme == 0)
		return NULL;
	*len = strcspn(target + scheme, "/?");
	return target + scheme;
}

/* Where the path begins: behind scheme and authority of an absolute-form target. */
static const char *path_of(const char *target)
{
	size_t n;
	const char *authority = route_authority(target, &n);

	if (authority == NULL)
		return target;
	return authority[n] == '/' ? authority + n : "/";
}

bool route_is_upload(const char *target)
{
	static const char uploads[] = "/v1/uploads";
	const size_t n = sizeof(uploads) - 1;
	const char *path = path_of(target);

	return strncmp(path, uploads, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/' || path[n] == '?');
}

static bool fits(const char *pattern, const char *path, size_t len, struct route_match *m)
{
	const size_t before = strcspn(pattern, "*");
	const char *behind = pattern + before + 1;
	size_t after;

	if (pattern[before] == '\0')
		return len == before && memcmp(pattern, path, len) == 0;
	after = strlen(behind);
	if (len <= before + after || memcmp(pattern, path, before) != 0 ||
	    memcmp(behind, path + len - after, after) != 0 ||
	    memchr(path + before, '/', len - before - after) != NULL)
		return false;
	m->param = path + before;
	m->param_len = len - before - after;
	return true;
}

struct route_match route_find(enum http_method method, const char *target, bool admin,
			      bool public_metrics)
{
	struct route_match m = { 0 };
	const unsigned here = admin ? ADMIN : PUBLIC | (public_metrics ? METRICS : 0u);
	const char *path = path_of(target);
	size_t len = strcspn(path, "?");

	if (method == HTTP_OPTIONS) /* anywhere, also "*" */
		return (struct route_match){ .handler = &options_handler, .number = ROUTES + 1 };
	for (size_t i = 0; i < ROUTES; i++) {
		const struct route *r = &routes[i];

		if (!(r->where & here) || !fits(r->path, path, len, &m))
			continue;
		if (m.number == 0)
			m.number = i + 1;
		m.allow |= r->methods | HTTP_OPTIONS;
		m.any_host = r->where & ANY_HOST;
		if (r->methods & (unsigned)method && m.handler == NULL)
			m.handler = r->handler;
	}
	return m;
}

const char *route_pattern(size_t number)
{
	if (number == ROUTES + 1)
		return "*";
	return number == 0 || number > ROUTES ? "none" : routes[number - 1].path;
}

void route_allow(char out[static ROUTE_ALLOW_SIZE], unsigned mask)
{
	out[0] = '\0';
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		if (!(mask & (unsigned)methods[i].method))
			continue;
		if (out[0] != '\0')
			strcat(out, ", ");
		strcat(out, methods[i].name);
	}
}

enum http_method route_method(const char *name)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (strcmp(name, methods[i].name) == 0)
			return methods[i].method;
	return HTTP_OTHER;
}

const char *route_method_name(enum http_method method)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (methods[i].method == method)
			return methods[i].name;
	return method == HTTP_OTHER ? "other" : "none";
}
