#include "server/cors.h"

#include "server/route.h"
#include "server/server.h"

#define ALLOWED_METHODS "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
#define ALLOWED_HEADERS                                                                        \
	"Authorization, Content-Type, Range, If-Range, If-Match, If-None-Match, Repr-Digest, " \
	"Content-Digest, Want-Repr-Digest"
#define EXPOSED_HEADERS                                                               \
	"ETag, Content-Range, Content-Length, Accept-Ranges, Repr-Digest, Location, " \
	"Media-Token, Media-Manage-Token, Upload-Expires, Retry-After"

static bool enabled(const struct server *server)
{
	return server_settings(server)->http_cors_origin[0] != '\0';
}

size_t cors_fields(const struct server *server, struct cors_field out[static CORS_FIELDS])
{
	if (!enabled(server))
		return 0;
	out[0] = (struct cors_field){ "Access-Control-Allow-Origin",
				      server_settings(server)->http_cors_origin };
	out[1] = (struct cors_field){ "Access-Control-Expose-Headers", EXPOSED_HEADERS };
	return 2;
}

/* Every path, also "*": a preflight asks for what will be asked, and learns the rest there. */
static enum http_next options(struct request *req)
{
	struct reply *r = reply_new(204);

	if (r != NULL) {
		reply_header(r, "Allow", ALLOWED_METHODS);
		if (enabled(request_server(req))) {
			reply_header(r, "Access-Control-Allow-Methods", ALLOWED_METHODS);
			reply_header(r, "Access-Control-Allow-Headers", ALLOWED_HEADERS);
			reply_header(r, "Access-Control-Max-Age", "86400");
		}
	}
	return request_reply(req, r);
}

const struct handler cors_options_handler = { .head = options };
