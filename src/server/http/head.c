#include "server/http/inside.h"

#include <stdlib.h>
#include <string.h>

#include "server/hosts.h"
#include "server/http/guard.h"
#include "server/problem.h"
#include "server/server.h"

static enum MHD_Result show_guard(void *cls, enum MHD_ValueKind kind, const char *name,
				  size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	guard_header(cls, name, name_len, value == NULL ? "" : value, value_len);
	return MHD_YES;
}

static int head_status(struct request *r, const char *version)
{
	const union MHD_ConnectionInfo *size =
		MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct guard g = { 0 };

	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, show_guard, &g);
	return guard_verdict(&g, version, size == NULL ? 0 : size->header_size,
			     server_settings(request_server(r))->http_header_max);
}

/* Of a head that the guard has let pass. */
static uint64_t body_length(struct request *r)
{
	size_t n;
	const char *v;
	char digits[24] = { 0 };

	if (request_header(r, "Transfer-Encoding", &n, NULL) != NULL)
		return HTTP_LENGTH_UNKNOWN;
	v = request_header(r, "Content-Length", &n, NULL);
	if (v == NULL || n >= sizeof(digits))
		return 0;
	memcpy(digits, v, n);
	return strtoull(digits, NULL, 10);
}

static enum MHD_Result refuse_method(struct request *r)
{
	char allow[ROUTE_ALLOW_SIZE];
	struct reply *reply = problem_reply(405, NULL, "This resource does not know that method.");

	route_allow(allow, r->route.allow);
	if (reply != NULL)
		reply_header(reply, "Allow", allow);
	return request_reply(r, reply) == HTTP_GO ? respond_early(r, false) : MHD_NO;
}

/* tus 1.0.0, "X-HTTP-Method-Override": if it is there, it is the method. Where no tus client has
 * business it is left alone. */
static enum http_method asked_method(struct request *r, const char *method)
{
	size_t n;
	const char *v = request_header(r, "X-HTTP-Method-Override", &n, NULL);
	char name[16] = { 0 };

	if (v == NULL || !route_is_upload(r->target))
		return route_method(method);
	if (n >= sizeof(name))
		return HTTP_OTHER;
	memcpy(name, v, n);
	return route_method(name);
}

/* Which virtual host it is for: once, at its head. False: one that nobody knows. */
static bool choose_host(struct request *r)
{
	const struct settings *host;
	const char *authority;
	size_t n = 0;

	if (r->settings->host_count == 0 || request_from_admin(r))
		return true;
	authority = route_authority(r->target, &n);
	if (authority == NULL)
		authority = request_header(r, "Host", &n, NULL);
	host = hosts_find(r->settings, authority != NULL ? authority : "", n);
	if (host != NULL)
		r->settings = host;
	return host != NULL;
}

/* RFC 9110 section 15.5.20 */
static enum MHD_Result refuse_host(struct request *r)
{
	struct reply *reply =
		problem_reply(421, "unknown-host", "This server does not go by that name.");

	return request_reply(r, reply) == HTTP_GO ? respond_early(r, false) : MHD_NO;
}

enum MHD_Result head_look(struct request *r, const char *method, const char *version)
{
	size_t n;
	bool twice;
	int status;

	r->http11 = strcmp(version, "HTTP/1.1") == 0;
	/* until the head is known to be sound, the body's end is not known either */
	r->body_length = HTTP_LENGTH_UNKNOWN;
	status = head_status(r, version);
	if (status != 0) {
		/* queued in the first call: MHD closes, and nothing behind it is taken for a
		 * request */
		return request_reply(r, problem_reply(status, NULL, NULL)) == HTTP_GO ? respond(r)
										      : MHD_NO;
	}
	r->body_length = body_length(r);
	if (request_header(r, "Expect", &n, NULL) != NULL && r->http11 &&
	    !request_expects_continue(r))
		return respond_refuse(r, 417, "The only expectation met here is 100-continue.");
	if (request_header(r, "X-HTTP-Method-Override", &n, &twice) != NULL && twice)
		return respond_refuse(r, 400, "X-HTTP-Method-Override stands twice.");
	r->head_only = strcmp(method, "HEAD") == 0;
	r->method = asked_method(r, method);
	r->route =
		route_find(r->method, r->target, request_from_admin(r), r->settings->http_metrics);
	if (!choose_host(r) && !r->route.any_host)
		return refuse_host(r);
	if (r->method == HTTP_OTHER)
		return respond_refuse(r, 501, "No resource here knows that method.");
	if (r->route.handler == NULL && r->route.allow != 0)
		return refuse_method(r);
	if (r->route.handler == NULL)
		return respond_refuse(r, 404, NULL);
	r->handler = r->route.handler;
	if (r->handler->choose != NULL)
		r->handler = r->handler->choose(r);
	intake_expect(r);
	return MHD_YES;
}
