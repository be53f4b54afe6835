#include "server/options.h"

#include <inttypes.h>

#include "server/dialect/tus.h"
#include "server/own_fields.h"
#include "server/server.h"
#include "wire/checksum.h"

#define ALLOWED_METHODS "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
#define ALLOWED_HEADERS                                                                           \
	"Authorization, Content-Type, Range, If-Range, If-Match, If-None-Match, Repr-Digest, "    \
	"Content-Digest, Want-Repr-Digest, Want-Content-Digest, Upload-Offset, Upload-Length, "   \
	"Upload-Defer-Length, Upload-Metadata, Upload-Concat, Upload-Checksum, Upload-Complete, " \
	"Blob-Challenge, Blob-Proof, Upload-Incomplete, Upload-Draft-Interop-Version, "           \
	"Tus-Resumable, X-HTTP-Method-Override, "                                                 \
	"X-Requested-With, X-Request-ID"

static void add_cors(struct reply *r)
{
	reply_header(r, "Access-Control-Allow-Methods", ALLOWED_METHODS);
	reply_header(r, "Access-Control-Allow-Headers", ALLOWED_HEADERS);
	reply_header(r, "Access-Control-Max-Age", "86400");
}

/* tus 1.0.0, "OPTIONS"; draft-ietf-httpbis-resumable-upload, "Discovery" */
static void add_uploads(struct reply *r, const struct settings *set)
{
	char names[CHECKSUM_NAMES_SIZE];

	checksum_names(names);
	reply_header(r, "Tus-Version", TUS_VERSION);
	reply_header(r, "Tus-Extension", TUS_EXTENSIONS);
	reply_headerf(r, "Tus-Max-Size", "%" PRIu64, set->upload_max);
	reply_header(r, "Tus-Checksum-Algorithm", names);
	reply_headerf(r, "Upload-Limit", "max-size=%" PRIu64 ", min-size=0", set->upload_max);
	reply_header(r, "Accept-Patch",
		     "application/partial-upload, application/offset+octet-stream");
}

static enum http_next options(struct request *req)
{
	const struct settings *set = request_settings(req);
	struct reply *r = reply_new(204);

	if (r != NULL) {
		reply_header(r, "Allow", ALLOWED_METHODS);
		add_uploads(r, set);
		if (own_fields_cors(set))
			add_cors(r);
	}
	return request_reply(req, r);
}

const struct handler options_handler = { .head = options };
