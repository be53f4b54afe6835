#include "server/own_fields.h"

#include "server/settings.h"

#define EXPOSED_HEADERS                                                                     \
	"ETag, Content-Range, Content-Length, Accept-Ranges, Repr-Digest, Content-Digest, " \
	"Location, WWW-Authenticate, Blob-Challenge, Blob-Challenge-Range, Media-Token, "   \
	"Media-Manage-Token, Retry-After, Upload-Offset, Upload-Length, "                   \
	"Upload-Defer-Length, Upload-Metadata, Upload-Concat, Upload-Expires, "             \
	"Upload-Complete, Upload-Incomplete, Upload-Limit, Upload-Draft-Interop-Version, "  \
	"Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm"

bool own_fields_cors(const struct settings *set)
{
	return set->http_cors_origin[0] != '\0';
}

size_t own_fields_of(const struct settings *set, bool origin, bool tus,
		     struct own_field out[static OWN_FIELDS])
{
	size_t n = 0;

	if (origin && own_fields_cors(set)) {
		out[n++] =
			(struct own_field){ "Access-Control-Allow-Origin", set->http_cors_origin };
		out[n++] = (struct own_field){ "Access-Control-Expose-Headers", EXPOSED_HEADERS };
	}
	if (tus)
		out[n++] = (struct own_field){ "Tus-Resumable", TUS_VERSION };
	return n;
}
