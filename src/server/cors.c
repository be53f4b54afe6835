#include "server/cors.h"

#include "server/server.h"

#define EXPOSED_HEADERS                                                               \
	"ETag, Content-Range, Content-Length, Accept-Ranges, Repr-Digest, Location, " \
	"Media-Token, Media-Manage-Token, Upload-Expires, Retry-After"

bool cors_enabled(const struct server *server)
{
	return server_settings(server)->http_cors_origin[0] != '\0';
}

size_t cors_fields(const struct server *server, struct cors_field out[static CORS_FIELDS])
{
	if (!cors_enabled(server))
		return 0;
	out[0] = (struct cors_field){ "Access-Control-Allow-Origin",
				      server_settings(server)->http_cors_origin };
	out[1] = (struct cors_field){ "Access-Control-Expose-Headers", EXPOSED_HEADERS };
	return 2;
}
