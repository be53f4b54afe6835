#include "server/cors.h"

#include <string.h>

#include "server/route.h"
#include "server/server.h"

#define ALLOWED_METHODS "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
#define ALLOWED_HEADERS                                                                           \
	"Authorization, Content-Type, Range, If-Range, If-Match, If-None-Match, Repr-Digest, "    \
	"Content-Digest, Want-Repr-Digest"
#define EXPOSED_HEADERS                                                                           \
	"ETag, Content-Range, Content-Length, Accept-Ranges, Repr-Digest, Location, "             \
	"Media-Token, Media-Manage-Token, Upload-Expires, Retry-After"

void cors_headers(struct reply *r, const struct server *server)
{
	const char *origin = server_settings(server)->http_cors_origin;

	if (origin[0] == '\0')
		return;
	reply_header(r, "Access-Control-Allow-Origin", origin);
	reply_header(r, "Access-Control-Expose-Headers", EXPOSED_HEADERS);
	if (strcmp(origin, "*") != 0)
		reply_header(r, "Vary", "Origin");
}

/* Every path, also "*": a preflight asks for what will be asked, and learns the rest there. */
static enum http_next options(struct request *req)
{
	struct reply *r = reply_new(204);

	if (r != NULL) {
		reply_header(r, "Allow", ALLOWED_METHODS);
		if (server_settings(request_server(req))->http_cors_origin[0] != '\0') {
			cors_headers(r, request_server(req));
			reply_header(r, "Access-Control-Allow-Methods", ALLOWED_METHODS);
			reply_header(r, "Access-Control-Allow-Headers", ALLOWED_HEADERS);
			reply_header(r, "Access-Control-Max-Age", "86400");
		}
	}
	request_reply(req, r);
	return HTTP_GO;
}

const struct handler cors_options_handler = { .head = options };
