#include "server/options.h"

#include "server/cors.h"

#define ALLOWED_METHODS "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
#define ALLOWED_HEADERS                                                                        \
	"Authorization, Content-Type, Range, If-Range, If-Match, If-None-Match, Repr-Digest, " \
	"Content-Digest, Want-Repr-Digest"

static enum http_next options(struct request *req)
{
	struct reply *r = reply_new(204);

	if (r != NULL) {
		reply_header(r, "Allow", ALLOWED_METHODS);
		if (cors_enabled(request_server(req))) {
			reply_header(r, "Access-Control-Allow-Methods", ALLOWED_METHODS);
			reply_header(r, "Access-Control-Allow-Headers", ALLOWED_HEADERS);
			reply_header(r, "Access-Control-Max-Age", "86400");
		}
	}
	return request_reply(req, r);
}

const struct handler options_handler = { .head = options };
