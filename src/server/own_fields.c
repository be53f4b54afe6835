#include "server/own_fields.h"

#include "server/server.h"

#define EXPOSED_HEADERS                                                                     \
	"ETag, Content-Range, Content-Length, Accept-Ranges, Repr-Digest, Content-Digest, " \
	"Location, WWW-Authenticate, Blob-Challenge, Blob-Challenge-Range, Media-Token, "   \
	"Media-Manage-Token, Retry-After, Upload-Offset, Upload-Length, "                   \
	"Upload-Defer-Length, Upload-Metadata, Upload-Concat, Upload-Expires, "             \
	"Upload-Complete, Upload-Incomplete, Upload-Limit, Upload-Draft-Interop-Version, "  \
	"Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm"

bool own_fields_cors(const struct server *server)
{
	return server_settings(server)->http_cors_origin[0] != '\0';
}

size_t own_fields_of(const struct server *server, bool origin, bool tus,
		     struct own_field out[static OWN_FIELDS])
{
	size_t n = 0;

	if (origin && own_fields_cors(server)) {
		out[n++] = (struct own_field){ "Access-Control-Allow-Origin",
					       server_settings(server)->http_cors_origin };
		out[n++] = (struct own_field){ "Access-Control-Expose-Headers", EXPOSED_HEADERS };
	}
	if (tus)
		out[n++] = (struct own_field){ "Tus-Resumable", TUS_VERSION };
	return n;
}
